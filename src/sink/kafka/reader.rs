//! Dead letters in a topic: read from the beginning to where it ended when the reading began.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::letters::LetterTopic;
use super::producer::Context;
use super::response::{Trouble, name};
use super::sink::{put_away, unmade};
use crate::delivery::{Disposition, Error, KeptLine};

/// How long it may take until the next letter is there. librdkafka tries by itself meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl ConsumerContext for Context {}

/// What lies in a topic, record by record. It joins no group and commits nothing: what it reads lies there as before.
#[derive(Debug)]
pub struct LettersOfTopic {
    topic: Arc<LetterTopic>,
    /// `None` before anything was asked for.
    reading: Option<Reading>,
}

struct Reading {
    /// `None` when nothing is left to be read.
    consumer: Option<StreamConsumer<Context>>,
    /// The partitions that were not read to their end, by their numbers.
    open: BTreeMap<i32, Part>,
}

/// A partition.
struct Part {
    /// Its name in the words for a user.
    holder: Arc<str>,
    /// The offset behind the last record that is read.
    end: i64,
}

impl LettersOfTopic {
    /// All that lies there when the first is asked for.
    #[must_use]
    pub fn new(topic: Arc<LetterTopic>) -> Self {
        Self { topic, reading: None }
    }

    /// The next record; `None` behind the last. Dropping the future midway is safe.
    ///
    /// # Errors
    ///
    /// When the cluster does not give it. librdkafka has tried for as long as there is any sense in it.
    pub async fn next(&mut self) -> Result<Option<Vec<KeptLine>>, Error> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => none.insert(Reading::begin(&self.topic).await.map_err(last_word)?),
        };
        reading.next().await.map_err(last_word)
    }
}

impl Reading {
    async fn begin(topic: &LetterTopic) -> Result<Self, Error> {
        let (mut open, mut places) = (BTreeMap::new(), TopicPartitionList::new());
        for (partition, begin, end) in topic.kafka.ends(&topic.topic).await? {
            if begin < end {
                let holder = Arc::from(format!("topic {}, partition {partition}", topic.topic));
                open.insert(partition, Part { holder, end });
                let place = places.add_partition_offset(&topic.topic, partition, Offset::Offset(begin));
                place.map_err(|error| unmade(&error))?;
            }
        }
        if open.is_empty() {
            return Ok(Self { consumer: None, open });
        }
        let consumer = topic.kafka.reader()?;
        consumer.assign(&places).map_err(|error| unmade(&error))?;
        Ok(Self { consumer: Some(consumer), open })
    }

    async fn next(&mut self) -> Result<Option<Vec<KeptLine>>, Error> {
        let until = Instant::now() + SILENCE_MAX;
        while let Some(consumer) = self.consumer.as_ref().filter(|_| !self.open.is_empty()) {
            match timeout_at(until, consumer.recv()).await {
                Ok(Ok(record)) => {
                    if let Some(line) = take(&record, &mut self.open) {
                        return Ok(Some(vec![line]));
                    }
                }
                // Its last records are gone, or nobody may see them.
                Ok(Err(KafkaError::PartitionEOF(partition))) => drop(self.open.remove(&partition)),
                Ok(Err(error)) => judge(&error, consumer.context().trouble())?,
                Err(_elapsed) => return Err(silence(consumer.context().trouble())),
            }
        }
        if let Some(consumer) = self.consumer.take() {
            put_away(consumer).await;
        }
        Ok(None)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("open", &self.open.keys()).finish_non_exhaustive()
    }
}

/// The line of a record, unless that came after the beginning.
fn take(record: &BorrowedMessage<'_>, open: &mut BTreeMap<i32, Part>) -> Option<KeptLine> {
    let (partition, offset) = (record.partition(), record.offset());
    let part = open.get(&partition)?;
    let line = (offset < part.end).then(|| KeptLine {
        holder: Arc::clone(&part.holder),
        mark: u64::try_from(offset).unwrap_or_default(),
        line: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
    });
    if offset.saturating_add(1) >= part.end {
        open.remove(&partition);
    }
    line
}

/// Says whether reading goes on. Most complaints pass, or show themselves by silence.
fn judge(error: &KafkaError, trouble: Option<Trouble>) -> Result<(), Error> {
    if let Some(trouble) = trouble.filter(Trouble::is_hopeless) {
        return Err(trouble.error());
    }
    let pause = |code, words| Err(Error { disposition: Disposition::Pause, code, words });
    match error.rdkafka_error_code() {
        Some(code @ Code::TopicAuthorizationFailed) => {
            pause(name(code), format!("{code}: allow `Read` and `Describe` on the topic"))
        }
        Some(code @ (Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::Fatal)) => {
            pause(name(code), code.to_string())
        }
        _ => {
            tracing::debug!(%error, "reading dead letters goes on");
            Ok(())
        }
    }
}

fn silence(trouble: Option<Trouble>) -> Error {
    let last = trouble.map_or_else(String::new, |trouble| format!("; the client's last words: {}", trouble.told()));
    let words = format!("nothing more came from the topic within {} s{last}", SILENCE_MAX.as_secs());
    Error { disposition: Disposition::Pause, code: "kafka_silence".into(), words }
}

/// Nothing is gained by asking again at once: librdkafka did.
fn last_word(error: Error) -> Error {
    Error { disposition: Disposition::Pause, ..error }
}
