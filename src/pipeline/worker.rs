//! A worker: chunks in, blocks out, parcels to the lanes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::dead_letters::DeadLetterFile;
use super::summary::Tally;
use crate::ack::Outcome;
use crate::budget::Budget;
use crate::delivery::{Block, DeadLetter, DeadLetters as _, DeadReason, Ledger, Parcel, Row, What};
use crate::envelope::{Event, Limits, Peeler, Piece, Refusal};
use crate::metric::EventMeter;
use crate::normalize::{self, BodyDigest, Mappings, Normalizer, Projection, Projector};
use crate::record::{Chunk, Record};
use crate::route::{Decision, Facts, Routes};

/// What all workers share.
pub struct Shared {
    /// Where chunks come from. Whoever holds the lock waits for the next one.
    pub chunks: Mutex<mpsc::Receiver<Chunk>>,
    /// The compiled mappings.
    pub mappings: Arc<Mappings>,
    /// The bounds of envelopes.
    pub limits: Limits,
    /// Whether a sink wants the events as AWS wrote them.
    pub wants_raw: bool,
    /// The vocabulary that each lane wants, in the order of the lanes; `None` for OCSF and raw.
    pub projections: Vec<Option<Projection>>,
    /// Which events go where.
    pub routes: Routes,
    /// Where broken records go.
    pub dead_letters: Arc<DeadLetterFile>,
    /// The memory budget.
    pub budget: Budget,
    /// How events ended.
    pub events: Arc<EventMeter>,
    /// What was read and made of it.
    pub tally: Mutex<Tally>,
    /// The wall clock, in milliseconds since 1970.
    pub clock: fn() -> i64,
}

/// One worker. It owns its buffers; workers share nothing that they write to but the tally, once a chunk.
pub struct Worker {
    shared: Arc<Shared>,
    lanes: Vec<mpsc::Sender<Parcel>>,
    runtime: Handle,
    peeler: Peeler,
    normalizer: Normalizer,
    projector: Projector,
}

/// What a chunk became, before it is shared.
struct Draft {
    block: Block,
    letters: Vec<(What, DeadReason, Refusal)>,
    tally: Tally,
    filtered: u64,
}

impl Worker {
    /// A worker that sends to these lanes, in the order of the routes' numbers.
    pub fn new(shared: Arc<Shared>, lanes: Vec<mpsc::Sender<Parcel>>, runtime: Handle) -> Self {
        let peeler = Peeler::new(shared.limits);
        let normalizer = Normalizer::new(Arc::clone(&shared.mappings));
        let projector = Projector::new(Arc::clone(&shared.mappings));
        Self { shared, lanes, runtime, peeler, normalizer, projector }
    }

    /// Works until no more chunks can come. Blocks its thread: it runs on one of its own.
    pub fn run(mut self) {
        loop {
            let chunk = self.shared.chunks.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(chunk) = chunk else { return };
            let worked = panic::catch_unwind(AssertUnwindSafe(|| self.work(chunk)));
            if worked.is_err() {
                // A fault of ours. The chunk went down with it unsettled: it is read again, record by record, and what
                // fails three times is dead-lettered whole. The buffers may be in any state: new ones.
                tracing::error!("a worker failed on a chunk, which is read again");
                self.peeler = Peeler::new(self.shared.limits);
                self.normalizer = Normalizer::new(Arc::clone(&self.shared.mappings));
                self.projector = Projector::new(Arc::clone(&self.shared.mappings));
            }
        }
    }

    fn work(&mut self, chunk: Chunk) {
        let Chunk { source, records, receipt, give_up, charge } = chunk;
        let mut draft = Draft::new(source, records.len());
        draft.block.charges.push(charge);
        for (number, record) in (0_u32..).zip(&records) {
            draft.tally.records += 1;
            draft.tally.bytes += u64::try_from(record.data.len()).unwrap_or(u64::MAX);
            if give_up {
                draft.give_up(number);
            } else {
                self.read(number, record, &mut draft);
            }
        }
        draft.block.records = records;
        draft.block.names = Arc::clone(self.shared.mappings.siem_names());
        let routed = self.route(&mut draft);
        self.project(&routed, &mut draft.block);
        let projected: usize = draft.block.projected.iter().map(Vec::len).sum();
        let made = draft.block.ocsf.len() + draft.block.raw.len() + projected;
        draft.block.charges.push(self.shared.budget.charge(made));
        let Draft { block, letters, tally, filtered } = draft;
        self.shared.events.filtered.add(filtered);
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).add(tally);

        let block = Arc::new(block);
        for (lane, rows) in self.lanes.iter().zip(routed).filter(|(_, rows)| !rows.is_empty()) {
            let parcel = Parcel { block: Arc::clone(&block), rows, receipt: receipt.share() };
            // A lane that is gone drops the parcel, and with it the share: the chunk is read again.
            let _ = lane.blocking_send(parcel);
        }
        let mut outcome = if filtered > 0 { Outcome::Filtered } else { Outcome::Delivered };
        if !letters.is_empty() {
            self.bury(&block, letters);
            outcome = Outcome::DeadLettered;
        }
        receipt.settle(outcome);
    }

    fn read(&mut self, number: u32, record: &Record, draft: &mut Draft) {
        let peeled = match self.peeler.peel(&record.data, record.arrival_ms) {
            Ok(peeled) => peeled,
            Err(refusal) => return draft.refuse(What::Record(number), refusal),
        };
        for complaint in peeled.complaints() {
            *draft.tally.complaints.entry(complaint.oddity.code()).or_default() += 1;
        }
        for piece in peeled.pieces() {
            match piece {
                Piece::Event(event) => {
                    self.normalizer.normalize_into(number, record, &event, self.shared.wants_raw, draft);
                }
                Piece::Filtered { rule, .. } => draft.filter(&Arc::from(rule)),
                Piece::Refused { index, code, .. } => {
                    let words = "this part of the record cannot be read; its other parts were".to_owned();
                    draft.refuse(What::Piece { record: number, index }, Refusal { code, words });
                }
            }
        }
    }

    /// Decides on every row; returns the rows of each lane, and writes the ledger.
    fn route(&self, draft: &mut Draft) -> Vec<Vec<u32>> {
        let mut routed: Vec<Vec<u32>> = self.lanes.iter().map(|_| Vec::new()).collect();
        let mut lanes_of_rows = Vec::with_capacity(draft.block.rows.len());
        for number in 0..u32::try_from(draft.block.rows.len()).unwrap_or(u32::MAX) {
            let Some(event) = draft.block.event(number) else { continue };
            let facts = Facts {
                log_type: &event.row.log_type,
                severity_id: event.row.severity_id,
                account: event.account(),
                region: event.region(),
            };
            let lanes = match self.shared.routes.decide(facts) {
                Decision::Lanes(lanes) => lanes,
                Decision::Filtered(rule) => {
                    draft.tally.count_filtered(&rule);
                    draft.filtered += 1;
                    0
                }
            };
            for (lane, rows) in routed.iter_mut().enumerate() {
                if lanes >> lane & 1 == 1 {
                    rows.push(number);
                }
            }
            lanes_of_rows.push(u16::try_from(lanes.count_ones()).unwrap_or(u16::MAX));
        }
        draft.block.ledger = Ledger::new(lanes_of_rows);
        routed
    }

    /// Projects every row to the vocabularies that its lanes want: once each, however many lanes want it.
    fn project(&mut self, routed: &[Vec<u32>], block: &mut Block) {
        let Block { ocsf, projected, rows, .. } = block;
        for (rows_of_lane, projection) in routed.iter().zip(&self.shared.projections) {
            let Some((projection, documents)) =
                projection.and_then(|projection| Some((projection, projected.get_mut(projection.number())?)))
            else {
                continue;
            };
            for number in rows_of_lane {
                let row = usize::try_from(*number).ok().and_then(|number| rows.get_mut(number));
                let Some(Row { ocsf: document, log_type, projected, .. }) = row else { continue };
                let (Some(place), Some(document)) =
                    (projected.get_mut(projection.number()), ocsf.get(document.clone()))
                else {
                    continue;
                };
                if place.start == place.end {
                    let begin = documents.len();
                    self.projector.project(projection, document, log_type, documents);
                    *place = begin..documents.len();
                }
            }
        }
    }

    fn bury(&self, block: &Arc<Block>, letters: Vec<(What, DeadReason, Refusal)>) {
        let now = (self.shared.clock)();
        let count = letters.len();
        let letters = letters.into_iter().map(|(what, reason, refusal)| DeadLetter {
            block: Arc::clone(block),
            what,
            reason,
            code: refusal.code.into(),
            words: refusal.words,
            sink: None,
            attempts: 0,
            first_ms: now,
            last_ms: now,
        });
        self.runtime.block_on(self.shared.dead_letters.keep(letters.collect()));
        self.shared.events.dead_lettered.add_count(count);
    }
}

impl Draft {
    fn new(source: Arc<str>, records: usize) -> Self {
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
        Self { block, letters: Vec::new(), tally: Tally::default(), filtered: 0 }
    }

    fn give_up(&mut self, record: u32) {
        let words = "this record was abandoned too often: something on the way to the sinks cannot live with it";
        self.tally.events += 1;
        *self.tally.broken.entry("abandoned".to_owned()).or_default() += 1;
        let refusal = Refusal { code: "abandoned", words: words.to_owned() };
        self.letters.push((What::Record(record), DeadReason::Abandoned, refusal));
    }

    fn refuse(&mut self, what: What, refusal: Refusal) {
        self.tally.events += 1;
        *self.tally.broken.entry(refusal.code.to_owned()).or_default() += 1;
        // A bound's refusal carries the name of the bound.
        let reason = if refusal.code.ends_with("_max") { DeadReason::OverBound } else { DeadReason::Broken };
        self.letters.push((what, reason, refusal));
    }

    fn filter(&mut self, rule: &Arc<str>) {
        self.tally.events += 1;
        self.filtered += 1;
        self.tally.count_filtered(rule);
    }
}

/// The way from an event to its row.
trait Rows {
    fn normalize_into(&mut self, number: u32, record: &Record, event: &Event<'_>, raw: bool, draft: &mut Draft);
}

impl Rows for Normalizer {
    fn normalize_into(&mut self, number: u32, record: &Record, event: &Event<'_>, raw: bool, draft: &mut Draft) {
        let (ocsf_start, raw_start) = (draft.block.ocsf.len(), draft.block.raw.len());
        let digest = normalize::digest(event.body);
        let normalized = self.normalize(event, &digest, &mut draft.block.ocsf);
        if raw {
            draft.block.raw.extend_from_slice(event.body);
        }
        for complaint in normalized.complaints.iter() {
            *draft.tally.complaints.entry(complaint.code()).or_default() += 1;
        }
        draft.tally.count(&normalized.log_type, normalized.severity_id);
        draft.block.rows.push(Row {
            record: number,
            index: event.index,
            ocsf: ocsf_start..draft.block.ocsf.len(),
            raw: raw_start..draft.block.raw.len(),
            projected: [const { 0..0 }; Projection::ALL.len()],
            log_type: normalized.log_type,
            severity_id: normalized.severity_id,
            time_ms: normalized.time_ms,
            account: normalized.account,
            region: normalized.region,
            id: document_id(record, event.index, &digest),
        });
    }
}

/// A hash of position, index in the record and raw event bytes (by their digest).
fn document_id(record: &Record, index: u32, digest: &BodyDigest) -> [u8; 16] {
    let position = &record.position;
    let mut hash = Sha256::new();
    hash.update(position.shard.as_bytes());
    hash.update([0]);
    hash.update(position.sequence.as_str().as_bytes());
    hash.update([0]);
    hash.update(position.sub_sequence.to_be_bytes());
    hash.update(index.to_be_bytes());
    hash.update(digest);
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    id
}
