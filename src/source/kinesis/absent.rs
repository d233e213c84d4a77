//! The shards that this process does not read although it knows of them: those that wait for their parents, and those whose
//! lease it has lost. How long, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::watch::{Tell, Watch};
use crate::metric::{Reason, SourceMeter};

/// How long a lost lease is told of. Another process reads on by then, and its own measure is the one that counts.
const LOST_SHOWN: Duration = Duration::from_mins(5);

/// Watches over the shards that are not read here.
#[derive(Debug)]
pub struct Absent {
    /// How long a shard may wait before it is told of.
    after: Duration,
    shards: BTreeMap<Arc<str>, Absence>,
    /// What is read, so that an outlook which is older than a grant does not say of a shard that it waits.
    reading: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Absence {
    reason: Reason,
    watch: Watch,
}

impl Absent {
    /// Nothing is known yet; what waits for so long is told of.
    #[must_use]
    pub const fn new(after: Duration) -> Self {
        Self { after, shards: BTreeMap::new(), reading: BTreeSet::new() }
    }

    /// A shard begins to be read here.
    pub fn begins(&mut self, shard: &Arc<str>) {
        self.shards.remove(shard);
        self.reading.insert(Arc::clone(shard));
    }

    /// A shard is not read here any more.
    pub fn ends(&mut self, shard: &Arc<str>) {
        self.reading.remove(shard);
    }

    /// The lease of a shard was lost now.
    pub fn lost(&mut self, shard: &Arc<str>, now: Instant) {
        let absence = Absence { reason: Reason::LeaseLost, watch: Watch::new(self.after, now) };
        self.shards.insert(Arc::clone(shard), absence);
    }

    /// These shards wait for their parents now. Those that did and do not any more are forgotten: somebody may read them.
    pub fn waiting(&mut self, waiting: BTreeSet<Arc<str>>, meter: &SourceMeter, now: Instant) {
        self.shards.retain(|shard, absence| {
            let is_kept = absence.reason != Reason::WaitsForParent || waiting.contains(shard);
            if !is_kept {
                meter.forget(shard);
            }
            is_kept
        });
        for shard in waiting.into_iter().filter(|shard| !self.reading.contains(shard)) {
            let absence = || Absence { reason: Reason::WaitsForParent, watch: Watch::new(self.after, now) };
            let absence = self.shards.entry(Arc::clone(&shard)).or_insert_with(absence);
            meter.shard(&shard).measure(|state| state.reason = absence.reason);
        }
    }

    /// Measures and, of what has waited for long, tells.
    pub fn look(&mut self, source: &str, meter: &SourceMeter, now: Instant) {
        self.shards.retain(|shard, Absence { reason, watch }| {
            let standstill = watch.standstill(now);
            if *reason == Reason::LeaseLost && standstill >= LOST_SHOWN {
                meter.forget(shard);
                return false;
            }
            meter.shard(shard).measure(|state| {
                state.reason = *reason;
                state.standstill_ms = u64::try_from(standstill.as_millis()).unwrap_or(u64::MAX);
                state.is_still = standstill >= self.after;
            });
            // The loss of a lease was told when it happened.
            if *reason == Reason::WaitsForParent
                && let Tell::StandsStill(standstill) = watch.look(now, *reason)
            {
                tracing::info!(source, %shard, reason = reason.word(), ?standstill, "shard is not read yet");
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what is measured of shards that are not read here: since when, why, and that nothing is said of a shard any more
    /// that somebody reads.
    #[test]
    fn absences_are_measured_and_forgotten() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let (child, lost): (Arc<str>, Arc<str>) = ("child".into(), "lost".into());
        let meter = SourceMeter::default();
        let mut absent = Absent::new(Duration::from_mins(1));
        let told = || -> Vec<(String, &str, u64, bool)> {
            let shards = meter.shards();
            let told = shards.iter().map(|(shard, meter)| (shard.to_string(), meter.state()));
            told.map(|(shard, state)| (shard, state.reason.word(), state.standstill_ms / 1000, state.is_still))
                .collect()
        };
        absent.waiting(BTreeSet::from([Arc::clone(&child)]), &meter, at(0));
        absent.lost(&lost, at(10));
        absent.look("s", &meter, at(70));
        let child_waits = |seconds| ("child".to_owned(), "waits_for_parent", seconds, true);
        assert_eq!(told(), [child_waits(70), ("lost".to_owned(), "lease_lost", 60, true)]);
        absent.waiting(BTreeSet::from([Arc::clone(&child)]), &meter, at(300));
        absent.look("s", &meter, at(310));
        assert_eq!(told(), [child_waits(310)], "somebody else has the lost one by now, and waiting goes on counting");

        absent.begins(&child);
        absent.waiting(BTreeSet::from([Arc::clone(&child)]), &meter, at(320));
        absent.look("s", &meter, at(400));
        assert_eq!(told(), [child_waits(310)], "its reader measures now, whatever an old outlook says");
        absent.ends(&child);
        absent.waiting(BTreeSet::from([Arc::clone(&child)]), &meter, at(410));
        absent.waiting(BTreeSet::new(), &meter, at(420));
        assert_eq!(told(), [], "somebody else reads it");
    }
}
