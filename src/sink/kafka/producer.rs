//! One producer of librdkafka: messages in, a report on each out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use tokio::sync::{mpsc, watch};

use super::request::Message;
use super::response::{Report, Seen, Trouble};
use super::token::Tokens;
use crate::delivery::LINE_VERSION;
use crate::http::words;
use crate::metric::{KafkaMeter, KafkaState};

/// How long one question for metadata may block, before it is seen whether there is any hope.
const LOOK: Duration = Duration::from_secs(3);

/// The header that tells the version of a dead letter's line.
const VERSION_HEADER: &str = "siemline_dead_letter";

/// A producer. Dropping it gives up what it has not delivered, waits half a second at most for the reports on that, and for
/// its threads to end.
pub(super) struct Producer {
    inner: ThreadedProducer<Context>,
    trouble: watch::Receiver<Option<Trouble>>,
    has_id: watch::Receiver<bool>,
    headers: Headers,
}

/// What the headers of a record tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Headers {
    /// Of an event: its log type, this format, and its id.
    Event {
        /// The format's name.
        format: &'static str,
    },
    /// Of a dead letter: the version of its line, and its id.
    Letter,
}

/// What librdkafka tells.
pub(super) struct Context {
    trouble: watch::Sender<Option<Trouble>>,
    /// Whether the cluster has given out the id that idempotence rests on.
    has_id: watch::Sender<bool>,
    tokens: Option<Tokens>,
    meter: Arc<KafkaMeter>,
}

/// Where the report on a message goes: its number in the batch, and the channel of the batch.
pub(super) struct Ballot {
    number: usize,
    reports: mpsc::Sender<(usize, Report)>,
}

impl Producer {
    /// A producer after this configuration. It connects by itself, in threads of its own.
    pub fn new(
        config: &ClientConfig,
        tokens: Option<Tokens>,
        headers: Headers,
        meter: Arc<KafkaMeter>,
    ) -> KafkaResult<Self> {
        let context = Context::new(tokens, meter);
        let (trouble, has_id) = (context.trouble.subscribe(), context.has_id.subscribe());
        Ok(Self { inner: config.create_with_context(context)?, trouble, has_id, headers })
    }

    /// Sends the messages in these frames, and waits until each was reported on, or until nothing more will be.
    ///
    /// Dropping it midway is safe: what was sent is delivered or given up by librdkafka in its own time.
    pub async fn deliver<'a>(&self, frames: impl ExactSizeIterator<Item = &'a [u8]> + Send) -> Vec<Report> {
        let mut reports = vec![Report::Missing; frames.len()];
        // As many as there are messages: a report always finds room.
        let (ballots, mut cast) = mpsc::channel(frames.len().max(1));
        for ((number, frame), report) in frames.enumerate().zip(&mut reports) {
            if let Err(code) = self.produce(frame, Box::new(Ballot { number, reports: ballots.clone() })) {
                *report = Report::NotTaken(code);
            }
        }
        drop(ballots);
        let mut trouble = self.trouble.clone();
        let hopeless =
            async { drop(trouble.wait_for(|trouble| trouble.as_ref().is_some_and(Trouble::is_hopeless)).await) };
        tokio::pin!(hopeless);
        loop {
            let (number, cast) = tokio::select! {
                biased;
                // None when each ballot was cast or dropped.
                next = cast.recv() => match next {
                    Some(next) => next,
                    None => break,
                },
                () = &mut hopeless => break,
            };
            if let Some(report) = reports.get_mut(number) {
                *report = cast;
            }
        }
        if reports.contains(&Report::Accepted) {
            self.inner.client().context().forget_trouble();
        }
        reports
    }

    /// What the client complained of last, since something was delivered.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.inner.client().fatal_error() {
            Some((code, told)) => Some(Trouble::new(code, words(told.as_bytes()))),
            None => self.trouble.borrow().clone(),
        }
    }

    /// Says whether it will deliver nothing any more, or not before somebody mends something.
    pub fn is_hopeless(&self) -> bool {
        self.inner.client().fatal_error().is_some() || self.trouble.borrow().as_ref().is_some_and(Trouble::is_hopeless)
    }

    /// Waits until the cluster has given it the id that idempotence rests on, or until it is hopeless.
    pub async fn wait_for_id(&self) {
        let (mut has_id, mut trouble) = (self.has_id.clone(), self.trouble.clone());
        tokio::select! {
            () = async { drop(has_id.wait_for(|has| *has).await) } => {}
            () = async { drop(trouble.wait_for(|trouble| trouble.as_ref().is_some_and(Trouble::is_hopeless)).await) } => {}
        }
    }

    /// Asks for the metadata of a topic, or of all, for so long at most, or until it is hopeless. Blocks.
    pub fn look(&self, topic: Option<&str>, timeout: Duration) -> KafkaResult<Vec<Seen>> {
        let started = Instant::now();
        let metadata = loop {
            match self.inner.client().fetch_metadata(topic, LOOK.min(timeout)) {
                Err(_) if started.elapsed() < timeout && !self.is_hopeless() => {}
                looked => break looked?,
            }
        };
        let seen = metadata.topics().iter().map(|topic| Seen {
            topic: topic.name().to_owned(),
            code: topic.error().map(Code::from),
            partitions: topic.partitions().len(),
            leaderless: topic.partitions().iter().filter(|part| part.leader() < 0).map(MetadataPartition::id).collect(),
        });
        Ok(seen.collect())
    }

    /// Asks where each of so many partitions of a topic begins and ends now, each for so long at most. Blocks.
    pub fn ends(&self, topic: &str, partitions: usize, timeout: Duration) -> KafkaResult<Vec<(i32, i64, i64)>> {
        let ends = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(|partition| {
            let (begin, end) = self.inner.client().fetch_watermarks(topic, partition, timeout)?;
            Ok((partition, begin, end))
        });
        ends.collect()
    }

    fn produce(&self, frame: &[u8], ballot: Box<Ballot>) -> Result<(), Code> {
        let message = Message::read(frame).ok_or(Code::BadMessage)?;
        let id = hex(message.id);
        let headers = OwnedHeaders::new_with_capacity(3);
        let headers = match self.headers {
            Headers::Event { format } => headers
                .insert(Header { key: "log_type", value: Some(message.log_type) })
                .insert(Header { key: "format", value: Some(format) }),
            Headers::Letter => headers.insert(Header { key: VERSION_HEADER, value: Some(&LINE_VERSION.to_string()) }),
        };
        let headers = headers.insert(Header { key: "siemline_uid", value: Some(&id) });
        // The time of the record is the time of sending: with the event's own, the retention of a topic would clear away
        // old events as soon as they come.
        let mut record = BaseRecord::with_opaque_to(message.topic, ballot).payload(message.document).headers(headers);
        if !message.key.is_empty() {
            record = record.key(message.key);
        }
        self.inner.send(record).map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(Code::Fail))
    }
}

/// The id as it stands in the header.
fn hex(id: &[u8]) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::with_capacity(2 * id.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

impl Context {
    /// What one client tells, and where its tokens come from.
    pub fn new(tokens: Option<Tokens>, meter: Arc<KafkaMeter>) -> Self {
        Self { trouble: watch::Sender::new(None), has_id: watch::Sender::new(false), tokens, meter }
    }

    /// What the client complained of last, since something was delivered.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    /// Takes note of a complaint, unless one stands that says more: a hopeless one, or why the brokers are down.
    fn complain(&self, next: Trouble) {
        self.trouble.send_if_modified(|trouble| {
            let says_more = |trouble: &Trouble| trouble.is_hopeless() || next.code == Code::AllBrokersDown;
            let is_news = !trouble.as_ref().is_some_and(says_more);
            if is_news {
                *trouble = Some(next);
            }
            is_news
        });
    }

    fn forget_trouble(&self) {
        self.trouble.send_if_modified(|trouble| trouble.take_if(|trouble| !trouble.is_hopeless()).is_some());
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, detail: &str) {
        // Why a connection ended is said here only where it may be as it should.
        if facility == "FAIL" {
            self.complain(Trouble::new(Code::BrokerTransportFailure, words(detail.as_bytes())));
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, detail, "librdkafka");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, detail, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, detail, "librdkafka"),
            RDKafkaLogLevel::Debug => tracing::debug!(facility, detail, "librdkafka"),
        }
    }

    fn stats(&self, told: Statistics) {
        let is_assigned = told.eos.as_ref().is_some_and(|eos| eos.idemp_state == "Assigned");
        self.has_id.send_if_modified(|has_id| std::mem::replace(has_id, is_assigned) != is_assigned);
        self.meter.measure(state(&told));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        self.complain(Trouble::new(code, words(reason.as_bytes())));
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let tokens = self.tokens.as_ref().ok_or("no source of tokens")?;
        // librdkafka hands the words on as an error of authentication, in C's form of a text.
        tokens.fetch().map_err(|error| error.replace('\0', " ").into())
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ballot>;

    fn delivery(&self, result: &DeliveryResult<'_>, ballot: Box<Ballot>) {
        let report = match result {
            Ok(_) => Report::Accepted,
            Err((error, _)) => Report::Failed(error.rdkafka_error_code().unwrap_or(Code::Fail)),
        };
        // Nobody listens where the batch was given up.
        let _cast = ballot.reports.try_send((ballot.number, report));
    }
}

/// What is kept of the statistics. Sums are over the brokers, the latencies are those of the slowest.
fn state(told: &Statistics) -> KafkaState {
    let brokers = || told.brokers.values().filter(|broker| broker.nodeid >= 0);
    let largest = |of: fn(&rdkafka::statistics::Broker) -> i64| {
        u64::try_from(brokers().map(of).max().unwrap_or_default()).unwrap_or_default()
    };
    KafkaState {
        brokers: u64::try_from(brokers().count()).unwrap_or(u64::MAX),
        brokers_up: u64::try_from(brokers().filter(|broker| broker.state == "UP").count()).unwrap_or(u64::MAX),
        queued_messages: told.msg_cnt,
        queued_bytes: told.msg_size,
        requests: brokers().map(|broker| broker.tx).sum(),
        request_retries: brokers().map(|broker| broker.txretries).sum(),
        request_timeouts: brokers().map(|broker| broker.req_timeouts).sum(),
        connection_errors: brokers().map(|broker| broker.txerrs.saturating_add(broker.rxerrs)).sum(),
        round_trip_p99_us: largest(|broker| broker.rtt.as_ref().map_or(0, |window| window.p99)),
        throttle_max_ms: largest(|broker| broker.throttle.as_ref().map_or(0, |window| window.max)),
    }
}
