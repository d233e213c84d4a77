//! What Splunk is told about each event besides the event: index, host, source, sourcetype. Pure.

use std::borrow::Cow;

use super::SplunkHecOptions;
use crate::delivery::EventView;
use crate::sink::Format;
use crate::sink::template::{Bounded, Template};

/// The add-on's sourcetype for JSON that came through Firehose: it extracts the fields and knows no more.
const UNKNOWN_SOURCETYPE: &str = "aws:firehose:json";

/// The longest name of an index, in characters: Splunk's own bound.
const INDEX_CHARS_MAX: usize = 80;

/// The longest of the other texts, in characters: ours, so that a request's address stays one that servers take.
const TEXT_CHARS_MAX: usize = 512;

/// An option that is wrong, and why.
pub(super) type Wrong = (&'static str, String);

/// One of the texts, by its name in HEC and in the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Host,
    Index,
    Source,
    Sourcetype,
}

/// The texts, as the options have them.
#[derive(Debug)]
pub(super) struct Metadata {
    format: Format,
    /// In the order of [`Key::ALL`].
    texts: [Text; 4],
}

#[derive(Debug)]
enum Text {
    /// The options say nothing.
    Default,
    Fixed(String),
    Filled(Bounded),
}

impl Key {
    pub const ALL: [Self; 4] = [Self::Host, Self::Index, Self::Source, Self::Sourcetype];

    /// The name in envelopes, queries and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Index => "index",
            Self::Source => "source",
            Self::Sourcetype => "sourcetype",
        }
    }

    const fn chars_max(self) -> usize {
        match self {
            Self::Index => INDEX_CHARS_MAX,
            Self::Host | Self::Source | Self::Sourcetype => TEXT_CHARS_MAX,
        }
    }

    fn clean(self, letter: char) -> char {
        match self {
            Self::Index => match letter.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9' | '-' | '_') => letter,
                _ => '_',
            },
            Self::Host | Self::Source | Self::Sourcetype if letter.is_control() => '_',
            Self::Host | Self::Source | Self::Sourcetype => letter,
        }
    }
}

impl Metadata {
    pub fn new(options: &SplunkHecOptions) -> Result<Self, Wrong> {
        let texts_max = usize::try_from(options.texts_max).unwrap_or(usize::MAX);
        let text = |key, text: &Option<String>| Text::new(key, text.as_deref(), texts_max);
        let texts = [
            text(Key::Host, &options.host)?,
            text(Key::Index, &options.index)?,
            text(Key::Source, &options.source)?,
            text(Key::Sourcetype, &options.sourcetype)?,
        ];
        Ok(Self { format: options.format, texts })
    }

    /// The text where it is the same for all events.
    pub fn fixed(&self, key: Key) -> Option<&str> {
        match self.text(key) {
            Text::Fixed(text) => Some(text),
            Text::Default | Text::Filled(_) => None,
        }
    }

    /// Says whether the texts differ between events.
    pub fn is_filled(&self, key: Key) -> bool {
        matches!(self.text(key), Text::Filled(_))
    }

    /// The text for an event: one line. Where it is empty, Splunk is told nothing and takes its own.
    pub fn of_event<'a>(&'a self, key: Key, event: EventView<'a>) -> Cow<'a, str> {
        match self.text(key) {
            Text::Fixed(text) => Cow::Borrowed(text),
            Text::Filled(template) => {
                let mut text = String::new();
                template.push(event, |letter| key.clean(letter), &mut text);
                if let Some((at, _)) = text.char_indices().nth(key.chars_max()) {
                    text.truncate(at);
                }
                Cow::Owned(text)
            }
            Text::Default => match key {
                Key::Host | Key::Index => Cow::Borrowed(""),
                Key::Source => Cow::Borrowed(event.source()),
                Key::Sourcetype => sourcetype(self.format, event),
            },
        }
    }

    fn text(&self, key: Key) -> &Text {
        let [host, index, source, sourcetype] = &self.texts;
        match key {
            Key::Host => host,
            Key::Index => index,
            Key::Source => source,
            Key::Sourcetype => sourcetype,
        }
    }
}

impl Text {
    fn new(key: Key, text: Option<&str>, texts_max: usize) -> Result<Self, Wrong> {
        let Some(text) = text else { return Ok(Self::Default) };
        let template = Template::parse(text).map_err(|mistake| (key.name(), mistake.to_string()))?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err((key.name(), "write one line of text, or leave it out".to_owned()));
        }
        Ok(match template.fixed() {
            Some(fixed) => Self::Fixed(fixed.to_owned()),
            None => Self::Filled(Bounded::new(template, texts_max)),
        })
    }
}

/// The sourcetype of an event: in its raw form the one that the Splunk Add-on for AWS has for the log type, or
/// [`UNKNOWN_SOURCETYPE`]; as OCSF the same behind `ocsf:`, as the add-on itself names Security Hub's OCSF findings; in
/// another vocabulary one of ours, so that the add-on's search-time fields are not laid over those in the event.
fn sourcetype(format: Format, event: EventView<'_>) -> Cow<'_, str> {
    let known = event.names().and_then(|names| names.sourcetype.as_deref());
    let own = || event.row.log_type.replace('.', ":");
    match (format, known) {
        (Format::Raw, known) => Cow::Borrowed(known.unwrap_or(UNKNOWN_SOURCETYPE)),
        (Format::Ocsf, Some(known)) => Cow::Owned(format!("ocsf:{known}")),
        (Format::Ocsf, None) => Cow::Owned(format!("ocsf:{}", own())),
        (Format::Ecs | Format::Cim, _) => Cow::Owned(format!("siemline:{}:{}", own(), format.name())),
    }
}
