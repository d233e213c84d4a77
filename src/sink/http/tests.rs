//! Guards what needs no server: bodies, options, and what each answer means.

use std::time::Duration;

use serde_json::json;

use super::response::{Success, judge, judge_check};
use super::sink::HttpSink;
use super::{BodyForm, HttpSinkOptions, VerifyBodyOptions};
use crate::delivery::{Batch, Disposition};
use crate::http::Answer;
use crate::sink::Format;
use crate::sink::sample::block;

/// Guards both forms of a body, for one event and for several, in JSON and in text.
#[test]
fn events_make_a_body() {
    for (form, raw, one, two) in [
        (BodyForm::Ndjson, b"{\"a\":1}".as_slice(), "{\"a\":1}\n", "{\"a\":1}\n{\"a\":1}\n"),
        (BodyForm::Ndjson, b"one\ntwo,", "\"one\\ntwo,\"\n", "\"one\\ntwo,\"\n\"one\\ntwo,\"\n"),
        (BodyForm::JsonArray, b"{\"a\":\n1}", "[{\"a\": 1}]", "[{\"a\": 1},{\"a\": 1}]"),
        (BodyForm::JsonArray, b"text,", "[\"text,\"]", "[\"text,\",\"text,\"]"),
    ] {
        let block = block("{}", raw);
        let mut batch = Batch::default();
        for expected in [one, two] {
            batch.push(|out| form.push(Format::Raw, block.event(0).unwrap(), out));
            assert_eq!(std::str::from_utf8(&form.body(&batch)).unwrap(), expected);
        }
    }
    let block = block(r#"{"class_uid":2004}"#, b"");
    let mut out = Vec::new();
    BodyForm::JsonArray.push(Format::Ocsf, block.event(0).unwrap(), &mut out);
    assert_eq!(out, br#"{"class_uid":2004},"#);
}

/// Guards that a configuration which contradicts itself is told at the start, and that no message shows a secret.
#[test]
fn mistakes_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "hunter2").unwrap();
    let secret = format!("{{ file = '{}' }}", path.display());
    for (text, part) in [
        ("", "write either `url` or `secret_url`"),
        ("url = 'https://a.example.com'\nsecret_url = SECRET", "write either `url` or `secret_url`"),
        ("secret_url = SECRET", "secret_url: this is no URL"),
        ("url = 'ftp://a.example.com'", "url: it starts with https:// or http://"),
        ("url = 'https://u:hunter2@a.example.com'", "secrets are given as references"),
        ("url = 'https://a.example.com/#x'", "what follows `#` is never sent"),
        ("url = 'https://a.example.com'\nheaders = { 'a b' = 'x' }", "`a b` is no name of a header"),
        ("url = 'https://a.example.com'\nheaders = { a = \"x\\ny\" }", "cannot carry"),
        ("url = 'https://a.example.com'\nheaders = { Content-Encoding = 'br' }", "is written by siemline"),
        ("url = 'https://a.example.com'\nheaders = { A = 'x', a = 'y' }", "`a` is written twice"),
        (
            "url = 'https://a.example.com'\nbearer_token = SECRET\nsecret_headers = { Authorization = SECRET }",
            "`authorization` is written twice",
        ),
        ("url = 'https://a.example.com'\nbearer_token = SECRET\nusername = 'u'", "write either `bearer_token`"),
        ("url = 'https://a.example.com'\nusername = 'u'", "belong together"),
        ("url = 'https://a.example.com'\nverify_body = { pointer = 'failed', equals = 0 }", "begins with a slash"),
        ("url = 'https://a.example.com'\ncheck_url = 'a.example.com'", "check_url: this is no URL"),
    ] {
        let options: HttpSinkOptions = toml::from_str(&text.replace("SECRET", &secret)).unwrap();
        let error = HttpSink::new(&options).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// Guards what every status means, and that a status which the configuration lists means success whatever else it would.
#[test]
fn answers_are_judged() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    let any = Success { statuses: Vec::new(), verify: None };
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(judge(&Answer::new(status, "whatever"), &any), Ok(()), "{status}");
    }
    for (status, retry_after, disposition, part) in [
        (400, None, Disposition::Refuse, "refused"),
        (422, None, Disposition::Refuse, "refused"),
        (413, None, Disposition::Split, "larger"),
        (401, None, Disposition::Pause, "credentials"),
        (403, None, Disposition::Pause, "credentials"),
        (404, None, Disposition::Pause, "check `url`"),
        (405, None, Disposition::Pause, "`method`"),
        (407, None, Disposition::Pause, "http.proxy_password"),
        (415, None, Disposition::Pause, "`content_type`"),
        (302, None, Disposition::Pause, "redirects are not followed"),
        (418, None, Disposition::Pause, "does not know"),
        (408, None, retry(None), "try again"),
        (425, None, retry(None), "try again"),
        (429, Some(5), retry(Some(5)), "try again"),
        (500, None, retry(None), "try again"),
        (503, Some(9), retry(Some(9)), "try again"),
    ] {
        let answer = Answer { retry_after: retry_after.map(Duration::from_secs), ..Answer::new(status, "words") };
        let error = judge(&answer, &any).unwrap_err();
        assert_eq!((error.disposition, error.code), (disposition, answer.code().into()), "{status}");
        assert!(error.words.contains(part) && error.words.ends_with("words"), "{status}: {}", error.words);
    }
    let listed = Success { statuses: vec![202, 409], verify: None };
    assert_eq!(judge(&Answer::new(409, ""), &listed), Ok(()));
    assert_eq!(judge(&Answer::new(200, ""), &listed).unwrap_err().disposition, Disposition::Pause);
    for page in ["<!DOCTYPE html><p>sign in", "  <HTML>"] {
        assert_eq!(judge(&Answer::new(200, page), &any).unwrap_err().disposition, Disposition::Pause, "{page}");
    }
}

/// Guards that a success which tells of failures in its body is none.
#[test]
fn bodies_are_verified() {
    let verify = VerifyBodyOptions { pointer: "/failed".to_owned(), equals: json!(0) };
    let success = Success { statuses: Vec::new(), verify: Some(verify) };
    let judged = |answer: &Answer| judge(answer, &success).map_err(|error| error.disposition);
    for (body, expected) in [
        (r#"{"ingested":2,"failed":0}"#, Ok(())),
        (r#"{"ingested":1,"failed":1}"#, Err(Disposition::Refuse)),
        (r#"{"failed":"0"}"#, Err(Disposition::Refuse)),
        (r#"{"ingested":2}"#, Err(Disposition::Pause)),
        ("<html>sign in</html>", Err(Disposition::Pause)),
        ("", Err(Disposition::Pause)),
    ] {
        assert_eq!(judged(&Answer::new(200, body)), expected, "{body}");
    }
    let cut = Answer { truncated: true, ..Answer::new(200, r#"{"ingested":2,"fai"#) };
    assert_eq!(judged(&cut), Err(Disposition::Retry { after: None }));
}

/// Guards what `check` makes of an answer: HEAD of an address says little, a question of one's own says what it says.
#[test]
fn the_question_of_check_is_judged() {
    let success = Success { statuses: Vec::new(), verify: None };
    for (status, of_head, of_own) in [
        (200, true, true),
        (403, true, false),
        (404, true, false),
        (405, true, false),
        (401, false, false),
        (407, false, false),
        (503, false, false),
    ] {
        let judged = |is_own| judge_check(&Answer::new(status, ""), &success, is_own).is_ok();
        assert_eq!((judged(false), judged(true)), (of_head, of_own), "{status}");
    }
}
