//! The Splunk HEC sink against a strict HEC: each fault is answered as the lane needs it.

mod acknowledgement;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _, Verdict, Verdicts};
use siemline::sink::splunk_hec::{SplunkHec, SplunkHecOptions};
use tokio::time::timeout;

use crate::events::{batch, block, uid};
use crate::fakes::hec::{ACK_TOKEN, AUDIT_TOKEN, FakeHec, Site, TOKEN};
use crate::fakes::plan::{Fault, Plan};

/// A sink of these further options, whose token is this one.
fn sink_with(url: &str, token: &str, more: &Value) -> SplunkHec {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, token).unwrap();
    let mut options = json!({ "token": { "file": path } });
    if more.get("endpoints").is_none() {
        options["endpoint"] = json!(url);
    }
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    if options["tokens"] == "audit" {
        let path = directory.path().join("audit");
        std::fs::write(&path, AUDIT_TOKEN).unwrap();
        options["tokens"] = json!({ "audit": { "file": path } });
    }
    SplunkHec::new(&serde_json::from_value::<SplunkHecOptions>(options).unwrap()).unwrap()
}

fn sink(url: &str) -> SplunkHec {
    sink_with(url, TOKEN, &json!({}))
}

/// The batches that a lane would fill: one for each bucket. Every second event is CloudTrail's.
fn batches(sink: &SplunkHec, events: u32) -> Vec<Batch> {
    let mut block = block(events);
    for row in block.rows.iter_mut().skip(1).step_by(2) {
        row.log_type = "aws.cloudtrail".into();
    }
    let mut batches: BTreeMap<Vec<u8>, Batch> = BTreeMap::new();
    for row in 0..events {
        let (event, mut bucket) = (block.event(row).unwrap(), Vec::new());
        sink.bucket(event, &mut bucket);
        let batch = batches.entry(bucket).or_insert_with_key(|bucket| Batch::of_bucket(bucket));
        batch.push(|out| sink.encode(event, out));
    }
    batches.into_values().collect()
}

async fn failure(sink: &SplunkHec, batch: &Batch) -> Error {
    sink.send(batch).await.expect_err("the request fails")
}

/// Guards the way of a batch from events to what is indexed: compressed, whole, with its ids.
#[tokio::test]
async fn a_batch_is_indexed() {
    for level in [0, 1, 6] {
        let hec = FakeHec::start(Plan::healthy()).await;
        let sink = sink_with(&hec.url, TOKEN, &json!({ "compression_level": level, "index": "security" }));
        let batch = batch(&sink, 100);
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
        let received = hec.received();
        assert_eq!(received.len(), 100);
        let arrival = &received[&uid(42)];
        assert_eq!(arrival.times, 1);
        assert_eq!(arrival.envelope["event"], json!({ "class_uid": 2004, "n": 42 }));
        assert_eq!(arrival.envelope["time"], json!(1_700_000_000.042));
        assert_eq!(arrival.envelope["index"], json!("security"));
        assert_eq!(hec.silently_dropped(), 0);
        assert_eq!(hec.wire_bytes() < batch.body().len() / 2, level > 0, "{}", hec.wire_bytes());
    }
}

/// Guards that the endpoint may be written with its path or without.
#[tokio::test]
async fn the_endpoint_may_have_its_path() {
    let hec = FakeHec::start(Plan::healthy()).await;
    for path in ["", "/", "/services/collector", "/services/collector/event", "/services/collector/event/1.0"] {
        let sink = sink(&format!("{}{path}", hec.url));
        assert_eq!(sink.send(&batch(&sink, 1)).await, Ok(Delivery::accepted()), "{path}");
    }
}

/// Guards that every fault becomes what the lane is to do about it, and that the next sending heals it: nothing is lost,
/// and only what was taken before is there twice.
#[tokio::test]
async fn faults_are_answered_and_healed() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    for (fault, disposition, code, duplicates) in [
        (Fault::throttled(None), retry(None), "http_429", 0),
        (Fault::throttled(Some(7)), retry(Some(7)), "http_429", 0),
        (Fault::unavailable(Some(2)), retry(Some(2)), "http_503", 0),
        (Fault::Partial, retry(None), "hec_9", 0),
        (Fault::html(), Disposition::Pause, "http_200", 0),
        (Fault::garbage(), retry(None), "http_502", 10),
        (Fault::Short, retry(None), "http_200", 10),
        (Fault::CutMidway, retry(None), "cut", 10),
    ] {
        let hec = FakeHec::start(Plan::script([fault.clone()])).await;
        let sink = sink(&hec.url);
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{fault:?}: {error}");
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()), "{fault:?}");
        assert_eq!((hec.distinct(), hec.duplicates()), (10, duplicates), "{fault:?}");
    }
}

/// Guards that a connection which is closed without a word is no success, on a new connection and on a used one.
#[tokio::test]
async fn cut_connections_are_retried() {
    let hec = FakeHec::start(Plan::script([Fault::CutBefore, Fault::NearCapacity, Fault::CutBefore])).await;
    let sink = sink(&hec.url);
    let batch = batch(&sink, 3);
    assert_eq!(failure(&sink, &batch).await.code, "cut");
    let delivery = sink.send(&batch).await.unwrap();
    // Code 24 is a success that asks for a gentler pace.
    assert_eq!(delivery.verdicts, Verdicts::AllAccepted);
    assert_eq!(delivery.slow_down, Some(Duration::from_secs(1)));
    let error = failure(&sink, &batch).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Retry { after: None }, "cut"), "{error}");
}

/// Guards that a slow answer is waited for, and that giving up on one that never comes leaves a sink that works.
#[tokio::test]
async fn slow_answers_are_awaited_and_may_be_given_up() {
    let hec = FakeHec::start(Plan::script([Fault::Slow(Duration::from_millis(20)), Fault::Hang])).await;
    let sink = sink(&hec.url);
    let batch = batch(&sink, 2);
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert!(timeout(Duration::from_millis(200), sink.send(&batch)).await.is_err(), "it is never answered");
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert_eq!((hec.distinct(), hec.duplicates()), (2, 4));
}

/// Guards that one poison event costs its neighbours nothing: it alone is refused, those before it are accepted, those
/// after it have no verdict, and arrive when they are sent again.
#[tokio::test]
async fn a_poison_event_is_cut_out() {
    let hec = FakeHec::start(Plan::healthy().refusing(|event| event["n"] == 3)).await;
    let sink = sink(&hec.url);
    let all = batch(&sink, 6);
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&all).await else { panic!("verdicts") };
    assert_eq!(verdicts[..3], [Verdict::Accepted, Verdict::Accepted, Verdict::Accepted]);
    assert_eq!(verdicts[3], Verdict::refused("hec_6", "Invalid data format"));
    assert_eq!(verdicts.len(), 4, "those after it were not looked at");
    let rest = Batch::of_frames(all.frames().skip(4));
    assert_eq!(sink.send(&rest).await, Ok(Delivery::accepted()));
    assert_eq!((hec.distinct(), hec.duplicates()), (5, 0));
    assert!(!hec.received().contains_key(&uid(3)));
}

/// Guards that an index which the token does not allow refuses all, whatever the number says.
#[tokio::test]
async fn a_wrong_index_refuses_all() {
    let hec = FakeHec::start(Plan::healthy()).await;
    let sink = sink_with(&hec.url, TOKEN, &json!({ "index": "secrity" }));
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&batch(&sink, 3)).await else {
        panic!("verdicts")
    };
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(why) if why.code == "hec_7")));
    assert_eq!(hec.distinct(), 0);
}

/// Guards that each line arrives at the raw endpoint with the metadata of its own event, and that a wrong index is a refusal
/// of the whole batch, to be halved.
#[tokio::test]
async fn raw_lines_arrive_with_their_metadata() {
    let hec = FakeHec::start(Plan::healthy()).await;
    let more = json!({ "mode": "raw", "format": "raw", "index": "security", "source": "s&{log_type}", "host": "h" });
    let sink = sink_with(&hec.url, TOKEN, &more);
    let batches = batches(&sink, 10);
    assert_eq!(batches.len(), 2);
    for batch in &batches {
        assert_eq!(sink.send(batch).await, Ok(Delivery::accepted()));
    }
    let received = hec.received();
    assert_eq!(received.len(), 10);
    for (line, source) in [("line 4", "s&aws.guardduty"), ("line 5", "s&aws.cloudtrail")] {
        let expected = json!({
            "event": line, "source": source, "host": "h", "index": "security", "sourcetype": "aws:firehose:json",
        });
        assert_eq!(received[line].envelope, expected);
    }
    let sink = sink_with(&hec.url, TOKEN, &json!({ "mode": "raw", "format": "raw", "index": "secrity" }));
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&self::batches(&sink, 2)[0]).await else {
        panic!("verdicts")
    };
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(why) if why.code == "hec_7")));
}

/// Guards that a batch has one index, and goes with the token of that index.
#[tokio::test]
async fn an_index_may_have_its_own_token() {
    let hec = FakeHec::start(Plan::healthy()).await;
    for mode in ["event", "raw"] {
        // The events have no such field, so that they go to `audit`, which has a token of its own; `security` has none.
        let more = json!({ "mode": mode, "tokens": "audit", "index": "{finding_info.uid:-audit}" });
        let sink = sink_with(&hec.url, TOKEN, &more);
        assert_eq!(sink.send(&batches(&sink, 1)[0]).await, Ok(Delivery::accepted()), "{mode}");
        let sink = sink_with(&hec.url, TOKEN, &json!({ "mode": mode, "tokens": "audit", "index": "security" }));
        assert_eq!(sink.send(&batches(&sink, 1)[0]).await, Ok(Delivery::accepted()), "{mode}");
    }
    assert_eq!(hec.tokens(), [AUDIT_TOKEN, TOKEN, AUDIT_TOKEN, TOKEN]);
}

/// Guards that batches take turns among endpoints, and that one which fails is left alone for a while.
#[tokio::test]
async fn endpoints_take_turns() {
    let (one, two) = (FakeHec::start(Plan::healthy()).await, FakeHec::start(Plan::healthy()).await);
    let sink = sink_with("", TOKEN, &json!({ "endpoints": [one.url, two.url] }));
    for _ in 0..6 {
        assert_eq!(sink.send(&batch(&sink, 1)).await, Ok(Delivery::accepted()));
    }
    assert_eq!((one.batches(), two.batches()), (3, 3));
    assert_eq!(sink.check().await, Ok(()));
    let closed = FakeHec::start(Plan::healthy()).await.url.clone();
    let sink = sink_with("", TOKEN, &json!({ "endpoints": [closed.clone(), two.url] }));
    let mut failures = 0;
    for _ in 0..10 {
        failures += usize::from(sink.send(&batch(&sink, 1)).await.is_err());
    }
    assert!((1..5).contains(&failures), "{failures}");
    assert_eq!(two.batches(), 3 + 10 - failures);
    let error = sink.check().await.unwrap_err();
    assert!(error.code == "connect" && error.words.starts_with(&closed), "{error}");
}

/// Guards that a body above the endpoint's limit is split, and that its halves arrive.
#[tokio::test]
async fn a_batch_too_large_is_split() {
    let hec = FakeHec::start(Plan::healthy().body_bytes_max(2000)).await;
    let sink = sink(&hec.url);
    let all = batch(&sink, 20);
    assert!(all.body().len() > 2000);
    assert_eq!(failure(&sink, &all).await.disposition, Disposition::Split);
    for half in [Batch::of_frames(all.frames().take(10)), Batch::of_frames(all.frames().skip(10))] {
        assert_eq!(sink.send(&half).await, Ok(Delivery::accepted()));
    }
    assert_eq!((hec.distinct(), hec.duplicates()), (20, 0));
}

/// Guards that a wrong token, a wrong path and nobody at home are told apart, and that no message holds the token.
#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let hec = FakeHec::start(Plan::healthy()).await;
    let closed = FakeHec::start(Plan::healthy()).await.url.clone();
    let retry = Disposition::Retry { after: None };
    for (url, token, disposition, code) in [
        (hec.url.clone(), "wrong-token-EXAMPLE", Disposition::Pause, "hec_4"),
        (format!("{}/elsewhere", hec.url), TOKEN, Disposition::Pause, "http_404"),
        (closed, TOKEN, retry, "connect"),
    ] {
        let sink = sink_with(&url, token, &json!({}));
        let error = failure(&sink, &batch(&sink, 1)).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{error}");
        assert!(!format!("{error} {error:?} {sink:?}").contains(token), "{error:?} {sink:?}");
    }
    assert_eq!(hec.distinct(), 0);
}

/// Guards that `check` asks about the token, which health does not, and leaves no event behind.
#[tokio::test]
async fn check_proves_the_token() {
    let hec = FakeHec::start(Plan::healthy()).await;
    assert_eq!(sink(&hec.url).check().await, Ok(()));
    let error = sink_with(&hec.url, "wrong-token-EXAMPLE", &json!({})).check().await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "hec_4"));
    let error = sink(&format!("{}/elsewhere", hec.url)).check().await.unwrap_err();
    assert_eq!(error.code, "http_404");
    // The empty POST three times, and health behind the token that is good.
    assert_eq!((hec.distinct(), hec.batches(), hec.requests()), (0, 0, 4));
}

/// Guards that `check` tells a token that is wrong from queues that are full, and knows a token that asks for
/// acknowledgement where there is to be none, and the reverse.
#[tokio::test]
async fn check_tells_what_is_wrong() {
    let full = FakeHec::start_at(Site { queues_full: true, ..Site::default() }, Plan::healthy(), Plan::healthy()).await;
    let hec = FakeHec::start(Plan::healthy()).await;
    let acknowledged = json!({ "acknowledgement": true });
    for (url, token, more, code, words) in [
        (&full.url, TOKEN, json!({}), "hec_18", "the token is good"),
        (&full.url, "wrong-token-EXAMPLE", json!({}), "hec_4", "the token is missing, wrong or disabled"),
        (&hec.url, ACK_TOKEN, json!({}), "hec_10", "set `acknowledgement = true`"),
        (&hec.url, TOKEN, acknowledged.clone(), "hec_14", "leave `acknowledgement` out"),
        (
            &hec.url,
            TOKEN,
            json!({ "tokens": "audit", "acknowledgement": true }),
            "hec_14",
            "leave `acknowledgement` out",
        ),
    ] {
        let error = sink_with(url, token, &more).check().await.unwrap_err();
        assert_eq!(error.code, code, "{more}");
        assert!(error.words.contains(words), "{error}");
    }
    let sink = sink_with(&hec.url, ACK_TOKEN, &acknowledged);
    assert_eq!(sink.check().await, Ok(()));
    assert!(sink.promise().starts_with("delivered means indexed"));
    let cloud = "https://http-inputs-acme.splunkcloud.com";
    assert!(sink_with(cloud, TOKEN, &json!({})).promise().contains("Splunk Cloud"));
    assert_eq!(hec.distinct(), 0);
}

/// Guards that canaries arrive where the search says, with each token, and that a wrong index is told by them.
#[tokio::test]
async fn canaries_are_found_by_their_search() {
    let hec = FakeHec::start(Plan::healthy()).await;
    for mode in ["event", "raw"] {
        let sink = sink_with(&hec.url, TOKEN, &json!({ "mode": mode, "tokens": "audit" }));
        let canaries = sink.canaries().await.unwrap();
        let indexes = ["*", "audit"];
        assert_eq!(canaries.len(), 2);
        for (canary, index) in canaries.iter().zip(indexes) {
            let search = canary.search.strip_prefix(&format!("index={index} ")).unwrap();
            let uid = search.trim_start_matches("siemline_uid::").trim_matches('"');
            assert!(hec.received().iter().any(|(name, arrival)| {
                name.contains(uid) && arrival.envelope["event"].to_string().contains("siemline_canary")
            }));
            assert!(!canary.is_indexed);
        }
        let sink = sink_with(&hec.url, TOKEN, &json!({ "mode": mode, "index": "secrity" }));
        assert_eq!(sink.canaries().await.unwrap_err().code, "hec_7", "{mode}");
    }
}

/// Guards that whatever a seeded run of faults does, sending what has no verdict until it has one brings all events in, and
/// leaves exactly the refused ones out.
#[tokio::test]
async fn a_run_of_faults_loses_nothing() {
    let seed = fastrand::u64(..);
    let plan = Plan::dice(seed, 60, Fault::passing()).refusing(|event| event["n"].as_u64() == Some(17));
    let hec = FakeHec::start(plan).await;
    let sink = sink(&hec.url);
    let all = batch(&sink, 40);
    let mut left: Vec<&[u8]> = all.frames().collect();
    let mut refused = 0;
    for _ in 0..200 {
        let Ok(delivery) = sink.send(&Batch::of_frames(left.iter().copied())).await else { continue };
        match delivery.verdicts {
            Verdicts::AllAccepted => left.clear(),
            Verdicts::Each(verdicts) => {
                refused += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
                left.drain(..verdicts.len());
            }
        }
        if left.is_empty() {
            break;
        }
    }
    assert_eq!((left.len(), refused, hec.distinct(), hec.silently_dropped()), (0, 1, 39, 0), "seed {seed}");
}
