//! Guards that what a path names is gone from everything that is made of an event, and that nothing else is touched.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{RedactOptions, Redactions, Redactor};
use crate::envelope::{Context, Event, Field, Form};
use crate::normalize::mapping::Sources;
use crate::normalize::{Mappings, Normalizer, digest};
use crate::ocsf::{Table, validate};

fn mappings() -> Arc<Mappings> {
    static MAPPINGS: OnceLock<Arc<Mappings>> = OnceLock::new();
    let load = || {
        let loaded = Sources::embedded().load(Table::v1_8()).unwrap();
        let mut mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).unwrap();
        mappings.keep_raw();
        Arc::new(mappings)
    };
    Arc::clone(MAPPINGS.get_or_init(load))
}

fn redactor(text: &str) -> Redactor {
    let options: RedactOptions = toml::from_str(text).unwrap();
    Redactor::new(&Redactions::new([("r", &options)]).unwrap(), &mappings()).unwrap()
}

/// A body redacted as one of this log type; as it is, where there is nothing to redact.
fn redacted(paths: &str, log_type: &str, form: Form, body: &str) -> String {
    let (redactor, context) = (redactor(paths), Context::default());
    let event = Event { index: 0, body: body.as_bytes(), form, context: &context };
    let redacted = redactor.apply(log_type, &event);
    let body = redacted.as_ref().map_or(event.body, |redacted| redacted.event(&event).body);
    String::from_utf8(body.to_vec()).unwrap()
}

/// Guards each action on values of each kind, in objects and arrays, at either end and in the middle.
#[test]
fn actions_on_documents() {
    let cases = [
        ("paths = ['b']", r#"{"a":1,"b":"x","c":2}"#, r#"{"a":1,"b":"***","c":2}"#),
        ("paths = ['b']\naction = 'drop'", r#"{"a":1,"b":"x","c":2}"#, r#"{"a":1,"c":2}"#),
        ("paths = ['a']\naction = 'drop'", r#"{"a":1,"b":"x"}"#, r#"{"b":"x"}"#),
        ("paths = ['a','b']\naction = 'drop'", r#" { "a" : 1 , "b" : 2 } "#, " {} "),
        (
            "paths = ['a']",
            r#"{"a":{"b":[1,true,null,"x",{"c":1.5e3}],"d":{}}}"#,
            r#"{"a":{"b":["***","***",null,"***",{"c":"***"}],"d":{}}}"#,
        ),
        ("paths = ['a.b']", r#"{"a":[{"b":1},{"c":2},[{"b":"x"}]]}"#, r#"{"a":[{"b":"***"},{"c":2},[{"b":"***"}]]}"#),
        ("paths = ['a[].b']", r#"{"a":[{"b":1}],"b":2}"#, r#"{"a":[{"b":"***"}],"b":2}"#),
        ("paths = ['a.*']", r#"{"a":{"x":1,"y":{"z":2}},"b":3}"#, r#"{"a":{"x":"***","y":{"z":"***"}},"b":3}"#),
        ("paths = ['*.k']", r#"{"a":{"k":1},"k":2}"#, r#"{"a":{"k":"***"},"k":2}"#),
        ("paths = ['**.k']", r#"{"a":[{"b":{"k":1}}],"k":2,"kk":3}"#, r#"{"a":[{"b":{"k":"***"}}],"k":"***","kk":3}"#),
        ("paths = ['a.**.k']", r#"{"a":{"k":1,"b":{"k":2}},"k":3}"#, r#"{"a":{"k":"***","b":{"k":"***"}},"k":3}"#),
        ("paths = ['Pass']", r#"{"pASS":1,"pa\u0073s":2}"#, r#"{"pASS":"***","pa\u0073s":"***"}"#),
        ("paths = ['\"a.b\".c']", r#"{"a.b":{"c":1},"a":{"b":{"c":2}}}"#, r#"{"a.b":{"c":"***"},"a":{"b":{"c":2}}}"#),
        // What is not meant stays as it is spelled.
        (
            "paths = ['b']",
            r#"{"a":123456789012345678901234567890,"b":1,"c":1.0,"d":"\u00e9\/"}"#,
            r#"{"a":123456789012345678901234567890,"b":"***","c":1.0,"d":"\u00e9\/"}"#,
        ),
        ("paths = ['x']", "{ \"a\" : [ 1 , 2 ] }", "{ \"a\" : [ 1 , 2 ] }"),
        // A string that holds JSON, twice even; what is none is left alone.
        ("paths = ['a.b']", r#"{"a":"{\"b\":\"x\",\"c\":1}"}"#, r#"{"a":"{\"b\":\"***\",\"c\":1}"}"#),
        (
            "paths = ['**.b']",
            r#"{"a":"[{\"d\":\"{\\\"b\\\":1}\"}]"}"#,
            r#"{"a":"[{\"d\":\"{\\\"b\\\":\\\"***\\\"}\"}]"}"#,
        ),
        (
            "paths = ['a.b']",
            r#"{"a":"{b} is not meant","c":"{\"b\":1}"}"#,
            r#"{"a":"{b} is not meant","c":"{\"b\":1}"}"#,
        ),
        ("paths = ['a.b']", r#"{"a":"{\"b\":1}\n{\"b\":2}"}"#, r#"{"a":"{\"b\":\"***\"}\n{\"b\":\"***\"}"}"#),
        // Where the structure breaks, the rest is masked.
        ("paths = ['**.b']", r#"{"a":1,"c":{"d":"tr"#, r#"{"a":1,"c":{"d":"***""#),
        ("paths = ['a.b']", r#"{"a":"{\"c\":1,\"b\":\"x","z":1}"#, r#"{"a":"{\"c\":1,\"b\":\"***\"","z":1}"#),
    ];
    for (paths, body, expected) in cases {
        assert_eq!(redacted(paths, "base", Form::Json, body), expected, "{paths}");
    }
    let deep = format!("{}{}{}", r#"{"a":"#.repeat(300), r#""secret""#, "}".repeat(300));
    assert!(
        !redacted("paths = ['**.b']", "base", Form::Json, &deep).contains("secret"),
        "too deep to be followed: masked"
    );
}

/// Guards hashes: keyed, the same for the same text in JSON and in a column, another under another key.
#[test]
fn hashes_are_keyed() {
    let directory = tempfile::tempdir().unwrap();
    let paths = |key: &str, paths: &str| {
        let file = directory.path().join(key);
        std::fs::write(&file, format!("a long secret key {key}")).unwrap();
        format!("paths = [{paths}]\naction = 'hash'\nkey = {{ file = '{}' }}", file.display())
    };
    let json = redacted(&paths("one", "'b'"), "base", Form::Json, r#"{"b":"10.0.0.1","c":1}"#);
    let json: Value = serde_json::from_str(&json).unwrap();
    let hash = json["b"].as_str().unwrap();
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let line = redacted(
        &paths("one", "'srcaddr'"),
        "aws.vpc_flow",
        Form::Text,
        "2 111122223333 eni-1 10.0.0.1 10.0.0.2 1 2 6",
    );
    assert_eq!(line, format!("2 111122223333 eni-1 {hash} 10.0.0.2 1 2 6"));
    let other = redacted(&paths("two", "'b'"), "base", Form::Json, r#"{"b":"10.0.0.1"}"#);
    assert!(!other.contains(hash));
    let number = redacted(&paths("one", "'b'"), "base", Form::Json, r#"{"b":5}"#);
    assert_eq!(number, redacted(&paths("one", "'b'"), "base", Form::Json, r#"{"b":"5"}"#).as_str());
}

/// Guards lines of text: by their columns, in quotes too, and as JSON where they are.
#[test]
fn lines_are_redacted() {
    let flow = "2 111122223333 eni-1 10.0.0.1 - 1 2 6 1 1 1 2 ACCEPT OK";
    let line = redacted("paths = ['srcaddr', 'dstaddr']", "aws.vpc_flow", Form::Text, flow);
    assert_eq!(line, flow.replace("10.0.0.1", "***"));
    let line = redacted("paths = ['srcaddr']\naction = 'drop'", "aws.vpc_flow", Form::Text, flow);
    assert_eq!(line, flow.replace("10.0.0.1", "-"));
    let alb = r#"https 2026-01-01T00:00:00Z app/x 10.0.0.1:5 - -1 -1 -1 200 - 1 2 "GET https://h/p?t=secret HTTP/1.1" "agent x""#;
    let line = redacted("paths = ['request']", "aws.alb", Form::Text, alb);
    assert_eq!(line, alb.replace("GET https://h/p?t=secret HTTP/1.1", "***"));
    let json = redacted("paths = ['b']", "base", Form::Text, "{\"a\":1,\"b\":\"x\"}\n{\"b\":2} tail");
    assert_eq!(json, "{\"a\":1,\"b\":\"***\"}\n{\"b\":\"***\"} tail");
    assert_eq!(redacted("paths = ['**.b']", "base", Form::Text, "fn {b} x"), "fn {b} x");
}

/// Everything that is made of an event, with and without what was redacted.
fn made_of(redactor: &Redactor, event: &Event<'_>) -> (String, Value) {
    let mut normalizer = Normalizer::new(mappings());
    let mut out = Vec::new();
    let log_type = normalizer.normalize(event, &digest(event.body), &mut out).log_type;
    let redacted = redactor.apply(&log_type, event);
    let event = redacted.as_ref().map_or(*event, |redacted| redacted.event(event));
    out.clear();
    normalizer.normalize(&event, &digest(event.body), &mut out);
    let document: Value = serde_json::from_slice(&out).unwrap();
    let problems: Vec<_> =
        validate(&document).into_iter().filter(|problem| problem.severity() == crate::ocsf::Severity::Error).collect();
    assert!(problems.is_empty(), "{problems:?}");
    (format!("{}{}", String::from_utf8_lossy(event.body), String::from_utf8_lossy(&out)), document)
}

/// Guards the promise: a planted value is in nothing that is made of the event, with each action, be it at its own place, in
/// a string of JSON that repeats it, in a column, or in what the envelope told; and the event stays valid OCSF.
#[test]
fn a_planted_value_is_nowhere() {
    const PLANTED: &str = "planted.example.com";
    const ADDRESS: &str = "198.51.100.77";
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "0123456789abcdef").unwrap();
    let guardduty = json!({
        "schemaVersion": "2.0", "accountId": "111122223333", "region": "eu-west-1", "partition": "aws", "id": "1",
        "arn": "arn:aws:guardduty:eu-west-1:111122223333:detector/d/finding/1",
        "type": "Trojan:EC2/DNSDataExfiltration", "severity": 8, "title": "t", "description": "d",
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
        "resource": { "resourceType": "Instance", "instanceDetails": { "instanceId": "i-1" } },
        "service": {
            "serviceName": "guardduty", "count": 1,
            "action": { "actionType": "DNS_REQUEST", "dnsRequestAction": { "domain": PLANTED, "protocol": "UDP" } },
            "additionalInfo": { "threat": PLANTED, "value": json!({ "threat": PLANTED }).to_string(), "type": "default" }
        }
    })
    .to_string();
    let trail = json!({
        "eventVersion": "1.09", "eventTime": "2026-01-01T00:00:00Z", "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser", "awsRegion": "us-east-1", "sourceIPAddress": ADDRESS, "eventID": "e",
        "userIdentity": { "type": "IAMUser", "userName": PLANTED, "accountId": "111122223333" },
        "requestParameters": { "userName": "target", "policyDocument": json!({ "Note": PLANTED }).to_string() },
        "eventType": "AwsApiCall", "recipientAccountId": "111122223333"
    })
    .to_string();
    let flow = format!("2 111122223333 eni-1 {ADDRESS} 10.0.0.2 1 2 6 1 1 1700000000 1700000060 ACCEPT OK");
    let mut told = Context::default();
    told.set(Field::LogStream, PLANTED);
    told.set(Field::Extracted, &json!({ "srcaddr": ADDRESS, "dstaddr": "10.0.0.2" }).to_string());
    let none = Context::default();
    let app = format!("{{\"level\":\"info\",\"user\":{{\"Mail\":\"{PLANTED}\"}}}}");
    let cut = format!("{{\"level\":\"info\",\"user\":{{\"Mail\":\"{PLANTED}");
    let cases: [(&str, Form, &str, &Context); 7] = [
        ("'service.action.dnsRequestAction.domain', 'service.additionalInfo.threat'", Form::Json, &guardduty, &none),
        ("'**.domain', '**.threat'", Form::Json, &guardduty, &none),
        (
            "'userIdentity.userName', 'sourceIPAddress', 'requestParameters.policyDocument.note'",
            Form::Json,
            &trail,
            &none,
        ),
        ("'srcaddr', '@envelope.log_stream'", Form::Text, &flow, &told),
        ("'user.mail'", Form::Json, &app, &none),
        ("'**.mail'", Form::Text, &app, &none),
        ("'**.mail'", Form::Text, &cut, &none),
    ];
    for (paths, form, body, context) in cases {
        let event = Event { index: 0, body: body.as_bytes(), form, context };
        let untouched = made_of(&Redactor::default(), &event).0;
        assert!(untouched.contains(PLANTED) || untouched.contains(ADDRESS), "it was there: {untouched}");
        for action in
            ["action = 'mask'", "action = 'drop'", &format!("action = 'hash'\nkey = {{ file = '{}' }}", key.display())]
        {
            let (made, document) = made_of(&redactor(&format!("paths = [{paths}]\n{action}")), &event);
            assert!(!made.contains(PLANTED) && !made.contains(ADDRESS), "{action}, {paths}: {made}");
            if body == flow {
                assert_eq!(document["class_uid"], 4001, "a column less makes no other event: {document}");
            }
        }
    }
}

/// Guards the rewriter against a plain one over trees, on random documents and paths: what is meant is masked, all else is
/// equal.
#[test]
fn random_documents_are_redacted_alike() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..2_000 {
        let document = tree(&mut random, 4);
        let names = ["a", "b", "c", "*", "**"];
        let mut path: Vec<&str> = (0..random.usize(0..3)).map(|_| names[random.usize(..names.len())]).collect();
        path.push(names[random.usize(..4)]);
        path.dedup_by(|a, b| *a == "**" && *b == "**");
        let text = if random.bool() { document.to_string() } else { serde_json::to_string_pretty(&document).unwrap() };
        let made = redacted(&format!("paths = ['{}']", path.join(".")), "base", Form::Json, &text);
        let mut expected = document.clone();
        mask(&mut expected, &path);
        let made: Value = serde_json::from_str(&made).unwrap_or_else(|error| panic!("{error}: {made}, seed {seed}"));
        assert_eq!(made, expected, "round {round}, path {path:?}, seed {seed}: {text}");
    }
}

fn tree(random: &mut fastrand::Rng, depth: usize) -> Value {
    let member = |random: &mut fastrand::Rng| match random.usize(..if depth == 0 { 4 } else { 7 }) {
        0 => json!(random.i64(..)),
        1 => json!("text \" \\ {[,:"),
        2 => Value::Null,
        3 => json!(random.bool()),
        4 => json!([tree(random, depth - 1), "x", [tree(random, depth - 1)]]),
        _ => tree(random, depth - 1),
    };
    let names = ["a", "b", "c", "d"];
    (0..random.usize(..4)).map(|at| (names[at].to_owned(), member(random))).collect::<serde_json::Map<_, _>>().into()
}

fn mask(value: &mut Value, path: &[&str]) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| mask(value, path)),
        Value::Object(members) => {
            for (name, value) in members {
                let (rest, stays) = match path {
                    ["**", rest @ ..] => (rest, true),
                    rest => (rest, false),
                };
                let is_meant = matches!(rest, [wanted, ..] if *wanted == "*" || wanted == name);
                if is_meant && rest.len() == 1 {
                    mask_leaves(value);
                    continue;
                }
                if is_meant {
                    mask(value, &rest[1..]);
                }
                if stays {
                    mask(value, path);
                }
            }
        }
        _ => {}
    }
}

fn mask_leaves(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Array(list) => list.iter_mut().for_each(mask_leaves),
        Value::Object(members) => members.values_mut().for_each(mask_leaves),
        leaf => *leaf = json!("***"),
    }
}

/// Guards the words of every mistake.
#[test]
fn mistakes_are_told() {
    let error = |text: &str| {
        let options: RedactOptions = toml::from_str(text).unwrap();
        let made = Redactions::new([("r", &options)]).and_then(|read| Redactor::new(&read, &mappings()));
        made.unwrap_err().to_string()
    };
    for (text, words) in [
        ("", "redact `r`: no path: name what is to be redacted"),
        ("paths = ['a..b']", "`a..b`: a name is missing"),
        ("paths = ['a[0]']", "`a[0]`: all elements of an array are redacted, none by its number: write `[]`"),
        ("paths = ['a.**']", "`a.**`: behind `**` a name is missing"),
        ("paths = ['**.**.a']", "two `**` in a row"),
        ("paths = ['a*']", "`*` and quotes stand for a whole name"),
        ("paths = ['\"a']", "a quote is not closed"),
        ("paths = ['\"a\"b']", "a `.` is missing before `b`"),
        ("paths = ['@text']", "there is `@envelope.<name>`"),
        ("paths = ['@envelope.log_strem']", "no envelope tells `log_strem`; did you mean `@envelope.log_stream`?"),
        (
            "paths = ['a']\nlog_type = ['aws.guardduti']",
            "no mapping has the log type `aws.guardduti`; did you mean `aws.guardduty`?",
        ),
        ("paths = ['a']\nlog_type = ['gcp.*']", "no mapping has the log type `gcp.*`"),
        ("paths = ['a']\naction = 'hash'", "`action = \"hash\"` needs a key"),
        ("paths = ['a']\nkey = { env = 'X' }", "only `action = \"hash\"` has a key"),
        (
            "paths = ['a']\naction = 'hash'\nkey = { env = 'SIEMLINE_TEST_NOT_SET' }",
            "`SIEMLINE_TEST_NOT_SET` is not set",
        ),
    ] {
        assert!(error(text).contains(words), "{text}: {}", error(text));
    }
}
