//! What stands in the way from the beginning, or comes in it: an error with a remedy, or a wait that blocks nobody else.

use super::*;

/// Guards that a stream that is not there is an error at once, and so is one that is deleted while it is read; what was
/// handed on is settled and written down first.
#[tokio::test]
async fn a_missing_stream_is_an_error() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let reading = Reading::start(&fake, &file, json!({ "stream": "typo" })).await;
    let (_, result) = reading.end().await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Missing(_)), "{error}");
    assert!(error.to_string().contains("typo") && error.to_string().contains("mend `stream`"), "{error}");

    let file = file.with_extension("other");
    let shard = fake.open_shards().remove(0);
    let sequence = fake.put_to(&shard, "0");
    let mut reading = Reading::start(&fake, &file, json!({ "checkpoint_interval": "1h" })).await;
    let chunk = reading.chunk().await;
    fake.delete();
    fake.until("the error", |calls| calls.last().is_some_and(|call| call.error.is_some())).await;
    settle(chunk, Outcome::Delivered);
    let (_, result) = reading.end().await;
    assert!(matches!(result, Err(Error::Missing(_))), "{result:?}");
    assert_eq!(leases(&file).await[&shard].checkpoint, at(&sequence));
}

/// Guards against the silent stall: a stream that was deleted and made anew does not know the checkpoints.
#[tokio::test]
async fn checkpoints_of_another_stream_are_an_error() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    reading.deliver(1).await;
    reading.stop().await;
    fake.recreate(1);
    let (texts, result) = Reading::start(&fake, &file, json!({})).await.end().await;
    assert_eq!(texts, Vec::<String>::new());
    assert!(matches!(result, Err(Error::Foreign(_))), "{result:?}");
}

/// Guards that a shard whose records have expired holds nobody up, neither between two runs nor while it is read.
#[tokio::test]
async fn an_expired_shard_blocks_nobody() {
    for is_read in [false, true] {
        let fake = FakeKinesis::start(1, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        let shard = fake.open_shards().remove(0);
        fake.put_to(&shard, "0");
        let mut first = Reading::start(&fake, &file, json!({})).await;
        assert_eq!(first.deliver(1).await, ["0"]);
        let first = if is_read {
            Some(first)
        } else {
            first.stop().await;
            fake.put_to(&shard, "lost by retention");
            None
        };
        // A reader at work may be faster, and see the end of the shard in order: both ways lead to the child.
        let [left, _right] = fake.split(&shard);
        fake.expire(&shard);
        fake.put_to(&left, "1");
        let mut second = match first {
            Some(first) => first,
            None => Reading::start(&fake, &file, json!({})).await,
        };
        assert_eq!(second.deliver(1).await, ["1"]);
        second.stop().await;
        assert!(!leases(&file).await.contains_key(&shard), "its lease is gone, {is_read}");
    }
}

/// Guards the wait for permission: what is denied is asked again until somebody mends it.
#[tokio::test]
async fn permission_may_come_later() {
    let denied = || error("AccessDeniedException", "no kinesis:ListShards");
    let fake = FakeKinesis::start(1, Plan::script([denied(), denied()])).await;
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    assert_eq!(reading.deliver(1).await, ["0"]);
    reading.stop().await;
}

/// Guards the end of a shard: answers that say success and nothing else end none, be it closed or not, and where the service
/// leaves the children out, as emulators do, the list of shards is asked.
#[tokio::test]
async fn a_broken_answer_ends_no_shard() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    fake.leave_children_out();
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    for n in 0..3 {
        fake.put_to(&shard, n.to_string());
    }
    let [left, _right] = fake.split(&shard);
    fake.put_to(&left, "3");
    let mut reading = Reading::start(&fake, &file, json!({ "records_max": 1, "shard_sync_interval": "20ms" })).await;
    let mut got = reading.deliver(1).await;
    // Whatever is asked next, twice.
    let nothing = || Fault::empty_success("{}");
    let no_iterator = || Fault::empty_success(r#"{"Records":[],"NextShardIterator":null,"MillisBehindLatest":null}"#);
    fake.plan(Plan::script([nothing(), no_iterator(), nothing(), no_iterator()]));
    got.extend(reading.deliver(3).await);
    assert_eq!(got, numbers(0..4));
    reading.stop().await;
    assert_eq!(leases(&file).await[&shard].checkpoint, Checkpoint::ShardEnd);
}
