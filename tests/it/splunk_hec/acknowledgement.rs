//! Indexer acknowledgement: a batch is delivered when Splunk says that it is indexed, and never before.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _, Verdict, Verdicts};
use siemline::sink::splunk_hec::SplunkHec;
use tokio::time::timeout;

use super::sink_with;
use crate::events::batch;
use crate::fakes::hec::{ACK_TOKEN, FakeHec, Site, TOKEN};
use crate::fakes::plan::{Fault, Plan};

const RETRY: Disposition = Disposition::Retry { after: None };

/// An indexer that never says that anything is indexed.
const NEVER: Site = Site { nodes: 1, has_cookie: false, polls_in_vain: u32::MAX, hides_ids: false, queues_full: false };

/// How long a test waits for what must come, at most: far longer than it takes.
const LONG: Duration = Duration::from_secs(30);

fn sink(hec: &FakeHec, timeout: &str) -> SplunkHec {
    sink_of(hec, &json!({ "acknowledgement_timeout": timeout }))
}

fn sink_of(hec: &FakeHec, more: &Value) -> SplunkHec {
    let mut options = json!({ "acknowledgement": true, "acknowledgement_interval": "20ms" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    sink_with(&hec.url, ACK_TOKEN, &options)
}

async fn at(site: Site, polls: Plan) -> FakeHec {
    FakeHec::start_at(site, Plan::healthy(), polls).await
}

fn verdict_on(error: &Error) -> (Disposition, &str) {
    (error.disposition, error.code.as_ref())
}

/// Guards that batches wait for their own acknowledgement, all of them by the same few questions.
#[tokio::test]
async fn delivered_means_indexed() {
    for mode in ["event", "raw"] {
        let hec = at(Site { polls_in_vain: 5, ..Site::default() }, Plan::healthy()).await;
        let sink = sink_of(&hec, &json!({ "mode": mode }));
        let batches: Vec<Batch> = (1..=8).map(|events| batch(&sink, events)).collect();
        let sent = join_all(batches.iter().map(|batch| sink.send(batch)));
        for delivery in timeout(LONG, sent).await.expect("they are acknowledged") {
            assert_eq!(delivery, Ok(Delivery::accepted()));
        }
        assert_eq!((hec.batches(), hec.acknowledged(), sink.meter().possible_duplicates.get()), (8, 8, 0));
        let polls = hec.polls();
        assert!(polls.iter().any(|ids| *ids > 1) && !polls.contains(&0), "{polls:?}");
    }
}

/// Guards that a batch which is never acknowledged is not delivered, and that neither is one whose acknowledgement got lost
/// on its way: Splunk forgets what it has told. The next sending heals that, at the price of duplicates, which are counted.
#[tokio::test]
async fn a_lost_acknowledgement_is_no_delivery() {
    let hec = at(Site { polls_in_vain: 0, ..Site::default() }, Plan::script([Fault::CutMidway])).await;
    let sink = sink(&hec, "2s");
    let batch = batch(&sink, 10);
    let error = sink.send(&batch).await.unwrap_err();
    assert_eq!(verdict_on(&error), (RETRY, "not_acknowledged"), "{error}");
    assert_eq!((sink.meter().possible_duplicates.get(), hec.acknowledged()), (10, 1));
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert_eq!((hec.distinct(), hec.duplicates(), sink.meter().possible_duplicates.get()), (10, 10, 10));
}

/// Guards that no answer but an acknowledgement is one, whatever is wrong with the questions, and that the lane is told
/// whether somebody has to mend something.
#[tokio::test]
async fn questions_that_fail_deliver_nothing() {
    let reject = |status, body: &str| Fault::Reject { status, body: body.to_owned(), retry_after_s: None };
    let disabled = r#"{"text":"ACK is disabled","code":14}"#;
    let cases = [
        (reject(404, ""), (Disposition::Pause, "http_404")),
        (reject(400, disabled), (Disposition::Pause, "hec_14")),
        (reject(200, "{}"), (RETRY, "http_200")),
        (reject(200, r#"{"acks":[0]}"#), (RETRY, "http_200")),
        (Fault::html(), (Disposition::Pause, "http_200")),
        (Fault::throttled(None), (RETRY, "http_429")),
        (Fault::garbage(), (RETRY, "http_502")),
        (Fault::CutBefore, (RETRY, "cut")),
    ];
    let asked = cases.into_iter().map(|(fault, expected)| async move {
        let hec = at(Site::default(), Plan::dice(1, 100, vec![fault.clone()])).await;
        let sink = sink(&hec, "2s");
        let error = sink.send(&batch(&sink, 2)).await.unwrap_err();
        assert_eq!(verdict_on(&error), expected, "{fault:?}: {error}");
        assert!(error.words.contains("not acknowledged within 2s"), "{error}");
    });
    join_all(asked).await;
}

/// Guards that questions which fail for a while cost time and nothing else.
#[tokio::test]
async fn questions_are_asked_again() {
    let faults = [Fault::CutBefore, Fault::throttled(None), Fault::html(), Fault::unavailable(Some(1))];
    let hec = at(Site { polls_in_vain: 0, ..Site::default() }, Plan::script(faults)).await;
    let sink = sink(&hec, "30s");
    assert_eq!(sink.send(&batch(&sink, 2)).await, Ok(Delivery::accepted()));
    assert_eq!((hec.polls().len(), hec.duplicates(), sink.meter().possible_duplicates.get()), (5, 0, 0));
}

/// Guards that a token without acknowledgement, and one that hands out no ids, stop the lane with the remedy: nobody would
/// ever say that anything is indexed.
#[tokio::test]
async fn no_id_is_no_delivery() {
    let hec = at(Site { hides_ids: true, ..Site::default() }, Plan::healthy()).await;
    for token in [ACK_TOKEN, TOKEN] {
        let sink = sink_with(&hec.url, token, &json!({ "acknowledgement": true }));
        let error = sink.send(&batch(&sink, 1)).await.unwrap_err();
        assert_eq!(verdict_on(&error), (Disposition::Pause, "no_ack_id"));
        assert!(error.words.contains("enable indexer acknowledgement at the token"), "{error}");
    }
}

/// Guards affinity: behind a balancer with a cookie all requests come to one indexer, the first ones at once too.
#[tokio::test]
async fn a_cookie_keeps_batches_at_one_indexer() {
    let hec = at(Site { nodes: 3, has_cookie: true, ..Site::default() }, Plan::healthy()).await;
    let sink = sink(&hec, "30s");
    let batch = batch(&sink, 3);
    for delivery in timeout(LONG, join_all((0..8).map(|_| sink.send(&batch)))).await.expect("they are acknowledged") {
        assert_eq!(delivery, Ok(Delivery::accepted()));
    }
    assert_eq!((hec.acknowledged(), hec.batches(), sink.meter().possible_duplicates.get()), (8, 8, 0));
}

/// Guards that ids of several indexers, which mean different batches, deliver nothing; and that it is told what to mend when
/// it goes on.
#[tokio::test]
async fn a_balancer_without_affinity_delivers_nothing() {
    let hec = at(Site { nodes: 2, ..NEVER }, Plan::healthy()).await;
    let sink = sink_of(&hec, &json!({ "acknowledgement_interval": "30s" }));
    let batch = batch(&sink, 1);
    for (round, expected) in [RETRY, RETRY, Disposition::Pause].into_iter().enumerate() {
        let both = timeout(LONG, async { tokio::join!(sink.send(&batch), sink.send(&batch)) }).await.expect("answered");
        for error in [both.0.unwrap_err(), both.1.unwrap_err()] {
            assert_eq!(verdict_on(&error), (expected, "channel_left"), "round {round}: {error}");
            assert_eq!(error.words.contains("`endpoints`"), expected == Disposition::Pause, "{error}");
        }
    }
    assert_eq!(sink.meter().possible_duplicates.get(), 6);
}

/// Guards that a restart of the indexer, which forgets and counts anew, is noticed by the next batch: what waited is sent
/// again at once, and later ids are believed again.
#[tokio::test]
async fn a_restart_of_the_indexer_is_noticed() {
    let hec = at(Site { polls_in_vain: 0, ..Site::default() }, Plan::healthy()).await;
    // Longer than the second batch takes to be answered.
    let sink = sink_of(&hec, &json!({ "acknowledgement_interval": "5s" }));
    let batch = batch(&sink, 1);
    let second = async {
        while hec.batches() == 0 {
            tokio::task::yield_now().await;
        }
        hec.restart();
        sink.send(&batch).await
    };
    let (first, second) =
        timeout(LONG, async { tokio::join!(sink.send(&batch), second) }).await.expect("both are answered");
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(verdict_on(&error), (RETRY, "channel_left"));
    }
    assert_eq!(timeout(LONG, sink.send(&batch)).await.expect("it is acknowledged"), Ok(Delivery::accepted()));
}

/// Guards that a batch which nobody waits for any more leaves the others their questions.
#[tokio::test]
async fn who_stops_waiting_stops_nobody_else() {
    let hec = at(Site { polls_in_vain: 10, ..Site::default() }, Plan::healthy()).await;
    let sink = sink(&hec, "30s");
    let batch = batch(&sink, 1);
    let gives_up = timeout(Duration::from_millis(100), sink.send(&batch));
    let (given_up, waits) =
        timeout(LONG, async { tokio::join!(gives_up, sink.send(&batch)) }).await.expect("one is acknowledged");
    // On a slow machine the first may be acknowledged before it is given up.
    assert!(given_up.is_err() || given_up == Ok(Ok(Delivery::accepted())));
    assert_eq!(waits, Ok(Delivery::accepted()));
}

/// Guards that those before a poison event are not taken for delivered, since no id speaks for them, and that they arrive
/// with the rest when they are sent again.
#[tokio::test]
async fn a_poison_event_delivers_nobody() {
    let plan = Plan::healthy().refusing(|event| event["n"] == 3);
    let hec = FakeHec::start_at(Site::default(), plan, Plan::healthy()).await;
    let sink = sink(&hec, "30s");
    let all = batch(&sink, 6);
    let mut verdicts = vec![Verdict::unspoken(); 3];
    verdicts.push(Verdict::refused("hec_6", "Invalid data format"));
    let delivery = Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None };
    assert_eq!(sink.send(&all).await, Ok(delivery));
    let rest = Batch::of_frames(all.frames().enumerate().filter(|(n, _)| *n != 3).map(|(_, frame)| frame));
    assert_eq!(sink.send(&rest).await, Ok(Delivery::accepted()));
    assert_eq!((hec.distinct(), hec.duplicates()), (5, 3));
}

/// Guards that canaries are waited for until they are indexed.
#[tokio::test]
async fn a_canary_is_indexed() {
    let hec = at(Site::default(), Plan::healthy()).await;
    let canaries = sink(&hec, "30s").canaries().await.unwrap();
    assert!(canaries.len() == 1 && canaries[0].is_indexed, "{canaries:?}");
    let error = sink(&at(NEVER, Plan::healthy()).await, "200ms").canaries().await.unwrap_err();
    assert_eq!(error.code, "not_acknowledged");
}
