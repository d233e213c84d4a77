//! Leases in DynamoDB over sockets: several workers share a stream, hand it over, and take over from each other.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::Credentials;
use serde_json::json;
use siemline::aws;
use siemline::lease::{
    self, Checkpoint, DynamoDbTable, Ended, Error, Grants, HashRange, Keys, LeaseTable as _, ListError, Recall, Rules,
    Shard, Shards, Start, StreamIdentity,
};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::fakes::dynamodb::{FakeDynamoDb, error, passing};
use crate::fakes::kinesis::PATIENCE;
use crate::fakes::plan::{Fault, Plan};

const TABLE: &str = "siemline";

/// A second is long for a test, and short for a loaded machine.
const FAILOVER: Duration = Duration::from_secs(2);

/// A stream that is as the test says.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<Shard>>>);

impl Shards for Stream {
    type Error = Infallible;

    async fn list(&self) -> Result<Vec<Shard>, ListError<Infallible>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

impl Stream {
    fn of(shards: usize) -> Self {
        let stream = Self::default();
        (0..shards).for_each(|_| drop(stream.add(&[])));
        stream
    }

    fn add(&self, parents: &[&str]) -> String {
        let mut shards = self.0.lock().unwrap();
        let id = format!("shardId-{:012}", shards.len());
        let parents = parents.iter().map(ToString::to_string).collect();
        let hash_range = Some(HashRange { start: 0, end: 99 });
        shards.push(Shard { id: id.clone(), parents, is_closed: false, hash_range });
        id
    }
}

/// What the copies have done together.
#[derive(Clone, Default)]
struct Log {
    /// Who reads which shard.
    readers: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
    changed: Arc<Notify>,
}

impl Log {
    fn begins(&self, copy: &str, shard: &str) {
        self.readers.lock().unwrap().entry(shard.to_owned()).or_default().insert(copy.to_owned());
        self.changed.notify_waiters();
    }

    fn ends(&self, copy: &str, shard: &str) {
        if let Some(readers) = self.readers.lock().unwrap().get_mut(shard) {
            readers.remove(copy);
        }
        self.changed.notify_waiters();
    }

    /// How many shards each copy reads.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for reader in self.readers.lock().unwrap().values().flatten() {
            *counts.entry(reader.clone()).or_default() += 1;
        }
        counts
    }

    async fn until(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> =
            expected.iter().map(|(copy, count)| ((*copy).to_owned(), *count)).collect();
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if self.counts() == expected {
                    return;
                }
                changed.await;
            }
        };
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "waited for {expected:?}: {:?}", self.counts());
    }
}

/// One copy of a process that reads: it takes what is granted, and writes a checkpoint when it gives a shard back.
struct Copy {
    coordinating: JoinHandle<Result<(), Ended<Infallible>>>,
    reading: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Copy {
    async fn start(name: &str, fake: &FakeDynamoDb, stream: &Stream, log: &Log) -> Self {
        Self::with_keys(name, fake, stream, log, Keys::Shard).await
    }

    async fn with_keys(name: &str, fake: &FakeDynamoDb, stream: &Stream, log: &Log, keys: Keys) -> Self {
        let table = table(fake, keys, Start::TrimHorizon).await;
        let id = lease::worker_id(name, fastrand::u64(..)).into();
        let (coordinator, grants) = lease::coordinator(&Arc::from(name), table, stream.clone(), id, rules());
        let stop = Arc::new(Notify::new());
        let reading = tokio::spawn(read(name.to_owned(), grants, log.clone(), Arc::clone(&stop)));
        Self { coordinating: tokio::spawn(coordinator.run()), reading, stop }
    }

    /// Asks to stop, and waits until all is released.
    async fn stop(self) {
        self.stop.notify_one();
        let ended = timeout(PATIENCE, self.coordinating).await.expect("it stops").unwrap();
        assert!(ended.is_ok(), "{ended:?}");
        self.reading.await.unwrap();
    }

    /// Dies without a word.
    async fn kill(self) {
        self.coordinating.abort();
        self.reading.abort();
        assert!(self.coordinating.await.unwrap_err().is_cancelled());
        let _ended = self.reading.await;
    }
}

/// Takes note of its end, however it ends.
struct Read<'a>(&'a Log, &'a str, String);

impl Drop for Read<'_> {
    fn drop(&mut self) {
        self.0.ends(self.1, &self.2);
    }
}

async fn read(name: String, grants: Grants, log: Log, stop: Arc<Notify>) {
    let mut readers = JoinSet::new();
    let (halt, halted) = siemline::shutdown::channel();
    loop {
        tokio::select! {
            grant = grants.next() => {
                let Some(mut grant) = grant else { break };
                let (name, log, halted) = (name.clone(), log.clone(), halted.clone());
                readers.spawn(async move {
                    log.begins(&name, grant.shard());
                    let _read = Read(&log, &name, grant.shard().to_string());
                    let mut settled = match grant.from() {
                        Checkpoint::Sequence { sequence, .. } => sequence.parse::<u64>().unwrap(),
                        _ => 0,
                    };
                    tokio::select! {
                        recall = grant.recalled() => if recall == Recall::Lost { return },
                        () = halted.requested() => {}
                    }
                    settled += 1;
                    let checkpoint = Checkpoint::Sequence { sequence: settled.to_string(), sub_sequence: 0 };
                    let _written = grant.checkpoint(checkpoint).await;
                });
            }
            () = stop.notified() => break,
        }
    }
    halt.stop();
    grants.stop();
    while readers.join_next().await.is_some() {}
}

fn rules() -> Rules {
    Rules {
        failover: FAILOVER,
        hand_over_max: Duration::from_secs(30),
        sync_every: Duration::from_secs(1),
        finished_kept: Duration::ZERO,
        start: Start::TrimHorizon,
        leases_max: 100,
    }
}

async fn table(fake: &FakeDynamoDb, keys: Keys, start: Start) -> DynamoDbTable {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let sdk_config = aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await;
    DynamoDbTable::new(&sdk_config, Some(&fake.url), TABLE, keys, start)
}

fn stream_named(name: &str) -> StreamIdentity {
    StreamIdentity { account: "111122223333".into(), name: name.into(), created_s: 1_700_000_000 }
}

/// Guards scaling out, a deploy and scaling in: shares are even, a stop hands over at once and not after the failover time,
/// with the checkpoint written; and nobody ever reads a shard beside another.
#[tokio::test]
async fn copies_come_and_go() {
    let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    fake.page_items_max(2);
    let (stream, log) = (Stream::of(4), Log::default());
    let a = Copy::start("a", &fake, &stream, &log).await;
    log.until(&[("a", 4)]).await;
    let b = Copy::start("b", &fake, &stream, &log).await;
    log.until(&[("a", 2), ("b", 2)]).await;
    let began = Instant::now();
    a.stop().await;
    log.until(&[("b", 4)]).await;
    assert!(began.elapsed() < FAILOVER, "a deploy hands over without waiting: {:?}", began.elapsed());
    let twice = fake.items(TABLE).values().filter(|item| item["checkpoint"]["S"] == "1").count();
    assert_eq!(twice, 4, "each was given back once, with its checkpoint");
    b.stop().await;
    let owned = fake.items(TABLE).values().filter(|item| item.contains_key("leaseOwner")).count();
    assert_eq!(owned, 0, "all is released");
}

/// Guards the take-over from the dead, also while the table is disturbed and gives nothing back when a condition fails.
#[tokio::test]
async fn the_dead_are_replaced() {
    for is_disturbed in [false, true] {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let plan = if is_disturbed { Plan::dice(seed, 5, passing()) } else { Plan::healthy() };
        let fake = FakeDynamoDb::with_table(TABLE, plan).await;
        if is_disturbed {
            fake.give_nothing_back();
        }
        let (stream, log) = (Stream::of(3), Log::default());
        let a = Copy::start("a", &fake, &stream, &log).await;
        log.until(&[("a", 3)]).await;
        a.kill().await;
        let began = Instant::now();
        let b = Copy::start("b", &fake, &stream, &log).await;
        log.until(&[("b", 3)]).await;
        assert!(began.elapsed() >= FAILOVER, "the living are not robbed");
        b.stop().await;
    }
}

/// Guards a table that is behind, and conditions that fail without a reason: what a scan shows as it was before the last write,
/// or a check refuses, costs another look, and in the end every shard is read by one.
#[tokio::test]
async fn a_table_that_is_behind_costs_time_only() {
    let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    fake.page_items_max(1);
    fake.scan_behind();
    fake.refuse("UpdateItem", "ConditionalCheckFailedException");
    let (stream, log) = (Stream::of(4), Log::default());
    let a = Copy::start("a", &fake, &stream, &log).await;
    let refused = || fake.calls().iter().filter(|call| call.error.is_some()).count();
    let waiting = async {
        while refused() < 8 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("each is tried again");
    assert_eq!(log.counts(), BTreeMap::new(), "what is refused is not read");
    fake.mend();
    log.until(&[("a", 4)]).await;
    let b = Copy::start("b", &fake, &stream, &log).await;
    log.until(&[("a", 2), ("b", 2)]).await;
    a.stop().await;
    log.until(&[("b", 4)]).await;
    b.stop().await;
}

/// Guards resharding: children are read when their parents are finished, tombstones go when nobody needs them.
#[tokio::test]
async fn children_follow_and_tombstones_go() {
    let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    let stream = Stream::of(2);
    let table = table(&fake, Keys::Shard, Start::TrimHorizon).await;
    let id = lease::worker_id("a", 1).into();
    let (coordinator, grants) = lease::coordinator(&Arc::from("a"), table, stream.clone(), id, rules());
    let coordinating = tokio::spawn(coordinator.run());
    let mut first = timeout(PATIENCE, grants.next()).await.unwrap().unwrap();
    let mut second = timeout(PATIENCE, grants.next()).await.unwrap().unwrap();
    let merged = stream.add(&[first.shard(), second.shard()]);
    let parents = [first.shard().to_string(), second.shard().to_string()];
    let child = stream.0.lock().unwrap().last().cloned().unwrap();
    first.finish(vec![child]).await.unwrap();
    assert_eq!(fake.attribute(TABLE, first.shard(), "checkpoint").unwrap(), "SHARD_END");
    assert_eq!(fake.items(TABLE)[first.shard().as_ref()]["childShardIds"], json!({ "SS": [merged] }));
    drop(first);
    assert!(timeout(FAILOVER / 2, grants.next()).await.is_err(), "a merge waits for both");
    second.finish(Vec::new()).await.unwrap();
    drop(second);
    let mut third = timeout(PATIENCE, grants.next()).await.unwrap().unwrap();
    assert_eq!((third.shard().as_ref(), third.from()), (merged.as_str(), &Checkpoint::TrimHorizon));
    assert_eq!(third.hash_range(), Some(HashRange { start: 0, end: 99 }));
    third.checkpoint(Checkpoint::Sequence { sequence: "8".into(), sub_sequence: 3 }).await.unwrap();
    assert_eq!(fake.attribute(TABLE, &merged, "checkpointSubSequenceNumber").unwrap(), "3");
    fake.until(TABLE, "the tombstones to go", |items| !parents.iter().any(|parent| items.contains_key(parent))).await;
    grants.stop();
    drop(third);
    timeout(PATIENCE, coordinating).await.unwrap().unwrap().unwrap();
}

/// Guards what KCL 2 leaves behind, and KCL 2 itself: a dead worker's leases are continued at their checkpoints; a living one
/// is robbed of its share as KCL robs, and never beyond it.
#[tokio::test]
async fn beside_kcl_2() {
    let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    let stream = Stream::of(2);
    let kcl = |shard: usize, counter: u64| {
        json!({
            "leaseKey": { "S": format!("shardId-{shard:012}") },
            "leaseOwner": { "S": "host-17:0bde" },
            "leaseCounter": { "N": counter.to_string() },
            "ownerSwitchesSinceCheckpoint": { "N": "0" },
            "checkpoint": { "S": "41" },
            "checkpointSubSequenceNumber": { "N": "0" },
            "parentShardId": { "SS": ["shardId-gone"] },
        })
    };
    (0..2).for_each(|shard| fake.put(TABLE, kcl(shard, 7)));
    let log = Log::default();
    let a = Copy::start("a", &fake, &stream, &log).await;
    log.until(&[("a", 1)]).await;
    assert!(fake.items(TABLE).values().all(|item| !item.contains_key("checkpointOwner")), "KCL 2 knows no asking");
    log.until(&[("a", 2)]).await;
    a.stop().await;
    let checkpoints: Vec<String> =
        (0..2).map(|shard| fake.attribute(TABLE, &format!("shardId-{shard:012}"), "checkpoint").unwrap()).collect();
    assert_eq!(checkpoints, ["42", "42"], "behind what KCL had settled");
    assert_eq!(fake.attribute(TABLE, "shardId-000000000000", "ownerSwitchesSinceCheckpoint").unwrap(), "0");
}

/// Guards the leader of KCL 3: while it lives nothing is taken, whether its lock lies in the table of leases or in its own.
#[tokio::test]
async fn beside_a_leader_of_kcl_3() {
    for (table, key) in [(TABLE.to_owned(), "leaseKey"), (format!("{TABLE}-CoordinatorState"), "key")] {
        let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
        if table != TABLE {
            fake.make_table(&table, key);
        }
        let lock = |released: bool| {
            let mut lock = json!({
                (key): { "S": "Leader" },
                "ownerName": { "S": "java" },
                "leaseDuration": { "S": "120000" },
                "recordVersionNumber": { "S": "1" },
            });
            if released {
                lock["isReleased"] = json!({ "S": "1" });
            }
            lock
        };
        fake.put(&table, lock(false));
        let (stream, log) = (Stream::of(1), Log::default());
        let a = Copy::start("a", &fake, &stream, &log).await;
        fake.until(TABLE, "the lease", |items| items.contains_key("shardId-000000000000")).await;
        tokio::time::sleep(FAILOVER).await;
        assert_eq!(log.counts(), BTreeMap::new(), "a leader assigns");
        fake.put(&table, lock(true));
        log.until(&[("a", 1)]).await;
        a.stop().await;
    }
}

/// Guards that streams and applications share one table without seeing each other's leases.
#[tokio::test]
async fn one_table_for_many() {
    let fake = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    fake.page_items_max(1);
    let all = [
        Keys::Stream(stream_named("security")),
        Keys::Stream(stream_named("audit")),
        Keys::Application("soc".into(), stream_named("security")),
    ];
    let (stream, mut copies) = (Stream::of(2), Vec::new());
    for (n, keys) in all.iter().enumerate() {
        let log = Log::default();
        copies.push(Copy::with_keys(&n.to_string(), &fake, &stream, &log, keys.clone()).await);
        log.until(&[(&n.to_string(), 2)]).await;
    }
    assert_eq!(fake.items(TABLE).len(), 6);
    for copy in copies {
        copy.stop().await;
    }
    let item = &fake.items(TABLE)["111122223333:audit:1700000000:shardId-000000000001"];
    assert_eq!(item["streamName"], json!({ "S": "111122223333:audit:1700000000" }));
    assert_eq!(item["shardId"], json!({ "S": "shardId-000000000001" }));
}

/// Guards the messages: each says what is wrong, which call it was, and what to do; what may be mended while it waits is
/// waited for.
#[tokio::test]
async fn bad_tables_are_explained() {
    let fake = FakeDynamoDb::start(Plan::healthy()).await;
    let missing = table(&fake, Keys::Shard, Start::TrimHorizon).await;
    let words = missing.load().await.unwrap_err().to_string();
    assert!(words.contains("Scan") && words.contains("`siemline`") && words.contains("create_table"), "{words}");
    assert!(matches!(missing.check().await, Err(Error::Table(_))));

    missing.create_table().await.unwrap();
    missing.create_table().await.unwrap();
    missing.check().await.unwrap();
    assert_eq!(missing.load().await.unwrap(), BTreeMap::new());
    let created = fake.calls().iter().filter(|call| call.operation == "CreateTable").count();
    assert_eq!(created, 1, "it is there");

    let fake = FakeDynamoDb::start(Plan::healthy()).await;
    fake.make_table(TABLE, "id");
    let foreign = table(&fake, Keys::Shard, Start::TrimHorizon).await;
    let error_of_schema = foreign.check().await.unwrap_err();
    assert!(error_of_schema.to_string().contains("id (HASH)"), "{error_of_schema}");
    assert!(!error_of_schema.is_passing());

    let denied = || {
        let body = json!({ "__type": "AccessDeniedException", "Message": "not authorized" }).to_string();
        Fault::Reject { status: 400, body, retry_after_s: None }
    };
    let fake = FakeDynamoDb::with_table(TABLE, Plan::script([denied(), denied(), error("ThrottlingException")])).await;
    let forbidden = table(&fake, Keys::Shard, Start::TrimHorizon).await.load().await.unwrap_err();
    assert!(forbidden.is_passing() && forbidden.to_string().contains("dynamodb:Scan"), "{forbidden}");
    let (stream, log) = (Stream::of(1), Log::default());
    let a = Copy::start("a", &fake, &stream, &log).await;
    log.until(&[("a", 1)]).await;
    a.stop().await;
}
