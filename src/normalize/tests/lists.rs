//! Guards the rule keys about lists (`each`, `only`, `distinct`, a list of constants), dates, and what a projection does
//! with what it cannot read.

use std::sync::Arc;

use super::super::mapping::Sources;
use super::super::{Mappings, Projection, Projector};
use crate::ocsf::Table;

/// Projects a document to ECS by these lines of a `[set]`, and gives it without what every projection here has.
fn projected(set: &str, ocsf: &str) -> String {
    let projection = format!(
        "[mapping]\nprojection = \"ecs\"\nclass = \"event\"\nignore = [{{ path = \"l\", why = \"w\" }}]\n[set]\n\
         \"@timestamp\" = {{ from = \"time\", default = 0 }}\n\"event.kind\" = {{ value = \"event\" }}\n\
         \"ecs.version\" = {{ value = \"8\" }}\n{set}\n"
    );
    let files = vec![("mine.toml".to_owned(), projection)];
    let loaded =
        Sources::embedded().with_directory(files).load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let mappings = Mappings::compile(Vec::new(), loaded.base, Table::v1_8()).unwrap();
    let mut projector = Projector::new(Arc::new(mappings.with_projections(loaded.projections).unwrap()));
    let mut out = Vec::new();
    projector.project(Projection::Ecs, ocsf.as_bytes(), "aws.x", &mut out);
    let out = String::from_utf8(out).unwrap();
    let _: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let common = r#""event":{"kind":"event"},"ecs":{"version":"8"},"@timestamp":"1970-01-01T00:00:00.000Z""#;
    out.replace(common, "").replace("{,", "{")
}

#[test]
fn a_rule_may_go_over_a_list() {
    let list = r#"{"l":[{"t":1,"v":"b"},{"t":2,"v":"x,\"y\\"},{"t":1,"v":"a"},{"t":1},{"t":1,"v":"b"}]}"#;
    let only = |more: &str| format!("{{ each = \"l\", only = {{ t = 1 }}, from = \"v\"{more} }}");
    for (set, expected) in [
        // An array gets the values of all members, in their order or in that of the values.
        (format!("\"tags[]\" = {}", only("")), r#"{"tags":["b","a","b"]}"#),
        (format!("\"tags[]\" = {}", only(", distinct = true")), r#"{"tags":["a","b"]}"#),
        ("\"tags[]\" = { from = \"l[].v\", distinct = true }".to_owned(), r#"{"tags":["a","b","x,\"y\\"]}"#),
        // Anything else the first that gives one.
        (format!("message = {}", only("")), r#"{"message":"b"}"#),
        ("message = { each = \"l\", only = { t = 2 }, from = \"v\" }".to_owned(), r#"{"message":"x,\"y\\"}"#),
        // The default is for when no member gave anything.
        (
            "message = { each = \"l\", only = { t = 3 }, from = \"v\", default = \"none\" }".to_owned(),
            r#"{"message":"none"}"#,
        ),
        (
            "message = { each = \"l\", only = { t = 2 }, value = \"two\", default = \"none\" }".to_owned(),
            r#"{"message":"two"}"#,
        ),
        (
            "message = { each = \"m\", from = \"v\", default = { from = \"l[0].v\", as = \"upper\" } }".to_owned(),
            r#"{"message":"B"}"#,
        ),
        (
            "\"tags[]\" = { each = \"l\", template = \"{t}:{v}\", distinct = true }".to_owned(),
            r#"{"tags":["1:a","1:b","2:x,\"y\\"]}"#,
        ),
        // A condition that held is something of the event, so that an object of a constant stands.
        (
            "\"orchestrator.type\" = { each = \"l\", only = { t = 1 }, value = \"k\" }".to_owned(),
            r#"{"orchestrator":{"type":"k"}}"#,
        ),
        ("\"orchestrator.type\" = { each = \"l\", only = { t = 3 }, value = \"k\" }".to_owned(), "{}"),
        ("\"tags[]\" = { value = [\"b\", \"a\"] }".to_owned(), r#"{"tags":["b","a"]}"#),
        ("\"tags[]\" = { value = [\"b\", \"a\", \"b\"], distinct = true }".to_owned(), r#"{"tags":["a","b"]}"#),
    ] {
        assert_eq!(projected(&set, list), expected, "{set}");
    }
}

#[test]
fn a_date_is_text_where_its_year_has_four_digits() {
    for (time, expected) in [
        ("0", "\"1970-01-01T00:00:00.000Z\""),
        ("-1", "\"1969-12-31T23:59:59.999Z\""),
        ("951782400000", "\"2000-02-29T00:00:00.000Z\""),
        ("4107542399999", "\"2100-02-28T23:59:59.999Z\""),
        ("253402300799999", "\"9999-12-31T23:59:59.999Z\""),
        ("-62167219200000", "\"0000-01-01T00:00:00.000Z\""),
        ("\"2024-09-04T17:00:36.9519Z\"", "\"2024-09-04T17:00:36.951Z\""),
        ("1000", "\"1970-01-01T00:00:01.000Z\""),
        ("253402300800000", "253402300800000"),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        let out = projected("\"event.start\" = \"s\"", &format!("{{\"s\":{time}}}"));
        let found = out.split("\"start\":").nth(1).and_then(|rest| rest.split(['}', ',']).next());
        assert_eq!(found, Some(expected), "{time}: {out}");
    }
    // Every day of four hundred years and their ends, against a calendar of another hand.
    for day in (-719_528..2_932_897_i64).step_by(97) {
        let ms = day * 86_400_000 + 45_296_789;
        let mut out = Vec::new();
        crate::normalize::convert::push_date(ms, &mut out);
        let expected = jiff::Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected:.3}\""), "{ms}");
    }
}

#[test]
fn a_projection_keeps_what_it_cannot_read() {
    // A document that no parser takes, and one that is no object, are kept whole.
    for odd in ["{\"a\":", "[1,2]"] {
        let out = projected("message = \"m\"", odd);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["ocsf"]["raw"], odd, "{out}");
    }
    // What is taken in part stays, what is taken whole goes, and without a mapping all stays.
    let out =
        projected("message = { from = \"m\", before = \"-\" }\n\"rule.id\" = \"r\"", r#"{"m":"a-b","r":"x","n":null}"#);
    assert_eq!(out, r#"{"message":"a","rule":{"id":"x"},"ocsf":{"m":"a-b"}}"#);
    let loaded = Sources::embedded().load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let mappings = Mappings::compile(Vec::new(), loaded.base, Table::v1_8()).unwrap();
    let mut out = Vec::new();
    Projector::new(Arc::new(mappings)).project(Projection::Cim, b"{\"a\":1}", "aws.x", &mut out);
    assert_eq!(out, b"{\"a\":1}");
}
