//! Tests of what is pure in a Kafka sink. Its ways over sockets are tested in `tests/it/kafka`.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::error::RDKafkaErrorCode as Code;
use serde_json::{Value, json};

use super::request::{Framing, Message};
use super::response::{Report, Seen, Topics, Trouble, judge, judge_topic};
use super::settings::client_config;
use super::token::{expiry_ms, region, sign};
use super::{Kafka, KafkaOptions};
use crate::delivery::{Batch, Delivery, Disposition, Sink as _, Verdict, Verdicts};
use crate::sink::sample::block;

/// Options with these members over the least that is needed.
fn options(more: &Value) -> KafkaOptions {
    let mut options = json!({ "brokers": ["localhost:9092"], "topic": "security" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    serde_json::from_value(options).unwrap()
}

fn framing(more: &Value) -> Framing {
    Framing::new(&options(more)).unwrap()
}

fn frame(framing: &Framing, ocsf: &str, raw: &[u8]) -> Vec<u8> {
    let block = block(ocsf, raw);
    let mut frame = Vec::new();
    framing.push(block.event(0).unwrap(), &mut frame);
    frame
}

/// Guards what a message is made of: topic, key, headers and the event in its form.
#[test]
fn events_become_messages() {
    let ocsf = r#"{"finding_info":{"uid":"F-1"},"class_uid":2004}"#;
    for (more, topic, key, document) in [
        (json!({}), "security", "F-1", ocsf),
        (json!({ "topic": "a-{log_type}", "key": "{class_uid}" }), "a-aws.guardduty", "2004", ocsf),
        (json!({ "topic": "{finding_info.title:-none}", "key": "" }), "none", "", ocsf),
        (json!({ "format": "ecs", "key": "{account:-}" }), "security", "", r#"{"ecs":1}"#),
        (json!({ "format": "cim" }), "security", "F-1", r#"{"cim":1}"#),
        (json!({ "format": "raw" }), "security", "F-1", "as it came\n"),
    ] {
        let frame = frame(&framing(&more), ocsf, b"as it came\n");
        let message = Message::read(&frame).unwrap();
        assert_eq!((message.topic, message.key), (topic, key.as_bytes()), "{more}");
        assert_eq!(message.document, document.as_bytes(), "{more}");
        assert_eq!(message.log_type, b"aws.guardduty");
        assert_eq!(message.id, (0..16).collect::<Vec<u8>>());
    }
}

/// Guards that whatever stands in an event, the topic has a name that Kafka takes, and that there are not too many.
#[test]
fn topics_are_legal_and_bounded() {
    let many = framing(&json!({ "topic": "{finding_info.uid}", "topics_max": 5 }));
    let topic = |uid: &str| {
        let frame = frame(&many, &json!({ "finding_info": { "uid": uid } }).to_string(), b"");
        Message::read(&frame).unwrap().topic.to_owned()
    };
    let long = "x".repeat(300);
    let topics = ["arn:aws:x/1 ü", "..", ".", long.as_str(), "a\0b", "one too many"].map(topic);
    assert_eq!(topics, ["arn_aws_x_1__", "_", "_", &long[..249], "a_b", "other"]);
    for name in ["", ".", "..", "a b", long.as_str()] {
        let error = Framing::new(&options(&json!({ "topic": name }))).unwrap_err().to_string();
        assert!(error.contains("no name of a topic"), "{name}: {error}");
    }
}

/// Guards that no frame but our own is read, and none is read beyond its end.
#[test]
fn broken_frames_are_none() {
    let frame = frame(&framing(&json!({})), r#"{"a":1}"#, b"");
    let head = frame.len() - br#"{"a":1}"#.len();
    for end in 0..head {
        assert_eq!(Message::read(&frame[..end]), None, "{end}");
    }
    assert!(Message::read(&frame[..head]).is_some_and(|message| message.document.is_empty()));
    assert_eq!(Message::read(&[0xff; 64]), None);
}

/// Guards what each kind of failure asks of the lane, alone and beside others.
#[test]
fn reports_become_verdicts() {
    use Report::{Accepted, Failed, Missing, NotTaken};
    let retry = Disposition::Retry { after: None };
    let many = Topics::Many(vec!["a", "b"]);
    for (reports, topics, expected) in [
        (vec![Failed(Code::MessageTimedOut); 2], Topics::One, Err((retry, "kafka_message_timed_out"))),
        (vec![Missing, Missing], Topics::One, Err((retry, "kafka_message_timed_out"))),
        (vec![NotTaken(Code::QueueFull)], Topics::One, Err((retry, "kafka_queue_full"))),
        (vec![Failed(Code::NotEnoughReplicas)], Topics::One, Err((retry, "kafka_not_enough_replicas"))),
        (vec![Failed(Code::SSL)], many.clone(), Err((Disposition::Pause, "kafka_ssl"))),
        (
            vec![Failed(Code::MessageTimedOut), Failed(Code::UnknownTopicOrPartition)],
            Topics::One,
            Err((Disposition::Pause, "kafka_unknown_topic_or_partition")),
        ),
        (
            vec![NotTaken(Code::UnknownTopic), Failed(Code::TopicAuthorizationFailed)],
            many.clone(),
            Ok(vec!["retry kafka_unknown_topic", "retry kafka_topic_authorization_failed"]),
        ),
        (
            vec![Accepted, Failed(Code::TopicAuthorizationFailed), Missing],
            Topics::One,
            Ok(vec!["accepted", "retry kafka_topic_authorization_failed", "retry kafka_no_report"]),
        ),
        (
            vec![NotTaken(Code::MessageSizeTooLarge), Failed(Code::BrokerTransportFailure)],
            Topics::One,
            Ok(vec!["refused too_large", "retry kafka_broker_transport_failure"]),
        ),
        // What a broker says of a batch may be one message's fault: it is cut until that one is alone.
        (
            vec![Failed(Code::MessageSizeTooLarge); 2],
            Topics::One,
            Err((Disposition::Split, "kafka_message_size_too_large")),
        ),
        (vec![Failed(Code::InvalidRecord); 2], Topics::One, Err((Disposition::Refuse, "kafka_invalid_record"))),
        (
            vec![Accepted, Failed(Code::InvalidRecord), Failed(Code::MessageSizeTooLarge)],
            Topics::One,
            Ok(vec!["accepted", "retry kafka_invalid_record", "retry kafka_message_size_too_large"]),
        ),
    ] {
        let found = match judge(&reports, None, &topics) {
            Ok(Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None }) => Ok(verdicts
                .into_iter()
                .map(|verdict| match verdict {
                    Verdict::Accepted => "accepted".to_owned(),
                    Verdict::Retry(why) => format!("retry {}", why.code),
                    Verdict::Refused(why) => format!("refused {}", why.code),
                    Verdict::Duplicate => "duplicate".to_owned(),
                })
                .collect::<Vec<_>>()),
            Ok(other) => panic!("{reports:?}: {other:?}"),
            Err(error) => Err((error.disposition, error.code.to_string())),
        };
        let expected = expected
            .map(|verdicts| verdicts.into_iter().map(str::to_owned).collect())
            .map_err(|(disposition, code): (_, &str)| (disposition, code.to_owned()));
        assert_eq!(found, expected, "{reports:?}");
    }
    assert_eq!(judge(&[Accepted, Accepted], None, &Topics::One), Ok(Delivery::accepted()));
}

/// Guards what each code of a broker or of librdkafka comes to where all of a batch fails with it: what passes is sent again,
/// what is about the batch is cut, and what somebody has to mend pauses the lane and says how.
#[test]
fn every_code_has_its_answer() {
    let (retry, pause) = (Disposition::Retry { after: None }, Disposition::Pause);
    let sasl = "under `sasl`";
    for (codes, expected, words) in [
        (
            &[
                Code::NotLeaderForPartition,
                Code::LeaderNotAvailable,
                Code::RequestTimedOut,
                Code::NetworkException,
                Code::NotEnoughReplicas,
                Code::NotEnoughReplicasAfterAppend,
                Code::KafkaStorageError,
                Code::CoordinatorNotAvailable,
                Code::CoordinatorLoadInProgress,
                Code::NotController,
                Code::ThrottlingQuotaExceeded,
                Code::OutOfOrderSequenceNumber,
                Code::UnknownProducerId,
                Code::Unknown,
                Code::QueueFull,
                Code::MessageTimedOut,
                Code::BrokerTransportFailure,
                Code::AllBrokersDown,
                Code::Resolve,
                Code::PurgeQueue,
                Code::PurgeInflight,
            ][..],
            retry,
            "",
        ),
        (&[Code::MessageSizeTooLarge, Code::MessageBatchTooLarge, Code::InvalidMessageSize], Disposition::Split, ""),
        (&[Code::InvalidRecord, Code::InvalidTimestamp, Code::PolicyViolation], Disposition::Refuse, ""),
        (
            &[Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition],
            pause,
            "create the topic, or name another in `topic`",
        ),
        (&[Code::InvalidTopic], pause, "name another in `topic`"),
        (&[Code::TopicAuthorizationFailed], pause, "allow `Write` and `Describe` on the topic"),
        (&[Code::ClusterAuthorizationFailed], pause, "allow `IdempotentWrite` on the cluster"),
        (&[Code::Authentication, Code::SaslAuthenticationFailed], pause, sasl),
        (&[Code::UnsupportedSASLMechanism, Code::IllegalSASLState], pause, sasl),
        (&[Code::SSL], pause, "check `ca_file` under `tls`"),
        (&[Code::UnsupportedFeature, Code::UnsupportedVersion, Code::InvalidRequiredAcks], pause, "0.11 and later do"),
        (&[Code::UnsupportedCompressionType], pause, "name a `compression`"),
    ] {
        for code in codes {
            let error = judge(&[Report::Failed(*code); 2], None, &Topics::One).unwrap_err();
            assert_eq!(error.disposition, expected, "{code:?}: {error}");
            assert!(error.code.starts_with("kafka_") && error.words.contains(words), "{code:?}: {error}");
        }
    }
}

/// Guards that a batch which timed out because the client cannot log in pauses the lane and says why, and that a failure
/// which passes only lends its words.
#[test]
fn troubles_explain_what_timed_out() {
    let reports = [Report::Missing, Report::Failed(Code::MessageTimedOut)];
    let trouble = |code| Trouble { code, words: "broker:9092: it said so".to_owned() };
    let error = judge(&reports, Some(&trouble(Code::Authentication)), &Topics::Many(vec!["a", "b"])).unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "kafka_authentication"));
    assert!(error.words.contains("it said so") && error.words.contains("credentials"), "{error}");
    let error = judge(&reports, Some(&trouble(Code::AllBrokersDown)), &Topics::One).unwrap_err();
    assert_eq!(error.disposition, Disposition::Retry { after: None });
    assert!(error.words.contains("it said so"), "{error}");
    let accepted = [Report::Accepted, Report::Missing];
    let delivery = judge(&accepted, Some(&trouble(Code::Authentication)), &Topics::One).unwrap();
    assert!(matches!(delivery.verdicts, Verdicts::Each(each) if each[0] == Verdict::Accepted && each.len() == 2));
}

/// Guards that the topic is named to whoever has to mend it, where topics are many.
#[test]
fn the_topic_of_an_entry_is_named() {
    let reports = [Report::Accepted, Report::NotTaken(Code::UnknownTopic)];
    for (topics, expected) in [(Topics::Many(vec!["a", "b"]), "topic `b`: "), (Topics::One, "")] {
        let Verdicts::Each(verdicts) = judge(&reports, None, &topics).unwrap().verdicts else { panic!("verdicts") };
        let [Verdict::Accepted, Verdict::Retry(why)] = &*verdicts else { panic!("{verdicts:?}") };
        assert!(why.words.starts_with(&format!("{expected}UnknownTopic")), "{why:?}");
        assert!(why.words.contains("create the topic"), "{why:?}");
    }
}

/// Guards that a broker which ends the handshake because of the client's certificate pauses the lane with the remedy, so that
/// a certificate put in its place is read; and that a lost connection does not.
#[test]
fn alerts_of_tls_ask_for_a_person() {
    let alert =
        "Receive failed: ssl3_read_bytes error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42";
    for (words, is_hopeless, remedy) in [
        (alert, true, "the client's own certificate"),
        ("Disconnected (after 1ms in state APIVERSION_QUERY)", false, "`tls` and `sasl`"),
        ("SSL routines::unexpected eof while reading", false, "eof"),
    ] {
        let trouble = Trouble::new(Code::BrokerTransportFailure, words.to_owned());
        assert_eq!(trouble.is_hopeless(), is_hopeless, "{words}");
        let error = trouble.error();
        assert_eq!(error.disposition == Disposition::Pause, is_hopeless, "{error}");
        assert!(error.words.contains(remedy), "{error}");
    }
}

/// Guards what is made of a topic's metadata.
#[test]
fn metadata_are_judged() {
    let seen = |code, partitions, leaderless: &[i32]| Seen {
        topic: "t".to_owned(),
        code,
        partitions,
        leaderless: leaderless.to_vec(),
    };
    let retry = Disposition::Retry { after: None };
    for (seen, expected) in [
        (seen(None, 2, &[]), Ok(())),
        (seen(None, 2, &[1]), Err((retry, "kafka_no_leader"))),
        (seen(None, 0, &[]), Err((retry, "kafka_no_leader"))),
        (
            seen(Some(Code::UnknownTopicOrPartition), 0, &[]),
            Err((Disposition::Pause, "kafka_unknown_topic_or_partition")),
        ),
        (
            seen(Some(Code::TopicAuthorizationFailed), 0, &[]),
            Err((Disposition::Pause, "kafka_topic_authorization_failed")),
        ),
    ] {
        let found = judge_topic(&seen).map_err(|error| (error.disposition, error.code.to_string()));
        assert_eq!(found, expected.map_err(|(disposition, code)| (disposition, code.to_owned())), "{seen:?}");
    }
}

/// Guards the properties that the guarantee rests on, and those that follow from the lane.
#[test]
fn options_become_properties() {
    let more = json!({
        "brokers": ["b1:9092", "b2:9092"],
        "lane": { "request_timeout": "10s", "requests_in_flight_max": 1, "batch_entries_max": 7, "batch_bytes_max": "1kB" },
        "librdkafka": { "linger.ms": "20", "partitioner": "consistent" },
    });
    let config = client_config(&options(&more)).unwrap();
    for (property, value) in [
        ("acks", "all"),
        ("bootstrap.servers", "b1:9092,b2:9092"),
        ("compression.type", "zstd"),
        ("enable.idempotence", "true"),
        ("linger.ms", "20"),
        ("message.timeout.ms", "8000"),
        ("partitioner", "consistent"),
        ("queue.buffering.max.messages", "14"),
        // No message is larger than what fits twice.
        ("queue.buffering.max.kbytes", "1954"),
        ("security.protocol", "plaintext"),
    ] {
        assert_eq!(config.get(property), Some(value), "{property}");
    }
    for (timeout, expected) in [("60s", 54), ("3s", 1), ("20s", 18), ("2s", 1)] {
        let options = options(&json!({ "lane": { "request_timeout": timeout } }));
        assert_eq!(options.message_timeout().as_secs(), expected, "{timeout}");
    }
}

/// Guards that TLS and SASL become what librdkafka knows them by, and that a password is never shown.
#[test]
fn connections_are_secured() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, password) = (directory.path().join("pem"), directory.path().join("password"));
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(&password, "s3cr3t\n").unwrap();
    let user = |mechanism: &str| json!({ "mechanism": mechanism, "username": "u", "password": { "file": password } });
    for (more, protocol, mechanism) in [
        (json!({ "tls": {} }), "ssl", None),
        (json!({ "tls": { "ca_file": pem, "certificate_file": pem, "key_file": pem } }), "ssl", None),
        (json!({ "sasl": user("PLAIN"), "tls": {} }), "sasl_ssl", Some("PLAIN")),
        (json!({ "sasl": user("SCRAM-SHA-256") }), "sasl_plaintext", Some("SCRAM-SHA-256")),
        (json!({ "sasl": user("SCRAM-SHA-512"), "tls": {} }), "sasl_ssl", Some("SCRAM-SHA-512")),
        (json!({ "sasl": { "mechanism": "AWS_MSK_IAM" } }), "sasl_ssl", Some("OAUTHBEARER")),
        (
            json!({ "sasl": { "mechanism": "OAUTHBEARER", "token": { "file": password } } }),
            "sasl_plaintext",
            Some("OAUTHBEARER"),
        ),
    ] {
        let options = options(&more);
        let config = client_config(&options).unwrap();
        assert_eq!(
            (config.get("security.protocol"), config.get("sasl.mechanisms")),
            (Some(protocol), mechanism),
            "{more}"
        );
        let wanted = if more["tls"].get("ca_file").is_some() { pem.to_str().unwrap() } else { "probe" };
        assert_eq!(config.get("ssl.ca.location"), protocol.ends_with("ssl").then_some(wanted), "{more}");
        assert!(!format!("{:?} {config:?}", Kafka::new(&options).unwrap()).contains("s3cr3t"), "{more}");
    }
}

/// Guards that what does not go together, or would undo the guarantee, is told with the remedy.
#[test]
fn mistakes_name_the_remedy() {
    for (more, words) in [
        (json!({ "brokers": [] }), "name some brokers"),
        (json!({ "brokers": ["kafka://b:9092"] }), "host:port"),
        (json!({ "key": "{finding_info.udi}" }), "is no field"),
        (json!({ "librdkafka": { "enable.idempotence": "false" } }), "leave it out"),
        (json!({ "librdkafka": { "acks": "1" } }), "leave it out"),
        (json!({ "librdkafka": { "compression.type": "lz4" } }), "write `compression`"),
        (json!({ "librdkafka": { "sasl.password": "x" } }), "write `sasl`"),
        (json!({ "librdkafka": { "ssl.ca.location": "x" } }), "write `tls`"),
        (json!({ "librdkafka": { "linger.mss": "1" } }), "`linger.mss`"),
        (json!({ "librdkafka": { "linger.ms": "soon" } }), "`linger.ms`"),
        (json!({ "tls": { "certificate_file": "c.pem" } }), "belong together"),
        (json!({ "tls": { "ca_file": "there/is/none.pem" } }), "cannot read"),
        (json!({ "sasl": { "mechanism": "PLAIN", "username": "u" } }), "`username` and `password`"),
        (json!({ "sasl": { "mechanism": "OAUTHBEARER" } }), "`token_endpoint`"),
        (json!({ "sasl": { "mechanism": "AWS_MSK_IAM", "external_id": "x" } }), "`assume_role`"),
        (json!({ "message_bytes_max": "1B" }), "message.max.bytes"),
    ] {
        let error = Kafka::new(&options(&more)).unwrap_err().to_string();
        assert!(error.contains(words), "{more}: {error}");
    }
}

/// Guards that a frame that is none of ours is refused by nobody and lost by nobody: it is never sent.
#[tokio::test]
async fn a_foreign_frame_is_not_sent() {
    let kafka = Kafka::new(&options(&json!({}))).unwrap();
    let error = kafka.send(&Batch::of_frames([&b"no frame"[..]])).await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Retry { after: None }, "kafka_bad_message"));
}

/// Guards the region that is taken from a broker's name.
#[test]
fn brokers_name_their_region() {
    for (broker, expected) in [
        ("b-1.demo.abc123.c2.kafka.eu-west-1.amazonaws.com:9098", Some("eu-west-1")),
        ("boot-x1.c1.kafka-serverless.us-east-1.amazonaws.com:9098", Some("us-east-1")),
        ("b-1.demo.abc123.c2.kafka.cn-north-1.amazonaws.com.cn:9098", Some("cn-north-1")),
        ("kafka.example.com:9092", None),
        ("localhost", None),
    ] {
        assert_eq!(region(broker).as_deref(), expected, "{broker}");
    }
}

/// Guards when a token is taken to expire: when it says so, if it can be read.
#[test]
fn tokens_tell_when_they_expire() {
    let token = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
    assert_eq!(expiry_ms(&token(r#"{"sub":"x","exp":1700000000}"#)), Some(1_700_000_000_000));
    assert_eq!(expiry_ms(&token(r#"{"exp":1700000000.5}"#)), Some(1_700_000_000_500));
    for other in [token("{}"), token(r#"{"exp":-1}"#), "opaque".to_owned(), "a.b.c".to_owned(), String::new()] {
        assert_eq!(expiry_ms(&other), None, "{other}");
    }
}

/// Guards the token for Amazon MSK: a presigned request to connect, of the region, with the credentials that were given.
#[tokio::test]
async fn msk_tokens_are_signed_requests() {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let token = sign(&config).await.unwrap();
    let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(&token.token).unwrap()).unwrap();
    assert!(url.starts_with("https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&"), "{url}");
    assert!(url.contains("X-Amz-Credential=AKIDEXAMPLE%2F") && url.contains("X-Amz-Security-Token=session"), "{url}");
    assert!(token.lifetime_ms > 1_700_000_000_000);
    let nowhere = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    assert!(sign(&nowhere).await.is_err_and(|error| error.contains("region")));
}
