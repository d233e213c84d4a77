//! What the configuration says about dead letters in a topic.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::options::message_bytes_max;
use super::{Compression, KafkaOptions, SaslOptions, TlsOptions};
use crate::delivery::LaneOptions;
use crate::sink::Format;
use crate::unit::{Size, Span};

/// Dead letters as the records of one topic of Kafka, with source and shard as their key, and the version of their line in the
/// header `siemline_dead_letter`. While Kafka does not take them, the local file does. Beside the file there is one store at most.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterTopicOptions {
    /// Some of the cluster's brokers, as `host:port`; the others are learned from them.
    pub brokers: Vec<String>,
    /// The topic, as it stands here. Nothing else may write to it. Its retention has to leave the time to send letters again:
    /// nothing but the retention takes them away.
    pub topic: String,
    /// Dead letters hold the originals, which no redaction has seen. Where there are redactions, `true` says that the topic may
    /// have them all the same.
    #[serde(default)]
    pub unredacted: bool,
    /// How batches are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The most that one letter may hold, key and headers included; the topic's `max.message.bytes` has to allow it. The local
    /// file has those that are larger.
    #[serde(default = "message_bytes_max")]
    pub message_bytes_max: Size,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsOptions>,
    /// SASL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslOptions>,
    /// Any other property of librdkafka, by its name, as text. Those that the guarantee rests on, and those that have an option
    /// here, are refused.
    #[serde(default)]
    pub librdkafka: BTreeMap<String, String>,
}

impl LetterTopicOptions {
    /// A sink with the same topic and connection, whose client keeps the letters.
    #[must_use]
    pub fn sink(&self) -> KafkaOptions {
        KafkaOptions {
            brokers: self.brokers.clone(),
            topic: self.topic.clone(),
            topics_max: 1,
            key: None,
            format: Format::default(),
            compression: self.compression,
            message_bytes_max: self.message_bytes_max,
            tls: self.tls.clone(),
            sasl: self.sasl.clone(),
            librdkafka: self.librdkafka.clone(),
            // librdkafka gives up after 15 s: the file has the letters then.
            lane: LaneOptions { request_timeout: Some(Span::seconds(17)), ..LaneOptions::default() },
        }
    }
}
