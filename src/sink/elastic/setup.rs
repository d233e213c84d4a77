//! The index template for our documents: what `siemline setup elastic` prints or installs.
//!
//! ECS documents have every field of ECS with the type that ECS gives it, and one field for what ECS has none for. Raw
//! events go to the data streams of Elastic's own integration, which has templates; ours is for what it does not know.
//!
//! OCSF has free-form corners: `unmapped`, `data`, `raw_data`, tags. Mapped dynamically, every new key in them is a new
//! field of the index, until the limit is reached and documents are refused. So `unmapped` becomes one field whatever is in
//! it, `data` and its like are stored and not indexed, and everything else has one type wherever it stands, decided by
//! its name, so that no first document decides it by accident.

use serde_json::{Value, json};

use super::response::judge_status;
use super::{Elastic, ElasticOptions, fields};
use crate::delivery::Error;
use crate::http::Method;
use crate::sink::Format;

/// Above Elastic's own template for `logs-*-*` (100), below what a team would write for itself (500).
const PRIORITY: u32 = 250;

/// OCSF's typed attributes, over all classes that AWS logs are mapped to, come to some hundreds. The default limit of 1000
/// is within reach of a few log types in one index; this one is not.
const FIELDS_MAX: u32 = 4000;

/// Longer texts are stored, shown and not searchable by their whole. The index takes no term above 32,766 bytes.
pub(super) const KEYWORD_CHARS_MAX: u32 = 1024;

/// Whose field types are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// `flattened`, `match_only_text`.
    Elasticsearch,
    /// `flat_object`, `text`.
    OpenSearch,
}

/// What becomes of `unmapped`, which holds the leaves of an event that OCSF has no place for, and of `ocsf` in an ECS
/// document, which holds what ECS has no field for. Either way it is kept in the
/// document, and is no more than one field of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// Every value in it can be searched for.
    Searchable,
    /// It is only shown.
    Stored,
}

impl Flavor {
    /// What is right where nobody says otherwise: searchable if that never costs a document. OpenSearch's `flat_object` has
    /// no `ignore_above`, so that a text above 32,766 bytes gets its whole document refused (measured on 2.19.1).
    #[must_use]
    pub const fn unmapped(self) -> Unmapped {
        match self {
            Self::Elasticsearch => Unmapped::Searchable,
            Self::OpenSearch => Unmapped::Stored,
        }
    }
}

/// What the cluster is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The name of the component template with the mappings.
    pub component_name: String,
    /// The component template.
    pub component: Value,
    /// The name of the index template that uses it.
    pub name: String,
    /// The index template, for one data stream.
    pub index_template: Value,
}

/// The templates for the data stream that these options name.
#[must_use]
pub fn template(options: &ElasticOptions, flavor: Flavor, unmapped: Unmapped) -> Template {
    let data_stream = options.stream();
    let component_name = format!("siemline-{}@mappings", options.format.name());
    let component = json!({
        "template": {
            "settings": {
                "index.mapping.total_fields.limit": FIELDS_MAX,
                "index.mapping.ignore_malformed": true,
            },
            "mappings": mappings(options.format, flavor, unmapped),
        },
        "_meta": meta(options.format),
    });
    let index_template = json!({
        "index_patterns": [&data_stream],
        "data_stream": {},
        "composed_of": [component_name],
        "priority": PRIORITY,
        "_meta": meta(options.format),
    });
    Template { component_name, component, name: format!("siemline-{data_stream}"), index_template }
}

/// Installs the templates. Doing it again is harmless. They hold for the backing indexes made from now on: a data stream
/// that stands already takes them with its next rollover.
pub async fn install(sink: &Elastic, template: &Template) -> Result<(), Error> {
    for (kind, name, body) in [
        ("_component_template", &template.component_name, &template.component),
        ("_index_template", &template.name, &template.index_template),
    ] {
        let answer = sink.ask(Method::PUT, &[kind, name], Some(body)).await?;
        if answer.status != 200 {
            return Err(judge_status(&answer, answer.status));
        }
    }
    Ok(())
}

/// Which of the two the cluster is, by what it says about itself at its root.
pub async fn flavor(sink: &Elastic) -> Result<Flavor, Error> {
    let answer = sink.ask(Method::GET, &[], None).await?;
    if answer.status != 200 {
        return Err(judge_status(&answer, answer.status));
    }
    let root: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let distribution = root.pointer("/version/distribution").and_then(Value::as_str);
    Ok(if distribution == Some("opensearch") { Flavor::OpenSearch } else { Flavor::Elasticsearch })
}

fn meta(format: Format) -> Value {
    let description = format!("AWS events in the format {}, as siemline delivers them", format.name());
    json!({ "managed_by": "siemline", "description": description })
}

fn mappings(format: Format, flavor: Flavor, unmapped: Unmapped) -> Value {
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
