//! One sink of any kind: the one place that knows them all.

use std::sync::Arc;

use crate::delivery::{Batch, Delivery, Error, EventView, LaneSettings, Sink};
use crate::metric::SinkMeter;
use crate::sink::elastic::{Elastic, ElasticOptions};
use crate::sink::file::{self, FileSink};
use crate::sink::firehose::{Firehose, FirehoseOptions};
use crate::sink::http::{HttpSink, HttpSinkOptions};
use crate::sink::kafka::{Kafka, KafkaOptions};
use crate::sink::s3::{S3Options, S3Sink};
use crate::sink::splunk_hec::{Canary, SplunkHec, SplunkHecOptions};
use crate::sink::stdout::{StdoutOptions, StdoutSink};
use crate::sink::sumo::{Sumo, SumoOptions};
use crate::sink::{self, Format};

/// A sink that is ready to be given a lane.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// The sink. Nothing has been connected or opened yet.
    pub sink: Arc<AnySink>,
    /// How its lane works.
    pub lane: LaneSettings,
    /// What of an event it writes.
    pub format: Format,
}

/// A sink of any kind. A match for each call costs nothing beside the work, and keeps trait objects off the data path.
#[derive(Debug)]
pub enum AnySink {
    /// Splunk HTTP Event Collector.
    SplunkHec(SplunkHec),
    /// Elasticsearch or OpenSearch.
    Elastic(Elastic),
    /// Kafka.
    Kafka(Box<Kafka>),
    /// Amazon Data Firehose.
    Firehose(Box<Firehose>),
    /// Sumo Logic.
    Sumo(Sumo),
    /// Any HTTP endpoint.
    Http(HttpSink),
    /// Objects of S3.
    S3(S3Sink),
    /// NDJSON files.
    File(FileSink),
    /// Standard output.
    Stdout(StdoutSink),
}

impl SinkSettings {
    /// A Splunk HEC sink. Reads its secrets.
    pub fn splunk_hec(options: &SplunkHecOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(options.lane_defaults())?;
        Ok(Self::new(AnySink::SplunkHec(SplunkHec::new(options)?), lane, options.format))
    }

    /// An Elasticsearch or OpenSearch sink. Reads its secrets.
    pub fn elastic(options: &ElasticOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(ElasticOptions::LANE)?;
        Ok(Self::new(AnySink::Elastic(Elastic::new(options)?), lane, options.format))
    }

    /// A Kafka sink. Reads its secrets.
    pub fn kafka(options: &KafkaOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(options.lane_defaults())?;
        Ok(Self::new(AnySink::Kafka(Box::new(Kafka::new(options)?)), lane, options.format))
    }

    /// A Firehose sink.
    pub fn firehose(options: &FirehoseOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(options.lane_defaults())?;
        Ok(Self::new(AnySink::Firehose(Box::new(Firehose::new(options)?)), lane, options.format))
    }

    /// A Sumo Logic sink. Reads its secrets.
    pub fn sumo(options: &SumoOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(SumoOptions::LANE)?;
        Ok(Self::new(AnySink::Sumo(Sumo::new(options)?), lane, options.format))
    }

    /// An HTTP sink. Reads its secrets.
    pub fn http(options: &HttpSinkOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(HttpSinkOptions::LANE)?;
        Ok(Self::new(AnySink::Http(HttpSink::new(options)?), lane, options.format))
    }

    /// An S3 sink.
    pub fn s3(options: &S3Options) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(S3Options::LANE)?;
        Ok(Self::new(AnySink::S3(S3Sink::new(options)?), lane, options.format))
    }

    /// A file sink.
    pub fn file(options: &file::FileOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(file::FileOptions::LANE)?;
        Ok(Self::new(AnySink::File(FileSink::new(options)), lane, options.format))
    }

    /// A standard output sink.
    pub fn stdout(options: &StdoutOptions) -> Result<Self, sink::Error> {
        let lane = options.lane.settings(StdoutOptions::LANE)?;
        Ok(Self::new(AnySink::Stdout(StdoutSink::new(options)), lane, options.format))
    }

    fn new(sink: AnySink, lane: LaneSettings, format: Format) -> Self {
        Self { sink: Arc::new(sink), lane, format }
    }
}

impl AnySink {
    /// What is said of a sink that is ready: what it promises, where there is more to say.
    #[must_use]
    pub fn promise(&self) -> Option<String> {
        match self {
            Self::SplunkHec(sink) => Some(sink.promise()),
            _ => None,
        }
    }

    /// Sends a marked event and says how it is found; `None` for a kind of sink that has no such thing.
    ///
    /// # Errors
    ///
    /// Where it was not delivered.
    pub async fn canaries(&self) -> Option<Result<Vec<Canary>, Error>> {
        match self {
            Self::SplunkHec(sink) => Some(sink.canaries().await),
            _ => None,
        }
    }

    /// What the sink measures that its lane knows nothing of; `None` for a kind that has no such thing.
    #[must_use]
    pub fn meter(&self) -> Option<SinkMeter> {
        match self {
            Self::SplunkHec(sink) => Some(SinkMeter::SplunkHec(sink.meter())),
            Self::Elastic(sink) => Some(SinkMeter::Elastic(sink.meter())),
            Self::Kafka(sink) => Some(SinkMeter::Kafka(sink.meter())),
            Self::Sumo(sink) => Some(SinkMeter::Sumo(sink.meter())),
            Self::Firehose(_) | Self::Http(_) | Self::S3(_) | Self::File(_) | Self::Stdout(_) => None,
        }
    }
}

impl Sink for AnySink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self {
            Self::SplunkHec(sink) => sink.encode(event, out),
            Self::Elastic(sink) => sink.encode(event, out),
            Self::Kafka(sink) => sink.encode(event, out),
            Self::Firehose(sink) => sink.encode(event, out),
            Self::Sumo(sink) => sink.encode(event, out),
            Self::Http(sink) => sink.encode(event, out),
            Self::S3(sink) => sink.encode(event, out),
            Self::File(sink) => sink.encode(event, out),
            Self::Stdout(sink) => sink.encode(event, out),
        }
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self {
            Self::SplunkHec(sink) => sink.bucket(event, out),
            Self::Elastic(sink) => sink.bucket(event, out),
            Self::Kafka(sink) => sink.bucket(event, out),
            Self::Firehose(sink) => sink.bucket(event, out),
            Self::Sumo(sink) => sink.bucket(event, out),
            Self::Http(sink) => sink.bucket(event, out),
            Self::S3(sink) => sink.bucket(event, out),
            Self::File(sink) => sink.bucket(event, out),
            Self::Stdout(sink) => sink.bucket(event, out),
        }
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        match self {
            Self::SplunkHec(sink) => sink.send(batch).await,
            Self::Elastic(sink) => sink.send(batch).await,
            Self::Kafka(sink) => sink.send(batch).await,
            Self::Firehose(sink) => sink.send(batch).await,
            Self::Sumo(sink) => sink.send(batch).await,
            Self::Http(sink) => sink.send(batch).await,
            Self::S3(sink) => sink.send(batch).await,
            Self::File(sink) => sink.send(batch).await,
            Self::Stdout(sink) => sink.send(batch).await,
        }
    }

    async fn check(&self) -> Result<(), Error> {
        match self {
            Self::SplunkHec(sink) => sink.check().await,
            Self::Elastic(sink) => sink.check().await,
            Self::Kafka(sink) => sink.check().await,
            Self::Firehose(sink) => sink.check().await,
            Self::Sumo(sink) => sink.check().await,
            Self::Http(sink) => sink.check().await,
            Self::S3(sink) => sink.check().await,
            Self::File(sink) => sink.check().await,
            Self::Stdout(sink) => sink.check().await,
        }
    }
}
