//! The destinations behind HTTP: each a fake that fails by a script, with a gate before it.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_sdk_firehose::config::Credentials;
use serde_json::{Value, json};
use siemline::aws;
use siemline::delivery::{LaneDefaults, Sink};
use siemline::sink::elastic::{Elastic, ElasticOptions};
use siemline::sink::firehose::{Firehose, FirehoseOptions};
use siemline::sink::http::{HttpSink, HttpSinkOptions};
use siemline::sink::splunk_hec::{SplunkHec, SplunkHecOptions};
use siemline::sink::sumo::{Sumo, SumoOptions};

use super::play::Destination;
use super::scenario::{BATCH, BODY_BYTES_MAX, Cell, Expected, POISON, Scenario};
use crate::events::uid;
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::firehose::{FakeFirehose, STREAM};
use crate::fakes::gate::Gate;
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::intake::{FakeIntake, KEY};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::sumo::FakeSumo;

/// A kind of sink with the fake of its destination.
pub trait Kind: Sized {
    const NAME: &'static str;
    const LANE: LaneDefaults;
    type Fake;
    type Sink: Sink;

    fn cell(scenario: Scenario) -> Cell;
    /// How it refuses credentials.
    fn unauthorised() -> Fault;
    async fn start(plan: Plan) -> Self::Fake;
    fn url(fake: &Self::Fake) -> &str;
    fn received(fake: &Self::Fake) -> BTreeMap<String, u32>;
    /// A sink for a fake at this address, which is not the fake's own.
    async fn sink(url: &str) -> Self::Sink;
}

/// A destination behind HTTP and a gate.
pub struct Web<K: Kind> {
    fake: K::Fake,
    gate: Gate,
    faults: usize,
    met: Arc<AtomicUsize>,
    refuses_all: Arc<AtomicBool>,
    kind: PhantomData<K>,
}

impl<K: Kind> Destination for Web<K> {
    const NAME: &'static str = K::NAME;
    const LANE: LaneDefaults = K::LANE;
    type Sink = K::Sink;

    fn cell(scenario: Scenario) -> Cell {
        K::cell(scenario)
    }

    async fn start(scenario: Scenario) -> Self {
        let script = scenario.script(K::unauthorised());
        let faults = script.len();
        let refuses_all = Arc::new(AtomicBool::new(scenario == Scenario::AllRefused));
        let refuses = Arc::clone(&refuses_all);
        let is_poison = move |event: &Value| scenario == Scenario::OneRefused && event["n"] == POISON;
        let mut plan = Plan::script(script).refusing(move |event| is_poison(event) || refuses.load(Ordering::Relaxed));
        if matches!(scenario, Scenario::TooLarge | Scenario::OneTooLarge) {
            plan = plan.body_bytes_max(BODY_BYTES_MAX);
        }
        let met = plan.met();
        let fake = K::start(plan).await;
        let authority = K::url(&fake).split('/').nth(2).expect("a URL has an authority");
        let gate = Gate::open(authority.parse().expect("a fake is named by its address")).await;
        if scenario == Scenario::Refused {
            gate.close().await;
        }
        Self { fake, gate, faults, met, refuses_all, kind: PhantomData }
    }

    async fn sink(&self) -> K::Sink {
        let url = K::url(&self.fake);
        let authority = url.split('/').nth(2).expect("a URL has an authority");
        K::sink(&url.replacen(authority, &self.gate.address().to_string(), 1)).await
    }

    fn received(&self) -> BTreeMap<String, u32> {
        K::received(&self.fake)
    }

    fn faults_left(&self) -> usize {
        self.faults.saturating_sub(self.met.load(Ordering::Relaxed))
    }

    async fn go_away(&self) {
        self.gate.close().await;
    }

    async fn mend(&self) {
        self.refuses_all.store(false, Ordering::Relaxed);
        self.gate.reopen().await;
    }
}

fn status(status: u16, body: &str) -> Fault {
    Fault::Reject { status, body: body.to_owned(), retry_after_s: None }
}

/// Options with a secret in a file, which is read when the sink is made.
fn with_secret<O: serde::de::DeserializeOwned>(secret: &str, options: impl FnOnce(Value) -> Value) -> (O, impl Sized) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, secret).unwrap();
    (serde_json::from_value(options(json!({ "file": path }))).unwrap(), directory)
}

pub struct HecKind;

impl Kind for HecKind {
    const NAME: &'static str = "splunk_hec";
    const LANE: LaneDefaults = SplunkHecOptions::LANE;
    type Fake = FakeHec;
    type Sink = SplunkHec;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("hec_6"))
    }

    fn unauthorised() -> Fault {
        status(403, r#"{"text":"Invalid token","code":4}"#)
    }

    async fn start(plan: Plan) -> FakeHec {
        FakeHec::start(plan).await
    }

    fn url(fake: &FakeHec) -> &str {
        &fake.url
    }

    fn received(fake: &FakeHec) -> BTreeMap<String, u32> {
        fake.received().into_iter().map(|(uid, arrival)| (uid, arrival.times)).collect()
    }

    async fn sink(url: &str) -> SplunkHec {
        let (options, _secret) =
            with_secret::<SplunkHecOptions>(TOKEN, |token| json!({ "endpoint": url, "token": token }));
        SplunkHec::new(&options).unwrap()
    }
}

/// What is sent again is answered with 409: a duplicate is counted, and stands there once.
pub struct ElasticKind;

impl Kind for ElasticKind {
    const NAME: &'static str = "elastic";
    const LANE: LaneDefaults = ElasticOptions::LANE;
    type Fake = FakeBulk;
    type Sink = Elastic;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("document_parsing_exception"))
    }

    fn unauthorised() -> Fault {
        status(401, r#"{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}"#)
    }

    async fn start(plan: Plan) -> FakeBulk {
        FakeBulk::start(plan).await
    }

    fn url(fake: &FakeBulk) -> &str {
        &fake.url
    }

    fn received(fake: &FakeBulk) -> BTreeMap<String, u32> {
        fake.received().into_iter().map(|(uid, arrival)| (uid, arrival.times)).collect()
    }

    async fn sink(url: &str) -> Elastic {
        let (options, _secret) =
            with_secret::<ElasticOptions>(API_KEY, |key| json!({ "endpoint": url, "api_key": key, "format": "ocsf" }));
        Elastic::new(&options).unwrap()
    }
}

pub struct SumoKind;

impl Kind for SumoKind {
    const NAME: &'static str = "sumo";
    const LANE: LaneDefaults = SumoOptions::LANE;
    type Fake = FakeSumo;
    type Sink = Sumo;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            // A 200 means that everything was taken, whatever follows it.
            Scenario::ShortAnswer | Scenario::EmptySuccess => Cell::Played(Expected::arrives()),
            Scenario::CutAfter => {
                Cell::Meaningless("the answer ends with its head: there is nothing after it that could be cut")
            }
            _ => Cell::Played(scenario.usual("http_400")),
        }
    }

    fn unauthorised() -> Fault {
        status(401, r#"{"status":401,"code":"unauthorized","message":"Invalid URL token"}"#)
    }

    async fn start(plan: Plan) -> FakeSumo {
        FakeSumo::start(plan).await
    }

    fn url(fake: &FakeSumo) -> &str {
        &fake.url
    }

    fn received(fake: &FakeSumo) -> BTreeMap<String, u32> {
        fake.received().into_iter().map(|(uid, arrival)| (uid, arrival.times)).collect()
    }

    async fn sink(url: &str) -> Sumo {
        let (options, _secret) =
            with_secret::<SumoOptions>(url, |url| json!({ "url": url, "http": { "proxy": "none" } }));
        Sumo::new(&options).unwrap()
    }
}

pub struct HttpKind;

impl Kind for HttpKind {
    const NAME: &'static str = "http";
    const LANE: LaneDefaults = HttpSinkOptions::LANE;
    type Fake = FakeIntake;
    type Sink = HttpSink;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::ShortAnswer => {
                Cell::Meaningless("the status is the answer: what follows it is read with `verify_body` only")
            }
            Scenario::EmptySuccess => Cell::Played(Expected::arrives()),
            _ => Cell::Played(scenario.usual("http_400")),
        }
    }

    fn unauthorised() -> Fault {
        status(401, "no such key")
    }

    async fn start(plan: Plan) -> FakeIntake {
        FakeIntake::start(plan).await
    }

    fn url(fake: &FakeIntake) -> &str {
        &fake.url
    }

    fn received(fake: &FakeIntake) -> BTreeMap<String, u32> {
        fake.received()
    }

    async fn sink(url: &str) -> HttpSink {
        let (options, _secret) = with_secret::<HttpSinkOptions>(
            KEY.1,
            |key| json!({ "url": url, "secret_headers": { KEY.0: key }, "http": { "proxy": "none" } }),
        );
        HttpSink::new(&options).unwrap()
    }
}

pub struct FirehoseKind;

impl Kind for FirehoseKind {
    const NAME: &'static str = "firehose";
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
            let event: Value = serde_json::from_str(&line).unwrap();
            let n = event["n"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("an event of the tests");
            *times.entry(uid(n)).or_default() += 1;
        }
        times
    }

    async fn sink(url: &str) -> Firehose {
        let options: FirehoseOptions =
            serde_json::from_value(json!({ "stream": STREAM, "endpoint_url": url })).unwrap();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let config = aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await;
        Firehose::new(&options).unwrap().configured(config)
    }
}
