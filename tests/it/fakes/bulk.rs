//! A strict Elasticsearch, as far as a sink sees it: `_bulk` on a data stream and on an index of versions, the root,
//! privileges, names, templates, policies; and searching and deleting, as a replay of dead letters does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};

/// The value of `Authorization` that is valid for everything.
pub const API_KEY: &str = "a2V5OkVYQU1QTEU=";

/// A key that may create documents and nothing else.
pub const API_KEY_CREATE_ONLY: &str = "Y3JlYXRlOkVYQU1QTEU=";

/// A key that may look and not touch.
pub const API_KEY_READ_ONLY: &str = "cmVhZDpFWEFNUExF";

/// The key pair of AWS that a cluster takes which wants signatures.
pub const AWS_KEY: &str = "AKIDEXAMPLE";
pub const AWS_SECRET: &str = "secretEXAMPLE";

/// What arrived of one document.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The document.
    pub document: Value,
    /// Its index; empty where it stood in the path.
    pub index: String,
    /// How often it was sent, once it stood there: above 1 are answered with 409.
    pub times: u32,
}

#[derive(Default)]
struct State {
    arrivals: BTreeMap<String, Arrival>,
    /// What was put under an id with a version: the version, the index, and the document.
    latest: BTreeMap<String, (u64, String, Value)>,
    templates: BTreeMap<String, Value>,
    /// The ids that a search finds: those that stood there when it was refreshed.
    refreshed: BTreeSet<String>,
    /// Whether the index was made.
    has_index: bool,
    /// The most documents that one search may ask for.
    found_max: Option<usize>,
    searches: usize,
    /// What is told of a path.
    told: BTreeMap<String, (u16, Value)>,
    /// The service that signatures have to be for.
    signed_for: Option<&'static str>,
    body_hashes: usize,
    last_authorization: String,
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
        Self::start_in(plan, State::default()).await
    }

    /// A cluster that takes no keys, but signatures of AWS for this service, by [`AWS_KEY`] in eu-west-1.
    pub async fn start_signed(plan: Plan, service: &'static str) -> Self {
        Self::start_in(plan, State { signed_for: Some(service), ..State::default() }).await
    }

    async fn start_in(plan: Plan, state: State) -> Self {
        let state = Arc::new(Mutex::new(state));
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

    /// From now on this is answered to this method and path: `GET /_alias/logs`.
    pub fn tell(&self, request: &str, status: u16, answer: Value) {
        self.state.lock().unwrap().told.insert(request.to_owned(), (status, answer));
    }

    /// The latest states, by `_id`: version, index and document.
    pub fn latest(&self) -> BTreeMap<String, (u64, String, Value)> {
        self.state.lock().unwrap().latest.clone()
    }

    /// What the last request showed as `Authorization`.
    pub fn last_authorization(&self) -> String {
        self.state.lock().unwrap().last_authorization.clone()
    }

    /// How many requests with a body were signed rightly.
    pub fn signed_bodies(&self) -> usize {
        self.state.lock().unwrap().body_hashes
    }

    /// The templates and policies that were put, by path.
    pub fn templates(&self) -> BTreeMap<String, Value> {
        self.state.lock().unwrap().templates.clone()
    }

    /// From now on a search that asks for more documents than these is answered with too many bytes.
    pub fn finds_at_most(&self, documents: usize) {
        self.state.lock().unwrap().found_max = Some(documents);
    }

    /// How many searches were answered.
    pub fn searches(&self) -> usize {
        self.state.lock().unwrap().searches
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
    asked.header("authorization").unwrap_or_default().clone_into(&mut state.last_authorization);
    let mut key = asked.header("authorization").and_then(|value| value.strip_prefix("ApiKey ")).unwrap_or_default();
    if let Some(service) = state.signed_for {
        if let Err(reason) = verify(asked, service) {
            return failure(403, "InvalidSignatureException", &reason);
        }
        state.body_hashes += usize::from(!asked.wire.is_empty());
        key = API_KEY;
    }
    if ![API_KEY, API_KEY_CREATE_ONLY, API_KEY_READ_ONLY].contains(&key) {
        return failure(401, "security_exception", "unable to authenticate");
    }
    if let Some((status, answer)) = state.told.get(&format!("{} {}", asked.method, asked.path)) {
        return Reply::json(*status, answer);
    }
    let is_template = ["/_component_template/", "/_index_template/", "/_ilm/policy/", "/_plugins/_ism/policies/"]
        .iter()
        .any(|begin| asked.path.starts_with(begin));
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/") if key == API_KEY_CREATE_ONLY => failure(403, "security_exception", "no cluster:monitor/main"),
        ("GET", "/") => {
            Reply::json(200, &json!({ "version": { "number": "9.2.0" }, "tagline": "You Know, for Search" }))
        }
        ("POST", "/_security/user/_has_privileges") => {
            Reply::json(200, &json!({ "has_all_requested": key != API_KEY_READ_ONLY }))
        }
        ("PUT" | "GET", _) if is_template && key != API_KEY => {
            failure(403, "security_exception", "no manage_index_templates")
        }
        ("PUT", path) if is_template => {
            let Ok(template) = serde_json::from_slice(&asked.body) else {
                return failure(400, "parse_exception", "no JSON");
            };
            state.templates.insert(path.to_owned(), template);
            Reply::json(200, &json!({ "acknowledged": true }))
        }
        ("GET", path) if state.templates.contains_key(path) => Reply::json(200, &state.templates[path]),
        ("GET", path) if path.starts_with("/_resolve/index/") && key == API_KEY_CREATE_ONLY => {
            failure(403, "security_exception", "no view_index_metadata")
        }
        ("GET", path) if path.starts_with("/_resolve/index/") => {
            let name = path.trim_start_matches("/_resolve/index/");
            Reply::json(200, &json!({ "indices": [], "aliases": [], "data_streams": [{ "name": name }] }))
        }
        ("POST", path) if path.ends_with("/_refresh") || path.ends_with("/_search") => {
            if key != API_KEY {
                return failure(403, "security_exception", "no read or maintenance");
            }
            if !state.has_index {
                return failure(404, "index_not_found_exception", "no such index");
            }
            if path.ends_with("/_search") {
                return search(state, asked);
            }
            state.refreshed = state.arrivals.keys().cloned().collect();
            Reply::json(200, &json!({ "_shards": { "total": 1, "successful": 1, "failed": 0 } }))
        }
        ("POST", path) if path.ends_with("/_bulk") => bulk(state, plan, asked, key),
        _ => failure(404, "resource_not_found_exception", "no such path"),
    }
}

/// Works the signature out once more, as AWS describes Signature Version 4, from what came over the wire.
fn verify(asked: &Asked, service: &str) -> Result<(), String> {
    let header = |name: &str| asked.header(name).ok_or(format!("{name} is missing"));
    let date = header("x-amz-date")?;
    let day = date.get(..8).ok_or("no date")?;
    let hash = hex(&Sha256::digest(&asked.wire));
    if header("x-amz-content-sha256")? != hash {
        return Err("the hash is not that of the body".to_owned());
    }
    let authorization = header("authorization")?;
    let part = |name: &str| {
        let start = authorization.find(name)? + name.len();
        authorization[start..].split([',', ' ']).next()
    };
    let names = part("SignedHeaders=").ok_or("no signed headers")?;
    for wanted in ["host", "x-amz-content-sha256", "x-amz-date"] {
        if !names.split(';').any(|name| name == wanted) {
            return Err(format!("{wanted} is not signed"));
        }
    }
    let mut lines = String::new();
    for name in names.split(';') {
        let _ = writeln!(lines, "{name}:{}", header(name)?.trim());
    }
    let mut pairs: Vec<&str> = asked.query.split('&').collect();
    pairs.sort_unstable();
    let canonical = format!("{}\n{}\n{}\n{lines}\n{names}\n{hash}", asked.method, asked.path, pairs.join("&"));
    let scope = format!("{day}/eu-west-1/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = mac(format!("AWS4{AWS_SECRET}").as_bytes(), day);
    for part in ["eu-west-1", service, "aws4_request"] {
        key = mac(&key, part);
    }
    let expected = (Some(format!("{AWS_KEY}/{scope}")), Some(hex(&mac(&key, &to_sign))));
    let told = (part("Credential=").map(str::to_owned), part("Signature=").map(str::to_owned));
    if told == expected { Ok(()) } else { Err(format!("{told:?} is not {expected:?}")) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
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
    let mut lines = lines.split(|byte| *byte == b'\n');
    let mut actions = Vec::new();
    while let Some(line) = lines.next() {
        let action = Action::read(&serde_json::from_slice::<Value>(line).unwrap_or_default());
        // What is to be deleted has no document.
        let document = if action.as_ref().is_some_and(|action| action.deletes) { Some(&[][..]) } else { lines.next() };
        let Some((action, document)) = action.zip(document) else {
            return failure(400, "illegal_argument_exception", "Malformed action/metadata line");
        };
        actions.push((action, document));
    }
    let mut items = Vec::new();
    for (action, document) in actions {
        items.push(if key == API_KEY_READ_ONLY {
            item_failure(action.kind(), 403, "security_exception", "no create_doc")
        } else if fault == Some(Fault::Partial) && plan.toss() {
            let reason = "rejected execution of coordinating operation";
            item_failure(action.kind(), 429, "es_rejected_execution_exception", reason)
        } else if let Some(name) = action.illegal_name(asked) {
            item_failure(action.kind(), 400, "invalid_index_name_exception", &format!("Invalid index name [{name}]"))
        } else {
            state.has_index |= !action.deletes;
            match action.version {
                Some(version) => index(state, action, version, document),
                None if action.deletes => {
                    let status = if state.arrivals.remove(&action.id).is_some() { 200 } else { 404 };
                    json!({ "delete": { "status": status } })
                }
                None => create(state, plan, action, document),
            }
        });
    }
    if fault == Some(Fault::Short) {
        items.truncate(items.len() / 2);
    }
    let errors = items.iter().any(|item| item.to_string().contains("\"error\":"));
    after(fault.as_ref(), Reply::json(200, &json!({ "errors": errors, "items": items })))
}

/// An action's line.
struct Action {
    id: String,
    index: String,
    /// `index` has one, and the others none.
    version: Option<u64>,
    deletes: bool,
}

impl Action {
    fn read(line: &Value) -> Option<Self> {
        let (kind, action) = line.as_object()?.iter().next()?;
        let id = action["_id"].as_str()?.to_owned();
        let index = action["_index"].as_str().unwrap_or_default().to_owned();
        let version = match (kind.as_str(), action["version_type"].as_str()) {
            ("create" | "delete", None) => None,
            ("index", Some("external_gte")) => Some(action["version"].as_u64()?),
            _ => return None,
        };
        Some(Self { id, index, version, deletes: kind == "delete" })
    }

    fn kind(&self) -> &'static str {
        match self.version {
            Some(_) => "index",
            None if self.deletes => "delete",
            None => "create",
        }
    }

    /// A name has to be somewhere, and to be one that clusters take.
    fn illegal_name(&self, asked: &Asked) -> Option<String> {
        let name = if self.index.is_empty() { asked.path.split('/').nth(1)? } else { &self.index };
        let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let is_right = name.len() <= 255 && !name.starts_with(['-', '_']) && name.bytes().all(is_legal);
        (!is_right).then(|| name.to_owned())
    }
}

/// One document, as `filter_path` shows its end.
fn create(state: &mut State, plan: &Plan, Action { id, index, .. }: Action, document: &[u8]) -> Value {
    if let Some(arrival) = state.arrivals.get_mut(&id) {
        arrival.times += 1;
        return item_failure("create", 409, "version_conflict_engine_exception", "document already exists");
    }
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return item_failure("create", 400, "document_parsing_exception", "no JSON");
    };
    if document.get("@timestamp").is_none() {
        let reason = "data stream timestamp field [@timestamp] is missing";
        return item_failure("create", 400, "document_parsing_exception", reason);
    }
    if (plan.refuses)(&document) {
        return item_failure("create", 400, "document_parsing_exception", "failed to parse field [refused] by plan");
    }
    state.arrivals.insert(id, Arrival { document, index, times: 1 });
    json!({ "create": { "status": 201 } })
}

/// One document with a version, which no older one replaces.
fn index(state: &mut State, Action { id, index, .. }: Action, version: u64, document: &[u8]) -> Value {
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return item_failure("index", 400, "document_parsing_exception", "no JSON");
    };
    if let Some((standing, _, _)) = state.latest.get(&id)
        && *standing > version
    {
        let reason = format!("current version [{standing}] is higher than the one provided [{version}]");
        return item_failure("index", 409, "version_conflict_engine_exception", &reason);
    }
    state.latest.insert(id, (version, index, document));
    json!({ "index": { "status": 200 } })
}

/// The documents before a bound, in the order of two numbers, from behind those of another.
fn search(state: &mut State, asked: &Asked) -> Reply {
    let question = serde_json::from_slice::<Value>(&asked.body).unwrap_or_default();
    let by = |place: usize| question["sort"][place].as_object()?.iter().next();
    let range = question["query"]["range"].as_object().and_then(|range| range.iter().next());
    let (Some((first, how)), Some((second, _)), Some((bounded, bound)), Some(size)) =
        (by(0), by(1), range, question["size"].as_u64())
    else {
        return failure(400, "parsing_exception", "a size, a range and two fields to sort by are to be told");
    };
    if how != &json!({ "order": "asc", "unmapped_type": "long" }) || !(1..=10_000).contains(&size) {
        return failure(400, "illegal_argument_exception", "not this order or size");
    }
    let number = |document: &Value, field: &str| {
        document.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_u64).expect("a number")
    };
    let after = question.get("search_after").map(|after| (after[0].as_u64().unwrap(), after[1].as_u64().unwrap()));
    let mut found: Vec<_> = state
        .arrivals
        .iter()
        .filter(|(id, arrival)| {
            state.refreshed.contains(*id) && number(&arrival.document, bounded) < bound["lt"].as_u64().unwrap()
        })
        .map(|(id, arrival)| ((number(&arrival.document, first), number(&arrival.document, second)), id, arrival))
        .filter(|(place, ..)| after.is_none_or(|after| *place > after))
        .collect();
    found.sort_by_key(|(place, ..)| *place);
    found.truncate(usize::try_from(size).unwrap());
    let index = asked.path.split('/').nth(1).unwrap();
    let shows = question["_source"][0].as_str().map(|field| format!("/{}", field.replace('.', "/")));
    let hits = found.into_iter().map(|((first, second), id, arrival)| {
        let mut hit = json!({ "_index": index, "_id": id, "sort": [first, second] });
        if let Some(value) = shows.as_ref().and_then(|field| arrival.document.pointer(field)) {
            hit["_source"] = json!({ "dead_letter": { "line": value } });
        }
        hit
    });
    let hits: Vec<Value> = hits.collect();
    state.searches += 1;
    // What is larger than a client reads.
    let padding = state.found_max.is_some_and(|most| size > u64::try_from(most).unwrap());
    let padding = if padding { "x".repeat(1 << 20) } else { String::new() };
    let shards = json!({ "total": 1, "successful": 1, "failed": 0 });
    Reply::json(200, &json!({ "timed_out": false, "_shards": shards, "hits": { "hits": hits }, "padding": padding }))
}

fn failure(status: u16, kind: &str, reason: &str) -> Reply {
    Reply::json(status, &json!({ "error": { "type": kind, "reason": reason }, "status": status }))
}

fn item_failure(action: &str, status: u16, kind: &str, reason: &str) -> Value {
    json!({ (action): { "status": status, "error": { "type": kind, "reason": reason } } })
}
