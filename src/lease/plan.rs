//! What to read next. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checkpoint, Lease};

/// A shard as the stream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shards it came from.
    pub parents: Vec<String>,
    /// Whether no more records can come.
    pub is_closed: bool,
}

/// Where the reading of a stream begins when there is no checkpoint yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    TrimHorizon,
    /// With the first record at or after this time, in milliseconds since 1970. `LATEST` is the time of the first start: it
    /// is written down, so that a crash before the first checkpoint skips nothing.
    AtTimestamp(i64),
}

/// What a look at the shards and the table asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Leases to create.
    pub create: Vec<(String, Lease)>,
    /// Leases to remove: their shards are finished and no longer listed.
    pub remove: Vec<String>,
    /// Shards to read now, and from where: not finished, and all their parents are.
    pub read: Vec<(String, Checkpoint)>,
}

/// Compares the shards of a stream with the table of leases.
///
/// A shard is read only when all of its parents are finished. A parent that is no longer listed is gone with its records,
/// and blocks nobody. `start` counts for an empty table only: a shard that appears later is read from its beginning, since
/// its records came after those that were read.
#[must_use]
pub fn plan(shards: &[Shard], leases: &BTreeMap<String, Lease>, start: Start) -> Plan {
    let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
    let mut plan = Plan::default();
    let first = if leases.is_empty() { first_checkpoint(start) } else { Checkpoint::TrimHorizon };
    for shard in shards.iter().filter(|shard| !leases.contains_key(&shard.id)) {
        let lease = Lease { checkpoint: first.clone(), parents: shard.parents.clone() };
        plan.create.push((shard.id.clone(), lease));
    }
    let created: BTreeMap<&str, &Lease> = plan.create.iter().map(|(id, lease)| (id.as_str(), lease)).collect();
    let known = |id: &str| leases.get(id).or_else(|| created.get(id).copied());
    let is_finished = |id: &String| {
        !listed.contains(id.as_str()) || known(id).is_none_or(|lease| lease.checkpoint == Checkpoint::ShardEnd)
    };
    let all =
        leases.iter().map(|(id, lease)| (id.as_str(), lease)).chain(created.iter().map(|(id, lease)| (*id, *lease)));
    for (id, lease) in all {
        let is_listed = listed.contains(id);
        match lease.checkpoint {
            Checkpoint::ShardEnd if !is_listed => plan.remove.push(id.to_owned()),
            Checkpoint::ShardEnd => {}
            _ if is_listed && lease.parents.iter().all(is_finished) => {
                plan.read.push((id.to_owned(), lease.checkpoint.clone()));
            }
            // Its last record has expired: nothing can be read any more.
            _ if !is_listed => plan.remove.push(id.to_owned()),
            _ => {}
        }
    }
    plan
}

const fn first_checkpoint(start: Start) -> Checkpoint {
    match start {
        Start::TrimHorizon => Checkpoint::TrimHorizon,
        Start::AtTimestamp(time_ms) => Checkpoint::AtTimestamp(time_ms),
    }
}
