//! Splunk HEC: with both endpoints, and with indexer acknowledgement, where a batch is delivered when it is indexed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use siemline::delivery::LaneDefaults;
use siemline::sink::splunk_hec::{SplunkHec, SplunkHecOptions};

use super::super::scenario::{BATCH, Cell, Expected, POISON, Scenario};
use super::{Kind, status, with_secret};
use crate::events::uid;
use crate::fakes::hec::{ACK_TOKEN, FakeHec, Site, TOKEN};
use crate::fakes::plan::{Fault, Plan};

/// The event endpoint.
pub struct HecKind;

impl Kind for HecKind {
    const KIND: &'static str = "splunk_hec";
    const LANE: LaneDefaults = SplunkHecOptions::LANE;
    type Fake = FakeHec;
    type Sink = SplunkHec;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("hec_6"))
    }

    fn unauthorised() -> Fault {
        invalid_token()
    }

    async fn start(plan: Plan) -> FakeHec {
        FakeHec::start(plan).await
    }

    fn url(fake: &FakeHec) -> &str {
        &fake.url
    }

    fn received(fake: &FakeHec) -> BTreeMap<String, u32> {
        times(fake)
    }

    async fn sink(url: &str) -> SplunkHec {
        sink(url, TOKEN, &json!({}))
    }
}

/// The raw endpoint, at which an event is known by its line.
pub struct RawKind;

impl Kind for RawKind {
    const KIND: &'static str = "splunk_hec";
    const NAME: &'static str = "splunk_hec_raw";
    const LANE: LaneDefaults = SplunkHecOptions::LANE;
    type Fake = FakeHec;
    type Sink = SplunkHec;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::OneRefused | Scenario::AllRefused => {
                Cell::Meaningless("a raw line is bytes: Splunk refuses none for what is in it")
            }
            _ => Cell::Played(scenario.usual("")),
        }
    }

    fn unauthorised() -> Fault {
        invalid_token()
    }

    async fn start(plan: Plan) -> FakeHec {
        FakeHec::start(plan).await
    }

    fn url(fake: &FakeHec) -> &str {
        &fake.url
    }

    fn received(fake: &FakeHec) -> BTreeMap<String, u32> {
        let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap();
        let named = |(line, times): (String, u32)| (uid(u32::try_from(number(&line)).unwrap()), times);
        times(fake).into_iter().map(named).collect()
    }

    async fn sink(url: &str) -> SplunkHec {
        sink(url, TOKEN, &json!({ "mode": "raw" }))
    }
}

/// With acknowledgement; what goes wrong goes wrong with batches.
pub struct AcknowledgedKind;

impl Kind for AcknowledgedKind {
    const KIND: &'static str = "splunk_hec";
    const NAME: &'static str = "splunk_hec_acknowledged";
    const LANE: LaneDefaults = SplunkHecOptions::LANE;
    type Fake = FakeHec;
    type Sink = SplunkHec;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            // Those before the one at fault are indexed, but no id speaks for them.
            Scenario::OneRefused => {
                let duplicates = POISON - BATCH;
                Cell::Played(Expected { duplicates: duplicates..=duplicates, ..Expected::buries(1, "hec_6") })
            }
            _ => Cell::Played(scenario.usual("hec_6")),
        }
    }

    fn unauthorised() -> Fault {
        invalid_token()
    }

    async fn start(plan: Plan) -> FakeHec {
        FakeHec::start_at(Site::default(), plan, Plan::healthy()).await
    }

    fn url(fake: &FakeHec) -> &str {
        &fake.url
    }

    fn received(fake: &FakeHec) -> BTreeMap<String, u32> {
        times(fake)
    }

    async fn sink(url: &str) -> SplunkHec {
        acknowledged(url)
    }
}

/// With acknowledgement; what goes wrong goes wrong with the questions for it. Each answer tells that a batch is indexed, and
/// Splunk forgets what it has told.
pub struct AskedKind;

impl Kind for AskedKind {
    const KIND: &'static str = "splunk_hec";
    const NAME: &'static str = "splunk_hec_asked";
    const LANE: LaneDefaults = SplunkHecOptions::LANE;
    type Fake = FakeHec;
    type Sink = SplunkHec;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::OneRefused | Scenario::AllRefused | Scenario::TooLarge | Scenario::OneTooLarge => {
                Cell::Meaningless("it is about batches: `splunk_hec_acknowledged` plays it")
            }
            Scenario::ShortAnswer => Cell::Meaningless("an answer that leaves out an id says \"not yet\", as most do"),
            Scenario::ThrottledForASecond => Cell::Meaningless("questions are asked at an interval of their own"),
            // They are asked again, and the batch waits.
            Scenario::UnauthorisedThenRestored | Scenario::Redirect | Scenario::SignInPage => {
                Cell::Played(Expected::arrives())
            }
            _ => Cell::Played(scenario.usual("")),
        }
    }

    fn unauthorised() -> Fault {
        invalid_token()
    }

    async fn start(plan: Plan) -> FakeHec {
        FakeHec::start_at(Site { polls_in_vain: 0, ..Site::default() }, Plan::healthy(), plan).await
    }

    fn url(fake: &FakeHec) -> &str {
        &fake.url
    }

    fn received(fake: &FakeHec) -> BTreeMap<String, u32> {
        times(fake)
    }

    async fn sink(url: &str) -> SplunkHec {
        acknowledged(url)
    }
}

fn invalid_token() -> Fault {
    status(403, r#"{"text":"Invalid token","code":4}"#)
}

fn times(fake: &FakeHec) -> BTreeMap<String, u32> {
    fake.received().into_iter().map(|(uid, arrival)| (uid, arrival.times)).collect()
}

/// A sink that waits for its acknowledgements longer than a slow machine takes to answer, and not for ever.
fn acknowledged(url: &str) -> SplunkHec {
    let asked = json!({
        "acknowledgement": true,
        "acknowledgement_interval": "20ms",
        "acknowledgement_timeout": "10s",
    });
    sink(url, ACK_TOKEN, &asked)
}

fn sink(url: &str, token: &str, more: &Value) -> SplunkHec {
    let (options, _secret) = with_secret::<SplunkHecOptions>(token, |token| {
        let mut options = json!({ "endpoint": url, "token": token });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        options
    });
    SplunkHec::new(&options).unwrap()
}
