//! The Sumo Logic sink against a strict HTTP source: each answer becomes what the lane needs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _};
use siemline::sink::sumo::{Sumo, SumoOptions};
use tokio::time::timeout;

use crate::events::{batch, batches, uid};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::sumo::{CODE, FakeSumo, TOKEN};

/// A sink of these further options.
fn sink_with(url: &str, more: &Value) -> Sumo {
    let directory = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        json!({ "file": path })
    };
    let mut options = json!({ "url": secret("url", url), "http": { "proxy": "none" } });
    for (key, value) in more.as_object().unwrap() {
        let is_token = key == "token";
        options[key] = if is_token { secret("token", value.as_str().unwrap()) } else { value.clone() };
    }
    Sumo::new(&serde_json::from_value::<SumoOptions>(options).unwrap()).unwrap()
}

fn sink(url: &str) -> Sumo {
    sink_with(url, &json!({}))
}

async fn failure(sink: &Sumo, batch: &Batch) -> Error {
    sink.send(batch).await.expect_err("the request fails")
}

/// Guards the way of a batch from events to messages, in every compression.
#[tokio::test]
async fn a_batch_is_stored() {
    for (compression, level) in [("gzip", 1), ("deflate", 6), ("zstd", 3), ("none", 1), ("gzip", 0)] {
        let sumo = FakeSumo::start(Plan::healthy()).await;
        let sink = sink_with(&sumo.url, &json!({ "compression": compression, "compression_level": level }));
        assert_eq!(sink.send(&batch(&sink, 100)).await, Ok(Delivery::accepted()), "{compression}");
        let received = sumo.received();
        assert_eq!(received.len(), 100);
        assert_eq!(received[&uid(42)].line, r#"{"class_uid":2004,"n":42}"#);
        assert_eq!(received[&uid(42)].headers, BTreeMap::from([("x-sumo-client".to_owned(), "siemline".to_owned())]));
        let (wire, plain) = sumo.bytes();
        assert_eq!(wire < plain / 2, compression != "none" && level > 0, "{compression}: {wire} of {plain}");
    }
}

/// Guards that each message arrives under the category, name, host and fields of its own event.
#[tokio::test]
async fn messages_arrive_with_their_metadata() {
    let sumo = FakeSumo::start(Plan::healthy()).await;
    let more = json!({
        "category": "aws/{log_type}", "name": "{source}", "host": "siemline",
        "fields": { "log_type": "{log_type}", "account": "{account:-none}" },
    });
    let sink = sink_with(&sumo.url, &more);
    let batches = batches(&sink, 10);
    assert_eq!(batches.len(), 2);
    for batch in &batches {
        assert_eq!(sink.send(batch).await, Ok(Delivery::accepted()));
    }
    for (number, log_type) in [(4, "aws.guardduty"), (5, "aws.cloudtrail")] {
        let headers = &sumo.received()[&uid(number)].headers;
        let said = |name: &str| headers.get(name).map(String::as_str);
        assert_eq!(said("x-sumo-category"), Some(format!("aws/{log_type}").as_str()));
        assert_eq!((said("x-sumo-name"), said("x-sumo-host")), (Some("findings"), Some("siemline")));
        assert_eq!(said("x-sumo-fields"), Some(format!("account=none,log_type={log_type}").as_str()));
    }
    assert_eq!((sumo.distinct(), sumo.complaints(), sink.meter().complaints.get()), (10, 0, 0));
}

/// Guards that a complaint in the body of a 200 is a delivery, and is counted.
#[tokio::test]
async fn a_complaint_is_counted_and_the_messages_are_taken() {
    let sumo = FakeSumo::start(Plan::healthy()).await;
    let sink = sink_with(&sumo.url, &json!({ "fields": { "nobody_knows": "{log_type}" } }));
    for batch in batches(&sink, 10) {
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    }
    assert_eq!((sumo.distinct(), sumo.complaints(), sink.meter().complaints.get()), (10, 2, 2));
}

/// Guards that every fault becomes what the lane is to do about it, and that the next sending heals it: nothing is lost, and
/// only what was taken before is there twice.
#[tokio::test]
async fn faults_are_answered_and_healed() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    let timed_out = Fault::Lie { status: 408, body: String::new() };
    for (fault, disposition, code, duplicates) in [
        (Fault::throttled(None), retry(None), "http_429", 0),
        (Fault::throttled(Some(7)), retry(Some(7)), "http_429", 0),
        (Fault::unavailable(Some(2)), retry(Some(2)), "http_503", 0),
        (Fault::Reject { status: 504, body: String::new(), retry_after_s: None }, retry(None), "http_504", 0),
        (Fault::html(), Disposition::Pause, "http_200", 0),
        (Fault::CutBefore, retry(None), "cut", 0),
        (timed_out, retry(None), "http_408", 10),
        (Fault::garbage(), retry(None), "http_502", 10),
    ] {
        let sumo = FakeSumo::start(Plan::script([fault.clone()])).await;
        let sink = sink(&sumo.url);
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{fault:?}: {error}");
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()), "{fault:?}");
        assert_eq!((sumo.distinct(), sumo.duplicates()), (10, duplicates), "{fault:?}");
    }
}

/// Guards that a slow answer is waited for, and that giving up on one that never comes leaves a sink that works.
#[tokio::test]
async fn slow_answers_are_awaited_and_may_be_given_up() {
    let sumo = FakeSumo::start(Plan::script([Fault::Slow(Duration::from_millis(20)), Fault::Hang])).await;
    let sink = sink(&sumo.url);
    let batch = batch(&sink, 2);
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert!(timeout(Duration::from_millis(200), sink.send(&batch)).await.is_err(), "it is never answered");
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert_eq!((sumo.distinct(), sumo.duplicates()), (2, 4));
}

/// Guards that the balancer's cookie comes back with every request after the first.
#[tokio::test]
async fn requests_stay_at_one_node() {
    let sumo = FakeSumo::start(Plan::healthy()).await;
    let sink = sink(&sumo.url);
    for _ in 0..5 {
        assert_eq!(sink.send(&batch(&sink, 3)).await, Ok(Delivery::accepted()));
    }
    assert_eq!((sumo.batches(), sumo.strays()), (5, 0));
}

/// Guards that a request above the limit is split, and one that is refused is halved to its culprit.
#[tokio::test]
async fn too_large_and_refused_requests_are_told() {
    let sumo = FakeSumo::start(Plan::healthy().body_bytes_max(200).refusing(|event| event["n"] == 3)).await;
    let sink = sink(&sumo.url);
    assert_eq!(failure(&sink, &batch(&sink, 20)).await.disposition, Disposition::Split);
    let all = batch(&sink, 5);
    assert_eq!(failure(&sink, &all).await.disposition, Disposition::Refuse);
    let culprit = Batch::of_frames(all.frames().skip(3).take(1));
    assert_eq!(failure(&sink, &culprit).await.disposition, Disposition::Refuse);
    let rest = Batch::of_frames(all.frames().enumerate().filter(|(n, _)| *n != 3).map(|(_, frame)| frame));
    assert_eq!(sink.send(&rest).await, Ok(Delivery::accepted()));
    assert_eq!((sumo.distinct(), sumo.duplicates()), (4, 0));
}

/// Guards that a wrong address, a missing token and nobody at home are told apart, by `check` too, which leaves no message
/// behind; and that no message of ours shows the address or the token.
#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let sumo = FakeSumo::start(Plan::healthy()).await;
    let guarded = FakeSumo::start_with_token(Plan::healthy()).await;
    let closed = FakeSumo::start(Plan::healthy()).await.url.clone();
    let none = json!({});
    for (url, more, disposition, code) in [
        (sumo.url.replace(CODE, "wrong-EXAMPLE"), none.clone(), Disposition::Pause, "http_401"),
        (sumo.url.replace("/receiver", "/receiver-EXAMPLE"), none.clone(), Disposition::Pause, "http_404"),
        (guarded.url.clone(), none.clone(), Disposition::Pause, "http_401"),
        (guarded.url.clone(), json!({ "token": "wrong-EXAMPLE" }), Disposition::Pause, "http_401"),
        (closed, none, Disposition::Retry { after: None }, "connect"),
    ] {
        let sink = sink_with(&url, &more);
        for error in [failure(&sink, &batch(&sink, 1)).await, sink.check().await.unwrap_err()] {
            assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{error}");
            assert!(!format!("{error} {error:?} {sink:?}").contains("EXAMPLE"), "{error:?} {sink:?}");
        }
    }
    assert_eq!(sink(&sumo.url).check().await, Ok(()));
    let good = sink_with(&guarded.url, &json!({ "token": TOKEN }));
    assert_eq!(good.check().await, Ok(()));
    assert_eq!((sumo.batches(), guarded.batches()), (0, 0));
    assert_eq!(good.send(&batch(&good, 2)).await, Ok(Delivery::accepted()));
    assert_eq!((sumo.distinct(), guarded.distinct()), (0, 2));
}

/// Guards that whatever a seeded run of faults does, sending until it is taken brings all messages in.
#[tokio::test]
async fn a_run_of_faults_loses_nothing() {
    let seed = fastrand::u64(..);
    let sumo = FakeSumo::start(Plan::dice(seed, 60, Fault::passing())).await;
    let sink = sink(&sumo.url);
    let parts: Vec<Batch> =
        (0..8).map(|part| Batch::of_frames(batch(&sink, 40).frames().skip(part * 5).take(5))).collect();
    for part in parts {
        let mut tries = 0;
        while sink.send(&part).await.is_err() {
            tries += 1;
            assert!(tries < 200, "in vain, seed {seed}");
        }
    }
    assert_eq!(sumo.distinct(), 40, "seed {seed}");
}
