//! Services of AWS: Firehose and S3.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_firehose::config::Credentials;
use serde_json::{Value, json};
use siemline::aws;
use siemline::delivery::LaneDefaults;
use siemline::sink::firehose::{Firehose, FirehoseOptions};
use siemline::sink::s3::{S3Options, S3Sink};

use super::super::scenario::{BATCH, Cell, Expected, Scenario};
use super::{Kind, status};
use crate::events::uid;
use crate::fakes::firehose::{FakeFirehose, STREAM};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::s3::{BUCKET, FakeS3, error};

pub struct FirehoseKind;

impl Kind for FirehoseKind {
    const KIND: &'static str = "firehose";
    const LANE: LaneDefaults = FirehoseOptions::LANE;
    type Fake = FakeFirehose;
    type Sink = Firehose;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::OneRefused | Scenario::AllRefused => {
                Cell::Meaningless("a record is bytes: the service refuses none for what is in it")
            }
            Scenario::ThrottledForASecond => Cell::Meaningless("the service's throttling names no time"),
            // Half of the results are there.
            Scenario::ShortAnswer => Cell::Played(Expected::repeats(BATCH / 2)),
            // The service answers 400 to what is too large and says so in words only, as to any argument that it refuses.
            Scenario::OneTooLarge => Cell::Played(Expected::buries(1, "InvalidArgumentException")),
            // No redirect and no page tells the SDK anything that a person could mend here: the endpoint is AWS's own.
            Scenario::Redirect | Scenario::SignInPage => Cell::Played(Expected::arrives()),
            _ => Cell::Played(scenario.usual("")),
        }
    }

    fn unauthorised() -> Fault {
        status(400, "ExpiredTokenException")
    }

    async fn start(plan: Plan) -> FakeFirehose {
        FakeFirehose::start(plan).await
    }

    fn url(fake: &FakeFirehose) -> &str {
        &fake.url
    }

    fn received(fake: &FakeFirehose) -> BTreeMap<String, u32> {
        let mut times = BTreeMap::new();
        for line in fake.lines() {
            *times.entry(name(&line)).or_default() += 1;
        }
        times
    }

    async fn sink(url: &str) -> Firehose {
        let options: FirehoseOptions =
            serde_json::from_value(json!({ "stream": STREAM, "endpoint_url": url })).unwrap();
        Firehose::new(&options).unwrap().configured(configuration().await)
    }
}

/// A batch is an object: what is sent again takes its own place, which is counted.
pub struct S3Kind;

impl Kind for S3Kind {
    const KIND: &'static str = "s3";
    const LANE: LaneDefaults = S3Options::LANE;
    type Fake = FakeS3;
    type Sink = S3Sink;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::OneRefused | Scenario::AllRefused => {
                Cell::Meaningless("S3 does not look into an object: it refuses no event for what is in it")
            }
            Scenario::ShortAnswer => {
                Cell::Meaningless("an object is written whole or not: there is nothing to leave out")
            }
            Scenario::CutAfter => {
                Cell::Meaningless("the answer ends with its head: there is nothing after it that could be cut")
            }
            // Whatever says this is not S3, which names the tag of what it has written.
            Scenario::EmptySuccess => Cell::Played(Expected::repeats(BATCH).pausing()),
            _ => Cell::Played(scenario.usual("")),
        }
    }

    fn unauthorised() -> Fault {
        status(403, &error("InvalidAccessKeyId"))
    }

    async fn start(plan: Plan) -> FakeS3 {
        FakeS3::start(plan).await
    }

    fn url(fake: &FakeS3) -> &str {
        &fake.url
    }

    fn received(fake: &FakeS3) -> BTreeMap<String, u32> {
        let mut times = BTreeMap::new();
        for object in fake.objects().into_values() {
            for line in String::from_utf8(object.body).unwrap().lines() {
                *times.entry(name(line)).or_default() += object.times;
            }
        }
        times
    }

    async fn sink(url: &str) -> S3Sink {
        let options: S3Options = serde_json::from_value(json!({
            "bucket": BUCKET,
            "endpoint_url": url,
            "path_style": true,
            "compression": "none",
        }))
        .unwrap();
        S3Sink::configured(&options, configuration().await).await.unwrap()
    }
}

/// What stands in a line.
fn name(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    uid(event["n"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("an event of the tests"))
}

async fn configuration() -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await
}
