//! The configuration as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::Limits;
use crate::normalize::redact::RedactOptions;
use crate::pipeline::{AccountsOptions, DeadLetterFileOptions, DeduplicateOptions, PipelineOptions};
use crate::route::RouteOptions;
use crate::telemetry::admin::AdminOptions;
use crate::unit::Size;
use crate::{sink, source};

/// The configuration of siemline: one TOML file. A table per kind, then a name of your choice: `[sink.splunk_hec.soc]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where records come from. At least one.
    pub source: SourceOptions,
    /// Where events go to. At least one.
    pub sink: SinkOptions,
    /// Which events go to which sinks. Without any, every event goes to every sink.
    pub route: BTreeMap<String, RouteOptions>,
    /// What is taken out of events before anything is made of them.
    pub redact: BTreeMap<String, RedactOptions>,
    /// Which duplicates are let go.
    pub deduplicate: DeduplicateOptions,
    /// What is added to events.
    pub enrich: EnrichOptions,
    /// Where events go that no destination takes, and records that cannot be read.
    pub dead_letter: DeadLetterOptions,
    /// Bounds and workers of the process.
    pub pipeline: PipelineOptions,
    /// How records become events and events OCSF.
    pub normalize: NormalizeOptions,
    /// What the process says about itself, on standard error.
    pub log: LogOptions,
    /// Health, readiness, metrics and status over HTTP.
    pub admin: AdminOptions,
}

/// Where records come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceOptions {
    /// Kinesis Data Streams.
    pub kinesis: BTreeMap<String, source::kinesis::KinesisOptions>,
    /// Files and standard input.
    pub file: BTreeMap<String, source::file::FileOptions>,
}

/// Where events go to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SinkOptions {
    /// Splunk HTTP Event Collector.
    pub splunk_hec: BTreeMap<String, sink::splunk_hec::SplunkHecOptions>,
    /// Elasticsearch or OpenSearch.
    pub elastic: BTreeMap<String, sink::elastic::ElasticOptions>,
    /// Apache Kafka, Amazon MSK, and what speaks their protocol.
    pub kafka: BTreeMap<String, sink::kafka::KafkaOptions>,
    /// Amazon Data Firehose.
    pub firehose: BTreeMap<String, sink::firehose::FirehoseOptions>,
    /// Sumo Logic.
    pub sumo: BTreeMap<String, sink::sumo::SumoOptions>,
    /// Any HTTP endpoint that takes NDJSON or JSON arrays.
    pub http: BTreeMap<String, sink::http::HttpSinkOptions>,
    /// Objects in a bucket of S3.
    pub s3: BTreeMap<String, sink::s3::S3Options>,
    /// NDJSON files.
    pub file: BTreeMap<String, sink::file::FileOptions>,
    /// Standard output.
    pub stdout: BTreeMap<String, sink::stdout::StdoutOptions>,
}

/// What is added to events.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichOptions {
    /// What is known of accounts.
    pub accounts: AccountsOptions,
}

/// Where events go that no destination takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterOptions {
    /// NDJSON files.
    pub file: DeadLetterFileOptions,
    /// Documents of an index of Elasticsearch or OpenSearch, before the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elastic: Option<sink::elastic::LetterIndexOptions>,
    /// Records of a topic of Kafka, before the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<sink::kafka::LetterTopicOptions>,
    /// Objects in a bucket of S3, before the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<sink::s3::LetterBucketOptions>,
}

/// How records become events and events OCSF.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizeOptions {
    /// Mapping files of your own: directories (every `*.toml` in them) and files. One with the log type of a shipped mapping
    /// takes its place; any other adds a log type, and wins where a shipped one recognises an event with equal right.
    pub mappings: Vec<PathBuf>,
    /// The order of columns of a log type whose events are lines of text, where it is not the usual one and the records do
    /// not begin with a header line: names with blanks between, such as the format string of a flow log. `-` stands for
    /// itself in the names, or `_`.
    pub columns: BTreeMap<String, String>,
    /// Where the clocks stand that write times without a zone: a name of the IANA database, such as `Europe/Berlin`. AWS
    /// means UTC.
    pub timezone: String,
    /// Whether every OCSF event carries the event it was made of, as the text of `raw_data`: after redaction, free of its
    /// envelopes. It about doubles what is sent. An event that came as OCSF stays as it is.
    pub raw_data: bool,
    /// The most that one record may hold when it is decompressed; above, it is dead-lettered whole.
    pub decompressed_bytes_max: Size,
    /// How many times its own size a compressed record may grow to, once it has grown beyond 8 MiB; above, it is
    /// dead-lettered whole.
    pub ratio_max: usize,
    /// How many envelopes may be nested in each other.
    pub depth_max: usize,
    /// How many events one record may hold.
    pub events_per_record_max: usize,
}

impl Default for NormalizeOptions {
    fn default() -> Self {
        let Limits { decompressed_bytes_max, ratio_max, depth_max, events_per_record_max, .. } = Limits::default();
        let decompressed_bytes_max = Size(u64::try_from(decompressed_bytes_max).unwrap_or(u64::MAX));
        let (mappings, columns, timezone, raw_data) = (Vec::new(), BTreeMap::new(), "UTC".to_owned(), false);
        Self {
            mappings,
            columns,
            timezone,
            raw_data,
            decompressed_bytes_max,
            ratio_max,
            depth_max,
            events_per_record_max,
        }
    }
}

impl NormalizeOptions {
    /// The bounds of envelopes.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            decompressed_bytes_max: self.decompressed_bytes_max.bytes(),
            ratio_max: self.ratio_max,
            depth_max: self.depth_max,
            events_per_record_max: self.events_per_record_max,
            ..Limits::default()
        }
    }
}

/// What the process says about itself.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// The least important level that is said: `error`, `warn`, `info`, `debug` or `trace`, or a filter such as
    /// `info,siemline::source=debug`. The environment variable `SIEMLINE_LOG` overrides it.
    pub level: String,
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
