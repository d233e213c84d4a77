//! Who has yet to speak for an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::{Memory, MemoryKey};
use crate::ack::Outcome;
use crate::metric::EventMeter;

/// For each row of a block, the number of lanes that have not spoken yet and the worst word so far.
///
/// Lanes share it without locks: a row is one number, the lanes above the three lowest bits, the worst outcome in them.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Vec<AtomicU32>,
    remember: Option<Remember>,
}

/// What is to be remembered of rows when they are delivered.
#[derive(Debug)]
pub struct Remember {
    /// Where.
    pub memory: Arc<Memory>,
    /// What, in the order of the rows.
    pub marks: Vec<Mark>,
    /// When the rows were made, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Something to be remembered of a row.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The row.
    pub row: u32,
    /// What is remembered.
    pub key: MemoryKey,
    /// The id of its event.
    pub id: [u8; 16],
}

const OUTCOME_BITS: u32 = 3;
const OUTCOME_MASK: u32 = (1 << OUTCOME_BITS) - 1;

impl Ledger {
    /// A ledger over rows, given how many lanes each is routed to. A row that is routed to none has no entry: whoever
    /// routes counts it as filtered.
    pub fn new(lanes: impl IntoIterator<Item = u16>) -> Self {
        let rows = lanes.into_iter().map(|lanes| AtomicU32::new(u32::from(lanes) << OUTCOME_BITS)).collect();
        Self { rows, remember: None }
    }

    /// The ledger, with what is to be remembered of its rows.
    #[must_use]
    pub fn remembering(self, remember: Remember) -> Self {
        Self { remember: Some(remember), ..self }
    }

    /// One lane's word on a row. The last lane gets the worst word of all; the others get nothing.
    pub fn settle(&self, row: u32, outcome: Outcome) -> Option<Outcome> {
        let cell = self.rows.get(usize::try_from(row).ok()?)?;
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
                let worst = u8::try_from(worst).map_or(Outcome::Abandoned, Outcome::of_code);
                if worst <= Outcome::Spilled {
                    self.remember(row);
                }
                Some(worst)
            }
            _ => None,
        }
    }

    fn remember(&self, row: u32) {
        let Some(Remember { memory, marks, at_ms }) = &self.remember else { return };
        let first = marks.partition_point(|mark| mark.row < row);
        for mark in marks.iter().skip(first).take_while(|mark| mark.row == row) {
            memory.enter(mark.key, mark.id, *at_ms);
        }
    }
}

/// Counts one event's end.
pub fn count_event(meter: &EventMeter, outcome: Outcome) {
    let counter = match outcome {
        Outcome::Delivered => &meter.delivered,
        Outcome::Spilled => &meter.spilled,
        Outcome::Filtered => &meter.filtered,
        Outcome::DeadLettered => &meter.dead_lettered,
        Outcome::Abandoned => &meter.abandoned,
    };
    counter.add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that only what every lane has delivered is remembered.
    #[test]
    fn what_is_delivered_is_remembered() {
        let memory = Arc::new(Memory::new(10, 1000));
        let marks = [0, 1, 1, 2].into_iter().zip(1_u8..).map(|(row, key)| Mark { row, key: [key; 16], id: [0; 16] });
        let remember = Remember { memory: Arc::clone(&memory), marks: marks.collect(), at_ms: 5 };
        let ledger = Ledger::new([1, 2, 1]).remembering(remember);
        let held = || (1..=4_u8).filter(|key| memory.holds(&[*key; 16], &[1; 16], 5)).collect::<Vec<_>>();
        ledger.settle(1, Outcome::Delivered);
        assert!(held().is_empty(), "another lane has yet to speak");
        ledger.settle(1, Outcome::Delivered);
        assert_eq!(held(), [2, 3]);
        ledger.settle(0, Outcome::DeadLettered);
        ledger.settle(2, Outcome::Abandoned);
        assert_eq!(held(), [2, 3], "what did not arrive is not remembered");
    }
}
