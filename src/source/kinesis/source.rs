//! The Kinesis source at work: its streams.

use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::feed::now_ms;
use super::options::{KinesisOptions, StartAt};
use super::service::Service;
use super::shards::{StreamReading, prepare};
use super::stream::StreamName;
use super::trouble::Trouble;
use crate::aws::{self, Access};
use crate::lease::{self, LeaseTable, Start, Store, Surroundings};
use crate::metric::SourceMeter;
use crate::shutdown::{self, Shutdown};
use crate::source::{Intake, Source};

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

/// Reads all shards of its streams.
#[derive(Debug)]
pub struct KinesisSource<T = Store> {
    name: Arc<str>,
    options: Arc<KinesisOptions>,
    /// Each stream with its table.
    streams: Vec<(StreamName, T)>,
    meter: Arc<SourceMeter>,
    sdk_config: Option<SdkConfig>,
}

impl KinesisSource {
    /// A source with its leases where the options say: in a table of DynamoDB, or in local files, one for each stream.
    /// Nothing is opened or asked yet.
    #[must_use]
    pub fn new(name: &Arc<str>, options: KinesisOptions) -> Self {
        let stores: Vec<(StreamName, Store)> = stores(name, &options);
        let (options, meter) = (Arc::new(options), Arc::default());
        Self { name: Arc::clone(name), options, streams: stores, meter, sdk_config: None }
    }

    /// Asks each stream for its shards: the cheapest call that proves region, credentials and name. Gives back how many
    /// there are.
    ///
    /// # Errors
    ///
    /// With what stands in the way.
    pub async fn check(name: &str, options: &KinesisOptions) -> Result<usize, Error> {
        let mut shards = 0;
        for stream in options.stream.all() {
            let sdk_config = aws::configuration(&options.access(name, stream)).await;
            let service = Service::new(&sdk_config, stream, options.endpoint_url.as_deref());
            if options.lease_table.is_some()
                && let Some((_, store)) = stores(name, options).into_iter().find(|(other, _)| other == stream)
            {
                prepare(&service, &store).await?;
                store.load().await?;
            }
            shards += service.shards().await.map(|shards| shards.len()).map_err(|trouble| match trouble {
                Trouble::Missing(words) => Error::Missing(words),
                trouble => Error::Unreachable(trouble),
            })?;
        }
        Ok(shards)
    }
}

/// Says of each checkpoint file that would not survive a restart where it is, and why. Nothing where that is wanted.
#[must_use]
pub fn vanishing_files(name: &str, options: &KinesisOptions, surroundings: &Surroundings) -> Vec<String> {
    if options.lease_table.is_some() || options.lease.file_may_vanish || options.end.is_some() {
        return Vec::new();
    }
    let why = |stream: &StreamName| {
        let file = checkpoint_file(name, options, stream);
        // A place that cannot be named is told by the first write.
        let file = std::path::absolute(&file).unwrap_or(file);
        lease::vanishes(&file, surroundings)
    };
    options.stream.all().iter().filter_map(why).collect()
}

impl<T: LeaseTable> KinesisSource<T> {
    /// A source with the checkpoints of each stream in the table that is given for it.
    #[must_use]
    pub fn with_tables(name: &Arc<str>, options: KinesisOptions, table: impl Fn(&StreamName) -> T) -> Self {
        let streams = options.stream.all().iter().map(|stream| (stream.clone(), table(stream))).collect();
        let (options, meter) = (Arc::new(options), Arc::default());
        Self { name: Arc::clone(name), options, streams, meter, sdk_config: None }
    }

    /// With this AWS configuration instead of the environment's; a role is assumed all the same.
    #[must_use]
    pub fn configured(self, sdk_config: SdkConfig) -> Self {
        Self { sdk_config: Some(sdk_config), ..self }
    }

    /// What is measured while it runs.
    #[must_use]
    pub fn meter(&self) -> Arc<SourceMeter> {
        Arc::clone(&self.meter)
    }
}

impl<T: LeaseTable> Source for KinesisSource<T> {
    type Error = Error;

    async fn run(self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let Self { name, options, streams, meter, sdk_config } = self;
        let start = first_start(options.start);
        let (halt, halted) = shutdown::channel();
        let mut readings = FuturesUnordered::new();
        for (stream, table) in streams {
            let access: Access<'_> = options.access(&name, &stream);
            let sdk_config = match &sdk_config {
                Some(sdk_config) => aws::assuming(sdk_config.clone(), &access).await,
                None => aws::configuration(&access).await,
            };
            let service = Service::new(&sdk_config, &stream, options.endpoint_url.as_deref());
            let (name, options, meter) = (Arc::clone(&name), Arc::clone(&options), Arc::clone(&meter));
            meter.expect(&stream.as_str().into());
            let reading = StreamReading { name, service, options, table, meter, start };
            readings.push(reading.run(intake.clone(), halted.clone()));
        }
        drop(intake);
        let mut result = Ok(());
        loop {
            tokio::select! {
                ended = readings.next() => match ended {
                    None => return result,
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        halt.stop();
                        result = result.and(Err(error));
                    }
                },
                () = stop.requested(), if !halted.is_requested() => halt.stop(),
            }
        }
    }
}

/// The leases of each stream, where the options say.
pub(super) fn stores(name: &str, options: &KinesisOptions) -> Vec<(StreamName, Store)> {
    let start = first_start(options.start);
    let store = |stream: &StreamName| match &options.lease_table {
        Some(table) => Store::dynamodb(table, &options.lease, &options.access(name, stream), start),
        None => Store::file(checkpoint_file(name, options, stream), stream.as_str()),
    };
    options.stream.all().iter().map(|stream| (stream.clone(), store(stream))).collect()
}

/// Where the checkpoints of a stream are kept, if in a file.
pub(super) fn checkpoint_file(name: &str, options: &KinesisOptions, stream: &StreamName) -> PathBuf {
    let file = options.checkpoint_file(name);
    if options.stream.are_several() { file_of(&file, stream) } else { file }
}

/// The file of one of several streams: the stream's name is put before the file's ending.
fn file_of(file: &std::path::Path, stream: &StreamName) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    file.with_file_name(format!("{stem}-{}{ending}", stream.slug()))
}

/// `LATEST` becomes the time of the first start, and is written down with the first leases.
pub(super) fn first_start(start: StartAt) -> Start {
    match start {
        StartAt::TrimHorizon => Start::TrimHorizon,
        StartAt::Timestamp(time_ms) => Start::AtTimestamp(time_ms),
        StartAt::Latest => Start::Latest(now_ms()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Guards that the checkpoints of several streams never share a file.
    #[test]
    fn each_stream_has_its_file() {
        let arn = StreamName::parse("arn:aws:kinesis:eu-west-1:111122223333:stream/s").unwrap();
        for (file, stream, expect) in [
            ("checkpoints/findings.json", StreamName::parse("s").unwrap(), "checkpoints/findings-s.json"),
            ("/var/lib/findings", StreamName::parse("s").unwrap(), "/var/lib/findings-s"),
            ("findings.json", arn, "findings-111122223333-eu-west-1-s.json"),
        ] {
            assert_eq!(file_of(Path::new(file), &stream), Path::new(expect));
        }
    }
}
