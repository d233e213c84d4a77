//! What the normalize workers make of one chunk, and the part of it that goes to one lane.

use std::ops::Range;
use std::sync::Arc;

use super::{Ledger, TrimmedEvent};
use crate::ack::{Outcome, Receipt};
use crate::budget::Charge;
use crate::normalize::{NamesOfLogTypes, Projection, SiemNames};
use crate::record::Record;

/// All events of one chunk, normalized, in a few buffers that the lanes share.
#[derive(Debug)]
pub struct Block {
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// The records as they were read: what a dead letter is peeled from again.
    pub records: Vec<Record>,
    /// The OCSF events, one JSON document after the other, without separators.
    pub ocsf: Vec<u8>,
    /// The events as AWS wrote them; empty where no sink asked for them.
    pub raw: Vec<u8>,
    /// The events in other vocabularies, by the numbers of [`Projection`]; empty where no sink asked for them.
    pub projected: [Vec<u8>; Projection::ALL.len()],
    /// What SIEMs call the log types.
    pub names: Arc<NamesOfLogTypes>,
    /// The events.
    pub rows: Vec<Row>,
    /// The room taken of the memory budget.
    pub charges: Vec<Charge>,
    /// How many lanes have yet to speak for each row: `Ledger::new` of the number of lanes that each row is routed to.
    pub ledger: Ledger,
}

impl Block {
    /// A row by its number.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<&Row> {
        self.rows.get(usize::try_from(row).ok()?)
    }

    /// A record by its number.
    #[must_use]
    pub fn record(&self, record: u32) -> Option<&Record> {
        self.records.get(usize::try_from(record).ok()?)
    }

    /// An event as sinks see it.
    #[must_use]
    pub fn event(&self, row: u32) -> Option<EventView<'_>> {
        Some(EventView { block: self, row: self.row(row)?, trimmed: None })
    }

    /// Takes note of what became of an event at one lane. Returns the event's outcome over all lanes, the worst of them,
    /// when the last lane has spoken.
    pub fn settle(&self, row: u32, outcome: Outcome) -> Option<Outcome> {
        self.ledger.settle(row, outcome)
    }
}

/// One normalized event: where its bytes stand, and what routes and sinks ask about it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which record of the block it came from.
    pub record: u32,
    /// The number of the event in that record.
    pub index: u32,
    /// The OCSF document in [`Block::ocsf`].
    pub ocsf: Range<usize>,
    /// The source text in [`Block::raw`]; empty where no sink asked for it.
    pub raw: Range<usize>,
    /// The documents in [`Block::projected`]; empty where no sink that gets the event asked for it.
    pub projected: [Range<usize>; Projection::ALL.len()],
    /// The log type that its mapping names.
    pub log_type: Arc<str>,
    /// OCSF `severity_id`.
    pub severity_id: u8,
    /// OCSF `time`: milliseconds since 1970.
    pub time_ms: i64,
    /// `cloud.account.uid` in [`Block::ocsf`], unescaped text; empty if there is none.
    pub account: Range<usize>,
    /// `cloud.region` in [`Block::ocsf`]; empty if there is none.
    pub region: Range<usize>,
    /// A hash of position, index in the record and raw event bytes: what a destination may take for a document's id. Two
    /// equal events at two positions are two events; a re-read of one is one.
    pub id: [u8; 16],
}

/// One event of a block, as sinks see it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The block it stands in.
    pub block: &'a Block,
    /// Its row.
    pub row: &'a Row,
    /// Its documents where it was too large and something of them went.
    pub(super) trimmed: Option<&'a TrimmedEvent>,
}

impl<'a> EventView<'a> {
    /// The OCSF document.
    #[must_use]
    pub fn ocsf(&self) -> &'a [u8] {
        let whole = || self.block.ocsf.get(self.row.ocsf.clone()).unwrap_or_default();
        self.trimmed.and_then(TrimmedEvent::ocsf).unwrap_or_else(whole)
    }

    /// The event as AWS wrote it; empty where no sink asked for it.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.block.raw.get(self.row.raw.clone()).unwrap_or_default()
    }

    /// The event in another vocabulary; empty where no sink that gets it asked for it.
    #[must_use]
    pub fn projected(&self, to: Projection) -> &'a [u8] {
        if let Some(document) = self.trimmed.and_then(|trimmed| trimmed.projected(to)) {
            return document;
        }
        let document = self.row.projected.get(to.number()).cloned();
        let documents = self.block.projected.get(to.number());
        documents.zip(document).and_then(|(documents, range)| documents.get(range)).unwrap_or_default()
    }

    /// What SIEMs call its log type; `None` for one without a mapping of its own.
    #[must_use]
    pub fn names(&self) -> Option<&'a SiemNames> {
        self.block.names.get(&self.row.log_type)
    }

    /// The account, or an empty text.
    #[must_use]
    pub fn account(&self) -> &'a str {
        self.text(&self.row.account)
    }

    /// The region, or an empty text.
    #[must_use]
    pub fn region(&self) -> &'a str {
        self.text(&self.row.region)
    }

    /// The name of the source.
    #[must_use]
    pub fn source(&self) -> &'a str {
        &self.block.source
    }

    fn text(&self, range: &Range<usize>) -> &'a str {
        self.block.ocsf.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// The events of one block that are routed to one lane, with the lane's share in the chunk.
#[derive(Debug)]
pub struct Parcel {
    /// The block, shared with the other lanes.
    pub block: Arc<Block>,
    /// Which of its rows.
    pub rows: Vec<u32>,
    /// The lane's share in the chunk.
    pub receipt: Receipt,
}
