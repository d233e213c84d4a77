//! A lease as the table holds it: the attributes of KCL 2 and 3 (`DynamoDBLeaseSerializer`,
//! `DynamoDBMultiStreamLeaseSerializer`), and one of our own.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::keys::Keys;
use crate::lease::{Checkpoint, HashRange, Leader, Lease, Start};

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

/// The hash key of the table.
pub const LEASE_KEY: &str = "leaseKey";
pub const OWNER: &str = "leaseOwner";
pub const COUNTER: &str = "leaseCounter";
pub const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub const CHECKPOINT: &str = "checkpoint";
pub const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
pub const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub const CHILDREN: &str = "childShardIds";
/// What an application on KCL has prepared and not confirmed: a new checkpoint takes it away.
pub const PENDING: [&str; 3] = ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];
/// Ours: the time that stands behind `AT_TIMESTAMP` and `LATEST`, in milliseconds since 1970. KCL knows it from its own
/// configuration only, and leaves the attribute alone.
pub const START_TIMESTAMP: &str = "siemlineStartTimestamp";
const PARENTS: &str = "parentShardId";
const START_HASH: &str = "startingHashKey";
const END_HASH: &str = "endingHashKey";
const STREAM: &str = "streamName";
const SHARD: &str = "shardId";
const ENTITY: &str = "entityType";

/// The key of a leader's lock, in the table of leases (KCL 3.5) or in a table of its own.
pub const LEADER: &str = "Leader";

/// The sentinels of KCL, which stand in the place of a sequence number.
const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// The item of a new lease. `start` says which sentinel stands for a start at a time.
pub fn item(keys: &Keys, shard: &str, lease: &Lease, start: Start) -> Item {
    let text = |text: String| AttributeValue::S(text);
    let mut item = Item::from([
        (LEASE_KEY.to_owned(), text(keys.key(shard))),
        (COUNTER.to_owned(), number(lease.counter)),
        (OWNER_SWITCHES.to_owned(), number(lease.owner_switches)),
    ]);
    item.extend(checkpoint(&lease.checkpoint, start).map(|(name, value)| (name.to_owned(), value)));
    let owners = [(OWNER, &lease.owner), (CHECKPOINT_OWNER, &lease.checkpoint_owner)];
    for (name, owner) in owners {
        if let Some(owner) = owner {
            item.insert(name.to_owned(), text(owner.to_string()));
        }
    }
    for (name, shards) in [(PARENTS, &lease.parents), (CHILDREN, &lease.children)] {
        if !shards.is_empty() {
            item.insert(name.to_owned(), AttributeValue::Ss(shards.clone()));
        }
    }
    if let Some(range) = lease.hash_range {
        item.insert(START_HASH.to_owned(), text(range.start.to_string()));
        item.insert(END_HASH.to_owned(), text(range.end.to_string()));
    }
    if let Some(stream) = keys.stream() {
        item.insert(STREAM.to_owned(), text(stream.to_string()));
        item.insert(SHARD.to_owned(), text(shard.to_owned()));
    }
    item
}

/// The attributes of a checkpoint.
pub fn checkpoint(checkpoint: &Checkpoint, start: Start) -> impl Iterator<Item = (&'static str, AttributeValue)> {
    let (text, sub_sequence, time_ms) = match checkpoint {
        Checkpoint::TrimHorizon => (TRIM_HORIZON, 0, None),
        Checkpoint::AtTimestamp(time_ms) if matches!(start, Start::Latest(_)) => (LATEST, 0, Some(*time_ms)),
        Checkpoint::AtTimestamp(time_ms) => (AT_TIMESTAMP, 0, Some(*time_ms)),
        Checkpoint::Sequence { sequence, sub_sequence } => (sequence.as_str(), *sub_sequence, None),
        Checkpoint::ShardEnd => (SHARD_END, 0, None),
    };
    let always = [(CHECKPOINT, AttributeValue::S(text.to_owned())), (SUB_SEQUENCE, number(sub_sequence))];
    always.into_iter().chain(time_ms.map(|time_ms| (START_TIMESTAMP, AttributeValue::N(time_ms.to_string()))))
}

/// Reads an item: the shard and its lease. `None` is an item that is no lease, or of another stream.
///
/// # Errors
///
/// With what is wrong with a lease that cannot be understood.
pub fn lease(keys: &Keys, item: &Item, start: Start) -> Result<Option<(String, Lease)>, String> {
    let Some(key) = text(item, LEASE_KEY) else { return Ok(None) };
    // KCL 3.5 keeps other things in the table, and says which.
    let is_lease = text(item, ENTITY).is_none_or(|entity| entity == "LEASE");
    let Some(shard) = keys.shard(key).filter(|_| is_lease) else { return Ok(None) };
    let wrong = |what: &str| format!("the item `{key}` has no {what} that can be read");
    let hash_range = match (text(item, START_HASH), text(item, END_HASH)) {
        (Some(start), Some(end)) => Some(HashRange::parse(start, end).ok_or_else(|| wrong("hash range"))?),
        _ => None,
    };
    let mut lease = Lease::new(
        read_checkpoint(item, start).ok_or_else(|| wrong("`checkpoint`"))?,
        texts(item, PARENTS),
        hash_range,
    );
    lease.children = texts(item, CHILDREN);
    lease.owner = text(item, OWNER).map(Into::into);
    lease.checkpoint_owner = text(item, CHECKPOINT_OWNER).map(Into::into);
    lease.counter = whole(item, COUNTER).ok_or_else(|| wrong("`leaseCounter`"))?;
    lease.owner_switches = whole(item, OWNER_SWITCHES).unwrap_or(0);
    Ok(Some((shard.to_owned(), lease)))
}

/// Reads a leader's lock, as Amazon's lock client for DynamoDB writes it. `None` where it is released.
pub fn leader(item: &Item) -> Option<Leader> {
    let is_released = item.contains_key("isReleased");
    let owner = text(item, "ownerName").filter(|_| !is_released)?;
    let lasts = text(item, "leaseDuration").and_then(|text| text.parse().ok()).unwrap_or(120_000);
    let version = text(item, "recordVersionNumber").unwrap_or_default();
    Some(Leader { owner: owner.to_owned(), version: version.to_owned(), lasts: Duration::from_millis(lasts) })
}

pub fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Where KCL wrote a sentinel without a time, the configuration's counts: that of the first start of this process for
/// `LATEST`, and the oldest record where it names no time at all, so that nothing is skipped.
fn read_checkpoint(item: &Item, start: Start) -> Option<Checkpoint> {
    let time_ms = match item.get(START_TIMESTAMP) {
        Some(AttributeValue::N(number)) => number.parse().ok(),
        _ => None,
    };
    let configured = match start {
        Start::AtTimestamp(time_ms) | Start::Latest(time_ms) => Some(time_ms),
        Start::TrimHorizon => None,
    };
    Some(match text(item, CHECKPOINT)? {
        TRIM_HORIZON => Checkpoint::TrimHorizon,
        SHARD_END => Checkpoint::ShardEnd,
        AT_TIMESTAMP | LATEST => time_ms.or(configured).map_or(Checkpoint::TrimHorizon, Checkpoint::AtTimestamp),
        digits if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Checkpoint::Sequence { sequence: digits.to_owned(), sub_sequence: whole(item, SUB_SEQUENCE).unwrap_or(0) }
        }
        _ => return None,
    })
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

fn texts(item: &Item, name: &str) -> Vec<String> {
    let mut texts = match item.get(name) {
        Some(AttributeValue::Ss(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    // A set has no order.
    texts.sort_unstable();
    texts
}

fn whole(item: &Item, name: &str) -> Option<u64> {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().ok(),
        _ => None,
    }
}
