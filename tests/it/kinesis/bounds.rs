//! Where a reading begins, and how it ends.

use super::*;

/// Guards the three places to start at.
#[tokio::test]
async fn starts_where_it_is_told() {
    for (start, expect) in [("TRIM_HORIZON", "0 1 2"), ("AT_TIMESTAMP", "1 2"), ("LATEST", "2")] {
        let fake = FakeKinesis::start(1, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        fake.put("key", "0");
        let time_ms = tick(&fake).await;
        fake.put("key", "1");
        tick(&fake).await;
        let written = match start {
            "AT_TIMESTAMP" => jiff::Timestamp::from_millisecond(time_ms).unwrap().to_string(),
            other => other.to_owned(),
        };
        let mut reading = Reading::start(&fake, &file, json!({ "start": written })).await;
        fake.until("an iterator", |calls| calls.iter().any(|call| call.operation == "GetRecords")).await;
        fake.put("key", "2");
        let expect: Vec<&str> = expect.split(' ').collect();
        assert_eq!(reading.deliver(expect.len()).await, expect, "{start}");
        assert_eq!(reading.stop().await, Vec::<String>::new(), "{start}");
    }
}

/// Waits for the next millisecond, and says which it is.
async fn tick(fake: &FakeKinesis) -> i64 {
    let last = fake.shards().iter().flat_map(|shard| &shard.records).map(|record| record.arrival_ms).max().unwrap();
    loop {
        let now = jiff::Timestamp::now().as_millisecond();
        if now > last {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

/// Guards that `LATEST` counts once: what comes while nobody reads, in a shard that nobody has seen, is read.
#[tokio::test]
async fn latest_loses_nothing_between_two_runs() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let latest = json!({ "start": "LATEST" });
    let reading = Reading::start(&fake, &file, latest.clone()).await;
    fake.until("a reader", |calls| calls.iter().any(|call| call.operation == "GetRecords")).await;
    assert_eq!(reading.stop().await, Vec::<String>::new());

    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "0");
    let [left, _right] = fake.split(&shard);
    fake.put_to(&left, "1");
    tick(&fake).await;
    let mut reading = Reading::start(&fake, &file, latest).await;
    assert_eq!(reading.deliver(2).await, ["0", "1"]);
    reading.stop().await;
}

/// Guards the stop: reading ends at once, the intake is given up so that lanes flush, and the source ends when everything it
/// handed on is settled and written down.
#[tokio::test]
async fn a_stop_drains_and_checkpoints() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let sequence = fake.put_to(&shard, "0");
    let mut reading = Reading::start(&fake, &file, json!({ "checkpoint_interval": "1h" })).await;
    let chunk = reading.chunk().await;
    reading.stop.stop();
    assert!(timeout(PATIENCE, reading.chunks.recv()).await.unwrap().is_none(), "the intake is given up");
    assert!(!reading.source.is_finished(), "a chunk is out");
    settle(chunk, Outcome::Delivered);
    timeout(PATIENCE, reading.source).await.unwrap().unwrap().unwrap();
    assert_eq!(leases(&file).await[&shard].checkpoint, at(&sequence));
}

/// Guards that a source which waits for room can be stopped all the same.
#[tokio::test]
async fn a_stop_needs_no_room() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let budget = Budget::new(10);
    let full = budget.charge(10);
    let reading = Reading::with_budget(&fake, &file, json!({}), budget).await;
    timeout(PATIENCE, reading.budget.pressure()).await.expect("the reader waits for room");
    reading.stop.stop();
    timeout(PATIENCE, reading.source).await.expect("it stops").unwrap().unwrap();
    drop(full);
}
