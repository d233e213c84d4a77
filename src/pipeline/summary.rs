//! What a run did, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metric::{Reason, SourceMeter, Tally};

/// What one sink did, in entries.
#[derive(Clone, Debug, Default)]
pub struct SinkSummary {
    /// Entries routed to it.
    pub entries: u64,
    /// Entries that it has.
    pub delivered: u64,
    /// Of these, the ones that it had already.
    pub duplicates: u64,
    /// Entries in the dead letters.
    pub dead_lettered: u64,
    /// Entries that are read again next time.
    pub abandoned: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed as a whole and were sent again.
    pub failures: u64,
}

/// A shard that stood still when the reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingStill {
    /// The name of its source.
    pub source: Arc<str>,
    /// Which.
    pub shard: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// For how long.
    pub standstill: Duration,
}

impl StandingStill {
    /// The shards of a source that stand still, as its watchdog sees them; those that wait for their parents are named too,
    /// since they were not read.
    pub fn of(source: &Arc<str>, meter: &SourceMeter) -> Vec<Self> {
        let shards = meter.shards().into_iter().map(|(shard, meter)| (shard, meter.state()));
        let still = shards.filter(|(_, state)| state.is_still);
        let still = still.map(|(shard, state)| Self {
            source: Arc::clone(source),
            shard,
            reason: state.reason,
            standstill: Duration::from_millis(state.standstill_ms),
        });
        still.collect()
    }
}

/// The most shards that are named in a summary; of more their number is told.
const NAMED_MAX: usize = 20;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// What was read and made of it.
    pub tally: Tally,
    /// Events that every sink they were meant for has.
    pub delivered: u64,
    /// Events that every such sink has, or whose spill holds them or held them for it.
    pub spilled: u64,
    /// Events that a named rule let go.
    pub filtered: u64,
    /// Events that lie in the dead letters.
    pub dead_lettered: u64,
    /// What each sink did.
    pub sinks: Vec<(Arc<str>, SinkSummary)>,
    /// The shards that stood still when the reading ended.
    pub standing_still: Vec<StandingStill>,
    /// How long the run took.
    pub elapsed: Duration,
    /// The most bytes that were in flight.
    pub in_flight_peak: usize,
}

const SEVERITIES: [(u8, &str); 8] =
    [(6, "fatal"), (5, "critical"), (4, "high"), (3, "medium"), (2, "low"), (1, "info"), (0, "unknown"), (99, "other")];

impl Summary {
    /// Events that are neither delivered nor filtered nor dead-lettered: they are read again next time.
    #[must_use]
    pub fn to_be_read_again(&self) -> u64 {
        self.tally.events.saturating_sub(self.delivered + self.spilled + self.filtered + self.dead_lettered)
    }

    fn write_log_types(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = SEVERITIES
            .into_iter()
            .filter(|(id, _)| self.tally.log_types.values().any(|severities| severities.contains_key(id)))
            .collect();
        let width = self.tally.log_types.keys().map(|name| name.len()).max().unwrap_or(0).max(8);
        write!(f, "\n  {:width$}  {:>9}", "log type", "events")?;
        for (_, name) in &shown {
            write!(f, "  {name:>8}")?;
        }
        for (log_type, severities) in &self.tally.log_types {
            write!(f, "\n  {log_type:width$}  {:>9}", severities.values().sum::<u64>())?;
            for (id, _) in &shown {
                match severities.get(id) {
                    Some(count) => write!(f, "  {count:>8}")?,
                    None => write!(f, "  {:>8}", "")?,
                }
            }
        }
        writeln!(f)
    }

    fn write_standing_still(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for still in self.standing_still.iter().take(NAMED_MAX) {
            let StandingStill { source, shard, reason, standstill } = still;
            writeln!(f, "  stood still: {shard} of source {source}: {} for {} s", reason.word(), standstill.as_secs())?;
        }
        match self.standing_still.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => writeln!(f, "  stood still: {more} shards more"),
        }
    }

    fn write_sinks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.sinks.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(4);
        write!(
            f,
            "\n  {:width$}  {:>9}  {:>10}  {:>13}  {:>8}  {:>8}",
            "sink", "delivered", "duplicates", "dead-lettered", "requests", "failures"
        )?;
        for (name, sink) in &self.sinks {
            write!(
                f,
                "\n  {name:width$}  {:>9}  {:>10}  {:>13}  {:>8}  {:>8}",
                sink.delivered, sink.duplicates, sink.dead_lettered, sink.requests, sink.failures
            )?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "{} records, {} events in {seconds:.2} s", tally.records, tally.events)?;
        if !tally.log_types.is_empty() {
            self.write_log_types(f)?;
        }
        if !self.sinks.is_empty() {
            self.write_sinks(f)?;
        }
        writeln!(f)?;
        write!(f, "  read {} = delivered {}", tally.events, self.delivered)?;
        if self.spilled > 0 {
            write!(f, " + spilled {}", self.spilled)?;
        }
        write!(f, " + filtered {}{}", self.filtered, by_name(&tally.filtered))?;
        write!(f, " + dead-lettered {}{}", self.dead_lettered, by_name(&tally.broken))?;
        match self.to_be_read_again() {
            0 => writeln!(f)?,
            again => writeln!(f, " + to be read again {again}")?,
        }
        self.write_standing_still(f)?;
        if !tally.complaints.is_empty() {
            writeln!(f, "  complaints{}", by_name(&tally.complaints))?;
        }
        if seconds > 0.0 {
            let rate = u32::try_from(tally.events).map_or(f64::INFINITY, f64::from) / seconds;
            writeln!(f, "  {rate:.0} events/s, at most {} KiB in flight", self.in_flight_peak >> 10)?;
        }
        Ok(())
    }
}

/// ` (rule 1, other 2)`, or nothing.
fn by_name<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(" ({})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the end of a run names the shards that stood still, and why; not those that only waited a moment; and that
    /// of very many their number is told.
    #[test]
    fn shards_that_stand_still_are_named() {
        let (source, meter) = (Arc::from("findings"), SourceMeter::default());
        for (shard, reason, standstill_ms, is_still) in [
            ("a", Reason::Moving, 0, false),
            ("b", Reason::LaneFull, 30, false),
            ("c", Reason::Throttled, 61_500, true),
            ("d", Reason::WaitsForParent, 90_000, true),
        ] {
            let meter = meter.shard(&shard.into());
            meter.measure(|state| {
                (state.reason, state.standstill_ms, state.is_still) = (reason, standstill_ms, is_still);
            });
        }
        let mut summary = Summary { standing_still: StandingStill::of(&source, &meter), ..Summary::default() };
        let lines = |summary: &Summary| -> Vec<String> {
            let text = summary.to_string();
            text.lines().filter(|line| line.contains("stood still")).map(|line| line.trim().to_owned()).collect()
        };
        let told = [
            "stood still: c of source findings: throttled for 61 s",
            "stood still: d of source findings: waits_for_parent for 90 s",
        ];
        assert_eq!(lines(&summary), told);
        let one = summary.standing_still[0].clone();
        summary.standing_still = vec![one; NAMED_MAX + 3];
        assert_eq!(lines(&summary).len(), NAMED_MAX + 1);
        assert_eq!(lines(&summary).last().unwrap(), "stood still: 3 shards more");
    }
}
