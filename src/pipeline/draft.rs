//! What a chunk became, before it is shared.

use std::sync::Arc;

use super::duplicates::Keys;
use crate::delivery::{Block, DeadReason, Ledger, Mark, Memory, Remember, Row, What};
use crate::envelope::Refusal;
use crate::metric::Tally;

/// What a chunk became, before it is shared.
pub struct Draft {
    /// The events that go somewhere.
    pub block: Block,
    /// The lanes of each row, a bit for each.
    lanes: Vec<u64>,
    /// What is to be remembered of rows when they are delivered.
    marks: Vec<Mark>,
    /// What is broken.
    pub letters: Vec<(What, DeadReason, Refusal)>,
    /// Counts, by name.
    pub tally: Tally,
    /// How many events were filtered.
    pub filtered: u64,
}

impl Draft {
    /// The draft of a chunk of so many records.
    pub fn new(source: Arc<str>, records: usize) -> Self {
        let block = Block {
            source,
            records: Vec::new(),
            ocsf: Vec::new(),
            raw: Vec::new(),
            projected: Default::default(),
            names: Arc::default(),
            rows: Vec::with_capacity(records),
            charges: Vec::new(),
            ledger: Ledger::default(),
        };
        Self {
            block,
            lanes: Vec::with_capacity(records),
            marks: Vec::new(),
            letters: Vec::new(),
            tally: Tally::default(),
            filtered: 0,
        }
    }

    /// Adds a normalized event that goes to these lanes, at least one, and is remembered by these keys.
    pub fn add(&mut self, row: Row, lanes: u64, keys: Keys) {
        let (number, id) = (u32::try_from(self.block.rows.len()).unwrap_or(u32::MAX), row.id);
        self.marks.extend(keys.into_iter().flatten().map(|key| Mark { row: number, key, id }));
        self.block.rows.push(row);
        self.lanes.push(lanes);
    }

    /// The rows of each of so many lanes; writes the ledger.
    pub fn deal(&mut self, lanes: usize, memory: Option<&Arc<Memory>>, now_ms: i64) -> Vec<Vec<u32>> {
        let mut dealt = vec![Vec::new(); lanes];
        for (number, wanted) in (0_u32..).zip(&self.lanes) {
            for (lane, rows) in dealt.iter_mut().enumerate() {
                if wanted >> lane & 1 == 1 {
                    rows.push(number);
                }
            }
        }
        let counts = self.lanes.iter().map(|lanes| u16::try_from(lanes.count_ones()).unwrap_or(u16::MAX));
        self.block.ledger = Ledger::new(counts);
        if let Some(memory) = memory {
            let marks = std::mem::take(&mut self.marks);
            let remember = Remember { memory: Arc::clone(memory), marks, at_ms: now_ms };
            self.block.ledger = std::mem::take(&mut self.block.ledger).remembering(remember);
        }
        dealt
    }

    /// A record that was abandoned too often.
    pub fn give_up(&mut self, record: u32) {
        let words = "this record was abandoned too often: something on the way to the sinks cannot live with it";
        self.tally.events += 1;
        *self.tally.broken.entry("abandoned".to_owned()).or_default() += 1;
        let refusal = Refusal { code: "abandoned", words: words.to_owned() };
        self.letters.push((What::Record(record), DeadReason::Abandoned, refusal));
    }

    /// Something that no event can be made of.
    pub fn refuse(&mut self, what: What, refusal: Refusal) {
        self.tally.events += 1;
        *self.tally.broken.entry(refusal.code.to_owned()).or_default() += 1;
        // A bound's refusal carries the name of the bound.
        let reason = if refusal.code.ends_with("_max") { DeadReason::OverBound } else { DeadReason::Broken };
        self.letters.push((what, reason, refusal));
    }

    /// Something that carries no event, filtered by a rule of the envelopes.
    pub fn filter(&mut self, rule: &Arc<str>) {
        self.tally.events += 1;
        self.let_go(rule);
    }

    /// An event that has been counted as read, and that a rule lets go.
    pub fn let_go(&mut self, rule: &Arc<str>) {
        self.filtered += 1;
        self.tally.count_filtered(rule);
    }
}
