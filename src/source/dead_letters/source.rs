//! The source at work.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::Filter;
use crate::ack::{ABANDONMENTS_MAX, Outcome, Position, Sequence, Settled, Settlements};
use crate::delivery::{KeptLetter, KeptWhat};
use crate::record::{Again, KnownEvent, Record};
use crate::shutdown::Shutdown;
use crate::source::file::Progress;
use crate::source::{Intake, Source};

/// How many letters may be out unsettled; more are not read.
const OUT_MAX: usize = 10_000;

/// The longest line. Records are bounded by their transports, and what they become as a letter is a few times as long.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// What can go wrong for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is none.
    #[error("there are no dead letters in {0}")]
    Nothing(PathBuf),
    /// The time to drain was over before everything was settled.
    #[error("{0} dead letters were sent and not settled in time: they lie where they lay, replay again")]
    Unsettled(usize),
}

/// What is to be sent again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Files, and how much of each: what is appended meanwhile is not read.
    pub files: Vec<(PathBuf, u64)>,
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
    /// Where the lines begin that need not be sent again, by file: delivered, or dead letters once more.
    pub lines: BTreeMap<PathBuf, BTreeSet<u64>>,
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

/// Where a letter lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: usize,
    offset: u64,
}

struct Out {
    place: Place,
    source: Arc<str>,
    record: Record,
    abandonments: u8,
}

/// Sends dead letters again.
pub struct DeadLetterSource {
    replay: Replay,
    progress: Option<Box<dyn Progress>>,
    settlements: Settlements,
    out: BTreeMap<u64, Out>,
    next: u64,
    /// Letters that were sent, or were to be, and have not been settled.
    unsettled: usize,
}

/// The files of dead letters in a directory, or the one file that is named, each with its size now.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn find(from: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let failed = |error| Error::Read { path: from.to_owned(), error };
    let size = |path: &Path| path.metadata().map(|metadata| metadata.len());
    if !from.is_dir() {
        return Ok(vec![(from.to_owned(), size(from).map_err(failed)?)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "ndjson") && path.is_file() {
            let bytes = size(&path).map_err(|error| Error::Read { path: path.clone(), error })?;
            files.push((path, bytes));
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::Nothing(from.to_owned())) } else { Ok(files) }
}

/// The lines of a file of dead letters, up to the size that it had.
#[derive(Debug)]
pub struct Letters {
    path: PathBuf,
    file: tokio::io::Take<BufReader<File>>,
    bytes: u64,
    offset: u64,
    line: Vec<u8>,
}

/// A line.
#[derive(Debug)]
pub struct Line {
    /// Where it begins.
    pub offset: u64,
    /// How long it is, its end included.
    pub bytes: u64,
    /// The letter; `None` where it is none.
    pub letter: Option<KeptLetter>,
}

impl Letters {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn open(path: &Path, bytes: u64) -> Result<Self, Error> {
        let file = File::open(path).await.map_err(|error| Error::Read { path: path.to_owned(), error })?;
        let file = BufReader::new(file).take(0);
        Ok(Self { path: path.to_owned(), file, bytes, offset: 0, line: Vec::new() })
    }

    /// The next line. Dropping the future midway loses the place: the reading is to be begun anew then.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has a line that is longer than any letter.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        self.line.clear();
        self.file.set_limit(self.bytes.saturating_sub(self.offset).min(LINE_BYTES_MAX));
        let read = self.file.read_until(b'\n', &mut self.line).await;
        let bytes = read.map_err(|error| Error::Read { path: self.path.clone(), error })?;
        let (bytes, offset) = (u64::try_from(bytes).unwrap_or(u64::MAX), self.offset);
        if bytes == 0 {
            return Ok(None);
        }
        if bytes >= LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
            let error = io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any dead letter");
            return Err(Error::Read { path: self.path.clone(), error });
        }
        self.offset += bytes;
        // A line without its end is being written, or was torn: nobody acknowledged it.
        let letter = match self.line.strip_suffix(b"\n").map(KeptLetter::parse) {
            Some(Ok(letter)) => Some(letter),
            Some(Err(error)) => {
                tracing::warn!(path = %self.path.display(), offset, %error, "a line is passed over");
                None
            }
            None => None,
        };
        Ok(Some(Line { offset, bytes, letter }))
    }
}

impl DeadLetterSource {
    /// A source of these letters.
    #[must_use]
    pub fn new(replay: Replay, progress: Option<Box<dyn Progress>>) -> Self {
        Self { replay, progress, settlements: Settlements::default(), out: BTreeMap::new(), next: 0, unsettled: 0 }
    }

    async fn read(&mut self, intake: &Intake, stop: &Shutdown) -> Result<(), Error> {
        if let Some(progress) = &mut self.progress {
            progress.begin(Some(self.replay.files.iter().map(|(_, bytes)| bytes).sum()));
        }
        for (file, (path, bytes)) in self.replay.files.clone().into_iter().enumerate() {
            let mut letters = Letters::open(&path, bytes).await?;
            while !stop.is_requested()
                && let Some(Line { offset, bytes, letter }) = letters.next().await?
            {
                if let Some(progress) = &mut self.progress {
                    progress.advance(bytes);
                }
                match letter {
                    Some(letter) => self.take(Place { file, offset }, &letter, intake).await,
                    None => self.count(|counts| counts.unreadable += 1),
                }
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
            outcome => self.note(&out.place, outcome),
        }
    }

    fn note(&self, place: &Place, outcome: Outcome) {
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
        if let Some((path, _)) = self.replay.files.get(place.file) {
            done.lines.entry(path.clone()).or_default().insert(place.offset);
        }
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
                outcome => self.note(&out.place, outcome),
            }
        }
        if self.unsettled > 0 { Err(Error::Unsettled(self.unsettled)) } else { Ok(()) }
    }
}

impl Source for DeadLetterSource {
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
