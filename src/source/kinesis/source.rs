//! The Kinesis source at work: which shards are read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::options::{KinesisOptions, StartAt};
use super::reader::{End, Reader};
use super::service::{Service, Trouble};
use crate::aws;
use crate::lease::{self, Ended, FileTable, LeaseTable, Rules, Start};
use crate::shutdown::{self, Shutdown};
use crate::source::{Intake, Source};

/// After so long without a sign of life another worker takes a lease; as KCL does by default.
const FAILOVER: Duration = Duration::from_secs(10);

/// How long an owner may take to hand a lease over; as KCL does by default.
const HAND_OVER_MAX: Duration = Duration::from_secs(30);

/// How long the lease of a shard that was read to its end is kept; as KCL does by default.
const FINISHED_KEPT: Duration = Duration::from_mins(5);

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
    table: T,
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
        Self { name: Arc::clone(name), options: Arc::new(options), table, sdk_config: None }
    }

    /// With this AWS configuration instead of the environment's.
    #[must_use]
    pub fn configured(self, sdk_config: SdkConfig) -> Self {
        Self { sdk_config: Some(sdk_config), ..self }
    }
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
        let rules = Rules {
            failover: FAILOVER,
            hand_over_max: HAND_OVER_MAX,
            sync_every: options.shard_sync_interval.0,
            finished_kept: FINISHED_KEPT,
            start: first_start(options.start),
            leases_max: usize::MAX,
        };
        let worker = lease::worker_id(&host(), fastrand::u64(..)).into();
        let (coordinator, mut grants) = lease::coordinator(&name, table, service.clone(), worker, rules);
        let coordinating = coordinator.run();
        tokio::pin!(coordinating);
        let mut readers = FuturesUnordered::new();
        // The readers stop when the source does, and it also does when one of them fails.
        let (halt, halted) = shutdown::channel();
        let mut result = Ok(());
        // Without an intake it is going down.
        let mut intake = Some(intake);
        loop {
            tokio::select! {
                ended = &mut coordinating => {
                    result = result.and(ended.map_err(Error::from));
                    break;
                }
                grant = grants.next(), if intake.is_some() => match (grant, &intake) {
                    (Some(grant), Some(intake)) => {
                        let reader = Reader::new(&name, service.clone(), Arc::clone(&options), grant);
                        readers.push(reader.run(intake.clone(), halted.clone()));
                    }
                    _ => intake = None,
                },
                Some(ended) = readers.next() => match ended {
                    Ok(End::Finished(shard)) => {
                        tracing::info!(source = %name, shard, "shard ended, all of it is settled");
                    }
                    Ok(End::Missing(shard)) => {
                        tracing::warn!(source = %name, shard, "shard is gone, asking the stream");
                    }
                    Ok(End::GivenUp(shard)) => tracing::info!(source = %name, shard, "shard given up"),
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
                grants.stop();
            }
        }
        // Without a coordinator every lease is lost: the readers end at once.
        drop(intake);
        halt.stop();
        while let Some(ended) = readers.next().await {
            result = result.and(ended.map(drop));
        }
        result
    }
}

impl From<Ended<Trouble>> for Error {
    fn from(ended: Ended<Trouble>) -> Self {
        match ended {
            Ended::Table(error) => Self::Lease(error),
            Ended::Stream(Trouble::Missing(words)) => Self::Missing(words),
            Ended::Stream(trouble) => Self::Unreachable(trouble),
        }
    }
}

/// The name of the machine or container, for people who look at the table.
fn host() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// `LATEST` becomes the time of the first start, and is written down with the first leases.
fn first_start(start: StartAt) -> Start {
    match start {
        StartAt::TrimHorizon => Start::TrimHorizon,
        StartAt::Timestamp(time_ms) => Start::AtTimestamp(time_ms),
        StartAt::Latest => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Start::Latest(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
        }
    }
}
