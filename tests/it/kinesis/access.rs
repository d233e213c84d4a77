//! Whose streams are read, and how many.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use siemline::ack::Outcome;
use siemline::budget::Budget;
use siemline::lease::{FileTable, LeaseTable as _};
use siemline::source::kinesis::KinesisSource;

use super::{Reading, all_options, checkpoints, sdk_config, settle, text};
use crate::fakes::kinesis::{FakeKinesis, STREAM, STREAM_ARN};
use crate::fakes::plan::Plan;
use crate::fakes::sts::FakeSts;

/// Guards the way into another account: the role is assumed with its external id, by our own credentials, and everything is
/// asked as the role.
#[tokio::test]
async fn a_role_is_assumed() {
    let (fake, sts) = (FakeKinesis::start(1, Plan::healthy()).await, FakeSts::start().await);
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let role = json!({ "assume_role": "arn:aws:iam::444455556666:role/reader", "external_id": "between us" });
    let source = KinesisSource::new(&Arc::from("findings"), all_options(&fake, &file, &role));
    let own = sdk_config(&fake).await.into_builder().endpoint_url(&sts.url).build();
    let mut reading = Reading::of(source.configured(own), Budget::new(64 << 20));
    assert_eq!(reading.deliver(1).await, ["0"]);
    reading.stop().await;
    assert!(fake.calls().iter().all(|call| call.key == "ASIAROLEEXAMPLE"), "{:?}", fake.calls());
    let asked = sts.asked();
    assert_eq!(asked.len(), 1, "credentials are kept until they expire");
    for expect in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Freader",
        "ExternalId=between%20us",
        "RoleSessionName=siemline-findings",
    ] {
        assert!(asked[0].contains(expect), "{expect} in {}", asked[0]);
    }
}

/// Guards several streams of one source: each is read whole, tells its shards from those of the other, and has checkpoints of
/// its own.
#[tokio::test]
async fn several_streams_are_read() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (directory, file) = checkpoints();
    for n in 0..10 {
        fake.put(&n.to_string(), n.to_string());
    }
    // The fake has one stream; by its name and by its ARN it is two.
    let mut reading = Reading::start(&fake, &file, json!({ "stream": [STREAM, STREAM_ARN] })).await;
    let mut got: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while got.values().map(Vec::len).sum::<usize>() < 20 {
        let chunk = reading.chunk().await;
        for record in &chunk.records {
            let stream = record.position.shard.split_once('/').unwrap().0.to_owned();
            got.entry(stream).or_default().push(text(record));
        }
        settle(chunk, Outcome::Delivered);
    }
    reading.stop().await;
    assert_eq!(got.keys().collect::<Vec<_>>(), ["111122223333-eu-west-1-security", "security"]);
    for (stream, mut texts) in got {
        texts.sort();
        assert_eq!(texts, super::numbers(0..10), "{stream}");
        let file = directory.path().join(format!("checkpoints-{stream}.json"));
        let name = if stream == STREAM { STREAM } else { STREAM_ARN };
        assert_eq!(FileTable::new(file, name).load().await.unwrap().len(), 2, "{stream}");
    }
}
