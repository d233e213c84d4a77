//! The same event gives the same OCSF whichever way it came, except what only the envelope knows: the facts that go into
//! `metadata`, and the account, the region and the time that an event without its own falls back to.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::super::mapping::ast::{Path, Source};
use super::*;
use crate::envelope::{Context, Field, Form};

/// When every record arrived, so that an event without a time has the same one everywhere.
const ARRIVAL_MS: i64 = 1_700_000_000_000;

/// An event of a test, free of its envelopes, and what they told.
struct Subject {
    name: String,
    log_type: Arc<str>,
    body: Vec<u8>,
    form: Form,
    told: Context,
}

/// What came out of a way: the log type that recognised it, the document's leaves, and what its envelopes told.
struct Outcome {
    log_type: Arc<str>,
    leaves: BTreeMap<String, Value>,
    told: BTreeSet<String>,
}

fn subjects(all: &[Mapping]) -> Vec<Subject> {
    let mut peeler = Peeler::new(Limits::default());
    let mut subjects = Vec::new();
    for mapping in all {
        for test in &mapping.tests {
            let peeled = peeler.peel(test.input.as_bytes(), None).expect("the record peels");
            for piece in peeled.pieces() {
                if let Piece::Event(event) = piece {
                    subjects.push(Subject {
                        name: format!("{} / {} / {}", mapping.log_type, test.name, event.index),
                        log_type: Arc::clone(&mapping.log_type),
                        body: event.body.to_vec(),
                        form: event.form,
                        told: event.context.clone(),
                    });
                }
            }
        }
    }
    subjects
}

/// What normalizing a record gives: one event, or it is no way for this body.
fn outcome(peeler: &mut Peeler, normalizer: &mut Normalizer, record: &[u8], body: &[u8]) -> Option<Outcome> {
    let peeled = peeler.peel(record, Some(ARRIVAL_MS)).expect("the record peels");
    let mut events = peeled.pieces().filter_map(|piece| match piece {
        Piece::Event(event) => Some(event),
        _ => None,
    });
    let (event, None) = (events.next()?, events.next()) else { return None };
    if event.body != body {
        return None;
    }
    let mut out = Vec::new();
    let made = normalizer.normalize(&event, &digest(event.body), &mut out);
    let document: Value = serde_json::from_slice(&out).expect("JSON");
    let mut told: BTreeSet<String> =
        Field::ALL.iter().filter_map(|field| event.context.get(*field)).map(str::to_owned).collect();
    for field in [Field::Time, Field::LogEventTime] {
        let text = event.context.get(field).unwrap_or_default();
        told.extend(text.parse::<jiff::Timestamp>().map(|time| time.as_millisecond().to_string()));
    }
    let mut leaves = BTreeMap::new();
    flatten("", &document, &mut leaves);
    // Where no case of a mapping holds, the base mapping writes the event, and tells equal ones apart by their envelopes.
    let is_base = document["metadata"]["transformation_info_list"][0]["name"] == BASE;
    Some(Outcome { log_type: if is_base { BASE.into() } else { made.log_type }, leaves, told })
}

/// Every leaf by its path; an observable by what it names, because their order means nothing.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, leaves));
        }
        Value::Array(elements) if path == ".observables" => {
            for element in elements {
                let name = format!(".observables.{}={}", element["name"], element["value"]);
                leaves.insert(name, element["value"].clone());
            }
        }
        Value::Array(elements) => {
            for (number, value) in elements.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), value, leaves);
            }
        }
        leaf => drop(leaves.insert(path.to_owned(), leaf.clone())),
    }
}

/// Log types of which some events name no time of their own but a start that may lie ahead, or the time of what was changed
/// and not of the change, as an analyst's to a finding: the envelope's goes before it.
const DATED_BY_THE_ENVELOPE: [&str; 2] = ["aws.health", "aws.securityhub"];
const BASE: &str = "base";
/// The facts of MAPPING's common rules. Where an envelope has one, what a log type would put there itself stays elsewhere.
const FACTS: [&str; 5] = ["original_event_uid", "original_time", "logged_time", "log_name", "log_source"];

/// What differs and is not what only the envelopes of either know.
///
/// `told_apart` are the log types that have events without an id of their own, where the envelope's id tells two apart.
fn differences(one: &Outcome, other: &Outcome, told_apart: &BTreeSet<Arc<str>>) -> Vec<String> {
    let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts: BTreeSet<String> = [one, other]
        .into_iter()
        .flat_map(|outcome| FACTS.iter().filter_map(|fact| outcome.leaves.get(&format!(".metadata.{fact}"))))
        .map(text_of)
        .collect();
    // What is told stands as it is, in a name that was put together, or a part of it does.
    let is_told = |outcome: &Outcome, value: Option<&Value>| {
        value.map(text_of).is_none_or(|text| {
            let holds = |told: &String| told.len() >= 4 && text.contains(told.as_str());
            let is_part = |told: &String| text.len() >= 4 && told.contains(&text);
            facts.contains(&text) || outcome.told.iter().any(|told| holds(told) || is_part(told))
        })
    };
    let is_among = |log_types: &[&str]| log_types.contains(&&*one.log_type);
    let account_differs = one.leaves.get(".cloud.account.uid") != other.leaves.get(".cloud.account.uid");
    let mut found = Vec::new();
    for path in one.leaves.keys().chain(other.leaves.keys()).collect::<BTreeSet<_>>() {
        let (left, right) = (one.leaves.get(path), other.leaves.get(path));
        let is_of_the_envelope = match path.as_str() {
            ".metadata.uid" => told_apart.contains(&one.log_type),
            ".time" if is_among(&DATED_BY_THE_ENVELOPE) => is_told(one, left) || is_told(other, right),
            // An event without a time has that of its envelope, else the one of its arrival.
            ".time" => [left, right].contains(&Some(&json!(ARRIVAL_MS))),
            // The type of an account that only the envelope knows comes with it.
            path if path.starts_with(".cloud.account.") => account_differs,
            // What the product is of an event that no mapping knows.
            path if path.starts_with(".metadata.product.") => is_among(&[BASE]),
            _ => false,
        };
        // A name that the event has in part, and the envelope completes.
        let completes = |whole: Option<&Value>, part: Option<&Value>| match (whole.map(text_of), part.map(text_of)) {
            (Some(whole), Some(part)) => whole.ends_with(&part),
            _ => false,
        };
        let is_completed =
            is_told(one, left) && completes(left, right) || is_told(other, right) && completes(right, left);
        let is_known = is_of_the_envelope || is_completed || is_told(one, left) && is_told(other, right);
        if left != right && !is_known {
            found.push(format!("{path}: {left:?} or {right:?}"));
        }
    }
    found
}

/// Whether a `uid` rule of a mapping reads what an envelope told.
fn is_told_apart(mapping: &Mapping) -> bool {
    let rules = mapping.cases.iter().flat_map(|case| &case.body.sets).map(|set| &set.rule);
    rules.into_iter().any(|rule| match &rule.source {
        Source::Uid(paths) => paths.iter().any(|path| matches!(path, Path::Envelope(_))),
        _ => false,
    })
}

fn bridged(subject: &Subject, account: &str, region: &str) -> Option<Vec<u8>> {
    let body = (subject.form == Form::Json).then(|| std::str::from_utf8(&subject.body).expect("UTF-8"))?;
    let fact = |field, or: &str| subject.told.get(field).unwrap_or(or).to_owned();
    let facts = json!({
        "version": "0", "id": "0f8e", "time": "2026-01-02T03:04:05Z", "account": account, "region": region, "resources": [],
        "detail-type": fact(Field::DetailType, "Something Else"), "source": fact(Field::Source, "siemline.test"),
    })
    .to_string();
    Some(format!("{},\"detail\":{body}}}", facts.strip_suffix('}').expect("an object")).into_bytes())
}

fn logged(subject: &Subject, bytes: &[u8]) -> Option<Vec<u8>> {
    let fact = |field, or: &str| subject.told.get(field).unwrap_or(or).to_owned();
    let record = json!({
        "messageType": "DATA_MESSAGE", "owner": fact(Field::Owner, "999999999999"), "subscriptionFilters": ["f"],
        "logGroup": fact(Field::LogGroup, "a-group"), "logStream": fact(Field::LogStream, "a-stream"),
        "logEvents": [{ "id": "36", "timestamp": 1_767_323_045_000_i64, "message": std::str::from_utf8(bytes).ok()? }],
    });
    Some(record.to_string().into_bytes())
}

fn published(bytes: &[u8]) -> Option<Vec<u8>> {
    let notification = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t",
        "Message": std::str::from_utf8(bytes).ok()?, "Timestamp": "2026-01-02T03:04:05Z",
    });
    let queued =
        json!({ "messageId": "m", "receiptHandle": "h", "body": notification.to_string(), "eventSource": "aws:sqs" });
    Some(json!({ "Records": [queued] }).to_string().into_bytes())
}

fn delivered(bytes: &[u8]) -> Vec<u8> {
    json!({ "requestId": "r", "timestamp": 1, "records": [{ "data": STANDARD.encode(bytes) }] })
        .to_string()
        .into_bytes()
}

fn streamed(bytes: &[u8]) -> Vec<u8> {
    let record = json!({ "kinesis": { "data": STANDARD.encode(bytes) }, "eventSource": "aws:kinesis" });
    json!({ "Records": [record] }).to_string().into_bytes()
}

/// `{"Records": [..]}` around a record of CloudTrail, as its log files have it; no other event is opened from there.
fn trail(subject: &Subject) -> Option<Vec<u8>> {
    let is_trail = &*subject.log_type == "aws.cloudtrail" && subject.form == Form::Json;
    is_trail.then(|| [b"{\"Records\":[", subject.body.as_slice(), b"]}"].concat())
}

/// Every way that an event may come, by name; the first is what the others are compared with.
fn ways(subject: &Subject) -> Vec<(&'static str, Vec<u8>)> {
    let mut ways = Vec::new();
    let bare = match subject.told.get(Field::Header) {
        Some(header) => [header.as_bytes(), b"\n", &subject.body].concat(),
        None => subject.body.clone(),
    };
    // What an event was recognised by may stand in its envelope: that one then goes along on every way.
    let came_bridged = subject.told.get(Field::DetailType).is_some();
    let core = if came_bridged { bridged(subject, "999999999999", "xx-test-9") } else { None }.unwrap_or(bare.clone());
    let came_logged = subject.told.get(Field::LogGroup).is_some();
    let core = if came_logged { logged(subject, &core) } else { None }.unwrap_or(core);
    ways.push(("as it came", core.clone()));
    ways.push(("Firehose", delivered(&core)));
    ways.push(("Lambda from Kinesis", streamed(&core)));
    ways.push(("Firehose, Kinesis and Firehose", delivered(&streamed(&delivered(&core)))));
    // A message is one text, whatever its lines are; a header line is a line of a record.
    if subject.told.get(Field::Header).is_none() {
        ways.extend(published(&core).map(|record| ("SNS in SQS", record)));
        ways.extend(logged(subject, &bare).map(|record| ("CloudWatch Logs", record)));
        ways.extend(logged(subject, &bare).map(|record| ("CloudWatch Logs by Firehose", delivered(&record))));
    }
    ways.push(("bare", bare));
    ways.extend(bridged(subject, "999999999999", "xx-test-9").map(|record| ("EventBridge", record)));
    ways.extend(bridged(subject, "888888888888", "xx-test-8").map(|record| ("another account's EventBridge", record)));
    ways.extend(trail(subject).map(|record| ("Records[]", record)));
    ways
}

/// Guards "the same event gives the same OCSF whichever way it came", over every event of every mapping's tests. In
/// an aggregating administrator account the envelope tells another account and region than the finding: its own win.
#[test]
fn the_same_event_whichever_way_it_came() {
    let (mappings, all) = embedded();
    let (mut peeler, mut normalizer) = (Peeler::new(Limits::default()), Normalizer::new(mappings));
    let mut failures = Vec::new();
    let mut compared: BTreeMap<Arc<str>, BTreeSet<&str>> = BTreeMap::new();
    let mut own_account = BTreeSet::new();
    let told_apart: BTreeSet<Arc<str>> =
        all.iter().filter(|mapping| is_told_apart(mapping)).map(|mapping| Arc::clone(&mapping.log_type)).collect();
    for subject in subjects(&all) {
        let mut reference: Option<Outcome> = None;
        for (way, record) in ways(&subject) {
            let Some(made) = outcome(&mut peeler, &mut normalizer, &record, &subject.body) else { continue };
            let Some(reference) = &reference else {
                reference = Some(made);
                continue;
            };
            if made.log_type != reference.log_type {
                // Without the envelope that it is recognised by, it may be unknown; never something else.
                let is_unknown = |outcome: &Outcome| &*outcome.log_type == BASE;
                if !is_unknown(&made) && !is_unknown(reference) {
                    failures
                        .push(format!("{}, {way}: {} instead of {}", subject.name, made.log_type, reference.log_type));
                }
                continue;
            }
            compared.entry(Arc::clone(&made.log_type)).or_default().insert(way);
            if way == "another account's EventBridge"
                && made.leaves.get(".cloud.account.uid").is_some_and(|uid| uid != "888888888888")
                && made.leaves.get(".cloud.region").is_some_and(|region| region != "xx-test-8")
            {
                own_account.insert(Arc::clone(&made.log_type));
            }
            let differences = differences(reference, &made, &told_apart);
            if !differences.is_empty() {
                failures.push(format!("{}, {way}:\n  {}", subject.name, differences.join("\n  ")));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    for mapping in &all {
        let ways = compared.get(&mapping.log_type).cloned().unwrap_or_default();
        assert!(ways.contains("Firehose") && ways.contains("Lambda from Kinesis"), "{}: {ways:?}", mapping.log_type);
    }
    for finding in ["aws.guardduty", "aws.inspector2", "aws.macie", "aws.securityhub"] {
        assert!(own_account.iter().any(|log_type| &**log_type == finding), "{finding}: {own_account:?}");
    }
}
