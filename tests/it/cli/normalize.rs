//! Guards `normalize`: whatever stands around events is undone, and the last line accounts for every one of them.

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Ended, Home, assert_valid, finding, gzip, json_lines, ndjson, title};

/// What `normalize` is given, one document a line: every envelope there is, one inside the other.
fn nested() -> String {
    let bridge = |number: u32| {
        json!({
            "version": "0", "id": format!("e{number}"), "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
            "account": "111122223333", "time": "2026-01-02T03:06:00Z", "region": "eu-west-1", "resources": [],
            "detail": finding(number),
        })
    };
    let log_event = |number: u64, message: String| json!({ "id": number.to_string(), "timestamp": 1_767_323_160_000_u64 + number, "message": message });
    let subscription = |kind: &str, events: Vec<Value>| {
        json!({
            "messageType": kind, "owner": "111122223333", "logGroup": "/aws/events/findings", "logStream": "all",
            "subscriptionFilters": ["s"], "logEvents": events,
        })
    };
    let trail = json!({ "Records": [
        { "eventVersion": "1.11", "eventTime": "2026-01-02T03:04:05Z", "eventSource": "s3.amazonaws.com",
          "eventName": "ListBuckets", "awsRegion": "eu-west-1", "eventID": "c1", "eventType": "AwsApiCall",
          "eventCategory": "Management", "recipientAccountId": "111122223333", "readOnly": true,
          "userIdentity": { "type": "IAMUser", "userName": "carol", "accountId": "111122223333" } },
    ] });
    let lines = [
        finding(1),
        bridge(2),
        subscription(
            "DATA_MESSAGE",
            vec![
                log_event(0, bridge(3).to_string()),
                log_event(1, trail.to_string()),
                log_event(
                    2,
                    subscription("DATA_MESSAGE", vec![log_event(3, json!({ "findings": [finding(4)] }).to_string())])
                        .to_string(),
                ),
                log_event(4, "two lines\nof one event".to_owned()),
            ],
        ),
        subscription("CONTROL_MESSAGE", vec![log_event(5, "CWL CONTROL MESSAGE: Checking health.".to_owned())]),
        json!({ "Records": [] }),
        json!({ "neither": "nor" }),
    ];
    ndjson(lines) + "a line of text\n"
}

fn assert_nested(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.line("read "),
        "read 10 = out 8 + filtered 2 (cloudwatch_logs_control_message 1, empty_list 1) + dead-lettered 0"
    );
    let events = json_lines(&ended.out);
    events.iter().for_each(assert_valid);
    let mut titles: Vec<_> = events.iter().filter_map(title).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Finding 1", "Finding 2", "Finding 3", "Finding 4"]);
    let of_class = |uid: u32| events.iter().filter(|event| event["class_uid"] == uid).count();
    // A line of a service's log group is an application's; what nobody knows is a base event.
    assert_eq!((of_class(2004), of_class(6003), of_class(6002), of_class(0)), (4, 1, 1, 2));
    assert!(events.iter().any(|event| event["message"] == "two lines\nof one event"));
}

#[test]
fn every_envelope_is_undone_however_it_comes() {
    let home = Home::new();
    let plain = nested();
    let zstd = zstd::encode_all(plain.as_bytes(), 3).unwrap();
    home.write("plain.ndjson", &plain);
    home.write("one.gz", gzip(plain.as_bytes()));
    home.write("one.zst", &zstd);
    home.write("both.zst.gz", gzip(&zstd));
    home.write("pretty.json", plain.lines().map(pretty).collect::<String>());
    assert_nested(&home.siemline_fed(&["normalize"], plain.as_bytes()));
    assert_nested(&home.siemline_fed(&["normalize", "-"], &gzip(plain.as_bytes())));
    for file in ["plain.ndjson", "one.gz", "one.zst", "both.zst.gz", "pretty.json"] {
        assert_nested(&home.siemline(&["normalize", file]));
    }
    let all = home.siemline(&["normalize", "plain.ndjson", "one.gz", "one.zst"]);
    assert_eq!((all.count("read"), all.count("out"), all.count("filtered")), (30, 24, 6));
}

/// Guards that a file may be one Kinesis record of the Kinesis Producer Library, larger than what is read at a time and full
/// of line ends: every user record comes out.
#[test]
fn an_aggregated_record_is_read_whole() {
    let home = Home::new();
    let records: Vec<String> = (0..5).map(|number| format!("{number} {}\n", "x".repeat(5000)).repeat(200)).collect();
    let mut document = b"\x0A\x01k".to_vec();
    for data in records.iter().map(String::as_bytes) {
        let record = [b"\x08\x00\x1A", varint(data.len()).as_slice(), data].concat();
        document.extend([b"\x1A", varint(record.len()).as_slice(), &record].concat());
    }
    assert!(document.len() > 4 << 20, "{} bytes", document.len());
    let aggregate = [&[0xF3, 0x89, 0x9A, 0xC2], &document[..], &Md5::digest(&document)].concat();
    home.write("record.kpl", &aggregate);
    let ended = home.siemline(&["normalize", "record.kpl"]);
    assert_eq!((ended.count("read"), ended.count("out")), (1000, 1000), "{}", ended.err);
    // A bit more or less, and it is no aggregate: one dead letter, and nothing of it is taken for lines.
    home.write("broken.kpl", &aggregate[..aggregate.len() - 1]);
    let ended = home.siemline(&["normalize", "broken.kpl"]);
    assert_eq!((ended.code, ended.count("read"), ended.count("out")), (Some(3), 1, 0), "{}", ended.err);
    assert!(ended.err.contains("broken_aggregate"), "{}", ended.err);
}

/// A number as protobuf writes it.
fn varint(number: usize) -> Vec<u8> {
    let (mut rest, mut bytes) = (number, Vec::new());
    while rest > 0x7F {
        bytes.push(u8::try_from(rest & 0x7F).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A document over many lines; a text as it is.
fn pretty(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(document) => format!("{document:#}\n"),
        Err(_) => format!("{line}\n"),
    }
}

#[test]
fn raw_events_come_out_as_they_were_written() {
    let home = Home::new();
    let ended = home.siemline_fed(&["normalize", "--format", "raw"], nested().as_bytes());
    assert_eq!(ended.code, Some(0));
    for number in 1..=4 {
        assert!(ended.out.contains(&format!("{}\n", finding(number))), "{number}");
    }
    // A text becomes a JSON string, so that a line is an event.
    assert!(ended.out.contains("\"two lines\\nof one event\"\n") && ended.out.contains("{\"neither\":\"nor\"}\n"));
    assert_eq!(ended.count("out"), 8);
}

#[test]
fn why_names_the_rule_and_the_path_behind_each_target() {
    let home = Home::new();
    let ended = home.siemline_fed(&["normalize", "--why"], format!("{}\n", finding(1)).as_bytes());
    assert_eq!(ended.code, Some(0));
    ended.line("-: record 0, event 0: aws.guardduty");
    let line = ended.line("finding_info.title <- title  (aws/guardduty.toml:");
    // The place is the rule's own.
    let number: usize = line.rsplit([':', ')']).nth(1).unwrap().parse().unwrap();
    let mapping = include_str!("../../../mappings/aws/guardduty.toml");
    assert!(mapping.lines().nth(number - 1).unwrap().contains("finding_info.title"), "{line}");
    assert!(ended.err.contains(" <- (constant)  ("));
}

#[test]
fn what_is_broken_is_counted_with_its_reason_and_named() {
    let home = Home::new();
    let whole = gzip(nested().as_bytes());
    home.write("cut.gz", &whole[..whole.len() / 2]);
    home.write("empty.ndjson", "");
    home.write("latin.ndjson", [b"{\"a\":1}\n".as_slice(), b"{\"name\":\"\xe9\"}\n", b"{\"b\":2}\n"].concat());
    let ended = home.siemline(&["normalize", "cut.gz"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(ended.count("dead-lettered"), 1);
    assert!(ended.err.contains("cut.gz: record 1: dead-lettered: corrupt_compression: "));
    let ended = home.siemline(&["normalize", "latin.ndjson"]);
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.line("read "), "read 3 = out 2 + filtered 0 + dead-lettered 1 (invalid_utf8 1)");
    let ended = home.siemline(&["normalize", "empty.ndjson"]);
    assert_eq!((ended.code, ended.line("read ")), (Some(0), "read 0 = out 0 + filtered 0 + dead-lettered 0"));
}

/// Guards that a document of many lines is one document however long it is, and that a line without end costs bounded memory.
#[test]
fn long_input_is_cut_between_documents_only() {
    let home = Home::new();
    let records: Vec<Value> =
        (0..30_000).map(|number| json!({ "eventVersion": "1.11", "eventTime": "2026-01-02T03:04:05Z", "eventSource": "own", "awsRegion": "eu-west-1", "eventID": "1", "eventName": number, "padding": "x".repeat(200) })).collect();
    home.write("long.json", format!("{:#}\n", json!({ "Records": records })));
    assert!(home.path("long.json").metadata().unwrap().len() > 5 << 20);
    let ended = home.siemline(&["normalize", "long.json"]);
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.line("read "), "read 30000 = out 30000 + filtered 0 + dead-lettered 0");

    home.write("bomb.gz", [gzip(&vec![b' '; 400 << 20]), gzip(b"\n{\"after\":1}\n")].concat());
    let ended = home.siemline(&["normalize", "bomb.gz"]);
    assert_eq!((ended.code, ended.count("out")), (Some(3), 1), "{ended:?}");
    assert!(ended.line("read ").ends_with("dead-lettered 1 (decompressed_bytes_max 1)"), "{}", ended.err);
    assert!(ended.peak_kib < 400 << 10, "{} KiB", ended.peak_kib);
}
