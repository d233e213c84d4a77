//! Elasticsearch: a data stream, an index, and an index of latest states besides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use siemline::delivery::LaneDefaults;
use siemline::sink::elastic::{Elastic, ElasticOptions};

use super::super::scenario::{Cell, Scenario};
use super::{Kind, status, with_secret};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::plan::{Fault, Plan};

/// The data stream that is named by default. What is sent again is answered with 409: a duplicate is counted, and stands
/// there once.
pub struct ElasticKind;

impl Kind for ElasticKind {
    const KIND: &'static str = "elastic";
    const LANE: LaneDefaults = ElasticOptions::LANE;
    type Fake = FakeBulk;
    type Sink = Elastic;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("document_parsing_exception"))
    }

    fn unauthorised() -> Fault {
        unknown_key()
    }

    async fn start(plan: Plan) -> FakeBulk {
        FakeBulk::start(plan).await
    }

    fn url(fake: &FakeBulk) -> &str {
        &fake.url
    }

    fn received(fake: &FakeBulk) -> BTreeMap<String, u32> {
        times(fake)
    }

    async fn sink(url: &str) -> Elastic {
        sink(url, &json!({}))
    }
}

/// An index with a name of its own, one for each class.
pub struct IndexKind;

impl Kind for IndexKind {
    const KIND: &'static str = "elastic";
    const NAME: &'static str = "elastic_index";
    const LANE: LaneDefaults = ElasticOptions::LANE;
    type Fake = FakeBulk;
    type Sink = Elastic;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("document_parsing_exception"))
    }

    fn unauthorised() -> Fault {
        unknown_key()
    }

    async fn start(plan: Plan) -> FakeBulk {
        FakeBulk::start(plan).await
    }

    fn url(fake: &FakeBulk) -> &str {
        &fake.url
    }

    fn received(fake: &FakeBulk) -> BTreeMap<String, u32> {
        times(fake)
    }

    async fn sink(url: &str) -> Elastic {
        sink(url, &json!({ "index": "events-{class_uid}" }))
    }
}

/// With an index of latest states: an event is there when both of its documents are.
pub struct LatestKind;

impl Kind for LatestKind {
    const KIND: &'static str = "elastic";
    const NAME: &'static str = "elastic_latest";
    const LANE: LaneDefaults = ElasticOptions::LANE;
    type Fake = FakeBulk;
    type Sink = Elastic;

    fn cell(scenario: Scenario) -> Cell {
        Cell::Played(scenario.usual("document_parsing_exception"))
    }

    fn unauthorised() -> Fault {
        unknown_key()
    }

    async fn start(plan: Plan) -> FakeBulk {
        FakeBulk::start(plan).await
    }

    fn url(fake: &FakeBulk) -> &str {
        &fake.url
    }

    fn received(fake: &FakeBulk) -> BTreeMap<String, u32> {
        let states: BTreeSet<u64> = fake.latest().values().filter_map(|(_, _, state)| state["n"].as_u64()).collect();
        let has_state = |document: &Value| document["n"].as_u64().is_some_and(|n| states.contains(&n));
        let arrivals = fake.received().into_iter().filter(|(_, arrival)| has_state(&arrival.document));
        arrivals.map(|(uid, arrival)| (uid, arrival.times)).collect()
    }

    async fn sink(url: &str) -> Elastic {
        sink(url, &json!({ "latest": "findings-latest" }))
    }
}

fn unknown_key() -> Fault {
    status(401, r#"{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}"#)
}

fn times(fake: &FakeBulk) -> BTreeMap<String, u32> {
    fake.received().into_iter().map(|(uid, arrival)| (uid, arrival.times)).collect()
}

fn sink(url: &str, more: &Value) -> Elastic {
    let (options, _secret) = with_secret::<ElasticOptions>(API_KEY, |key| {
        let mut options = json!({ "endpoint": url, "api_key": key, "format": "ocsf" });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        options
    });
    Elastic::new(&options).unwrap()
}
