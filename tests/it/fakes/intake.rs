//! An HTTP input as many SIEMs have one: NDJSON or a JSON array, a header with a key, an answer for the request as a whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};
use crate::events::uid;

/// The header that has to be there, and its value.
pub const KEY: (&str, &str) = ("x-api-key", "key-EXAMPLE");

#[derive(Default)]
struct State {
    /// How often each event was stored, by [`uid`].
    arrivals: BTreeMap<String, u32>,
    /// Method, path with query, type and compression of each batch.
    requests: Vec<[String; 4]>,
}

/// A running input.
pub struct FakeIntake {
    /// Where it takes events.
    pub url: String,
    /// Where it says that the key is good.
    pub check_url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeIntake {
    /// An input that refuses a request with an event which the plan refuses: by 400, taking nothing.
    pub async fn start(plan: Plan) -> Self {
        Self::start_with(plan, false).await
    }

    /// An input that answers 200 whatever it refuses, takes the rest, and counts what failed in its answer.
    pub async fn start_counting(plan: Plan) -> Self {
        Self::start_with(plan, true).await
    }

    async fn start_with(plan: Plan, counts: bool) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let plan = Mutex::new(plan);
        let server =
            Server::start(move |asked| answer(&mut shared.lock().unwrap(), &mut plan.lock().unwrap(), counts, &asked))
                .await;
        let url = server.url();
        Self { check_url: format!("{url}/whoami"), url: format!("{url}/ingest?kind=aws"), state, _server: server }
    }

    /// How often each event is stored, by [`uid`].
    pub fn received(&self) -> BTreeMap<String, u32> {
        self.state.lock().unwrap().arrivals.clone()
    }

    /// How many events are stored, each once.
    pub fn distinct(&self) -> usize {
        self.state.lock().unwrap().arrivals.len()
    }

    /// How many were stored more than once, each further time counted.
    pub fn duplicates(&self) -> u64 {
        self.state.lock().unwrap().arrivals.values().map(|times| u64::from(times - 1)).sum()
    }

    /// Method, path with query, type and compression of each batch.
    pub fn requests(&self) -> Vec<[String; 4]> {
        self.state.lock().unwrap().requests.clone()
    }
}

fn answer(state: &mut State, plan: &mut Plan, counts: bool, asked: &Asked) -> Reply {
    if asked.header(KEY.0) != Some(KEY.1) {
        return Reply::new(401, "no such key");
    }
    match (asked.path.as_str(), asked.method.as_str()) {
        ("/whoami", "GET") => return Reply::new(200, "{}"),
        ("/ingest", "POST" | "PUT") => {}
        ("/ingest", _) => return Reply::new(405, ""),
        _ => return Reply::new(404, ""),
    }
    let header = |name: &str| asked.header(name).unwrap_or_default().to_owned();
    let place = format!("{}?{}", asked.path, asked.query);
    state.requests.push([asked.method.clone(), place, header("content-type"), header("content-encoding")]);
    if asked.body.len() > plan.body_bytes_max {
        return Reply::new(413, "");
    }
    let events: Option<Vec<Value>> = match asked.header("content-type") {
        Some("application/json") => serde_json::from_slice(&asked.body).ok(),
        Some("application/x-ndjson") => {
            asked.body.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).ok()).collect()
        }
        _ => return Reply::new(415, ""),
    };
    let Some(events) = events else { return Reply::new(400, "no such form") };
    let fault = plan.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    let (refused, taken): (Vec<Value>, Vec<Value>) = events.into_iter().partition(|event| (plan.refuses)(event));
    if fault == Some(Fault::Partial) || (!refused.is_empty() && !counts) {
        return Reply::new(if refused.is_empty() { 503 } else { 400 }, "refused by plan");
    }
    for event in &taken {
        let name = uid(u32::try_from(event["n"].as_u64().expect("an event of the tests")).unwrap());
        *state.arrivals.entry(name).or_default() += 1;
    }
    let honest = Reply::json(200, &json!({ "ingested": taken.len(), "failed": refused.len() }));
    after(fault.as_ref(), honest)
}
