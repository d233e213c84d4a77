//! Which leases a worker takes, and from whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::lease::{Change, Kind};
use super::{Act, Phase, Worker};
use crate::lease::hands_over;

impl Worker {
    /// Takes free leases up to the fair share, and those that were left over by everybody; where there is none, one lease
    /// from whoever has most.
    ///
    /// The share is KCL's: all leases that can be read, divided by the owners that are alive, rounded up.
    pub(super) fn share_out(&mut self, now: Duration, acts: &mut Vec<Act>) {
        if self.reign.rules(now) || !self.sight.is_recent(now, self.rules.failover) {
            return;
        }
        let (counts, mut free) = self.count(now);
        let ready = counts.values().sum::<usize>() + free.len();
        let share = ready.div_ceil(counts.len().max(1)).min(self.rules.leases_max);
        let mine = counts.get(&self.id).copied().unwrap_or(0);
        let (lacking, room) = (share.saturating_sub(mine), self.rules.leases_max.saturating_sub(mine));
        let is_any_free = !free.is_empty();
        free.retain(|shard| ![&self.busy, &self.lent, &self.gone].into_iter().any(|set| set.contains(shard)));
        // Not all workers at the same one.
        self.dice.shuffle(&mut free);
        let mut taken = 0;
        for shard in free {
            let left_over = self.left_over_at(&shard).is_some_and(|at| at <= now);
            if taken < room && (taken < lacking || left_over) {
                taken += 1;
                let from = self.owner(&shard);
                self.begin(shard, Kind::Take { from }, acts);
            }
        }
        if !is_any_free && std::mem::take(&mut self.is_fresh) && lacking > 0 {
            self.steal(&counts, share, lacking, now, acts);
        }
    }

    /// When something changes by itself: an owner's time is over, or a free lease is left over.
    pub(super) fn shares_due(&self, now: Duration) -> impl Iterator<Item = Duration> {
        let can_take = !self.is_stopping && self.sight.is_recent(now, self.rules.failover);
        let leases = self.sight.leases().keys().filter(move |shard| can_take && !self.held.contains_key(*shard));
        leases.filter_map(move |shard| {
            let left_over = self.left_over_at(shard);
            let expires = self.sight.expires(shard, self.rules.failover);
            [left_over, expires].into_iter().flatten().filter(|at| *at > now).min()
        })
    }

    fn left_over_at(&self, shard: &str) -> Option<Duration> {
        self.sight.free_since(shard).map(|since| since + self.rules.left_to_the_poor())
    }

    /// How many leases each living owner has, this worker included, and which ones are free.
    fn count(&mut self, now: Duration) -> (BTreeMap<Arc<str>, usize>, Vec<String>) {
        let mut counts = BTreeMap::from([(Arc::clone(&self.id), 0)]);
        let mut free = Vec::new();
        let Self { held, sight, .. } = self;
        sight.mark_free(|shard| !held.contains_key(shard), &self.id, self.rules.failover, now);
        for (shard, lease) in sight.leases() {
            if let Some(held) = held.get(shard) {
                if matches!(held.phase, Phase::Lent | Phase::Awaited { .. }) {
                    *counts.entry(Arc::clone(&self.id)).or_default() += 1;
                }
            } else if sight.free_since(shard).is_some() {
                free.push(shard.clone());
            } else if let Some(owner) = &lease.owner
                && sight.is_ready(shard)
            {
                *counts.entry(Arc::clone(owner)).or_default() += 1;
            }
        }
        (counts, free)
    }

    /// One at a time, as KCL does: from an owner that has more than its share, or has its share while this worker lacks more
    /// than one.
    fn steal(
        &mut self,
        counts: &BTreeMap<Arc<str>, usize>,
        share: usize,
        lacking: usize,
        now: Duration,
        acts: &mut Vec<Act>,
    ) {
        if self.held.values().any(|held| matches!(held.phase, Phase::Awaited { .. })) {
            return;
        }
        let others = counts.iter().filter(|(owner, _)| **owner != self.id);
        let Some((richest, count)) = others.max_by_key(|(_, count)| **count) else { return };
        if *count < share || (*count == share && lacking < 2) {
            return;
        }
        let is_theirs = |shard: &&String| {
            let lease = self.sight.leases().get(*shard);
            lease.is_some_and(|lease| lease.owner.as_ref() == Some(richest) && lease.checkpoint_owner.is_none())
                && self.sight.is_ready(shard)
                && !self.sight.is_free(shard, &self.id, self.rules.failover, now)
                && !self.busy.contains(*shard)
                && !self.lent.contains(*shard)
        };
        let candidates: Vec<String> = self.sight.leases().keys().filter(is_theirs).cloned().collect();
        if candidates.is_empty() {
            return;
        }
        let chosen = self.dice.usize(..candidates.len());
        let from = Arc::clone(richest);
        let kind = if hands_over(richest) { Kind::Ask { from } } else { Kind::Take { from: Some(from) } };
        if let Some(shard) = candidates.into_iter().nth(chosen) {
            self.begin(shard, kind, acts);
        }
    }

    fn owner(&self, shard: &str) -> Option<Arc<str>> {
        self.sight.leases().get(shard)?.owner.clone()
    }

    fn begin(&mut self, shard: String, kind: Kind, acts: &mut Vec<Act>) {
        let Some(counter) = self.sight.leases().get(&shard).map(|lease| lease.counter) else { return };
        self.busy.insert(shard.clone());
        acts.push(Act::Change { shard, change: Change { by: Arc::clone(&self.id), counter, kind } });
    }
}
