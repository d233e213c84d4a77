//! A strict Firehose: `PutRecordBatch` and `DescribeDeliveryStream` of one stream, in AWS JSON 1.1, with the limits of the
//! service.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};

/// The stream's name.
pub const STREAM: &str = "security";

const RECORDS_MAX: usize = 500;
const RECORD_BYTES_MAX: usize = 1000 << 10;
const REQUEST_BYTES_MAX: usize = 4 << 20;

#[derive(Default)]
struct State {
    records: Vec<Vec<u8>>,
    requests: usize,
    keys: Vec<String>,
    /// The description's status and type.
    described: (String, String),
}

/// A running service.
pub struct FakeFirehose {
    pub url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeFirehose {
    /// [`Fault::Partial`] refuses about half of the records of a request; [`Fault::Short`] takes all and leaves the last
    /// results out.
    pub async fn start(plan: Plan) -> Self {
        let described = ("ACTIVE".to_owned(), "DirectPut".to_owned());
        let state = Arc::new(Mutex::new(State { described, ..State::default() }));
        let shared = Arc::clone(&state);
        let plan = Mutex::new(plan);
        let answer = move |asked: Asked| answer(&mut shared.lock().unwrap(), &mut plan.lock().unwrap(), &asked);
        let server = Server::start(answer).await;
        Self { url: server.url(), state, _server: server }
    }

    /// The records that were taken, in their order.
    pub fn records(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().records.clone()
    }

    /// What the records hold, line by line.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.records().concat()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "each event ends in a line break");
        text.lines().map(str::to_owned).collect()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// The access keys that signed the requests.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().keys.clone()
    }

    /// What the stream is described as from now on: its status and its type.
    pub fn describe(&self, status: &str, kind: &str) {
        self.state.lock().unwrap().described = (status.to_owned(), kind.to_owned());
    }
}

fn answer(state: &mut State, plan: &mut Plan, asked: &Asked) -> Reply {
    state.requests += 1;
    let authorization = asked.header("authorization").unwrap_or_default();
    let key = authorization.split_once("Credential=").and_then(|(_, rest)| rest.split_once('/'));
    let Some((key, scope)) = key.filter(|(_, rest)| rest.contains("/eu-west-1/firehose/aws4_request")) else {
        return failure("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    assert!(scope.contains("x-amz-target"), "the target is signed: {scope}");
    state.keys.push(key.to_owned());
    if key.contains("DENIED") {
        return failure("AccessDeniedException", "User is not authorized to perform this action");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
        return failure("SerializationException", "no JSON");
    };
    if body["DeliveryStreamName"] != STREAM {
        return failure("ResourceNotFoundException", "Firehose not found under account 111122223333.");
    }
    match asked.header("x-amz-target") {
        Some("Firehose_20150804.PutRecordBatch") => put(state, plan, &body),
        Some("Firehose_20150804.DescribeDeliveryStream") => {
            let (status, kind) = &state.described;
            let description = json!({
                "DeliveryStreamName": STREAM, "DeliveryStreamStatus": status, "DeliveryStreamType": kind, "VersionId": "1",
                "DeliveryStreamARN": "arn:aws:firehose:eu-west-1:111122223333:deliverystream/security",
                "Destinations": [], "HasMoreDestinations": false,
            });
            Reply::json(200, &json!({ "DeliveryStreamDescription": description }))
        }
        other => panic!("asked for {other:?}"),
    }
}

fn put(state: &mut State, plan: &mut Plan, body: &Value) -> Reply {
    let records = body["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let data: Vec<Vec<u8>> =
        records.iter().map(|record| STANDARD.decode(record["Data"].as_str().unwrap()).unwrap()).collect();
    if data.is_empty()
        || data.len() > RECORDS_MAX
        || data.iter().any(|data| data.is_empty() || data.len() > RECORD_BYTES_MAX)
    {
        return failure("ValidationException", "1 validation error detected");
    }
    if data.iter().map(Vec::len).sum::<usize>() > REQUEST_BYTES_MAX.min(plan.body_bytes_max) {
        return failure("InvalidArgumentException", "Records size exceeds 4 MB limit");
    }
    let fault = plan.next();
    if let Some(Fault::Reject { status: 400, body, .. }) = &fault {
        return failure(body, "by plan");
    }
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    let mut failed = 0;
    let mut responses = Vec::new();
    for data in data {
        if fault == Some(Fault::Partial) && plan.toss() {
            failed += 1;
            responses.push(json!({ "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down." }));
        } else {
            state.records.push(data);
            responses.push(json!({ "RecordId": format!("id{}", state.records.len()) }));
        }
    }
    if fault == Some(Fault::Short) {
        responses.truncate(responses.len() / 2);
    }
    after(fault.as_ref(), Reply::json(200, &json!({ "FailedPutCount": failed, "RequestResponses": responses })))
}

fn failure(code: &str, message: &str) -> Reply {
    let status = if code == "ServiceUnavailableException" { 503 } else { 400 };
    Reply::json(status, &json!({ "__type": code, "message": message }))
}
