//! The file source at work.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::decode::Decoder;
use super::lines::Lines;
use super::options::{FileOptions, RecordIs};
use crate::ack::{Position, Sequence, Settled, Step};
use crate::record::Record;
use crate::shutdown::Shutdown;
use crate::source::{Intake, Source, Window};

/// How much is read and decompressed at a time: small, because a compressed piece can grow a thousandfold.
const PIECE_BYTES: usize = 64 << 10;

/// What can go wrong for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern that is none.
    #[error("`{pattern}` is no path pattern: {error}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// Why.
        error: glob::PatternError,
    },
    /// A pattern or path that finds nothing.
    #[error("`{0}` finds no file: mend the path, or remove it from `paths`")]
    NothingFound(String),
    /// A file that cannot be read, or is corrupt.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The time to drain was over before everything was delivered.
    #[error("{0} records were read and not delivered in time: run again, their files are as they were")]
    Undelivered(usize),
    /// A file too large to be one record.
    #[error("{path} is larger than record_bytes_max ({bytes_max} bytes): raise it, or set `record = \"line\"`")]
    TooLarge {
        /// Which.
        path: String,
        /// The bound.
        bytes_max: usize,
    },
}

/// Told how far the reading is; the owner may draw it.
pub trait Progress: Send {
    /// All input is so many bytes, where that is known beforehand.
    fn begin(&mut self, bytes_total: Option<u64>);
    /// So many more bytes were read, before decompression.
    fn advance(&mut self, bytes: u64);
}

/// Reads files to their end.
pub struct FileSource {
    inputs: Vec<Input>,
    options: FileOptions,
    progress: Option<Box<dyn Progress>>,
    out: Outbox,
}

#[derive(Debug)]
enum Input {
    Stdin,
    File(PathBuf),
}

impl FileSource {
    /// Finds the files. `name` is the source's name in the configuration.
    ///
    /// # Errors
    ///
    /// When a pattern is none or finds nothing.
    pub fn open(name: &str, options: FileOptions, progress: Option<Box<dyn Progress>>) -> Result<Self, Error> {
        let mut inputs = Vec::new();
        for pattern in &options.paths {
            inputs.append(&mut find(pattern)?);
        }
        let out = Outbox::new(name, &options);
        Ok(Self { inputs, options, progress, out })
    }

    /// How many files it reads.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Says whether there is none, which [`open`](Self::open) refuses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    async fn read(&mut self, intake: &Intake, stop: &Shutdown) -> Result<(), Error> {
        let total = self.inputs.iter().map(Input::bytes).sum::<Option<u64>>();
        if let Some(progress) = &mut self.progress {
            progress.begin(total);
        }
        let mut result = Ok(());
        for input in std::mem::take(&mut self.inputs) {
            if stop.is_requested() {
                break;
            }
            // One that cannot be read costs the others nothing; the first failure is told when all are through.
            let read = self.read_input(&input, intake, stop).await;
            if let Err(error) = &read {
                tracing::error!(%error, "a file cannot be read to its end, going on with the next");
            }
            result = result.and(read);
        }
        result
    }

    async fn read_input(&mut self, input: &Input, intake: &Intake, stop: &Shutdown) -> Result<(), Error> {
        let reading = Reading { shard: input.name().into(), arrival_ms: input.modified_ms(), next: 0 };
        match input {
            Input::Stdin => self.read_one(tokio::io::stdin(), reading, intake, stop).await,
            Input::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|error| reading.failed(error))?;
                self.read_one(file, reading, intake, stop).await
            }
        }
    }

    async fn read_one<R: AsyncRead + Unpin>(
        &mut self,
        reader: R,
        reading: Reading,
        intake: &Intake,
        stop: &Shutdown,
    ) -> Result<(), Error> {
        match self.options.record {
            RecordIs::Line => self.read_lines(reader, reading, intake, stop).await,
            RecordIs::File => self.read_whole(reader, reading, intake).await,
        }
    }

    async fn read_lines<R: AsyncRead + Unpin>(
        &mut self,
        mut reader: R,
        mut reading: Reading,
        intake: &Intake,
        stop: &Shutdown,
    ) -> Result<(), Error> {
        let (mut codec, mut lines) = (Decoder::Start, Lines::new(self.options.record_bytes_max.bytes()));
        let (mut piece, mut plain, mut records) = (vec![0; PIECE_BYTES], Vec::new(), Vec::new());
        let mut bytes = 0;
        loop {
            let read = tokio::select! {
                read = reader.read(&mut piece) => read.map_err(|error| reading.failed(error))?,
                () = stop.requested() => break,
            };
            plain.clear();
            let decoded = match piece.get(..read) {
                Some(piece) if read > 0 => codec.feed(piece, &mut plain),
                _ => codec.finish(&mut plain),
            };
            if let Some(progress) = &mut self.progress {
                progress.advance(u64::try_from(read).unwrap_or(u64::MAX));
            }
            lines.feed(&plain);
            while let Some(line) = lines.next_line() {
                bytes += line.len();
                records.push(reading.record(line));
                if records.len() >= self.options.chunk_records_max || bytes >= self.options.chunk_bytes_max.bytes() {
                    self.out.send(std::mem::take(&mut records), intake).await;
                    bytes = 0;
                }
            }
            if read == 0 || decoded.is_err() {
                records.extend(lines.rest().map(|line| reading.record(line)));
                self.out.send(std::mem::take(&mut records), intake).await;
                return decoded.map_err(|error| reading.failed(error));
            }
        }
        Ok(())
    }

    async fn read_whole<R: AsyncRead + Unpin>(
        &mut self,
        reader: R,
        mut reading: Reading,
        intake: &Intake,
    ) -> Result<(), Error> {
        let bytes_max = self.options.record_bytes_max.bytes();
        let (mut reader, mut whole) = (reader.take(u64::try_from(bytes_max).unwrap_or(u64::MAX)), Vec::new());
        reader.read_to_end(&mut whole).await.map_err(|error| reading.failed(error))?;
        let mut reader = reader.into_inner();
        if reader.read(&mut [0]).await.map_err(|error| reading.failed(error))? > 0 {
            return Err(Error::TooLarge { path: reading.shard.to_string(), bytes_max });
        }
        if let Some(progress) = &mut self.progress {
            progress.advance(u64::try_from(whole.len()).unwrap_or(u64::MAX));
        }
        self.out.send(vec![reading.record(whole.into())], intake).await;
        Ok(())
    }
}

impl Source for FileSource {
    type Error = Error;

    async fn run(mut self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let read = self.read(&intake, &stop).await;
        let drained = self.out.drain(intake).await;
        read.and(drained)
    }
}

/// The records that are out, kept until they are settled, since a pipe cannot be read twice; and those that wait.
struct Outbox {
    window: Window,
    out: VecDeque<Record>,
    waiting: VecDeque<Record>,
}

impl Outbox {
    fn new(name: &str, options: &FileOptions) -> Self {
        let window = Window::new(name.into(), options.window_chunks_max.max(1), None);
        Self { window, out: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Hands on a chunk of records, and whatever a rewind makes wait. Waits for room in the window.
    async fn send(&mut self, records: Vec<Record>, intake: &Intake) {
        let chunk_records_max = records.len();
        self.waiting.extend(records);
        while !self.waiting.is_empty() {
            // What is settled is let go at once: it is no longer in flight, and nobody else counts its bytes.
            while let Some(settled) = self.window.try_next_settled() {
                self.settle(settled);
            }
            if self.window.is_full() {
                let settled = self.window.next_settled().await;
                self.settle(settled);
                continue;
            }
            let next = self.waiting.make_contiguous();
            let next = next.get(..chunk_records_max.min(next.len())).unwrap_or_default();
            let length = self.window.chunk_len(next).max(1);
            let chunk: Vec<Record> = self.waiting.drain(..length).collect();
            self.out.extend(chunk.iter().cloned());
            if self.window.send(chunk, intake).await.is_err() {
                // The pipeline is going down: what was not taken stays here unsettled, and nobody claims its delivery.
                return;
            }
        }
    }

    fn settle(&mut self, settled: Settled) {
        match self.window.settle(settled) {
            Step::Wait => {}
            Step::Advance(position) => while self.out.pop_front().is_some_and(|record| record.position != position) {},
            Step::Rewind => {
                self.out.append(&mut self.waiting);
                std::mem::swap(&mut self.out, &mut self.waiting);
            }
        }
    }

    /// Gives up the intake, so that lanes flush, and waits until everything is settled.
    async fn drain(&mut self, intake: Intake) -> Result<(), Error> {
        drop(intake);
        while !self.window.is_idle() {
            let settled = self.window.next_settled().await;
            self.settle(settled);
        }
        match self.waiting.len() {
            0 => Ok(()),
            records => Err(Error::Undelivered(records)),
        }
    }
}

/// One file that is being read.
struct Reading {
    shard: Arc<str>,
    arrival_ms: Option<i64>,
    next: u64,
}

impl Reading {
    fn record(&mut self, data: Bytes) -> Record {
        let position = Position::new(Arc::clone(&self.shard), Sequence::from(self.next));
        self.next += 1;
        Record { data, position, arrival_ms: self.arrival_ms, let_go: None, again: None }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Read { path: self.shard.to_string(), error }
    }
}

impl Input {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => path.metadata().ok().map(|metadata| metadata.len()),
        }
    }

    /// When the file was last written: the same at every reading, so that events without a time of their own come out the
    /// same.
    fn modified_ms(&self) -> Option<i64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => modified_ms(path),
        }
    }
}

fn modified_ms(path: &Path) -> Option<i64> {
    let modified = path.metadata().ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn find(pattern: &str) -> Result<Vec<Input>, Error> {
    if pattern == "-" {
        return Ok(vec![Input::Stdin]);
    }
    let found = glob::glob(pattern).map_err(|error| Error::Pattern { pattern: pattern.to_owned(), error })?;
    let mut inputs = Vec::new();
    for path in found {
        let path =
            path.map_err(|error| Error::Read { path: error.path().display().to_string(), error: error.into() })?;
        if path.is_file() {
            inputs.push(Input::File(path));
        }
    }
    if inputs.is_empty() { Err(Error::NothingFound(pattern.to_owned())) } else { Ok(inputs) }
}
