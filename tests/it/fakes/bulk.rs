//! A strict Elasticsearch, as far as a sink sees it: `_bulk` on a data stream, the root, privileges, templates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};

/// The value of `Authorization` that is valid for everything.
pub const API_KEY: &str = "a2V5OkVYQU1QTEU=";

/// A key that may create documents and nothing else.
pub const API_KEY_CREATE_ONLY: &str = "Y3JlYXRlOkVYQU1QTEU=";

/// A key that may look and not touch.
pub const API_KEY_READ_ONLY: &str = "cmVhZDpFWEFNUExF";

/// What arrived of one document.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The document.
    pub document: Value,
    /// How often it was sent, once it stood there: above 1 are answered with 409.
    pub times: u32,
}

#[derive(Default)]
struct State {
    arrivals: BTreeMap<String, Arrival>,
    templates: BTreeMap<String, Value>,
    requests: usize,
    batches: usize,
    queries: Vec<String>,
}

/// A running cluster.
pub struct FakeBulk {
    /// The endpoint.
    pub url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeBulk {
    pub async fn start(plan: Plan) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let plan = Mutex::new(plan);
        let server = Server::start(move |asked| {
            let mut state = shared.lock().unwrap();
            state.requests += 1;
            answer(&mut state, &mut plan.lock().unwrap(), &asked)
        })
        .await;
        Self { url: server.url(), state, _server: server }
    }

    /// What stands there, by `_id`.
    pub fn received(&self) -> BTreeMap<String, Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }

    /// How many documents stand there.
    pub fn distinct(&self) -> usize {
        self.state.lock().unwrap().arrivals.len()
    }

    /// How many documents were sent again and answered with 409. None of them stands there twice.
    pub fn duplicates(&self) -> u64 {
        self.state.lock().unwrap().arrivals.values().map(|arrival| u64::from(arrival.times - 1)).sum()
    }

    /// The templates that were put, by path.
    pub fn templates(&self) -> BTreeMap<String, Value> {
        self.state.lock().unwrap().templates.clone()
    }

    /// How many requests came, questions included.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// How many batches came, those that met a fault included.
    pub fn batches(&self) -> usize {
        self.state.lock().unwrap().batches
    }

    /// The paths and queries of the batches.
    pub fn queries(&self) -> Vec<String> {
        self.state.lock().unwrap().queries.clone()
    }
}

fn answer(state: &mut State, plan: &mut Plan, asked: &Asked) -> Reply {
    let key = asked.header("authorization").and_then(|value| value.strip_prefix("ApiKey ")).unwrap_or_default();
    if ![API_KEY, API_KEY_CREATE_ONLY, API_KEY_READ_ONLY].contains(&key) {
        return failure(401, "security_exception", "unable to authenticate");
    }
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/") if key == API_KEY_CREATE_ONLY => failure(403, "security_exception", "no cluster:monitor/main"),
        ("GET", "/") => {
            Reply::json(200, &json!({ "version": { "number": "9.2.0" }, "tagline": "You Know, for Search" }))
        }
        ("POST", "/_security/user/_has_privileges") => {
            Reply::json(200, &json!({ "has_all_requested": key != API_KEY_READ_ONLY }))
        }
        ("PUT", path) if path.starts_with("/_component_template/") || path.starts_with("/_index_template/") => {
            if key != API_KEY {
                return failure(403, "security_exception", "no manage_index_templates");
            }
            let Ok(template) = serde_json::from_slice(&asked.body) else {
                return failure(400, "parse_exception", "no JSON");
            };
            state.templates.insert(path.to_owned(), template);
            Reply::json(200, &json!({ "acknowledged": true }))
        }
        ("POST", path) if path.ends_with("/_bulk") => bulk(state, plan, asked, key),
        _ => failure(404, "resource_not_found_exception", "no such path"),
    }
}

fn bulk(state: &mut State, plan: &mut Plan, asked: &Asked, key: &str) -> Reply {
    state.batches += 1;
    state.queries.push(format!("{}?{}", asked.path, asked.query));
    if asked.body.len() > plan.body_bytes_max {
        return Reply::new(413, "<html>413 Request Entity Too Large</html>");
    }
    if asked.header("content-type").is_none_or(|kind| kind != "application/x-ndjson") {
        return failure(406, "media_type_header_exception", "x-ndjson is spoken here");
    }
    let fault = plan.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    let Some(lines) = asked.body.strip_suffix(b"\n") else {
        return failure(400, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]");
    };
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let mut actions = Vec::new();
    for pair in lines.chunks(2) {
        let action = serde_json::from_slice::<Value>(pair[0]).unwrap_or_default();
        let Some(id) = action["create"]["_id"].as_str().filter(|_| pair.len() == 2) else {
            return failure(400, "illegal_argument_exception", "Malformed action/metadata line");
        };
        actions.push((id.to_owned(), pair[1]));
    }
    let mut items = Vec::new();
    for (id, document) in actions {
        items.push(if key == API_KEY_READ_ONLY {
            item_failure(403, "security_exception", "no create_doc")
        } else if fault == Some(Fault::Partial) && plan.toss() {
            item_failure(429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
        } else {
            create(state, plan, id, document)
        });
    }
    if fault == Some(Fault::Short) {
        items.truncate(items.len() / 2);
    }
    let errors = items.iter().any(|item| item["create"].get("error").is_some());
    after(fault.as_ref(), Reply::json(200, &json!({ "errors": errors, "items": items })))
}

/// One document, as `filter_path` shows its end.
fn create(state: &mut State, plan: &Plan, id: String, document: &[u8]) -> Value {
    if let Some(arrival) = state.arrivals.get_mut(&id) {
        arrival.times += 1;
        return item_failure(409, "version_conflict_engine_exception", "document already exists");
    }
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return item_failure(400, "document_parsing_exception", "no JSON");
    };
    if document.get("@timestamp").is_none() {
        return item_failure(400, "document_parsing_exception", "data stream timestamp field [@timestamp] is missing");
    }
    if (plan.refuses)(&document) {
        return item_failure(400, "document_parsing_exception", "failed to parse field [refused] by plan");
    }
    state.arrivals.insert(id, Arrival { document, times: 1 });
    json!({ "create": { "status": 201 } })
}

fn failure(status: u16, kind: &str, reason: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "type": kind, "reason": reason }, "status": status }))
}

fn item_failure(status: u16, kind: &str, reason: &str) -> Value {
    json!({ "create": { "status": status, "error": { "type": kind, "reason": reason } } })
}
