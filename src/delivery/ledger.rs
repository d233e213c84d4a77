//! Who has yet to speak for an event.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::ack::Outcome;
use crate::metric::EventMeter;

/// For each row of a block, the number of lanes that have not spoken yet and the worst word so far.
///
/// Lanes share it without locks: a row is one number, the lanes above the two lowest bits, the worst outcome in them.
#[derive(Debug, Default)]
pub struct Ledger(Vec<AtomicU32>);

const OUTCOME_BITS: u32 = 2;
const OUTCOME_MASK: u32 = (1 << OUTCOME_BITS) - 1;

impl Ledger {
    /// A ledger over rows, given how many lanes each is routed to. A row that is routed to none has no entry: whoever
    /// routes counts it as filtered.
    pub fn new(lanes: impl IntoIterator<Item = u16>) -> Self {
        Self(lanes.into_iter().map(|lanes| AtomicU32::new(u32::from(lanes) << OUTCOME_BITS)).collect())
    }

    /// One lane's word on a row. The last lane gets the worst word of all; the others get nothing.
    pub fn settle(&self, row: u32, outcome: Outcome) -> Option<Outcome> {
        let cell = self.0.get(usize::try_from(row).ok()?)?;
        let mut after = None;
        let speak = |cell: u32| {
            let lanes = (cell >> OUTCOME_BITS).checked_sub(1)?;
            let worst = (cell & OUTCOME_MASK).max(u32::from(outcome.code()));
            after = Some((lanes, worst));
            Some(lanes << OUTCOME_BITS | worst)
        };
        let spoken = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, speak);
        debug_assert!(spoken.is_ok(), "row {row}: more lanes spoke than it was routed to");
        match after {
            Some((0, worst)) if spoken.is_ok() => {
                Some(u8::try_from(worst).map_or(Outcome::Abandoned, Outcome::of_code))
            }
            _ => None,
        }
    }
}

/// Counts one event's end.
pub fn count_event(meter: &EventMeter, outcome: Outcome) {
    let counter = match outcome {
        Outcome::Delivered => &meter.delivered,
        Outcome::Filtered => &meter.filtered,
        Outcome::DeadLettered => &meter.dead_lettered,
        Outcome::Abandoned => &meter.abandoned,
    };
    counter.add(1);
}
