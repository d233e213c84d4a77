//! A Kafka sink at work.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::RwLock;
use tokio::time::{Instant, timeout_at};

use super::KafkaOptions;
use super::producer::{Context, Headers, Producer};
use super::request::{Framing, Message};
use super::response::{Seen, Topics, Trouble, judge, judge_topic, name};
use super::settings::{client_config, reader_config};
use super::token::Tokens;
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::metric::KafkaMeter;
use crate::sink;

/// How long each of the two questions of `check` may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);

/// A Kafka cluster.
pub struct Kafka {
    options: KafkaOptions,
    framing: Framing,
    headers: Headers,
    /// Made when it is first needed, and anew after one that is of no use any more.
    current: Mutex<Option<Arc<Producer>>>,
    /// Shared by batches under way. Whole for an entry that has to be alone at librdkafka.
    turns: RwLock<()>,
    meter: Arc<KafkaMeter>,
}

impl Kafka {
    /// A sink after these options. Reads the secrets, and looks whether the files are there; connects to nothing.
    pub fn new(options: &KafkaOptions) -> Result<Self, sink::Error> {
        Self::with_headers(options, Headers::Event { format: options.format.name() })
    }

    /// The same with other headers.
    pub(super) fn with_headers(options: &KafkaOptions, headers: Headers) -> Result<Self, sink::Error> {
        client_config(options)?;
        Ok(Self {
            options: options.clone(),
            framing: Framing::new(options)?,
            headers,
            current: Mutex::default(),
            turns: RwLock::default(),
            meter: Arc::default(),
        })
    }

    /// The topic, where all events go to one.
    pub(super) fn fixed_topic(&self) -> Option<&str> {
        self.framing.fixed_topic()
    }

    /// Where each partition of a topic begins and ends now.
    pub(super) async fn ends(&self, topic: &str) -> Result<Vec<(i32, i64, i64)>, Error> {
        let mut config = client_config(&self.options).map_err(|error| unmade(&error))?;
        // It sends nothing, and need not be allowed to.
        config.set("enable.idempotence", "false");
        let producer = Arc::new(self.connect(&config)?);
        let asked = ask_ends(&producer, topic).await;
        put_away(producer).await;
        asked
    }

    /// A consumer of the same cluster.
    pub(super) fn reader(&self) -> Result<StreamConsumer<Context>, Error> {
        let config = reader_config(&self.options).map_err(|error| unmade(&error))?;
        let context = Context::new(self.tokens()?, Arc::clone(&self.meter));
        config.create_with_context(context).map_err(|error| unmade(&error))
    }

    /// What librdkafka's statistics say.
    #[must_use]
    pub fn meter(&self) -> Arc<KafkaMeter> {
        Arc::clone(&self.meter)
    }

    /// The producer in use. One that is hopeless is put away for a new one, which reads the secrets and files anew.
    async fn producer(&self) -> Result<Arc<Producer>, Error> {
        let hopeless = self.lock().take_if(|producer| producer.is_hopeless());
        if let Some(producer) = hopeless {
            put_away(producer).await;
        }
        let mut current = self.lock();
        if let Some(producer) = current.as_ref() {
            return Ok(Arc::clone(producer));
        }
        let config = client_config(&self.options).map_err(|error| unmade(&error))?;
        let producer = Arc::new(self.connect(&config)?);
        *current = Some(Arc::clone(&producer));
        Ok(producer)
    }

    fn connect(&self, config: &ClientConfig) -> Result<Producer, Error> {
        let producer = Producer::new(config, self.tokens()?, self.headers, Arc::clone(&self.meter));
        producer.map_err(|error| unmade(&error))
    }

    fn tokens(&self) -> Result<Option<Tokens>, Error> {
        match &self.options.sasl {
            Some(sasl) if sasl.mechanism.name() == "OAUTHBEARER" => {
                Tokens::new(sasl, &self.options.brokers).map(Some).map_err(|error| unmade(&error))
            }
            _ => Ok(None),
        }
    }

    /// Sends a batch once.
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, Error> {
        let producer = self.producer().await?;
        let reports = producer.deliver(batch.frames()).await;
        let topics = if self.framing.fixed_topic().is_some() {
            Topics::One
        } else {
            Topics::Many(batch.frames().map(|frame| Message::read(frame).map_or("", |message| message.topic)).collect())
        };
        let answer = judge(&reports, producer.trouble().as_ref(), &topics);
        // The next producer reads credentials and metadata anew, so that it sees at once what was mended.
        let is_paused = matches!(&answer, Err(error) if error.disposition == Disposition::Pause);
        if is_paused || producer.is_hopeless() {
            self.lock().take_if(|current| Arc::ptr_eq(current, &producer));
            put_away(producer).await;
        }
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Producer>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Kafka {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let last_beginning = Instant::now() + self.options.begin_within();
        let answer = {
            let _shared = self.turns.read().await;
            self.deliver(batch).await
        };
        let Err(error) = answer else { return answer };
        let blames_one = matches!(error.disposition, Disposition::Split | Disposition::Refuse) && batch.len() == 1;
        if !blames_one {
            return Err(error);
        }
        // librdkafka sends messages of several batches in one request, which the broker refuses as a whole: the fault may be
        // another's. What is said of a request that held nothing else is true.
        match timeout_at(last_beginning, self.turns.write()).await {
            Ok(_alone) => self.deliver(batch).await,
            Err(_) => Err(Error { disposition: Disposition::Retry { after: None }, ..error }),
        }
    }

    async fn check(&self) -> Result<(), Error> {
        let mut config = client_config(&self.options).map_err(|error| unmade(&error))?;
        // The statistics tell when the cluster has given out the id.
        config.set("statistics.interval.ms", "100");
        let producer = Arc::new(self.connect(&config)?);
        let asked = ask(&producer, self.framing.fixed_topic().map(str::to_owned)).await;
        put_away(producer).await;
        asked
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Asks whether the topic is there with a leader for each of its partitions, and whether an idempotent producer is welcome.
/// Sends nothing.
async fn ask(producer: &Arc<Producer>, topic: Option<String>) -> Result<(), Error> {
    look(producer, topic).await?;
    let waited = tokio::time::timeout(QUESTION_TIMEOUT, producer.wait_for_id()).await;
    match (hopeless(producer), waited) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => Err(Error {
            disposition: Disposition::Retry { after: None },
            code: "kafka_no_producer_id".into(),
            words: format!("the brokers gave out no producer id within {} s", QUESTION_TIMEOUT.as_secs()),
        }),
    }
}

/// Asks where each partition of a topic begins and ends.
async fn ask_ends(producer: &Arc<Producer>, topic: &str) -> Result<Vec<(i32, i64, i64)>, Error> {
    let partitions = look(producer, Some(topic.to_owned())).await?;
    let (asked, topic) = (Arc::clone(producer), topic.to_owned());
    question(producer, move || asked.ends(&topic, partitions, QUESTION_TIMEOUT)).await
}

/// Asks whether the topic is there with a leader for each of its partitions, and says how many these are; none where no topic
/// is asked for.
async fn look(producer: &Arc<Producer>, topic: Option<String>) -> Result<usize, Error> {
    let (asked, wanted) = (Arc::clone(producer), topic.clone());
    let seen = question(producer, move || asked.look(wanted.as_deref(), QUESTION_TIMEOUT)).await?;
    let Some(topic) = topic else { return Ok(0) };
    let absent = Seen { topic: topic.clone(), code: None, partitions: 0, leaderless: Vec::new() };
    let seen = seen.iter().find(|seen| seen.topic == topic).unwrap_or(&absent);
    judge_topic(seen)?;
    Ok(seen.partitions)
}

/// Asks what librdkafka knows no other way to ask than to block.
async fn question<T: Send + 'static>(
    producer: &Producer,
    ask: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(hopeless(producer).unwrap_or_else(|| no_answer(&error, producer.trouble()))),
        Err(error) => Err(unmade(&error)),
    }
}

/// What a person has to mend, as far as the producer has been told.
fn hopeless(producer: &Producer) -> Option<Error> {
    producer.trouble().filter(Trouble::is_hopeless).map(|trouble| trouble.error())
}

fn no_answer(error: &KafkaError, trouble: Option<Trouble>) -> Error {
    let code = error.rdkafka_error_code().map_or("kafka_metadata".into(), name);
    let last = trouble.map_or_else(String::new, |trouble| format!("; the client's last words: {}", trouble.told()));
    Error { disposition: Disposition::Retry { after: None }, code, words: format!("{error}{last}") }
}

/// A producer that cannot be made: a person has to mend something.
pub(super) fn unmade(error: &dyn std::error::Error) -> Error {
    Error { disposition: Disposition::Pause, code: "kafka_client".into(), words: error.to_string() }
}

/// Lets go of a client. Where nobody else holds it, it ends, which takes up to some seconds: in a thread for such things.
pub(super) async fn put_away<T: Send + 'static>(client: T) {
    let _ended = tokio::task::spawn_blocking(move || drop(client)).await;
}
