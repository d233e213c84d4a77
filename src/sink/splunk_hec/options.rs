//! What the configuration says about a Splunk HEC sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// A Splunk HTTP Event Collector, of Splunk Enterprise or Splunk Cloud.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplunkHecOptions {
    /// Where HEC listens: `https://splunk.example.com:8088`, or `https://http-inputs-<stack>.splunkcloud.com:443`. The path
    /// `/services/collector/event` is added.
    pub endpoint: String,
    /// The HEC token. It must not require indexer acknowledgement: siemline uses no channel.
    pub token: SecretRef,
    /// The index. Default: the token's own. It must be among the indexes that the token allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// What Splunk shows as `source`. Default: the name of the siemline source that the event was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What Splunk shows as `sourcetype`. Default, by format and log type: for `raw` the one that the Splunk Add-on for AWS has,
    /// such as `aws:cloudtrail`, and `aws:firehose:json` where it has none; for `ocsf` the same behind `ocsf:`; for `cim` one
    /// such as `siemline:aws:guardduty:cim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourcetype: Option<String>,
    /// What Splunk shows as `host`. Default: none is sent, and Splunk takes the endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `ocsf`; `cim`: the fields of Splunk's common information model, with what it has no field for under `ocsf`; `raw`: the
    /// JSON as AWS wrote it, text lines as a string; or `ecs`.
    #[serde(default)]
    pub format: Format,
    /// How hard bodies are compressed with gzip: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// The HTTP client.
    #[serde(default)]
    pub http: HttpOptions,
    /// Batches, retries and pacing. The sink's own defaults: 1000 entries, 900kB (Splunk Cloud documents 1 MB as the most
    /// that it takes), 1s, 4 requests at once, 60s for a request.
    #[serde(default)]
    pub lane: LaneOptions,
}

impl SplunkHecOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 1000,
        batch_bytes_max: Size(900_000),
        batch_age_max: Span::seconds(1),
        event_bytes_max: None,
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
    };
}
