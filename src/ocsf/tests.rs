//! Guards that the embedded table parses and says what OCSF 1.8.0 says, and that paths are followed and faulted right.

use super::*;

fn table() -> &'static Table {
    Table::v1_8()
}

/// The embedded file parses, is sorted for look-ups by name, and every reference in it leads somewhere.
#[test]
fn the_embedded_table_is_whole() {
    let table = table();
    assert_eq!(table.version(), "1.8.0");
    assert!(table.classes().len() >= 30 && table.objects().len() >= 150);
    let classes = table.classes().iter().map(|class| &class.shape);
    for shape in classes.chain(table.objects().iter().map(|object| &object.shape)) {
        assert!(shape.attributes.is_sorted_by(|left, right| left.name < right.name), "{}", shape.name);
        for attribute in &shape.attributes {
            let place = format!("{}.{}", shape.name, attribute.name);
            assert_eq!(attribute.is_object(), table.object_of(attribute).is_some(), "{place}");
            assert!(attribute.enumeration.as_ref().is_none_or(|values| !values.values.is_empty()), "{place}");
            // The schema lost the sibling of this one attribute.
            let sibling_is_there = attribute.sibling.is_none_or(|sibling| shape.attribute(sibling).is_some());
            assert!(sibling_is_there || place == "observable.type_uid", "{place}");
            assert!(attribute.profiles.iter().all(|profile| table.profile(profile).is_some()), "{place}");
            if let Some(id) = table.observable_of(attribute) {
                assert!(table.observable_caption(id).is_some(), "{place}");
            }
        }
        for Constraint::AtLeastOne(keys) | Constraint::JustOne(keys) in &shape.constraints {
            // The schema's own constraints name attributes that it dropped (event_log_actvity: log_file), so one is enough.
            assert!(
                keys.iter().any(|key| shape.attribute(key.split('.').next().unwrap()).is_some()),
                "{}: {keys:?}",
                shape.name
            );
        }
    }
    for object in table.objects() {
        assert!(std::ptr::eq(table.object(object.shape.name).unwrap(), object));
    }
    let open: Vec<_> = table.objects().iter().filter(|object| object.shape.is_open()).collect();
    assert_eq!(open.iter().map(|object| object.shape.name).collect::<Vec<_>>(), ["object"]);
}

/// Classes carry their numbers, their own attributes beside the base event's, and the derived enumerations.
#[test]
fn classes_are_as_the_schema_has_them() {
    for (name, uid, category, caption) in [
        ("base_event", 0, "Uncategorized", "Base Event"),
        ("vulnerability_finding", 2002, "Findings", "Vulnerability Finding"),
        ("compliance_finding", 2003, "Findings", "Compliance Finding"),
        ("detection_finding", 2004, "Findings", "Detection Finding"),
        ("data_security_finding", 2006, "Findings", "Data Security Finding"),
        ("iam_analysis_finding", 2008, "Findings", "IAM Analysis Finding"),
        ("account_change", 3001, "Identity & Access Management", "Account Change"),
        ("authentication", 3002, "Identity & Access Management", "Authentication"),
        ("group_management", 3006, "Identity & Access Management", "Group Management"),
        ("network_activity", 4001, "Network Activity", "Network Activity"),
        ("http_activity", 4002, "Network Activity", "HTTP Activity"),
        ("dns_activity", 4003, "Network Activity", "DNS Activity"),
        ("api_activity", 6003, "Application Activity", "API Activity"),
        ("scan_activity", 6007, "Application Activity", "Scan Activity"),
    ] {
        let class = table().class(name).unwrap();
        assert_eq!((class.uid, class.category_name, class.shape.caption), (uid, category, caption));
        assert!(std::ptr::eq(table().class_by_uid(uid).unwrap(), class));
        let caption_of = |attribute: &str, key: u32| {
            let attribute = class.shape.attribute(attribute).unwrap();
            attribute.enumeration.as_ref().unwrap().caption(&key.to_string()).map(str::to_owned)
        };
        assert_eq!(caption_of("class_uid", uid).as_deref(), Some(caption));
        assert_eq!(caption_of("category_uid", class.category_uid).as_deref(), Some(category));
        assert_eq!(caption_of("type_uid", uid * 100 + 99), Some(format!("{caption}: Other")));
        assert_eq!(caption_of("type_uid", uid * 100 + 98), None);
    }
    assert!(table().class("detection_findings").is_none() && table().class_by_uid(1).is_none());
}

/// The facts of single attributes, one of each kind that a checker or converter decides by.
#[test]
fn attributes_carry_their_facts() {
    let object = |name| &table().object(name).unwrap().shape;
    let finding = &table().class("detection_finding").unwrap().shape;
    let severity = finding.attribute("severity_id").unwrap();
    assert_eq!((severity.requirement, severity.sibling), (Requirement::Required, Some("severity")));
    let values = severity.enumeration.as_ref().unwrap();
    assert_eq!(
        values.values.iter().map(|value| &*value.key).collect::<Vec<_>>(),
        ["0", "1", "2", "3", "4", "5", "6", "99"]
    );
    assert_eq!((values.caption("4"), values.key_of("High"), values.caption("7")), (Some("High"), Some("4"), None));

    let endpoint = object("network_endpoint");
    let port = endpoint.attribute("port").unwrap();
    assert_eq!(port.attribute_type, AttributeType::Integer { min: 0, max: 65535 });
    assert_eq!((port.observable, table().observable_caption(11)), (Some(11), Some("Port")));
    let ip = endpoint.attribute("ip").unwrap();
    assert_eq!((ip.attribute_type, ip.observable), (AttributeType::Ip, Some(2)));
    assert_eq!(endpoint.attribute("uid").unwrap().observable, Some(48), "its own goes before its type's");
    assert!(
        endpoint.constraints.iter().any(|rule| matches!(rule, Constraint::AtLeastOne(keys) if keys.contains(&"ip")))
    );

    assert_eq!(object("device").attribute("mac").unwrap().attribute_type, AttributeType::Text { chars_max: Some(32) });
    assert_eq!(finding.attribute("time").unwrap().attribute_type, AttributeType::Timestamp);
    assert_eq!(finding.attribute("time_dt").unwrap().profiles, ["datetime"]);
    assert_eq!(object("evidences").attribute("data").unwrap().attribute_type, AttributeType::Json);
    assert_eq!(object("actor").attribute("invoked_by").unwrap().deprecated, Some("1.2.0"));
    let evidences = finding.attribute("evidences").unwrap();
    assert!(evidences.is_array && table().object_of(evidences).unwrap().shape.name == "evidences");
    let unmapped = finding.attribute("unmapped").unwrap();
    assert!(table().object_of(unmapped).unwrap().shape.is_open());
    assert!(finding.accepts_profile("cloud") && !finding.accepts_profile("trace"));
    let user = object("actor").attribute("user").unwrap();
    assert_eq!((user.observable, table().observable_of(user)), (None, Some(21)));
}

fn resolve(path: &str) -> Result<&'static str, String> {
    let finding = &table().class("detection_finding").unwrap().shape;
    table().resolve(finding, path, &["cloud"]).map(|attribute| attribute.type_name).map_err(|error| error.to_string())
}

/// Paths that mappings write lead to the attribute's type.
#[test]
fn paths_lead_to_attributes() {
    for (path, type_name) in [
        ("time", "timestamp_t"),
        ("finding_info.uid", "string_t"),
        ("finding_info.types[]", "string_t"),
        ("evidences[].src_endpoint.ip", "ip_t"),
        ("evidences[].src_endpoint.location", "location"),
        ("resources[].tags[].name", "string_t"),
        ("cloud.account.uid", "string_t"),
        ("unmapped", "object"),
    ] {
        assert_eq!(resolve(path).as_deref(), Ok(type_name), "{path}");
    }
    let endpoint = &table().object("network_endpoint").unwrap().shape;
    let port = table().resolve::<&str>(endpoint, "port", &[]).unwrap();
    assert_eq!(port.name, "port", "a path may start at an object");
}

/// Every fault names its place, and the legal name where one is near.
#[test]
fn faulty_paths_say_what_is_wrong() {
    for (path, words) in [
        (
            "finding_inf.uid",
            r#"finding_inf: detection_finding has no attribute "finding_inf"; did you mean "finding_info"?"#,
        ),
        ("finding_info.zzzzzz", r#"finding_info.zzzzzz: finding_info has no attribute "zzzzzz""#),
        ("finding_info..uid", r#"finding_info.: finding_info has no attribute """#),
        ("", r#": detection_finding has no attribute """#),
        ("time.seconds", "time: timestamp_t has nothing below it"),
        ("unmapped.x", "unmapped: an open object is written whole"),
        ("evidences.data", "evidences: is an array: write evidences[]"),
        ("cloud.account[].uid", "cloud.account[]: is no array: write account"),
        ("action_id", "action_id: needs profile security_control"),
        ("time_dt", "time_dt: needs profile datetime"),
        ("evidences[].actor.invoked_by", "evidences[].actor.invoked_by: deprecated since OCSF 1.2.0"),
    ] {
        assert_eq!(resolve(path), Err(words.to_owned()), "{path}");
    }
}

/// Slips find their word; other words find none.
#[test]
fn the_nearest_name_is_near() {
    let names = ["src_endpoint", "dst_endpoint", "severity_id", "uid", "type", "types"];
    for (word, expect) in [
        ("src_endpont", Some("src_endpoint")),
        ("SRC_ENDPOINT", Some("src_endpoint")),
        ("severty_id", Some("severity_id")),
        ("udi", Some("uid")),
        ("typ", Some("type")),
        ("typess", Some("types")),
        ("x", None),
        ("", None),
        ("something", None),
    ] {
        assert_eq!(nearest(word, names), expect, "{word}");
    }
    assert_eq!(nearest(&"a".repeat(100_000), names), None, "long words end early");
}

/// A table that does not parse names its line.
#[test]
fn broken_tables_name_the_line() {
    for (text, message) in [
        ("version 1\nthing x", "line 2: unknown kind of line"),
        ("type a_t string_t max_len=x", "line 1: not a number"),
        ("object a caption=A\n  b c_t optional", "line 2: unknown type"),
        ("object a caption=A\n  b c{} optional", "line 2: unknown object"),
        ("type a_t string_t\nobject a caption=A\n  b a_t perhaps", "line 3: unknown requirement"),
        ("  b a_t optional", "line 1: unknown type"),
        ("category 0 None\nclass a 1 0 caption=A\n  -b", "line 3: base_event has no such attribute to leave out"),
        ("class a 1 7 caption=A", "line 1: unknown category"),
    ] {
        assert_eq!(Table::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}
