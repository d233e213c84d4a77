//! A strict Sumo Logic HTTP source: the documented statuses, the bounds of headers and bodies, and a load balancer's cookie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};
use crate::events::uid;

/// The code in the address that is valid.
pub const CODE: &str = "ZaVnC4dhaV-EXAMPLE";

/// The token, where the source asks for one.
pub const TOKEN: &str = "token-EXAMPLE";

/// The fields that the organisation knows.
const FIELDS: [&str; 3] = ["account", "log_type", "team"];

/// The most bytes of a request, before compression.
const BODY_BYTES_MAX: usize = 1_000_000;

/// What arrived of one message.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The message of the first time.
    pub line: String,
    /// The `x-sumo-*` headers of its request.
    pub headers: BTreeMap<String, String>,
    /// How often it was stored: above 1 are duplicates.
    pub times: u32,
}

#[derive(Default)]
struct State {
    arrivals: BTreeMap<String, Arrival>,
    complaints: usize,
    batches: usize,
    requests: usize,
    strays: usize,
    wire_bytes: usize,
    plain_bytes: usize,
}

/// A running HTTP source.
pub struct FakeSumo {
    /// The address of the source, a secret.
    pub url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeSumo {
    /// A source whose address is all that is asked for.
    pub async fn start(plan: Plan) -> Self {
        Self::start_with(plan, None).await
    }

    /// A source that asks for the token in a header too.
    pub async fn start_with_token(plan: Plan) -> Self {
        Self::start_with(plan, Some(TOKEN)).await
    }

    async fn start_with(plan: Plan, token: Option<&'static str>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let plan = Mutex::new(plan);
        let server = Server::start(move |asked| {
            let mut state = shared.lock().unwrap();
            state.requests += 1;
            if state.requests > 1 && asked.header("cookie") != Some("AWSALB=node-1") {
                state.strays += 1;
            }
            let reply = answer(&mut state, &mut plan.lock().unwrap(), token, &asked);
            Reply { cookie: Some("AWSALB=node-1; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Path=/".to_owned()), ..reply }
        })
        .await;
        Self { url: format!("{}/receiver/v1/http/{CODE}", server.url()), state, _server: server }
    }

    /// What is stored, by [`uid`] of the event's number.
    pub fn received(&self) -> BTreeMap<String, Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }

    /// How many messages are stored, each once.
    pub fn distinct(&self) -> usize {
        self.state.lock().unwrap().arrivals.len()
    }

    /// How many were stored more than once, each further time counted.
    pub fn duplicates(&self) -> u64 {
        self.state.lock().unwrap().arrivals.values().map(|arrival| u64::from(arrival.times - 1)).sum()
    }

    /// How many requests were taken with a complaint about their fields.
    pub fn complaints(&self) -> usize {
        self.state.lock().unwrap().complaints
    }

    /// How many batches came, those that met a fault included.
    pub fn batches(&self) -> usize {
        self.state.lock().unwrap().batches
    }

    /// How many requests but the first came without the balancer's cookie.
    pub fn strays(&self) -> usize {
        self.state.lock().unwrap().strays
    }

    /// The bytes that came over the wire, and what they were before compression.
    pub fn bytes(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.wire_bytes, state.plain_bytes)
    }
}

fn answer(state: &mut State, plan: &mut Plan, token: Option<&str>, asked: &Asked) -> Reply {
    let Some(code) = asked.path.strip_prefix("/receiver/v1/http/") else { return Reply::new(404, "") };
    if asked.method != "POST" {
        return Reply::new(405, "");
    }
    if code != CODE || asked.header("x-sumo-token") != token {
        return Reply::json(401, &json!({ "status": 401, "code": "unauthorized", "message": "Invalid URL token" }));
    }
    if !matches!(asked.header("content-encoding"), None | Some("gzip" | "deflate" | "zstd")) {
        return Reply::new(415, "");
    }
    if asked.body.is_empty() {
        return Reply::new(200, "");
    }
    state.batches += 1;
    state.wire_bytes += asked.wire_bytes;
    state.plain_bytes += asked.body.len();
    if asked.body.len() > plan.body_bytes_max.min(BODY_BYTES_MAX) {
        return Reply::new(413, "");
    }
    let Ok(text) = std::str::from_utf8(&asked.body) else { return Reply::new(400, "no UTF-8") };
    let fault = plan.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    if fault == Some(Fault::Partial) {
        return Reply::new(503, "");
    }
    let messages: Vec<(Value, &str)> =
        text.lines().map(|line| (serde_json::from_str(line).unwrap_or(Value::Null), line)).collect();
    if messages.iter().any(|(event, _)| (plan.refuses)(event)) {
        return Reply::new(400, "refused by plan");
    }
    let headers: BTreeMap<String, String> = asked
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-sumo-") && *name != "x-sumo-token")
        .map(|(name, value)| (name.to_string(), value.to_str().expect("visible ASCII").to_owned()))
        .collect();
    for (event, line) in messages {
        let name = event["n"].as_u64().map_or_else(|| line.to_owned(), |n| uid(u32::try_from(n).unwrap()));
        let first = || Arrival { line: line.to_owned(), headers: headers.clone(), times: 0 };
        state.arrivals.entry(name).or_insert_with(first).times += 1;
    }
    let honest = match complaint(headers.get("x-sumo-fields").map_or("", String::as_str)) {
        None => Reply::new(200, ""),
        Some(message) => {
            state.complaints += 1;
            let body =
                json!({ "status": 200, "id": "ID-EXAMPLE", "code": "bad.http.header.fields", "message": message });
            Reply::json(200, &body)
        }
    };
    match fault {
        Some(Fault::Short) => Reply::new(200, "{\"status\":20"),
        _ => after(fault.as_ref(), honest),
    }
}

/// What is wrong with the fields, which are dropped then; the messages are taken all the same.
fn complaint(fields: &str) -> Option<String> {
    let pairs: Vec<&str> = fields.split(',').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > 30 {
        return Some("More than 30 fields".to_owned());
    }
    pairs.into_iter().find_map(|pair| match pair.split_once('=') {
        None => Some(format!("`{pair}` is no pair")),
        Some((name, _)) if !FIELDS.contains(&name) => Some(format!("Field {name} is not known")),
        Some((name, value)) if value.chars().count() > 200 => Some(format!("The value of {name} is too long")),
        Some(_) => None,
    })
}
