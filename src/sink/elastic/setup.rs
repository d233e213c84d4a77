//! What a cluster is told before the first event comes: what `siemline setup elastic` prints or installs.
//!
//! A component template with the mappings, an index template for the data stream and one for the index of latest states, and
//! a lifecycle that rolls the data stream over: by ILM on Elasticsearch, by ISM on OpenSearch, by the data stream's own
//! lifecycle on Elastic Cloud Serverless; OpenSearch Serverless has its lifecycle policies in AWS, not in the collection.

use serde_json::{Value, json};

use super::mappings::mappings;
use super::names::Names;
use super::response::{judge_bad_request, judge_status};
use super::{Elastic, ElasticOptions};
use crate::delivery::Error;
use crate::http::Method;
use crate::sink::{self, Format};
use crate::unit::Span;

/// Above Elastic's own template for `logs-*-*` (100), below what a team would write for itself (500).
const PRIORITY: u32 = 250;

/// How much a narrow pattern adds to [`PRIORITY`], at most.
const NARROWNESS_MAX: u32 = 200;

/// OCSF's typed attributes, over all classes that AWS logs are mapped to, come to some hundreds. The default limit of 1000
/// is within reach of a few log types in one index; this one is not.
const FIELDS_MAX: u32 = 4000;

/// Longer texts are stored, shown and not searchable by their whole. The index takes no term above 32,766 bytes.
pub(super) const KEYWORD_CHARS_MAX: u32 = 1024;

/// When a data stream gets a new backing index: what Elastic's own policy for logs says.
const ROLLOVER_AGE: &str = "30d";
const ROLLOVER_SIZE: &str = "50gb";

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

/// What is there to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Elasticsearch, run by anybody.
    Elasticsearch,
    /// Elastic Cloud Serverless: no lifecycle policies of its own.
    ElasticServerless,
    /// OpenSearch, Amazon OpenSearch Service among it.
    OpenSearch,
    /// Amazon OpenSearch Serverless: no data streams, no component templates, no policies.
    OpenSearchServerless,
}

impl Server {
    /// Whose field types it knows.
    #[must_use]
    pub const fn flavor(self) -> Flavor {
        match self {
            Self::Elasticsearch | Self::ElasticServerless => Flavor::Elasticsearch,
            Self::OpenSearch | Self::OpenSearchServerless => Flavor::OpenSearch,
        }
    }
}

/// One thing to be put.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The path, as its parts.
    pub path: Vec<String>,
    /// What is put there.
    pub body: Value,
    /// What becomes of what stands there already.
    pub standing: Standing,
}

/// What becomes of what stands there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is replaced: it is ours.
    Replaced,
    /// It stays: how long data is kept is the team's to change.
    Kept,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is installed.
    Installed,
    /// What stood there was left as it is.
    Kept,
    /// This cluster does not know such a thing: an OpenSearch without its plugin for index state management.
    Unknown,
}

impl Step {
    fn new(path: &[&str], body: Value, standing: Standing) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), body, standing }
    }

    /// The request's first line: `PUT /_index_template/siemline-...`.
    #[must_use]
    pub fn request(&self) -> String {
        format!("PUT /{}", self.path.join("/"))
    }
}

/// All that these options need on this server, in the order in which it has to be put. Where `retention` is told, data older
/// than it is deleted; otherwise nothing ever is.
///
/// # Errors
///
/// Where the names in the options are wrong.
pub fn steps(options: &ElasticOptions, server: Server, retention: Option<Span>) -> Result<Vec<Step>, sink::Error> {
    let names = Names::new(options)?;
    let (stream, latest) = (names.pattern(), names.latest_pattern());
    let format = options.format;
    let mappings = mappings(format, server.flavor(), server.flavor().unmapped());
    let mut steps = Vec::new();
    if server == Server::OpenSearchServerless {
        for (pattern, priority) in [(Some(stream), 0), (latest, 1)] {
            let Some(pattern) = pattern else { continue };
            let priority = priority + self::priority(&pattern);
            let body = json!({
                "index_patterns": [&pattern], "template": { "mappings": mappings }, "priority": priority,
                "_meta": meta(format),
            });
            steps.push(Step::new(&["_index_template", &template_name(&pattern)], body, Standing::Replaced));
        }
        return Ok(steps);
    }
    let (policy_steps, stream_template) = lifecycle(format, server, &stream, retention);
    steps.extend(policy_steps);
    let component = format!("siemline-{}@mappings", format.name());
    let body = json!({
        "template": {
            "settings": {
                "index.mapping.total_fields.limit": FIELDS_MAX,
                "index.mapping.ignore_malformed": true,
            },
            "mappings": mappings,
        },
        "_meta": meta(format),
    });
    steps.push(Step::new(&["_component_template", &component], body, Standing::Replaced));
    let body = json!({
        "index_patterns": [&stream],
        "data_stream": {},
        "composed_of": [&component],
        "template": stream_template,
        "priority": priority(&stream),
        "_meta": meta(format),
    });
    steps.push(Step::new(&["_index_template", &template_name(&stream)], body, Standing::Replaced));
    if let Some(latest) = latest {
        // Where the patterns overlap, this one is meant.
        let body = json!({
            "index_patterns": [&latest],
            "composed_of": [&component],
            "priority": priority(&latest) + 1,
            "_meta": meta(format),
        });
        steps.push(Step::new(&["_index_template", &template_name(&latest)], body, Standing::Replaced));
    }
    Ok(steps)
}

/// Installs all of it. Doing it again is harmless. Templates hold for the backing indexes made from now on: a data stream
/// that stands already takes them with its next rollover.
///
/// # Errors
///
/// At the first step that the cluster refuses, and why.
pub async fn install(sink: &Elastic, steps: &[Step]) -> Result<Vec<Done>, Error> {
    let mut done = Vec::new();
    for step in steps {
        done.push(put(sink, step).await?);
    }
    Ok(done)
}

/// What is there, by what it says about itself at its root.
///
/// # Errors
///
/// Where it cannot be asked.
pub async fn server(sink: &Elastic) -> Result<Server, Error> {
    // It has no root.
    if sink.is_aoss {
        return Ok(Server::OpenSearchServerless);
    }
    let answer = sink.ask(Method::GET, &[], None).await?;
    if answer.status != 200 {
        return Err(judge_status(&answer, answer.status));
    }
    let root: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let told = |name: &str| root.get("version").and_then(|version| version.get(name)).and_then(Value::as_str);
    Ok(match (told("distribution"), told("build_flavor")) {
        (Some("opensearch"), _) => Server::OpenSearch,
        (_, Some("serverless")) => Server::ElasticServerless,
        _ => Server::Elasticsearch,
    })
}

async fn put(sink: &Elastic, step: &Step) -> Result<Done, Error> {
    let path: Vec<&str> = step.path.iter().map(String::as_str).collect();
    if step.standing == Standing::Kept {
        let answer = sink.ask(Method::GET, &path, None).await?;
        match answer.status {
            200 => return Ok(Done::Kept),
            // "no handler found for uri", as OpenSearch says without the plugin.
            400 | 405 => return Ok(Done::Unknown),
            404 => {}
            status => return Err(judge_status(&answer, status)),
        }
    }
    let answer = sink.ask(Method::PUT, &path, Some(&step.body)).await?;
    match answer.status {
        200 | 201 => Ok(Done::Installed),
        400 => Err(judge_bad_request(&answer)),
        status => Err(judge_status(&answer, status)),
    }
}

/// The policy that is to be put, and what the template of the data stream says of it.
fn lifecycle(format: Format, server: Server, stream: &str, retention: Option<Span>) -> (Vec<Step>, Value) {
    let name = template_name(stream);
    let retention = retention.map(|retention| retention.to_string());
    match server {
        Server::OpenSearchServerless => (Vec::new(), json!({})),
        Server::ElasticServerless => {
            let kept = retention.map_or_else(|| json!({}), |retention| json!({ "data_retention": retention }));
            (Vec::new(), json!({ "lifecycle": kept }))
        }
        Server::Elasticsearch => {
            let rollover = json!({ "max_age": ROLLOVER_AGE, "max_primary_shard_size": ROLLOVER_SIZE });
            let mut phases = json!({ "hot": { "actions": { "rollover": rollover } } });
            if let (Some(retention), Some(phases)) = (retention, phases.as_object_mut()) {
                phases.insert("delete".to_owned(), json!({ "min_age": retention, "actions": { "delete": {} } }));
            }
            let body = json!({ "policy": { "phases": phases, "_meta": meta(format) } });
            let template = json!({ "settings": { "index.lifecycle.name": name } });
            (vec![Step::new(&["_ilm", "policy", &name], body, Standing::Kept)], template)
        }
        Server::OpenSearch => {
            let rollover = json!({ "min_index_age": ROLLOVER_AGE, "min_primary_shard_size": ROLLOVER_SIZE });
            let hot = |transitions: Value| json!({ "name": "hot", "actions": [{ "rollover": rollover }], "transitions": transitions });
            let states = match retention {
                None => vec![hot(json!([]))],
                Some(retention) => vec![
                    hot(json!([{ "state_name": "delete", "conditions": { "min_rollover_age": retention } }])),
                    json!({ "name": "delete", "actions": [{ "delete": {} }], "transitions": [] }),
                ],
            };
            let body = json!({ "policy": {
                "description": meta(format).get("description"),
                "default_state": "hot",
                "states": states,
                "ism_template": [{ "index_patterns": [stream], "priority": priority(stream) }],
            } });
            (vec![Step::new(&["_plugins", "_ism", "policies", &name], body, Standing::Kept)], json!({}))
        }
    }
}

/// The template of one plain index.
pub(super) fn index_template(index: &str, mappings: &Value, description: &str) -> Step {
    let body = json!({
        "index_patterns": [index],
        "template": { "mappings": mappings },
        "priority": priority(index),
        "_meta": { "managed_by": "siemline", "description": description },
    });
    Step::new(&["_index_template", &template_name(index)], body, Standing::Replaced)
}

/// The more of a pattern is written out, the narrower it is, and the higher its priority: no two templates of one priority may
/// match one name.
fn priority(pattern: &str) -> u32 {
    let written = pattern.chars().filter(|c| *c != '*').count();
    PRIORITY + u32::try_from(written).unwrap_or(u32::MAX).min(NARROWNESS_MAX)
}

/// The name of what is installed for the names of this pattern. It holds no wildcard.
fn template_name(pattern: &str) -> String {
    format!("siemline-{}", pattern.replace('*', "any"))
}

fn meta(format: Format) -> Value {
    let description = format!("AWS events in the format {}, as siemline delivers them", format.name());
    json!({ "managed_by": "siemline", "description": description })
}
