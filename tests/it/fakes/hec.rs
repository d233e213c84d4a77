//! A strict Splunk HEC: what was measured on the real one, its traps included. It may be several indexers behind a balancer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::acknowledgements::{Acknowledgements, is_uuid};
use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};

/// The token that is valid.
pub const TOKEN: &str = "00000000-0000-4000-8000-0000EXAMPLE0";

/// A token that is valid and has indexer acknowledgement.
pub const ACK_TOKEN: &str = "00000000-0000-4000-8000-1111EXAMPLE1";

/// A token that is valid for the index `audit` only.
pub const AUDIT_TOKEN: &str = "00000000-0000-4000-8000-2222EXAMPLE2";

/// The indexes that the first two tokens allow.
pub const INDEXES: [&str; 2] = ["main", "security"];

/// How it is set up.
#[derive(Clone, Debug)]
pub struct Site {
    /// How many indexers stand behind the address.
    pub nodes: usize,
    /// Whether the balancer before them sets a cookie that names the indexer.
    pub has_cookie: bool,
    /// How often an id is told to be not indexed yet before it is told to be indexed.
    pub polls_in_vain: u32,
    /// Whether it forgets to hand out ids.
    pub hides_ids: bool,
    /// What health answers besides 200, if it does.
    pub queues_full: bool,
}

impl Default for Site {
    /// One indexer in good health, quick to index.
    fn default() -> Self {
        Self { nodes: 1, has_cookie: false, polls_in_vain: 1, hides_ids: false, queues_full: false }
    }
}

const KNOWN_KEYS: [&str; 7] = ["time", "host", "source", "sourcetype", "index", "event", "fields"];

/// What arrived of one event.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The first envelope.
    pub envelope: Value,
    /// How often it was indexed: above 1 are duplicates.
    pub times: u32,
}

#[derive(Default)]
struct State {
    site: Site,
    acknowledgements: Acknowledgements,
    polls: Vec<usize>,
    tokens: Vec<String>,
    next_node: usize,
    arrivals: BTreeMap<String, Arrival>,
    silently_dropped: usize,
    requests: usize,
    batches: usize,
    wire_bytes: usize,
}

/// A running HEC.
pub struct FakeHec {
    /// The endpoint.
    pub url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeHec {
    pub async fn start(plan: Plan) -> Self {
        Self::start_at(Site::default(), plan, Plan::healthy()).await
    }

    /// The same at this site. Batches meet the faults of `plan`, questions for acknowledgements those of `polls`.
    pub async fn start_at(site: Site, plan: Plan, polls: Plan) -> Self {
        let state = Arc::new(Mutex::new(State { site, ..State::default() }));
        let shared = Arc::clone(&state);
        let plans = Mutex::new((plan, polls));
        let server = Server::start(move |asked| {
            let (mut state, mut plans) = (shared.lock().unwrap(), plans.lock().unwrap());
            let (plan, polls) = &mut *plans;
            state.requests += 1;
            let node = state.node(&asked);
            let reply = answer(&mut state, plan, polls, node, &asked);
            let cookie = state.site.has_cookie.then(|| format!("indexer={node}; Path=/; HttpOnly"));
            Reply { cookie, ..reply }
        })
        .await;
        Self { url: server.url(), state, _server: server }
    }

    /// All indexers forget what they know of channels, as by a restart.
    pub fn restart(&self) {
        self.state.lock().unwrap().acknowledgements = Acknowledgements::default();
    }

    /// How many ids each question for acknowledgements asked for.
    pub fn polls(&self) -> Vec<usize> {
        self.state.lock().unwrap().polls.clone()
    }

    /// How many ids were told to be indexed.
    pub fn acknowledged(&self) -> usize {
        self.state.lock().unwrap().acknowledgements.told
    }

    /// The tokens of the batches that came, in their order.
    pub fn tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().tokens.clone()
    }

    /// What was indexed, by `fields.siemline_uid`.
    pub fn received(&self) -> BTreeMap<String, Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }

    /// How many events were indexed, each once.
    pub fn distinct(&self) -> usize {
        self.state.lock().unwrap().arrivals.len()
    }

    /// How many were indexed more than once, each further time counted.
    pub fn duplicates(&self) -> u64 {
        self.state.lock().unwrap().arrivals.values().map(|arrival| u64::from(arrival.times - 1)).sum()
    }

    /// Events that the real HEC would have swallowed without a word. A client that writes only known keys has none.
    pub fn silently_dropped(&self) -> usize {
        self.state.lock().unwrap().silently_dropped
    }

    /// How many requests came, questions included.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// How many batches came, those that met a fault included.
    pub fn batches(&self) -> usize {
        self.state.lock().unwrap().batches
    }

    /// How many bytes came over the wire.
    pub fn wire_bytes(&self) -> usize {
        self.state.lock().unwrap().wire_bytes
    }
}

impl State {
    /// The indexer that the balancer chooses: by the cookie, or the next in turn.
    fn node(&mut self, asked: &Asked) -> usize {
        let cookie = asked.header("cookie").and_then(|cookie| cookie.strip_prefix("indexer="));
        if let Some(node) = cookie.filter(|_| self.site.has_cookie) {
            return node.parse().expect("the cookie is as it was set");
        }
        self.next_node += 1;
        (self.next_node - 1) % self.site.nodes
    }

    fn take(&mut self, name: String, envelope: Value) {
        self.arrivals.entry(name).or_insert(Arrival { envelope, times: 0 }).times += 1;
    }
}

fn answer(state: &mut State, plan: &mut Plan, polls: &mut Plan, node: usize, asked: &Asked) -> Reply {
    let path = asked.path.strip_prefix("/services/collector").map(|path| path.trim_end_matches("/1.0"));
    match (path, asked.method.as_str()) {
        (Some("/health"), "GET") if state.site.queues_full => {
            return code(503, 18, "HEC is unhealthy, queues are full");
        }
        (Some("/health"), "GET") => return code(200, 17, "HEC is healthy"),
        (Some("" | "/event" | "/raw" | "/ack"), "POST") => {}
        (Some("" | "/event" | "/raw" | "/ack"), _) => {
            return code(405, 404, "The requested URL does not take this method.");
        }
        _ => return code(404, 404, "The requested URL was not found on this server."),
    }
    let token = match asked.header("authorization").map(|value| value.split_once(' ')) {
        None => return code(401, 2, "Token is required"),
        Some(Some(("Splunk", token @ (TOKEN | ACK_TOKEN | AUDIT_TOKEN)))) => token,
        Some(Some(("Splunk", _))) => return code(403, 4, "Invalid token"),
        Some(_) => return code(401, 3, "Invalid authorization"),
    };
    let channel = asked.header("x-splunk-request-channel");
    if token == ACK_TOKEN || path == Some("/ack") {
        match channel {
            None => return code(400, 10, "Data channel is missing"),
            Some(channel) if !is_uuid(channel) => return code(400, 11, "Invalid data channel"),
            Some(_) => {}
        }
    }
    if path == Some("/ack") {
        return if token == ACK_TOKEN { poll(state, polls, node, asked) } else { code(400, 14, "ACK is disabled") };
    }
    if asked.header("content-encoding").is_some_and(|encoding| encoding != "gzip") {
        return Reply::new(415, "<!doctype html><html><body>Unsupported Media Type</body></html>");
    }
    if asked.body.is_empty() {
        return code(400, 5, "No data");
    }
    state.batches += 1;
    state.tokens.push(token.to_owned());
    state.wire_bytes += asked.wire_bytes;
    if asked.body.len() > plan.body_bytes_max {
        return Reply::new(413, "<html>Request Entity Too Large</html>");
    }
    let fault = plan.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    if fault == Some(Fault::Partial) {
        return code(503, 9, "Server is busy");
    }
    let indexes: &[&str] = if token == AUDIT_TOKEN { &["audit"] } else { &INDEXES };
    let said = match path {
        Some("/raw") => index_lines(state, indexes, asked),
        _ => index(state, plan, indexes, &asked.body),
    };
    let ack_id = match channel {
        Some(channel) if token == ACK_TOKEN && said.is_ok() && !state.site.hides_ids => {
            Some(state.acknowledgements.hand_out(node, channel, state.site.polls_in_vain))
        }
        _ => None,
    };
    let success = |number: u32, text: &str| {
        let mut body = json!({ "text": text, "code": number });
        if let Some(ack_id) = ack_id {
            body["ackId"] = json!(ack_id);
        }
        Reply::json(200, &body)
    };
    match (said, fault) {
        (Ok(()), Some(Fault::NearCapacity)) => success(24, "Queue is near capacity"),
        (Ok(()), Some(Fault::Short)) => Reply::json(200, &json!({ "text": "Success" })),
        (Ok(()), fault) => after(fault.as_ref(), success(0, "Success")),
        (Err(reply), fault) => after(fault.as_ref(), reply),
    }
}

/// Tells which ids are indexed. The indexer that answers knows its own only, and forgets what it has told.
fn poll(state: &mut State, polls: &mut Plan, node: usize, asked: &Asked) -> Reply {
    let Ok(question) = serde_json::from_slice::<Value>(&asked.body) else { return code(400, 6, "Invalid data format") };
    let Some(ids) = question["acks"].as_array() else { return code(400, 6, "Invalid data format") };
    state.polls.push(ids.len());
    let fault = polls.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    let channel = asked.header("x-splunk-request-channel").expect("was looked at");
    let ids = ids.iter().map(|id| id.as_u64().expect("ids are numbers"));
    let acks: BTreeMap<String, bool> =
        ids.map(|id| (id.to_string(), state.acknowledgements.is_indexed(node, channel, id))).collect();
    after(fault.as_ref(), Reply::json(200, &json!({ "acks": acks })))
}

/// Takes each line as an event, known by its text. What is wrong with the request is wrong for all.
fn index_lines(state: &mut State, indexes: &[&str], asked: &Asked) -> Result<(), Reply> {
    let query: BTreeMap<_, _> = reqwest::Url::parse(&format!("http://h/?{}", asked.query))
        .expect("a query")
        .query_pairs()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    assert!(query.keys().all(|key| KNOWN_KEYS[1..5].contains(&key.as_str())), "{query:?}");
    if query.get("index").is_some_and(|index| !indexes.contains(&index.as_str())) {
        return Err(code(400, 7, "Incorrect index"));
    }
    let text = std::str::from_utf8(&asked.body).expect("lines are UTF-8");
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut envelope = json!(query);
        envelope["event"] = json!(line);
        state.take(line.to_owned(), envelope);
    }
    Ok(())
}

/// Reads the stacked objects one after the other, and stops at the first that is at fault: those before it are indexed.
fn index(state: &mut State, plan: &Plan, indexes: &[&str], body: &[u8]) -> Result<(), Reply> {
    let mut envelopes = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let mut number = 0;
    while let Some(envelope) = envelopes.next() {
        let Ok(Value::Object(envelope)) = envelope else {
            return Err(at_fault(6, "Invalid data format", number));
        };
        if envelope.keys().any(|key| !KNOWN_KEYS.contains(&key.as_str())) {
            // This one and all after it are gone, and the answer is success.
            state.silently_dropped += 1 + envelopes.count();
            return Ok(());
        }
        match envelope.get("event") {
            None if envelope.contains_key("fields") => {
                state.silently_dropped += 1;
                number += 1;
                continue;
            }
            None => return Err(at_fault(12, "Event field is required", number)),
            Some(Value::Null | Value::Bool(false)) => return Err(at_fault(6, "Invalid data format", number)),
            Some(Value::String(text)) if text.trim().is_empty() => {
                return Err(at_fault(13, "Event field cannot be blank", number));
            }
            Some(event) if (plan.refuses)(event) => return Err(at_fault(6, "Invalid data format", number)),
            Some(_) => {}
        }
        let is_flat = |fields: &Value| fields.as_object().is_some_and(|fields| !fields.values().any(Value::is_object));
        if !envelope.get("fields").is_none_or(is_flat) {
            return Err(at_fault(15, "Error in handling indexed fields", number));
        }
        if let Some(index) = envelope.get("index")
            && !indexes.iter().any(|known| index == known)
        {
            // One too high, as measured.
            return Err(at_fault(7, "Incorrect index", number + 1));
        }
        let uid = envelope.get("fields").and_then(|fields| fields["siemline_uid"].as_str()).unwrap_or("(none)");
        let uid = uid.to_owned();
        state.take(uid, Value::Object(envelope));
        number += 1;
    }
    if number == 0 { Err(code(400, 5, "No data")) } else { Ok(()) }
}

fn code(status: u16, code: u32, text: &str) -> Reply {
    Reply::json(status, &json!({ "text": text, "code": code }))
}

fn at_fault(code: u32, text: &str, number: usize) -> Reply {
    Reply::json(400, &json!({ "text": text, "code": code, "invalid-event-number": number }))
}
