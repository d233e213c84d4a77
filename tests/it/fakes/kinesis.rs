//! A strict Kinesis, as far as a reader sees it: `ListShards`, `GetShardIterator` and `GetRecords` of one stream, in AWS
//! JSON 1.1, with the limits of the service.
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
    /// `ListShards`, `GetShardIterator` or `GetRecords`.
    pub operation: String,
    /// The shard; none for `ListShards`, nor where the request did not name a known one.
    pub shard: Option<String>,
    /// `ShardIteratorType` of `GetShardIterator`.
    pub iterator_type: Option<String>,
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
    _server: Server,
}

impl FakeKinesis {
    /// A stream of so many shards.
    pub async fn start(shards: usize, plan: Plan) -> Self {
        let state = Arc::new(Mutex::new(State {
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
        }));
        let called = Arc::new(Notify::new());
        let (shared, notify) = (Arc::clone(&state), Arc::clone(&called));
        let server = Server::start(move |asked| {
            let reply = answer(&mut shared.lock().unwrap(), &asked);
            notify.notify_waiters();
            reply
        })
        .await;
        Self { url: server.url(), state, called, _server: server }
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
        use_it(self.state().stream.as_mut().expect("the stream is there"))
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
    let fault = state.plan.next();
    let reply = if let Some(refused) = before(fault.as_ref()) {
        call.error = Some(String::from("by plan"));
        refused
    } else {
        let honest = match operation.as_str() {
            "ListShards" => list_shards(state, asked),
            "GetShardIterator" => get_shard_iterator(state, asked, &mut call),
            _ => get_records(state, asked, &mut call),
        };
        after(fault.as_ref(), reply(honest, &mut call))
    };
    state.calls.push(call);
    reply
}

impl Call {
    fn of(operation: &str) -> Self {
        Self { operation: operation.to_owned(), shard: None, iterator_type: None, error: None, records: 0 }
    }
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
    let operation = asked.header("x-amz-target").and_then(|target| target.strip_prefix("Kinesis_20131202."));
    match operation {
        Some(operation @ ("ListShards" | "GetShardIterator" | "GetRecords")) => Ok(operation),
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
    call.iterator_type = Some(asked.shard_iterator_type.clone());
    let stream = named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?;
    let Some(shard) = stream.shard(&asked.shard_id) else {
        return refuse("ResourceNotFoundException", format!("Shard {} in stream not found", asked.shard_id));
    };
    call.shard = Some(shard.id.clone());
    let (mut behind, mut from_ms) = (shard.starting_sequence.clone(), i64::MIN);
    let kind = asked.shard_iterator_type.as_str();
    match (kind, &asked.starting_sequence_number, asked.timestamp) {
        ("TRIM_HORIZON", None, None) => {}
        ("LATEST", None, None) => {
            behind = shard.records.last().map_or(behind, |record| record.sequence.clone());
        }
        ("AT_TIMESTAMP", None, Some(seconds)) => {
            let micros = Duration::from_secs_f64(seconds).as_micros();
            from_ms = i64::try_from((micros + 500) / 1000).unwrap();
            if from_ms > stream.now_ms() {
                return refuse("InvalidArgumentException", "the timestamp lies in the future");
            }
        }
        ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER", Some(sequence), None) => {
            let ends = shard.ending_sequence.as_ref();
            let is_ours = is_sequence(sequence)
                && *sequence >= shard.starting_sequence
                && ends.is_none_or(|ends| sequence <= ends)
                && shard.records.iter().any(|record| record.sequence == *sequence);
            if !is_ours {
                let words = format!("StartingSequenceNumber {sequence} did not come from this stream");
                return refuse("InvalidArgumentException", words);
            }
            behind.clone_from(sequence);
            if kind == "AT_SEQUENCE_NUMBER" {
                let at = shard.records.partition_point(|record| record.sequence < *sequence);
                behind =
                    at.checked_sub(1).map_or(shard.starting_sequence.clone(), |at| shard.records[at].sequence.clone());
            }
        }
        _ => {
            let words = format!("{kind} with {:?} and {:?}", asked.starting_sequence_number, asked.timestamp);
            return Err(violated(state, "InvalidArgumentException", words));
        }
    }
    take_turn(state, call)?;
    let iterator = Iterator { shard: asked.shard_id, behind, from_ms, made: Instant::now(), is_expired: false };
    Ok(json!({ "ShardIterator": hand_out(state, iterator) }))
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
        let children = stream.children(&shard.id).map(|child| {
            json!({ "ShardId": child.id, "ParentShards": child.parents, "HashKeyRange": hash_key_range(child) })
        });
        answer["NextShardIterator"] = Value::Null;
        answer["ChildShards"] = children.collect();
    } else {
        let behind = given.last().map_or(iterator.behind.clone(), |record| record.sequence.clone());
        let next = Iterator { behind, made: now, ..iterator.clone() };
        answer["NextShardIterator"] = json!(hand_out(state, next));
    }
    let seconds = f64::from(u32::try_from(bytes).unwrap()) / BYTES_PER_SECOND;
    state.exhausted.insert(iterator.shard, now + Duration::from_secs_f64(seconds));
    Ok(answer)
}

fn shown(record: &Stored) -> Value {
    json!({
        "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": Duration::from_millis(record.arrival_ms.unsigned_abs()).as_secs_f64(),
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": record.partition_key,
    })
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
