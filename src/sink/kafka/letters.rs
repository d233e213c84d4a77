//! Dead letters in a topic: written as records.

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::letter_options::LetterTopicOptions;
use super::options::KafkaOptions;
use super::producer::Headers;
use super::request::Message;
use super::sink::Kafka;
use crate::delivery::{Batch, Disposition, Error, Reason, Sink as _, Verdict, Verdicts, WrittenLetter};
use crate::sink;

/// What the headers of a letter hold at most, as librdkafka measures them.
const HEADERS_BYTES_MAX: usize = 128;

/// The topic where dead letters lie.
#[derive(Debug)]
pub struct LetterTopic {
    pub(super) kafka: Kafka,
    pub(super) topic: String,
    letter_bytes_max: usize,
    /// One for each batch that may be under way, which is what librdkafka's queue has room for.
    batches: Semaphore,
}

impl LetterTopic {
    /// A store after these options. Reads the secrets, and looks whether the files are there; connects to nothing.
    ///
    /// # Errors
    ///
    /// When an option is wrong.
    pub fn new(options: &LetterTopicOptions) -> Result<Self, sink::Error> {
        let kafka = Kafka::with_headers(&options.sink(), Headers::Letter)?;
        let Some(topic) = kafka.fixed_topic().map(str::to_owned) else {
            let words = "the name of one topic without braces: no field of an event is filled in here".to_owned();
            return Err(sink::Error::Option { option: "topic", words });
        };
        let letter_bytes_max = usize::try_from(options.message_bytes_max.0).unwrap_or(usize::MAX);
        let batches = usize::try_from(KafkaOptions::LANE.requests_in_flight_max).unwrap_or(1);
        Ok(Self { kafka, topic, letter_bytes_max, batches: Semaphore::new(batches) })
    }

    /// Says whether a letter is small enough.
    #[must_use]
    pub fn fits(&self, letter: &WrittenLetter) -> bool {
        letter.line.len() + key(letter).len() + HEADERS_BYTES_MAX <= self.letter_bytes_max
    }

    /// Writes letters, and completes when all replicas in sync have them. Dropping the future midway is safe in the sense that
    /// they may be there.
    ///
    /// # Errors
    ///
    /// When the cluster does not take them all; some may be there. librdkafka has tried for as long as there is any sense in it.
    pub async fn keep(&self, letters: &[WrittenLetter]) -> Result<(), Error> {
        let mut letters = letters.iter().peekable();
        while letters.peek().is_some() {
            // It is never closed, and would be no harm.
            let _room = self.batches.acquire().await.ok();
            let batch = self.next_batch(&mut letters);
            let delivery = match self.kafka.send(&batch).await {
                Ok(delivery) => delivery,
                Err(error) => return Err(Error { disposition: Disposition::Pause, ..error }),
            };
            if let Verdicts::Each(verdicts) = delivery.verdicts
                && let Some(Reason { code, words }) = verdicts.into_iter().find_map(reason)
            {
                return Err(Error { disposition: Disposition::Pause, code, words });
            }
        }
        Ok(())
    }

    /// Asks whether letters could be written, and writes none.
    ///
    /// # Errors
    ///
    /// With what stands in the way, and the remedy.
    pub async fn check(&self) -> Result<(), Error> {
        self.kafka.check().await
    }

    /// The next letters, as many as one batch may hold, and one at least. Pure.
    fn next_batch<'a>(&self, letters: &mut std::iter::Peekable<impl Iterator<Item = &'a WrittenLetter>>) -> Batch {
        let (mut batch, mut batched) = (Batch::default(), 0_u64);
        let lane = KafkaOptions::LANE;
        let entries_max = usize::try_from(lane.batch_entries_max).unwrap_or(usize::MAX);
        while batch.len() < entries_max
            && let Some(letter) = letters.next_if(|letter| {
                let bytes = u64::try_from(letter.line.len()).unwrap_or(u64::MAX);
                batched == 0 || batched.saturating_add(bytes) <= lane.batch_bytes_max.0
            })
        {
            let line = letter.line.strip_suffix(b"\n").unwrap_or(&letter.line);
            let id = Sha256::digest(line);
            let (id, _) = id.split_at(16);
            let key = key(letter);
            let message = Message { topic: &self.topic, key: key.as_bytes(), log_type: b"", id, document: line };
            let bytes = batch.push(|out| message.write(out));
            batched = batched.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        batch
    }
}

/// What decides the partition: letters of one shard lie in one, in their order.
fn key(letter: &WrittenLetter) -> String {
    format!("{}/{}", letter.source, letter.shard)
}

fn reason(verdict: Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Accepted | Verdict::Duplicate => None,
        Verdict::Retry(reason) | Verdict::Refused(reason) => Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(more: &str) -> Result<LetterTopic, sink::Error> {
        let options = format!("brokers = ['localhost:1']\n{more}");
        LetterTopic::new(&toml::from_str(&options).unwrap())
    }

    fn letter(bytes: usize) -> WrittenLetter {
        let mut line = vec![b'x'; bytes];
        line.push(b'\n');
        WrittenLetter { line, source: "kinesis".into(), shard: "shard-1".into(), last_ms: 0 }
    }

    /// Guards the form of a letter as a record, and that a letter which is written again has the id that it had.
    #[test]
    fn letters_become_messages() {
        let topic = topic("topic = 'letters'").unwrap();
        let letters = [letter(3), letter(4), letter(3)];
        let batch = topic.next_batch(&mut letters.iter().peekable());
        let messages: Vec<Message<'_>> = batch.frames().map(|frame| Message::read(frame).unwrap()).collect();
        let Message { topic: name, key, log_type, id, document } = messages[0];
        assert_eq!((name, key, log_type, document), ("letters", &b"kinesis/shard-1"[..], &b""[..], &b"xxx"[..]));
        assert!(id == messages[2].id && id != messages[1].id);
    }

    /// Guards the bounds of what is under way at once: entries and bytes, and that one large letter goes alone.
    #[test]
    fn batches_are_bounded() {
        let topic = topic("topic = 'letters'").unwrap();
        let sizes = |letters: &[WrittenLetter]| {
            let (mut left, mut sizes) = (letters.iter().peekable(), Vec::new());
            while left.peek().is_some() {
                sizes.push(topic.next_batch(&mut left).len());
            }
            sizes
        };
        assert_eq!(sizes(&vec![letter(1); 2500]), [1000, 1000, 500]);
        assert_eq!(sizes(&[letter(1), letter(5 << 20), letter(1), letter(3 << 20)]), [1, 1, 2]);
    }

    /// Guards that a letter which Kafka would refuse is known beforehand, and the name of a topic that cannot be.
    #[test]
    fn bounds_and_names_are_told() {
        let small = topic("topic = 'letters'\nmessage_bytes_max = '2000B'").unwrap();
        assert!(small.fits(&letter(1800)) && !small.fits(&letter(1900)));
        for name in ["{log_type}", "a b", ""] {
            let error = topic(&format!("topic = '{name}'")).unwrap_err().to_string();
            assert!(error.starts_with("topic: "), "{name}: {error}");
        }
        let error = topic("topic = 'letters'\nlibrdkafka = { acks = '1' }").unwrap_err().to_string();
        assert!(error.contains("`acks` is set by siemline"), "{error}");
    }
}
