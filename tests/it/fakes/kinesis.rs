//! A strict Kinesis, as far as a reader sees it: the calls for shards, records, retention and consumers of one stream, in AWS
//! JSON 1.1, and subscriptions over HTTP/2, with the limits of the service.
//!
//! A request that the service would not take is answered as the service answers it, and it also fails the test: the fake
//! says so when it is dropped. It lives in the test's process, so that a reader may be killed and started again.

mod answers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Notify;

use self::answers::answer;
pub use self::answers::{children, shown};
use super::fan_out::FanOut;
use super::http::{Asked, Reply, Server};
use super::plan::{Fault, Plan};
use super::stream::{StoredShard, Stream};

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
