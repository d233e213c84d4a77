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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// More nodes of the same cluster, 64 at most with `endpoint`. Requests go to them in turn; a node that fails rests for 5s
    /// to 1m, while the others take its requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The Cloud id of an Elastic Cloud deployment, in the place of `endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_id: Option<String>,
    /// The data stream, index or alias that everything is written to. Fields of the event may stand in it, in braces:
    /// `logs-siemline.ocsf-{account}`; it begins with a text then. Default: by format, after Elastic's naming (type,
    /// dataset, namespace): `logs-siemline.ecs-<namespace>`, `logs-siemline.ocsf-<namespace>`, `logs-siemline.cim-<namespace>`,
    /// for which `siemline setup elastic` installs an index template; for `raw` the data streams of Elastic's own AWS
    /// integration (`logs-aws.cloudtrail-<namespace>`), and `logs-siemline.raw-<namespace>` for log types it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// How many different names `index` may become, and `latest` as well. What is one too many has `other` in the place of
    /// all fields but the time.
    #[serde(default = "indexes_max")]
    pub indexes_max: usize,
    /// An index, no data stream, that holds one document for each finding besides: its latest state. Fields may stand in it as
    /// in `index`. The document's id is made of `finding_info.uid`, its version is `finding_info.modified_time`, or else the
    /// event's time, and an older version never takes the place of a newer one. Events without `finding_info.uid` are not
    /// written there. It needs the right to index, not only to create. Default: no such index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Whether documents get an id made of their event, by which an event that is sent twice is stored once. `false` leaves
    /// ids to the cluster, which time series collections of OpenSearch Serverless ask for: what is sent twice then stands
    /// there twice.
    #[serde(default = "document_ids")]
    pub document_ids: bool,
    /// The namespace of data streams that are named by default.
    #[serde(default = "namespace")]
    pub namespace: String,
    /// The API key, in the encoded form (base64 of id and key) in which Kibana and the API hand it out. Elastic Cloud
    /// Serverless takes nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretRef>,
    /// The user, for basic authentication. It needs `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// A token that is sent as `Authorization: Bearer`: a service account's, or one of an identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretRef>,
    /// Signs requests with AWS credentials (Signature Version 4), for Amazon OpenSearch Service and OpenSearch Serverless. The
    /// credentials are those of the environment, the profile or the role of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsOptions>,
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

/// Whose credentials sign requests, and for which service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsOptions {
    /// `es` for a domain of Amazon OpenSearch Service, `aoss` for a collection of OpenSearch Serverless. Default: what the
    /// endpoint's name says, `es` where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<AwsService>,
    /// The region. Default: the one in the endpoint's name, else the environment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The role to assume, by its ARN: for a domain of another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<String>,
    /// The external id that the role asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// Which service of AWS a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AwsService {
    /// Amazon OpenSearch Service.
    Es,
    /// Amazon OpenSearch Serverless.
    Aoss,
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

    /// Where documents are written that no other place is named for, with fields in braces.
    #[must_use]
    pub fn stream(&self) -> String {
        self.index.clone().unwrap_or_else(|| format!("logs-siemline.{}-{}", self.format.name(), self.namespace))
    }

    /// Whether documents go to the data streams of Elastic's own AWS integration.
    pub(super) fn is_by_log_type(&self) -> bool {
        self.index.is_none() && self.format == Format::Raw
    }
}

impl AwsService {
    /// The name that signatures carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Aoss => "aoss",
        }
    }
}

const fn indexes_max() -> usize {
    256
}

const fn document_ids() -> bool {
    true
}

fn namespace() -> String {
    "default".to_owned()
}

fn format() -> Format {
    Format::Ecs
}
