//! What the configuration says about a Sumo Logic sink.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{Compression, CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// A Sumo Logic HTTP Logs source. Sumo slices a message above 64 KB into several, which its searches show one after the
/// other; nothing is cut here. Texts with `{fields}` of the event are filled in for each event: `{log_type}`, `{account}`,
/// `{region}`, `{severity}`, `{source}` (the siemline source), `{time:%Y-%m-%d}`, or an OCSF attribute such as
/// `{finding_info.uid}`; `{account:-none}` says what stands for one that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SumoOptions {
    /// The address of the HTTP source, as Sumo shows it: `https://endpoint4.collection.sumologic.com/receiver/v1/http/<code>`. It
    /// is a secret: whoever knows it can write.
    pub url: SecretRef,
    /// The token of a source whose address is protected by an authorization header (`x-sumo-token`). Default: the code in
    /// the address is all that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// The source category (`_sourceCategory`), such as `aws/{log_type}`. Default: the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The source name (`_sourceName`). Default: the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The source host (`_sourceHost`). Default: the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Fields, by name: `{ account = "{account}", team = "security" }`. At most 30, and values of at most 200 characters: longer
    /// ones are cut, and a comma and an equals sign in what is filled in become `_`. Sumo drops a field that is not among
    /// the fields of the organisation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// How many different texts each of `category`, `name`, `host` and the fields may have. For an event that would be one
    /// more, `other` stands for what is filled in. Each combination is a request of its own: few of them make full batches.
    #[serde(default = "texts_max")]
    pub texts_max: u32,
    /// `ocsf`; `raw`: the JSON as AWS wrote it, and text lines as they are, as Sumo's own AWS apps expect them; `ecs` or
    /// `cim`. A text of several lines becomes a JSON string, so that it stays one message.
    #[serde(default)]
    pub format: Format,
    /// How bodies are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// How hard: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// The HTTP client. Cookies of Sumo's load balancer are kept, as Sumo asks of its clients.
    #[serde(default)]
    pub http: HttpOptions,
    /// Batches, retries and pacing. The sink's own defaults: 5000 entries, 900kB (Sumo takes 1 MB before compression, and
    /// more is not allowed here either), 1MB for one event, 1s, 4 requests at once, 60s for a request.
    #[serde(default)]
    pub lane: LaneOptions,
}

impl SumoOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 5000,
        batch_bytes_max: Size(900_000),
        batch_age_max: Span::seconds(1),
        event_bytes_max: Some(Size(1_000_000)),
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
    };
}

/// As many as a middle-sized organisation has accounts.
fn texts_max() -> u32 {
    1000
}
