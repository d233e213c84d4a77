//! What takes lines or arrays of JSON by HTTP: Sumo Logic, and anything else.

use std::collections::BTreeMap;

use serde_json::json;
use siemline::delivery::LaneDefaults;
use siemline::sink::http::{HttpSink, HttpSinkOptions};
use siemline::sink::sumo::{Sumo, SumoOptions};

use super::super::scenario::{Cell, Expected, Scenario};
use super::{Kind, status, with_secret};
use crate::fakes::intake::{FakeIntake, KEY};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::sumo::FakeSumo;

pub struct SumoKind;

impl Kind for SumoKind {
    const KIND: &'static str = "sumo";
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
    const KIND: &'static str = "http";
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
