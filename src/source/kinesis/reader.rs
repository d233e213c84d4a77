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
use crate::lease::{Checkpoint, LeaseTable};
use crate::record::Record;
use crate::shutdown::Shutdown;
use crate::source::{Intake, Window};

/// The service allows five calls a second for a shard.
const CALL_EVERY: Duration = Duration::from_millis(200);

/// The service gives 2 MiB a second for a shard, shared by all who read it.
const BYTES_PER_SECOND: u32 = 2 << 20;

/// The first and the longest ceiling of a wait after a failed call.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long to wait before asking again for what we may not have: a person has to mend it first.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(30);

/// How a reading ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The shard is closed, and everything in it is settled: its children may be read.
    ShardEnd(String),
    /// It was asked to stop, or the pipeline is going down.
    Stopped,
}

/// Reads one shard until its end, or until it is asked to stop.
pub struct Reader<T> {
    service: Service,
    options: Arc<KinesisOptions>,
    table: Arc<T>,
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
}

type Call = Pin<Box<dyn Future<Output = (Option<String>, Result<Fetched, Trouble>)> + Send>>;

impl<T: LeaseTable> Reader<T> {
    /// A reader of a shard behind its checkpoint.
    pub fn new(
        name: &Arc<str>,
        service: Service,
        options: Arc<KinesisOptions>,
        table: Arc<T>,
        shard: &str,
        checkpoint: Checkpoint,
    ) -> Self {
        let settled = checkpoint.position(shard);
        let now = Instant::now();
        Self {
            service,
            window: Window::new(Arc::clone(name), options.window_chunks_max.max(1), settled.clone()),
            options,
            table,
            shard: shard.into(),
            origin: checkpoint.clone(),
            sent: settled,
            written: checkpoint,
            written_at: now,
            iterator: None,
            is_closed: false,
            fetched: Vec::new(),
            call_at: now,
            schedule: Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), now.into_std()),
        }
    }

    /// Reads. Dropping the future midway is safe: what is not settled is read again.
    ///
    /// # Errors
    ///
    /// When the stream is gone, or checkpoints cannot be written.
    pub async fn run(mut self, intake: Intake, stop: Shutdown) -> Result<End, super::Error> {
        let mut call: Option<Call> = None;
        loop {
            if stop.is_requested() {
                return self.drain(intake).await;
            }
            if self.is_closed && self.fetched.is_empty() && self.window.is_idle() {
                self.table.checkpoint(&self.shard, Checkpoint::ShardEnd).await?;
                return Ok(End::ShardEnd(self.shard.to_string()));
            }
            if !self.fetched.is_empty() && !self.window.is_full() {
                if self.hand_on(&intake).await.is_err() {
                    return Ok(End::Stopped);
                }
                continue;
            }
            if call.is_none() && self.fetched.is_empty() && !self.is_closed {
                call = Some(self.call());
            }
            let write_at = self.written_at + self.options.checkpoint_interval.0;
            tokio::select! {
                settled = self.window.next_settled() => {
                    if self.settle(settled) {
                        call = None;
                    }
                }
                (iterator, result) = called(&mut call) => {
                    call = None;
                    self.iterator = iterator;
                    self.take(result)?;
                }
                () = tokio::time::sleep_until(write_at), if self.is_unwritten() => self.write().await?,
                () = stop.requested() => {}
            }
        }
    }

    /// The next call, at its time: for an iterator first, where there is none.
    fn call(&mut self) -> Call {
        let (service, shard) = (self.service.clone(), Arc::clone(&self.shard));
        let iterator = self.iterator.take();
        let behind = self.sent.as_ref().map_or_else(|| self.origin.clone(), Checkpoint::at);
        let records_max = i32::try_from(self.options.records_max.clamp(1, 10_000)).unwrap_or(10_000);
        let at = self.call_at;
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

    /// Takes what a call brought, and sets the time of the next.
    fn take(&mut self, result: Result<Fetched, Trouble>) -> Result<(), super::Error> {
        let now = Instant::now();
        match result {
            Ok(fetched) => {
                self.schedule.reset();
                self.call_at = now + self.pause_after(&fetched);
                self.is_closed = fetched.next_iterator.is_none();
                self.iterator = fetched.next_iterator;
                self.fetched = fetched.records.into_iter().map(|record| self.record(record)).collect();
                return Ok(());
            }
            Err(Trouble::Expired(words)) => {
                tracing::debug!(shard = %self.shard, words, "iterator expired, getting a new one");
                self.iterator = None;
                self.call_at = now + self.schedule.next(None).max(CALL_EVERY);
            }
            Err(Trouble::Missing(words)) => return Err(super::Error::Missing(words)),
            Err(Trouble::Forbidden(words)) => {
                tracing::warn!(shard = %self.shard, words, "not allowed, asking again later");
                self.call_at = now + FORBIDDEN_WAIT;
            }
            Err(trouble @ (Trouble::Throttled(_) | Trouble::Disturbed(_))) => {
                let wait = self.schedule.next(None).max(CALL_EVERY);
                tracing::debug!(shard = %self.shard, %trouble, ?wait, "call failed, trying again");
                if matches!(trouble, Trouble::Disturbed(_)) {
                    // An iterator that the service cannot read may come back as a bare 500: a new one costs one call.
                    self.iterator = None;
                }
                self.call_at = now + wait;
            }
        }
        Ok(())
    }

    /// How long the service's limits and a shard without news ask to wait.
    fn pause_after(&self, fetched: &Fetched) -> Duration {
        let bytes: usize = fetched.records.iter().map(|record| record.data.as_ref().len()).sum();
        let for_bytes = Duration::from_secs(1)
            .mul_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(BYTES_PER_SECOND));
        let for_news = if fetched.records.is_empty() && fetched.behind.is_zero() {
            self.options.idle_wait.0
        } else {
            Duration::ZERO
        };
        CALL_EVERY.max(for_bytes).max(for_news)
    }

    fn record(&self, record: aws_sdk_kinesis::types::Record) -> Record {
        let arrival_ms = record.approximate_arrival_timestamp.and_then(|time| time.to_millis().ok());
        let position = Position::new(Arc::clone(&self.shard), Sequence::new(&record.sequence_number));
        Record { data: Bytes::from(record.data.into_inner()), position, arrival_ms }
    }

    /// Hands the next chunk on, and waits for room.
    async fn hand_on(&mut self, intake: &Intake) -> Result<(), crate::source::Closed> {
        let mut bytes = 0;
        let fits = self.fetched.iter().take_while(|record| {
            let fits = bytes == 0 || bytes + record.data.len() <= self.options.chunk_bytes_max.bytes();
            bytes += record.data.len().max(1);
            fits
        });
        let fits = fits.count().max(1).min(self.fetched.len());
        let length = self.window.chunk_len(self.fetched.get(..fits).unwrap_or_default()).max(1);
        let rest = self.fetched.split_off(length);
        let chunk = std::mem::replace(&mut self.fetched, rest);
        self.sent = chunk.last().map(|record| record.position.clone());
        self.window.send(chunk, intake).await
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

    async fn write(&mut self) -> Result<(), super::Error> {
        if let Some(checkpoint) = self.checkpoint() {
            self.table.checkpoint(&self.shard, checkpoint.clone()).await?;
            self.written = checkpoint;
        }
        self.written_at = Instant::now();
        Ok(())
    }

    /// Gives up the intake, so that lanes flush, waits until everything is settled, and writes the last checkpoint.
    async fn drain(mut self, intake: Intake) -> Result<End, super::Error> {
        drop(intake);
        while !self.window.is_idle() {
            let settled = self.window.next_settled().await;
            self.settle(settled);
        }
        self.write().await?;
        Ok(End::Stopped)
    }
}

/// The end of the call that is under way; never, where there is none.
async fn called(call: &mut Option<Call>) -> (Option<String>, Result<Fetched, Trouble>) {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}
