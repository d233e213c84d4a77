//! What one of many workers on a table does next: a pure function of what it saw, when, and of a seed.
//!
//! The worker is asked by [`poll`](Worker::poll) what is to be done, and told what came of it. It keeps the rules of the
//! Kinesis Client Library: an owner shows that it lives by counting up; whoever has not seen a lease's counter move for the
//! failover time, on its own monotonic clock, takes the lease; every write is conditional on what the writer last knew; an
//! owner that could not write for the failover time has lost what it had. Wall clocks decide nothing.

mod balance;
mod clockwork;
mod owner;
mod rules;
mod sight;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::leader::{Leader, Reign};
use super::lease::{Change, Kind, Lease};
use super::plan::Shard;
use super::{Changed, Checkpoint};
use clockwork::Clockwork;
use owner::{Held, Phase};
pub use rules::Rules;
use sight::Sight;

/// How many leases are created or removed at a time.
const WRITES_MAX: usize = 16;

/// What is to be done. Every act is answered: what came of it is told to the worker, also that it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read all leases: [`Worker::scanned`] or [`Worker::not_scanned`].
    Scan,
    /// Ask the stream for its shards: [`Worker::listed`] or [`Worker::not_listed`].
    List,
    /// Add a lease, unless it is there: [`Worker::created`].
    Create {
        /// Its shard.
        shard: String,
        /// As it is written.
        lease: Lease,
    },
    /// Change a lease, if it is as expected: [`Worker::changed`].
    Change {
        /// Its shard.
        shard: String,
        /// Condition and content.
        change: Change,
    },
    /// Remove a lease, if its counter is this one: [`Worker::removed`].
    Remove {
        /// Its shard.
        shard: String,
        /// Its counter.
        counter: u64,
    },
}

/// What the source is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Read this shard; give it back with [`Worker::returned`].
    Granted {
        /// Which.
        shard: String,
        /// With what is known of it.
        lease: Lease,
    },
    /// Somebody else is to read this shard: settle what is out, write the last checkpoint, and give it back.
    Recalled(String),
    /// Somebody else reads this shard already, or may: nothing more can be written. Give it back at once.
    Lost(String),
    /// The checkpoint that was asked for with this number is written.
    Written {
        /// Which shard.
        shard: String,
        /// The number.
        ticket: u64,
    },
    /// A leader of KCL 3 assigns the leases of this table: none is taken meanwhile.
    Ruled(String),
    /// No leader assigns the leases any more.
    Free,
}

/// One worker's view and its next steps. All times are of its own monotonic clock.
#[derive(Debug)]
pub struct Worker {
    id: Arc<str>,
    rules: Rules,
    sight: Sight,
    /// What it owns, or waits for.
    held: BTreeMap<String, Held>,
    /// What the source has and did not give back yet.
    lent: BTreeSet<String>,
    /// Shards that the service did not know when they were read, until the stream is asked again.
    gone: BTreeSet<String>,
    /// Leases with a write under way: never two at a time.
    busy: BTreeSet<String>,
    /// Leases that are being created: others may do it, too, and they may be seen before the answer comes.
    creating: BTreeSet<String>,
    scan: Clockwork,
    list: Clockwork,
    shards: Option<Vec<Shard>>,
    /// The children that the ends of shards told of: the list may not show them yet.
    told: BTreeMap<String, Shard>,
    /// The leases as they were known before the stream was asked. A list that is younger than a look at the table holds all
    /// shards that the table knew; an older one may lack those whose leases show that a missing one was finished long ago.
    seen_before_list: BTreeMap<String, Lease>,
    /// Whether there is something to be done that a new list would tell, for leases of this shape.
    wants_list: bool,
    judged_shape: Option<u64>,
    /// How old the look at the table is that [`create`](Self::create) and [`remove`](Self::remove) rest on.
    planned_on: Duration,
    create: Vec<(String, Lease)>,
    remove: Vec<String>,
    reign: Reign,
    /// Whether the table was read since leases were last shared out.
    is_fresh: bool,
    /// When leases are shared out again, if the table is not read before.
    share_at: Duration,
    is_stopping: bool,
    dice: fastrand::Rng,
    news: Vec<News>,
}

impl Worker {
    /// A worker of this id, which no other may have, now or ever before.
    #[must_use]
    pub fn new(id: Arc<str>, rules: Rules, seed: u64) -> Self {
        Self {
            id,
            rules,
            sight: Sight::default(),
            held: BTreeMap::new(),
            lent: BTreeSet::new(),
            gone: BTreeSet::new(),
            busy: BTreeSet::new(),
            creating: BTreeSet::new(),
            scan: Clockwork::default(),
            list: Clockwork::default(),
            shards: None,
            told: BTreeMap::new(),
            seen_before_list: BTreeMap::new(),
            wants_list: false,
            judged_shape: None,
            planned_on: Duration::ZERO,
            create: Vec::new(),
            remove: Vec::new(),
            reign: Reign::default(),
            is_fresh: false,
            share_at: Duration::MAX,
            is_stopping: false,
            dice: fastrand::Rng::with_seed(seed),
            news: Vec::new(),
        }
    }

    /// What is to be done now.
    pub fn poll(&mut self, now: Duration) -> Vec<Act> {
        self.give_up_expired(now);
        let mut acts = Vec::new();
        if !self.is_stopping {
            if self.scan.begin(now) {
                acts.push(Act::Scan);
            }
            if self.sight.scanned().is_some() && self.list.begin(now) {
                self.seen_before_list = self.sight.leases().clone();
                self.planned_on = self.sight.scanned().unwrap_or(now);
                (self.create, self.remove) = (Vec::new(), Vec::new());
                acts.push(Act::List);
            }
            self.keep_table(now, &mut acts);
            if self.share_at <= now {
                self.share_out(now, &mut acts);
                self.share_at = self.shares_due(now).min().unwrap_or(Duration::MAX);
            }
        }
        self.write(now, &mut acts);
        acts
    }

    /// When to ask again, if nothing happens before.
    #[must_use]
    pub fn due(&self, now: Duration) -> Duration {
        // The stream is asked when the table is known.
        let list = self.sight.scanned().and(self.list.due());
        let clocks = [self.scan.due(), list, Some(self.share_at)].into_iter().flatten().filter(|_| !self.is_stopping);
        let soonest = clocks.chain(self.writes_due()).min();
        // What is due and cannot be done waits for something else, and the clock never stands still.
        soonest.unwrap_or(Duration::MAX).max(now + Duration::from_millis(1))
    }

    /// What the source is to be told, in order.
    pub fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Takes no more leases; what the source has is released as it comes back.
    pub fn stop(&mut self, now: Duration) {
        self.is_stopping = true;
        self.stop_waiting(now);
        (self.create, self.remove) = (Vec::new(), Vec::new());
    }

    /// Says whether everything is released after [`stop`](Self::stop).
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_stopping && self.held.is_empty() && self.lent.is_empty() && self.busy.is_empty()
    }

    /// The leases as they were last seen.
    #[must_use]
    pub fn leases(&self) -> &BTreeMap<String, Lease> {
        self.sight.leases()
    }

    /// The table was read.
    pub fn scanned(&mut self, leases: &BTreeMap<String, Lease>, leader: Option<&Leader>, now: Duration) {
        let begun = self.scan.end(now);
        self.scan.at = (begun + self.rules.scan_every()).max(now);
        (self.is_fresh, self.share_at) = (true, now);
        self.news.extend(self.reign.look(leader, now));
        let busy = &self.busy;
        self.sight.look(leases, |shard| busy.contains(shard), begun, now);
        self.adopt(now);
        let held: Vec<String> = self.held.keys().filter(|shard| !self.busy.contains(*shard)).cloned().collect();
        for shard in held {
            self.mind(&shard);
        }
        if self.judged_shape != Some(self.sight.shape()) {
            (self.judged_shape, self.wants_list) = (Some(self.sight.shape()), self.is_list_wanted());
        }
        if self.wants_list {
            let soonest = self.list.ended.map_or(now, |ended| ended + self.rules.scan_every());
            self.list.at = self.list.at.min(soonest);
        }
    }

    /// The table could not be read.
    pub fn not_scanned(&mut self, now: Duration) {
        self.scan.end(now);
        self.scan.at = now + self.rules.retry_after();
    }

    /// The stream was asked for its shards.
    pub fn listed(&mut self, mut shards: Vec<Shard>, now: Duration) {
        self.list.end(now);
        self.told.retain(|id, _| !shards.iter().any(|shard| shard.id == *id));
        shards.extend(self.told.values().cloned());
        // Not all at the same time.
        self.list.at = now + self.rules.sync_every.mul_f64(0.75 + 0.5 * self.dice.f64());
        let plan = super::plan(&shards, &std::mem::take(&mut self.seen_before_list), self.rules.start);
        (self.shards, self.judged_shape) = (Some(shards), None);
        if self.is_stopping {
            return;
        }
        self.create = plan.create;
        self.create.retain(|(shard, _)| !self.sight.leases().contains_key(shard));
        let is_anybodys = |shard: &String| match self.sight.finished_since(shard) {
            Some(since) => since + self.rules.finished_kept <= now,
            None => self.sight.is_free(shard, &self.id, self.rules.failover, now),
        };
        let is_needless = |shard: &String| !self.held.contains_key(shard) && is_anybodys(shard);
        self.remove = plan.remove.into_iter().filter(is_needless).collect();
        // What was read before the list began and is listed all the same may be taken again.
        self.gone.retain(|shard| self.held.contains_key(shard) || self.remove.contains(shard));
        if self.gone.iter().any(|shard| !self.remove.contains(shard)) {
            // It was on its way back while the list was made.
            self.list.at = now + self.rules.scan_every();
        }
        self.share_at = now;
    }

    /// The stream could not be asked: again after this wait.
    pub fn not_listed(&mut self, wait: Duration, now: Duration) {
        self.list.end(now);
        self.list.at = now + wait;
    }

    /// The service does not know a shard that the source has: the stream is asked for its shards before it is taken again.
    pub fn gone(&mut self, shard: &str, now: Duration) {
        self.gone.insert(shard.to_owned());
        self.told.remove(shard);
        self.list_soon(now);
    }

    /// A lease was created, or was there already (`Some`), or it is not known (`None`).
    pub fn created(&mut self, shard: &str, lease: Lease, is_new: Option<bool>, now: Duration) {
        self.creating.remove(shard);
        if is_new == Some(true) && !self.sight.leases().contains_key(shard) {
            self.sight.note(shard, lease, now);
            self.share_at = now;
        }
    }

    /// A lease was removed, or was not as expected (`Some`), or it is not known (`None`).
    pub fn removed(&mut self, shard: &str, is_gone: Option<bool>) {
        self.busy.remove(shard);
        if is_gone == Some(true) {
            self.sight.forget(shard);
        }
    }

    /// A change was made or refused, or it is not known (`None`). The write began at `begun`.
    pub fn changed(&mut self, shard: &str, change: &Change, answer: Option<Changed>, begun: Duration, now: Duration) {
        self.busy.remove(shard);
        match answer {
            None => self.unsure(shard, now),
            Some(Changed::Done(lease)) => {
                self.sight.note(shard, *lease, now);
                self.done(shard, &change.kind, begun, now);
            }
            Some(Changed::Refused(None)) => {
                self.sight.forget(shard);
                self.lose(shard);
            }
            Some(Changed::Refused(Some(lease))) => {
                self.sight.note(shard, *lease, now);
                self.refused(shard, now);
                self.adopt(now);
            }
        }
        self.mind(shard);
    }

    /// The source asks for a checkpoint of a shard that it has. `false`: the lease is lost.
    pub fn checkpoint(&mut self, shard: &str, checkpoint: Checkpoint, children: Vec<Shard>, ticket: u64) -> bool {
        let Some(held) = self.held.get_mut(shard).filter(|held| held.is_lent()) else { return false };
        let known = self.sight.leases().get(shard);
        if known.is_some_and(|lease| checkpoint.is_before(&lease.checkpoint)) {
            // What lies before it is settled as well.
            self.news.push(News::Written { shard: shard.to_owned(), ticket });
            return true;
        }
        let kind = match checkpoint {
            Checkpoint::ShardEnd => {
                let ids = children.iter().map(|child| child.id.clone()).collect();
                self.told.extend(children.into_iter().map(|child| (child.id.clone(), child)));
                Kind::Finish { children: ids }
            }
            checkpoint => Kind::Checkpoint(checkpoint),
        };
        held.wish = Some((kind, ticket));
        true
    }

    /// The source gives a shard back: it reads it no more, and nothing of it is out.
    pub fn returned(&mut self, shard: &str) {
        self.lent.remove(shard);
        if let Some(held) = self.held.get_mut(shard).filter(|held| held.is_lent()) {
            held.phase = Phase::Returned;
        }
    }

    /// Says whether nothing more is to be read by this worker as things stand: all that could be is lent, or owned by others.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_settled = |(shard, lease): (&String, &Lease)| {
            let is_others = lease.actual_owner().is_some_and(|owner| *owner != self.id);
            self.lent.contains(shard) || is_others || !self.sight.is_ready(shard)
        };
        self.is_quiet_but_for_leases() && self.sight.leases().iter().all(is_settled)
    }

    /// Says whether the table was read and the stream was listed.
    #[must_use]
    pub fn is_informed(&self) -> bool {
        self.shards.is_some() && self.sight.scanned().is_some()
    }

    fn is_quiet_but_for_leases(&self) -> bool {
        self.shards.is_some()
            && self.create.is_empty()
            && self.creating.is_empty()
            && self.list.begun.is_none()
            && !self.wants_list
            && self.judged_shape == Some(self.sight.shape())
    }

    /// Another one when the [outlook](Self::is_quiet) may be another.
    #[must_use]
    pub fn shape(&self) -> (u64, bool) {
        (self.sight.shape(), self.is_quiet_but_for_leases())
    }

    /// The shards that wait until their parents are finished, as far as is known.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let leases = self.sight.leases();
        let is_open = |parent: &String| leases.get(parent).is_some_and(|lease| !lease.is_finished());
        let mut waiting: BTreeSet<&String> = BTreeSet::new();
        waiting.extend(
            leases
                .iter()
                .filter(|(_, lease)| !lease.is_finished() && lease.parents.iter().any(is_open))
                .map(|(id, _)| id),
        );
        for shard in self.shards.iter().flatten().filter(|shard| !leases.contains_key(&shard.id)) {
            if shard.parents.iter().any(|parent| is_open(parent) || waiting.contains(parent)) {
                waiting.insert(&shard.id);
            }
        }
        waiting.into_iter().cloned().collect()
    }

    /// What the list knows of the hash keys of a shard whose lease does not say.
    pub(super) fn hash_range(&self, shard: &str) -> Option<super::HashRange> {
        self.shards.iter().flatten().find(|listed| listed.id == shard)?.hash_range
    }

    pub(super) fn list_soon(&mut self, now: Duration) {
        self.list.at = self.list.at.min(now);
    }

    /// Says whether there is something to be done that a new list would tell: a lease to be created, as far as the last list
    /// goes, or a shard that has ended and whose children nobody has listed yet.
    fn is_list_wanted(&self) -> bool {
        let Some(shards) = &self.shards else { return false };
        let leases = self.sight.leases();
        let has_child = |id: &String| {
            shards.iter().any(|shard| shard.parents.contains(id))
                || leases.values().any(|lease| lease.parents.contains(id))
        };
        leases.iter().any(|(id, lease)| lease.is_finished() && !has_child(id))
            || !super::plan(shards, leases, self.rules.start).create.is_empty()
    }

    fn keep_table(&mut self, now: Duration, acts: &mut Vec<Act>) {
        // What an old look at the table asks for, others may have done and undone since.
        let is_old = now.saturating_sub(self.planned_on) > 2 * self.rules.scan_every();
        if is_old && !(self.create.is_empty() && self.remove.is_empty()) {
            (self.create, self.remove) = (Vec::new(), Vec::new());
            self.list_soon(now);
        }
        let pending: BTreeSet<String> = self.create.iter().map(|(shard, _)| shard.clone()).collect();
        let (busy, creating, sight) = (&mut self.busy, &mut self.creating, &self.sight);
        self.create.retain(|(shard, lease)| {
            let waits = lease.parents.iter().any(|parent| pending.contains(parent) || creating.contains(parent));
            if creating.len() >= WRITES_MAX || waits || creating.contains(shard) {
                return true;
            }
            creating.insert(shard.clone());
            acts.push(Act::Create { shard: shard.clone(), lease: lease.clone() });
            false
        });
        for shard in std::mem::take(&mut self.remove) {
            if let Some(lease) = sight.leases().get(&shard)
                && busy.insert(shard.clone())
            {
                acts.push(Act::Remove { shard, counter: lease.counter });
            }
        }
    }
}
