//! A strict Splunk HEC: what was measured on the real one, its traps included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};

/// The token that is valid.
pub const TOKEN: &str = "00000000-0000-4000-8000-0000EXAMPLE0";

/// The indexes that the token allows.
pub const INDEXES: [&str; 2] = ["main", "security"];

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

fn answer(state: &mut State, plan: &mut Plan, asked: &Asked) -> Reply {
    match (asked.path.as_str(), asked.method.as_str()) {
        ("/services/collector/health" | "/services/collector/health/1.0", "GET") => {
            return code(200, 17, "HEC is healthy");
        }
        ("/services/collector" | "/services/collector/event" | "/services/collector/event/1.0", "POST") => {}
        ("/services/collector" | "/services/collector/event" | "/services/collector/event/1.0", _) => {
            return code(405, 404, "The requested URL does not take this method.");
        }
        _ => return code(404, 404, "The requested URL was not found on this server."),
    }
    match asked.header("authorization").map(|value| value.split_once(' ')) {
        None => return code(401, 2, "Token is required"),
        Some(Some(("Splunk", TOKEN))) => {}
        Some(Some(("Splunk", _))) => return code(403, 4, "Invalid token"),
        Some(_) => return code(401, 3, "Invalid authorization"),
    }
    if asked.header("content-encoding").is_some_and(|encoding| encoding != "gzip") {
        return Reply::new(415, "<!doctype html><html><body>Unsupported Media Type</body></html>");
    }
    if asked.body.is_empty() {
        return code(400, 5, "No data");
    }
    state.batches += 1;
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
    let honest = index(state, plan, &asked.body);
    match fault {
        Some(Fault::NearCapacity) if honest.status == 200 => code(200, 24, "Queue is near capacity"),
        Some(Fault::Short) if honest.status == 200 => Reply::json(200, &json!({ "text": "Success" })),
        _ => after(fault.as_ref(), honest),
    }
}

/// Reads the stacked objects one after the other, and stops at the first that is at fault: those before it are indexed.
fn index(state: &mut State, plan: &Plan, body: &[u8]) -> Reply {
    let mut envelopes = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let mut number = 0;
    while let Some(envelope) = envelopes.next() {
        let Ok(Value::Object(envelope)) = envelope else {
            return at_fault(6, "Invalid data format", number);
        };
        if envelope.keys().any(|key| !KNOWN_KEYS.contains(&key.as_str())) {
            // This one and all after it are gone, and the answer is success.
            state.silently_dropped += 1 + envelopes.count();
            return code(200, 0, "Success");
        }
        match envelope.get("event") {
            None if envelope.contains_key("fields") => {
                state.silently_dropped += 1;
                number += 1;
                continue;
            }
            None => return at_fault(12, "Event field is required", number),
            Some(Value::Null | Value::Bool(false)) => return at_fault(6, "Invalid data format", number),
            Some(Value::String(text)) if text.trim().is_empty() => {
                return at_fault(13, "Event field cannot be blank", number);
            }
            Some(event) if (plan.refuses)(event) => return at_fault(6, "Invalid data format", number),
            Some(_) => {}
        }
        let is_flat = |fields: &Value| fields.as_object().is_some_and(|fields| !fields.values().any(Value::is_object));
        if !envelope.get("fields").is_none_or(is_flat) {
            return at_fault(15, "Error in handling indexed fields", number);
        }
        if let Some(index) = envelope.get("index")
            && !INDEXES.iter().any(|known| index == known)
        {
            // One too high, as measured.
            return at_fault(7, "Incorrect index", number + 1);
        }
        let uid = envelope.get("fields").and_then(|fields| fields["siemline_uid"].as_str()).unwrap_or("(none)");
        let uid = uid.to_owned();
        let arrival =
            state.arrivals.entry(uid).or_insert_with(|| Arrival { envelope: Value::Object(envelope), times: 0 });
        arrival.times += 1;
        number += 1;
    }
    if number == 0 { code(400, 5, "No data") } else { code(200, 0, "Success") }
}

fn code(status: u16, code: u32, text: &str) -> Reply {
    Reply::json(status, &json!({ "text": text, "code": code }))
}

fn at_fault(code: u32, text: &str, number: usize) -> Reply {
    Reply::json(400, &json!({ "text": text, "code": code, "invalid-event-number": number }))
}
