//! Guards what needs no server: messages, headers, options, and what each answer means.

use std::time::Duration;

use super::SumoOptions;
use super::request::{Metadata, headers, push};
use super::response::{judge, judge_probe};
use super::sink::Sumo;
use crate::delivery::Disposition;
use crate::http::Answer;
use crate::sink::Format;
use crate::sink::sample::block;

const OCSF: &str = r#"{"class_uid":2004,"finding_info":{"uid":"F,1=ü","title":"t"}}"#;

fn options(more: &str) -> SumoOptions {
    toml::from_str(&format!("url = {{ file = \"/nowhere\" }}\n{more}")).unwrap()
}

/// The headers of the event's request, and how many of their texts were cut.
fn head(more: &str, ocsf: &str) -> (Vec<(String, String)>, usize) {
    let block = block(ocsf, b"");
    let mut bucket = Vec::new();
    let cut = Metadata::new(&options(more)).unwrap().push_bucket(block.event(0).unwrap(), &mut bucket);
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    (headers(&bucket).map(|(name, value)| (name.to_owned(), text(value))).collect(), cut)
}

/// Guards what a request says about its messages: only what was configured, filled in, in a form that headers can carry.
#[test]
fn headers_say_what_was_configured() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (more, expected) in [
        ("", vec![]),
        (r#"category = "aws/{log_type}""#, vec![pair("x-sumo-category", "aws/aws.guardduty")]),
        (
            "name = \"{source}\"\nhost = \"{account}\"",
            vec![pair("x-sumo-name", "findings"), pair("x-sumo-host", "unknown")],
        ),
        // What is filled in cannot end a value, or begin a field.
        (
            r#"fields = { uid = "{finding_info.uid}", team = "sec ops", none = "{region:-}" }"#,
            vec![pair("x-sumo-fields", "team=sec ops,uid=F_1__")],
        ),
        (r#"host = "{finding_info.uid}""#, vec![pair("x-sumo-host", "F,1=_")]),
        (r#"host = "{account:-}""#, vec![]),
    ] {
        assert_eq!(head(more, OCSF), (expected, 0), "{more}");
    }
}

/// Guards Sumo's bounds on texts: what is too long is cut and counted, and no event can make a request of its own kind for
/// ever.
#[test]
fn texts_are_bounded() {
    let long = format!(r#"{{"finding_info":{{"uid":"{}"}}}}"#, "x".repeat(5000));
    let more = "host = \"{finding_info.uid}\"\nfields = { a = \"{finding_info.uid}\", b = \"b\" }";
    let (head, cut) = head(more, &long);
    assert_eq!(cut, 2);
    assert_eq!(head.iter().map(|(_, value)| value.len()).collect::<Vec<_>>(), [1024, 2 + 200 + 4]);

    let metadata = Metadata::new(&options("texts_max = 2\nfields = { uid = \"{finding_info.uid}\" }")).unwrap();
    let bucket = |uid: u32| {
        let block = block(&format!(r#"{{"finding_info":{{"uid":"{uid}"}}}}"#), b"");
        let mut bucket = Vec::new();
        metadata.push_bucket(block.event(0).unwrap(), &mut bucket);
        String::from_utf8(bucket).unwrap().trim().to_owned()
    };
    assert_eq!([1, 2, 3, 1].map(bucket), ["uid=1", "uid=2", "uid=other", "uid=1"]);
}

/// Guards that every event is one message of one line, whatever it is.
#[test]
fn an_event_is_a_line() {
    for (format, raw, expected) in [
        (Format::Ocsf, b"".as_slice(), OCSF.as_bytes()),
        (Format::Ecs, b"", br#"{"ecs":1}"#),
        (Format::Raw, b"2 111122223333 eni-1 - -", b"2 111122223333 eni-1 - -"),
        (Format::Raw, b"{\"a\":\n 1}", b"{\"a\":  1}"),
        (Format::Raw, b"one\ntwo", br#""one\ntwo""#),
        (Format::Raw, b"one\r", br#""one\r""#),
        (Format::Raw, b"", br#""""#),
        (Format::Raw, b"caf\xff", "caf\u{fffd}".as_bytes()),
    ] {
        let block = block(OCSF, raw);
        let mut out = Vec::new();
        push(format, block.event(0).unwrap(), &mut out);
        assert_eq!(out.strip_suffix(b"\n").unwrap(), expected, "{format:?} {raw:?}");
    }
}

/// Guards that a configuration which Sumo would drop data for is told at the start, and that no message shows a secret.
#[test]
fn mistakes_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    let many: Vec<String> = (0..31).map(|number| format!("f{number} = \"x\"")).collect();
    let many = format!("fields = {{ {} }}", many.join(", "));
    let long = format!("fields = {{ a = \"{}\" }}", "x".repeat(201));
    let url = "https://collectors.example.com/receiver/v1/http/secret-EXAMPLE";
    for (url, more, part) in [
        (url, many.as_str(), "31 fields are written, and Sumo takes 30 at most"),
        (url, &long, "longer than the 200 characters"),
        (url, "fields = { a = \"x,y\" }", "would end the value"),
        (url, "fields = { \"a b\" = \"x\" }", "`a b` is no name of a field"),
        (url, "category = \"caf\u{e9}\"", "more than visible ASCII"),
        (url, "host = \"{log_typ}\"", "did you mean {log_type}?"),
        (url, "token = { file = \"/nowhere/token\" }", "token: cannot read the secret's file"),
        (url, "[lane]\nbatch_bytes_max = \"2MB\"", "Sumo takes 1 MB before compression at most"),
        ("secret-EXAMPLE", "", "holds no address of an HTTP source"),
        ("ftp://example.com/secret-EXAMPLE", "", "holds no address of an HTTP source"),
    ] {
        std::fs::write(&path, url).unwrap();
        let text = format!("url = {{ file = '{}' }}\n{more}", path.display());
        let error = Sumo::new(&toml::from_str(&text).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{more}: {error}");
        assert!(!error.contains("EXAMPLE"), "{error}");
    }
}

/// Guards what every answer means: the documented ones, and those of what may stand between.
#[test]
fn answers_are_judged() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    for (status, retry_after, body, disposition, part) in [
        (401, None, "", Disposition::Pause, "copy it again from the HTTP source"),
        (403, None, "", Disposition::Pause, "copy it again"),
        (404, None, "not found", Disposition::Pause, "check the address; answered 404: not found"),
        (408, None, "", retry(None), "try again"),
        (429, None, r#"{"status":429,"code":"rate.limit","message":"quota"}"#, retry(None), "rate.limit: quota"),
        (429, Some(7), "", retry(Some(7)), "quota or rate is used up"),
        (503, None, "<html>busy</html>", retry(None), "try again"),
        (504, Some(3), "", retry(Some(3)), "try again"),
        (400, None, "", Disposition::Refuse, "refused"),
        (413, None, "", Disposition::Split, "larger than Sumo takes"),
        (415, None, "", Disposition::Pause, "compression = \"gzip\""),
        (407, None, "", Disposition::Pause, "http.proxy_password"),
        (301, None, "", Disposition::Pause, "has moved"),
        (204, None, "", Disposition::Pause, "does not know"),
        (200, None, "<html><form>sign in</form></html>", Disposition::Pause, "a web page answers"),
    ] {
        let answer = Answer { retry_after: retry_after.map(Duration::from_secs), ..Answer::new(status, body) };
        let error = judge(&answer).unwrap_err();
        assert_eq!((error.disposition, error.code), (disposition, answer.code().into()), "{status}");
        assert!(error.words.contains(part), "{status}: {}", error.words);
    }
    for (body, complaint) in [
        ("", None),
        (" \n", None),
        (
            r#"{"status":200,"id":"I","code":"bad.http.header.fields","message":"Field f1 is not known"}"#,
            Some("bad.http.header.fields: Field f1 is not known"),
        ),
        (r#"{"id":"I","errors":[{"code":"c","message":"m"},{"code":"d"}]}"#, Some("c: m")),
        (r#"{"message":"only words"}"#, Some("only words")),
        (r#"{"status":20"#, Some(r#"{"status":20"#)),
    ] {
        assert_eq!(judge(&Answer::new(200, body)), Ok(complaint.map(str::to_owned)), "{body}");
    }
}

/// Guards the question of `check`: an empty request is judged by what it says of the address.
#[test]
fn the_probe_is_judged() {
    for (status, is_good) in [(200, true), (400, true), (401, false), (404, false), (503, false)] {
        assert_eq!(judge_probe(&Answer::new(status, "")).is_ok(), is_good, "{status}");
    }
}
