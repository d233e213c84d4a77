//! The Kinesis source at work: which shards are read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::options::{KinesisOptions, StartAt};
use super::reader::{End, Reader};
use super::service::{Service, Trouble};
use crate::delivery::Schedule;
use crate::lease::{self, FileTable, LeaseTable, Start};
use crate::shutdown::Shutdown;
use crate::source::{Intake, Source};

/// The first and the longest ceiling of a wait after the stream could not be listed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What can go wrong for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream is not there, or no longer.
    #[error("{0}: mend `stream` (name, region and account), or create the stream")]
    Missing(String),
    /// The stream cannot be asked at all (`check --connect`).
    #[error("{0}")]
    Unreachable(Trouble),
    /// Checkpoints cannot be read or written.
    #[error(transparent)]
    Lease(#[from] lease::Error),
}

/// Reads all shards of one stream.
#[derive(Debug)]
pub struct KinesisSource<T = FileTable> {
    name: Arc<str>,
    options: Arc<KinesisOptions>,
    table: Arc<T>,
}

impl KinesisSource {
    /// A source with its checkpoints in a local file. Nothing is opened or asked yet.
    #[must_use]
    pub fn new(name: &Arc<str>, options: KinesisOptions) -> Self {
        let table = FileTable::new(options.checkpoint_file(name), &options.stream);
        Self::with_table(name, options, table)
    }

    /// Asks the stream for its shards: the cheapest call that proves region, credentials and name.
    ///
    /// # Errors
    ///
    /// With what stands in the way.
    pub async fn check(options: &KinesisOptions) -> Result<usize, Error> {
        let shards = Service::connect(options).await.shards().await;
        shards.map(|shards| shards.len()).map_err(|trouble| match trouble {
            Trouble::Missing(words) => Error::Missing(words),
            trouble => Error::Unreachable(trouble),
        })
    }
}

impl<T: LeaseTable> KinesisSource<T> {
    /// A source with its checkpoints in this table.
    #[must_use]
    pub fn with_table(name: &Arc<str>, options: KinesisOptions, table: T) -> Self {
        Self { name: Arc::clone(name), options: Arc::new(options), table: Arc::new(table) }
    }

    /// Compares the stream with the table, writes down what is new, and says which shards are to be read now.
    async fn sync(&self, service: &Service, start: Start) -> Result<Vec<(String, lease::Checkpoint)>, Failure> {
        let shards = service.shards().await.map_err(Failure::Service)?;
        let leases = self.table.load().await.map_err(Failure::Table)?;
        let plan = lease::plan(&shards, &leases, start);
        if !plan.create.is_empty() || !plan.remove.is_empty() {
            self.table.update(plan.create, plan.remove).await.map_err(Failure::Table)?;
        }
        Ok(plan.read)
    }
}

enum Failure {
    Service(Trouble),
    Table(lease::Error),
}

impl<T: LeaseTable> Source for KinesisSource<T> {
    type Error = Error;

    async fn run(self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let service = Service::connect(&self.options).await;
        let start = first_start(self.options.start);
        let mut schedule = Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), Instant::now().into_std());
        let mut intake = Some(intake);
        let mut reading = BTreeSet::new();
        let mut readers = FuturesUnordered::new();
        let mut sync_at = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(sync_at), if intake.is_some() => {
                    sync_at = Instant::now() + self.options.shard_sync_interval.0;
                    match self.sync(&service, start).await {
                        Ok(shards) => {
                            schedule.reset();
                            let Some(intake) = &intake else { continue };
                            for (shard, checkpoint) in shards {
                                if reading.insert(shard.clone()) {
                                    tracing::info!(source = %self.name, shard, ?checkpoint, "reading shard");
                                    let (options, table) = (Arc::clone(&self.options), Arc::clone(&self.table));
                                    let reader = Reader::new(&self.name, service.clone(), options, table, &shard, checkpoint);
                                    readers.push(reader.run(intake.clone(), stop.clone()));
                                }
                            }
                        }
                        Err(Failure::Table(error)) => return Err(error.into()),
                        Err(Failure::Service(Trouble::Missing(words))) => return Err(Error::Missing(words)),
                        Err(Failure::Service(trouble)) => {
                            let wait = schedule.next(None);
                            tracing::warn!(source = %self.name, %trouble, ?wait, "cannot list shards, trying again");
                            sync_at = Instant::now() + wait;
                        }
                    }
                }
                Some(ended) = readers.next() => match ended? {
                    End::ShardEnd(shard) => {
                        tracing::info!(source = %self.name, shard, "shard ended, all of it is settled");
                        reading.remove(&shard);
                        sync_at = Instant::now();
                    }
                    End::Stopped => {}
                },
                () = stop.requested(), if intake.is_some() => intake = None,
            }
            if intake.is_none() && readers.is_empty() {
                return Ok(());
            }
        }
    }
}

/// `LATEST` becomes the time of the first start, and is written down with the first leases.
fn first_start(start: StartAt) -> Start {
    match start {
        StartAt::TrimHorizon => Start::TrimHorizon,
        StartAt::Timestamp(time_ms) => Start::AtTimestamp(time_ms),
        StartAt::Latest => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Start::AtTimestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
        }
    }
}
