//! Backfills: a reading with an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use siemline::budget::Budget;
use siemline::lease::{Checkpoint, DynamoDbTable, Keys, Start};
use siemline::source::kinesis::KinesisSource;

use super::{Reading, all_options, checkpoints, leases, sdk_config};
use crate::fakes::dynamodb::FakeDynamoDb;
use crate::fakes::kinesis::FakeKinesis;
use crate::fakes::plan::Plan;

/// Nine in the morning of a day long ago, and a minute.
const NINE_MS: i64 = 1_700_038_800_000;
const MINUTE_MS: i64 = 60_000;

/// Guards a backfill: what arrived from the start on and before the end is delivered, also from shards that were closed
/// meanwhile and from their children; then the run ends by itself, without a fault. A record that is a little out of order at
/// the end is not missed. Another run finds nothing more.
#[tokio::test]
async fn a_backfill_ends_by_itself() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let open = fake.open_shards();
    let at = |minute: i64| NINE_MS + minute * MINUTE_MS;
    fake.put_at(&open[0], "too early", at(-1));
    fake.put_at(&open[0], "a0", at(1));
    let [left, right] = fake.split(&open[0]);
    fake.put_at(&left, "b0", at(2));
    fake.put_at(&left, "b1", at(10) - 1);
    fake.put_at(&left, "too late", at(10));
    fake.put_at(&left, "b2", at(10) - 500);
    fake.put_at(&left, "much too late", at(30));
    fake.put_at(&left, "read by nobody", at(5));
    fake.put_at(&right, "far too late", at(60));
    // The other shard is empty: its tip is now, long behind the end.
    let options = json!({ "start": "2023-11-15T09:00:00Z", "end": "2023-11-15T09:10:00Z" });
    let (got, result) = Reading::start(&fake, &file, options.clone()).await.end().await;
    result.unwrap();
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), ["a0", "b0", "b1", "b2"].map(String::from).into());
    let all = leases(&file).await;
    assert_eq!(all[&open[0]].checkpoint, Checkpoint::ShardEnd);
    assert_ne!(all[&left].checkpoint, Checkpoint::ShardEnd, "it goes on behind the end");

    let (got, result) = Reading::start(&fake, &file, options).await.end().await;
    result.unwrap();
    assert_eq!(got, Vec::<String>::new());
}

const TABLE: &str = "siemline";

/// A copy of a backfill that shares its leases with others through this table.
async fn copy(fake: &FakeKinesis, table: &FakeDynamoDb, options: &Value) -> Reading {
    let (_directory, file) = checkpoints();
    let sdk_config = sdk_config(fake).await;
    let shared = DynamoDbTable::new(&sdk_config, Some(&table.url), TABLE, Keys::Shard, Start::TrimHorizon);
    let source =
        KinesisSource::with_tables(&Arc::from("findings"), all_options(fake, &file, options), |_| shared.clone());
    Reading::of(source.configured(sdk_config), Budget::new(64 << 20))
}

/// Guards a backfill that several copies share: each ends by itself, whoever has how many shards, and what arrived before the
/// end is read once, also from shards that were split, and from those that one copy leaves to the other when it ends first.
#[tokio::test]
async fn a_shared_backfill_ends_in_every_copy() {
    let fake = FakeKinesis::start(4, Plan::healthy()).await;
    let table = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    let mut put = BTreeSet::new();
    let put_some = |shard: &str, from: u32, minute: i64, put: &mut BTreeSet<String>| {
        for n in from..from + 5 {
            let text = format!("{shard} {n}");
            fake.put_at(shard, text.clone(), NINE_MS + minute * MINUTE_MS);
            put.insert(text);
        }
    };
    let first = fake.open_shards();
    for shard in &first {
        put_some(shard, 0, 1, &mut put);
    }
    fake.split(&first[0]);
    for shard in fake.open_shards() {
        put_some(&shard, 10, 2, &mut put);
        fake.put_at(&shard, "too late", NINE_MS + 60 * MINUTE_MS);
    }

    let options = json!({
        "start": "2023-11-15T09:00:00Z",
        "end": "2023-11-15T09:10:00Z",
        "lease": { "failover": "2s" },
        "shard_sync_interval": "1s",
        "records_max": 2,
        "chunk_bytes_max": "1B",
    });
    let mut readings = Vec::new();
    for _ in 0..3 {
        readings.push(copy(&fake, &table, &options).await);
    }
    let ended = futures_util::future::join_all(readings.into_iter().map(Reading::end)).await;
    let mut got: Vec<String> = Vec::new();
    for (texts, result) in ended {
        result.unwrap();
        got.extend(texts);
    }
    got.sort();
    assert_eq!(got, put.into_iter().collect::<Vec<_>>(), "each once");
    let items = table.items(TABLE);
    let open = items.values().filter(|item| item["checkpoint"]["S"] != "SHARD_END");
    assert!(open.clone().all(|item| !item.contains_key("leaseOwner")), "all is released: {items:#?}");
    assert_eq!(open.count(), 5, "they go on behind the end");

    let (got, result) = copy(&fake, &table, &options).await.end().await;
    result.unwrap();
    assert_eq!(got, Vec::<String>::new(), "another copy finds nothing more");
}

/// Guards that a copy which gets no shard ends as well: nothing happens to it that would wake it but the time.
#[tokio::test]
async fn a_copy_with_nothing_to_read_ends_too() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let table = FakeDynamoDb::with_table(TABLE, Plan::healthy()).await;
    fake.put("key", "0");
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let options = json!({ "end": end.to_string(), "lease": { "failover": "30s" }, "shard_sync_interval": "10m" });
    let readings = [copy(&fake, &table, &options).await, copy(&fake, &table, &options).await];
    let ended = futures_util::future::join_all(readings.into_iter().map(Reading::end)).await;
    let mut got = Vec::new();
    for (texts, result) in ended {
        result.unwrap();
        got.extend(texts);
    }
    assert_eq!(got, ["0"]);
}
