//! Guards what vocabularies other than OCSF have: a named rest, tags, requirements by profile, dates; and the check of a
//! finished document against them.

use serde_json::json;

use super::{AttributeType, Table};

const TEXT: &str = "version 1
rest others
category 0 Event
profile alarms alarm loud
profile visits
type word string_t max_len=5
type address ip_t
type moment date_t
type count long_t
type any json_t
enum mood bad=bad|good=good
class event 0 0 caption=Event
  at moment required
  from address optional profiles=visits
  inner thing{} optional
  level word recommended profiles=alarms,visits required_by=alarms
  list count[] optional
  mood word optional enum=mood
object thing caption=Thing
  free any optional
  ratio count optional";

fn faults(document: &serde_json::Value, declared: &[&str]) -> Vec<String> {
    let table = Table::parse(TEXT).unwrap();
    table.faults(&table.class("event").unwrap().shape, document, declared)
}

/// Guards the facts that only projections need.
#[test]
fn a_vocabulary_says_its_rest_its_tags_and_who_requires_what() {
    let table = Table::parse(TEXT).unwrap();
    assert_eq!(table.rest(), "others");
    assert_eq!(table.profile("alarms").unwrap().tags, ["alarm", "loud"]);
    assert!(table.profile("visits").unwrap().tags.is_empty() && table.profile("visit").is_none());
    let shape = &table.class("event").unwrap().shape;
    let level = shape.attribute("level").unwrap();
    assert!(level.is_required(&["alarms"]) && !level.is_required(&["visits"]) && !level.is_required::<&str>(&[]));
    assert_eq!(shape.attribute("at").unwrap().attribute_type, AttributeType::Date);
    assert_eq!(shape.attribute("from").unwrap().attribute_type, AttributeType::Ip);
}

/// Guards the check: what fits is silent, and each kind of fault is told with its path.
#[test]
fn a_document_is_checked_by_its_vocabulary() {
    let sound = json!({ "at": "2026-01-02T03:04:05.006Z", "inner": { "free": [1], "ratio": 2 }, "list": [1], "mood": "good",
        "others": { "x": 1 }, "tag": ["alarm"], "level": "high" });
    assert_eq!(faults(&sound, &["alarms"]), [""; 0]);
    for (document, declared, expected) in [
        (json!({}), "", "at: is required and not there"),
        (json!({ "at": 1 }), "alarms", "level: is required and not there"),
        (json!({ "at": "soon" }), "", "at: \"soon\" is no moment"),
        (json!({ "at": 1, "from": "192.0.2.1" }), "", "from: `event` has no such attribute"),
        (json!({ "at": 1, "from": "192.0.2" }), "visits", "from: \"192.0.2\" is no address"),
        (json!({ "at": 1, "list": 1 }), "", "list: wants an array"),
        (json!({ "at": 1, "list": ["1"] }), "", "list[0]: \"1\" is no count"),
        (json!({ "at": 1, "mood": "fair" }), "", "mood: \"fair\" is not enumerated"),
        (json!({ "at": 1, "level": "sixsix" }), "visits", "level: \"sixsix\" is no word"),
        (json!({ "at": 1, "inner": { "odd": 1 } }), "", "inner.odd: `thing` has no such attribute"),
        (json!({ "at": 1, "inner": [] }), "", "inner: [] is no thing"),
        (json!([]), "", "the document is no object"),
    ] {
        assert_eq!(faults(&document, &[declared]), [expected], "{document}");
    }
}
