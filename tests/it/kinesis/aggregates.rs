//! Aggregates of the Kinesis Producer Library, over sockets.

use serde_json::json;
use siemline::ack::Outcome;
use siemline::lease::Checkpoint;

use super::{Reading, checkpoints, leases, next_of, settle, texts, until_leases};
use crate::fakes::aggregate::aggregate;
use crate::fakes::kinesis::FakeKinesis;
use crate::fakes::plan::Plan;

/// Guards the way back into an aggregate: the checkpoint names the user record, and the next run goes on behind it.
#[tokio::test]
async fn a_reading_goes_on_inside_an_aggregate() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "plain");
    let sequence = fake.put_to(&shard, aggregate(&[("0", None), ("1", None), ("2", None)]));
    fake.put_to(&shard, "behind");
    let one_each = json!({ "chunk_bytes_max": "1B" });
    let mut reading = Reading::start(&fake, &file, one_each.clone()).await;
    assert_eq!(reading.deliver(3).await, ["plain", "0", "1"]);
    let at = Checkpoint::Sequence { sequence: sequence.clone(), sub_sequence: 1 };
    until_leases(&file, "the second of three", |leases| leases[&shard].checkpoint == at).await;
    reading.kill().await;

    let mut reading = Reading::start(&fake, &file, one_each.clone()).await;
    assert_eq!(reading.deliver(2).await, ["2", "behind"]);
    fake.expire_iterators();
    fake.put_to(&shard, aggregate(&[("3", None), ("4", None)]));
    assert_eq!(reading.deliver(2).await, ["3", "4"], "an iterator that expires behind an aggregate");
    assert_eq!(reading.stop().await, Vec::<String>::new());

    let reading = Reading::start(&fake, &file, one_each).await;
    fake.until("a call", |calls| calls.iter().rev().take_while(|call| call.operation != "ListShards").count() > 2)
        .await;
    assert_eq!(reading.stop().await, Vec::<String>::new(), "a checkpoint behind an aggregate brings nothing again");
}

/// Guards that one poisoned user record costs itself alone: its neighbours in the aggregate are delivered, and the shard goes
/// on.
#[tokio::test]
async fn a_poisoned_user_record_goes_alone() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let sequence = fake.put_to(&shard, aggregate(&[("0", None), ("1", None), ("2", None)]));
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    drop(reading.chunk().await);
    for _ in 0..2 {
        let chunk = next_of(&mut reading, "1").await;
        assert!(!chunk.give_up);
        drop(chunk);
    }
    let chunk = next_of(&mut reading, "1").await;
    assert!(chunk.give_up);
    settle(chunk, Outcome::DeadLettered);
    let chunk = reading.chunk().await;
    assert_eq!((texts(&chunk), chunk.give_up), (vec!["2".to_owned()], false));
    settle(chunk, Outcome::Delivered);
    assert_eq!(reading.stop().await, Vec::<String>::new());
    let at = Checkpoint::Sequence { sequence, sub_sequence: 2 };
    assert_eq!(leases(&file).await[&shard].checkpoint, at);
}

/// Guards what becomes of user records that belong to another shard: kept and counted; with `kpl_strict` the whole aggregate
/// is let go by the rule `kpl_strict`: marked so that it counts as filtered, and so that the checkpoint moves over it. A broken
/// aggregate comes as it is.
#[tokio::test]
async fn records_of_another_shard_are_counted() {
    let mut broken = aggregate(&[("0", None)]);
    broken.pop();
    for is_strict in [false, true] {
        let fake = FakeKinesis::start(2, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        let shard = fake.open_shards().remove(0);
        fake.put_to(&shard, aggregate(&[("mine", Some(1)), ("other", Some(u128::MAX))]));
        fake.put_to(&shard, broken.clone());
        fake.put_to(&shard, aggregate(&[("last", Some(2))]));
        let options = json!({ "kpl_strict": is_strict, "chunk_bytes_max": "1B" });
        let mut reading = Reading::start(&fake, &file, options).await;
        let mut got = Vec::new();
        while got.last().is_none_or(|(last, _)| last != b"last") {
            let chunk = reading.chunk().await;
            got.extend(chunk.records.iter().map(|record| (record.data.to_vec(), record.let_go)));
            settle(chunk, Outcome::Delivered);
        }
        let rule = is_strict.then_some("kpl_strict");
        let expect =
            [(b"mine".to_vec(), rule), (b"other".to_vec(), rule), (broken.clone(), None), (b"last".to_vec(), None)];
        assert_eq!(got, expect, "strict {is_strict}");
        let meter = reading.meter.shard(&shard.as_str().into());
        let counted = [meter.aggregates.get(), meter.outside.get(), meter.discarded.get(), meter.broken.get()];
        assert_eq!(counted, [2, 1, if is_strict { 2 } else { 0 }, 1], "strict {is_strict}");
        reading.stop().await;
    }
}
