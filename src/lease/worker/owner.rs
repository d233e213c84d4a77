//! What a worker does with the leases that it has, or waits for.

use std::sync::Arc;
use std::time::Duration;

use super::super::lease::{Change, Kind};
use super::{Act, News, Worker};

/// A lease that the worker owns, or waits for.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) phase: Phase,
    /// When the last successful write of its counter began: after the failover time without another it is lost. Of an
    /// awaited one, when it was asked for, or given up.
    alive: Duration,
    /// When it is renewed, if nothing else is written before.
    renew_at: Duration,
    /// Before this time nothing is written, since the last write failed.
    not_before: Duration,
    /// What the source wants to be written, and its number.
    pub(super) wish: Option<(Kind, u64)>,
}

/// Where a held lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its owner was asked to hand it over. Next: `Lent` when it has, or when it shows no life; or it is dropped.
    Awaited {
        /// The owner.
        from: Arc<str>,
        /// When it was asked.
        asked: Duration,
    },
    /// The source reads. Next: `Recalled`, `Returned`, or it is lost.
    Lent,
    /// Somebody else waits for it, and the source knows. Next: `Returned`, or it is lost.
    Recalled,
    /// The source has given it back. Next: it is released, or lost.
    Returned,
}

impl Held {
    pub(super) fn is_lent(&self) -> bool {
        matches!(self.phase, Phase::Lent | Phase::Recalled)
    }

    fn is_awaited(&self) -> bool {
        matches!(self.phase, Phase::Awaited { .. })
    }
}

impl Worker {
    /// What could not be written for the failover time may be somebody else's.
    pub(super) fn give_up_expired(&mut self, now: Duration) {
        let failover = self.rules.failover;
        let is_over = |held: &Held| !held.is_awaited() && held.alive + failover <= now;
        let over: Vec<String> =
            self.held.iter().filter(|(_, held)| is_over(held)).map(|(shard, _)| shard.clone()).collect();
        for shard in over {
            self.lose(&shard);
        }
    }

    pub(super) fn lose(&mut self, shard: &str) {
        if self.held.remove(shard).is_some() && self.lent.contains(shard) {
            self.news.push(News::Lost(shard.to_owned()));
        }
    }

    /// A write failed, or at least it is not known to have gone through: it is made again after a while. If it had, it is
    /// refused, and the answer tells the counter.
    pub(super) fn unsure(&mut self, shard: &str, now: Duration) {
        let retry_at = now + self.rules.retry_after();
        if let Some(held) = self.held.get_mut(shard) {
            held.not_before = retry_at;
            held.renew_at = held.renew_at.min(retry_at);
        }
    }

    /// A write was refused: if the lease is still held after a look at it, the same is written again with the new counter.
    pub(super) fn refused(&mut self, shard: &str, now: Duration) {
        if let Some(held) = self.held.get_mut(shard) {
            held.renew_at = now;
        }
    }

    /// A change was made.
    pub(super) fn done(&mut self, shard: &str, kind: &Kind, begun: Duration, now: Duration) {
        let renew_at = begun + self.rules.renew_every();
        match kind {
            Kind::Take { .. } => {
                debug_assert!(!self.lent.contains(shard), "one reader at a time");
                let held = Held { phase: Phase::Lent, alive: begun, renew_at, not_before: now, wish: None };
                self.held.insert(shard.to_owned(), held);
                if let Some(mut lease) = self.sight.leases().get(shard).cloned() {
                    lease.hash_range = lease.hash_range.or_else(|| self.hash_range(shard));
                    self.lent.insert(shard.to_owned());
                    self.news.push(News::Granted { shard: shard.to_owned(), lease });
                }
            }
            Kind::Ask { from } => self.wait_for(shard, Arc::clone(from), now),
            Kind::Renew | Kind::Checkpoint(_) => {
                if let Some(held) = self.held.get_mut(shard) {
                    (held.alive, held.renew_at) = (begun, renew_at);
                    if let Some((_, ticket)) = held.wish.take_if(|(wish, _)| wish == kind) {
                        self.news.push(News::Written { shard: shard.to_owned(), ticket });
                    }
                } else {
                    // It came through after the lease was given up: the table shows an owner at work, and nobody reads.
                    let held = Held { phase: Phase::Returned, alive: begun, renew_at, not_before: now, wish: None };
                    self.held.insert(shard.to_owned(), held);
                }
            }
            Kind::Finish { .. } => {
                if let Some(held) = self.held.remove(shard)
                    && let Some((_, ticket)) = held.wish
                {
                    self.news.push(News::Written { shard: shard.to_owned(), ticket });
                }
                self.list_soon(now);
            }
            Kind::Release | Kind::HandOver | Kind::Withdraw { .. } => drop(self.held.remove(shard)),
        }
    }

    fn wait_for(&mut self, shard: &str, from: Arc<str>, now: Duration) {
        let phase = Phase::Awaited { from, asked: now };
        let held = Held { phase, alive: now, renew_at: now, not_before: now, wish: None };
        self.held.insert(shard.to_owned(), held);
    }

    /// Leases that the table says are this worker's to wait for, or to hand over, and of which it does not know: the answer to
    /// a write was lost, or a leader assigned them. Those that are its own without more, are free to be taken.
    pub(super) fn adopt(&mut self, now: Duration) {
        let is_unknown =
            |shard: &String| !self.held.contains_key(shard) && !self.busy.contains(shard) && !self.lent.contains(shard);
        let unknown = self.sight.leases().iter().filter(|(shard, lease)| is_unknown(shard) && !lease.is_finished());
        let mine: Vec<(String, Arc<str>)> = unknown
            .filter_map(|(shard, lease)| {
                let from = lease.checkpoint_owner.as_ref()?;
                let is_mine = *from == self.id || lease.owner.as_ref() == Some(&self.id);
                is_mine.then(|| (shard.clone(), Arc::clone(from)))
            })
            .collect();
        for (shard, from) in mine {
            if from == self.id {
                let held = Held { phase: Phase::Returned, alive: now, renew_at: now, not_before: now, wish: None };
                self.held.insert(shard, held);
            } else {
                self.wait_for(&shard, from, now);
            }
        }
    }

    /// Draws the conclusions from what is known of a held lease now.
    pub(super) fn mind(&mut self, shard: &str) {
        let Some(held) = self.held.get_mut(shard) else { return };
        let Some(lease) = self.sight.leases().get(shard) else {
            self.lose(shard);
            return;
        };
        let is_mine = lease.actual_owner() == Some(&self.id);
        if held.is_awaited() {
            if lease.owner.as_ref() != Some(&self.id) || lease.is_finished() {
                self.held.remove(shard);
            }
        } else if !is_mine {
            self.lose(shard);
        } else if held.phase == Phase::Lent && lease.checkpoint_owner.is_some() {
            held.phase = Phase::Recalled;
            self.news.push(News::Recalled(shard.to_owned()));
        }
    }

    /// What is asked for is given up; its owner keeps it.
    pub(super) fn stop_waiting(&mut self, now: Duration) {
        for held in self.held.values_mut().filter(|held| held.is_awaited()) {
            (held.alive, held.not_before) = (now, now);
        }
    }

    /// The writes that are due for what is held.
    pub(super) fn write(&mut self, now: Duration, acts: &mut Vec<Act>) {
        let failover = self.rules.failover;
        if self.is_stopping {
            // What cannot be withdrawn, its owner hands over, and then others see it expire.
            self.held
                .retain(|shard, held| !held.is_awaited() || held.alive + failover > now || self.busy.contains(shard));
        }
        for (shard, held) in &self.held {
            if self.busy.contains(shard) || held.not_before > now {
                continue;
            }
            let Some(lease) = self.sight.leases().get(shard) else { continue };
            let kind = match &held.phase {
                Phase::Awaited { .. } if self.is_stopping && lease.checkpoint_owner.is_none() => Kind::Release,
                Phase::Awaited { from, .. } if self.is_stopping => Kind::Withdraw { from: Arc::clone(from) },
                Phase::Awaited { asked, .. } => {
                    let is_over = asked.saturating_add(self.rules.hand_over_max) <= now
                        || self.sight.expires(shard, failover).is_some_and(|expires| expires <= now);
                    if lease.checkpoint_owner.is_some() && !is_over {
                        continue;
                    }
                    Kind::Take { from: lease.owner.clone() }
                }
                Phase::Lent | Phase::Recalled => match &held.wish {
                    Some((wish, _)) => wish.clone(),
                    None if held.renew_at > now => continue,
                    None => Kind::Renew,
                },
                Phase::Returned if lease.checkpoint_owner.is_some() => Kind::HandOver,
                Phase::Returned => Kind::Release,
            };
            self.busy.insert(shard.clone());
            let change = Change { by: Arc::clone(&self.id), counter: lease.counter, kind };
            acts.push(Act::Change { shard: shard.clone(), change });
        }
    }

    /// When a write is due, or a lease is lost for want of one.
    pub(super) fn writes_due(&self) -> impl Iterator<Item = Duration> {
        self.held.iter().map(|(shard, held)| {
            let lost_at = held.alive + self.rules.failover;
            match &held.phase {
                // What is not owned cannot be lost.
                Phase::Awaited { .. } if self.busy.contains(shard) => Duration::MAX,
                _ if self.busy.contains(shard) => lost_at,
                Phase::Awaited { .. } if self.is_stopping => held.not_before.min(lost_at),
                Phase::Awaited { asked, .. } => {
                    let expires = self.sight.expires(shard, self.rules.failover).unwrap_or(Duration::MAX);
                    expires.min(asked.saturating_add(self.rules.hand_over_max)).max(held.not_before)
                }
                Phase::Lent | Phase::Recalled if held.wish.is_none() => held.renew_at.max(held.not_before).min(lost_at),
                Phase::Lent | Phase::Recalled | Phase::Returned => held.not_before.min(lost_at),
            }
        })
    }
}
