//! How the fields of our documents are typed, made from the tables of ECS and OCSF. Pure.
//!
//! ECS documents have every field of ECS with the type that ECS gives it, and one field for what ECS has none for. Raw
//! events go to the data streams of Elastic's own integration, which has templates; ours is for what it does not know.
//!
//! OCSF has free-form corners: `unmapped`, `data`, `raw_data`, tags. Mapped dynamically, every new key in them is a new
//! field of the index, until the limit is reached and documents are refused. So `unmapped` becomes one field whatever is in
//! it, `data` and its like are stored and not indexed, and everything else has one type wherever it stands, decided by
//! its name, so that no first document decides it by accident.

use serde_json::{Value, json};

use super::fields;
use super::setup::{Flavor, KEYWORD_CHARS_MAX, Unmapped};
use crate::sink::Format;

/// The mapping of documents in this form.
pub(super) fn mappings(format: Format, flavor: Flavor, unmapped: Unmapped) -> Value {
    let text = match flavor {
        Flavor::Elasticsearch => "match_only_text",
        Flavor::OpenSearch => "text",
    };
    let unmapped = match (unmapped, flavor) {
        // A longer text is kept in the document and not searchable; a deeper one would be refused, and the default of 20
        // is within reach of foreign bytes.
        (Unmapped::Searchable, Flavor::Elasticsearch) => {
            json!({ "type": "flattened", "ignore_above": KEYWORD_CHARS_MAX, "depth_limit": 100 })
        }
        (Unmapped::Searchable, Flavor::OpenSearch) => json!({ "type": "flat_object" }),
        (Unmapped::Stored, _) => stored(),
    };
    let properties = match format {
        Format::Ecs => fields::properties(flavor, unmapped),
        Format::Raw => json!({ "@timestamp": date(), "message": { "type": text } }),
        Format::Cim => json!({ "@timestamp": date(), "ocsf": unmapped }),
        Format::Ocsf => ocsf_properties(text, &unmapped),
    };
    json!({
        "date_detection": false,
        "numeric_detection": false,
        "dynamic_templates": dynamic_templates(text),
        "properties": properties,
    })
}

fn date() -> Value {
    json!({ "type": "date", "format": "strict_date_optional_time||epoch_millis" })
}

/// OCSF's own corners.
fn ocsf_properties(text: &str, unmapped: &Value) -> Value {
    json!({
            "@timestamp": date(),
            "time": epoch_millis(),
            "message": { "type": text },
            "raw_data": { "type": "keyword", "index": false, "doc_values": false },
            "unmapped": unmapped,
            "api": { "properties": {
                "request": { "properties": { "data": stored() } },
                "response": { "properties": { "data": stored() } },
            } },
            "enrichments": { "properties": { "data": stored() } },
            "evidences": { "properties": { "data": stored() } },
            "resources": { "properties": { "data": stored() } },
    })
}

/// In order: the first that matches a field decides.
fn dynamic_templates(text: &str) -> Value {
    json!([
        // The json_t attributes of OCSF may be of any shape. A field that is not parsed refuses none.
        { "data": { "match": "data", "mapping": stored() } },
        { "xattributes": { "match": "xattributes", "mapping": stored() } },
        { "nested_unmapped": { "path_match": "*.unmapped", "mapping": stored() } },
        { "ip": { "match": "ip", "match_mapping_type": "string", "mapping": ip() } },
        { "any_ip": { "match": "*_ip", "match_mapping_type": "string", "mapping": ip() } },
        { "any_ips": { "match": "*_ips", "match_mapping_type": "string", "mapping": ip() } },
        { "time": { "match": "time", "match_mapping_type": "long", "mapping": epoch_millis() } },
        { "any_time": { "match": "*_time", "match_mapping_type": "long", "mapping": epoch_millis() } },
        { "any_datetime": { "match": "*_dt", "match_mapping_type": "string", "mapping": {
            "type": "date", "format": "strict_date_optional_time", "ignore_malformed": true,
        } } },
        { "description": { "match": "desc", "match_mapping_type": "string", "mapping": { "type": text } } },
        // 1 and 1.5 come in one field: what the first document holds does not decide.
        { "score": { "match": "*score", "match_mapping_type": "long", "mapping": { "type": "double" } } },
        { "fraction": { "match_mapping_type": "double", "mapping": { "type": "double" } } },
        { "words": { "match_mapping_type": "string", "mapping": {
            "type": "keyword", "ignore_above": KEYWORD_CHARS_MAX,
        } } },
    ])
}

fn stored() -> Value {
    json!({ "type": "object", "enabled": false })
}

fn epoch_millis() -> Value {
    json!({ "type": "date", "format": "epoch_millis", "ignore_malformed": true })
}

fn ip() -> Value {
    json!({ "type": "ip", "ignore_malformed": true })
}
