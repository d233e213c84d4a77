//! The Kinesis source at work: which shards are read.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::options::{KinesisOptions, StartAt};
use super::reader::{End, Reader};
use super::service::{Service, Trouble};
use crate::aws;
use crate::delivery::Schedule;
use crate::lease::{self, Checkpoint, FileTable, LeaseTable, Shard, Start};
use crate::shutdown::{self, Shutdown};
use crate::source::{Intake, Source};

/// The first and the longest ceiling of a wait after the stream could not be listed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long to wait before a shard that was not there is looked for again.
const MISSING_WAIT: Duration = Duration::from_millis(500);

/// What can go wrong for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream is not there, or no longer.
    #[error("{0}: mend `stream` (name, region and account), or create the stream")]
    Missing(String),
    /// A checkpoint that the service does not know: the stream was deleted and made anew under the same name.
    #[error("{0}: the checkpoints are of another stream: move the checkpoint file away to begin anew from `start`")]
    Foreign(String),
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
    sdk_config: Option<SdkConfig>,
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
        let sdk_config = aws::configuration(options.region()).await;
        let shards = Service::new(&sdk_config, options).shards().await;
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
        Self { name: Arc::clone(name), options: Arc::new(options), table: Arc::new(table), sdk_config: None }
    }

    /// With this AWS configuration instead of the environment's.
    #[must_use]
    pub fn configured(self, sdk_config: SdkConfig) -> Self {
        Self { sdk_config: Some(sdk_config), ..self }
    }
}

/// A look at the stream: the shards to read, and from where.
type Look = Pin<Box<dyn Future<Output = Result<Vec<(String, Checkpoint)>, Failure>> + Send>>;

enum Failure {
    Service(Trouble),
    Table(lease::Error),
}

impl<T: LeaseTable> Source for KinesisSource<T> {
    type Error = Error;

    async fn run(self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let Self { name, options, table, sdk_config } = self;
        let sdk_config = match sdk_config {
            Some(sdk_config) => sdk_config,
            None => aws::configuration(options.region()).await,
        };
        let service = Service::new(&sdk_config, &options);
        let start = first_start(options.start);
        let mut schedule = Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), Instant::now().into_std());
        let mut reading = BTreeSet::new();
        let mut readers = FuturesUnordered::new();
        // The readers stop when the source does, and it also does when one of them fails.
        let (halt, halted) = shutdown::channel();
        let mut result = Ok(());
        let look = |reading: &BTreeSet<String>, at: Instant| -> Look {
            Box::pin(look(service.clone(), Arc::clone(&table), reading.clone(), start, at))
        };
        // Without an intake it is going down.
        let mut intake = Some(intake);
        let mut looking = look(&reading, Instant::now());
        while intake.is_some() || !readers.is_empty() {
            tokio::select! {
                looked = &mut looking, if intake.is_some() => {
                    let wait = match looked {
                        Ok(shards) => {
                            schedule.reset();
                            for (shard, checkpoint) in shards {
                                let Some(intake) = &intake else { break };
                                if reading.insert(shard.clone()) {
                                    tracing::info!(source = %name, shard, ?checkpoint, "reading shard");
                                    let (options, table) = (Arc::clone(&options), Arc::clone(&table));
                                    let reader = Reader::new(&name, service.clone(), options, table, &shard, checkpoint);
                                    readers.push(reader.run(intake.clone(), halted.clone()));
                                }
                            }
                            options.shard_sync_interval.0
                        }
                        Err(Failure::Service(Trouble::Missing(words))) => {
                            result = result.and(Err(Error::Missing(words)));
                            intake = None;
                            Duration::ZERO
                        }
                        Err(Failure::Table(error)) => {
                            result = result.and(Err(error.into()));
                            intake = None;
                            Duration::ZERO
                        }
                        Err(Failure::Service(trouble)) => {
                            let wait = schedule.next(None);
                            tracing::warn!(source = %name, %trouble, ?wait, "cannot list shards, trying again");
                            wait
                        }
                    };
                    looking = look(&reading, Instant::now() + wait);
                }
                Some(ended) = readers.next() => match ended {
                    Ok(End::Finished(shard)) => {
                        tracing::info!(source = %name, shard, "shard ended, all of it is settled");
                        reading.remove(&shard);
                        looking = look(&reading, Instant::now());
                    }
                    Ok(End::Missing(shard)) => {
                        tracing::warn!(source = %name, shard, "shard is gone, asking the stream");
                        reading.remove(&shard);
                        looking = look(&reading, Instant::now() + MISSING_WAIT);
                    }
                    Ok(End::Stopped) => intake = None,
                    Err(error) => {
                        result = result.and(Err(error));
                        intake = None;
                    }
                },
                () = stop.requested(), if intake.is_some() => intake = None,
            }
            if intake.is_none() {
                halt.stop();
            }
        }
        result
    }
}

/// Compares the stream with the table at this time, writes down what is new, and says which shards are to be read now.
/// Dropping the future midway is safe: the table holds the old leases or the new ones.
async fn look<T: LeaseTable>(
    service: Service,
    table: Arc<T>,
    reading: BTreeSet<String>,
    start: Start,
    at: Instant,
) -> Result<Vec<(String, Checkpoint)>, Failure> {
    tokio::time::sleep_until(at).await;
    let mut shards = service.shards().await.map_err(Failure::Service)?;
    // What is being read is there, whatever the list says: its reader will tell when it is gone.
    let is_listed = |id: &String| shards.iter().any(|shard| shard.id == *id);
    let unlisted: Vec<String> = reading.into_iter().filter(|id| !is_listed(id)).collect();
    shards.extend(unlisted.into_iter().map(|id| Shard { id, parents: Vec::new(), is_closed: true }));
    let leases = table.load().await.map_err(Failure::Table)?;
    let plan = lease::plan(&shards, &leases, start);
    if !plan.create.is_empty() || !plan.remove.is_empty() {
        table.update(plan.create, plan.remove).await.map_err(Failure::Table)?;
    }
    Ok(plan.read)
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
