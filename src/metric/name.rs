//! Every metric by name.

use std::fmt::Write as _;

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// The word for it in the text format of Prometheus.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Makes the enum and all that is known of each metric out of one line each, so that no two places can disagree: the meaning
/// as it is told to scrapers, kind, name, labels.
macro_rules! metrics {
    ($( #[doc = $help:literal] $metric:ident = $kind:ident $name:literal [$($label:literal),*]; )*) => {
        /// A metric's name, unit, meaning and labels, once. Its value stands in `telemetry`, where one without a value does
        /// not compile.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric { $( #[doc = $help] $metric, )* }

        impl Metric {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$( Self::$metric ),*];

            /// Its name, the unit in it; what only grows ends in `_total`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$metric => $name, )* }
            }

            /// How it moves.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $( Self::$metric => Kind::$kind, )* }
            }

            /// The names of its labels. Their values are closed sets: names of the configuration, and words of ours.
            #[must_use]
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $( Self::$metric => &[$( $label ),*], )* }
            }

            /// What it means, for whoever reads it without us.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $( Self::$metric => $help.trim_ascii_start(), )* }
            }
        }
    };
}

metrics! {
    /// 1, with the version of siemline in its label.
    BuildInfo = Gauge "siemline_build_info" ["version"];
    /// When the process started, in seconds since 1970.
    StartTime = Gauge "siemline_start_time_seconds" [];
    /// 1 while the process can do its work, as `/readyz` says; 0 while it cannot.
    Ready = Gauge "siemline_ready" [];

    /// Records that the workers have taken in, those read again included.
    RecordsRead = Counter "siemline_records_read_total" [];
    /// Bytes of these records, as they came.
    RecordBytesRead = Counter "siemline_records_read_bytes_total" [];
    /// Events found in records, those read again included: delivered + spilled + filtered + dead-lettered + abandoned + in flight.
    EventsRead = Counter "siemline_events_read_total" [];
    /// Events that every sink they were routed to has.
    EventsDelivered = Counter "siemline_events_delivered_total" [];
    /// Events that a spill holds for at least one sink, and that the others have; their entries are counted by its lane.
    EventsSpilled = Counter "siemline_events_spilled_total" [];
    /// Events that a named rule let go.
    EventsFiltered = Counter "siemline_events_filtered_total" ["rule"];
    /// Events that lie in the dead letters of at least one sink.
    EventsDeadLettered = Counter "siemline_events_dead_lettered_total" [];
    /// Events given up before they were settled: they are read again.
    EventsAbandoned = Counter "siemline_events_abandoned_total" [];
    /// Events read whose end nobody has spoken yet.
    EventsInFlight = Gauge "siemline_events_in_flight" [];
    /// Normalized events by log type and OCSF severity.
    EventsNormalized = Counter "siemline_events_normalized_total" ["log_type", "severity_id"];
    /// Events that no event could be made of, by code; they are among the dead-lettered.
    EventsBroken = Counter "siemline_events_broken_total" ["code"];
    /// Oddities in events that were survived, by code.
    Complaints = Counter "siemline_complaints_total" ["code"];

    /// Entries (an event at one sink) taken up: delivered + dead-lettered + abandoned + in flight.
    LaneEntries = Counter "siemline_lane_entries_total" ["sink"];
    /// Entries that the destination accepted, those it had already included.
    LaneDelivered = Counter "siemline_lane_delivered_total" ["sink"];
    /// Entries that the destination said it had already.
    LaneDuplicates = Counter "siemline_lane_duplicates_total" ["sink"];
    /// Entries that lie in the dead letters.
    LaneDeadLettered = Counter "siemline_lane_dead_lettered_total" ["sink"];
    /// Entries given up before they were settled: they are read again.
    LaneAbandoned = Counter "siemline_lane_abandoned_total" ["sink"];
    /// Entries that wait, are under way, or are to be sent again.
    LaneInFlight = Gauge "siemline_lane_in_flight" ["sink"];
    /// Entries sent once more, counted each time.
    LaneRetried = Counter "siemline_lane_retried_total" ["sink"];
    /// Requests sent.
    LaneRequests = Counter "siemline_lane_requests_total" ["sink"];
    /// Requests that failed as a whole.
    LaneFailures = Counter "siemline_lane_request_failures_total" ["sink"];
    /// Batches cut in halves.
    LaneSplits = Counter "siemline_lane_splits_total" ["sink"];
    /// Bytes of encoded batches before compression, each sending counted.
    LaneBytes = Counter "siemline_lane_bytes_total" ["sink"];
    /// Entries made smaller because they were too large, each time counted.
    LaneTrimmed = Counter "siemline_lane_trimmed_total" ["sink"];
    /// Entries that went to the dead letters because they are too large.
    LaneOversize = Counter "siemline_lane_oversize_total" ["sink"];
    /// Requests under way.
    LaneRequestsInFlight = Gauge "siemline_lane_requests_in_flight" ["sink"];
    /// How many requests there may be under way, as the lane has found out, up to `requests_in_flight_max`.
    LaneWindow = Gauge "siemline_lane_window" ["sink"];
    /// What a request takes until its answer is read, smoothed.
    LaneLatency = Gauge "siemline_lane_latency_seconds" ["sink"];
    /// Times nothing was delivered or dead-lettered for `stalled_after`, although there was something.
    LaneStalls = Counter "siemline_lane_stalls_total" ["sink"];
    /// How long nothing has been delivered or dead-lettered, and why; 0 with the reason `moving` where a lane moves.
    LaneStandstill = Gauge "siemline_lane_standstill_seconds" ["sink", "reason"];
    /// Times the lane paused because nothing would get through until somebody mends something.
    LanePauses = Counter "siemline_lane_pauses_total" ["sink"];
    /// 1 while the lane is paused.
    LanePaused = Gauge "siemline_lane_paused" ["sink"];
    /// 1 while the destination accepts nothing and is asked again.
    LaneFailing = Gauge "siemline_lane_failing" ["sink"];

    /// Entries written to the lane's spill.
    SpillWritten = Counter "siemline_spill_written_total" ["sink"];
    /// Entries read back from the lane's spill.
    SpillReturned = Counter "siemline_spill_returned_total" ["sink"];
    /// Bytes of the lane's spill that cannot be read any more: what stood there is lost to this sink.
    SpillDamaged = Counter "siemline_spill_damaged_bytes_total" ["sink"];
    /// What the lane's spill takes on the disk.
    SpillBytes = Gauge "siemline_spill_bytes" ["sink"];
    /// What it may take (`bytes_max`).
    SpillBytesMax = Gauge "siemline_spill_max_bytes" ["sink"];
    /// How long the oldest segment of the lane's spill has been there; 0 where it is empty.
    SpillAge = Gauge "siemline_spill_age_seconds" ["sink"];
    /// 1 while the lane's spill is full or its disk fails: it takes nothing then, and the reading stops.
    SpillStuck = Gauge "siemline_spill_stuck" ["sink"];

    /// Entries that Splunk took and never called indexed: they are sent again, each time counted, and it may have them twice.
    SplunkHecPossibleDuplicates = Counter "siemline_splunk_hec_possible_duplicates_total" ["sink"];
    /// Documents that the cluster could not map and put into a failure store; they count as delivered.
    ElasticFailureStored = Counter "siemline_elastic_failure_stored_total" ["sink"];
    /// Requests that Sumo took with a complaint about their headers, such as fields that it does not know.
    SumoComplaints = Counter "siemline_sumo_complaints_total" ["sink"];
    /// Texts that were too long for Sumo's headers, and were cut; those of events that are sent again count again.
    SumoCutValues = Counter "siemline_sumo_cut_values_total" ["sink"];

    /// Brokers of the cluster that a Kafka sink has learned of.
    KafkaBrokers = Gauge "siemline_kafka_brokers" ["sink"];
    /// Brokers that a Kafka sink is connected to.
    KafkaBrokersUp = Gauge "siemline_kafka_brokers_up" ["sink"];
    /// Messages that librdkafka holds: not yet sent, or sent and not yet answered.
    KafkaQueued = Gauge "siemline_kafka_queued_messages" ["sink"];
    /// Bytes of these messages.
    KafkaQueuedBytes = Gauge "siemline_kafka_queued_bytes" ["sink"];
    /// Requests to brokers. It begins anew with a new producer, as the others of Kafka do.
    KafkaRequests = Counter "siemline_kafka_requests_total" ["sink"];
    /// Requests to brokers that librdkafka sent once more.
    KafkaRequestRetries = Counter "siemline_kafka_request_retries_total" ["sink"];
    /// Requests to brokers that were not answered in time.
    KafkaRequestTimeouts = Counter "siemline_kafka_request_timeouts_total" ["sink"];
    /// Failures of connections to brokers while something was sent or read.
    KafkaConnectionErrors = Counter "siemline_kafka_connection_errors_total" ["sink"];
    /// The 99th percentile of the time from request to answer, of the slowest broker, over the last seconds.
    KafkaRoundTrip = Gauge "siemline_kafka_round_trip_seconds" ["sink"];
    /// The longest time for which a broker asked a Kafka sink to wait, over the last seconds.
    KafkaThrottle = Gauge "siemline_kafka_throttle_max_seconds" ["sink"];

    /// Dead letters that are kept.
    DeadLettersKept = Counter "siemline_dead_letters_kept_total" [];
    /// Of these, the ones that the store on the network did not take, and the local file has.
    DeadLettersFellBack = Counter "siemline_dead_letters_fell_back_total" [];
    /// 1 while the store of dead letters on the network takes nothing; the local file has them then.
    DeadLetterStoreFailing = Gauge "siemline_dead_letter_store_failing" [];
    /// 1 while dead letters cannot be kept; reading stops then.
    DeadLettersStuck = Gauge "siemline_dead_letters_stuck" [];

    /// Bytes in flight: records, what is made of them, queues and batches.
    MemoryInFlight = Gauge "siemline_memory_in_flight_bytes" [];
    /// The most bytes that were in flight since the start.
    MemoryInFlightPeak = Gauge "siemline_memory_in_flight_peak_bytes" [];
    /// The bytes that may be in flight (`in_flight_bytes_max`).
    MemoryInFlightMax = Gauge "siemline_memory_in_flight_max_bytes" [];

    /// 1 while all of the source could be opened and it has not ended.
    SourceOpen = Gauge "siemline_source_open" ["source"];
    /// Records handed on by the reader of a shard, those read again included.
    ShardRecords = Counter "siemline_shard_records_total" ["source", "shard"];
    /// Bytes of the records handed on.
    ShardBytes = Counter "siemline_shard_bytes_total" ["source", "shard"];
    /// How far the reading is behind the newest record of the shard, as the service says.
    ShardBehind = Gauge "siemline_shard_behind_seconds" ["source", "shard"];
    /// Time until the oldest record that is not settled expires by the stream's retention; negative where records are lost.
    ShardRetentionHeadroom = Gauge "siemline_shard_retention_headroom_seconds" ["source", "shard"];
    /// How long a shard has not moved here, and why; 0 with the reason `moving` where it moves.
    ShardStandstill = Gauge "siemline_shard_standstill_seconds" ["source", "shard", "reason"];
    /// Calls and subscriptions of a shard that were throttled.
    ShardThrottled = Counter "siemline_shard_throttled_total" ["source", "shard"];
    /// Calls and subscriptions of a shard that failed otherwise.
    ShardFailures = Counter "siemline_shard_failures_total" ["source", "shard"];
    /// Aggregates of the Kinesis Producer Library that were taken apart.
    KplAggregates = Counter "siemline_kpl_aggregates_total" ["source", "shard"];
    /// Records that look like an aggregate and cannot be taken apart: handed on as the plain records that they are.
    KplBroken = Counter "siemline_kpl_broken_total" ["source", "shard"];
    /// User records of an aggregate whose hash key lies outside the shard.
    KplOutside = Counter "siemline_kpl_outside_shard_total" ["source", "shard"];
    /// User records let go because of such a neighbour (`kpl_strict`); they are events filtered by the rule `kpl_strict`.
    KplDiscarded = Counter "siemline_kpl_discarded_total" ["source", "shard"];
}

/// The reference of all metrics, as a table of Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in Metric::ALL {
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.name(), metric.kind().word(), labels.join(", "));
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {} |", metric.help());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Kind, Metric, table};

    /// Guards what scrapers rely on: names are told apart and of the form that Prometheus takes, what only grows says so, and
    /// every metric says what it means.
    #[test]
    fn names_are_told_apart() {
        for (at, metric) in Metric::ALL.iter().enumerate() {
            let name = metric.name();
            assert!(Metric::ALL.iter().skip(at + 1).all(|other| other.name() != name), "{name}");
            assert!(
                name.starts_with("siemline_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}"
            );
            assert_eq!(metric.kind() == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(metric.help().ends_with('.') && !metric.help().starts_with(' '), "{name}");
            assert!(!metric.help().contains('|'), "{name} stands in a table");
        }
    }

    /// Guards that the page about metrics tells what is told.
    #[test]
    fn the_table_is_current() {
        const MARKS: [&str; 2] =
            ["<!-- Made from the metrics; do not edit. -->\n", "<!-- The end of what is made. -->"];
        let path = format!("{}/docs/metrics.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap();
        let begin = page.find(MARKS[0]).unwrap() + MARKS[0].len();
        let end = page.find(MARKS[1]).unwrap();
        if std::env::var_os("SIEMLINE_BLESS").is_some() {
            std::fs::write(&path, format!("{}{}{}", &page[..begin], table(), &page[end..])).unwrap();
        } else {
            assert!(page[begin..end] == table(), "docs/metrics.md is not what is told: run with SIEMLINE_BLESS=1");
        }
    }
}
