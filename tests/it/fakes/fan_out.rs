//! Enhanced fan-out as the service does it: registered consumers, and subscriptions that events are pushed through.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::event_stream::{event, exception};
use super::http::Piece;
use super::stream::Stream;

/// A successful subscription is followed by so long a time in which the next one is refused.
const TAKE_OVER_AFTER: Duration = Duration::from_secs(5);

/// Bytes of one event, about.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Consumers and subscriptions of one stream.
#[derive(Default)]
pub struct FanOut {
    consumers: BTreeMap<String, Consumer>,
    /// By consumer and shard.
    subscriptions: BTreeMap<(String, String), Subscription>,
    subscribed: BTreeMap<(String, String), Instant>,
    /// Numbers that were given to go on from.
    pub continuations: HashSet<String>,
    /// How many consumers a stream may have.
    pub consumers_max: Option<usize>,
    /// Whether no subscription is allowed.
    pub refuses: bool,
    /// Whether the end of a shard is kept to itself, as emulators do.
    pub keeps_ends: bool,
}

struct Consumer {
    /// How often it is looked at before it is ready.
    looks: usize,
}

struct Subscription {
    pieces: UnboundedSender<Piece>,
    behind: String,
    from_ms: i64,
}

/// A code and a message.
pub type Refused = (&'static str, String);

impl FanOut {
    /// `RegisterStreamConsumer`.
    pub fn register(&mut self, stream_arn: &str, name: &str) -> Result<Value, Refused> {
        if self.consumers.contains_key(name) {
            return Err(("ResourceInUseException", format!("Consumer {name} already exists.")));
        }
        if self.consumers.len() >= self.consumers_max.unwrap_or(20) {
            return Err(("LimitExceededException", "Too many consumers.".to_owned()));
        }
        self.consumers.insert(name.to_owned(), Consumer { looks: 1 });
        Ok(json!({ "Consumer": described(stream_arn, name, "CREATING") }))
    }

    /// `DescribeStreamConsumer`.
    pub fn describe(&mut self, stream_arn: &str, name: &str) -> Result<Value, Refused> {
        let Some(consumer) = self.consumers.get_mut(name) else {
            return Err(("ResourceNotFoundException", format!("Consumer {name} not found.")));
        };
        let status = if consumer.looks == 0 { "ACTIVE" } else { "CREATING" };
        consumer.looks = consumer.looks.saturating_sub(1);
        let mut told = described(stream_arn, name, status);
        told["StreamARN"] = json!(stream_arn);
        Ok(json!({ "ConsumerDescription": told }))
    }

    /// `SubscribeToShard`: the events, beginning with the first answer.
    pub fn subscribe(
        &mut self,
        consumer_arn: &str,
        shard: &str,
        (behind, from_ms): (String, i64),
    ) -> Result<UnboundedReceiver<Piece>, Refused> {
        if self.refuses {
            return Err(("AccessDeniedException", "no kinesis:SubscribeToShard".to_owned()));
        }
        let name = consumer_arn.split('/').nth(3).and_then(|name| name.split(':').next()).unwrap_or_default();
        match self.consumers.get(name) {
            None => return Err(("ResourceNotFoundException", format!("Consumer {consumer_arn} not found."))),
            Some(consumer) if consumer.looks > 0 => {
                return Err(("ResourceInUseException", format!("Consumer {consumer_arn} is not ACTIVE.")));
            }
            Some(_) => {}
        }
        let key = (name.to_owned(), shard.to_owned());
        let now = Instant::now();
        if self.subscribed.get(&key).is_some_and(|at| now.duration_since(*at) < TAKE_OVER_AFTER) {
            return Err(("ResourceInUseException", "Another active subscription exists for this consumer.".to_owned()));
        }
        if let Some(before) = self.subscriptions.remove(&key) {
            let _gone = before.pieces.send(Piece::Bytes(exception("ResourceInUseException", "taken over")));
        }
        self.subscribed.insert(key.clone(), now);
        #[expect(clippy::disallowed_methods, reason = "the test puts a bounded number of records")]
        let (pieces, receiver) = unbounded_channel();
        let _sent = pieces.send(Piece::Bytes(event("initial-response", &json!({}))));
        self.subscriptions.insert(key, Subscription { pieces, behind, from_ms });
        Ok(receiver)
    }

    /// Pushes what is new to all subscriptions; each gets an event, be it an empty one.
    pub fn push(&mut self, stream: &Stream) {
        let mut continuations = Vec::new();
        let keeps_ends = self.keeps_ends;
        self.subscriptions
            .retain(|(_, shard), subscription| subscription.push(stream, shard, keeps_ends, &mut continuations));
        self.continuations.extend(continuations);
    }

    /// Ends all subscriptions as the service does after five minutes.
    pub fn end(&mut self) {
        self.subscriptions.clear();
    }

    /// Ends all subscriptions with an error.
    pub fn fail(&mut self, code: &str) {
        for (_, subscription) in std::mem::take(&mut self.subscriptions) {
            let _sent = subscription.pieces.send(Piece::Bytes(exception(code, "by plan")));
        }
    }

    /// Cuts all subscriptions in the middle of a message.
    pub fn cut(&mut self) {
        for (_, subscription) in std::mem::take(&mut self.subscriptions) {
            let message = event("SubscribeToShardEvent", &json!({ "Records": [] }));
            let _sent = subscription.pieces.send(Piece::Bytes(message[..message.len() / 2].to_vec()));
            let _sent = subscription.pieces.send(Piece::Cut);
        }
    }

    /// Sends all subscriptions something that is no message.
    pub fn garble(&mut self) {
        for (_, subscription) in std::mem::take(&mut self.subscriptions) {
            let mut message = event("SubscribeToShardEvent", &json!({ "Records": [] }));
            let middle = message.len() / 2;
            message[middle] ^= 0x55;
            let _sent = subscription.pieces.send(Piece::Bytes(message));
        }
    }

    /// Sends all subscriptions an event that says nothing.
    pub fn say_nothing(&mut self) {
        for subscription in self.subscriptions.values() {
            let _sent = subscription.pieces.send(Piece::Bytes(event("SubscribeToShardEvent", &json!({}))));
        }
    }

    /// Removes all consumers, and with them their subscriptions.
    pub fn deregister(&mut self) {
        self.consumers.clear();
        self.subscriptions.clear();
    }

    /// Lets time pass: the next subscription is not refused for coming too early.
    pub fn age(&mut self) {
        self.subscribed.clear();
    }

    /// How many subscriptions are open.
    pub fn open(&self) -> usize {
        self.subscriptions.values().filter(|subscription| !subscription.pieces.is_closed()).count()
    }
}

impl Subscription {
    /// Pushes what is new; says whether more can come.
    fn push(&mut self, stream: &Stream, shard: &str, keeps_ends: bool, continuations: &mut Vec<String>) -> bool {
        let Some(stored) = stream.shard(shard) else {
            let _sent = self.pieces.send(Piece::Bytes(exception("ResourceNotFoundException", "by plan")));
            return false;
        };
        let behind = self.behind.clone();
        let mut records = stored.records.iter().filter(|record| record.sequence > behind).peekable();
        loop {
            let (mut given, mut bytes) = (Vec::new(), 0);
            while let Some(record) = records.peek() {
                if !given.is_empty() && bytes + record.data.len() > EVENT_BYTES_MAX {
                    break;
                }
                bytes += record.data.len();
                self.behind.clone_from(&record.sequence);
                if record.arrival_ms >= self.from_ms {
                    given.push(super::kinesis::shown(record));
                }
                records.next();
            }
            let is_last = records.peek().is_none();
            let behind_ms = records.peek().map_or(0, |record| (stream.now_ms() - record.arrival_ms).max(1));
            let mut told = json!({ "Records": given, "MillisBehindLatest": behind_ms });
            let is_end = is_last && stored.ending_sequence.is_some() && !keeps_ends;
            if is_end {
                told["ContinuationSequenceNumber"] = Value::Null;
                told["ChildShards"] = super::kinesis::children(stream, shard);
            } else {
                told["ContinuationSequenceNumber"] = json!(self.behind);
                continuations.push(self.behind.clone());
            }
            let is_taken = self.pieces.send(Piece::Bytes(event("SubscribeToShardEvent", &told))).is_ok();
            if is_end || !is_taken {
                return false;
            }
            if is_last {
                return true;
            }
        }
    }
}

fn described(stream_arn: &str, name: &str, status: &str) -> Value {
    json!({
        "ConsumerName": name,
        "ConsumerARN": format!("{stream_arn}/consumer/{name}:1700000000"),
        "ConsumerStatus": status,
        "ConsumerCreationTimestamp": 1_700_000_000,
    })
}
