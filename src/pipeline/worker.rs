//! A worker: chunks in, blocks out, parcels to the lanes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::accounts::AccountsFile;
use super::bench::{Bench, Place};
use super::dead_letters::DeadLetterStores;
use super::draft::Draft;
use super::duplicates::Duplicates;
use crate::ack::Outcome;
use crate::budget::Budget;
use crate::delivery::{Block, DeadLetter, DeadLetters as _, DeadReason, Parcel, What};
use crate::envelope::{Context, Event, Field, Form, Limits, Peeler, Piece, Refusal};
use crate::metric::{EventMeter, Tally};
use crate::normalize::redact::Redactor;
use crate::normalize::{Mappings, Projection};
use crate::record::Chunk;
use crate::route::Routes;

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
    /// The lanes that want each vocabulary, a bit for each, by the numbers of [`Projection`].
    pub projected_for: [u64; Projection::ALL.len()],
    /// Which events go where.
    pub routes: Routes,
    /// The names of the sinks, in the order of their lanes.
    pub sinks: Vec<Arc<str>>,
    /// What is taken out of events.
    pub redactor: Redactor,
    /// Which duplicates are let go.
    pub duplicates: Option<Duplicates>,
    /// What is known of accounts.
    pub accounts: AccountsFile,
    /// Where broken records go.
    pub dead_letters: Arc<DeadLetterStores>,
    /// The memory budget.
    pub budget: Budget,
    /// How events ended.
    pub events: Arc<EventMeter>,
    /// What was read and made of it.
    pub tally: Arc<Mutex<Tally>>,
    /// The wall clock, in milliseconds since 1970.
    pub clock: fn() -> i64,
}

/// One worker. It owns its buffers; workers share nothing that they write to but the tally, once a chunk.
pub struct Worker {
    shared: Arc<Shared>,
    lanes: Vec<mpsc::Sender<Parcel>>,
    runtime: Handle,
    peeler: Peeler,
    bench: Bench,
}

impl Worker {
    /// A worker that sends to these lanes, in the order of the routes' numbers.
    pub fn new(shared: Arc<Shared>, lanes: Vec<mpsc::Sender<Parcel>>, runtime: Handle) -> Self {
        let peeler = Peeler::new(shared.limits);
        let bench = Bench::new(&shared);
        Self { shared, lanes, runtime, peeler, bench }
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
                self.bench = Bench::new(&self.shared);
            }
        }
    }

    fn work(&mut self, chunk: Chunk) {
        let Chunk { source, records, receipt, give_up, charge } = chunk;
        let mut draft = Draft::new(source, records.len());
        let (accounts, now_ms) = (self.shared.accounts.now(), (self.shared.clock)());
        draft.block.charges.push(charge);
        for (number, record) in (0_u32..).zip(&records) {
            draft.tally.records += 1;
            draft.tally.bytes += u64::try_from(record.data.len()).unwrap_or(u64::MAX);
            if let Some(rule) = record.let_go {
                draft.filter(&Arc::from(rule));
            } else if give_up {
                draft.give_up(number);
            } else {
                self.read(Place { record, number, accounts: &accounts, now_ms }, &mut draft);
            }
        }
        draft.block.records = records;
        draft.block.names = Arc::clone(self.shared.mappings.siem_names());
        let projected: usize = draft.block.projected.iter().map(Vec::len).sum();
        let made = draft.block.ocsf.len() + draft.block.raw.len() + projected;
        draft.block.charges.push(self.shared.budget.charge(made));
        let memory = self.shared.duplicates.as_ref().map(Duplicates::memory);
        let routed = draft.deal(self.lanes.len(), memory, now_ms);
        let Draft { block, letters, tally, filtered, .. } = draft;
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

    fn read(&mut self, place: Place<'_>, draft: &mut Draft) {
        let Place { record, number, .. } = place;
        if let Some(known) = record.again.as_ref().and_then(|again| again.event.as_ref()) {
            let mut context = Context::default();
            for (name, value) in &known.envelope {
                if let Some(field) = Field::named(name) {
                    context.set(field, value);
                }
            }
            let form = if known.is_text { Form::Text } else { Form::Json };
            let event = Event { index: known.index, body: &record.data, form, context: &context };
            return self.bench.event(&self.shared, place, &event, draft);
        }
        let peeled = match self.peeler.peel(&record.data, record.arrival_ms) {
            Ok(peeled) => peeled,
            Err(refusal) => return draft.refuse(What::Record(number), refusal),
        };
        for complaint in peeled.complaints() {
            *draft.tally.complaints.entry(complaint.oddity.code()).or_default() += 1;
        }
        for piece in peeled.pieces() {
            match piece {
                Piece::Event(event) => self.bench.event(&self.shared, place, &event, draft),
                Piece::Filtered { rule, .. } => draft.filter(&Arc::from(rule)),
                Piece::Refused { index, code, .. } => {
                    let words = "this part of the record cannot be read; its other parts were".to_owned();
                    draft.refuse(What::Piece { record: number, index }, Refusal { code, words });
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
