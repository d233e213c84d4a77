//! What stands still takes nothing from its neighbours, and says why.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use siemline::ack::Outcome;
use siemline::budget::Budget;
use siemline::lease::{self, Change, Changed, Checkpoint, Kind, Lease, LeaseTable, MemoryTable};
use siemline::metric::Reason;
use siemline::source::kinesis::KinesisSource;
use tokio::time::timeout;

use super::{PATIENCE, Reading, all_options, checkpoints, numbers, sdk_config, settle, text, until};
use crate::fakes::kinesis::{FakeKinesis, error};
use crate::fakes::plan::Plan;

/// A table that is shared, and that never answers to the checkpoints of one shard.
#[derive(Clone, Default)]
struct SharedTable {
    inner: Arc<MemoryTable>,
    stuck: String,
    asked: Arc<AtomicUsize>,
}

impl LeaseTable for SharedTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, lease::Error> {
        self.inner.load().await
    }

    async fn create(&self, shard: &str, lease: &Lease) -> Result<bool, lease::Error> {
        self.inner.create(shard, lease).await
    }

    async fn change(&self, shard: &str, change: &Change) -> Result<Changed, lease::Error> {
        if shard == self.stuck && matches!(change.kind, Kind::Checkpoint(_)) {
            self.asked.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
        }
        self.inner.change(shard, change).await
    }

    async fn remove(&self, shard: &str, counter: u64) -> Result<bool, lease::Error> {
        self.inner.remove(shard, counter).await
    }

    async fn reset(&self, shard: &str, counter: u64, checkpoint: &Checkpoint) -> Result<bool, lease::Error> {
        self.inner.reset(shard, counter, checkpoint).await
    }
}

/// Guards that a step of one shard which never ends holds up no other shard, though all share one task; nor its own reading.
#[tokio::test]
async fn a_stuck_checkpoint_stops_nobody() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    let table = SharedTable { stuck: shards[0].clone(), ..SharedTable::default() };
    let options = all_options(&fake, &file, &json!({ "standstill_after": "40ms" }));
    let source = KinesisSource::with_tables(&Arc::from("findings"), options, |_| table.clone());
    let mut reading = Reading::of(source.configured(sdk_config(&fake).await), Budget::new(64 << 20));
    fake.put_to(&shards[0], "stuck");
    assert_eq!(reading.deliver(1).await, ["stuck"]);
    until("the checkpoint that is never answered", || table.asked.load(Ordering::Relaxed) == 1).await;
    let mut sequence = String::new();
    for n in 0..5 {
        for shard in &shards {
            sequence = fake.put_to(shard, n.to_string());
        }
        assert_eq!(reading.deliver(2).await, [n.to_string(), n.to_string()], "both are read");
    }
    let at = super::at(&sequence);
    let waiting = async {
        while table.load().await.unwrap()[&shards[1]].checkpoint != at {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the checkpoint of the other is written");
    reading.kill().await;
}

/// Guards that what one shard has out and unsettled never takes the room of the other: the memory is small, and the other is
/// read to its end.
#[tokio::test]
async fn a_stuck_shard_takes_no_room_of_others() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    let large = "x".repeat(20_000);
    for n in 0..40 {
        fake.put_to(&shards[0], format!("stuck {large}"));
        fake.put_to(&shards[1], n.to_string());
    }
    let options = json!({ "chunk_bytes_max": "20kB", "records_max": 5 });
    let mut reading = Reading::with_budget(&fake, &file, options, Budget::new(1 << 20)).await;
    let (mut stuck, mut got) = (Vec::new(), Vec::new());
    while got.len() < 40 {
        let chunk = reading.chunk().await;
        let is_stuck = text(&chunk.records[0]).starts_with("stuck");
        if is_stuck {
            stuck.push(chunk);
        } else {
            got.extend(chunk.records.iter().map(text));
            settle(chunk, Outcome::Delivered);
        }
    }
    assert_eq!(got, numbers(0..40));
    let held: usize = stuck.iter().flat_map(|chunk| &chunk.records).map(|record| record.data.len()).sum();
    assert!(held <= 512 << 10, "{held} bytes of a share of 256 KiB and one answer");
    drop(stuck);
    reading.kill().await;
}

/// Guards that nothing is asked of the service for which there is no room: not a record is fetched while the memory is full.
#[tokio::test]
async fn nothing_is_read_without_room() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let budget = Budget::new(1 << 20);
    let full = budget.charge(1 << 20);
    let options = json!({ "standstill_after": "40ms" });
    let mut reading = Reading::with_budget(&fake, &file, options, budget).await;
    let shard = fake.open_shards().remove(0);
    until("the reason", || reading.state(&shard).reason == Reason::MemoryFull).await;
    let is_asked = |calls: &[crate::fakes::kinesis::Call]| calls.iter().any(|call| call.operation == "GetRecords");
    assert!(!is_asked(&fake.calls()));
    drop(full);
    assert_eq!(reading.deliver(1).await, ["0"]);
    assert!(is_asked(&fake.calls()));
    until("it moves again", || reading.state(&shard).reason == Reason::Moving).await;
    assert_eq!(reading.state(&shard).standstill_ms, 0);
    reading.stop().await;
}

/// Guards that the reason is told why a shard does not move, for each of them.
#[tokio::test]
async fn the_reason_is_told() {
    let quick = json!({ "standstill_after": "40ms", "chunk_bytes_max": "1B", "window_chunks_max": 1 });
    for (code, reason) in [
        ("ProvisionedThroughputExceededException", Reason::Throttled),
        ("KMSAccessDeniedException", Reason::Forbidden),
        ("InternalFailureException", Reason::Disturbed),
    ] {
        let fake = FakeKinesis::start(1, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        let shard = fake.open_shards().remove(0);
        fake.put_to(&shard, "0");
        let mut reading = Reading::start(&fake, &file, quick.clone()).await;
        reading.deliver(1).await;
        fake.plan(Plan::dice(1, 100, vec![error(code, "by plan")]));
        until(code, || reading.state(&shard).reason == reason && reading.state(&shard).standstill_ms > 0).await;
        fake.plan(Plan::healthy());
        until("it moves again", || reading.state(&shard).reason == Reason::Moving).await;
        let meter = reading.meter.shard(&shard.as_str().into());
        let counted = if reason == Reason::Throttled { meter.throttled.get() } else { meter.failures.get() };
        assert!(counted > 0, "{code}");
        reading.stop().await;
    }

    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "0");
    fake.put_to(&shard, "1");
    let [left, _right] = fake.split(&shard);
    let mut reading = Reading::start(&fake, &file, quick).await;
    let chunk = reading.chunk().await;
    until("a full lane", || reading.state(&shard).reason == Reason::LaneFull).await;
    until("a child", || reading.state(&left).reason == Reason::WaitsForParent).await;
    settle(chunk, Outcome::Delivered);
    assert_eq!(reading.deliver(1).await, ["1"]);
    until("the child is read", || reading.state(&left).reason == Reason::Moving).await;
    reading.stop().await;
}

/// Guards the measure of the real deadline: how long until the oldest record that is not delivered expires, by the retention
/// that the service tells; and how far the reading is behind.
#[tokio::test]
async fn headroom_is_measured() {
    const HOUR: i64 = 3_600_000;
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    fake.retention_hours(48);
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let now_ms = jiff::Timestamp::now().as_millisecond();
    fake.put_at(&shard, "0", now_ms - 20 * HOUR);
    fake.put_at(&shard, "1", now_ms - 10 * HOUR);
    let options =
        json!({ "records_max": 1, "chunk_bytes_max": "1B", "standstill_after": "40ms", "window_chunks_max": 1 });
    let mut reading = Reading::start(&fake, &file, options).await;
    let close = |state: siemline::metric::ShardState, hours: i64| {
        state.headroom_ms.is_some_and(|left| (left - hours * HOUR).abs() < HOUR / 10)
    };
    let chunk = reading.chunk().await;
    until("48 hours without the 20", || close(reading.state(&shard), 28)).await;
    assert!(reading.state(&shard).behind_ms.is_some_and(|behind| behind > 9 * 3_600_000), "the next is 10 hours old");
    settle(chunk, Outcome::Delivered);
    let chunk = reading.chunk().await;
    until("48 hours without the 10", || close(reading.state(&shard), 38)).await;
    settle(chunk, Outcome::Delivered);
    until("all of it", || close(reading.state(&shard), 48) && reading.state(&shard).behind_ms == Some(0)).await;
    let quiet = Duration::from_millis(1);
    assert!(timeout(quiet, reading.chunks.recv()).await.is_err());
    reading.stop().await;
}

/// Guards that a shard whose lease another worker has taken is given up at once, and that this is told; the others are read
/// on.
#[tokio::test]
async fn a_lost_lease_is_told() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    let table = SharedTable::default();
    let options = all_options(&fake, &file, &json!({ "standstill_after": "40ms" }));
    let source = KinesisSource::with_tables(&Arc::from("findings"), options, |_| table.clone());
    let mut reading = Reading::of(source.configured(sdk_config(&fake).await), Budget::new(64 << 20));
    fake.put_to(&shards[0], "0");
    assert_eq!(reading.deliver(1).await, ["0"]);
    let take = async {
        loop {
            let Lease { counter, owner: from, .. } = table.load().await.unwrap().remove(&shards[0]).unwrap();
            let change = Change { by: "siemline:other:1".into(), counter, kind: Kind::Take { from } };
            if matches!(table.change(&shards[0], &change).await.unwrap(), Changed::Done(_)) {
                return;
            }
        }
    };
    timeout(PATIENCE, take).await.expect("the lease is taken");
    until("the loss", || reading.state(&shards[0]).reason == Reason::LeaseLost).await;
    fake.put_to(&shards[1], "1");
    assert_eq!(reading.deliver(1).await, ["1"]);
    reading.kill().await;
}
