//! The metrics in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::status::{LaneStatus, ShardStatus, SpillStatus, Status};
use crate::metric::{KafkaState, Metric, SinkState};

/// All metrics, each with its meaning and kind, also where there is no value yet.
#[must_use]
pub fn exposition(status: &Status) -> String {
    let mut text = String::new();
    for metric in Metric::ALL {
        let name = metric.name();
        let help = metric.help().replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", metric.kind().word());
        tell(*metric, status, &mut Samples { metric: *metric, text: &mut text });
    }
    text
}

/// The values of one metric.
#[expect(clippy::too_many_lines, reason = "one line a metric, and the compiler sees that none is left out")]
fn tell(metric: Metric, status: &Status, out: &mut Samples<'_>) {
    let events = &status.events;
    match metric {
        Metric::BuildInfo => out.put(&[&status.version], 1_u64),
        Metric::StartTime => out.put(&[], Seconds(status.started_ms)),
        Metric::Ready => out.put(&[], u64::from(status.is_ready)),
        Metric::RecordsRead => out.put(&[], events.records),
        Metric::RecordBytesRead => out.put(&[], events.record_bytes),
        Metric::EventsRead => out.put(&[], events.read),
        Metric::EventsDelivered => out.put(&[], events.delivered),
        Metric::EventsSpilled => out.put(&[], events.spilled),
        Metric::EventsFiltered => out.named(&events.by_rule),
        Metric::EventsDeadLettered => out.put(&[], events.dead_lettered),
        Metric::EventsAbandoned => out.put(&[], events.abandoned),
        Metric::EventsInFlight => out.put(&[], events.in_flight),
        Metric::EventsNormalized => {
            for (log_type, counts) in &events.by_log_type {
                for (severity, count) in counts {
                    out.put(&[log_type, severity], count);
                }
            }
        }
        Metric::EventsBroken => out.named(&events.broken),
        Metric::Complaints => out.named(&events.complaints),
        Metric::LaneEntries => out.lanes(status, |lane| lane.entries),
        Metric::LaneDelivered => out.lanes(status, |lane| lane.delivered),
        Metric::LaneDuplicates => out.lanes(status, |lane| lane.duplicates),
        Metric::LaneDeadLettered => out.lanes(status, |lane| lane.dead_lettered),
        Metric::LaneAbandoned => out.lanes(status, |lane| lane.abandoned),
        Metric::LaneInFlight => out.lanes(status, |lane| lane.in_flight),
        Metric::LaneRetried => out.lanes(status, |lane| lane.retried),
        Metric::LaneRequests => out.lanes(status, |lane| lane.requests),
        Metric::LaneFailures => out.lanes(status, |lane| lane.failures),
        Metric::LaneSplits => out.lanes(status, |lane| lane.splits),
        Metric::LaneBytes => out.lanes(status, |lane| lane.bytes),
        Metric::LaneTrimmed => out.lanes(status, |lane| lane.trimmed),
        Metric::LaneOversize => out.lanes(status, |lane| lane.oversize),
        Metric::LaneRequestsInFlight => out.lanes(status, |lane| lane.requests_in_flight.into()),
        Metric::LaneWindow => out.lanes(status, |lane| lane.window.into()),
        Metric::LaneLatency => {
            for (name, lane) in &status.lanes {
                if let Some(latency_ms) = lane.latency_ms {
                    out.put(&[name], seconds(latency_ms));
                }
            }
        }
        Metric::LaneStalls => out.lanes(status, |lane| lane.stalls),
        Metric::LaneStandstill => {
            for (name, lane) in &status.lanes {
                let still_ms = lane.still_since_ms.map_or(0, |since_ms| status.now_ms.saturating_sub(since_ms).max(0));
                out.put(&[name, &lane.reason], Seconds(still_ms));
            }
        }
        Metric::LanePauses => out.lanes(status, |lane| lane.pauses),
        Metric::LanePaused => out.lanes(status, |lane| u64::from(lane.condition == "paused")),
        Metric::LaneFailing => out.lanes(status, |lane| u64::from(lane.condition == "failing")),
        Metric::SpillWritten => out.spills(status, |spill| spill.written),
        Metric::SpillReturned => out.spills(status, |spill| spill.returned),
        Metric::SpillDamaged => out.spills(status, |spill| spill.damaged_bytes),
        Metric::SpillBytes => out.spills(status, |spill| spill.bytes),
        Metric::SpillBytesMax => out.spills(status, |spill| spill.bytes_max),
        Metric::SpillAge => out.spills(status, |spill| {
            let age_ms = spill.since_ms.map_or(0, |since_ms| status.now_ms.saturating_sub(since_ms).max(0));
            Seconds(age_ms)
        }),
        Metric::SpillStuck => out.spills(status, |spill| u64::from(spill.hindrance.is_some())),
        Metric::SplunkHecPossibleDuplicates => out.sinks(status, |state| match *state {
            SinkState::SplunkHec { possible_duplicates } => Some(possible_duplicates),
            _ => None,
        }),
        Metric::ElasticFailureStored => out.sinks(status, |state| match *state {
            SinkState::Elastic { failure_stored } => Some(failure_stored),
            _ => None,
        }),
        Metric::SumoComplaints => out.sinks(status, |state| match *state {
            SinkState::Sumo { complaints, .. } => Some(complaints),
            _ => None,
        }),
        Metric::SumoCutValues => out.sinks(status, |state| match *state {
            SinkState::Sumo { cut_values, .. } => Some(cut_values),
            _ => None,
        }),
        Metric::KafkaBrokers => out.kafka(status, |kafka| kafka.brokers),
        Metric::KafkaBrokersUp => out.kafka(status, |kafka| kafka.brokers_up),
        Metric::KafkaQueued => out.kafka(status, |kafka| kafka.queued_messages),
        Metric::KafkaQueuedBytes => out.kafka(status, |kafka| kafka.queued_bytes),
        Metric::KafkaRequests => out.kafka(status, |kafka| kafka.requests),
        Metric::KafkaRequestRetries => out.kafka(status, |kafka| kafka.request_retries),
        Metric::KafkaRequestTimeouts => out.kafka(status, |kafka| kafka.request_timeouts),
        Metric::KafkaConnectionErrors => out.kafka(status, |kafka| kafka.connection_errors),
        Metric::KafkaRoundTrip => out.kafka(status, |kafka| {
            let us = kafka.round_trip_p99_us;
            format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
        }),
        Metric::KafkaThrottle => out.kafka(status, |kafka| seconds(kafka.throttle_max_ms)),
        Metric::DeadLettersKept => out.put(&[], status.dead_letters.kept),
        Metric::DeadLettersFellBack => out.put(&[], status.dead_letters.fell_back),
        Metric::DeadLetterStoreFailing => out.put(&[], u64::from(status.dead_letters.store_hindrance.is_some())),
        Metric::DeadLettersStuck => out.put(&[], u64::from(status.dead_letters.hindrance.is_some())),
        Metric::MemoryInFlight => out.put(&[], status.memory.in_flight_bytes),
        Metric::MemoryInFlightPeak => out.put(&[], status.memory.in_flight_bytes_peak),
        Metric::MemoryInFlightMax => out.put(&[], status.memory.in_flight_bytes_max),
        Metric::SourceOpen => {
            for (name, source) in &status.sources {
                out.put(&[name], u64::from(source.state == "reading"));
            }
        }
        Metric::ShardRecords => out.shards(status, |shard| Some(shard.records)),
        Metric::ShardBytes => out.shards(status, |shard| Some(shard.bytes)),
        Metric::ShardBehind => out.shards(status, |shard| shard.behind_ms.map(seconds)),
        Metric::ShardRetentionHeadroom => out.shards(status, |shard| shard.headroom_ms.map(Seconds)),
        Metric::ShardStandstill => {
            for (name, source) in &status.sources {
                for (shard, state) in &source.shards {
                    out.put(&[name, shard, &state.reason], seconds(state.standstill_ms));
                }
            }
        }
        Metric::ShardThrottled => out.shards(status, |shard| Some(shard.throttled)),
        Metric::ShardFailures => out.shards(status, |shard| Some(shard.failures)),
        Metric::KplAggregates => out.shards(status, |shard| Some(shard.kpl_aggregates)),
        Metric::KplBroken => out.shards(status, |shard| Some(shard.kpl_broken)),
        Metric::KplOutside => out.shards(status, |shard| Some(shard.kpl_outside)),
        Metric::KplDiscarded => out.shards(status, |shard| Some(shard.kpl_discarded)),
    }
}

/// Where the values of one metric are written.
struct Samples<'a> {
    metric: Metric,
    text: &'a mut String,
}

impl Samples<'_> {
    /// One value, with those of the metric's labels in their order.
    fn put(&mut self, labels: &[&dyn fmt::Display], value: impl fmt::Display) {
        debug_assert_eq!(labels.len(), self.metric.labels().len(), "{}", self.metric.name());
        self.text.push_str(self.metric.name());
        let pairs = self.metric.labels().iter().zip(labels);
        for (number, (name, value)) in pairs.enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{before}{name}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    fn named(&mut self, counts: &BTreeMap<String, u64>) {
        for (name, count) in counts {
            self.put(&[name], count);
        }
    }

    /// A value for each lane that has a spill.
    fn spills<V: fmt::Display>(&mut self, status: &Status, value: impl Fn(&SpillStatus) -> V) {
        for (name, lane) in &status.lanes {
            if let Some(spill) = &lane.spill {
                self.put(&[name], value(spill));
            }
        }
    }

    fn lanes(&mut self, status: &Status, value: impl Fn(&LaneStatus) -> u64) {
        for (name, lane) in &status.lanes {
            self.put(&[name], value(lane));
        }
    }

    /// A value for each sink of the kind that has it.
    fn sinks<V: fmt::Display>(&mut self, status: &Status, value: impl Fn(&SinkState) -> Option<V>) {
        for (name, state) in &status.sinks {
            if let Some(value) = value(state) {
                self.put(&[name], value);
            }
        }
    }

    fn kafka<V: fmt::Display>(&mut self, status: &Status, value: impl Fn(&KafkaState) -> V) {
        self.sinks(status, |state| match state {
            SinkState::Kafka(kafka) => Some(value(kafka)),
            _ => None,
        });
    }

    /// A value for each shard where it is known.
    fn shards<V: fmt::Display>(&mut self, status: &Status, value: impl Fn(&ShardStatus) -> Option<V>) {
        for (name, source) in &status.sources {
            for (shard, state) in &source.shards {
                if let Some(value) = value(state) {
                    self.put(&[name, shard], value);
                }
            }
        }
    }
}

/// Milliseconds, written as seconds without a loss.
struct Seconds(i64);

fn seconds(milliseconds: u64) -> Seconds {
    Seconds(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let milliseconds = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", milliseconds / 1000, milliseconds % 1000)
    }
}
