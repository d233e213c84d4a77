//! Kafka as a destination: librdkafka's own mock cluster, which fails requests by their number.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use serde_json::json;
use siemline::delivery::LaneDefaults;
use siemline::sink::kafka::{Kafka, KafkaOptions};

use super::play::Destination;
use super::scenario::{BATCH, Cell, EVENTS, Expected, Scenario};
use crate::kafka;

/// Three brokers.
pub struct Brokers {
    cluster: MockCluster<'static, DefaultProducerContext>,
    scenario: Scenario,
}

impl Destination for Brokers {
    const KIND: &'static str = "kafka";
    const LANE: LaneDefaults = KafkaOptions::LANE;
    type Sink = Kafka;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            Scenario::AllAccepted | Scenario::Throttled | Scenario::TooLarge | Scenario::Slow | Scenario::Refused => {
                Cell::Played(Expected::arrives())
            }
            Scenario::OneTooLarge => Cell::Played(Expected::buries(1, "too_large")),
            Scenario::UnauthorisedThenRestored => Cell::Played(Expected::arrives().pausing()),
            Scenario::Twice => Cell::Played(Expected::repeats(EVENTS)),
            // Other requests may have gone over the same connection; a broker would know their repetition by its sequence number,
            // at which the mock does not look.
            Scenario::CutBefore => Cell::Played(Expected { duplicates: 0..=EVENTS, ..Expected::arrives() }),
            // Whether the batch that was under way was taken, the mock does not tell; the next process has another producer id.
            Scenario::Shutdown => Cell::Played(Expected { duplicates: 0..=BATCH, ..Expected::arrives() }),
            Scenario::OneRefused | Scenario::AllRefused => Cell::Meaningless(
                "the mock fails requests by their number, not by what is in them; \
                 `kafka::refusals_are_answered_and_healed` holds what follows from a refusal",
            ),
            Scenario::ThrottledForASecond => Cell::Meaningless("a broker delays its answers itself, and names no time"),
            Scenario::TimeoutAfterTaken | Scenario::CutAfter | Scenario::Restart | Scenario::ShortAnswer => {
                Cell::Meaningless(
                    "librdkafka repeats the request inside of one sending, by its sequence number, which the broker tells \
                     from new records; `kafka::passing_faults_are_outlived_without_duplicates` holds it",
                )
            }
            Scenario::Garbage
            | Scenario::EmptySuccess
            | Scenario::Redirect
            | Scenario::BalancerPage
            | Scenario::SignInPage => {
                Cell::Meaningless("it is not HTTP: librdkafka drops whoever does not speak Kafka")
            }
        }
    }

    async fn start(scenario: Scenario) -> Self {
        let cluster = kafka::cluster();
        let fails = |code| cluster.request_errors(Api::Produce, &[code]);
        match scenario {
            Scenario::Throttled => fails(Code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED),
            Scenario::TooLarge => fails(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE),
            Scenario::UnauthorisedThenRestored => {
                cluster.request_errors(Api::InitProducerId, &[Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED]);
            }
            Scenario::CutBefore => fails(Code::RD_KAFKA_RESP_ERR__TRANSPORT),
            Scenario::Slow => cluster.broker_round_trip_time(-1, Duration::from_millis(50)).unwrap(),
            Scenario::Shutdown => cluster.broker_round_trip_time(-1, Duration::from_millis(200)).unwrap(),
            Scenario::Refused => cluster.broker_down(-1).unwrap(),
            _ => {}
        }
        Self { cluster, scenario }
    }

    async fn sink(&self) -> Kafka {
        // A sending that reaches nobody ends a little before the sink's own bound, which is its lane's elsewhere.
        let patience = if self.scenario == Scenario::Refused { "3s" } else { "60s" };
        let large = if self.scenario == Scenario::OneTooLarge { "10kB" } else { "1MB" };
        let more = json!({ "key": "{class_uid}", "message_bytes_max": large, "lane": { "request_timeout": patience } });
        kafka::sink(&self.cluster, &more)
    }

    fn received(&self) -> BTreeMap<String, u32> {
        let counts = kafka::counts(&kafka::read_back(&self.cluster, kafka::TOPIC));
        counts.into_iter().map(|(uid, times)| (uid, u32::try_from(times).unwrap())).collect()
    }

    fn faults_left(&self) -> usize {
        // The mock does not tell.
        0
    }

    async fn go_away(&self) {
        self.cluster.broker_down(-1).unwrap();
    }

    async fn mend(&self) {
        self.cluster.broker_up(-1).unwrap();
        self.cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    }
}
