//! What a worker has seen of the table, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::lease::Lease;
use super::super::plan;

/// The leases as last seen, with the signs of life of their owners.
#[derive(Debug, Default)]
pub(super) struct Sight {
    leases: BTreeMap<String, Lease>,
    signs: BTreeMap<String, Sign>,
    /// When the last reading of the whole table began.
    scanned: Option<Duration>,
    /// Counts up when a lease comes, goes, or is finished.
    shape: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sign {
    /// When the counter was last seen to have changed.
    alive: Duration,
    /// When the lease was last seen.
    noted: Duration,
    /// In how many readings of the table it was seen.
    scans: u32,
    /// Since when anybody may have it.
    free: Option<Duration>,
    /// When it was first seen to be finished.
    finished: Option<Duration>,
}

impl Sight {
    pub(super) fn leases(&self) -> &BTreeMap<String, Lease> {
        &self.leases
    }

    /// When the last reading of the table began.
    pub(super) fn scanned(&self) -> Option<Duration> {
        self.scanned
    }

    /// Another number when leases have come, gone, or been finished.
    pub(super) fn shape(&self) -> u64 {
        self.shape
    }

    /// Says whether the last reading of the table is not older than this.
    pub(super) fn is_recent(&self, now: Duration, age_max: Duration) -> bool {
        self.scanned.is_some_and(|scanned| now.saturating_sub(scanned) <= age_max)
    }

    /// Takes note of a whole table, but for leases of which something newer is known, or will be.
    pub(super) fn look(
        &mut self,
        leases: &BTreeMap<String, Lease>,
        will_be_known: impl Fn(&str) -> bool,
        begun: Duration,
        now: Duration,
    ) {
        self.scanned = Some(begun);
        let signs = &self.signs;
        let is_newer = |shard: &str| will_be_known(shard) || signs.get(shard).is_some_and(|sign| sign.noted > begun);
        let gone: Vec<String> =
            self.leases.keys().filter(|shard| !leases.contains_key(*shard) && !is_newer(shard)).cloned().collect();
        let seen: Vec<&String> = leases.keys().filter(|shard| !is_newer(shard)).collect();
        for shard in seen {
            if let Some(lease) = leases.get(shard) {
                self.see(shard, lease, now);
            }
        }
        for shard in gone {
            self.forget(&shard);
        }
        for shard in leases.keys() {
            if let Some(sign) = self.signs.get_mut(shard) {
                sign.scans = sign.scans.saturating_add(1);
            }
        }
    }

    fn see(&mut self, shard: &str, lease: &Lease, now: Duration) {
        if self.leases.get(shard) == Some(lease) {
            if let Some(sign) = self.signs.get_mut(shard) {
                sign.noted = now;
            }
        } else {
            self.note(shard, lease.clone(), now);
        }
    }

    /// Takes note of one lease.
    pub(super) fn note(&mut self, shard: &str, lease: Lease, now: Duration) {
        let known = self.leases.get(shard).map(|lease| lease.counter);
        if self.leases.get(shard).map(Lease::is_finished) != Some(lease.is_finished()) {
            self.shape += 1;
        }
        let sign = self.signs.entry(shard.to_owned());
        let sign = sign.or_insert(Sign { alive: now, noted: now, scans: 0, free: None, finished: None });
        if known != Some(lease.counter) {
            sign.alive = now;
        }
        sign.noted = now;
        if lease.is_finished() {
            sign.finished.get_or_insert(now);
        }
        self.leases.insert(shard.to_owned(), lease);
    }

    pub(super) fn forget(&mut self, shard: &str) {
        self.leases.remove(shard);
        self.signs.remove(shard);
        self.shape += 1;
    }

    /// When the owner's time is over, if its counter does not move before.
    pub(super) fn expires(&self, shard: &str, failover: Duration) -> Option<Duration> {
        self.signs.get(shard).map(|sign| sign.alive + failover)
    }

    /// Says whether the worker may take a lease that it does not have: nobody does, or its owner shows no life, or the table
    /// says that it is the worker's own.
    pub(super) fn is_free(&self, shard: &str, me: &Arc<str>, failover: Duration, now: Duration) -> bool {
        match (self.leases.get(shard), self.signs.get(shard)) {
            (Some(lease), Some(sign)) => sign.is_free(lease, me, failover, now),
            _ => false,
        }
    }

    /// Takes note of which leases are ready and [free](Self::is_free), and since when without a break; of those that matter.
    pub(super) fn mark_free(
        &mut self,
        matters: impl Fn(&str) -> bool,
        me: &Arc<str>,
        failover: Duration,
        now: Duration,
    ) {
        for (shard, sign) in &mut self.signs {
            let Some(lease) = self.leases.get(shard).filter(|_| matters(shard)) else { continue };
            let is_free = sign.is_free(lease, me, failover, now) && sign.is_ready(lease, &self.leases);
            sign.free = if is_free { sign.free.or(Some(now)) } else { None };
        }
    }

    pub(super) fn free_since(&self, shard: &str) -> Option<Duration> {
        self.signs.get(shard).and_then(|sign| sign.free)
    }

    /// Since when the lease is known to be finished, where it is.
    pub(super) fn finished_since(&self, shard: &str) -> Option<Duration> {
        self.signs.get(shard).and_then(|sign| sign.finished)
    }

    /// Says whether the shard may be read. A lease with a parent that has none must have been seen twice: one reading of a
    /// large table is no picture of one moment, and the parent's lease, though created first, may have been missed by it.
    pub(super) fn is_ready(&self, shard: &str) -> bool {
        match (self.leases.get(shard), self.signs.get(shard)) {
            (Some(lease), Some(sign)) => sign.is_ready(lease, &self.leases),
            _ => false,
        }
    }
}

impl Sign {
    fn is_free(&self, lease: &Lease, me: &Arc<str>, failover: Duration, now: Duration) -> bool {
        match lease.actual_owner() {
            None => true,
            Some(owner) if owner == me && lease.checkpoint_owner.is_none() => true,
            Some(_) => self.alive + failover <= now,
        }
    }

    fn is_ready(&self, lease: &Lease, leases: &BTreeMap<String, Lease>) -> bool {
        let is_complete = || lease.parents.iter().all(|parent| leases.contains_key(parent));
        plan::is_ready(lease, leases) && (self.scans >= 2 || is_complete())
    }
}
