//! What sinks measure that no lane knows of, by kind.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Counter, KafkaMeter, KafkaState};

/// What a sink measures of its own.
#[derive(Clone, Debug)]
pub enum SinkMeter {
    /// A Splunk HEC sink.
    SplunkHec(Arc<SplunkHecMeter>),
    /// An Elasticsearch or OpenSearch sink.
    Elastic(Arc<ElasticMeter>),
    /// A Sumo Logic sink.
    Sumo(Arc<SumoMeter>),
    /// A Kafka sink.
    Kafka(Arc<KafkaMeter>),
}

/// What a [`SinkMeter`] shows at one moment. In JSON it is an object whose one key is the kind of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkState {
    /// A Splunk HEC sink.
    SplunkHec {
        /// As in [`SplunkHecMeter`].
        possible_duplicates: u64,
    },
    /// An Elasticsearch or OpenSearch sink.
    Elastic {
        /// As in [`ElasticMeter`].
        failure_stored: u64,
    },
    /// A Sumo Logic sink.
    Sumo {
        /// As in [`SumoMeter`].
        complaints: u64,
        /// As in [`SumoMeter`].
        cut_values: u64,
    },
    /// A Kafka sink.
    Kafka(KafkaState),
}

/// What a Splunk HEC sink counts.
#[derive(Debug, Default)]
pub struct SplunkHecMeter {
    /// Entries that Splunk took without saying that they are indexed, so that they are sent again: each time counted.
    pub possible_duplicates: Counter,
}

/// What an Elasticsearch or OpenSearch sink counts.
#[derive(Debug, Default)]
pub struct ElasticMeter {
    /// Documents that the cluster could not map and put into a failure store. They count as delivered.
    pub failure_stored: Counter,
}

/// What a Sumo Logic sink counts.
#[derive(Debug, Default)]
pub struct SumoMeter {
    /// Requests that Sumo took with a complaint about their headers.
    pub complaints: Counter,
    /// Texts that were too long for Sumo's headers, and were cut. Events that are sent again count again.
    pub cut_values: Counter,
}

impl SinkMeter {
    /// What it shows now.
    #[must_use]
    pub fn state(&self) -> SinkState {
        match self {
            Self::SplunkHec(meter) => SinkState::SplunkHec { possible_duplicates: meter.possible_duplicates.get() },
            Self::Elastic(meter) => SinkState::Elastic { failure_stored: meter.failure_stored.get() },
            Self::Sumo(meter) => {
                SinkState::Sumo { complaints: meter.complaints.get(), cut_values: meter.cut_values.get() }
            }
            Self::Kafka(meter) => SinkState::Kafka(meter.state()),
        }
    }
}
