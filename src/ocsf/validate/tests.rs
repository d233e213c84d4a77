//! Guards every kind of problem: a valid event of our own with one thing broken yields exactly the problems named.

use serde_json::{Value, json};

use super::*;

fn valid() -> Value {
    json!({
        "class_uid": 2004, "class_name": "Detection Finding",
        "category_uid": 2, "category_name": "Findings",
        "activity_id": 1, "activity_name": "Create",
        "type_uid": 200_401, "type_name": "Detection Finding: Create",
        "severity_id": 4, "severity": "High", "time": 1_700_000_000_000_i64,
        "metadata": { "version": "1.8.0", "profiles": ["cloud"], "product": { "name": "Own", "vendor_name": "Own" } },
        "cloud": { "provider": "AWS", "account": { "uid": "111122223333" } },
        "finding_info": { "uid": "f-1", "title": "a finding", "types": ["t"] },
        "evidences": [{
            "src_endpoint": { "ip": "198.51.100.7", "port": 443 },
            "data": { "free": [1, null] }
        }],
        "observables": [
            { "name": "evidences[].src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": "198.51.100.7" },
            { "name": "evidences[0].src_endpoint.port", "type_id": 11, "type": "Port", "value": "443" },
            { "name": "evidences[0].src_endpoint", "type_id": 20, "type": "Endpoint" }
        ],
        "unmapped": { "anything": "goes" }
    })
}

/// The event with the value at a JSON pointer set, or with the member removed for `None`.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut event = valid();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match (event.pointer_mut(parent).unwrap(), value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
        (Value::Object(members), None) => drop(members.remove(name).unwrap()),
        (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} leads nowhere"),
    }
    event
}

fn found(event: &Value) -> Vec<(Code, String)> {
    validate(event).into_iter().map(|problem| (problem.code, problem.path)).collect()
}

#[track_caller]
fn check(pointer: &str, value: Option<Value>, expect: &[(Code, &str)]) {
    let expect: Vec<_> = expect.iter().map(|(code, path)| (*code, (*path).to_owned())).collect();
    let words = format!("{pointer} = {value:?}");
    assert_eq!(found(&with(pointer, value)), expect, "{words}");
}

#[test]
fn a_valid_event_has_no_problem() {
    assert_eq!(validate(&valid()), []);
}

#[test]
fn events_of_unknown_kind_are_told_once() {
    assert_eq!(found(&json!([])), [(Code::NotObject, String::new())]);
    check("/metadata/version", None, &[(Code::VersionMissing, "metadata.version")]);
    check("/metadata/version", Some(json!("1.7.0")), &[(Code::VersionUnknown, "metadata.version")]);
    for uid in [json!(2099), json!("2004"), json!(-1), json!(null), json!(2004.0)] {
        check("/class_uid", Some(uid), &[(Code::ClassUnknown, "class_uid")]);
    }
}

#[test]
fn attributes_are_known_and_in_force() {
    check("/finding_info/colour", Some(json!("red")), &[(Code::UnknownAttribute, "finding_info.colour")]);
    check("/time_dt", Some(json!("2023-11-14T22:13:20Z")), &[(Code::ProfileOff, "time_dt")]);
    check(
        "/metadata/profiles/0",
        Some(json!("clouds")),
        &[(Code::ProfileUnknown, "metadata.profiles"), (Code::ProfileOff, "cloud")],
    );
    check("/metadata/profiles", Some(json!(["cloud", "trace"])), &[(Code::ProfileNotApplicable, "metadata.profiles")]);
    check("/finding_info/uid", None, &[(Code::RequiredMissing, "finding_info.uid")]);
    check("/cloud", None, &[(Code::ProfileRequiredMissing, "cloud")]);
    check(
        "/finding_info/uid",
        Some(json!(null)),
        &[(Code::Null, "finding_info.uid"), (Code::RequiredMissing, "finding_info.uid")],
    );
}

#[test]
fn values_have_their_types() {
    for (pointer, value, expect) in [
        ("/finding_info/title", json!(1), (Code::WrongType, "finding_info.title")),
        ("/finding_info/title", json!(""), (Code::Empty, "finding_info.title")),
        ("/finding_info/types", json!("t"), (Code::WrongType, "finding_info.types")),
        ("/finding_info/types", json!([]), (Code::Empty, "finding_info.types")),
        ("/finding_info/types", json!(["t", null]), (Code::WrongType, "finding_info.types[1]")),
        ("/cloud/account", json!("e"), (Code::WrongType, "cloud.account")),
        ("/count", json!("1"), (Code::WrongType, "count")),
        ("/count", json!(1.5), (Code::WrongType, "count")),
        ("/count", json!(true), (Code::WrongType, "count")),
        ("/count", json!(4_294_967_296_i64), (Code::Int32, "count")),
        ("/count", json!(u64::MAX), (Code::Range, "count")),
        ("/time", json!(1_700_000_000), (Code::TimeUnit, "time")),
        ("/time", json!("1700000000000"), (Code::WrongType, "time")),
        ("/unmapped", json!([]), (Code::WrongType, "unmapped")),
        ("/evidences/0/process", json!({ "pid": 1, "file": 1 }), (Code::WrongType, "evidences[0].process.file")),
    ] {
        check(pointer, Some(value), &[expect]);
    }
    let scores = json!([{ "base_score": "9", "version": "3.1" }]);
    check(
        "/vulnerabilities",
        Some(json!([{ "cve": { "uid": "CVE-2020-0001", "cvss": scores } }])),
        &[(Code::WrongType, "vulnerabilities[0].cve.cvss[0].base_score")],
    );
    // With the observables that repeat these values out of the way.
    for (name, value, expect) in [
        ("port", json!(70_000), Code::Range),
        ("ip", json!("198.51.100"), Code::Regex),
        ("mac", json!("no mac"), Code::Regex),
        ("mac", json!("0".repeat(33)), Code::MaxLen),
    ] {
        let mut event = with("/observables", None);
        event["evidences"][0]["src_endpoint"][name] = value.clone();
        let codes: Vec<_> = found(&event).into_iter().map(|(code, _)| code).collect();
        assert!(codes.contains(&expect), "{name} = {value}: {codes:?}");
    }
    let mut event = with("/observables", None);
    event["evidences"][0]["src_endpoint"]["ip"] = json!("fe80::1%eth0");
    assert_eq!(found(&event), [], "a scoped address is an address");
}

#[test]
fn enumerations_and_their_siblings_agree() {
    check("/severity_id", Some(json!(7)), &[(Code::EnumUnknown, "severity_id")]);
    check("/severity", Some(json!("high")), &[(Code::SiblingCaption, "severity")]);
    let other = |word: &str| {
        let mut event = with("/severity_id", Some(json!(99)));
        event["severity"] = json!(word);
        found(&event)
    };
    assert_eq!(other("Dreadful"), []);
    assert_eq!(other("Other"), [(Code::SiblingOther, "severity".to_owned())]);
    let http = |method: &str| json!({ "src_endpoint": { "ip": "198.51.100.7", "port": 443 }, "http_request": { "http_method": method } });
    check("/evidences/0", Some(http("GET")), &[]);
    check("/evidences/0", Some(http("FETCH")), &[(Code::EnumUnknown, "evidences[0].http_request.http_method")]);
}

#[test]
fn numbers_of_the_class_agree() {
    check("/type_uid", Some(json!(200_402)), &[(Code::SiblingCaption, "type_name"), (Code::TypeUid, "type_uid")]);
    check("/category_uid", Some(json!(3)), &[(Code::EnumUnknown, "category_uid"), (Code::CategoryUid, "category_uid")]);
    check(
        "/class_name",
        Some(json!("Finding")),
        &[(Code::SiblingCaption, "class_name"), (Code::SiblingCaption, "class_name")],
    );
}

#[test]
fn constraints_hold() {
    check("/cloud/account", Some(json!({ "labels": ["l"] })), &[(Code::Constraint, "cloud.account")]);
    check("/cloud/account", Some(json!({})), &[(Code::Empty, "cloud.account"), (Code::Constraint, "cloud.account")]);
    let just_one = Constraint::JustOne(vec!["a", "b.c"]);
    for (members, count) in [
        (json!({}), 0),
        (json!({ "a": 1 }), 1),
        (json!({ "b": { "c": 1 } }), 1),
        (json!({ "b": { "c": null } }), 0),
        (json!({ "a": 1, "b": { "c": 1 } }), 2),
    ] {
        let mut check = Check { table: Table::v1_8(), profiles: Vec::new(), problems: Vec::new() };
        check.constraint(&just_one, members.as_object().unwrap(), "x");
        assert_eq!(check.problems.is_empty(), count == 1, "{members}");
    }
}

#[test]
fn observables_repeat_the_event() {
    let name = |name: &str| json!({ "name": name, "type_id": 2, "value": "198.51.100.7" });
    for (observable, expect) in [
        (name("evidences[0].src_endpoint.ip"), None),
        (name("evidences.src_endpoint.ip"), None),
        (name("evidences[].src_endpoint.colour"), Some((Code::ObservableName, "observables[0].name"))),
        (name("evidences[x].src_endpoint.ip"), Some((Code::ObservableName, "observables[0].name"))),
        (name("evidences[].src_endpoint.ip.x"), Some((Code::ObservableName, "observables[0].name"))),
        (name("evidences[1].src_endpoint.ip"), Some((Code::ObservableValue, "observables[0].name"))),
        (name("evidences[].dst_endpoint.ip"), Some((Code::ObservableValue, "observables[0].name"))),
        (
            json!({ "name": "evidences[].src_endpoint.ip", "type_id": 1, "value": "198.51.100.7" }),
            Some((Code::ObservableType, "observables[0].type_id")),
        ),
        (
            json!({ "name": "evidences[].src_endpoint.ip", "type_id": 2, "value": "198.51.100.8" }),
            Some((Code::ObservableValue, "observables[0].value")),
        ),
    ] {
        check("/observables/0", Some(observable), expect.as_slice());
    }
}

#[test]
fn deprecated_things_are_warned_of() {
    let expect = [(Code::Deprecated, "evidences[0].actor.invoked_by")];
    let evidence = json!({ "src_endpoint": { "ip": "198.51.100.7", "port": 443 }, "actor": { "invoked_by": "x" } });
    check("/evidences/0", Some(evidence), &expect);
    let severities: Vec<_> =
        [Code::Deprecated, Code::Null, Code::Empty, Code::Constraint, Code::WrongType].map(Code::severity).into();
    assert_eq!(severities, [Severity::Warning, Severity::Warning, Severity::Warning, Severity::Error, Severity::Error]);
}

/// A pattern that the `regex` crate refuses would silently check nothing.
#[test]
fn all_patterns_compile() {
    for scalar in Table::v1_8().types() {
        assert_eq!(pattern_of(scalar.name).is_some(), scalar.pattern.is_some(), "{}", scalar.name);
    }
}
