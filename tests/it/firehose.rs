//! The Firehose sink against a strict `PutRecordBatch`: each fault is answered as the lane needs it.

use std::time::Duration;

use aws_sdk_firehose::config::Credentials;
use serde_json::{Value, json};
use siemline::aws;
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _, Verdict, Verdicts};
use siemline::sink::firehose::{Firehose, FirehoseOptions};
use tokio::time::timeout;

use crate::events::batch;
use crate::fakes::firehose::{FakeFirehose, STREAM};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::sts::FakeSts;

const RETRY: Disposition = Disposition::Retry { after: None };

/// A sink of these further options, whose own credentials have this key.
async fn sink_with(url: &str, key: &str, more: &Value) -> Firehose {
    let mut options = json!({ "stream": STREAM, "endpoint_url": url });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    let credentials = Credentials::new(key, "secret", None, None, "test");
    let config = aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await;
    Firehose::new(&serde_json::from_value::<FirehoseOptions>(options).unwrap()).unwrap().configured(config)
}

async fn sink(fake: &FakeFirehose) -> Firehose {
    sink_with(&fake.url, "AKIDEXAMPLE", &json!({})).await
}

fn line(n: usize) -> String {
    format!(r#"{{"class_uid":2004,"n":{n}}}"#)
}

async fn failure(sink: &Firehose, batch: &Batch) -> Error {
    sink.send(batch).await.expect_err("the request fails")
}

/// Guards the way of a batch from events to records, one each, or packed.
#[tokio::test]
async fn a_batch_is_put() {
    for (more, records) in
        [(json!({}), 500), (json!({ "pack": true }), 1), (json!({ "pack": true, "format": "raw" }), 1)]
    {
        let fake = FakeFirehose::start(Plan::healthy()).await;
        let sink = sink_with(&fake.url, "AKIDEXAMPLE", &more).await;
        assert_eq!(sink.send(&batch(&sink, 500)).await, Ok(Delivery::accepted()));
        let raw = more.get("format").is_some();
        let expected: Vec<String> = (0..500).map(|n| if raw { format!("line {n}") } else { line(n) }).collect();
        assert_eq!((fake.lines(), fake.records().len()), (expected, records), "{more}");
    }
}

/// Guards that only the records that failed are sent again: nothing is lost, and nothing is there twice.
#[tokio::test]
async fn each_record_has_its_own_verdict() {
    let fake = FakeFirehose::start(Plan::script([Fault::Partial, Fault::Partial])).await;
    let sink = sink(&fake).await;
    let all = batch(&sink, 40);
    let mut left: Vec<&[u8]> = all.frames().collect();
    while !left.is_empty() {
        let delivery = sink.send(&Batch::of_frames(left.iter().copied())).await.unwrap();
        match delivery.verdicts {
            Verdicts::AllAccepted => left.clear(),
            Verdicts::Each(verdicts) => {
                assert!(delivery.slow_down.is_some(), "some were refused for now");
                let mut verdicts = verdicts.iter();
                left.retain(|_| matches!(verdicts.next(), Some(Verdict::Retry(_))));
            }
        }
    }
    let mut lines = fake.lines();
    lines.sort();
    let mut expected: Vec<String> = (0..40).map(line).collect();
    expected.sort();
    assert_eq!(lines, expected);
    assert_eq!(fake.requests(), 3);
}

/// Guards that every fault becomes what the lane is to do about it, and that the next sending heals it; what was taken before
/// is there twice then, since Firehose knows no record twice.
#[tokio::test]
async fn faults_are_answered_and_healed() {
    let told = |code: &str| Fault::Reject { status: 400, body: code.to_owned(), retry_after_s: None };
    for (fault, disposition, code, duplicates) in [
        (told("ServiceUnavailableException"), RETRY, "ServiceUnavailableException", 0),
        (told("ThrottlingException"), RETRY, "ThrottlingException", 0),
        (told("LimitExceededException"), RETRY, "LimitExceededException", 0),
        (told("InvalidKMSResourceException"), Disposition::Pause, "InvalidKMSResourceException", 0),
        (told("ExpiredTokenException"), Disposition::Pause, "ExpiredTokenException", 0),
        (told("InvalidArgumentException"), Disposition::Refuse, "InvalidArgumentException", 0),
        (Fault::unavailable(None), RETRY, "http_503", 0),
        (Fault::CutBefore, RETRY, "no_answer", 0),
        (Fault::garbage(), RETRY, "http_502", 10),
    ] {
        let fake = FakeFirehose::start(Plan::script([fault.clone()])).await;
        let sink = sink(&fake).await;
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{fault:?}: {error}");
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()), "{fault:?}");
        assert_eq!(fake.lines().len(), 10 + duplicates, "{fault:?}");
    }
}

/// Guards that an answer which leaves records out, or says nothing, is no success, and that the SDK sends nothing again by
/// itself.
#[tokio::test]
async fn silence_is_no_success() {
    let fake = FakeFirehose::start(Plan::script([Fault::Short, Fault::empty_success("{}"), Fault::html()])).await;
    let sink = sink(&fake).await;
    let all = batch(&sink, 10);
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&all).await else { panic!("verdicts") };
    assert!(verdicts[..5].iter().all(|verdict| *verdict == Verdict::Accepted), "{verdicts:?}");
    assert!(verdicts[5..].iter().all(|verdict| matches!(verdict, Verdict::Retry(why) if why.code == "no_outcome")));
    match sink.send(&all).await {
        Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) => {
            assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Retry(_))), "{verdicts:?}");
        }
        other => assert!(other.is_err_and(|error| error.disposition == RETRY)),
    }
    let error = failure(&sink, &all).await;
    assert_eq!(error.disposition, RETRY, "a page in place of an answer: {error}");
    assert_eq!(fake.requests(), 3);
}

/// Guards that an answer that never comes may be given up, and leaves a sink that works.
#[tokio::test]
async fn answers_may_be_given_up() {
    let fake = FakeFirehose::start(Plan::script([Fault::Hang])).await;
    let sink = sink(&fake).await;
    let batch = batch(&sink, 2);
    assert!(timeout(Duration::from_millis(200), sink.send(&batch)).await.is_err(), "it is never answered");
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
}

/// Guards that the role is assumed with its external id, and that everything is asked as the role.
#[tokio::test]
async fn a_role_is_assumed() {
    let (fake, sts) = (FakeFirehose::start(Plan::healthy()).await, FakeSts::start().await);
    let more = json!({ "assume_role": "arn:aws:iam::444455556666:role/writer", "external_id": "between us" });
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = aws::loader(Some("eu-west-1")).credentials_provider(credentials).endpoint_url(&sts.url).load().await;
    let sink = sink_with(&fake.url, "AKIDUNUSEDEXAMPLE", &more).await.configured(config);
    assert_eq!(sink.send(&batch(&sink, 1)).await, Ok(Delivery::accepted()));
    assert_eq!(fake.keys(), ["ASIAROLEEXAMPLE"]);
    assert!(sts.asked()[0].contains("ExternalId=between%20us") && sts.asked()[0].contains("siemline-firehose"));
}

/// Guards that `check` proves the stream, by name or by ARN, and tells one that cannot take records, one that is not there, and
/// one that may not be looked at.
#[tokio::test]
async fn check_proves_the_stream() {
    let fake = FakeFirehose::start(Plan::healthy()).await;
    let by_arn = json!({ "stream": "arn:aws:firehose:eu-west-1:111122223333:deliverystream/security" });
    assert_eq!(sink(&fake).await.check().await, Ok(()));
    assert_eq!(sink_with(&fake.url, "AKIDEXAMPLE", &by_arn).await.check().await, Ok(()));
    for (status, kind, disposition, words) in [
        ("CREATING", "DirectPut", RETRY, "being created"),
        ("DELETING", "DirectPut", Disposition::Pause, "DELETING"),
        ("ACTIVE", "KinesisStreamAsSource", Disposition::Pause, "Direct PUT"),
    ] {
        fake.describe(status, kind);
        let error = sink(&fake).await.check().await.unwrap_err();
        assert_eq!(error.disposition, disposition, "{error}");
        assert!(error.words.contains(words), "{error}");
    }
    let denied = sink_with(&fake.url, "AKIDDENIEDEXAMPLE", &json!({})).await;
    let error = denied.check().await.unwrap_err();
    assert_eq!(error.disposition, Disposition::Pause);
    assert!(error.words.contains("firehose:DescribeDeliveryStream"), "{error}");
    let error = failure(&denied, &batch(&denied, 1)).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "AccessDeniedException"));
    let absent = sink_with(&fake.url, "AKIDEXAMPLE", &json!({ "stream": "absent" })).await;
    let error = failure(&absent, &batch(&absent, 1)).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "ResourceNotFoundException"));
    assert!(fake.lines().is_empty());
}
