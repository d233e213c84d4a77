//! Guards the test runner itself: what differs is told readably, and what no test fired is named. And runs all embedded
//! tests.

use std::sync::Arc;

use serde_json::Value;

use super::super::mapping::Sources;
use super::super::{Mappings, Normalizer, Projector, digest};
use super::{Fault, FaultKind, Summary, compare, run};
use crate::envelope::{Limits, Peeler, Piece};
use crate::ocsf::Table;

fn summary(sources: &Sources) -> Summary {
    let loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let compiled = Mappings::compile(loaded.log_types.clone(), loaded.base.clone(), Table::v1_8());
    let compiled = compiled.and_then(|mappings| mappings.with_projections(loaded.projections.clone()));
    run(&loaded, &Arc::new(compiled.unwrap_or_else(|errors| panic!("{errors:?}"))))
}

#[test]
fn every_embedded_test_passes_and_every_rule_is_fired() {
    let summary = summary(&Sources::embedded());
    let mut told = Vec::new();
    for test in summary.reports.iter().flat_map(|report| &report.tests).filter(|test| !test.faults.is_empty()) {
        told.push(format!(
            "{}:{}: {}\n    {}",
            test.at.file,
            test.at.line,
            test.name,
            lines(&test.faults).join("\n    ")
        ));
    }
    for name in summary.reports.iter().flat_map(|report| &report.unfired).chain(&summary.common_unfired) {
        told.push(format!("{}:{}: no test fires `{}`", name.at.file, name.at.line, name.label));
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(summary.passed() && summary.is_covered());
}

/// Guards what the projections promise of every event that a shipped mapping is tested with: nothing is said that the
/// vocabulary does not have, what a data model requires is there, and no text of the event is lost.
#[test]
fn every_shipped_event_is_sound_in_every_vocabulary() {
    let loaded = Sources::embedded().load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let compiled = Mappings::compile(loaded.log_types.clone(), loaded.base.clone(), Table::v1_8());
    let compiled = compiled.and_then(|mappings| mappings.with_projections(loaded.projections.clone()));
    let compiled = Arc::new(compiled.unwrap_or_else(|errors| panic!("{errors:?}")));
    let (mut normalizer, mut projector) = (Normalizer::new(Arc::clone(&compiled)), Projector::new(compiled));
    let mut peeler = Peeler::new(Limits::default());
    let (mut told, mut projected) = (Vec::new(), 0);
    for mapping in loaded.log_types.iter().chain([&loaded.base]) {
        for test in &mapping.tests {
            let Ok(peeled) = peeler.peel(test.input.as_bytes(), test.arrival_ms) else { continue };
            for piece in peeled.pieces() {
                let Piece::Event(event) = piece else { continue };
                let mut ocsf = Vec::new();
                let log_type = normalizer.normalize(&event, &digest(event.body), &mut ocsf).log_type;
                let value: Value = serde_json::from_slice(&ocsf).unwrap();
                for projection in &loaded.projections {
                    let (mut faults, mut fired) = (Vec::new(), std::collections::BTreeMap::new());
                    let made = super::project(&mut projector, projection, &ocsf, &log_type, &mut fired, &mut faults);
                    let made = made.expect("a projection is JSON");
                    let words = promised(&projection.log_type, &log_type, &made).into_iter().chain(lost(&value, &made));
                    faults.extend(words.map(FaultKind::Words));
                    let place = format!("{}:{}: {}", test.at.file, test.at.line, projection.log_type);
                    told.extend(faults.into_iter().map(|kind| format!("{place}: {}", Fault { event: None, kind })));
                    projected += 1;
                }
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(projected > 300, "{projected}");
}

/// What the formats promise of findings of GuardDuty beside what the tables ask.
fn promised(vocabulary: &str, log_type: &str, made: &Value) -> Vec<String> {
    let wanted: &[&str] = match (vocabulary, log_type) {
        ("ecs", "aws.guardduty") => {
            &["/rule/name", "/cloud/account/id", "/cloud/region", "/event/category", "/ecs/version"]
        }
        ("cim", "aws.guardduty") => &["/severity", "/signature", "/dest", "/tag"],
        _ => &[],
    };
    // A finding that lacks its account or type is a test of its own.
    let lacks = |path: &&&str| made.pointer(path).is_none() && made.pointer("/ocsf/finding_info/types").is_some();
    wanted.iter().filter(lacks).map(|path| format!("{path} is not there")).collect()
}

/// The texts of an OCSF event, but for its observables, that stand nowhere in a projection of it, whatever their case.
fn lost(ocsf: &Value, made: &Value) -> Vec<String> {
    let mut kept = Vec::new();
    texts(made, &mut kept);
    let kept: std::collections::BTreeSet<String> = kept.into_iter().map(|text| text.to_lowercase()).collect();
    let mut wanted = Vec::new();
    let members = ocsf.as_object().into_iter().flatten().filter(|(key, _)| *key != "observables");
    members.for_each(|(_, value)| texts(value, &mut wanted));
    let lost = wanted.into_iter().filter(|text| !kept.contains(&text.to_lowercase()));
    lost.map(|text| format!("lost: {text:?}")).collect()
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn lines(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn differences_are_told_by_path() {
    let is_uid = |text: &str| text == "u1";
    let check = |expected: &str, got: &str, told: &[&str]| {
        let parse = |text: &str| -> Value { serde_json::from_str(text).expect(text) };
        let differences = compare::differences(&parse(expected), &parse(got), &is_uid);
        let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(differences, told, "{expected} against {got}");
    };
    check(r#"{"a":1,"b":[1,{"c":"x"}]}"#, r#"{"b":[1.0,{"c":"x"}],"a":1}"#, &[]);
    check(r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#, &["a.b: expected 1, got 2"]);
    check(r#"{"a":1}"#, r#"{"a b":1}"#, &["a: expected 1, got nothing", "\"a b\": expected nothing, got 1"]);
    check(r#"[{"a":1},2]"#, r#"[{"a":"1"}]"#, &["[0].a: expected 1, got \"1\"", "[1]: expected 2, got nothing"]);
    check(r#"{"a":{"b":[]}}"#, r#"{"a":{"b":{}}}"#, &["a.b: expected [], got {}"]);
    // Which mapping wrote it need not be expected; if it is, it counts.
    let told = r#"{"metadata":{"transformation_info_list":[1]}}"#;
    check(r#"{"metadata":{}}"#, told, &[]);
    check(told, told, &[]);
    check(told, r#"{"metadata":{}}"#, &["metadata.transformation_info_list: expected [1], got nothing"]);
    check(r#"{"uid":"${uid}"}"#, r#"{"uid":"u1"}"#, &[]);
    check(r#"{"uid":"${uid}"}"#, r#"{"uid":"u2"}"#, &["uid: expected \"${uid}\", got \"u2\""]);
    check(
        r#"{"observables":[1,2,2]}"#,
        r#"{"observables":[2,3,1]}"#,
        &["observables: expected 2, got nothing", "observables: expected nothing, got 3"],
    );
    check("1", "9007199254740993", &["the event: expected 1, got 9007199254740993"]);
    let long = format!("\"{}\"", "x".repeat(200));
    check("1", &long, &[&format!("the event: expected 1, got \"{}...", "x".repeat(159))]);
}

const BASE: &str = r#"
[mapping]
log_type = "base"
class = "base_event"
[set]
time = { from = "@envelope.arrival", default = 0 }
severity_id = { value = 0 }
"metadata.product.name" = { value = "P" }
"#;

const COMMON: &str =
    "[set]\n\"metadata.log_name\" = \"@envelope.log_group\"\n\"metadata.original_time\" = \"@envelope.time\"\n";

const MAPPING: &str = r#"
[mapping]
log_type = "aws.m"
class = "base_event"
[[match]]
kind = "m"
[set]
time = "at"
severity_id = { from = "level", enum = { HIGH = 4 }, default = 1 }
message = { cases = [{ when = { level = "HIGH" }, from = "text" }, { from = "note" }] }
"metadata.uid" = { uid = ["id"] }
"metadata.product.name" = { value = "P" }
"#;

/// A complete expected event of `MAPPING`, but for what stands in the place of the braces.
fn expected(more: &str) -> String {
    r#"{"class_uid":0,"class_name":"Base Event","category_uid":0,"category_name":"Uncategorized","activity_id":0,
        "activity_name":"Unknown","type_uid":0,"type_name":"Base Event: Unknown","time":1700000000000,
        "severity_id":4,"severity":"High",MORE"metadata":{"uid":"${uid}","version":"1.8.0","product":{"name":"P"}},
        "unmapped":{"id":"i","kind":"m"}}"#
        .replace("MORE", more)
}

fn with_tests(tests: &str) -> Summary {
    let mapping = format!("{MAPPING}{tests}");
    let files = [("base.toml", BASE), ("common.toml", COMMON), ("m.toml", mapping.as_str())];
    summary(&Sources::default().with_directory(files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()))
}

#[test]
fn a_test_passes_or_tells_what_is_wrong() {
    let input = r#"{"kind":"m","id":"i","at":1700000000,"level":"HIGH","text":"t"}"#;
    let test =
        |input: &str, expect: &str| format!("[[test]]\nname = \"one\"\ninput = '''{input}'''\nexpect = {expect}\n");
    let faults = |input: &str, expect: &str| lines(&with_tests(&test(input, expect)).reports[0].tests[0].faults);
    let sound = expected("\"message\":\"t\",");
    assert_eq!(faults(input, &format!("'''{sound}'''")), [""; 0]);
    let other = expected("\"message\":\"other\",");
    assert_eq!(faults(input, &format!("'''{other}'''")), ["message: expected \"other\", got \"t\""]);
    let two = format!("{input}\n{input}");
    assert_eq!(
        faults(&two, &format!("['''{sound}''', '''{other}''']")),
        ["event 2: message: expected \"other\", got \"t\""]
    );
    assert_eq!(
        faults(input, &format!("['''{sound}''', '''{sound}''']")),
        ["2 events are expected, and the input holds 1"]
    );
    assert!(faults(&two, &format!("'''{sound}'''"))[0].starts_with("nothing is expected, got {"));
    assert_eq!(faults("{\"kind\":\"n\"}", "\"{\"")[0], "it was recognised as base");
    assert!(faults(input, "\"{\"")[0].starts_with("`expect` is no JSON: "));
}

#[test]
fn rules_that_no_test_fires_are_named() {
    let input = r#"{"kind":"m","id":"i","at":1700000000,"level":"HIGH","text":"t"}"#;
    let tests =
        format!("[[test]]\nname = \"one\"\ninput = '''{input}'''\nexpect = '''{}'''\n", expected("\"message\":\"t\","));
    let summary = with_tests(&tests);
    let names = |names: &[super::RuleName]| -> Vec<String> {
        names.iter().map(|name| format!("{}:{} {}", name.at.file, name.at.line, name.label)).collect()
    };
    assert_eq!(names(&summary.reports[0].unfired), ["m.toml:10 message, case 2"]);
    assert_eq!(
        names(&summary.common_unfired),
        ["common.toml:2 metadata.log_name", "common.toml:3 metadata.original_time"]
    );
    assert_eq!(summary.reports[0].rules, 8);
    assert!(summary.passed() && !summary.is_covered());
}
