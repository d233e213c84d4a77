//! The mapping of ECS documents, made from the table of ECS: every field of it, and the rest as one field.

use serde_json::{Map, Value, json};

use super::setup::{Flavor, KEYWORD_CHARS_MAX};
use crate::ecs;
use crate::vocabulary::{Attribute, Shape};

/// The `properties` of an index for ECS documents. `rest` is the mapping of what no field of ECS took.
pub(super) fn properties(flavor: Flavor, rest: Value) -> Value {
    let mut properties = of_shape(&ecs::event().shape, flavor, &mut Vec::new());
    properties.insert(ecs::table().rest().to_owned(), rest);
    // The index's own name says what its data stream is.
    properties.remove("data_stream");
    Value::Object(properties)
}

/// Objects that hold themselves (a process and its parent) are written once within each other, as ECS does.
fn of_shape(shape: &'static Shape, flavor: Flavor, around: &mut Vec<&'static str>) -> Map<String, Value> {
    around.push(shape.name);
    let mut properties = Map::new();
    for attribute in &shape.attributes {
        let property = match ecs::table().object_of(attribute) {
            None => leaf(shape, attribute, flavor),
            Some(object) if object.shape.name == "geo_point" => json!({ "type": "geo_point" }),
            Some(object) if around.iter().filter(|name| **name == object.shape.name).count() > 1 => continue,
            Some(object) => json!({ "properties": of_shape(&object.shape, flavor, around) }),
        };
        properties.insert(attribute.name.to_owned(), property);
    }
    around.pop();
    properties
}

fn leaf(shape: &Shape, attribute: &Attribute, flavor: Flavor) -> Value {
    let keyword = json!({ "type": "keyword", "ignore_above": KEYWORD_CHARS_MAX });
    match (attribute.type_name, flavor) {
        // The whole event once more: to be shown, not searched.
        ("keyword", _) if shape.name == "event" && attribute.name == "original" => {
            json!({ "type": "keyword", "index": false, "doc_values": false })
        }
        // OpenSearch has wildcard since 2.15 only.
        ("wildcard", Flavor::Elasticsearch) => json!({ "type": "wildcard", "ignore_above": KEYWORD_CHARS_MAX }),
        ("match_only_text", Flavor::OpenSearch) => json!({ "type": "text" }),
        ("ip", _) => json!({ "type": "ip", "ignore_malformed": true }),
        ("date" | "long" | "float" | "boolean" | "object" | "match_only_text", _) => {
            json!({ "type": attribute.type_name })
        }
        _ => keyword,
    }
}
