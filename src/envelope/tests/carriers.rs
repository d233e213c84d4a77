//! SNS, SQS, Lambda events, Firehose requests, aggregates and S3: what each carries, nested in each other, and what broken
//! ones become.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::*;

pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn notification(message: &str) -> String {
    let message = quoted(message);
    format!(
        r#"{{"Type":"Notification","MessageId":"m-1","TopicArn":"arn:aws:sns:eu-west-1:111122223333:t","Subject":null,
            "Message":{message},"Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"1","Signature":"EXAMPLE"}}"#
    )
}

pub(super) fn queued(body: &str) -> String {
    let body = quoted(body);
    format!(
        r#"{{"messageId":"m-2","receiptHandle":"h-EXAMPLE","body":{body},"attributes":{{"SentTimestamp":"1700000000000"}},
            "messageAttributes":{{}},"md5OfBody":"x","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:111122223333:q"}}"#
    )
}

pub(super) fn streamed(data: impl AsRef<[u8]>) -> String {
    let data = base64(data);
    format!(
        r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"k","sequenceNumber":"49","data":"{data}",
            "approximateArrivalTimestamp":1700000000.25}},"eventSource":"aws:kinesis","eventName":"aws:kinesis:record"}}"#
    )
}

pub(super) fn records(elements: &[String]) -> String {
    format!(r#"{{"Records":[{}]}}"#, elements.join(","))
}

pub(super) fn delivery(data: &[&[u8]]) -> String {
    let records: Vec<String> = data.iter().map(|data| format!(r#"{{"data":"{}"}}"#, base64(data))).collect();
    format!(r#"{{"requestId":"r-1","timestamp":1700000000000,"records":[{}]}}"#, records.join(","))
}

const ARRIVED: &str = "[arrival=1700000000250]";

/// A notification's message is what it carries: documents, or one text of many lines.
#[test]
fn sns() {
    check(notification(r#"{"a":"\"\\"}"#), &[r#"json {"a":"\"\\"}"#]);
    check(notification("{\"a\":1}\n{\"b\":2}"), &[r#"json {"a":1}"#, r#"json {"b":2}"#]);
    check(notification("[{\"a\":1}]"), &[r#"json {"a":1}"#]);
    check(notification("The alarm\n\nis on"), &["text The alarm\n\nis on"]);
    check(notification(""), &["text "]);
    check_odd(notification("{\"a\":"), &["text {\"a\":"], &[(0, Oddity::BrokenJson)]);
    check_odd(notification("\u{FEFF}{}"), &["json {}"], &[(0, Oddity::ByteOrderMark)]);
    for word in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let confirmation = notification("You have chosen").replace("Notification", word);
        check(confirmation.replace("\"Subject\"", "\"Token\""), &["filtered sns_confirmation"]);
        check(&confirmation, &[&format!("json {confirmation}")]);
    }
    let other = notification("x").replace("TopicArn", "TopicName");
    check(&other, &[&format!("json {other}")]);
    let twice = notification("x").replace("\"Subject\":null", "\"Message\":\"y\"");
    check_odd(&twice, &[&format!("json {twice}")], &[(0, Oddity::DuplicateKey)]);
}

/// A queue's message carries its body, however it was fetched.
#[test]
fn sqs() {
    let one = r#"{"MessageId":"m","ReceiptHandle":"h-EXAMPLE","MD5OfBody":"x","Body":"{\"a\":1}"}"#;
    check(one, &[r#"json {"a":1}"#]);
    check(format!(r#"{{"Messages":[{one},{one}]}}"#), &[r#"json {"a":1}"#, r#"json {"a":1}"#]);
    check(queued("plain\ntext"), &["text plain\ntext"]);
    check(records(&[queued("{}"), queued(&notification("{\"b\":2}"))]), &["json {}", r#"json {"b":2}"#]);
    check(queued(&records(&[queued("{}")])), &["json {}"]);
    for other in [
        r#"{"MessageId":"m","Body":"{}"}"#,
        r#"{"Messages":[{"Body":"{}"}]}"#,
        r#"{"Messages":[]}"#,
        r#"{"MessageId":"m","ReceiptHandle":"h","Body":{}}"#,
    ] {
        check(other, &[&format!("json {other}")]);
    }
}

/// The events of functions: Kinesis with its own arrival, SNS, and CloudWatch Logs.
#[test]
fn lambda() {
    let told = "[log_group=/g] [log_stream=s] [owner=111122223333]";
    let logs = gzip(subscription(r#"{"message":"{\"a\":1}"}"#).as_bytes());
    check(
        records(&[streamed("{\"a\":1}"), streamed("one\ntwo")]),
        &[&format!(r#"json {{"a":1}} {ARRIVED}"#), &format!("text one {ARRIVED}"), &format!("text two {ARRIVED}")],
    );
    check(records(&[streamed(&logs)]), &[&format!(r#"json {{"a":1}} {told} {ARRIVED}"#)]);
    check(streamed("{}"), &[&format!("json {{}} {ARRIVED}")]);
    check(format!(r#"{{"awslogs":{{"data":"{}"}}}}"#, base64(&logs)), &[&format!(r#"json {{"a":1}} {told}"#)]);
    let published = format!(
        r#"{{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"arn:x","Sns":{}}}"#,
        notification("{\"b\":2}")
    );
    check(records(&[published]), &[r#"json {"b":2}"#]);
    let windowed = records(&[streamed("{}")]).replace("{\"Records\"", "{\"window\":{},\"state\":{},\"Records\"");
    check(windowed, &[&format!("json {{}} {ARRIVED}")]);
    // A time that is no decimal number is not told; unpadded base64 and escaped slashes are read.
    check(streamed("{}").replace("1700000000.25", "1.7E9"), &["json {}"]);
    let unpadded = streamed("").replace("\"data\":\"\"", &format!("\"data\":\"{}\"", STANDARD_NO_PAD.encode("{}")));
    check(unpadded, &[&format!("json {{}} {ARRIVED}")]);
    let slashes = streamed(r#"{"a":"???>>>~~~"}"#);
    assert!(slashes.contains('/'), "{slashes}");
    check(slashes.replace('/', "\\/"), &[&format!(r#"json {{"a":"???>>>~~~"}} {ARRIVED}"#)]);
    for other in [
        r#"{"Records":[{"eventSource":"aws:dynamodb","dynamodb":{}}]}"#.to_owned(),
        records(&[streamed("{}")]).replace("{\"Records\"", "{\"more\":1,\"Records\""),
        r#"{"awslogs":{"data":7}}"#.to_owned(),
        streamed("{}").replace("\"data\"", "\"date\""),
        streamed("{}").replace("\"partitionKey\"", "\"data\""),
    ] {
        check(&other, &[&format!("json {other}")]);
    }
}

/// Both requests of Firehose; a record of one that holds no data stays whole.
#[test]
fn firehose() {
    check(delivery(&[b"{\"a\":1}", b"one\ntwo\n"]), &[r#"json {"a":1}"#, "text one", "text two"]);
    let transformed = format!(
        r#"{{"invocationId":"i","deliveryStreamArn":"arn:x","region":"eu-west-1","records":[{{"recordId":"1",
            "approximateArrivalTimestamp":1700000000250,"data":"{}"}}]}}"#,
        base64("{\"a\":1}")
    );
    check(transformed, &[&format!(r#"json {{"a":1}} {ARRIVED}"#)]);
    check(delivery(&[]), &["filtered empty_list"]);
    check_odd(
        r#"{"requestId":"r","timestamp":1,"records":[{"recordId":"1"},7,{"data":"e30="},{"data":5}]}"#,
        &[r#"json {"recordId":"1"}"#, "text 7", "json {}", r#"json {"data":5}"#],
        &[(0, Oddity::DataMissing), (1, Oddity::DataMissing), (3, Oddity::DataMissing)],
    );
    check_odd(
        r#"{"requestId":"r","timestamp":1,"records":[{"data":"e30=","data":"e30="}]}"#,
        &[r#"json {"data":"e30=","data":"e30="}"#],
        &[(0, Oddity::DuplicateKey)],
    );
    for other in [r#"{"requestId":"r","records":[]}"#, r#"{"timestamp":1,"requestId":"r","records":[],"more":1}"#] {
        check(other, &[&format!("json {other}")]);
    }
}

/// User records of an aggregate are records: with envelopes of their own, alone and inside others.
#[test]
fn aggregates() {
    let logs = gzip(subscription(r#"{"message":"x"}"#).as_bytes());
    let aggregate = kpl::aggregate(&[b"{\"a\":1}", &logs, b"one\ntwo"]);
    let told = "[log_group=/g] [log_stream=s] [owner=111122223333]";
    let pieces = [r#"json {"a":1}"#, &format!("text x {told}"), "text one", "text two"];
    check(&aggregate, &pieces);
    check(gzip(&aggregate), &pieces);
    check(delivery(&[&aggregate]), &pieces);
    check(kpl::aggregate(&[&aggregate]), &pieces);
    check(kpl::aggregate(&[]), &["filtered empty_aggregate"]);
    let mut broken = aggregate.clone();
    broken[9] ^= 1;
    check(&broken, &[&format!("refused broken_aggregate {}", broken.escape_ascii())]);
    check(
        kpl::aggregate(&[&broken, b"{}"]),
        &[&format!("refused broken_aggregate {}", broken.escape_ascii()), "json {}"],
    );
}

/// Of S3, the notifications are events and the test is none; CloudTrail's digest files hold no event.
#[test]
fn s3_and_digests() {
    let created =
        r#"{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"object":{"key":"k"}}}"#;
    check(
        records(&[created.to_owned(), created.to_owned()]),
        &[&format!("json {created}"), &format!("json {created}")],
    );
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-01T00:00:00.000Z","Bucket":"b","RequestId":"r","HostId":"h"}"#;
    check(test, &["filtered s3_test_event"]);
    check(records(&[queued(&notification(test))]), &["filtered s3_test_event"]);
    let digest = r#"{"awsAccountId":"111122223333","digestStartTime":"t","digestEndTime":"t","digestS3Bucket":"b","digestS3Object":"o",
        "digestPublicKeyFingerprint":"f","digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":null,"logFiles":[]}"#;
    check(digest, &["filtered cloudtrail_digest"]);
    check(gzip(digest.as_bytes()), &["filtered cloudtrail_digest"]);
    let other = digest.replace("digestS3Object", "digestObject");
    check(&other, &[&format!("json {other}")]);
}

/// One broken record within a record costs nothing but itself: its bytes are kept, and its neighbours are read.
#[test]
fn poison_within() {
    let bad_gzip = [&gzip(b"{\"x\":1}")[..12], b"broken"].concat();
    let nine = (0..9).fold(b"{}".to_vec(), |inner, _| gzip(&inner));
    let dull = gzip(&vec![b'x'; 9 << 20]);
    let half_good = gzip(b"{}\n{\"y\":\"\xFF\"}");
    for (bytes, code) in [
        (&bad_gzip[..], "corrupt_gzip"),
        (b"", "empty_record"),
        (b" \n", "empty_record"),
        (&nine, "depth_max"),
        (&dull, "ratio_max"),
    ] {
        let poison = format!("refused {code} {}", bytes.escape_ascii());
        check(delivery(&[b"{\"a\":1}", bytes, b"{\"b\":2}"]), &[r#"json {"a":1}"#, &poison, r#"json {"b":2}"#]);
        check(kpl::aggregate(&[b"{\"a\":1}", bytes, b"{\"b\":2}"]), &[r#"json {"a":1}"#, &poison, r#"json {"b":2}"#]);
    }
    check(delivery(&[&half_good]), &["json {}", r#"refused invalid_utf8 {\"y\":\"\xff\"}"#]);
    let tailed = [gzip(b"{}").as_slice(), b"more"].concat();
    check(delivery(&[&tailed, b"{}"]), &["json {}", "refused trailing_bytes more", "json {}"]);
    let no_base64 = streamed("{}").replace("\"data\":\"", "\"data\":\"!");
    check_odd(
        records(&[no_base64.clone(), streamed("{}")]),
        &[&format!("json {no_base64} {ARRIVED}"), &format!("json {{}} {ARRIVED}")],
        &[(0, Oddity::BrokenBase64)],
    );
    // What a broken part had complained of, or found, before it broke is forgotten with it.
    let cut = [gzip(b"\xEF\xBB\xBF{}\n{\"z\":").as_slice(), &gzip(b"x")[..15]].concat();
    check(delivery(&[&cut, b"{}"]), &[&format!("refused truncated_gzip {}", cut.escape_ascii()), "json {}"]);
}

/// The bounds of the record are of the whole: parts cannot get around them.
#[test]
fn bounds_over_parts() {
    let refused =
        |record: &str, limits: Limits| Peeler::new(limits).peel(record.as_bytes(), None).expect_err("too much").code;
    let limits = Limits { events_per_record_max: 3, ..Limits::default() };
    assert_eq!(refused(&delivery(&[b"{}", b"{}{}{}"]), limits), "events_per_record_max");
    let limits = Limits { decompressed_bytes_max: 3000, ..Limits::default() };
    let packed = gzip(&[b'x'; 1000]);
    assert_eq!(refused(&delivery(&[&packed, &packed, &packed]), limits), "decompressed_bytes_max");
    let deep = (0..4).fold("{}".to_owned(), |inner, _| records(&[queued(&inner)]));
    check(&deep, &["json {}"]);
    assert_eq!(refused(&notification(&deep), Limits::default()), "depth_max");
}
