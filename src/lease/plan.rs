//! Which leases a stream's shards ask for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checkpoint, HashRange, Lease};

/// A shard as the stream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shards it came from.
    pub parents: Vec<String>,
    /// Whether no more records can come.
    pub is_closed: bool,
    /// The hash keys that belong to it.
    pub hash_range: Option<HashRange>,
}

/// Where the reading of a stream begins when there is no checkpoint yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    TrimHorizon,
    /// With the first record at or after this time, in milliseconds since 1970.
    AtTimestamp(i64),
    /// With what comes after the first start, which was at this time, in milliseconds since 1970. It is written down, so that
    /// a crash before the first checkpoint skips nothing.
    Latest(i64),
}

/// What a look at the shards and the table asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Leases to create, parents before children. A lease must not be created before those of its parents: what is found
    /// after a crash midway would otherwise look as if the parents had been read.
    pub create: Vec<(String, Lease)>,
    /// Leases to remove: finished, and no longer needed by anybody; or of shards whose records have all expired.
    pub remove: Vec<String>,
}

/// Compares the shards of a stream with its leases.
///
/// - An empty table begins with the oldest shards there are (`TRIM_HORIZON`; the others follow when their parents are
///   finished), or with all of them from one time, which for a closed shard is mostly its end.
/// - A shard without a lease gets one when all its parents that are still listed are finished. It is read from its
///   beginning, whatever `start` says, since its records came after those that were read. Without parents it begins at
///   `start`.
/// - A shard whose descendant has a lease gets none: it was finished before, or was there before the start.
/// - A finished lease stays until its shard is no longer listed, or until its parents' leases are gone and all its children
///   have left their beginning: until then somebody may still have to see that it is finished.
/// - A lease whose shard is no longer listed is removed: its records have expired.
#[must_use]
pub fn plan(shards: &[Shard], leases: &BTreeMap<String, Lease>, start: Start) -> Plan {
    let listed: BTreeMap<&str, &Shard> = shards.iter().map(|shard| (shard.id.as_str(), shard)).collect();
    Plan { create: create(shards, &listed, leases, start), remove: remove(shards, &listed, leases) }
}

/// Says whether a shard may be read now: it is not finished, and all its parents are. A parent without a lease is gone with
/// its records, and blocks nobody.
#[must_use]
pub fn is_ready(lease: &Lease, leases: &BTreeMap<String, Lease>) -> bool {
    !lease.is_finished() && lease.parents.iter().all(|parent| leases.get(parent).is_none_or(Lease::is_finished))
}

fn create(
    shards: &[Shard],
    listed: &BTreeMap<&str, &Shard>,
    leases: &BTreeMap<String, Lease>,
    start: Start,
) -> Vec<(String, Lease)> {
    let first = first_checkpoint(start, leases);
    let lease = |shard: &Shard, checkpoint: Checkpoint| {
        (shard.id.clone(), Lease::new(checkpoint, shard.parents.clone(), shard.hash_range))
    };
    if leases.is_empty() && !matches!(start, Start::TrimHorizon) {
        return parents_first(shards, listed).into_iter().map(|shard| lease(shard, first.clone())).collect();
    }
    let superseded = ancestors_of_leases(listed, leases);
    let new = shards.iter().filter(|shard| !leases.contains_key(&shard.id) && !superseded.contains(shard.id.as_str()));
    new.filter_map(|shard| {
        let mut parents = shard.parents.iter().filter(|parent| listed.contains_key(parent.as_str())).peekable();
        if parents.peek().is_none() {
            // Parents that have expired were its beginning, if they were read.
            let follows = shard.parents.iter().any(|parent| leases.contains_key(parent));
            return Some(lease(shard, if follows { Checkpoint::TrimHorizon } else { first.clone() }));
        }
        // A parent without a lease has, by the rules above, another descendant with one.
        let is_finished = |parent: &String| match leases.get(parent) {
            Some(lease) => lease.is_finished(),
            None => superseded.contains(parent.as_str()),
        };
        parents.all(is_finished).then(|| lease(shard, Checkpoint::TrimHorizon))
    })
    .collect()
}

/// All shards, each behind its parents.
fn parents_first<'a>(shards: &'a [Shard], listed: &BTreeMap<&str, &'a Shard>) -> Vec<&'a Shard> {
    let (mut ordered, mut done) = (Vec::new(), BTreeSet::new());
    let mut rest: Vec<&Shard> = shards.iter().collect();
    loop {
        let is_next = |shard: &&Shard| {
            shard.parents.iter().all(|parent| done.contains(parent.as_str()) || !listed.contains_key(parent.as_str()))
        };
        let (next, later): (Vec<&Shard>, Vec<&Shard>) = rest.into_iter().partition(is_next);
        if next.is_empty() {
            // A circle, which no service lists: in whatever order.
            ordered.extend(later);
            return ordered;
        }
        done.extend(next.iter().map(|shard| shard.id.as_str()));
        ordered.extend(next);
        rest = later;
    }
}

/// The listed shards that have a descendant with a lease.
fn ancestors_of_leases<'a>(
    listed: &BTreeMap<&'a str, &'a Shard>,
    leases: &'a BTreeMap<String, Lease>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = leases.values().flat_map(|lease| &lease.parents).map(String::as_str).collect();
    next.extend(
        leases.keys().filter_map(|id| listed.get(id.as_str())).flat_map(|shard| &shard.parents).map(String::as_str),
    );
    while let Some(id) = next.pop() {
        if let Some(shard) = listed.get(id)
            && found.insert(shard.id.as_str())
        {
            next.extend(shard.parents.iter().map(String::as_str));
        }
    }
    found
}

fn remove(shards: &[Shard], listed: &BTreeMap<&str, &Shard>, leases: &BTreeMap<String, Lease>) -> Vec<String> {
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for shard in shards {
        for parent in &shard.parents {
            children.entry(parent).or_default().push(&shard.id);
        }
    }
    let has_begun = |child: &&str| {
        let is_begun = |lease: &Lease| matches!(lease.checkpoint, Checkpoint::Sequence { .. } | Checkpoint::ShardEnd);
        leases.get(*child).is_some_and(is_begun)
    };
    let is_superseded = |id: &str, lease: &Lease| {
        lease.is_finished()
            && !lease.parents.iter().any(|parent| leases.contains_key(parent))
            && children.get(id).is_some_and(|children| children.iter().all(has_begun))
    };
    let needless = leases.iter().filter(|(id, lease)| !listed.contains_key(id.as_str()) || is_superseded(id, lease));
    needless.map(|(id, _)| id.clone()).collect()
}

/// `LATEST` is the time of the first start: a later starter finds it in the leases of the first, unless all of them have
/// left it, and then nothing old can be without a lease.
fn first_checkpoint(start: Start, leases: &BTreeMap<String, Lease>) -> Checkpoint {
    let earliest = leases.values().filter_map(|lease| match lease.checkpoint {
        Checkpoint::AtTimestamp(time_ms) => Some(time_ms),
        _ => None,
    });
    match start {
        Start::TrimHorizon => Checkpoint::TrimHorizon,
        Start::AtTimestamp(time_ms) => Checkpoint::AtTimestamp(time_ms),
        Start::Latest(time_ms) if leases.is_empty() => Checkpoint::AtTimestamp(time_ms),
        Start::Latest(_) => earliest.min().map_or(Checkpoint::TrimHorizon, Checkpoint::AtTimestamp),
    }
}
