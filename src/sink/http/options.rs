//! What the configuration says about an HTTP sink.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{Compression, CompressionLevel, HttpOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// Any HTTP endpoint that takes events as NDJSON or as a JSON array. A status of `success` is a success; 400 and 422 refuse
/// (the batch is halved until the culprit is found, which goes to the dead letters); 413 splits; 408, 425, 429 and 5xx are
/// tried again; any other status pauses the lane, and nothing is lost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSinkOptions {
    /// Where events are sent to, with its query if it has one. Either this or `secret_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The same where the address itself is the secret, as with webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_url: Option<SecretRef>,
    /// The method.
    #[serde(default)]
    pub method: WriteMethod,
    /// Headers of every request, by name: `{ "X-Log-Type" = "aws" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets, by name: `{ "DD-API-KEY" = { env = "DD_API_KEY" } }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// The token for `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretRef>,
    /// The user, for basic authentication. It needs `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// How events make a body.
    #[serde(default)]
    pub body: BodyForm,
    /// `Content-Type`. Default: `application/x-ndjson` or `application/json`, as the body is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The statuses that mean success. Default: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<u16>,
    /// What the body of a success has to say, for destinations that answer 200 and tell of failures in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_body: Option<VerifyBodyOptions>,
    /// What `siemline check --connect` asks with GET, with the same headers: any success is good. Default: HEAD of the
    /// address, which tells whether the server can be reached, and of the credentials only if it answers 401.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_url: Option<String>,
    /// `ocsf`; `raw`: the JSON as AWS wrote it, text lines as a JSON string; `ecs` or `cim`.
    #[serde(default)]
    pub format: Format,
    /// How bodies are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// How hard: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// Whether cookies are given back to the server, so that a load balancer keeps siemline at one node.
    #[serde(default)]
    pub cookies: bool,
    /// The HTTP client.
    #[serde(default)]
    pub http: HttpOptions,
    /// Batches, retries and pacing. The sink's own defaults: 1000 entries, 900kB, 1s, 4 requests at once, 60s for a request.
    #[serde(default)]
    pub lane: LaneOptions,
}

/// A method that carries events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// How events make a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyForm {
    /// One JSON document a line.
    #[default]
    Ndjson,
    /// One JSON array of all.
    JsonArray,
}

/// What the body of a success has to say: a JSON document with this value at this place. Another value there refuses the
/// request, so that the batch is halved until the culprit is found; a body that is no JSON, or has nothing there, pauses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBodyOptions {
    /// A JSON pointer: `/failed`, `/status/0/failed`.
    pub pointer: String,
    /// The value: a number, a text or a truth value.
    pub equals: Value,
}

impl HttpSinkOptions {
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
