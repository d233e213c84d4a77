//! Events to messages, in a framing of our own: a batch is one buffer, and a message has several parts. Pure.

use crate::delivery::EventView;
use crate::sink::template::{Bounded, Template};
use crate::sink::{self, Format};

use super::KafkaOptions;

/// The longest name that a topic may have: Kafka makes a directory of it.
const TOPIC_LENGTH_MAX: usize = 249;

/// How events become messages.
#[derive(Debug)]
pub(super) struct Framing {
    topic: Bounded,
    /// Tried in order; the first that gives a text is the key.
    keys: Vec<Template>,
    format: Format,
}

/// One message, as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub topic: &'a str,
    /// Empty for none.
    pub key: &'a [u8],
    pub log_type: &'a [u8],
    /// Sixteen bytes, as in [`Row::id`](crate::delivery::Row::id).
    pub id: &'a [u8],
    pub document: &'a [u8],
}

impl Framing {
    /// The framing after these options.
    ///
    /// # Errors
    ///
    /// When a template is wrong, or the topic's name cannot be.
    pub fn new(options: &KafkaOptions) -> Result<Self, sink::Error> {
        let parse = |option, text: &str| {
            Template::parse(text).map_err(|mistake| sink::Error::Option { option, words: mistake.to_string() })
        };
        let topic = parse("topic", &options.topic)?;
        if let Some(name) = topic.fixed()
            && (name.is_empty() || name == "." || name == ".." || name.len() > TOPIC_LENGTH_MAX || name != clean(name))
        {
            let words = format!(
                "`{name}` is no name of a topic: it has 1 to {TOPIC_LENGTH_MAX} letters, digits, `.`, `_` and `-`"
            );
            return Err(sink::Error::Option { option: "topic", words });
        }
        let keys = match &options.key {
            Some(key) => vec![parse("key", key)?],
            None => vec![parse("key", "{finding_info.uid:-}")?, parse("key", "{account:-}")?],
        };
        let topics_max = usize::try_from(options.topics_max).unwrap_or(usize::MAX);
        Ok(Self { topic: Bounded::new(topic, topics_max), keys, format: options.format })
    }

    /// The topic, where all events go to one.
    pub fn fixed_topic(&self) -> Option<&str> {
        self.topic.template().fixed()
    }

    /// Appends the frame of one event.
    pub fn push(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        let mut topic = String::new();
        self.topic.push(event, |c| if is_legal(c) { c } else { '_' }, &mut topic);
        if self.fixed_topic().is_none() {
            topic = clean(&topic);
        }
        let mut key = String::new();
        for template in &self.keys {
            template.push(event, |c| c, &mut key);
            if !key.is_empty() {
                break;
            }
        }
        let message = Message {
            topic: &topic,
            key: key.as_bytes(),
            log_type: event.row.log_type.as_bytes(),
            id: &event.row.id,
            document: self.format.document(event).unwrap_or_else(|| event.raw()),
        };
        message.write(out);
    }
}

impl<'a> Message<'a> {
    /// Appends its frame: the lengths of topic, key and log type, those three, the id, and the document to the end of the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Self { topic, key, log_type, id, document } = *self;
        for part in [topic.as_bytes(), key, log_type] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for part in [topic.as_bytes(), key, log_type, id, document] {
            out.extend_from_slice(part);
        }
    }

    /// Reads a frame. `None` for what [`Message::write`] did not write.
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        let (topic, rest) = length(frame)?;
        let (key, rest) = length(rest)?;
        let (log_type, rest) = length(rest)?;
        let (topic, rest) = rest.split_at_checked(topic)?;
        let (key, rest) = rest.split_at_checked(key)?;
        let (log_type, rest) = rest.split_at_checked(log_type)?;
        let (id, document) = rest.split_at_checked(16)?;
        Some(Self { topic: std::str::from_utf8(topic).ok()?, key, log_type, id, document })
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))
}

fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// A name that Kafka takes. `.` and `..` are no names, since they are no directories.
fn clean(name: &str) -> String {
    let name: String = name.chars().map(|c| if is_legal(c) { c } else { '_' }).take(TOPIC_LENGTH_MAX).collect();
    if matches!(name.as_str(), "" | "." | "..") { "_".to_owned() } else { name }
}
