//! Guards delivery to several sinks at once: each has every event, none waits for another, and a refused event costs itself
//! only.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Ended, Home, finding, findings, title, until};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::plan::{Fault, Plan};

const EVENTS: u32 = 500;

/// A configuration of a directory of files into both fakes.
fn prepare(home: &Home, hec: &FakeHec, bulk: &FakeBulk) {
    for part in 0..5 {
        home.write(&format!("in/{part}.ndjson"), findings(part * 100..(part + 1) * 100));
    }
    home.write("token", TOKEN);
    home.write("key", API_KEY);
    let lane = "batch_entries_max = 40\nretry_first = \"10ms\"\nretry_max = \"50ms\"\n";
    let config = format!(
        "[source.file.in]\npaths = [\"in/*.ndjson\"]\n\
         [sink.splunk_hec.soc]\nendpoint = \"{}\"\ntoken = {{ file = \"token\" }}\n[sink.splunk_hec.soc.lane]\n{lane}\
         [sink.elastic.lake]\nendpoint = \"{}\"\napi_key = {{ file = \"key\" }}\n[sink.elastic.lake.lane]\n{lane}\
         [dead_letter.file]\ndirectory = \"dl\"\n[pipeline]\nshutdown_grace = \"1s\"\n",
        hec.url, bulk.url
    );
    home.write("c.toml", config);
}

async fn run(home: Home) -> (Home, Ended) {
    tokio::task::spawn_blocking(move || {
        let ended = home.siemline(&["run", "--config", "c.toml"]);
        (home, ended)
    })
    .await
    .unwrap()
}

/// The titles of what arrived at both.
fn arrived(hec: &FakeHec, bulk: &FakeBulk) -> [BTreeSet<String>; 2] {
    let of = |event: &Value| title(event).unwrap().to_owned();
    [
        hec.received().values().map(|arrival| of(&arrival.envelope["event"])).collect(),
        bulk.received().values().map(|arrival| of(&arrival.document)).collect(),
    ]
}

fn titles(numbers: impl Iterator<Item = u32>) -> BTreeSet<String> {
    numbers.map(|number| format!("Finding {number}")).collect()
}

#[tokio::test]
async fn every_event_arrives_at_both() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let home = Home::new();
    prepare(&home, &hec, &bulk);
    let (home, ended) = run(home).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(arrived(&hec, &bulk), [titles(0..EVENTS), titles(0..EVENTS)]);
    assert_eq!((hec.duplicates(), bulk.duplicates(), hec.silently_dropped()), (0, 0, 0));
    // One id at both.
    assert!(hec.received().keys().eq(bulk.received().keys()), "an event has one id wherever it goes");
    assert_eq!((ended.count("read"), ended.count("delivered")), (u64::from(EVENTS), u64::from(EVENTS)));
    assert!(home.dead_letters().is_empty());
}

#[tokio::test]
async fn faults_at_both_lose_nothing_and_what_is_refused_lies_in_the_dead_letters() {
    let seed = fastrand::u64(..);
    let refused = |number: u32| move |event: &Value| title(event) == Some(&format!("Finding {number}"));
    let dice = || {
        Plan::dice(seed, 30, vec![Fault::unavailable(None), Fault::throttled(None), Fault::CutBefore, Fault::Partial])
    };
    let hec = FakeHec::start(dice().refusing(refused(7))).await;
    let bulk = FakeBulk::start(dice().refusing(refused(8))).await;
    let home = Home::new();
    prepare(&home, &hec, &bulk);
    let (home, ended) = run(home).await;
    assert_eq!(ended.code, Some(0), "seed {seed}: {ended:?}");
    let without = |out: u32| titles((0..EVENTS).filter(move |number| *number != out));
    assert_eq!(arrived(&hec, &bulk), [without(7), without(8)], "seed {seed}");
    let letters = home.dead_letters();
    let mut told: Vec<_> = letters
        .iter()
        .map(|letter| {
            let original: Value = serde_json::from_str(letter["original"].as_str().unwrap()).unwrap();
            let text = |key: &str| letter[key].as_str().unwrap().to_owned();
            (text("sink"), text("reason"), text("code"), text("words"), original)
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let [lake, soc] = told.as_slice() else { panic!("seed {seed}: {told:#?}") };
    assert_eq!((lake.0.as_str(), lake.1.as_str(), lake.2.as_str()), ("lake", "refused", "document_parsing_exception"));
    assert!(lake.3.contains("failed to parse field [refused] by plan"), "the destination's words: {}", lake.3);
    assert_eq!((soc.0.as_str(), soc.1.as_str()), ("soc", "refused"), "{soc:?}");
    assert!(soc.3.contains("Invalid data format"), "the destination's words: {}", soc.3);
    assert_eq!((&lake.4, &soc.4), (&finding(8), &finding(7)), "the event as it was read");
    // Each counts as one event, whose worst outcome counts.
    assert_eq!((ended.count("delivered"), ended.count("dead-lettered")), (u64::from(EVENTS) - 2, 2), "{}", ended.err);
}

#[tokio::test]
async fn a_sink_that_stalls_costs_the_other_nothing_and_is_served_again() {
    let hec = FakeHec::start(Plan::script(vec![Fault::unavailable(Some(60)); 1000])).await;
    let bulk = FakeBulk::start(Plan::healthy()).await;
    let home = Home::new();
    prepare(&home, &hec, &bulk);
    let running = home.start(&["run", "--config", "c.toml"]);
    until("the healthy sink has everything", || bulk.distinct() == EVENTS as usize).await;
    running.terminate();
    let ended = tokio::task::spawn_blocking(move || running.wait()).await.unwrap();
    assert_eq!((ended.code, ended.count("delivered")), (Some(1), 0), "not delivered to both: {ended:?}");
    assert_eq!(ended.count("again"), u64::from(EVENTS));
    assert!(home.dead_letters().is_empty(), "a destination that is down buries nothing");

    let hec = FakeHec::start(Plan::healthy()).await;
    prepare(&home, &hec, &bulk);
    let (_home, ended) = run(home).await;
    assert_eq!((ended.code, ended.count("delivered")), (Some(0), u64::from(EVENTS)), "{ended:?}");
    assert_eq!(arrived(&hec, &bulk), [titles(0..EVENTS), titles(0..EVENTS)]);
    assert_eq!(
        bulk.duplicates(),
        u64::from(EVENTS),
        "read again with the same ids, so that nothing stands there twice"
    );
}
