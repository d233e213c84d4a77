//! What librdkafka's statistics say of a Kafka sink.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The statistics at one moment. Counts are those of the producer in use, and begin anew with a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaState {
    /// Brokers of the cluster that the client has learned of.
    pub brokers: u64,
    /// Of these, the ones it is connected to.
    pub brokers_up: u64,
    /// Messages that it holds: not yet sent, or sent and not yet answered.
    pub queued_messages: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent once more.
    pub request_retries: u64,
    /// Requests that were not answered in time.
    pub request_timeouts: u64,
    /// Connections that failed while something was sent or read.
    pub connection_errors: u64,
    /// The 99th percentile of the time from request to answer, of the slowest broker, in microseconds.
    pub round_trip_p99_us: u64,
    /// The longest time for which a broker asked the client to wait, in milliseconds.
    pub throttle_max_ms: u64,
}

/// What was measured last.
#[derive(Debug, Default)]
pub struct KafkaMeter(Mutex<KafkaState>);

impl KafkaMeter {
    /// What was measured last.
    #[must_use]
    pub fn state(&self) -> KafkaState {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures anew.
    pub fn measure(&self, state: KafkaState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
