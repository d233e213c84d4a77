//! A stream that is served from memory: every shard holds the records of one answer, made ready once.

use std::sync::{Arc, Mutex, mpsc};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::corpus::Corpus;
use crate::event_stream::{EVENT_STREAM, event};
use crate::http::{Asked, Piece, Reply, Server};

/// How many shards there are.
pub const SHARDS: usize = 8;

/// The stream's name.
pub const STREAM: &str = "security";

const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:111122223333:stream/security";

/// The service pushes no more with one event, about.
const PUSHED_BYTES_MAX: usize = 1 << 20;

/// The number of a record, the first one of its shard the lowest.
pub fn sequence(place: usize) -> String {
    format!("4965{place:052}")
}

/// Where the service listens, on a thread of its own. It serves until the bench ends.
pub struct Served {
    pub url: String,
    pub certificate: Option<String>,
}

impl Served {
    /// Serves these records in the clear, by HTTP/1.1, or with TLS, by HTTP/2.
    pub fn start(corpus: &Corpus, has_tls: bool) -> Self {
        let stock = Arc::new(Stock::new(corpus));
        let (told, listening) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let answer = move |asked: Asked| stock.answer(&asked);
                let server = if has_tls { Server::start_tls(answer).await } else { Server::start(answer).await };
                let served = Self { url: server.url(), certificate: server.certificate().map(str::to_owned) };
                told.send(served).expect("the bench waits for it");
                std::future::pending::<()>().await;
            });
        });
        listening.recv().expect("the fake starts")
    }
}

/// The answers that are ready.
struct Stock {
    /// The list of a shard's records, as JSON.
    records: Vec<u8>,
    /// How many they are.
    count: usize,
    /// The messages of a subscription.
    pushed: Vec<Vec<u8>>,
    /// Subscriptions stay open and silent until the reader hangs up.
    open: Mutex<Vec<UnboundedSender<Piece>>>,
}

impl Stock {
    fn new(corpus: &Corpus) -> Self {
        let shown: Vec<Value> = corpus.records.iter().enumerate().map(|(place, data)| shown(place, data)).collect();
        let records = serde_json::to_vec(&shown).expect("a value serialises");
        Self { records, count: shown.len(), pushed: pushed(corpus, &shown), open: Mutex::default() }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let operation = asked.header("x-amz-target").and_then(|target| target.strip_prefix("Kinesis_20131202."));
        let operation = operation.expect("a call to Kinesis");
        let members: Value = serde_json::from_slice(&asked.body).expect("a request is JSON");
        let answer = match operation {
            "DescribeStreamSummary" => json!({ "StreamDescriptionSummary": {
                "StreamName": STREAM,
                "StreamARN": STREAM_ARN,
                "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": 1_700_000_000,
                "EnhancedMonitoring": [],
                "OpenShardCount": SHARDS,
            } }),
            "ListShards" => json!({ "Shards": (0..SHARDS).map(listed).collect::<Vec<_>>() }),
            "DescribeStreamConsumer" => json!({ "ConsumerDescription": {
                "ConsumerName": "bench",
                "ConsumerARN": format!("{STREAM_ARN}/consumer/bench:1700000000"),
                "ConsumerStatus": "ACTIVE",
                "ConsumerCreationTimestamp": 1_700_000_000,
                "StreamARN": STREAM_ARN,
            } }),
            "GetShardIterator" => json!({ "ShardIterator": "first" }),
            "GetRecords" if members["ShardIterator"] == "first" => return self.records(&members),
            "GetRecords" => json!({ "Records": [], "NextShardIterator": "last", "MillisBehindLatest": 0 }),
            "SubscribeToShard" => return self.subscription(),
            other => panic!("nobody asks for {other}"),
        };
        Reply::json(200, &answer)
    }

    fn records(&self, members: &Value) -> Reply {
        let asked = members["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok());
        assert!(asked.is_some_and(|asked| asked >= self.count), "there is room for all of {}: {members}", self.count);
        let mut body = br#"{"MillisBehindLatest":1000,"NextShardIterator":"last","Records":"#.to_vec();
        body.extend_from_slice(&self.records);
        body.push(b'}');
        Reply::new(200, body)
    }

    fn subscription(&self) -> Reply {
        Reply { pieces: Some((self.pieces(), EVENT_STREAM)), ..Reply::new(200, "") }
    }

    #[expect(clippy::disallowed_methods, reason = "the pieces of one shard are bounded")]
    fn pieces(&self) -> UnboundedReceiver<Piece> {
        let (pieces, receiver) = unbounded_channel();
        for message in &self.pushed {
            pieces.send(Piece::Bytes(message.clone())).expect("the receiver is at hand");
        }
        let mut open = self.open.lock().expect("nobody panics with it");
        open.retain(|pieces| !pieces.is_closed());
        open.push(pieces);
        receiver
    }
}

/// A record, as it is handed out.
fn shown(place: usize, data: &[u8]) -> Value {
    json!({
        "SequenceNumber": sequence(place),
        "ApproximateArrivalTimestamp": 1_709_280_000.123 + f64::from(u32::try_from(place).expect("a small number")),
        "Data": STANDARD.encode(data),
        "PartitionKey": format!("{:032x}", place * 7919),
        "EncryptionType": "KMS",
    })
}

fn listed(shard: usize) -> Value {
    let share = u128::MAX / SHARDS as u128;
    let first = share * shard as u128;
    json!({
        "ShardId": format!("shardId-{shard:012}"),
        "HashKeyRange": { "StartingHashKey": first.to_string(), "EndingHashKey": (first + share - 1).to_string() },
        "SequenceNumberRange": { "StartingSequenceNumber": sequence(0) },
    })
}

/// The messages of a subscription to one shard.
fn pushed(corpus: &Corpus, shown: &[Value]) -> Vec<Vec<u8>> {
    let mut messages = vec![event("initial-response", &json!({}))];
    let (mut from, mut bytes) = (0, 0);
    for to in 0..=shown.len() {
        let next = corpus.records.get(to).map_or(usize::MAX / 2, Vec::len);
        if to > from && bytes + next > PUSHED_BYTES_MAX {
            let told = json!({
                "ContinuationSequenceNumber": sequence(to - 1),
                "MillisBehindLatest": 1000,
                "Records": shown[from..to],
            });
            messages.push(event("SubscribeToShardEvent", &told));
            (from, bytes) = (to, 0);
        }
        bytes += next;
    }
    messages
}
