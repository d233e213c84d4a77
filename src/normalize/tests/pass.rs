//! Events that are OCSF already: never mapped again, completed, and as valid as they came.

use serde_json::json;

use super::*;
use crate::ocsf::{self, Severity};

/// What comes out of a record, each event's document and what is known of it.
fn normalize(record: &str) -> Vec<(String, Normalized)> {
    let (mappings, _) = embedded();
    let (mut normalizer, mut peeler) = (Normalizer::new(mappings), Peeler::new(Limits::default()));
    let peeled = peeler.peel(record.as_bytes(), Some(5)).expect("the record peels");
    let events = peeled.pieces().filter_map(|piece| match piece {
        Piece::Event(event) => Some(event),
        _ => None,
    });
    let made = events.map(|event| {
        let mut out = b"before ".to_vec();
        let mut made = normalizer.normalize(&event, &digest(event.body), &mut out);
        for range in [&mut made.account, &mut made.region] {
            *range = range.start.saturating_sub(7)..range.end.saturating_sub(7);
        }
        (String::from_utf8(out.split_off(7)).expect("JSON is UTF-8"), made)
    });
    made.collect()
}

fn one(record: &str) -> (String, Normalized) {
    let mut made = normalize(record);
    assert_eq!(made.len(), 1, "{record}");
    made.remove(0)
}

fn errors(document: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(document).expect("JSON");
    let problems = ocsf::validate(&value);
    problems.iter().filter(|problem| problem.severity() == Severity::Error).map(ToString::to_string).collect()
}

/// A finding as Security Hub writes it: only `_dt` times, many lines, members in no order that the engine would choose.
const FINDING: &str = r#"{
  "metadata" : { "product": {"name": "Security Hub", "vendor_name": "AWS"}, "version": "1.8.0", "profiles": ["cloud", "datetime"] },
  "activity_id": 1, "category_uid": 2, "class_uid": 2004, "severity_id": 4, "type_uid": 200401,
  "cloud": {"account": {"uid": "011122223333"}, "provider": "AWS", "region": "eu-west-1"},
  "finding_info": {"uid": "arn:aws:securityhub:eu-west-1:011122223333:finding/1", "title": "A \"title\""},
  "time_dt": "2026-01-02T03:04:05.678Z"
}"#;

/// `time` comes from its twin, and `metadata` gets a uid of its own; everything else stands as it was, on one line.
#[test]
fn what_is_missing_is_added() {
    assert_ne!(errors(FINDING), [""; 0], "it comes without `time`");
    let (output, made) = one(FINDING);
    assert_eq!(errors(&output), [""; 0], "{output}");
    assert!(!output.contains('\n'), "{output}");
    let mut expect: Value = serde_json::from_str(FINDING).expect("JSON");
    let found: Value = serde_json::from_str(&output).expect("JSON");
    expect["time"] = json!(1_767_323_045_678_i64);
    expect["metadata"]["uid"] = found["metadata"]["uid"].clone();
    assert_eq!(found, expect);
    assert_eq!(found["metadata"]["uid"].as_str().map(str::len), Some(32), "{output}");
    assert_eq!((&*made.log_type, made.class_uid, made.severity_id, made.time_ms), ("ocsf", 2004, 4, 1_767_323_045_678));
    assert_eq!((&output[made.account], &output[made.region]), ("011122223333", "eu-west-1"));
    // Another version of the finding is another event.
    let changed = one(&FINDING.replace("\"severity_id\": 4", "\"severity_id\": 5")).0;
    let changed: Value = serde_json::from_str(&changed).expect("JSON");
    assert_ne!(changed["metadata"]["uid"], found["metadata"]["uid"]);
    assert_eq!(changed["finding_info"], found["finding_info"]);
}

/// The envelopes tell `metadata` what they tell that of a mapped event, where it does not know better.
#[test]
fn envelopes_are_told() {
    let bridged = |finding: &str| {
        format!(
            r#"{{"version":"0","id":"e-1","detail-type":"Findings Imported V2","source":"aws.securityhub","account":"999999999999",
                "time":"2026-01-02T03:04:06Z","region":"us-east-1","resources":[],"detail":{{"findings":[{finding}]}}}}"#
        )
    };
    let (output, _) = one(&bridged(FINDING));
    let found: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(errors(&output), [""; 0], "{output}");
    assert_eq!(found["metadata"]["original_event_uid"], "e-1");
    assert_eq!(found["metadata"]["original_time"], "2026-01-02T03:04:06Z");
    // In an aggregating account the finding's own account and region win.
    assert_eq!(found["cloud"]["account"]["uid"], "011122223333");
    assert_eq!(found["cloud"]["region"], "eu-west-1");
    let knows =
        FINDING.replace("\"version\": \"1.8.0\"", r#""original_event_uid": "own", "uid": "u", "version": "1.8.0""#);
    let found: Value = serde_json::from_str(&one(&bridged(&knows)).0).expect("JSON");
    assert_eq!((&found["metadata"]["original_event_uid"], &found["metadata"]["uid"]), (&json!("own"), &json!("u")));
    let logged = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/g \"x\"","logStream":"s","subscriptionFilters":[],
            "logEvents":[{{"id":"3","timestamp":1700000000000,"message":{}}}]}}"#,
        serde_json::to_string(FINDING).expect("JSON")
    );
    let (output, _) = one(&logged);
    assert_eq!(errors(&output), [""; 0], "{output}");
    let metadata = serde_json::from_str::<Value>(&output).expect("JSON")["metadata"].clone();
    assert_eq!(metadata["log_name"], "/g \"x\"");
    assert_eq!(metadata["log_source"], "s");
    assert_eq!(metadata["logged_time"], 1_700_000_000_000_i64);
    assert_eq!(metadata["original_event_uid"], "3");
}

/// Where the members stand, whether `time` is there, and what else is odd: one document, valid as far as it was.
#[test]
fn odd_documents() {
    let body = |head: &str, tail: &str| {
        format!(r#"{{{head}"class_uid":2004,"category_uid":2,"metadata":{{"version":"1.8.0"}}{tail}}}"#)
    };
    for (record, time_ms) in [
        (body("\"time\":7,", ""), 7),
        (body("", ",\"time\":7,\"time_dt\":\"2026-01-02T03:04:05Z\""), 7),
        (body("\"time_dt\":\"1970-01-01T00:00:01Z\",", ""), 1000),
        (body("\"time_dt\":\"1970-01-01T00:00:01Z\",\"time\":null,", ""), 1000),
        (body("", ",\"time\":  null,\"time_dt\":\"1970-01-01T00:00:01.5+00:00\""), 1500),
    ] {
        let (output, made) = one(&record);
        let found: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
        assert_eq!(output.matches("\"time\":").count(), 1, "{output}");
        assert_eq!((&*made.log_type, made.time_ms), ("ocsf", time_ms), "{output}");
        assert_eq!(found["time"], time_ms, "{output}");
        assert!(found["metadata"]["uid"].is_string(), "{output}");
    }
    // Without a time that can be read it is no OCSF: a valid base event, with everything kept.
    for other in [body("", ""), body("\"time_dt\":\"soon\",", ""), body("\"time\":\"soon\",", "")] {
        let (output, made) = one(&other);
        assert_ne!(&*made.log_type, "ocsf", "{output}");
        assert_eq!(errors(&output), [""; 0], "{output}");
    }
}
