//! What the configuration says about a Splunk HEC sink.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// A Splunk HTTP Event Collector, of Splunk Enterprise or Splunk Cloud. Texts with `{fields}` of the event are filled in for
/// each event: `{log_type}`, `{account}`, `{region}`, `{severity}`, `{source}` (the siemline source), `{time:%Y-%m-%d}`, or an
/// OCSF attribute such as `{finding_info.uid}`; `{account:-none}` says what stands for one that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplunkHecOptions {
    /// Where HEC listens: `https://splunk.example.com:8088`, or `https://http-inputs-<stack>.splunkcloud.com:443`. The path
    /// `/services/collector` is added. Either this or `endpoints` is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Several that take the same, such as all indexers or heavy forwarders of a site, at most 64. They take turns; one that
    /// fails rests for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The HEC token.
    pub token: SecretRef,
    /// Tokens for some indexes, by index, where one token does not cover them all: `{ audit = { env = "AUDIT_TOKEN" } }`. What
    /// goes to another index goes with `token`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, SecretRef>,
    /// `event`: each event with its time, its metadata and the indexed fields `siemline_uid` and `log_type`. `raw`: bare
    /// lines, which Splunk breaks into events and dates by the rules of their sourcetype; nothing tells a duplicate there but
    /// the line itself, and what is refused is refused for the whole batch, which is then halved.
    #[serde(default)]
    pub mode: Mode,
    /// The index. Default: the token's own. It must exist and be among the indexes that the token allows. What is filled in is
    /// written in small letters, and what no name of an index may hold becomes `_`. Each index is a request of its own: few of
    /// them make full batches.
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
    /// How many different texts each of `index`, `source`, `sourcetype` and `host` may have. For an event that would be one
    /// more, `other` stands for what is filled in.
    #[serde(default = "texts_max")]
    pub texts_max: u32,
    /// `ocsf`; `cim`: the fields of Splunk's common information model, with what it has no field for under `ocsf`; `raw`: the
    /// JSON as AWS wrote it, text lines as a string; or `ecs`.
    #[serde(default)]
    pub format: Format,
    /// How hard bodies are compressed with gzip: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// Whether a batch counts as delivered only when Splunk has indexed (and replicated) it, instead of when Splunk has taken
    /// it into its queue. The token needs "Enable indexer acknowledgement". For Splunk Enterprise: Splunk Cloud offers it to
    /// Firehose only. Behind a load balancer it needs affinity, by a cookie or by the source's address: cookies are kept.
    #[serde(default)]
    pub acknowledgement: bool,
    /// How long an acknowledgement is waited for. Then the batch is sent again, and may be indexed twice: Splunk forgets an
    /// acknowledgement that it has told once, so that a lost answer looks like a lost batch.
    #[serde(default = "acknowledgement_timeout")]
    pub acknowledgement_timeout: Span,
    /// How often Splunk is asked about all batches that wait, at most. A batch waits for half of it in vain, on average.
    #[serde(default = "acknowledgement_interval")]
    pub acknowledgement_interval: Span,
    /// The HTTP client.
    #[serde(default)]
    pub http: HttpOptions,
    /// Batches, retries and pacing. The sink's own defaults: 1000 entries, 900kB (Splunk Cloud documents 1 MB as the most
    /// that it takes), 1s, 4 requests at once, 60s for a request. With `acknowledgement` a request includes the wait for it:
    /// 32 at once, and `acknowledgement_timeout` and 90s for one; `request_timeout` must be longer than the former.
    #[serde(default)]
    pub lane: LaneOptions,
}

/// Which of HEC's two endpoints is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `/services/collector/event`.
    #[default]
    Event,
    /// `/services/collector/raw`.
    Raw,
}

impl SplunkHecOptions {
    /// What its lane takes where the options say nothing, without acknowledgement.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 1000,
        batch_bytes_max: Size(900_000),
        batch_age_max: Span::seconds(1),
        event_bytes_max: None,
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
    };

    /// What its lane takes where the options say nothing. Most of a request's time is the wait for its acknowledgement, so
    /// more of them are under way then.
    #[must_use]
    pub fn lane_defaults(&self) -> LaneDefaults {
        if !self.acknowledgement {
            return Self::LANE;
        }
        let request_timeout = Span(self.acknowledgement_timeout.0.saturating_add(SENDING));
        LaneDefaults { requests_in_flight_max: 32, request_timeout, ..Self::LANE }
    }
}

/// What a request may take besides the wait for its acknowledgement: the POST, and a poll that was under way at its end.
const SENDING: Duration = Duration::from_secs(90);

/// As many as a middle-sized organisation has accounts.
fn texts_max() -> u32 {
    1000
}

/// Indexing takes seconds; minutes where the queues are long.
fn acknowledgement_timeout() -> Span {
    Span::seconds(300)
}

/// One small request a second and endpoint costs nothing beside the batches.
fn acknowledgement_interval() -> Span {
    Span::seconds(1)
}
