//! The source at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Filter, Found, Holder, Pile, Place, ReadLetters};
use crate::ack::{ABANDONMENTS_MAX, Outcome, Position, Sequence, Settled, Settlements};
use crate::delivery::{KeptLetter, KeptWhat};
use crate::record::{Again, KnownEvent, Record};
use crate::shutdown::Shutdown;
use crate::source::file::Progress;
use crate::source::{Intake, Source};

/// How many letters may be out unsettled; more are not read.
const OUT_MAX: usize = 10_000;

/// What is to be sent again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Files, and how much of each: what is appended meanwhile is not read.
    pub files: Vec<(PathBuf, u64)>,
    /// Whether what lies in the store on the network is read before the files.
    pub reads_store: bool,
    /// Which letters.
    pub filter: Filter,
    /// Whether routes are passed over: the sink of a letter gets it, whatever they say now.
    pub straight: bool,
    /// The names of the sinks that there are: a letter of another stays where it is.
    pub sinks: BTreeSet<String>,
    /// What became of it.
    pub done: Arc<Mutex<Done>>,
}

/// What became of a replay.
#[derive(Debug, Default)]
pub struct Done {
    /// The marks of the lines that need not be sent again, by what holds them: delivered, or dead letters once more.
    pub lines: BTreeMap<Holder, BTreeSet<u64>>,
    /// Letters.
    pub counts: Counts,
}

/// Letters, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Let go by a rule.
    pub filtered: u64,
    /// Dead letters once more.
    pub failed_again: u64,
    /// Of a sink that there is none of any more.
    pub of_no_sink: u64,
    /// Lines that are no dead letters.
    pub unreadable: u64,
}

struct Out {
    place: Place,
    source: Arc<str>,
    record: Record,
    abandonments: u8,
}

/// Sends dead letters again.
pub struct DeadLetterSource<R> {
    replay: Replay,
    pile: Pile<R>,
    progress: Option<Box<dyn Progress>>,
    settlements: Settlements,
    out: BTreeMap<u64, Out>,
    next: u64,
    /// Letters that were sent, or were to be, and have not been settled.
    unsettled: usize,
}

impl<R: ReadLetters> DeadLetterSource<R> {
    /// A source of the letters in a store on the network, if there is one, and in files.
    #[must_use]
    pub fn new(replay: Replay, store: Option<R>, progress: Option<Box<dyn Progress>>) -> Self {
        let pile = Pile::new(replay.files.clone(), store);
        let (settlements, out) = (Settlements::default(), BTreeMap::new());
        Self { replay, pile, progress, settlements, out, next: 0, unsettled: 0 }
    }

    async fn read(&mut self, intake: &Intake, stop: &Shutdown) -> Result<(), Error> {
        if let Some(progress) = &mut self.progress {
            let bytes = self.replay.files.iter().map(|(_, bytes)| bytes).sum();
            // How much lies in a store on the network is not known beforehand.
            progress.begin((!self.replay.reads_store).then_some(bytes));
        }
        while !stop.is_requested()
            && let Some(Found { place, bytes, letter }) = self.pile.next().await?
        {
            if let Some(progress) = &mut self.progress {
                progress.advance(bytes);
            }
            match letter {
                Some(letter) => self.take(place, &letter, intake).await,
                None => self.count(|counts| counts.unreadable += 1),
            }
        }
        Ok(())
    }

    async fn take(&mut self, place: Place, letter: &KeptLetter, intake: &Intake) {
        if !self.replay.filter.admits(letter) {
            return;
        }
        if letter.sink.as_ref().is_some_and(|sink| !self.replay.sinks.contains(sink.as_str())) {
            return self.count(|counts| counts.of_no_sink += 1);
        }
        let Ok(record) = record(letter, self.replay.straight) else {
            return self.count(|counts| counts.unreadable += 1);
        };
        self.count(|counts| counts.sent += 1);
        let out = Out { place, source: Arc::from(letter.source.as_str()), record, abandonments: 0 };
        self.send(out, intake).await;
        while let Some(settled) = self.settlements.try_next() {
            self.settle(settled, intake).await;
        }
        while self.out.len() >= OUT_MAX {
            let settled = self.settlements.next().await;
            self.settle(settled, intake).await;
        }
    }

    /// Hands a letter on. Where the pipeline is going down, it stays unsettled.
    async fn send(&mut self, out: Out, intake: &Intake) {
        let id = self.next;
        self.next += 1;
        let give_up = out.abandonments >= ABANDONMENTS_MAX;
        let (source, record) = (Arc::clone(&out.source), out.record.clone());
        match intake.clone().room(record.data.len()).await {
            Ok(room) => {
                self.out.insert(id, out);
                room.hand_on(source, record, self.settlements.receipt(id), give_up);
            }
            Err(_closed) => self.unsettled += 1,
        }
    }

    async fn settle(&mut self, settled: Settled, intake: &Intake) {
        let Some(out) = self.out.remove(&settled.chunk) else { return };
        match settled.outcome {
            Outcome::Abandoned => {
                let again = Out { abandonments: out.abandonments.saturating_add(1), ..out };
                self.send(again, intake).await;
            }
            outcome => self.note(out.place, outcome),
        }
    }

    fn note(&self, place: Place, outcome: Outcome) {
        let mut done = self.replay.done.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Delivered | Outcome::Spilled => done.counts.delivered += 1,
            // A rule may be mended, and the event be wanted then: what is let go stays where it is.
            Outcome::Filtered | Outcome::Abandoned => {
                done.counts.filtered += 1;
                return;
            }
            Outcome::DeadLettered => done.counts.failed_again += 1,
        }
        done.lines.entry(place.holder).or_default().insert(place.mark);
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.replay.done.lock().unwrap_or_else(PoisonError::into_inner).counts);
    }

    /// Gives up the intake, so that lanes flush, and waits until all that is out has spoken.
    async fn drain(&mut self, intake: Intake) -> Result<(), Error> {
        drop(intake);
        while !self.out.is_empty() {
            let settled = self.settlements.next().await;
            let Some(out) = self.out.remove(&settled.chunk) else { continue };
            match settled.outcome {
                Outcome::Abandoned => self.unsettled += 1,
                outcome => self.note(out.place, outcome),
            }
        }
        if self.unsettled > 0 { Err(Error::Unsettled(self.unsettled)) } else { Ok(()) }
    }
}

impl<R: ReadLetters> Source for DeadLetterSource<R> {
    type Error = Error;

    async fn run(mut self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let read = self.read(&intake, &stop).await;
        let drained = self.drain(intake).await;
        read.and(drained)
    }
}

/// The record that a letter is sent again as.
fn record(letter: &KeptLetter, straight: bool) -> Result<Record, crate::delivery::KeptError> {
    let event = match (letter.what, letter.event_index) {
        (Some(KeptWhat::Event), Some(index)) => Some(KnownEvent {
            index,
            is_text: letter.is_text,
            envelope: letter
                .envelope
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
        }),
        _ => None,
    };
    let sink = letter.sink.as_deref().map(Arc::from);
    let position = Position {
        shard: Arc::from(letter.shard.as_str()),
        sequence: Sequence::new(&letter.sequence),
        sub_sequence: letter.sub_sequence,
    };
    Ok(Record {
        data: letter.original()?.into(),
        position,
        arrival_ms: letter.arrival_ms,
        let_go: None,
        again: Some(Arc::new(Again { event, sink, straight })),
    })
}
