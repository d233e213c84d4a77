//! Guards dead letters in a topic of Kafka, through librdkafka's mock cluster: they lie there, come from there again up to where
//! the topic ended, and lie in the local file where Kafka takes none.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr as Fault;
use serde_json::Value;

use super::letter_store::{Lake, config, prepare, siemline};
use super::{Home, finding, ndjson};
use crate::kafka::{Cluster, read_back};

const TOPIC: &str = "letters";

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 3, 1).unwrap();
    cluster
}

fn in_kafka(cluster: &Cluster, more: &str) -> String {
    format!("[dead_letter.kafka]\nbrokers = [\"{}\"]\ntopic = \"{TOPIC}\"\n{more}\n", cluster.bootstrap_servers())
}

/// The letters in the topic, each as what tells of it and itself.
fn lying(cluster: &Cluster) -> Vec<Value> {
    let mut letters = Vec::new();
    for record in read_back(cluster, TOPIC) {
        let letter: Value = serde_json::from_slice(&record.value).unwrap();
        let key = format!("{}/{}", letter["source"].as_str().unwrap(), letter["shard"].as_str().unwrap());
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        assert!(record.headers.contains(&("siemline_dead_letter".to_owned(), b"2".to_vec())), "{:?}", record.headers);
        letters.push(letter);
    }
    letters
}

/// How many letters failed once more, and lie in files of their own.
fn again(home: &Home) -> usize {
    let files = std::fs::read_dir(home.path("dl")).unwrap().map(|entry| entry.unwrap().path());
    let again = files.filter(|path| path.to_str().unwrap().contains("dead-letters.again-"));
    again.map(|path| std::fs::read_to_string(path).unwrap().lines().count()).sum()
}

#[tokio::test]
async fn letters_lie_in_kafka_and_come_from_there() {
    let (lake, cluster) = (Lake::broken().await, cluster());
    let home = prepare(&lake, &in_kafka(&cluster, "compression = \"none\""));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 4), "{ended:?}");
    let letters = lying(&cluster);
    assert_eq!(letters.len(), 4, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["v"] == 2 && letter["sink"] == "lake" && letter["reason"] == "refused"));
    let places: BTreeSet<String> =
        letters.iter().map(|letter| format!("{}{}", letter["sequence"], letter["event_index"])).collect();
    assert_eq!(places.len(), 4, "{letters:?}");
    assert!(home.dead_letters().is_empty(), "the file is for what the store does not take");

    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--dry-run"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("4  would be sent again"), "{}", ended.out);

    // What fails again lies in the topic already; nothing is removed from there, which is told.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "kafka", "--remove"]).await;
    assert_eq!((ended.code, again(&home)), (Some(3), 4), "{ended:?}");
    assert!(ended.err.contains("0 delivered, 0 let go by a rule, 4 dead letters once more"), "{}", ended.err);
    assert!(ended.err.contains("nothing can be removed from kafka"), "{}", ended.err);
    assert_eq!(lying(&cluster), letters);

    lake.mend();
    let only_findings = ["replay", "--config", "c.toml", "--from", "kafka", "--log-type", "aws.guardduty"];
    let (home, ended) = siemline(home, Box::leak(Box::new(only_findings))).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("replayed 3 dead letters"), "{}", ended.err);
    assert_eq!((lake.bulk.distinct(), lake.bulk.duplicates()), (3, 0));

    // Sending again makes nothing twice, and file and topic are read together.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert!(ended.code == Some(0) && ended.err.contains("replayed 8 dead letters"), "{ended:?}");
    assert_eq!((lake.bulk.distinct(), again(&home), lying(&cluster).len()), (4, 0, 4));
}

/// Guards that a topic which grows without end is read to where it ended when the reading began, and that records which are no
/// letters are told and stop nothing.
#[tokio::test]
async fn a_topic_that_grows_is_read_to_its_end() {
    let (lake, cluster) = (Lake::broken().await, cluster());
    let home = prepare(&lake, &in_kafka(&cluster, ""));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    lake.mend();
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let send = move |producer: &ThreadedProducer<_>, partition| {
        let sent = producer.send(BaseRecord::<(), str>::to(TOPIC).partition(partition).payload("no letter"));
        sent.map_err(|(error, _)| error).unwrap();
    };
    (0..3).for_each(|partition| send(&producer, partition));
    producer.flush(Duration::from_secs(30)).unwrap();
    let growing = tokio::spawn(async move {
        loop {
            (0..3).for_each(|partition| send(&producer, partition));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml"]).await;
    growing.abort();
    assert!(ended.code == Some(3) && ended.err.contains("4 delivered"), "{ended:?}");
    assert_eq!((lake.bulk.distinct(), lake.bulk.duplicates(), home.dead_letters().len()), (4, 0, 0));
}

#[tokio::test]
async fn the_file_has_what_the_topic_does_not_take() {
    let (lake, cluster) = (Lake::broken().await, cluster());
    cluster.topic_error(TOPIC, Fault::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let (home, ended) = siemline(prepare(&lake, &in_kafka(&cluster, "")), &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 4), "{ended:?}");
    assert!(ended.err.contains("the store does not take dead letters, the local file does"), "{}", ended.err);
    assert_eq!(home.dead_letters().len(), 4);
    let (home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("dead letters kafka: NOT READY") && ended.out.contains("`Write`"), "{}", ended.out);
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "kafka"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("cannot read the store of dead letters: topic `letters`"), "{}", ended.err);

    // A letter that is too large for a record has its place, and is no reason to give up the topic.
    cluster.topic_error(TOPIC, Fault::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    assert!(lying(&cluster).is_empty());
    home.write("c.toml", config(&lake, &in_kafka(&cluster, "message_bytes_max = \"1200B\"")));
    std::fs::remove_file(home.path("in/1.ndjson")).unwrap();
    home.write("in/2.ndjson", ndjson([finding(7), serde_json::json!({ "short": "one" })]));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 2), "{ended:?}");
    assert!(ended.err.contains("the store does not take letters as large as these"), "{}", ended.err);
    assert_eq!((home.dead_letters().len(), lying(&cluster).len()), (5, 1), "{ended:?}");
    let (home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert!(ended.code == Some(0) && ended.out.contains("dead letters kafka: ready"), "{ended:?}");

    home.write("c.toml", config(&lake, ""));
    let (_home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "kafka"]).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.err.contains("there is no [dead_letter.kafka] in the configuration"), "{}", ended.err);
}
