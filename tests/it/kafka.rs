//! The Kafka sink against librdkafka's mock cluster: brokers behind sockets that fail as they are told.
//!
//! The mock speaks neither TLS nor SASL; how a connection is secured is tested in `secured`.

mod secured;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Fault};
use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _, Verdict, Verdicts};
use siemline::sink::kafka::{Kafka, KafkaOptions};
use tokio::time::timeout;

use crate::events::{batch, block, uid};

/// No reading back takes longer; one that misses a record does.
const PATIENCE: Duration = Duration::from_mins(1);

pub const TOPIC: &str = "security";
const PARTITIONS: i32 = 4;

const RETRY: Disposition = Disposition::Retry { after: None };

pub type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Three brokers and a topic.
pub fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 3).unwrap();
    cluster
}

/// A sink of these further options. It sends again at once what a broker asks it to.
pub fn sink(cluster: &Cluster, more: &Value) -> Kafka {
    sink_to(&cluster.bootstrap_servers(), more)
}

pub fn sink_to(brokers: &str, more: &Value) -> Kafka {
    let brokers: Vec<&str> = brokers.split(',').collect();
    let mut options = json!({ "brokers": brokers, "topic": TOPIC, "lane": { "request_timeout": "30s" } });
    options["librdkafka"] = json!({ "retry.backoff.ms": "10", "reconnect.backoff.max.ms": "100" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    Kafka::new(&serde_json::from_value::<KafkaOptions>(options).unwrap()).unwrap()
}

pub async fn failure(sink: &Kafka, batch: &Batch) -> Error {
    timeout(PATIENCE, sink.send(batch)).await.expect("it comes to an end").expect_err("it fails")
}

/// Sends as a lane does, until each entry was accepted: again what is to be sent again, and nothing else.
async fn send_all(sink: &Kafka, batch: &Batch) {
    let mut left: Vec<&[u8]> = batch.frames().collect();
    let sending = async {
        while !left.is_empty() {
            match sink.send(&Batch::of_frames(left.iter().copied())).await {
                Ok(Delivery { verdicts: Verdicts::AllAccepted, .. }) => left.clear(),
                Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) => {
                    let mut verdicts = verdicts.iter();
                    left.retain(|_| verdicts.next() != Some(&Verdict::Accepted));
                }
                Err(_) => {}
            }
        }
    };
    timeout(PATIENCE, sending).await.expect("everything is accepted");
}

/// A record as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub value: Vec<u8>,
}

/// Reads a topic from its beginning until all partitions were read to their end.
pub fn read_back(cluster: &Cluster, topic: &str) -> Vec<Arrival> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "tests")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    let mut open = partitions.count();
    consumer.assign(&partitions).unwrap();
    let started = Instant::now();
    let mut arrivals = Vec::new();
    while open > 0 {
        assert!(started.elapsed() < PATIENCE, "the topic is read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => arrivals.push(Arrival {
                partition: record.partition(),
                key: record.key().map(<[u8]>::to_vec),
                headers: record.headers().map_or_else(Vec::new, |headers| {
                    headers
                        .iter()
                        .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                        .collect()
                }),
                value: record.payload().unwrap_or_default().to_vec(),
            }),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    arrivals
}

/// How often each event stands in the topic, by the id in its header.
pub fn counts(arrivals: &[Arrival]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for arrival in arrivals {
        let (_, id) = arrival.headers.iter().find(|(key, _)| key == "siemline_uid").unwrap();
        *counts.entry(String::from_utf8(id.clone()).unwrap()).or_default() += 1;
    }
    counts
}

/// So many events, each of them there once.
fn once(events: u32) -> BTreeMap<String, usize> {
    (0..events).map(|n| (uid(n), 1)).collect()
}

fn document(n: u32) -> Vec<u8> {
    format!(r#"{{"class_uid":2004,"n":{n}}}"#).into_bytes()
}

/// Guards the way of a batch from events to records: value, key, headers, and the order within a key, with each compression.
#[tokio::test]
async fn a_batch_is_produced() {
    for compression in ["zstd", "lz4", "gzip", "snappy", "none"] {
        let cluster = cluster();
        let sink = sink(&cluster, &json!({ "compression": compression, "key": "{class_uid}" }));
        assert_eq!(sink.send(&batch(&sink, 200)).await, Ok(Delivery::accepted()), "{compression}");
        let arrivals = read_back(&cluster, TOPIC);
        let partition = arrivals[0].partition;
        let expected: Vec<Arrival> = (0..200)
            .map(|n| Arrival {
                partition,
                key: Some(b"2004".to_vec()),
                headers: vec![
                    ("log_type".to_owned(), b"aws.guardduty".to_vec()),
                    ("format".to_owned(), b"ocsf".to_vec()),
                    ("siemline_uid".to_owned(), uid(n).into_bytes()),
                ],
                value: document(n),
            })
            .collect();
        assert_eq!(arrivals, expected, "{compression}");
    }
}

/// Guards that events without a key are spread, that raw ones arrive as they were, and that several batches at once share one
/// producer.
#[tokio::test]
async fn raw_events_without_a_key_are_spread() {
    let cluster = cluster();
    let more = json!({ "format": "raw", "key": "", "librdkafka": { "sticky.partitioning.linger.ms": "0" } });
    let sink = sink(&cluster, &more);
    let all = batch(&sink, 300);
    let frames: Vec<&[u8]> = all.frames().collect();
    let thirds =
        [&frames[..100], &frames[100..200], &frames[200..]].map(|third| Batch::of_frames(third.iter().copied()));
    let sent = futures_util::future::join_all(thirds.iter().map(|third| sink.send(third))).await;
    assert_eq!(sent, vec![Ok(Delivery::accepted()); 3]);
    let arrivals = read_back(&cluster, TOPIC);
    assert_eq!(counts(&arrivals), once(300));
    assert!(arrivals.iter().all(|arrival| arrival.key.is_none() && arrival.value.starts_with(b"line ")));
    assert!(arrivals.iter().any(|arrival| arrival.partition != arrivals[0].partition));
}

/// Guards that each event goes to the topic that its fields name.
#[tokio::test]
async fn topics_follow_the_event() {
    let cluster = MockCluster::new(1).unwrap();
    let sink = sink(&cluster, &json!({ "topic": "{log_type}-{class_uid}" }));
    assert_eq!(sink.send(&batch(&sink, 5)).await, Ok(Delivery::accepted()));
    assert_eq!(counts(&read_back(&cluster, "aws.guardduty-2004")), once(5));
}

/// Guards that what passes is repeated inside of one sending, with the sequence numbers that let the broker tell it from new
/// records: nothing is lost, nothing is there twice.
#[tokio::test]
async fn passing_faults_are_outlived_without_duplicates() {
    for faults in [
        vec![Fault::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
        vec![Fault::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Fault::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS],
        vec![Fault::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR],
    ] {
        let cluster = cluster();
        cluster.request_errors(Api::Produce, &faults);
        let sink = sink(&cluster, &json!({}));
        assert_eq!(sink.send(&batch(&sink, 50)).await, Ok(Delivery::accepted()), "{faults:?}");
        assert_eq!(counts(&read_back(&cluster, TOPIC)), once(50), "{faults:?}");
    }
}

/// Guards that a connection that is cut is outlived inside of one sending. What it had carried and was not answered for is sent
/// again; a broker knows it by its sequence number, which the mock cluster does not look at.
#[tokio::test]
async fn a_cut_connection_is_outlived() {
    let cluster = cluster();
    cluster.request_errors(Api::Produce, &[Fault::RD_KAFKA_RESP_ERR__TRANSPORT]);
    let sink = sink(&cluster, &json!({}));
    assert_eq!(sink.send(&batch(&sink, 50)).await, Ok(Delivery::accepted()));
    let ids: Vec<String> = counts(&read_back(&cluster, TOPIC)).into_keys().collect();
    assert_eq!(ids, once(50).into_keys().collect::<Vec<_>>());
}

/// Guards that what a broker refuses becomes what the lane is to do about it, with the remedy, and that the next sending
/// heals it.
#[tokio::test]
async fn refusals_are_answered_and_healed() {
    for (api, fault, disposition, code) in [
        (Api::Produce, Fault::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Disposition::Split, "kafka_message_size_too_large"),
        (
            Api::Produce,
            Fault::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
            Disposition::Split,
            "kafka_message_batch_too_large",
        ),
        (Api::Produce, Fault::RD_KAFKA_RESP_ERR_INVALID_RECORD, Disposition::Refuse, "kafka_invalid_record"),
        (
            Api::Produce,
            Fault::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            Disposition::Pause,
            "kafka_topic_authorization_failed",
        ),
        (
            Api::InitProducerId,
            Fault::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            Disposition::Pause,
            "kafka_cluster_authorization_failed",
        ),
    ] {
        let cluster = cluster();
        cluster.request_errors(api, &[fault]);
        // One key, so that one request carries all.
        let sink = sink(&cluster, &json!({ "key": "{class_uid}" }));
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{error}");
        assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()), "{fault:?}");
        assert_eq!(counts(&read_back(&cluster, TOPIC)), once(10), "{fault:?}");
    }
}

/// Guards that a producer which librdkafka gave up as broken is replaced, and the batch delivered by the next.
#[tokio::test]
async fn a_fatal_error_costs_the_producer_only() {
    let cluster = cluster();
    cluster.request_errors(Api::InitProducerId, &[Fault::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH]);
    let sink = sink(&cluster, &json!({}));
    let batch = batch(&sink, 10);
    let error = failure(&sink, &batch).await;
    assert_eq!(error.disposition, RETRY, "{error}");
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert_eq!(counts(&read_back(&cluster, TOPIC)), once(10));
}

/// Guards that a record which is too large is refused alone, with the code that the lane trims by, and costs its neighbours
/// nothing.
#[tokio::test]
async fn a_record_too_large_is_refused_alone() {
    let cluster = cluster();
    let sink = sink(&cluster, &json!({ "message_bytes_max": "1kB" }));
    let mut large = block(3);
    let text = json!({ "class_uid": 2004, "text": "x".repeat(2000) }).to_string();
    large.rows[1].ocsf = large.ocsf.len()..large.ocsf.len() + text.len();
    large.ocsf.extend_from_slice(text.as_bytes());
    let mut batch = Batch::default();
    for row in 0..3 {
        batch.push(|out| sink.encode(large.event(row).unwrap(), out));
    }
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&batch).await else { panic!("verdicts") };
    assert_eq!((&verdicts[0], &verdicts[2]), (&Verdict::Accepted, &Verdict::Accepted));
    assert!(matches!(&verdicts[1], Verdict::Refused(why) if why.code == "too_large"), "{verdicts:?}");
    assert_eq!(counts(&read_back(&cluster, TOPIC)), [(uid(0), 1), (uid(2), 1)].into());
}

/// Guards that an entry is not blamed for a request that librdkafka made of several batches: what the broker refused as a
/// whole is sent again alone, and only what is then refused is at fault.
#[tokio::test]
async fn an_entry_is_blamed_for_nothing_but_itself() {
    for fault in [Fault::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Fault::RD_KAFKA_RESP_ERR_INVALID_RECORD] {
        let cluster = cluster();
        // One partition, and time for the two batches to meet in one request.
        let sink = sink(&cluster, &json!({ "key": "same", "librdkafka": { "linger.ms": "500" } }));
        let both = batch(&sink, 2);
        let alone: Vec<Batch> = both.frames().map(|frame| Batch::of_frames([frame])).collect();
        cluster.request_errors(Api::Produce, &[fault]);
        let answers = tokio::join!(sink.send(&alone[0]), sink.send(&alone[1]));
        assert_eq!(answers, (Ok(Delivery::accepted()), Ok(Delivery::accepted())), "{fault:?}");
        assert_eq!(counts(&read_back(&cluster, TOPIC)), once(2), "{fault:?}");
        cluster.request_errors(Api::Produce, &[fault, fault]);
        let error = failure(&sink, &alone[0]).await;
        assert!(matches!(error.disposition, Disposition::Split | Disposition::Refuse), "{fault:?}: {error}");
    }
}

/// Guards that a topic that is not there pauses the lane with the remedy, and that the sink sees by itself when it was made;
/// where topics are many, only the entries of that one wait.
#[tokio::test]
async fn an_unknown_topic_pauses_until_it_is_made() {
    let cluster = cluster();
    cluster.topic_error("absent", Fault::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let more = json!({
        "topic": "absent",
        "librdkafka": { "topic.metadata.propagation.max.ms": "100", "topic.metadata.refresh.fast.interval.ms": "50" },
    });
    let sink = sink(&cluster, &more);
    let batch = batch(&sink, 10);
    let error = failure(&sink, &batch).await;
    assert_eq!(error.disposition, Disposition::Pause, "{error}");
    assert!(error.words.contains("create the topic"), "{error}");
    cluster.topic_error("absent", Fault::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    send_all(&sink, &batch).await;
    assert_eq!(counts(&read_back(&cluster, "absent")), once(10));

    let many = sink_to(&cluster.bootstrap_servers(), &json!({ "topic": "{finding_info.uid:-security}" }));
    cluster.topic_error(TOPIC, Fault::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = many.send(&batch_of(&many)).await else {
        panic!("verdicts")
    };
    assert!(matches!(&verdicts[0], Verdict::Retry(why) if why.words.contains("`Write`")), "{verdicts:?}");
}

fn batch_of(sink: &Kafka) -> Batch {
    batch(sink, 1)
}

/// Guards that brokers that are down, or were never there, are waited for, that the sending ends before the lane's timeout,
/// and that the words tell why nothing got through.
#[tokio::test]
async fn brokers_that_are_down_are_retried() {
    let lane = json!({ "lane": { "request_timeout": "4s" } });
    let mock = cluster();
    let sink = sink(&mock, &lane);
    mock.broker_down(-1).unwrap();
    let batch = batch(&sink, 10);
    let error = timeout(Duration::from_secs(30), failure(&sink, &batch)).await.unwrap();
    assert_eq!((error.disposition, error.code.as_ref()), (RETRY, "kafka_message_timed_out"), "{error}");
    assert!(error.words.contains("last words"), "{error}");
    mock.broker_up(-1).unwrap();
    send_all(&sink, &batch).await;
    assert_eq!(counts(&read_back(&mock, TOPIC)).keys().count(), 10);

    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(&sink_to(&closed.to_string(), &lane), &batch).await;
    assert_eq!(error.disposition, RETRY);
    assert!(error.words.contains("refused"), "{error}");

    // A label of more than 63 letters is refused by the resolver itself, without a question to the network.
    let nobody = format!("{}.invalid:9092", "n".repeat(70));
    let error = failure(&sink_to(&nobody, &lane), &batch).await;
    assert_eq!(error.disposition, RETRY, "name servers come back: {error}");
    assert!(error.words.contains("resolve") && error.words.contains(&nobody), "{error}");
}

/// Guards that a sending that was given up midway leaves a sink that works, and that everything arrives in the end.
#[tokio::test]
async fn a_sending_may_be_given_up() {
    let cluster = cluster();
    let sink = sink(&cluster, &json!({}));
    assert_eq!(sink.send(&batch(&sink, 1)).await, Ok(Delivery::accepted()), "it is connected");
    cluster.broker_round_trip_time(-1, Duration::from_millis(500)).unwrap();
    let all = batch(&sink, 20);
    assert!(timeout(Duration::from_millis(50), sink.send(&all)).await.is_err(), "the answer takes longer");
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    assert_eq!(sink.send(&all).await, Ok(Delivery::accepted()));
    drop(sink);
    assert_eq!(
        counts(&read_back(&cluster, TOPIC)).into_keys().collect::<Vec<_>>(),
        once(20).into_keys().collect::<Vec<_>>()
    );
}

/// Guards that `check` tells a topic that can be written to from one that is not there, one without leaders, a cluster that
/// gives out no producer id, and one that does not answer; and that it sends nothing.
#[tokio::test]
async fn check_asks_without_sending() {
    let mock = cluster();
    assert_eq!(sink(&mock, &json!({})).check().await, Ok(()));
    assert_eq!(sink(&mock, &json!({ "topic": "x-{log_type}" })).check().await, Ok(()));
    assert_eq!(read_back(&mock, TOPIC), []);

    mock.topic_error("absent", Fault::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let error = sink(&mock, &json!({ "topic": "absent" })).check().await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "kafka_unknown_topic_or_partition"));

    mock.partition_leader(TOPIC, 2, None).unwrap();
    let error = sink(&mock, &json!({})).check().await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (RETRY, "kafka_no_leader"), "{error}");
    mock.partition_leader(TOPIC, 2, Some(1)).unwrap();

    mock.request_errors(Api::InitProducerId, &[Fault::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED]);
    let error = sink(&mock, &json!({})).check().await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "kafka_cluster_authorization_failed"));
}

/// Guards that the statistics reach the meter: `check` asks for them often.
#[tokio::test]
async fn statistics_are_kept() {
    let cluster = cluster();
    let sink = sink(&cluster, &json!({}));
    sink.check().await.unwrap();
    let state = sink.meter().state();
    assert_eq!(state.brokers, 3, "{state:?}");
    assert!(state.brokers_up > 0 && state.requests > 0, "{state:?}");
}
