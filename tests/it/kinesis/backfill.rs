//! Backfills: a reading with an end.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Reading, checkpoints, leases};
use crate::fakes::kinesis::FakeKinesis;
use crate::fakes::plan::Plan;
use siemline::lease::Checkpoint;

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
