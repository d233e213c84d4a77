//! A lane with a real sink over a socket: what the seams between the two promise each other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;
use siemline::ack::Receipt;
use siemline::budget::Budget;
use siemline::delivery::{
    DeadLetter, DeadLetters, Here, Lane, LaneDefaults, LaneOptions, Ledger, Parcel, Sink, What, run,
};
use siemline::metric::{EventMeter, LaneMeter};
use siemline::sink::elastic::{Elastic, ElasticOptions};
use siemline::sink::kafka::KafkaOptions;
use siemline::sink::splunk_hec::{SplunkHec, SplunkHecOptions};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::events::{block, uid};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::hec::{ACK_TOKEN, FakeHec, Site, TOKEN};
use crate::fakes::plan::{Fault, Plan};
use crate::kafka;

const EVENTS: u32 = 300;

/// Every fifth event is refused for good: more of them in one batch than `entry_retry_max` allows an entry to be retried.
const POISON_EVERY: u64 = 5;

/// No run takes longer; one that stands still does.
const RUN_MAX: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Kept(Mutex<Vec<DeadLetter>>);

impl DeadLetters for Kept {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        self.0.lock().unwrap().extend(letters);
    }
}

/// The faults that name no time to wait, so that the tests do not wait either.
fn faults() -> Vec<Fault> {
    Fault::passing()
        .into_iter()
        .filter(|fault| !matches!(fault, Fault::Reject { retry_after_s: Some(_), .. } | Fault::NearCapacity))
        .collect()
}

/// Runs a lane until all events are settled. What lies in the dead letters then, and what was counted.
async fn deliver(sink: impl Sink, defaults: LaneDefaults) -> (BTreeSet<String>, Arc<LaneMeter>) {
    let options: LaneOptions =
        serde_json::from_value(json!({ "retry_first": "1ms", "retry_max": "5ms", "batch_age_max": "1ms" })).unwrap();
    let (parcels, queue) = mpsc::channel(1);
    let dead_letters = Arc::new(Kept::default());
    let meter = Arc::new(LaneMeter::default());
    let lane = Lane {
        name: Arc::from("sink"),
        sink,
        dead_letters: Arc::clone(&dead_letters),
        tasks: Here,
        queue,
        settings: options.settings(defaults).unwrap(),
        budget: Budget::new(64 << 20),
        meter: Arc::clone(&meter),
        events: Arc::new(EventMeter::default()),
        seed: 1,
        clock: || 0,
    };
    let mut block = block(EVENTS);
    block.ledger = Ledger::new(block.rows.iter().map(|_| 1));
    let receipt = Receipt::new(1, |_| {});
    parcels.send(Parcel { block: Arc::new(block), rows: (0..EVENTS).collect(), receipt }).await.unwrap();
    drop(parcels);
    timeout(RUN_MAX, run(lane)).await.expect("the lane comes to its end");
    let letters = dead_letters.0.lock().unwrap();
    let row = |letter: &DeadLetter| match letter.what {
        What::Row(row) => uid(row),
        _ => panic!("a lane buries rows: {letter:?}"),
    };
    (letters.iter().map(row).collect(), meter)
}

fn poison() -> BTreeSet<String> {
    (0..EVENTS).filter(|n| u64::from(*n).is_multiple_of(POISON_EVERY)).map(uid).collect()
}

/// Guards conservation at HEC under faults: whatever is not poison arrives, whatever is lies in the dead letters, and
/// nothing lies there that is not.
#[tokio::test]
async fn a_lane_to_hec_loses_nothing_and_buries_only_poison() {
    let seed = fastrand::u64(..);
    for percent in [0, 30] {
        let plan = Plan::dice(seed, percent, faults())
            .refusing(|event| event["n"].as_u64().is_some_and(|n| n.is_multiple_of(POISON_EVERY)));
        let hec = FakeHec::start(plan).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, TOKEN).unwrap();
        let options = json!({ "endpoint": hec.url, "token": { "file": path } });
        let options: SplunkHecOptions = serde_json::from_value(options).unwrap();
        let (buried, meter) = deliver(SplunkHec::new(&options).unwrap(), SplunkHecOptions::LANE).await;
        let arrived: BTreeSet<String> = hec.received().into_keys().collect();
        assert_eq!(buried, poison(), "seed {seed}, {percent} % faults");
        assert_eq!(arrived.len() + buried.len(), EVENTS as usize, "seed {seed}, {percent} % faults");
        assert!(arrived.is_disjoint(&buried));
        assert_eq!(hec.silently_dropped(), 0);
        let counted = (meter.delivered.get(), meter.dead_lettered.get(), meter.pauses.get());
        assert_eq!(counted, (240, 60, 0), "seed {seed}, {percent} % faults");
    }
}

/// Guards the same with indexer acknowledgement, where answers about it get lost besides: nothing counts as delivered that
/// Splunk did not say to be indexed.
#[tokio::test]
async fn a_lane_to_hec_with_acknowledgement_loses_nothing_and_buries_only_poison() {
    let seed = fastrand::u64(..);
    for percent in [0, 30] {
        let plan = Plan::dice(seed, percent, faults())
            .refusing(|event| event["n"].as_u64().is_some_and(|n| n.is_multiple_of(POISON_EVERY)));
        let polls = Plan::dice(seed, percent, vec![Fault::CutBefore, Fault::CutMidway, Fault::garbage()]);
        let hec = FakeHec::start_at(Site::default(), plan, polls).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, ACK_TOKEN).unwrap();
        let options = json!({
            "endpoint": hec.url, "token": { "file": path }, "acknowledgement": true,
            "acknowledgement_interval": "5ms", "acknowledgement_timeout": "500ms",
        });
        let options: SplunkHecOptions = serde_json::from_value(options).unwrap();
        let (buried, meter) = deliver(SplunkHec::new(&options).unwrap(), options.lane_defaults()).await;
        let arrived: BTreeSet<String> = hec.received().into_keys().collect();
        assert_eq!(buried, poison(), "seed {seed}, {percent} % faults");
        assert_eq!(arrived.len() + buried.len(), EVENTS as usize, "seed {seed}, {percent} % faults");
        assert!(arrived.is_disjoint(&buried) && hec.acknowledged() > 0);
        let counted = (meter.delivered.get(), meter.dead_lettered.get());
        assert_eq!(counted, (240, 60), "seed {seed}, {percent} % faults");
    }
}

/// Guards the same at `_bulk`, where in the end each document stands once.
#[tokio::test]
async fn a_lane_to_bulk_loses_nothing_and_buries_only_poison() {
    let seed = fastrand::u64(..);
    for percent in [0, 30] {
        let plan = Plan::dice(seed, percent, faults())
            .refusing(|document| document["n"].as_u64().is_some_and(|n| n.is_multiple_of(POISON_EVERY)));
        let cluster = FakeBulk::start(plan).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, API_KEY).unwrap();
        let options = json!({ "endpoint": cluster.url, "api_key": { "file": path }, "format": "ocsf" });
        let options: ElasticOptions = serde_json::from_value(options).unwrap();
        let (buried, meter) = deliver(Elastic::new(&options).unwrap(), ElasticOptions::LANE).await;
        assert_eq!(buried, poison(), "seed {seed}, {percent} % faults");
        assert_eq!(cluster.distinct() + buried.len(), EVENTS as usize, "seed {seed}, {percent} % faults");
        let counted = (meter.delivered.get(), meter.dead_lettered.get(), meter.pauses.get());
        assert_eq!(counted, (240, 60, 0), "seed {seed}, {percent} % faults");
    }
}

/// Guards conservation at Kafka under faults, those included that a broker finds with a whole request: everything arrives, and
/// nothing lies in the dead letters.
#[tokio::test]
async fn a_lane_to_kafka_loses_nothing() {
    let cluster = kafka::cluster();
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        ],
    );
    let sink = kafka::sink(&cluster, &json!({ "key": "" }));
    let (buried, meter) = deliver(sink, KafkaOptions::LANE).await;
    assert_eq!(buried, BTreeSet::new());
    assert_eq!(meter.delivered.get(), u64::from(EVENTS));
    let arrived: BTreeSet<String> = kafka::counts(&kafka::read_back(&cluster, kafka::TOPIC)).into_keys().collect();
    assert_eq!(arrived, (0..EVENTS).map(uid).collect());
}
