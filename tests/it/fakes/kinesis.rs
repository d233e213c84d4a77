//! A strict Kinesis, as far as a reader sees it: the calls for shards, records, retention and consumers of one stream, in AWS
//! JSON 1.1, and subscriptions over HTTP/2, with the limits of the service.
//!
//! A request that the service would not take is answered as the service answers it, and it also fails the test: the fake
//! says so when it is dropped. It lives in the test's process, so that a reader may be killed and started again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::event_stream::EVENT_STREAM;
use super::fan_out::FanOut;
use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan, after, before};
use super::stream::{Stored, StoredShard, Stream, is_sequence};

/// The stream's name.
pub const STREAM: &str = "security";

/// The stream's ARN.
pub const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:111122223333:stream/security";

/// Calls a second for one shard.
const CALLS_PER_SECOND: usize = 5;

/// Records of one call.
const RECORDS_MAX: usize = 10_000;

/// Bytes of one call.
const BYTES_MAX: usize = 10 << 20;

/// Bytes a second of one shard.
const BYTES_PER_SECOND: f64 = 2.0 * 1_048_576.0;

/// The age at which iterators expire.
const ITERATOR_AGE_MAX: Duration = Duration::from_mins(5);

/// How long a test waits for something before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A call that came.
#[derive(Clone, Debug)]
pub struct Call {
    /// `ListShards`, `GetShardIterator`, `GetRecords`, `SubscribeToShard` ...
    pub operation: String,
    /// The shard; none for `ListShards`, nor where the request did not name a known one.
    pub shard: Option<String>,
    /// `ShardIteratorType` of `GetShardIterator`, `StartingPosition.Type` of `SubscribeToShard`.
    pub iterator_type: Option<String>,
    /// The access key that signed it.
    pub key: String,
    /// The code of the error that was answered.
    pub error: Option<String>,
    /// How many records were given.
    pub records: usize,
}

/// How a shard ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tip {
    /// No more can come.
    Closed,
    /// With this sequence number, so far.
    Last(String),
    /// Without a record, so far.
    Empty,
}

struct State {
    stream: Option<Stream>,
    plan: Plan,
    /// Shards on one page of a list.
    page_shards_max: usize,
    iterators: HashMap<String, Iterator>,
    pages: HashMap<String, usize>,
    calls: Vec<Call>,
    /// When each shard was called, by operation and shard.
    called: HashMap<(String, String), Vec<Instant>>,
    /// Until when a shard's bytes are used up.
    exhausted: HashMap<String, Instant>,
    violations: Vec<String>,
    tokens: fastrand::Rng,
    fan_out: FanOut,
    /// Whether the end of a shard tells its children; emulators leave them out.
    tells_children: bool,
    retention_hours: u32,
    /// What is answered to these calls until it is mended: a code and a message.
    refused: HashMap<String, (String, String)>,
}

#[derive(Clone, Debug)]
struct Iterator {
    shard: String,
    /// Records with a number behind this one follow.
    behind: String,
    /// Or those that arrived then or later.
    from_ms: i64,
    made: Instant,
    is_expired: bool,
}

/// A running service with one stream.
pub struct FakeKinesis {
    /// The endpoint.
    pub url: String,
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
    server: Server,
}

impl State {
    fn new(shards: usize, plan: Plan) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            stream: Some(Stream::new(shards, 1)),
            plan,
            page_shards_max: 1000,
            iterators: HashMap::new(),
            pages: HashMap::new(),
            calls: Vec::new(),
            called: HashMap::new(),
            exhausted: HashMap::new(),
            violations: Vec::new(),
            tokens: fastrand::Rng::with_seed(2),
            fan_out: FanOut::default(),
            tells_children: true,
            retention_hours: 24,
            refused: HashMap::new(),
        }))
    }
}

/// What the server answers with.
fn answering(state: &Arc<Mutex<State>>, called: &Arc<Notify>) -> impl Fn(Asked) -> Reply + Send + Sync + 'static {
    let (state, called) = (Arc::clone(state), Arc::clone(called));
    move |asked| {
        let reply = answer(&mut state.lock().unwrap(), &asked);
        called.notify_waiters();
        reply
    }
}

impl FakeKinesis {
    /// A stream of so many shards.
    pub async fn start(shards: usize, plan: Plan) -> Self {
        let (state, called) = (State::new(shards, plan), Arc::new(Notify::new()));
        let server = Server::start(answering(&state, &called)).await;
        Self { url: server.url(), state, called, server }
    }

    /// The same over TLS and HTTP/2, as subscriptions need it.
    pub async fn start_tls(shards: usize, plan: Plan) -> Self {
        let (state, called) = (State::new(shards, plan), Arc::new(Notify::new()));
        let server = Server::start_tls(answering(&state, &called)).await;
        Self { url: server.url(), state, called, server }
    }

    /// The certificate to be trusted, where it speaks TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.server.certificate()
    }

    /// Appends a record where its partition key belongs; the shard and the sequence number come back.
    pub fn put(&self, partition_key: &str, data: impl Into<Vec<u8>>) -> (String, String) {
        self.stream(|stream| {
            let shard = stream.shard_of(partition_key);
            let sequence = stream.put(&shard, partition_key, data.into());
            (shard, sequence)
        })
    }

    /// Appends a record to an open shard.
    pub fn put_to(&self, shard: &str, data: impl Into<Vec<u8>>) -> String {
        self.stream(|stream| stream.put(shard, "key", data.into()))
    }

    /// Appends a record that arrived then, in milliseconds since 1970.
    pub fn put_at(&self, shard: &str, data: impl Into<Vec<u8>>, arrival_ms: i64) -> String {
        self.stream(|stream| stream.put_at(shard, "key", data.into(), arrival_ms))
    }

    /// Splits an open shard.
    pub fn split(&self, shard: &str) -> [String; 2] {
        self.stream(|stream| stream.split(shard))
    }

    /// Merges two neighbours, the lower first.
    pub fn merge(&self, a: &str, b: &str) -> String {
        self.stream(|stream| stream.merge(a, b))
    }

    /// Lets a closed shard expire.
    pub fn expire(&self, shard: &str) {
        self.stream(|stream| stream.expire(shard));
    }

    /// Deletes the stream.
    pub fn delete(&self) {
        self.state().stream = None;
    }

    /// Deletes the stream and makes another of the same name, with other sequence numbers.
    pub fn recreate(&self, shards: usize) {
        let mut stream = Stream::new(shards, 3);
        for n in 0..1000 {
            let shard = stream.shard_of(&n.to_string());
            stream.put(&shard, "key", vec![0]);
        }
        self.state().stream = Some(stream);
    }

    /// All shards, the oldest first.
    pub fn shards(&self) -> Vec<StoredShard> {
        self.stream(|stream| stream.shards.clone())
    }

    /// How each shard ends.
    pub fn tips(&self) -> Vec<(String, Tip)> {
        let tip = |shard: &StoredShard| match (&shard.ending_sequence, shard.records.last()) {
            (Some(_), _) => Tip::Closed,
            (None, Some(last)) => Tip::Last(last.sequence.clone()),
            (None, None) => Tip::Empty,
        };
        self.stream(|stream| stream.shards.iter().map(|shard| (shard.id.clone(), tip(shard))).collect())
    }

    /// The open shards, neighbours side by side.
    pub fn open_shards(&self) -> Vec<String> {
        self.stream(|stream| stream.open_shards())
    }

    /// Lets every iterator that was handed out expire.
    pub fn expire_iterators(&self) {
        self.state().iterators.values_mut().for_each(|iterator| iterator.is_expired = true);
    }

    /// Leaves the children out where the end of a shard is told, as emulators do.
    pub fn leave_children_out(&self) {
        self.state().tells_children = false;
    }

    /// Keeps records for so long.
    pub fn retention_hours(&self, hours: u32) {
        self.state().retention_hours = hours;
    }

    /// Refuses all calls of this name, until it is mended.
    pub fn refuse(&self, operation: &str, code: &str, message: &str) {
        self.state().refused.insert(operation.to_owned(), (code.to_owned(), message.to_owned()));
    }

    /// Refuses nothing any more.
    pub fn mend(&self) {
        self.state().refused.clear();
    }

    /// Consumers and subscriptions.
    pub fn fan_out<T>(&self, use_it: impl FnOnce(&mut FanOut) -> T) -> T {
        use_it(&mut self.state().fan_out)
    }

    /// Lists so many shards on a page.
    pub fn page_shards_max(&self, shards: usize) {
        self.state().page_shards_max = shards;
    }

    /// From now on, these faults.
    pub fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// The calls that came.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls that were answered with this error.
    pub fn errors(&self, code: &str) -> usize {
        self.state().calls.iter().filter(|call| call.error.as_deref() == Some(code)).count()
    }

    /// Waits until the calls are as they should be.
    pub async fn until(&self, what: &str, mut is: impl FnMut(&[Call]) -> bool) {
        let waiting = async {
            loop {
                let called = self.called.notified();
                if is(&self.state().calls) {
                    return;
                }
                called.await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited too long for {what}");
    }

    fn stream<T>(&self, use_it: impl FnOnce(&mut Stream) -> T) -> T {
        let mut state = self.state();
        let State { stream, fan_out, .. } = &mut *state;
        let stream = stream.as_mut().expect("the stream is there");
        let result = use_it(stream);
        fan_out.push(stream);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for FakeKinesis {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.state().violations, Vec::<String>::new(), "requests that Kinesis does not take");
        }
    }
}

/// An error of the service, as it answers it.
pub fn error(code: &str, message: &str) -> Fault {
    let body = json!({ "__type": code, "message": message }).to_string();
    Fault::Reject { status: 400, body, retry_after_s: None }
}

/// All faults that a reader gets over by itself.
pub fn passing() -> Vec<Fault> {
    let bare = Fault::Reject { status: 500, body: String::new(), retry_after_s: None };
    let internal = Fault::Reject {
        status: 500,
        body: json!({ "__type": "InternalFailureException", "message": "by plan" }).to_string(),
        retry_after_s: None,
    };
    vec![
        error("ProvisionedThroughputExceededException", "Rate exceeded for shard, by plan"),
        error("LimitExceededException", "Rate exceeded for stream, by plan"),
        error("KMSThrottlingException", "by plan"),
        error("KMSAccessDeniedException", "by plan"),
        error("ExpiredIteratorException", "Iterator expired, by plan"),
        error("ExpiredTokenException", "The security token included in the request is expired"),
        bare,
        internal,
        Fault::garbage(),
        Fault::empty_success("{}"),
        Fault::empty_success(r#"{"Records":[],"Shards":[],"ShardIterator":""}"#),
        Fault::Slow(Duration::from_millis(100)),
        Fault::CutBefore,
        Fault::CutMidway,
    ]
}

/// What the service answers a request it does not take: a code and a message.
struct Refusal(&'static str, String);

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into()))
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let operation = match envelope(asked) {
        Ok(operation) => operation.to_owned(),
        Err(words) => {
            state.violations.push(words.clone());
            return reply(Err(Refusal("UnknownOperationException", words)), &mut Call::of("?"));
        }
    };
    let mut call = Call::of(&operation);
    key(asked).clone_into(&mut call.key);
    if let Some((code, message)) = state.refused.get(&operation) {
        call.error = Some(code.clone());
        let refused = Reply::json(400, &json!({ "__type": code, "message": message }));
        state.calls.push(call);
        return refused;
    }
    let fault = state.plan.next();
    let reply = if let Some(refused) = before(fault.as_ref()) {
        call.error = Some(String::from("by plan"));
        refused
    } else {
        let honest = match operation.as_str() {
            "ListShards" => list_shards(state, asked),
            "GetShardIterator" => get_shard_iterator(state, asked, &mut call),
            "GetRecords" => get_records(state, asked, &mut call),
            "DescribeStreamSummary" => describe_stream_summary(state, asked),
            "RegisterStreamConsumer" | "DescribeStreamConsumer" => consumer(state, asked, &operation),
            _ => {
                let reply = subscribe_to_shard(state, asked, &mut call, fault.as_ref());
                state.calls.push(call);
                return reply;
            }
        };
        after(fault.as_ref(), reply(honest, &mut call))
    };
    state.calls.push(call);
    reply
}

impl Call {
    fn of(operation: &str) -> Self {
        let operation = operation.to_owned();
        Self { operation, shard: None, iterator_type: None, key: String::new(), error: None, records: 0 }
    }
}

/// The access key that signed a request.
fn key(asked: &Asked) -> &str {
    let authorization = asked.header("authorization").unwrap_or_default();
    authorization.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
}

fn reply(result: Result<Value, Refusal>, call: &mut Call) -> Reply {
    match result {
        Ok(body) => Reply::json(200, &body),
        Err(Refusal(code, message)) => {
            call.error = Some(code.to_owned());
            Reply::json(400, &json!({ "__type": code, "message": message }))
        }
    }
}

/// The operation of a request that is signed and shaped as it must be.
fn envelope(asked: &Asked) -> Result<&str, String> {
    if (asked.method.as_str(), asked.path.as_str()) != ("POST", "/") {
        return Err(format!("{} {}", asked.method, asked.path));
    }
    if asked.header("content-type") != Some("application/x-amz-json-1.1") {
        return Err(format!("content-type {:?}", asked.header("content-type")));
    }
    let is_signed = asked.header("authorization").is_some_and(|value| {
        value.starts_with("AWS4-HMAC-SHA256 Credential=") && value.contains("/kinesis/aws4_request")
    });
    if !is_signed || asked.header("x-amz-date").is_none() {
        return Err(format!("authorization {:?}", asked.header("authorization")));
    }
    if !asked.is_http2 && asked.header("x-amz-target") == Some("Kinesis_20131202.SubscribeToShard") {
        return Err("SubscribeToShard needs HTTP/2".to_owned());
    }
    let operation = asked.header("x-amz-target").and_then(|target| target.strip_prefix("Kinesis_20131202."));
    match operation {
        Some(
            operation @ ("ListShards"
            | "GetShardIterator"
            | "GetRecords"
            | "DescribeStreamSummary"
            | "RegisterStreamConsumer"
            | "DescribeStreamConsumer"
            | "SubscribeToShard"),
        ) => Ok(operation),
        _ => Err(format!("x-amz-target {:?}", asked.header("x-amz-target"))),
    }
}

/// The members of a request. A member that the service does not know, or that siemline has no reason to send, is refused.
fn members<T: DeserializeOwned>(state: &mut State, asked: &Asked) -> Result<T, Refusal> {
    serde_json::from_slice(&asked.body).map_err(|error| violated(state, "SerializationException", error.to_string()))
}

fn violated(state: &mut State, code: &'static str, words: String) -> Refusal {
    state.violations.push(words.clone());
    Refusal(code, words)
}

/// The stream, by its name or its ARN.
fn named<'a>(state: &'a mut State, name: Option<&str>, arn: Option<&str>) -> Result<&'a mut Stream, Refusal> {
    let known = match (name, arn) {
        (Some(name), None) => name == STREAM,
        (None, Some(arn)) => arn == STREAM_ARN,
        _ => {
            let words = "exactly one of StreamName and StreamARN names the stream".to_owned();
            return Err(violated(state, "InvalidArgumentException", words));
        }
    };
    match state.stream.as_mut().filter(|_| known) {
        Some(stream) => Ok(stream),
        None => refuse("ResourceNotFoundException", format!("Stream {name:?} under account 111122223333 not found.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ListShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

fn list_shards(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: ListShards = members(state, asked)?;
    let results_max = asked.max_results.unwrap_or(1000);
    if !(1..=10_000).contains(&results_max) {
        return Err(violated(state, "InvalidArgumentException", format!("MaxResults {results_max}")));
    }
    let from = match &asked.next_token {
        Some(_) if asked.stream_name.is_some() || asked.stream_arn.is_some() => {
            let words = "NextToken and StreamName cannot be provided together.".to_owned();
            return Err(violated(state, "InvalidArgumentException", words));
        }
        Some(token) => match state.pages.get(token) {
            Some(from) => *from,
            None => return Err(violated(state, "InvalidArgumentException", format!("NextToken {token}"))),
        },
        None => {
            named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?;
            0
        }
    };
    let Some(stream) = &state.stream else {
        return refuse("ResourceNotFoundException", "Stream not found.");
    };
    let to = (from + results_max.min(1000).min(state.page_shards_max)).min(stream.shards.len());
    let mut page = json!({ "Shards": stream.shards[from..to].iter().map(listed).collect::<Vec<_>>() });
    if to < stream.shards.len() {
        let token = token(&mut state.tokens);
        page["NextToken"] = json!(token);
        state.pages.insert(token, to);
    }
    Ok(page)
}

fn listed(shard: &StoredShard) -> Value {
    let mut listed = json!({
        "ShardId": shard.id,
        "HashKeyRange": hash_key_range(shard),
        "SequenceNumberRange": { "StartingSequenceNumber": shard.starting_sequence },
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        listed[*member] = json!(parent);
    }
    if let Some(ending) = &shard.ending_sequence {
        listed["SequenceNumberRange"]["EndingSequenceNumber"] = json!(ending);
    }
    listed
}

fn hash_key_range(shard: &StoredShard) -> Value {
    let (first, last) = shard.hash_keys;
    json!({ "StartingHashKey": first.to_string(), "EndingHashKey": last.to_string() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

fn get_shard_iterator(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: GetShardIterator = members(state, asked)?;
    named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?;
    let place = (asked.shard_iterator_type.as_str(), asked.starting_sequence_number.as_deref(), asked.timestamp);
    let (behind, from_ms) = place_in_shard(state, &asked.shard_id, place, call)?;
    take_turn(state, call)?;
    let iterator = Iterator { shard: asked.shard_id, behind, from_ms, made: Instant::now(), is_expired: false };
    Ok(json!({ "ShardIterator": hand_out(state, iterator) }))
}

/// Where a reading begins: records behind a number, or those that arrived then or later.
fn place_in_shard(
    state: &mut State,
    shard: &str,
    (kind, sequence, timestamp): (&str, Option<&str>, Option<f64>),
    call: &mut Call,
) -> Result<(String, i64), Refusal> {
    call.iterator_type = Some(kind.to_owned());
    let stream = state.stream.as_ref().expect("looked up by the caller");
    let Some(shard) = stream.shard(shard) else {
        return refuse("ResourceNotFoundException", format!("Shard {shard} in stream not found"));
    };
    call.shard = Some(shard.id.clone());
    let behind = shard.starting_sequence.clone();
    match (kind, sequence, timestamp) {
        ("TRIM_HORIZON", None, None) => Ok((behind, i64::MIN)),
        ("LATEST", None, None) => Ok((shard.records.last().map_or(behind, |record| record.sequence.clone()), i64::MIN)),
        ("AT_TIMESTAMP", None, Some(seconds)) => {
            let micros = Duration::from_secs_f64(seconds).as_micros();
            let from_ms = i64::try_from((micros + 500) / 1000).unwrap();
            if from_ms > stream.now_ms() {
                return refuse("InvalidArgumentException", "the timestamp lies in the future");
            }
            Ok((behind, from_ms))
        }
        ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER", Some(sequence), None) => {
            let ends = shard.ending_sequence.as_ref();
            let is_known = shard.records.iter().any(|record| record.sequence == sequence)
                || state.fan_out.continuations.contains(sequence);
            let is_ours = is_sequence(sequence)
                && *sequence >= *shard.starting_sequence
                && ends.is_none_or(|ends| sequence <= ends.as_str())
                && is_known;
            if !is_ours {
                let words = format!("StartingSequenceNumber {sequence} did not come from this stream");
                return refuse("InvalidArgumentException", words);
            }
            if kind == "AFTER_SEQUENCE_NUMBER" {
                return Ok((sequence.to_owned(), i64::MIN));
            }
            let at = shard.records.partition_point(|record| *record.sequence < *sequence);
            Ok((at.checked_sub(1).map_or(behind, |at| shard.records[at].sequence.clone()), i64::MIN))
        }
        _ => {
            let words = format!("{kind} with {sequence:?} and {timestamp:?}");
            Err(violated(state, "InvalidArgumentException", words))
        }
    }
}

fn hand_out(state: &mut State, iterator: Iterator) -> String {
    let token = token(&mut state.tokens);
    state.iterators.insert(token.clone(), iterator);
    token
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

fn get_records(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: GetRecords = members(state, asked)?;
    let records_max = asked.limit.unwrap_or(RECORDS_MAX);
    if !(1..=RECORDS_MAX).contains(&records_max) {
        return Err(violated(state, "InvalidArgumentException", format!("Limit {records_max}")));
    }
    if asked.stream_arn.is_some_and(|arn| arn != STREAM_ARN) {
        return refuse("ResourceNotFoundException", "Stream not found.");
    }
    let Some(iterator) = state.iterators.get(&asked.shard_iterator).cloned() else {
        return Err(violated(state, "InvalidArgumentException", "Invalid ShardIterator.".to_owned()));
    };
    call.shard = Some(iterator.shard.clone());
    if state.stream.as_ref().and_then(|stream| stream.shard(&iterator.shard)).is_none() {
        return refuse("ResourceNotFoundException", format!("Shard {} not found", iterator.shard));
    }
    if iterator.is_expired || iterator.made.elapsed() > ITERATOR_AGE_MAX {
        return refuse("ExpiredIteratorException", "Iterator expired. The maximum age allowed is 300000 ms.");
    }
    take_turn(state, call)?;
    let now = Instant::now();
    if state.exhausted.get(&iterator.shard).is_some_and(|until| now < *until) {
        return refuse("ProvisionedThroughputExceededException", "Bytes exceeded for shard");
    }
    let stream = state.stream.as_ref().expect("looked up above");
    let shard = stream.shard(&iterator.shard).expect("looked up above");
    let is_behind = |record: &&Stored| record.sequence > iterator.behind && record.arrival_ms >= iterator.from_ms;
    let (mut given, mut bytes, mut rest) = (Vec::new(), 0, None);
    for record in shard.records.iter().filter(is_behind) {
        if given.len() == records_max || bytes + record.data.len() > BYTES_MAX {
            rest = Some(record);
            break;
        }
        bytes += record.data.len();
        given.push(record);
    }
    let behind_ms = rest.map_or(0, |record| (stream.now_ms() - record.arrival_ms).max(1));
    let mut answer = json!({
        "Records": given.iter().map(|record| shown(record)).collect::<Vec<_>>(),
        "MillisBehindLatest": behind_ms,
    });
    call.records = given.len();
    if rest.is_none() && shard.ending_sequence.is_some() {
        answer["NextShardIterator"] = Value::Null;
        if state.tells_children {
            answer["ChildShards"] = children(stream, &shard.id);
        }
    } else {
        let behind = given.last().map_or(iterator.behind.clone(), |record| record.sequence.clone());
        let next = Iterator { behind, made: now, ..iterator.clone() };
        answer["NextShardIterator"] = json!(hand_out(state, next));
    }
    let seconds = f64::from(u32::try_from(bytes).unwrap()) / BYTES_PER_SECOND;
    state.exhausted.insert(iterator.shard, now + Duration::from_secs_f64(seconds));
    Ok(answer)
}

/// The children of a shard, as its end tells them.
pub fn children(stream: &Stream, shard: &str) -> Value {
    let told = |child: &StoredShard| json!({ "ShardId": child.id, "ParentShards": child.parents, "HashKeyRange": hash_key_range(child) });
    stream.children(shard).map(told).collect()
}

/// A record, as it is handed out.
pub fn shown(record: &Stored) -> Value {
    json!({
        "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": Duration::from_millis(record.arrival_ms.unsigned_abs()).as_secs_f64(),
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": record.partition_key,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DescribeStreamSummary {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

fn describe_stream_summary(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: DescribeStreamSummary = members(state, asked)?;
    let open = named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?.open_shards().len();
    Ok(json!({ "StreamDescriptionSummary": {
        "StreamName": STREAM,
        "StreamARN": STREAM_ARN,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": state.retention_hours,
        "StreamCreationTimestamp": 1_700_000_000,
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": open,
        "ConsumerCount": 0,
    } }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ConsumerOf {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    consumer_name: String,
}

fn consumer(state: &mut State, asked: &Asked, operation: &str) -> Result<Value, Refusal> {
    let asked: ConsumerOf = members(state, asked)?;
    named(state, None, Some(&asked.stream_arn))?;
    let answer = if operation == "RegisterStreamConsumer" {
        state.fan_out.register(&asked.stream_arn, &asked.consumer_name)
    } else {
        state.fan_out.describe(&asked.stream_arn, &asked.consumer_name)
    };
    answer.map_err(|(code, words)| Refusal(code, words))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    shard_id: String,
    starting_position: StartingPosition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StartingPosition {
    r#type: String,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

fn subscribe_to_shard(state: &mut State, asked: &Asked, call: &mut Call, fault: Option<&Fault>) -> Reply {
    match subscription(state, asked, call) {
        Err(refusal) => reply(Err(refusal), call),
        Ok(pieces) => {
            if let Some(stream) = &state.stream {
                state.fan_out.push(stream);
            }
            let honest = Reply { pieces: Some((pieces, EVENT_STREAM)), ..Reply::new(200, "") };
            match fault {
                // What is cut midway is the stream of events, and another body takes its place.
                Some(Fault::CutMidway) => {
                    state.fan_out.cut();
                    honest
                }
                Some(Fault::Lie { status, body }) => Reply::new(*status, body.as_str()),
                fault => after(fault, honest),
            }
        }
    }
}

fn subscription(
    state: &mut State,
    asked: &Asked,
    call: &mut Call,
) -> Result<tokio::sync::mpsc::UnboundedReceiver<super::http::Piece>, Refusal> {
    let asked: SubscribeToShard = members(state, asked)?;
    let stream_arn = asked.consumer_arn.split("/consumer/").next().unwrap_or_default().to_owned();
    named(state, None, Some(&stream_arn))?;
    let StartingPosition { r#type, sequence_number, timestamp } = &asked.starting_position;
    let place = (r#type.as_str(), sequence_number.as_deref(), *timestamp);
    let place = place_in_shard(state, &asked.shard_id, place, call)?;
    let subscribed = state.fan_out.subscribe(&asked.consumer_arn, &asked.shard_id, place);
    subscribed.map_err(|(code, words)| Refusal(code, words))
}

/// Counts a call against the calls that a shard allows in a second.
fn take_turn(state: &mut State, call: &Call) -> Result<(), Refusal> {
    let now = Instant::now();
    let turns = state.called.entry((call.operation.clone(), call.shard.clone().unwrap_or_default())).or_default();
    turns.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
    turns.push(now);
    if turns.len() > CALLS_PER_SECOND {
        return refuse("ProvisionedThroughputExceededException", "Rate exceeded for shard");
    }
    Ok(())
}

/// Something that nobody can read anything out of.
fn token(dice: &mut fastrand::Rng) -> String {
    let mut token = String::from("AAAAAAAAAA");
    for _ in 0..4 {
        write!(token, "{:032x}", dice.u128(..)).expect("text takes text");
    }
    token
}
