//! What the configuration says about an Elasticsearch or OpenSearch sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// An Elasticsearch or OpenSearch cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticOptions {
    /// Where the cluster listens, such as `https://es.example.com:9200`.
    pub endpoint: String,
    /// The data stream, index or alias that everything is written to. Default: by format, after Elastic's naming (type,
    /// dataset, namespace): `logs-siemline.ecs-<namespace>`, `logs-siemline.ocsf-<namespace>`, `logs-siemline.cim-<namespace>`,
    /// for which `siemline setup elastic` installs an index template; for `raw` the data streams of Elastic's own AWS
    /// integration (`logs-aws.cloudtrail-<namespace>`), and `logs-siemline.raw-<namespace>` for log types it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The namespace of data streams that are named by default.
    #[serde(default = "namespace")]
    pub namespace: String,
    /// The API key, in the encoded form (base64 of id and key) in which Kibana and the API hand it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretRef>,
    /// The user, for basic authentication. It needs `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// The ingest pipeline. Default: the index's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// `ecs`: Elastic's common schema, with what it has no field for under `ocsf`; `ocsf`, with `@timestamp` in front; or
    /// `raw`: `@timestamp`, the text as AWS wrote it in `message`, as Elastic's own AWS integration expects it, and
    /// `siemline.log_type`.
    #[serde(default = "format")]
    pub format: Format,
    /// How hard bodies are compressed with gzip: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// The HTTP client.
    #[serde(default)]
    pub http: HttpOptions,
    /// Batches, retries and pacing. The sink's own defaults: 1000 entries, 4MiB (small clusters of AWS take 10 MB at most),
    /// 1s, 4 requests at once, 60s for a request.
    #[serde(default)]
    pub lane: LaneOptions,
}

impl ElasticOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 1000,
        batch_bytes_max: Size::mebibytes(4),
        batch_age_max: Span::seconds(1),
        event_bytes_max: None,
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
    };
}

impl ElasticOptions {
    /// Where documents are written that no other place is named for.
    #[must_use]
    pub fn stream(&self) -> String {
        self.index.clone().unwrap_or_else(|| format!("logs-siemline.{}-{}", self.format.name(), self.namespace))
    }

    /// Whether documents go to the data streams of Elastic's own AWS integration.
    pub(super) fn is_by_log_type(&self) -> bool {
        self.index.is_none() && self.format == Format::Raw
    }
}

fn namespace() -> String {
    "default".to_owned()
}

fn format() -> Format {
    Format::Ecs
}
