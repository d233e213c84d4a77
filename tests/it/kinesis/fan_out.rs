//! Enhanced fan-out, over TLS and HTTP/2 with the real SDK.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use siemline::ack::Outcome;
use siemline::lease::Checkpoint;
use siemline::metric::Reason;

use super::{Reading, checkpoints, leases, next_of, numbers, settle, until};
use crate::fakes::fan_out::FanOut;
use crate::fakes::kinesis::{Call, FakeKinesis};
use crate::fakes::plan::Plan;

/// How the service ends its subscriptions.
type End = fn(&mut FanOut);

fn fan_out() -> Value {
    json!({ "mode": "fan_out", "shard_sync_interval": "20ms" })
}

fn count(calls: &[Call], operation: &str) -> usize {
    calls.iter().filter(|call| call.operation == operation).count()
}

/// Guards the whole way: the consumer is registered once and waited for, records come as they are written, through a split,
/// children after their parents, the checkpoint moves, and nothing is polled. The next run goes on behind its checkpoint,
/// with the same consumer.
#[tokio::test]
async fn a_subscription_brings_everything() {
    let fake = FakeKinesis::start_tls(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    fake.put_to(&shards[0], "0");
    let mut reading = Reading::start(&fake, &file, fan_out()).await;
    assert_eq!(reading.deliver(1).await, ["0"]);
    for n in 1..5 {
        fake.put_to(&shards[0], n.to_string());
        assert_eq!(reading.deliver(1).await, [n.to_string()]);
    }
    let [left, right] = fake.split(&shards[0]);
    fake.put_to(&left, "left");
    fake.put_to(&right, "right");
    let got: BTreeSet<String> = reading.deliver(2).await.into_iter().collect();
    assert_eq!(got, ["left".to_owned(), "right".to_owned()].into());
    assert_eq!(reading.stop().await, Vec::<String>::new());
    assert_eq!(leases(&file).await[&shards[0]].checkpoint, Checkpoint::ShardEnd);

    fake.put_to(&left, "5");
    fake.fan_out(FanOut::age);
    let mut reading = Reading::start(&fake, &file, fan_out()).await;
    assert_eq!(reading.deliver(1).await, ["5"]);
    reading.stop().await;
    let calls = fake.calls();
    assert_eq!((count(&calls, "RegisterStreamConsumer"), count(&calls, "GetRecords")), (1, 0));
    assert!(count(&calls, "DescribeStreamConsumer") >= 3, "until it is ready");
}

/// Guards that a subscription may end in any way: the next one goes on behind it, nothing is lost, nothing comes twice. All at
/// the same time, since the service refuses a subscription within five seconds of the last.
#[tokio::test]
async fn subscriptions_may_end_in_any_way() {
    let ends: [(&str, End); 8] = [
        ("after five minutes", FanOut::end),
        ("a cut connection", FanOut::cut),
        ("garbage", FanOut::garble),
        ("an event that says nothing", FanOut::say_nothing),
        ("an error of the service", |fan_out| fan_out.fail("InternalFailureException")),
        ("somebody else", |fan_out| fan_out.fail("ResourceInUseException")),
        ("a key", |fan_out| fan_out.fail("KMSAccessDeniedException")),
        ("an error that nobody knows", |fan_out| fan_out.fail("UnheardOfException")),
    ];
    join_all(ends.into_iter().map(|(words, end)| async move {
        let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        let shard = fake.open_shards().remove(0);
        fake.put_to(&shard, "0");
        let mut reading = Reading::start(&fake, &file, fan_out()).await;
        assert_eq!(reading.deliver(1).await, ["0"], "{words}");
        fake.fan_out(end);
        fake.put_to(&shard, "1");
        assert_eq!(reading.deliver(1).await, ["1"], "{words}");
        fake.put_to(&shard, "2");
        assert_eq!(reading.deliver(1).await, ["2"], "{words}");
        assert_eq!(reading.stop().await, Vec::<String>::new(), "{words}");
        let types: Vec<_> = fake.calls().into_iter().filter_map(|call| call.iterator_type).collect();
        assert_eq!(types[0], "TRIM_HORIZON", "{words}");
        assert!(
            types[1..].iter().all(|kind| kind == "AFTER_SEQUENCE_NUMBER" || kind == "AT_SEQUENCE_NUMBER"),
            "{types:?}"
        );
        assert_eq!(fake.errors("ResourceInUseException"), 0, "{words}: none comes too early");
    }))
    .await;
}

/// Guards the renewal: a subscription is renewed before the service ends it, and the service refuses none.
#[tokio::test]
async fn subscriptions_are_renewed_in_time() {
    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let mut options = fan_out();
    options["subscription_renewal"] = json!("5s");
    let mut reading = Reading::start(&fake, &file, options).await;
    fake.put_to(&shard, "0");
    assert_eq!(reading.deliver(1).await, ["0"]);
    fake.until("a renewal", |calls| count(calls, "SubscribeToShard") == 2).await;
    fake.put_to(&shard, "1");
    assert_eq!(reading.deliver(1).await, ["1"]);
    assert_eq!(fake.errors("ResourceInUseException"), 0);
    let types: Vec<_> = fake.calls().into_iter().filter_map(|call| call.iterator_type).collect();
    assert_eq!(types, ["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"], "it goes on where the last event said");
    reading.stop().await;
}

/// Guards that a subscription that another process took over is taken back only when the service allows it.
#[tokio::test]
async fn a_subscription_in_use_is_waited_for() {
    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let first = Reading::start(&fake, &file, fan_out()).await;
    fake.until("the first", |calls| count(calls, "SubscribeToShard") == 1).await;
    first.kill().await;
    // The service still knows of the subscription of the process that died.
    let mut second = Reading::start(&fake, &file, fan_out()).await;
    fake.put_to(&shard, "0");
    assert_eq!(second.deliver(1).await, ["0"]);
    assert_eq!(fake.errors("ResourceInUseException"), 1, "one question, and then the wait");
    second.stop().await;
}

/// Guards backpressure: a subscription that is not read is given up, so that it takes no room of the others on its connection,
/// and it is made again when there is room; what came meanwhile comes then. A chunk that is abandoned comes again.
#[tokio::test]
async fn a_subscription_that_is_not_read_is_given_up() {
    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    for n in 0..4 {
        fake.put_to(&shard, n.to_string());
    }
    let mut options = fan_out();
    options["chunk_bytes_max"] = json!("1B");
    options["window_chunks_max"] = json!(1);
    let mut reading = Reading::start(&fake, &file, options).await;
    let chunk = reading.chunk().await;
    until("the end of the subscription", || fake.fan_out(|fan_out| fan_out.open()) == 0).await;
    fake.put_to(&shard, "4");
    drop(chunk);
    let chunk = next_of(&mut reading, "0").await;
    settle(chunk, Outcome::Delivered);
    assert_eq!(reading.deliver(4).await, numbers(1..5));
    reading.stop().await;
}

/// Guards the way down: where no consumer can be had, or a shard cannot be subscribed to, it is polled if that is wanted, and
/// asked again and again if not.
#[tokio::test]
async fn polling_takes_over_where_it_may() {
    for may_fall_back in [true, false] {
        let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
        fake.fan_out(|fan_out| fan_out.consumers_max = Some(0));
        let (_directory, file) = checkpoints();
        let shard = fake.open_shards().remove(0);
        fake.put_to(&shard, "0");
        let mut options = fan_out();
        options["fan_out_fallback"] = json!(may_fall_back);
        let mut reading = Reading::start(&fake, &file, options).await;
        if !may_fall_back {
            fake.until("it is asked again", |calls| count(calls, "RegisterStreamConsumer") == 2).await;
            assert_eq!(count(&fake.calls(), "GetRecords"), 0);
            fake.fan_out(|fan_out| fan_out.consumers_max = None);
        }
        assert_eq!(reading.deliver(1).await, ["0"], "{may_fall_back}");
        reading.stop().await;
        assert_eq!(count(&fake.calls(), "GetRecords") > 0, may_fall_back);
    }

    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    fake.fan_out(|fan_out| fan_out.refuses = true);
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "0");
    let mut options = fan_out();
    options["fan_out_fallback"] = json!(true);
    let mut reading = Reading::start(&fake, &file, options).await;
    assert_eq!(reading.deliver(1).await, ["0"]);
    assert!(count(&fake.calls(), "SubscribeToShard") >= 5);
    reading.stop().await;
}

/// Guards a shard whose end no event tells, as emulators leave it out: it is asked for when the subscription ends.
#[tokio::test]
async fn an_end_that_is_not_told_is_asked_for() {
    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    fake.fan_out(|fan_out| fan_out.keeps_ends = true);
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "0");
    let mut reading = Reading::start(&fake, &file, fan_out()).await;
    assert_eq!(reading.deliver(1).await, ["0"]);
    let [left, _right] = fake.split(&shard);
    fake.put_to(&left, "1");
    fake.fan_out(FanOut::end);
    assert_eq!(reading.deliver(1).await, ["1"]);
    reading.stop().await;
    assert_eq!(leases(&file).await[&shard].checkpoint, Checkpoint::ShardEnd);
}

/// Guards a consumer that somebody removes while it is read: the shard is not taken for gone, the reason is told, and polling
/// takes over where it may; a restart registers the consumer anew.
#[tokio::test]
async fn a_consumer_that_was_removed_is_told() {
    let fake = FakeKinesis::start_tls(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let mut options = fan_out();
    options["standstill_after"] = json!("40ms");
    let mut reading = Reading::start(&fake, &file, options).await;
    fake.put_to(&shard, "0");
    assert_eq!(reading.deliver(1).await, ["0"]);
    fake.fan_out(FanOut::deregister);
    until("the reason", || reading.state(&shard).reason == Reason::Disturbed).await;
    assert_eq!(reading.stop().await, Vec::<String>::new());
    fake.put_to(&shard, "1");
    fake.fan_out(FanOut::age);
    let mut reading = Reading::start(&fake, &file, fan_out()).await;
    assert_eq!(reading.deliver(1).await, ["1"]);
    reading.stop().await;
}
