//! Guards the lines of a `_bulk` request, and the meaning of every status in its answer.

mod places;
mod templates;

use std::time::Duration;

use serde_json::{Value, json};

use super::request::Framing;
use super::response::{self, Judged};
use super::{Elastic, ElasticOptions};
use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};
use crate::http::Answer;
use crate::sink::{Format, sample};

const ACTION: &str = r#"{"create":{"_id":"000102030405060708090a0b0c0d0e0f"}}"#;

fn document(format: Format, ocsf: &str, raw: &[u8], time_ms: i64) -> String {
    let mut block = sample::block(ocsf, raw);
    block.rows[0].time_ms = time_ms;
    let mut out = Vec::new();
    framing(&json!({ "format": format.name(), "index": "logs-a" })).push(block.event(0).unwrap(), &mut out);
    let out = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = out.split('\n').collect();
    assert_eq!((lines.len(), lines[0], lines[2]), (3, ACTION, ""), "{out}");
    serde_json::from_str::<Value>(lines[1]).expect("a document is JSON");
    lines[1].to_owned()
}

/// Guards both lines, byte for byte.
#[test]
fn ocsf_documents_begin_with_their_time() {
    for (ocsf, time_ms, expected) in [
        (r#"{"a":1}"#, 1_700_000_000_123, r#"{"@timestamp":"2023-11-14T22:13:20.123Z","a":1}"#),
        ("{}", 0, r#"{"@timestamp":"1970-01-01T00:00:00.000Z"}"#),
        ("{}", -1, r#"{"@timestamp":"1969-12-31T23:59:59.999Z"}"#),
        ("{}", 253_402_207_200_000, r#"{"@timestamp":"9999-12-30T22:00:00.000Z"}"#),
        ("{}", 253_402_300_800_000, r#"{"@timestamp":253402300800000}"#),
        ("{}", i64::MIN, r#"{"@timestamp":-9223372036854775808}"#),
    ] {
        assert_eq!(document(Format::Ocsf, ocsf, b"", time_ms), expected);
    }
}

/// Guards that a raw event is a text in one line whatever it holds: a line break would make two lines of it.
#[test]
fn raw_events_are_a_message() {
    for (raw, message) in [
        (&b"{\n\"@timestamp\":1}"[..], r#"{\n\"@timestamp\":1}"#),
        (b"2 123 REJECT", "2 123 REJECT"),
        (b"\xff", "\u{fffd}"),
        (b"", ""),
    ] {
        let expected = format!(
            r#"{{"@timestamp":"1970-01-01T00:00:00.001Z","message":"{message}","siemline":{{"log_type":"aws.guardduty"}}}}"#
        );
        assert_eq!(document(Format::Raw, "{}", raw, 1), expected);
    }
}

/// Guards that a document in another vocabulary is what the projection wrote: ECS has its time, CIM gets one.
#[test]
fn projected_documents_are_what_was_written() {
    assert_eq!(document(Format::Ecs, "{}", b"", 5), r#"{"ecs":1}"#);
    assert_eq!(document(Format::Cim, "{}", b"", 5), r#"{"@timestamp":"1970-01-01T00:00:00.005Z","cim":1}"#);
}

/// Guards that raw events go to the data streams of Elastic's own integration, and only those whose log type it knows.
#[test]
fn raw_events_go_to_the_data_streams_of_the_integration() {
    let mut block = sample::block("{}", b"x");
    let framing = framing(&json!({ "format": "raw", "namespace": "prod" }));
    for (log_type, expected) in
        [("aws.guardduty", json!("logs-aws.findings-prod")), ("aws.unknown", Value::Null), ("base", Value::Null)]
    {
        block.rows[0].log_type = log_type.into();
        let mut out = Vec::new();
        framing.push(block.event(0).unwrap(), &mut out);
        let action: Value = serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(action["create"]["_index"], expected, "{log_type}");
    }
}

/// Guards where documents go that no place is named for.
#[test]
fn streams_are_named_by_format_and_namespace() {
    for (more, expected) in [
        (json!({}), "logs-siemline.ecs-default"),
        (json!({ "format": "ocsf", "namespace": "prod" }), "logs-siemline.ocsf-prod"),
        (json!({ "format": "raw" }), "logs-siemline.raw-default"),
        (json!({ "format": "raw", "index": "logs-a.b-c" }), "logs-a.b-c"),
    ] {
        assert_eq!(options(&more).stream(), expected);
    }
}

fn options(more: &Value) -> ElasticOptions {
    let mut options = json!({ "endpoint": "https://es.example.com" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    serde_json::from_value(options).unwrap()
}

fn framing(more: &Value) -> Framing {
    Framing::new(&options(more)).unwrap()
}

/// The verdicts on entries of one document each.
fn judge(answer: &Answer, entries: usize) -> Result<Delivery, Error> {
    response::judge(answer, &vec![1; entries]).map(|judged| judged.delivery)
}

fn items(items: &Value) -> Answer {
    Answer::new(200, json!({ "errors": true, "items": items }).to_string())
}

fn failed(status: u16, kind: &str) -> Value {
    json!({ "create": { "status": status, "error": { "type": kind, "reason": "because" } } })
}

/// Guards the decision for each document by its status.
#[test]
fn every_status_of_a_document_has_its_verdict() {
    let why = |kind: &str| format!("{kind}: because");
    for (status, kind, expected) in [
        (409, "version_conflict_engine_exception", Verdict::Duplicate),
        (
            429,
            "es_rejected_execution_exception",
            Verdict::retry("es_rejected_execution_exception", why("es_rejected_execution_exception")),
        ),
        (500, "internal", Verdict::retry("internal", why("internal"))),
        (502, "x", Verdict::retry("x", why("x"))),
        (
            503,
            "unavailable_shards_exception",
            Verdict::retry("unavailable_shards_exception", why("unavailable_shards_exception")),
        ),
        (504, "x", Verdict::retry("x", why("x"))),
        (
            400,
            "document_parsing_exception",
            Verdict::refused("document_parsing_exception", why("document_parsing_exception")),
        ),
        (404, "not_found", Verdict::refused("not_found", why("not_found"))),
        (413, "too_large", Verdict::refused("too_large", why("too_large"))),
        (422, "x", Verdict::refused("x", why("x"))),
    ] {
        let answer =
            items(&json!([{ "create": { "status": 201 } }, failed(status, kind), { "create": { "status": 200 } }]));
        let expected = Verdicts::Each(vec![Verdict::Accepted, expected, Verdict::Accepted]);
        assert_eq!(judge(&answer, 3), Ok(Delivery { verdicts: expected, slow_down: None }), "{status}");
    }
    for (status, kind) in [
        (401, "security_exception"),
        (403, "cluster_block_exception"),
        (404, "index_not_found_exception"),
        (400, "invalid_index_name_exception"),
    ] {
        let answer = items(&json!([{ "create": { "status": 201 } }, failed(status, kind)]));
        let error = judge(&answer, 2).unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, kind));
    }
}

/// Guards that a missing pipeline stops the lane: it would refuse every event there is.
#[test]
fn a_missing_pipeline_pauses() {
    let error = json!({ "type": "illegal_argument_exception", "reason": "pipeline with id [nope] does not exist" });
    let answer = items(&json!([{ "create": { "status": 400, "error": error } }]));
    assert_eq!(judge(&answer, 1).unwrap_err().disposition, Disposition::Pause);
    let answer = items(&json!([failed(400, "illegal_argument_exception")]));
    assert!(matches!(judge(&answer, 1).unwrap().verdicts, Verdicts::Each(_)));
}

/// Guards that all accepted is all accepted, that the failure store counts as accepted, and that what `errors` says does
/// not count.
#[test]
fn accepted_documents() {
    let stored = json!({ "create": { "status": 201, "failure_store": "used" } });
    for answer in [
        items(&json!([{ "create": { "status": 201 } }, stored])),
        Answer::new(200, r#"{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":200}}]}"#),
    ] {
        assert_eq!(judge(&answer, 2), Ok(Delivery::accepted()));
    }
    let answer = Answer::new(200, r#"{"errors":false,"items":[{"create":{"status":400}}]}"#);
    let expected = Verdicts::Each(vec![Verdict::refused("http_400", ": no reason given")]);
    assert_eq!(judge(&answer, 1).unwrap().verdicts, expected);
}

/// Guards that the innermost cause is told: it names the field.
#[test]
fn reasons_tell_the_field() {
    let error = json!({
        "type": "document_parsing_exception", "reason": "failed to parse",
        "caused_by": { "type": "number_format_exception", "reason": "For input string: \"x\"" },
    });
    let answer = items(&json!([{ "create": { "status": 400, "error": error } }]));
    let Verdicts::Each(verdicts) = judge(&answer, 1).unwrap().verdicts else { panic!("one verdict each") };
    let expected = "document_parsing_exception: failed to parse: For input string: \"x\"";
    assert_eq!(verdicts, [Verdict::refused("document_parsing_exception", expected)]);
}

/// Guards that an answer which cannot be matched with the entries, one by one, is success for none of them.
#[test]
fn answers_without_verdicts() {
    let retry = Disposition::Retry { after: None };
    for (body, expected, code) in [
        (r#"{"errors":false,"items":[{"create":{"status":201}}]}"#, retry, "items_missing"),
        (r#"{"errors":false}"#, retry, "items_missing"),
        (r#"{"errors":false,"items":null}"#, retry, "items_missing"),
        ("{}", retry, "items_missing"),
        (r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"sta"#, retry, "answer_unreadable"),
        (r#"{"errors":false,"items":[{"create":{}},{"create":{"status":201}}]}"#, retry, "answer_unreadable"),
        ("", retry, "answer_unreadable"),
        ("<html>sign in</html>", Disposition::Pause, "http_200"),
        ("ok", Disposition::Pause, "http_200"),
    ] {
        let error = judge(&Answer::new(200, body), 2).unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (expected, code), "{body}: {error}");
    }
    // Longer than the bound: smaller batches have shorter answers, but a single entry is not to blame for it.
    let long = Answer { truncated: true, ..Answer::new(200, r#"{"errors":true,"items":[{"#) };
    assert_eq!(judge(&long, 2).unwrap_err().disposition, Disposition::Split);
    assert_eq!(judge(&long, 1).unwrap_err().disposition, retry);
}

/// Guards the decision for the request as a whole.
#[test]
fn every_status_of_a_request_has_its_disposition() {
    let retry = Disposition::Retry { after: None };
    let cause = r#"{"error":{"type":"some_exception","reason":"because"},"status":1}"#;
    for (status, expected) in [
        (301, Disposition::Pause),
        (400, Disposition::Refuse),
        (401, Disposition::Pause),
        (403, Disposition::Pause),
        (404, Disposition::Pause),
        (405, Disposition::Pause),
        (406, Disposition::Pause),
        (408, retry),
        (413, Disposition::Split),
        (429, retry),
        (500, retry),
        (502, retry),
        (503, retry),
        (504, retry),
    ] {
        let error = judge(&Answer::new(status, cause), 2).unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (expected, "some_exception"), "{status}");
        assert!(error.words.contains("some_exception: because"), "{error}");
        // A gateway's answer. Its 400 is about the endpoint, not about an event.
        let error = judge(&Answer::new(status, "<html>no</html>"), 2).unwrap_err();
        let expected = if status == 400 { Disposition::Pause } else { expected };
        assert_eq!((error.disposition, error.code.as_ref()), (expected, format!("http_{status}").as_str()));
    }
    let after = Some(Duration::from_secs(3));
    let answer = Answer { retry_after: after, ..Answer::new(429, "") };
    assert_eq!(judge(&answer, 2).unwrap_err().disposition, Disposition::Retry { after });
}

/// Guards that credentials which contradict each other are refused before anything is sent.
#[test]
fn credentials_are_one_kind() {
    let refused = |more: &str| {
        let text = format!(r#"{{"endpoint":"https://es.example.com"{more}}}"#);
        Elastic::new(&serde_json::from_str::<ElasticOptions>(&text).unwrap()).unwrap_err().to_string()
    };
    let secret = r#"{"env":"SIEMLINE_TEST_NOT_SET"}"#;
    assert!(refused(&format!(r#","api_key":{secret},"username":"u""#)).contains("either `api_key`"));
    assert!(refused(&format!(r#","bearer_token":{secret},"aws":{{}}"#)).contains("either `api_key`"));
    assert!(refused(&format!(r#","bearer_token":{secret}"#)).contains("bearer_token: "));
    assert!(refused(r#","aws":{"external_id":"x"}"#).contains("aws.assume_role"));
    assert!(refused(r#","username":"u""#).contains("belong together"));
    assert!(refused(&format!(r#","password":{secret}"#)).contains("belong together"));
    assert!(refused(&format!(r#","api_key":{secret}"#)).contains("SIEMLINE_TEST_NOT_SET"));
    assert!(refused(r#","index":"""#).contains("index: it is empty"));
    assert!(refused(r#","namespace":"""#).contains("namespace: it is empty"));
}

/// Guards that an error of the lane never shows what only the sink may know.
#[test]
fn errors_are_about_the_answer() {
    let Error { words, .. } = judge(&Answer::new(401, "no"), 1).unwrap_err();
    assert_eq!(words, "the credentials are missing or wrong; answered 401: no");
}

/// Guards that an entry is delivered when both its documents are, and that a newer state is as good.
#[test]
fn an_entry_is_as_good_as_its_worse_document() {
    let created = json!({ "create": { "status": 201 } });
    let index = |status: u16| json!({ "index": { "status": status, "error": { "type": "t", "reason": "r" } } });
    let latest = json!({ "index": { "status": 200 } });
    let (again, refused) = (Verdict::retry("t", "t: r"), Verdict::refused("t", "t: r"));
    for (event, latest, expected) in [
        (&created, latest.clone(), Verdict::Accepted),
        (&created, index(409), Verdict::Accepted),
        (&failed(409, "t"), latest.clone(), Verdict::Duplicate),
        (&created, index(429), again.clone()),
        (&failed(409, "t"), index(503), again),
        (&created, index(400), refused.clone()),
        (&json!({ "create": { "status": 400, "error": { "type": "t", "reason": "r" } } }), index(429), refused),
    ] {
        let answer = items(&json!([{ "create": { "status": 201 } }, event, latest]));
        let judged = response::judge(&answer, &[1, 2]).unwrap().delivery;
        let expected = match expected {
            Verdict::Accepted => Verdicts::AllAccepted,
            verdict => Verdicts::Each(vec![Verdict::Accepted, verdict]),
        };
        assert_eq!(judged.verdicts, expected, "{answer:?}");
        assert_eq!(response::judge(&answer, &[2, 2]).unwrap_err().code, "items_missing");
    }
}

/// Guards that what went to a failure store is delivered and counted, and what did not get there is refused.
#[test]
fn failure_stores_are_counted() {
    let used = json!({ "create": { "status": 201, "failure_store": "used" } });
    let plain = json!({ "create": { "status": 201, "failure_store": "not_applicable_or_unknown" } });
    let judged = response::judge(&items(&json!([used, plain])), &[1, 1]);
    assert_eq!(judged, Ok(Judged { delivery: Delivery::accepted(), failure_stored: 1 }));
    for told in ["failed", "not_enabled"] {
        let mut item = failed(400, "document_parsing_exception");
        item["create"]["failure_store"] = json!(told);
        let Judged { delivery, failure_stored } = response::judge(&items(&json!([item])), &[1]).unwrap();
        assert!(matches!(delivery.verdicts, Verdicts::Each(verdicts) if matches!(verdicts[..], [Verdict::Refused(_)])));
        assert_eq!(failure_stored, 0);
    }
}

/// Guards that what every document would be answered stops the lane, with what to do. The reasons are OpenSearch 2.19's.
#[test]
fn faults_of_the_settings_pause() {
    for (kind, reason, remedy) in [
        ("illegal_argument_exception", "no write index is defined for alias [a]. The write index", "a write index"),
        ("illegal_argument_exception", "only write ops with an op_type of create are allowed", "names a data stream"),
        (
            "illegal_argument_exception",
            "Document ID is not supported in create/index operation",
            "document_ids = false",
        ),
        ("illegal_argument_exception", "pipeline with id [x] does not exist", "check `pipeline`"),
        ("index_closed_exception", "closed", "open the index"),
        ("validation_exception", "this action would add [2] shards", "indexes_max"),
    ] {
        let error = json!({ "type": kind, "reason": reason });
        let answer = items(&json!([{ "create": { "status": 400, "error": error } }]));
        let error = judge(&answer, 1).unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, kind));
        assert!(error.words.contains(remedy), "{error}");
    }
}
