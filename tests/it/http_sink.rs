//! The HTTP sink against an input as many SIEMs have one.

use std::time::Duration;

use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _};
use siemline::sink::http::{HttpSink, HttpSinkOptions};

use crate::events::batch;
use crate::fakes::intake::{FakeIntake, KEY};
use crate::fakes::plan::{Fault, Plan};

/// A sink of these further options, whose key is this one.
fn sink_with(url: &str, key: &str, more: &Value) -> HttpSink {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, key).unwrap();
    let mut options = json!({ "url": url, "secret_headers": { KEY.0: { "file": path } }, "http": { "proxy": "none" } });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    HttpSink::new(&serde_json::from_value::<HttpSinkOptions>(options).unwrap()).unwrap()
}

fn sink(url: &str) -> HttpSink {
    sink_with(url, KEY.1, &json!({}))
}

async fn failure(sink: &HttpSink, batch: &Batch) -> Error {
    sink.send(batch).await.expect_err("the request fails")
}

/// Guards the way of a batch in every form, method and compression, to the place that was written.
#[tokio::test]
async fn a_batch_is_stored() {
    for (body, method, compression, expected) in [
        ("ndjson", "post", "gzip", ["POST", "/ingest?kind=aws", "application/x-ndjson", "gzip"]),
        ("json_array", "put", "zstd", ["PUT", "/ingest?kind=aws", "application/json", "zstd"]),
        ("json_array", "post", "deflate", ["POST", "/ingest?kind=aws", "application/json", "deflate"]),
        ("ndjson", "post", "none", ["POST", "/ingest?kind=aws", "application/x-ndjson", ""]),
    ] {
        let intake = FakeIntake::start(Plan::healthy()).await;
        let more = json!({ "body": body, "method": method, "compression": compression });
        let sink = sink_with(&intake.url, KEY.1, &more);
        for events in [1, 100] {
            assert_eq!(sink.send(&batch(&sink, events)).await, Ok(Delivery::accepted()), "{body}");
        }
        assert_eq!((intake.distinct(), intake.duplicates()), (100, 1));
        assert_eq!(intake.requests()[0], expected);
    }
}

/// Guards that every fault becomes what the lane is to do about it, and that the next sending heals it.
#[tokio::test]
async fn faults_are_answered_and_healed() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    for (fault, disposition, code, duplicates) in [
        (Fault::throttled(Some(7)), retry(Some(7)), "http_429", 0),
        (Fault::unavailable(None), retry(None), "http_503", 0),
        (Fault::html(), Disposition::Pause, "http_200", 0),
        (Fault::CutBefore, retry(None), "cut", 0),
        (Fault::garbage(), retry(None), "http_502", 10),
        (Fault::CutMidway, retry(None), "cut", 10),
    ] {
        let intake = FakeIntake::start(Plan::script([fault.clone()])).await;
        let sink = sink(&intake.url);
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{fault:?}: {error}");
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()), "{fault:?}");
        assert_eq!((intake.distinct(), intake.duplicates()), (10, duplicates), "{fault:?}");
    }
}

/// Guards that a body above the limit is split, and that one poison event is found by halving.
#[tokio::test]
async fn too_large_and_refused_requests_are_told() {
    let intake = FakeIntake::start(Plan::healthy().body_bytes_max(200).refusing(|event| event["n"] == 3)).await;
    let sink = sink_with(&intake.url, KEY.1, &json!({ "body": "json_array" }));
    assert_eq!(failure(&sink, &batch(&sink, 20)).await.disposition, Disposition::Split);
    let all = batch(&sink, 5);
    assert_eq!(failure(&sink, &all).await.disposition, Disposition::Refuse);
    let rest = Batch::of_frames(all.frames().enumerate().filter(|(n, _)| *n != 3).map(|(_, frame)| frame));
    assert_eq!(sink.send(&rest).await, Ok(Delivery::accepted()));
    assert_eq!((intake.distinct(), intake.duplicates()), (4, 0));
}

/// Guards that an input which answers 200 and counts failures in its answer loses nothing unnoticed, if it is told to.
#[tokio::test]
async fn failures_in_the_body_are_seen() {
    let intake = FakeIntake::start_counting(Plan::healthy().refusing(|event| event["n"] == 3)).await;
    let verify = json!({ "verify_body": { "pointer": "/failed", "equals": 0 } });
    let sink = sink_with(&intake.url, KEY.1, &verify);
    let all = batch(&sink, 5);
    assert_eq!(failure(&sink, &all).await.disposition, Disposition::Refuse);
    let culprit = Batch::of_frames(all.frames().skip(3).take(1));
    assert_eq!(failure(&sink, &culprit).await.disposition, Disposition::Refuse);
    let rest = Batch::of_frames(all.frames().take(3));
    assert_eq!(sink.send(&rest).await, Ok(Delivery::accepted()));
    // What was taken beside the culprit is there twice: the price of an answer that does not name it.
    assert_eq!((intake.distinct(), intake.duplicates()), (4, 3));
}

/// Guards that wrong credentials and a wrong address are told apart, by `check` as far as it can, and are never shown.
#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let intake = FakeIntake::start(Plan::healthy()).await;
    let own = json!({ "check_url": intake.check_url });
    let elsewhere = intake.url.replace("/ingest", "/elsewhere");
    for (url, key, code) in [(&intake.url, "wrong-EXAMPLE", "http_401"), (&elsewhere, KEY.1, "http_404")] {
        let sink = sink_with(url, key, &own);
        let error = failure(&sink, &batch(&sink, 1)).await;
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, code), "{error}");
        assert!(!format!("{error:?} {sink:?}").contains("EXAMPLE"), "{error:?} {sink:?}");
    }
    // HEAD is not known there, which says no more than that somebody is there.
    assert_eq!(sink(&intake.url).check().await, Ok(()));
    assert_eq!(sink_with(&intake.url, KEY.1, &own).check().await, Ok(()));
    for more in [json!({}), own] {
        let error = sink_with(&intake.url, "wrong-EXAMPLE", &more).check().await.unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "http_401"), "{error}");
    }
    assert_eq!((intake.distinct(), intake.requests().len()), (0, 0));
}

/// Guards that whatever a seeded run of faults does, sending until it is taken brings all events in.
#[tokio::test]
async fn a_run_of_faults_loses_nothing() {
    let seed = fastrand::u64(..);
    let intake = FakeIntake::start(Plan::dice(seed, 60, Fault::passing())).await;
    let sink = sink(&intake.url);
    let all = batch(&sink, 40);
    let mut tries = 0;
    while sink.send(&all).await.is_err() {
        tries += 1;
        assert!(tries < 200, "in vain, seed {seed}");
    }
    assert_eq!(intake.distinct(), 40, "seed {seed}");
}
