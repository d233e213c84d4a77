//! One stream at work: which of its shards are read.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use super::consumer;
use super::feed::now_ms;
use super::options::{KinesisOptions, Mode};
use super::reader::{End, Reader, Work, label};
use super::service::{Listed, Service};
use super::source::Error;
use super::trouble::Trouble;
use crate::delivery::Schedule;
use crate::lease::{self, Checkpoint, LeaseTable, Shard, Start};
use crate::metric::{Reason, SourceMeter};
use crate::shutdown::{self, Shutdown};
use crate::source::Intake;

/// The first and the longest ceiling of a wait after the stream could not be listed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long to wait before a shard that was not there is looked for again.
const MISSING_WAIT: Duration = Duration::from_millis(500);

/// How often the stream is asked for its retention; `DescribeStreamSummary` may be called 20 times a second in an account.
const RETENTION_EVERY: Duration = Duration::from_mins(10);

/// One stream and its leases.
pub struct StreamReading<T> {
    pub name: Arc<str>,
    pub service: Service,
    pub options: Arc<KinesisOptions>,
    pub table: Arc<T>,
    pub meter: Arc<SourceMeter>,
    pub start: Start,
}

/// A look at the stream.
type Look = Pin<Box<dyn Future<Output = Result<Seen, Failure>> + Send>>;

/// What a look saw.
struct Seen {
    /// The shards to read, and from where.
    read: Vec<(Listed, Checkpoint)>,
    /// The shards that wait for their parents.
    waiting: Vec<String>,
}

enum Failure {
    Service(Trouble),
    Table(lease::Error),
}

/// What is known of the shards besides the list and the table.
#[derive(Clone, Default)]
struct Known {
    /// Those that are read now.
    reading: BTreeSet<String>,
    /// Those that are read up to the end of the backfill.
    reached: BTreeSet<String>,
    /// The children that the end of a shard told of: the list may not show them yet.
    told: BTreeMap<String, Shard>,
}

impl<T: LeaseTable> StreamReading<T> {
    /// Reads all shards of the stream until it is asked to stop, or to the end of the backfill. Dropping the future midway is
    /// safe: what is not settled is read again.
    ///
    /// # Errors
    ///
    /// With what cannot get better by waiting; what was handed on is settled by then.
    pub async fn run(self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let (start, is_bounded) = (self.start, self.options.end.is_some());
        let work = tokio::select! {
            work = self.prepare() => work?,
            () = stop.requested() => return Ok(()),
        };
        let mut retention = Box::pin(keep_retention(Arc::clone(&work)));
        let mut schedule = Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), Instant::now().into_std());
        let mut known = Known::default();
        // All readers share this one task. None of their steps holds it up: a reader waits only for what is in its own hands
        // (`reader::UnderWay`), and nothing below awaits anything but in `select!`.
        let mut readers = FuturesUnordered::new();
        // The readers stop when the stream does, and it also does when one of them fails.
        let (halt, halted) = shutdown::channel();
        let mut result = Ok(());
        let look = |known: &Known, at: Instant| -> Look { Box::pin(look(Arc::clone(&work), known.clone(), start, at)) };
        // Without an intake it is going down.
        let mut intake = Some(intake);
        let mut looking = look(&known, Instant::now());
        while intake.is_some() || !readers.is_empty() {
            tokio::select! {
                looked = &mut looking, if intake.is_some() => {
                    let mut wait = work.options.shard_sync_interval.0;
                    match (looked, intake.as_ref()) {
                        (Ok(seen), Some(entrance)) => {
                            schedule.reset();
                            note_waiting(&work, &seen.waiting);
                            for (listed, checkpoint) in seen.read {
                                let shard = listed.shard.id;
                                if known.reached.contains(&shard) || !known.reading.insert(shard.clone()) {
                                    continue;
                                }
                                tracing::info!(source = %work.name, shard, ?checkpoint, "reading shard");
                                let account = entrance.budget().account();
                                let reader = Reader::new(&work, &shard, listed.hash_keys, checkpoint, account);
                                readers.push(reader.run(entrance.clone(), halted.clone()));
                            }
                            if is_bounded && readers.is_empty() && is_over(&work, &known) {
                                tracing::info!(source = %work.name, stream = %work.service.stream(), "read to the end");
                                intake = None;
                            }
                        }
                        (Ok(_), None) => {}
                        (Err(Failure::Service(Trouble::Missing(words))), _) => {
                            result = result.and(Err(Error::Missing(words)));
                            intake = None;
                        }
                        (Err(Failure::Table(error)), _) => {
                            result = result.and(Err(error.into()));
                            intake = None;
                        }
                        (Err(Failure::Service(trouble)), _) => {
                            wait = schedule.next(None);
                            tracing::warn!(source = %work.name, %trouble, ?wait, "cannot list shards, trying again");
                        }
                    }
                    looking = look(&known, Instant::now() + wait);
                }
                Some(ended) = readers.next() => match ended {
                    Ok(End::Finished(shard, children)) => {
                        tracing::info!(source = %work.name, shard, "shard ended, all of it is settled");
                        known.leave(&work, &shard);
                        known.told.extend(children.into_iter().map(|child| (child.id.clone(), child)));
                        looking = look(&known, Instant::now());
                    }
                    Ok(End::Reached(shard)) => {
                        tracing::info!(source = %work.name, shard, "shard is read to the end that was asked for");
                        known.leave(&work, &shard);
                        known.reached.insert(shard);
                        looking = look(&known, Instant::now());
                    }
                    Ok(End::Missing(shard)) => {
                        tracing::warn!(source = %work.name, shard, "shard is gone, asking the stream");
                        known.leave(&work, &shard);
                        known.told.remove(&shard);
                        looking = look(&known, Instant::now() + MISSING_WAIT);
                    }
                    Ok(End::Stopped) => intake = None,
                    Err(error) => {
                        result = result.and(Err(error));
                        intake = None;
                    }
                },
                () = &mut retention => {}
                () = stop.requested(), if intake.is_some() => intake = None,
            }
            if intake.is_none() {
                halt.stop();
            }
        }
        result
    }

    /// Sees to it that the consumer is there, where subscriptions are wanted.
    async fn prepare(self) -> Result<Arc<Work<T>>, Error> {
        let Self { name, service, options, table, meter, .. } = self;
        let consumer_arn = match options.mode {
            Mode::Polling => None,
            Mode::FanOut => {
                let consumer = options.consumer(&name);
                let arn = consumer::ready(&service, &consumer, options.fan_out_fallback).await;
                arn.map_err(|trouble| Error::Missing(trouble.to_string()))?.map(Arc::from)
            }
        };
        let retention_ms = AtomicU64::new(0);
        Ok(Arc::new(Work { name, service, options, table, meter, retention_ms, consumer_arn }))
    }
}

impl Known {
    fn leave<T>(&mut self, work: &Work<T>, shard: &str) {
        self.reading.remove(shard);
        work.meter.forget(&label(work, shard));
    }
}

/// Compares the stream with the table at this time, writes down what is new, and says which shards are to be read now.
/// Dropping the future midway is safe: the table holds the old leases or the new ones.
async fn look<T: LeaseTable>(work: Arc<Work<T>>, known: Known, start: Start, at: Instant) -> Result<Seen, Failure> {
    sleep_until(at).await;
    let listed = work.service.shards().await.map_err(Failure::Service)?;
    let mut hash_keys: BTreeMap<String, (u128, u128)> = BTreeMap::new();
    let mut shards: Vec<Shard> = Vec::with_capacity(listed.len());
    for Listed { shard, hash_keys: keys } in listed {
        hash_keys.extend(keys.map(|keys| (shard.id.clone(), keys)));
        shards.push(shard);
    }
    let unlisted = |shards: &[Shard], id: &String| !shards.iter().any(|shard| shard.id == *id);
    // What the end of a shard told of is there, though the list may lag behind.
    for (id, child) in known.told {
        if unlisted(&shards, &id) {
            shards.push(child);
        }
    }
    // And so is what is being read, whatever the list says: its reader will tell when it is gone.
    for id in known.reading {
        if unlisted(&shards, &id) {
            shards.push(Shard { id, parents: Vec::new(), is_closed: true });
        }
    }
    let leases = work.table.load().await.map_err(Failure::Table)?;
    let plan = lease::plan(&shards, &leases, start);
    if !plan.create.is_empty() || !plan.remove.is_empty() {
        work.table.update(plan.create, plan.remove).await.map_err(Failure::Table)?;
    }
    let is_waiting = |shard: &Shard| {
        let is_finished = leases.get(&shard.id).is_some_and(|lease| lease.checkpoint == Checkpoint::ShardEnd);
        !is_finished && !plan.read.iter().any(|(id, _)| *id == shard.id)
    };
    let waiting = shards.iter().filter(|shard| is_waiting(shard)).map(|shard| shard.id.clone()).collect();
    let mut shards: BTreeMap<String, Shard> = shards.into_iter().map(|shard| (shard.id.clone(), shard)).collect();
    let read = plan.read.into_iter().filter_map(|(id, checkpoint)| {
        let listed = Listed { shard: shards.remove(&id)?, hash_keys: hash_keys.get(&id).copied() };
        Some((listed, checkpoint))
    });
    Ok(Seen { read: read.collect(), waiting })
}

/// Says whether nothing before the end of the backfill can come any more, as nothing is read now.
fn is_over<T>(work: &Work<T>, known: &Known) -> bool {
    !known.reached.is_empty() || work.options.end_ms().is_some_and(|end_ms| now_ms() >= end_ms)
}

fn note_waiting<T>(work: &Work<T>, waiting: &[String]) {
    for shard in waiting {
        work.meter.shard(&label(work, shard)).measure(|state| state.reason = Reason::WaitsForParent);
    }
}

/// Asks for the stream's retention now and then; never ends. What cannot be asked is not measured, and stops nothing.
async fn keep_retention<T>(work: Arc<Work<T>>) {
    let mut schedule = Schedule::new(RETRY.0, RETENTION_EVERY, fastrand::u64(..), Instant::now().into_std());
    let mut is_told = false;
    loop {
        match work.service.summary().await {
            Ok(summary) => {
                let retention_ms = u64::try_from(summary.retention.as_millis()).unwrap_or(u64::MAX);
                work.retention_ms.store(retention_ms, Ordering::Relaxed);
                schedule.reset();
                sleep(RETENTION_EVERY).await;
            }
            Err(trouble) => {
                if !is_told && matches!(trouble, Trouble::Forbidden(_)) {
                    is_told = true;
                    tracing::warn!(source = %work.name, %trouble, "the retention is not known, so its headroom is not measured");
                }
                sleep(schedule.next(Some(RETRY.0))).await;
            }
        }
    }
}
