//! Guards the envelope, byte for byte, and the meaning of every code of HEC.

use std::time::Duration;

use serde_json::{Value, json};

use super::request::{Framing, index_of, raw_url};
use super::response::{Taken, judge, judge_health, judge_poll, judge_probe, judge_taken};
use super::{SplunkHec, SplunkHecOptions};
use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};
use crate::http::{Answer, Url};
use crate::sink::sample;

const UID: &str = "000102030405060708090a0b0c0d0e0f";

fn options(more: &Value) -> SplunkHecOptions {
    let mut options = json!({ "endpoint": "https://splunk.example.com:8088", "token": { "env": "TOKEN" } });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    serde_json::from_value(options).unwrap()
}

fn framed(more: &Value, ocsf: &str, raw: &[u8], time_ms: i64) -> String {
    let mut block = sample::block(ocsf, raw);
    block.rows[0].time_ms = time_ms;
    let mut out = Vec::new();
    Framing::new(&options(more)).unwrap().push(block.event(0).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

/// Guards that the envelope is exactly this: an unknown key would cost events without a word.
#[test]
fn an_ocsf_envelope() {
    let frame = framed(&json!({}), r#"{"class_uid":2004}"#, b"", 1_700_000_000_123);
    let expected = format!(
        "{}{UID}{}\n",
        r#"{"event":{"class_uid":2004},"time":1700000000.123,"source":"findings","sourcetype":"ocsf:aws:findings","fields":{"siemline_uid":""#,
        r#"","log_type":"aws.guardduty"}}"#
    );
    assert_eq!(frame, expected);
}

/// Guards that options replace what is taken from the event, and are escaped.
#[test]
fn options_fill_the_envelope() {
    let more = json!({ "host": "a\"b", "index": "sec", "source": "s", "sourcetype": "t", "format": "raw" });
    let frame: Value = serde_json::from_str(&framed(&more, "{}", br#"{"id":"1"}"#, 5)).unwrap();
    let expected = json!({
        "event": { "id": "1" }, "time": 0.005, "host": "a\"b", "index": "sec", "source": "s", "sourcetype": "t",
        "fields": { "siemline_uid": UID, "log_type": "aws.guardduty" },
    });
    assert_eq!(frame, expected);
}

/// Guards that raw events arrive as AWS wrote them, that what is no JSON object becomes a string, and that no byte of an
/// event can end the envelope early.
#[test]
fn raw_events_are_json_or_text() {
    for (raw, event) in [
        (&b"{\"a\":[1.50,\"x\"]}"[..], r#"{"a":[1.50,"x"]}"#),
        (b"{\r\n  \"a\": \"\\n\"\n}", "{    \"a\": \"\\n\" }"),
        (b"[1]", "[1]"),
        (b"2 123 eni-1 ACCEPT", r#""2 123 eni-1 ACCEPT""#),
        (b"null", r#""null""#),
        (b"false", r#""false""#),
        (b"{\"a\":1}}", r#""{\"a\":1}}""#),
        (b"{\"a\":1", r#""{\"a\":1""#),
        (b"{\"a\":\"\n\"}", r#""{\"a\":\"\n\"}""#),
        (b"{\"a\":\"\xff\"}", "\"{\\\"a\\\":\\\"\u{fffd}\\\"}\""),
        (b"\x00\xfe", "\"\\u0000\u{fffd}\""),
        (b"{\"a\":123456789012345678901234567890}", r#"{"a":123456789012345678901234567890}"#),
    ] {
        let frame = framed(&json!({ "format": "raw" }), "{}", raw, 1000);
        let text = frame.strip_prefix("{\"event\":").unwrap();
        let (told, rest) = text.split_at(text.rfind(",\"time\":1.000,").unwrap());
        assert_eq!(told, event);
        assert_eq!(rest.matches('\n').count(), 1, "{rest}");
        assert!(rest.contains(r#""sourcetype":"aws:findings""#), "{rest}");
    }
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(framed(&json!({ "format": "raw" }), "{}", deep.as_bytes(), 0).contains(&deep));
}

/// Guards that only times which Splunk reads as seconds are written.
#[test]
fn times_are_seconds() {
    for (time_ms, expected) in [
        (0, Some(",\"time\":0.000,")),
        (999, Some(",\"time\":0.999,")),
        (1_700_000_000_007, Some(",\"time\":1700000000.007,")),
        (253_402_300_799_999, Some(",\"time\":253402300799.999,")),
        (253_402_300_800_000, None),
        (-1, None),
        (i64::MIN, None),
    ] {
        let frame = framed(&json!({}), "{}", b"", time_ms);
        match expected {
            Some(part) => assert!(frame.contains(part), "{frame}"),
            None => assert!(!frame.contains("\"time\""), "{frame}"),
        }
    }
}

/// Guards the sourcetype by format and log type, with and without one that the add-on has.
#[test]
fn sourcetypes_go_by_format_and_log_type() {
    for (format, log_type, expected) in [
        ("raw", "aws.guardduty", "aws:findings"),
        ("raw", "aws.waf", "aws:firehose:json"),
        ("raw", "base", "aws:firehose:json"),
        ("ocsf", "aws.guardduty", "ocsf:aws:findings"),
        ("ocsf", "aws.waf", "ocsf:aws:waf"),
        ("cim", "aws.guardduty", "siemline:aws:guardduty:cim"),
        ("cim", "aws.waf", "siemline:aws:waf:cim"),
        ("ecs", "aws.waf", "siemline:aws:waf:ecs"),
    ] {
        let mut block = sample::block("{}", b"{}");
        block.rows[0].log_type = log_type.into();
        let mut out = Vec::new();
        Framing::new(&options(&json!({ "format": format }))).unwrap().push(block.event(0).unwrap(), &mut out);
        let envelope: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(envelope["sourcetype"], expected, "{format} {log_type}");
    }
}

/// Guards that an event in another vocabulary is what the projection wrote.
#[test]
fn projected_events_are_what_was_written() {
    for format in ["cim", "ecs"] {
        let frame: Value = serde_json::from_str(&framed(&json!({ "format": format }), "{}", b"", 1)).unwrap();
        assert_eq!(frame["event"], json!({ format: 1 }));
    }
}

fn reply(status: u16, code: u32) -> Answer {
    Answer::new(status, json!({ "text": "words", "code": code }).to_string())
}

fn disposition(answer: &Answer) -> Disposition {
    judge(answer, 4).unwrap_err().disposition
}

/// Guards every code that HEC has.
#[test]
fn every_code_has_its_answer() {
    assert_eq!(judge(&reply(200, 0), 4), Ok(Delivery::accepted()));
    assert_eq!(judge(&reply(200, 17), 4), Ok(Delivery::accepted()));
    for code in [24, 25] {
        let expected = Delivery { verdicts: Verdicts::AllAccepted, slow_down: Some(Duration::from_secs(1)) };
        assert_eq!(judge(&reply(200, code), 4), Ok(expected));
    }
    let retry = Disposition::Retry { after: None };
    let pause = Disposition::Pause;
    for (status, code, expected) in [
        (403, 1, pause),
        (401, 2, pause),
        (401, 3, pause),
        (403, 4, pause),
        (400, 5, pause),
        (400, 6, Disposition::Refuse),
        (500, 8, retry),
        (503, 9, retry),
        (400, 10, pause),
        (400, 11, pause),
        (400, 12, Disposition::Refuse),
        (400, 13, Disposition::Refuse),
        (400, 14, pause),
        (400, 15, Disposition::Refuse),
        (400, 16, pause),
        (503, 18, retry),
        (503, 19, retry),
        (503, 20, retry),
        (400, 21, pause),
        (400, 22, pause),
        (503, 23, retry),
        (429, 26, retry),
        (429, 27, retry),
        // What no version is known to say: a batch refused is halved, a success that is not known stops the lane.
        (400, 77, Disposition::Refuse),
        (200, 77, pause),
        // A code that contradicts its status is no success.
        (503, 0, retry),
        (429, 24, retry),
        (200, 9, retry),
        (400, 0, Disposition::Refuse),
    ] {
        let error = judge(&reply(status, code), 4).unwrap_err();
        assert_eq!(error.disposition, expected, "{status} {code}");
        assert_eq!(error.code, format!("hec_{code}"));
        assert!(error.words.contains("words"), "{error}");
    }
}

/// Guards that the number of the event at fault cuts the batch there, and that nothing is taken for accepted without it.
#[test]
fn the_invalid_event_number_cuts_the_batch() {
    for code in [6, 12, 13, 15] {
        for number in 0..4_usize {
            let body = json!({ "text": "no", "code": code, "invalid-event-number": number });
            let delivery = judge(&Answer::new(400, body.to_string()), 4).unwrap();
            let mut expected = vec![Verdict::Accepted; number];
            expected.push(Verdict::refused(format!("hec_{code}"), "no"));
            assert_eq!(delivery.verdicts, Verdicts::Each(expected));
        }
        for number in [json!(4), json!(u64::MAX), Value::Null] {
            let body = json!({ "text": "no", "code": code, "invalid-event-number": number });
            assert_eq!(disposition(&Answer::new(400, body.to_string())), Disposition::Refuse, "{number}");
        }
        // A number that is none makes the whole answer no answer of HEC's.
        let body = json!({ "text": "no", "code": code, "invalid-event-number": -1 });
        assert_eq!(disposition(&Answer::new(400, body.to_string())), Disposition::Pause);
    }
}

/// Guards that a wrong index refuses all of the batch: its number is one too high, and would let an event get lost.
#[test]
fn the_number_of_a_wrong_index_is_not_trusted() {
    let body = json!({ "text": "Incorrect index", "code": 7, "invalid-event-number": 2 });
    let delivery = judge(&Answer::new(400, body.to_string()), 3).unwrap();
    let Verdicts::Each(verdicts) = delivery.verdicts else { panic!("one verdict each") };
    assert_eq!(verdicts.len(), 3);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused(why) if why.code == "hec_7")));
}

/// Guards what is done where something else than HEC answered, or HEC by half.
#[test]
fn answers_that_are_not_hecs() {
    let html = "<html><body>sign in</body></html>";
    let retry = Disposition::Retry { after: None };
    for (status, body, expected, code) in [
        (200, html, Disposition::Pause, "http_200"),
        (200, "ok", Disposition::Pause, "http_200"),
        (200, r#"{"text":"Suc"#, retry, "http_200"),
        (200, "", retry, "http_200"),
        (200, "{}", retry, "http_200"),
        (302, "", Disposition::Pause, "http_302"),
        (400, html, Disposition::Pause, "http_400"),
        (401, html, Disposition::Pause, "http_401"),
        (403, "", Disposition::Pause, "http_403"),
        (404, r#"{"text":"The requested URL was not found","code":404}"#, Disposition::Pause, "http_404"),
        (405, r#"{"text":"Method Not Allowed","code":404}"#, Disposition::Pause, "http_405"),
        (407, html, Disposition::Pause, "http_407"),
        (408, html, retry, "http_408"),
        (413, html, Disposition::Split, "http_413"),
        (415, html, Disposition::Pause, "http_415"),
        (429, "", retry, "http_429"),
        (500, html, retry, "http_500"),
        (502, html, retry, "http_502"),
        (503, "", retry, "http_503"),
        (504, "\0\u{1}garbage", retry, "http_504"),
    ] {
        let error = judge(&Answer::new(status, body), 4).unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (expected, code), "{status} {body}: {error}");
    }
}

/// Guards what is done where the receiver of the OpenTelemetry Collector answers: its ids begin at 1, and much of what it says
/// is a bare string. One event that it makes no log of is found by halving, and stops nobody else.
#[test]
fn the_collectors_words() {
    let retry = Disposition::Retry { after: None };
    for (status, body, expected) in [
        (400, r#""Failed to unmarshal message body""#, Disposition::Refuse),
        (400, r#""Unsupported metric event""#, Disposition::Refuse),
        (400, r#"{"text":"Invalid data format","code":6}"#, Disposition::Refuse),
        (400, r#"{"text": "Invalid data channel", "code": 11}"#, Disposition::Pause),
        (415, r#""\"Content-Encoding\" must be \"gzip\" or empty""#, Disposition::Pause),
        (500, r#""Internal Server Error""#, retry),
        // As its versions before acknowledgement said yes: what success is, has to be said.
        (200, r#""OK""#, Disposition::Pause),
    ] {
        assert_eq!(disposition(&Answer::new(status, body)), expected, "{body}");
    }
    let taken = Answer::new(200, r#"{"text": "Success", "code": 0, "ackId": 1}"#);
    assert_eq!(judge(&taken, 4), Ok(Delivery::accepted()));
    assert_eq!(judge_taken(&taken, 4), Ok(Taken::Awaits { ack_id: 1, slow_down: None }));
    let told = judge_poll(&Answer::new(200, r#"{"acks": {"1":true,"2":false}}"#));
    assert_eq!(told, Ok([1].into()));
    // Without the extension, questions come to the event endpoint.
    let asked = judge_poll(&Answer::new(400, r#"{"text":"Event field is required","code":12}"#)).unwrap_err();
    assert_eq!((asked.disposition, asked.code.as_ref()), (retry, "hec_12"));
}

/// Guards that the time which the destination named reaches the lane.
#[test]
fn retry_after_is_handed_on() {
    let after = Some(Duration::from_secs(9));
    for (status, code) in [(503, 9), (429, 26), (500, 8)] {
        let answer = Answer { retry_after: after, ..reply(status, code) };
        assert_eq!(disposition(&answer), Disposition::Retry { after });
    }
    let answer = Answer { retry_after: after, ..Answer::new(429, "slow down") };
    assert_eq!(disposition(&answer), Disposition::Retry { after });
    let answer = Answer { retry_after: after, ..reply(200, 24) };
    assert_eq!(judge(&answer, 4).unwrap().slow_down, after);
}

/// Guards that the probe takes "no data" as the yes that it is, and nothing else.
#[test]
fn the_probe_reads_the_token() {
    let code = |result: Result<(), Error>| result.unwrap_err().code;
    assert_eq!(judge_probe(&reply(400, 5)), Ok(()));
    assert_eq!(code(judge_probe(&reply(403, 4))), "hec_4");
    assert_eq!(code(judge_probe(&reply(401, 2))), "hec_2");
    assert_eq!(code(judge_probe(&reply(400, 10))), "hec_10");
    assert_eq!(code(judge_probe(&reply(200, 0))), "hec_0");
    assert_eq!(code(judge_probe(&Answer::new(404, "no"))), "http_404");
    assert_eq!(judge_health(&reply(200, 17)), Ok(()));
    assert_eq!(judge_health(&Answer::new(404, "")), Ok(()));
    assert_eq!(code(judge_health(&reply(503, 18))), "hec_18");
}

/// Guards that a misspelled option, a level that is none and a missing endpoint are refused.
#[test]
fn options_are_strict() {
    let written = r#"{"endpoint":"https://h","token":{"env":"T"}"#;
    for (more, part) in [
        (r#","tokenz":1}"#, "unknown field `tokenz`"),
        (r#","mode":"hec"}"#, "unknown variant `hec`"),
        (r#","compression_level":13}"#, "13 is no compression level"),
        (r#","format":"xml"}"#, "unknown variant `xml`"),
        (r#","http":{"timeout":"1s"}}"#, "unknown field `timeout`"),
    ] {
        let error = serde_json::from_str::<SplunkHecOptions>(&format!("{written}{more}")).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Guards that options which contradict each other are refused, with the option that is at fault.
#[test]
fn options_fit_together() {
    let token = json!({ "env": "PATH" });
    let (one, two) = ("https://a.example.com", "https://b.example.com");
    for (more, option) in [
        (json!({}), "endpoint"),
        (json!({ "endpoint": one, "endpoints": [two] }), "endpoint"),
        (json!({ "endpoint": one, "index": "{log_typ}" }), "index"),
        (json!({ "endpoint": one, "host": "a\nb" }), "host"),
        (json!({ "endpoint": one, "source": "" }), "source"),
        (json!({ "endpoint": one, "tokens": { "audit": { "env": "SIEMLINE_TEST_NOT_SET" } } }), "tokens"),
        (
            json!({ "endpoint": one, "acknowledgement": true, "acknowledgement_interval": "0s" }),
            "acknowledgement_interval",
        ),
        (
            json!({ "endpoint": one, "acknowledgement": true, "acknowledgement_timeout": "1s" }),
            "acknowledgement_interval",
        ),
        (
            json!({ "endpoint": one, "acknowledgement": true, "lane": { "request_timeout": "5m" } }),
            "lane.request_timeout",
        ),
    ] {
        let mut written = more.clone();
        written["token"] = token.clone();
        let options: SplunkHecOptions = serde_json::from_value(written).unwrap();
        let error = SplunkHec::new(&options).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{option}: ")), "{more}: {error}");
    }
    for more in [json!({ "endpoint": one, "lane": { "request_timeout": "1s" } }), json!({ "endpoints": [one, two] })] {
        let mut written = more;
        written["token"] = token.clone();
        SplunkHec::new(&serde_json::from_value(written).unwrap()).unwrap();
    }
}

/// Guards that a request's time includes the wait for its acknowledgement, unless somebody wrote another.
#[test]
fn the_lane_waits_for_acknowledgements() {
    assert_eq!(options(&json!({})).lane_defaults(), SplunkHecOptions::LANE);
    let defaults = options(&json!({ "acknowledgement": true, "acknowledgement_timeout": "10m" })).lane_defaults();
    assert_eq!(defaults.request_timeout.0, Duration::from_secs(690));
    assert_eq!(
        (defaults.requests_in_flight_max, defaults.batch_bytes_max),
        (32, SplunkHecOptions::LANE.batch_bytes_max)
    );
}

fn bucket(framing: &Framing, log_type: &str) -> Vec<u8> {
    let mut block = sample::block(r#"{"cloud":{"region":"eu-west-1"},"finding_info":{"title":"A b\nc"}}"#, b"{}");
    block.rows[0].log_type = log_type.into();
    let mut out = Vec::new();
    framing.push_bucket(block.event(0).unwrap(), &mut out);
    out
}

/// Guards that a batch to the event endpoint has one index and nothing else in common, and that its envelopes name the same
/// index.
#[test]
fn a_batch_has_one_index() {
    let of = |more: Value| Framing::new(&options(&more)).unwrap();
    assert_eq!(bucket(&of(json!({ "source": "{log_type}" })), "aws.waf"), b"");
    assert_eq!(bucket(&of(json!({ "index": "Sec" })), "aws.waf"), b"Sec");
    let filled = json!({ "index": "aws-{finding_info.title}_{log_type}", "host": "{account:-}", "source": "{finding_info.title}" });
    assert_eq!(bucket(&of(filled.clone()), "aws.waf"), b"aws-a_b_c_aws_waf");
    let frame: Value =
        serde_json::from_str(&framed(&filled, r#"{"finding_info":{"title":"A b\nc"}}"#, b"", 1000)).unwrap();
    assert_eq!((&frame["index"], &frame["source"]), (&json!("aws-a_b_c_aws_guardduty"), &json!("A b_c")));
    assert_eq!(frame.get("host"), None, "an empty text is not told");
    let long = framed(
        &json!({ "index": "{finding_info.title}" }),
        &format!(r#"{{"finding_info":{{"title":"{}"}}}}"#, "x".repeat(999)),
        b"",
        0,
    );
    let long: Value = serde_json::from_str(&long).unwrap();
    assert_eq!(long["index"].as_str().unwrap().len(), 80);
}

/// Guards that an event with odd values cannot make texts without bound.
#[test]
fn texts_are_bounded() {
    let framing = Framing::new(&options(&json!({ "index": "i-{log_type}", "texts_max": 2 }))).unwrap();
    let buckets = ["a", "b", "c", "a"].map(|log_type| String::from_utf8(bucket(&framing, log_type)).unwrap());
    assert_eq!(buckets, ["i-a", "i-b", "i-other", "i-a"]);
}

/// Guards that a raw batch has all its metadata in common, that the query says it, and that each event is one line.
#[test]
fn raw_mode_tells_metadata_in_the_query() {
    let more = json!({ "mode": "raw", "format": "raw", "index": "i", "source": "s&t={log_type}" });
    let framing = Framing::new(&options(&more)).unwrap();
    let bucket = bucket(&framing, "aws.waf");
    assert_eq!(bucket, b"i\n\ns&t=aws.waf\naws:firehose:json\n");
    assert_eq!(index_of(&bucket), b"i");
    let raw = Url::parse("https://h/services/collector/raw").unwrap();
    let expected = "https://h/services/collector/raw?index=i&source=s%26t%3Daws.waf&sourcetype=aws%3Afirehose%3Ajson";
    assert_eq!(raw_url(&raw, &bucket).as_str(), expected);
    assert_eq!(raw_url(&raw, b"").as_str(), raw.as_str());
    for (event, line) in [
        (&b"{\"a\":1}"[..], "{\"a\":1}\n"),
        (b"2 1 eni", "2 1 eni\n"),
        (b"a\nb", "\"a\\nb\"\n"),
        (b" ", "\" \"\n"),
        (b"\xff", "\u{fffd}\n"),
    ] {
        assert_eq!(framed(&more, "{}", event, 0), line);
    }
    assert_eq!(framed(&json!({ "mode": "raw" }), r#"{"class_uid":1}"#, b"", 0), "{\"class_uid\":1}\n");
}

/// Guards what a batch that is to be acknowledged is told: without an id nothing is delivered, and those before a cut are
/// not either, because no id speaks for them.
#[test]
fn a_success_without_an_id_delivers_nothing() {
    let answer = |status, body: Value| Answer::new(status, body.to_string());
    let taken = judge_taken(&answer(200, json!({ "text": "Success", "code": 0, "ackId": 7 })), 4);
    assert_eq!(taken, Ok(Taken::Awaits { ack_id: 7, slow_down: None }));
    let taken = judge_taken(&answer(200, json!({ "text": "near", "code": 24, "ackId": 0 })), 4);
    assert_eq!(taken, Ok(Taken::Awaits { ack_id: 0, slow_down: Some(Duration::from_secs(1)) }));
    let error = judge_taken(&reply(200, 0), 4).unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "no_ack_id"));
    assert_eq!(judge_taken(&reply(503, 9), 4).unwrap_err().disposition, Disposition::Retry { after: None });
    let cut = judge_taken(&answer(400, json!({ "text": "no", "code": 6, "invalid-event-number": 2, "ackId": 1 })), 4);
    let verdicts = vec![Verdict::unspoken(), Verdict::unspoken(), Verdict::refused("hec_6", "no")];
    assert_eq!(cut, Ok(Taken::Settled(Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None })));
}

/// Guards that a poll tells what it says and nothing more: whatever else is answered, nobody is delivered.
#[test]
fn a_poll_tells_what_it_says() {
    let poll = |status, body: &str| judge_poll(&Answer::new(status, body));
    assert_eq!(poll(200, r#"{"acks":{"0":true,"1":false,"12":true,"x":true}}"#), Ok([0, 12].into()));
    assert_eq!(poll(200, r#"{"acks":{}}"#), Ok([].into()));
    let (retry, pause) = (Disposition::Retry { after: None }, Disposition::Pause);
    for (status, body, expected) in [
        (200, "", retry),
        (200, r#"{"acks":{"0":"true"}}"#, retry),
        (200, r#"{"acks":{"0":tr"#, retry),
        (200, r#"{"text":"Success","code":0}"#, retry),
        (200, "<html>", pause),
        (500, r#"{"acks":{"0":true}}"#, retry),
        (400, r#"{"text":"ACK is disabled","code":14}"#, pause),
        (400, r#"{"text":"Data channel is missing","code":10}"#, pause),
        (400, r#"{"text":"Invalid data format","code":6}"#, retry),
        (403, r#"{"text":"Invalid token","code":4}"#, pause),
        (404, "", pause),
        (413, "", retry),
        (503, r#"{"text":"busy","code":9}"#, retry),
    ] {
        assert_eq!(poll(status, body).unwrap_err().disposition, expected, "{status} {body}");
    }
}
