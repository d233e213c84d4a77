//! What the configuration says about a Kafka sink.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery::{LaneDefaults, LaneOptions};
use crate::secret::SecretRef;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// A Kafka cluster. Every record has the headers `log_type`, `format` and `siemline_uid`; the last is the same for an event that
/// is sent twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaOptions {
    /// Some of the cluster's brokers, as `host:port`; the others are learned from them.
    pub brokers: Vec<String>,
    /// The topic: a text, with fields of the event in braces, such as `security-{log_type}` or `ocsf.{account:-none}`. What may
    /// not stand in a topic's name becomes `_`.
    pub topic: String,
    /// The most different topics that a `topic` with fields may name; events beyond go to one with `other` in place of the
    /// fields.
    #[serde(default = "topics_max")]
    pub topics_max: u32,
    /// The key of a record, which decides its partition: a text with fields of the event in braces, such as `{account:-}`.
    /// Events with one key stay in order. An empty text is no key. Default: `finding_info.uid`, so that all versions of a
    /// finding stand in one partition; the account for events that are no findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The form of the events: `ocsf`, `ecs`, `cim`, or `raw`, the bytes as AWS wrote them.
    #[serde(default)]
    pub format: Format,
    /// How batches are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The most that one record may hold, key and headers included; the brokers' `message.max.bytes` or the topic's
    /// `max.message.bytes` has to allow it.
    #[serde(default = "message_bytes_max")]
    pub message_bytes_max: Size,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsOptions>,
    /// SASL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslOptions>,
    /// Any other property of librdkafka, by its name, as text: `{ "linger.ms" = "20" }`. Those that the guarantee rests on, and
    /// those that have an option here, are refused.
    #[serde(default)]
    pub librdkafka: BTreeMap<String, String>,
    /// Batches, retries and pacing. The sink's own defaults: 1000 entries, 4MiB, 200ms, 4 batches at once, 60s for a batch, after
    /// nine tenths of which librdkafka gives up.
    #[serde(default)]
    pub lane: LaneOptions,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard, for brokers of 2.1 and later.
    #[default]
    Zstd,
    /// LZ4.
    Lz4,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

/// TLS. Without this table the connection is plain, unless `sasl` is `AWS_MSK_IAM`; `tls = {}` trusts the system's certificate
/// authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsOptions {
    /// A PEM file with the certificate authorities to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's own certificate and those that lead up to its authority: mutual TLS. It needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the private key of the client's certificate.
    pub key_file: Option<PathBuf>,
    /// The password of the private key, where it has one.
    pub key_password: Option<SecretRef>,
}

/// SASL: how siemline says who it is. Without this table: not at all, or by the certificate of `tls`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaslOptions {
    /// The mechanism. Kerberos is not spoken.
    pub mechanism: Mechanism,
    /// The user, for `PLAIN` and `SCRAM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// For `OAUTHBEARER`: the token itself. A file is read anew before the token expires, so that something else may keep it
    /// current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// For `OAUTHBEARER`, in place of `token`: where tokens are handed out for client credentials (OIDC), such as
    /// `https://login.example.com/oauth2/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The client's id at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client's secret at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// The scope that is asked for at the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// For `AWS_MSK_IAM`: the cluster's region. Default: the one in the brokers' names, else the environment's. Credentials come
    /// from the environment, as for every AWS tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// For `AWS_MSK_IAM`: the role to assume, by its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// A mechanism of SASL, by the name that brokers know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Mechanism {
    /// User and password, as they are: over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// User and password, proven without being told.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with the longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token, given or fetched.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
    /// The credentials of AWS, for Amazon MSK.
    #[serde(rename = "AWS_MSK_IAM")]
    AwsMskIam,
}

impl KafkaOptions {
    /// What its lane takes where the options say nothing.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 1000,
        batch_bytes_max: Size::mebibytes(4),
        batch_age_max: Span::milliseconds(200),
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(60),
        event_bytes_max: None,
    };

    /// What its lane takes where the options say nothing: an event is held against `message_bytes_max` with the topic, the key
    /// and the headers that go with it, as librdkafka does.
    #[must_use]
    pub fn lane_defaults(&self) -> LaneDefaults {
        LaneDefaults { event_bytes_max: Some(self.message_bytes_max), ..Self::LANE }
    }

    /// When librdkafka gives up on a message: so much before the lane gives up on the batch that the report of it arrives
    /// first. librdkafka looks for messages that are overdue once a second.
    pub(super) fn message_timeout(&self) -> Duration {
        let request_timeout = self.request_timeout();
        let margin = (request_timeout / 10).max(Duration::from_secs(2));
        request_timeout.saturating_sub(margin).max(request_timeout / 2)
    }

    /// How late in a sending a message may still be handed to librdkafka: its report arrives before the lane gives up.
    pub(super) fn begin_within(&self) -> Duration {
        self.request_timeout().saturating_sub(self.message_timeout())
    }

    fn request_timeout(&self) -> Duration {
        self.lane.request_timeout.unwrap_or(Self::LANE.request_timeout).0
    }

    /// The most messages that librdkafka holds: those of all batches that may be under way, and as many that have been
    /// reported on and are not yet cleared away.
    pub(super) fn messages_max(&self) -> u64 {
        2 * u64::from(self.batches_max())
            * u64::from(self.lane.batch_entries_max.unwrap_or(Self::LANE.batch_entries_max))
    }

    /// The most bytes that librdkafka holds: as many times what a batch holds, or what its one message holds that is larger.
    pub(super) fn queue_bytes_max(&self) -> u64 {
        let batch_bytes_max = self.lane.batch_bytes_max.unwrap_or(Self::LANE.batch_bytes_max).0;
        (2 * u64::from(self.batches_max())).saturating_mul(batch_bytes_max.max(self.message_bytes_max.0))
    }

    fn batches_max(&self) -> u32 {
        self.lane.requests_in_flight_max.unwrap_or(Self::LANE.requests_in_flight_max)
    }
}

impl Compression {
    /// The name at librdkafka.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::None => "none",
        }
    }
}

impl Mechanism {
    /// The name at librdkafka. IAM is spoken with a token.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer | Self::AwsMskIam => "OAUTHBEARER",
        }
    }
}

fn topics_max() -> u32 {
    100
}

pub(super) fn message_bytes_max() -> Size {
    Size(1_000_000)
}
