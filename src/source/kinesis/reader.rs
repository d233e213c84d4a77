//! The reader of one shard.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::options::KinesisOptions;
use super::service::{Fetched, Service, Trouble};
use crate::ack::{Position, Sequence, Settled, Step};
use crate::delivery::Schedule;
use crate::lease::{Checkpoint, Grant, Lost, Recall};
use crate::record::Record;
use crate::shutdown::Shutdown;
use crate::source::{Closed, Intake, Room, Window};

/// The service allows five calls a second for a shard.
const CALL_EVERY: Duration = Duration::from_millis(200);

/// The service gives 2 MiB a second for a shard, shared by all who read it.
const BYTES_PER_SECOND: u32 = 2 << 20;

/// The service gives at most so many records with one call.
const CALL_RECORDS_MAX: u32 = 10_000;

/// The first and the longest ceiling of a wait after a failed call.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// After so many failed calls in a row the failure is worth a warning.
const FAILURES_QUIET: u32 = 3;

/// How a reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The shard is closed, and everything in it is settled: its children may be read.
    Finished(String),
    /// The shard is not there, or its stream is not; what was handed on is settled.
    Missing(String),
    /// It was asked to stop, or the pipeline is going down; what was handed on is settled.
    Stopped,
    /// Another worker reads on: after a hand-over what was handed on is settled, after a loss it may come twice.
    GivenUp(String),
}

/// Reads one shard until its end, or until it is asked to stop.
pub struct Reader {
    service: Service,
    options: Arc<KinesisOptions>,
    /// Given back when the reader ends.
    grant: Grant,
    shard: Arc<str>,
    window: Window,
    /// Where the reading began: behind it there is no settled position yet.
    origin: Checkpoint,
    /// The last position that was handed on.
    sent: Option<Position>,
    /// The checkpoint that was written last.
    written: Checkpoint,
    written_at: Instant,
    iterator: Option<String>,
    /// Nothing follows what was fetched: the shard is closed.
    is_closed: bool,
    /// Fetched and not yet handed on.
    fetched: Vec<Record>,
    call_at: Instant,
    schedule: Schedule,
    failures: u32,
}

type Call = Pin<Box<dyn Future<Output = (Option<String>, Result<Fetched, Trouble>)> + Send>>;

/// The length of the next chunk in records, and the wait for its room.
type Door = (usize, Pin<Box<dyn Future<Output = Result<Room, Closed>> + Send>>);

/// What happened to a reader.
enum Happening {
    Settled(Settled),
    Called(Option<String>, Result<Fetched, Trouble>),
    Room(Result<Room, Closed>),
    TimeToWrite,
    Recalled(Recall),
    Stop,
}

impl Reader {
    /// A reader of the shard that is granted.
    pub fn new(name: &Arc<str>, service: Service, options: Arc<KinesisOptions>, grant: Grant) -> Self {
        let (shard, checkpoint) = (Arc::clone(grant.shard()), grant.from().clone());
        let settled = checkpoint.position(&shard);
        let now = Instant::now();
        Self {
            service,
            window: Window::new(Arc::clone(name), options.window_chunks_max.max(1), settled.clone()),
            options,
            grant,
            shard,
            origin: checkpoint.clone(),
            sent: settled,
            written: checkpoint,
            written_at: now,
            iterator: None,
            is_closed: false,
            fetched: Vec::new(),
            call_at: now,
            schedule: Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), now.into_std()),
            failures: 0,
        }
    }

    /// Reads. Dropping the future midway is safe: what is not settled is read again.
    ///
    /// # Errors
    ///
    /// When the checkpoint is not of this stream.
    pub async fn run(mut self, intake: Intake, stop: Shutdown) -> Result<End, super::Error> {
        let (mut call, mut door): (Option<Call>, Option<Door>) = (None, None);
        loop {
            if self.is_closed && self.fetched.is_empty() && self.window.is_idle() {
                return Ok(match self.grant.finish(Vec::new()).await {
                    Ok(()) => End::Finished(self.shard.to_string()),
                    Err(Lost) => End::GivenUp(self.shard.to_string()),
                });
            }
            if door.is_none() && !self.fetched.is_empty() && !self.window.is_full() {
                door = Some(self.door(&intake));
            }
            if call.is_none() && self.fetched.is_empty() && !self.is_closed {
                call = Some(self.call());
            }
            let write_at = self.written_at + self.options.checkpoint_interval.0;
            let happening = tokio::select! {
                // What is settled counts first: it may call the reading back.
                biased;
                settled = self.window.next_settled() => Happening::Settled(settled),
                () = stop.requested() => Happening::Stop,
                recall = self.grant.recalled() => Happening::Recalled(recall),
                () = tokio::time::sleep_until(write_at), if self.is_unwritten() => Happening::TimeToWrite,
                room = opened(&mut door) => Happening::Room(room),
                (iterator, result) = called(&mut call) => Happening::Called(iterator, result),
            };
            match happening {
                Happening::Settled(settled) => {
                    if self.settle(settled) {
                        (call, door) = (None, None);
                    }
                }
                Happening::Called(iterator, result) => {
                    call = None;
                    self.iterator = iterator;
                    match self.take(result) {
                        None => {}
                        Some(Trouble::Foreign(words)) => {
                            self.drain(intake).await;
                            return Err(super::Error::Foreign(words));
                        }
                        Some(_) => {
                            return Ok(self.give_up_missing(intake).await);
                        }
                    }
                }
                Happening::Room(room) => match (door.take(), room) {
                    (Some((records, _)), Ok(room)) => self.hand_on(records, room),
                    _ => return Ok(self.drain(intake).await),
                },
                Happening::TimeToWrite => {
                    if self.write().await.is_err() {
                        return Ok(End::GivenUp(self.shard.to_string()));
                    }
                }
                Happening::Recalled(Recall::Lost) => return Ok(End::GivenUp(self.shard.to_string())),
                Happening::Recalled(Recall::HandOver) => {
                    let shard = self.shard.to_string();
                    self.drain(intake).await;
                    return Ok(End::GivenUp(shard));
                }
                Happening::Stop => return Ok(self.drain(intake).await),
            }
        }
    }

    /// The next call, at its time: for an iterator first, where there is none.
    fn call(&mut self) -> Call {
        let (service, shard) = (self.service.clone(), Arc::clone(&self.shard));
        let iterator = self.iterator.take();
        let behind = self.sent.as_ref().map_or_else(|| self.origin.clone(), Checkpoint::at);
        let records_max = i32::try_from(self.records_max()).unwrap_or(i32::MAX);
        let at = self.call_at;
        // A call that is given up midway was made all the same, as far as the service's limits go.
        self.call_at = at.max(Instant::now()) + CALL_EVERY;
        Box::pin(async move {
            tokio::time::sleep_until(at).await;
            let iterator = match iterator {
                Some(iterator) => iterator,
                None => match service.iterator(&shard, &behind).await {
                    Ok(Some(iterator)) => iterator,
                    Ok(None) => return (None, Ok(Fetched::default())),
                    Err(trouble) => return (None, Err(trouble)),
                },
            };
            let result = service.records(iterator.clone(), records_max).await;
            (Some(iterator), result)
        })
    }

    /// Takes what a call brought, and sets the time of the next. Gives the trouble back that ends the reading.
    fn take(&mut self, result: Result<Fetched, Trouble>) -> Option<Trouble> {
        let trouble = match result {
            Ok(fetched) => {
                self.schedule.reset();
                self.failures = 0;
                self.call_at = Instant::now() + self.pause_after(&fetched);
                self.is_closed = fetched.next_iterator.is_none();
                self.iterator = fetched.next_iterator;
                self.fetched = fetched.records.into_iter().map(|record| self.record(record)).collect();
                return None;
            }
            Err(trouble @ (Trouble::Missing(_) | Trouble::Foreign(_))) => return Some(trouble),
            Err(trouble) => trouble,
        };
        if matches!(trouble, Trouble::Expired(_) | Trouble::Refused(_) | Trouble::Disturbed(_)) {
            // An iterator that the service cannot read may also come back as a bare 500: a new one costs one call.
            self.iterator = None;
        }
        let wait = self.schedule.next(None).max(CALL_EVERY);
        self.call_at = Instant::now() + wait;
        self.failures = self.failures.saturating_add(1);
        if self.failures > FAILURES_QUIET {
            tracing::warn!(shard = %self.shard, %trouble, ?wait, failures = self.failures, "call failed again, trying on");
        } else {
            tracing::debug!(shard = %self.shard, %trouble, ?wait, "call failed, trying again");
        }
        None
    }

    /// How long the service's limits ask to wait, and the others who read the shard.
    fn pause_after(&self, fetched: &Fetched) -> Duration {
        let bytes: usize = fetched.records.iter().map(|record| record.data.as_ref().len()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let for_bytes = Duration::from_secs(1).mul_f64(f64::from(bytes) / f64::from(BYTES_PER_SECOND));
        let is_at_end = fetched.behind.is_zero() && fetched.records.len() < self.records_max();
        let for_others = if is_at_end { self.options.idle_wait.0 } else { Duration::ZERO };
        CALL_EVERY.max(for_bytes).max(for_others)
    }

    fn records_max(&self) -> usize {
        usize::try_from(self.options.records_max.clamp(1, CALL_RECORDS_MAX)).unwrap_or(usize::MAX)
    }

    fn record(&self, record: aws_sdk_kinesis::types::Record) -> Record {
        let arrival_ms = record.approximate_arrival_timestamp.and_then(|time| time.to_millis().ok());
        let position = Position::new(Arc::clone(&self.shard), Sequence::new(&record.sequence_number));
        Record { data: Bytes::from(record.data.into_inner()), position, arrival_ms }
    }

    /// Measures the next chunk and asks for room for it.
    fn door(&self, intake: &Intake) -> Door {
        let bytes_max = self.options.chunk_bytes_max.bytes();
        let (mut fits, mut bytes) = (0, 0);
        for record in &self.fetched {
            if fits > 0 && bytes + record.data.len() > bytes_max {
                break;
            }
            fits += 1;
            bytes += record.data.len();
        }
        let records = self.window.chunk_len(self.fetched.get(..fits).unwrap_or_default()).max(1);
        let bytes = self.fetched.iter().take(records).map(|record| record.data.len()).sum();
        (records, Box::pin(intake.clone().room(bytes)))
    }

    /// Hands the next chunk on: so many records.
    fn hand_on(&mut self, records: usize, room: Room) {
        let rest = self.fetched.split_off(records.min(self.fetched.len()));
        let chunk = std::mem::replace(&mut self.fetched, rest);
        self.sent = chunk.last().map(|record| record.position.clone());
        self.window.put(chunk, room);
    }

    /// Takes note of a settled chunk; says whether the reading went back to the frontier.
    fn settle(&mut self, settled: Settled) -> bool {
        match self.window.settle(settled) {
            Step::Wait | Step::Advance(_) => false,
            Step::Rewind => {
                tracing::warn!(shard = %self.shard, "a chunk was abandoned, reading again from the checkpoint");
                self.sent = self.window.settled().cloned();
                self.iterator = None;
                self.is_closed = false;
                self.fetched.clear();
                true
            }
        }
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        self.window.settled().map(Checkpoint::at).filter(|checkpoint| *checkpoint != self.written)
    }

    fn is_unwritten(&self) -> bool {
        self.checkpoint().is_some()
    }

    async fn write(&mut self) -> Result<(), Lost> {
        if let Some(checkpoint) = self.checkpoint() {
            self.grant.checkpoint(checkpoint.clone()).await?;
            self.written = checkpoint;
        }
        self.written_at = Instant::now();
        Ok(())
    }

    /// Gives up the intake, so that lanes flush, waits until everything is settled, and writes the last checkpoint; if the
    /// lease is lost meanwhile, it waits for nothing more.
    async fn drain(mut self, intake: Intake) -> End {
        self.settle_all(intake).await
    }

    /// As [`drain`](Self::drain), for a shard that the service does not know.
    async fn give_up_missing(mut self, intake: Intake) -> End {
        match self.settle_all(intake).await {
            End::Stopped => {
                let shard = self.shard.to_string();
                self.grant.gone();
                End::Missing(shard)
            }
            end => end,
        }
    }

    async fn settle_all(&mut self, intake: Intake) -> End {
        drop(intake);
        while !self.window.is_idle() {
            tokio::select! {
                settled = self.window.next_settled() => drop(self.settle(settled)),
                () = self.grant.lost() => return End::GivenUp(self.shard.to_string()),
            }
        }
        match self.write().await {
            Ok(()) => End::Stopped,
            Err(Lost) => End::GivenUp(self.shard.to_string()),
        }
    }
}

/// The end of the call that is under way; never, where there is none.
async fn called(call: &mut Option<Call>) -> (Option<String>, Result<Fetched, Trouble>) {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

/// The room that is waited for; never, where none is.
async fn opened(door: &mut Option<Door>) -> Result<Room, Closed> {
    match door {
        Some((_, room)) => room.await,
        None => std::future::pending().await,
    }
}
