//! Events to messages and to what a request says about them. Pure.

use std::collections::BTreeMap;

use super::SumoOptions;
use crate::delivery::EventView;
use crate::sink::Format;
use crate::sink::format::push_json_or_string;
use crate::sink::template::{Bounded, Template};

/// The most fields that Sumo takes of a request; it drops all of them above that.
const FIELDS_MAX: usize = 30;

/// The longest value of a field, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// The longest name of a field, in characters.
const NAME_CHARS_MAX: usize = 255;

/// The longest category, name or host, in characters.
const TEXT_CHARS_MAX: usize = 1024;

/// The most bytes of a request before compression.
pub(super) const BODY_BYTES_MAX: u64 = 1_000_000;

/// Stands between the texts of a bucket; no text holds it.
const BETWEEN: u8 = b'\n';

/// The headers, in the order of a bucket's texts; those of the fields follow, as one text.
const HEADERS: [&str; 4] = ["x-sumo-category", "x-sumo-name", "x-sumo-host", "x-sumo-fields"];

/// What stands in a request's headers, for each event. Each text is cleaned of what no header may hold: what is no visible
/// ASCII becomes `_`.
#[derive(Debug)]
pub(super) struct Metadata {
    /// Category, name, host.
    texts: [Option<Bounded>; 3],
    fields: Vec<(String, Bounded)>,
}

/// An option that is wrong, and why.
pub(super) type Wrong = (&'static str, String);

impl Metadata {
    pub fn new(options: &SumoOptions) -> Result<Self, Wrong> {
        let texts_max = usize::try_from(options.texts_max).unwrap_or(usize::MAX);
        let text = |option: &'static str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => bounded(option, text, texts_max).map(Some),
        };
        let texts = [text("category", &options.category)?, text("name", &options.name)?, text("host", &options.host)?];
        Ok(Self { texts, fields: fields(&options.fields, texts_max)? })
    }

    /// Appends what the headers of this event's request say. Returns how many values were too long for Sumo and were cut.
    pub fn push_bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) -> usize {
        let (mut cut, mut line) = (0, String::new());
        for text in &self.texts {
            if let Some(text) = text {
                text.push(event, clean, &mut line);
                cut += usize::from(shorten(&mut line, TEXT_CHARS_MAX));
            }
            out.extend_from_slice(line.as_bytes());
            out.push(BETWEEN);
            line.clear();
        }
        let mut is_first = true;
        for (name, text) in &self.fields {
            text.push(event, clean_value, &mut line);
            cut += usize::from(shorten(&mut line, VALUE_CHARS_MAX));
            if !line.is_empty() {
                if !is_first {
                    out.push(b',');
                }
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                out.extend_from_slice(line.as_bytes());
                is_first = false;
            }
            line.clear();
        }
        cut
    }
}

/// The headers of a request for the entries of a bucket: those with a text.
pub(super) fn headers(bucket: &[u8]) -> impl Iterator<Item = (&'static str, &[u8])> {
    HEADERS.into_iter().zip(bucket.split(|byte| *byte == BETWEEN)).filter(|(_, text)| !text.is_empty())
}

/// Appends one event as one message: a line.
pub(super) fn push(format: Format, event: EventView<'_>, out: &mut Vec<u8>) {
    match format.document(event) {
        Some(document) => out.extend_from_slice(document),
        // Sumo takes UTF-8 only: what is none is replaced.
        None if is_one_line(event.raw()) => out.extend_from_slice(String::from_utf8_lossy(event.raw()).as_bytes()),
        None => push_json_or_string(event.raw(), out),
    }
    out.push(b'\n');
}

/// Says whether a text is one line that can be sent as it is. An empty one is not: a message has to have something in it.
fn is_one_line(text: &[u8]) -> bool {
    !text.trim_ascii().is_empty() && !text.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

fn bounded(option: &'static str, text: &str, texts_max: usize) -> Result<Bounded, Wrong> {
    let template = Template::parse(text).map_err(|mistake| (option, mistake.to_string()))?;
    if text.chars().any(|letter| clean(letter) != letter) {
        return Err((option, format!("`{text}` holds more than visible ASCII, which Sumo's headers cannot carry")));
    }
    Ok(Bounded::new(template, texts_max))
}

fn fields(options: &BTreeMap<String, String>, texts_max: usize) -> Result<Vec<(String, Bounded)>, Wrong> {
    const OPTION: &str = "fields";
    if options.len() > FIELDS_MAX {
        let words = format!("{} fields are written, and Sumo takes {FIELDS_MAX} at most", options.len());
        return Err((OPTION, words));
    }
    let mut fields = Vec::new();
    for (name, text) in options {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
            return Err((
                OPTION,
                format!("`{name}` is no name of a field: letters, digits, `_`, `-`, `.` and `/` make one"),
            ));
        }
        let bounded = bounded(OPTION, text, texts_max).map_err(|(_, words)| (OPTION, format!("{name}: {words}")))?;
        if let Some(fixed) = bounded.template().fixed() {
            if fixed.chars().count() > VALUE_CHARS_MAX {
                return Err((OPTION, format!("{name}: longer than the {VALUE_CHARS_MAX} characters that Sumo takes")));
            }
            if fixed.chars().any(|letter| clean_value(letter) != letter) {
                return Err((OPTION, format!("{name}: a comma or an equals sign would end the value")));
            }
        }
        fields.push((name.clone(), bounded));
    }
    Ok(fields)
}

/// Cuts a text after so many characters, and says whether it had more.
fn shorten(text: &mut String, chars_max: usize) -> bool {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => {
            text.truncate(at);
            true
        }
        None => false,
    }
}

fn clean(letter: char) -> char {
    if letter == ' ' || letter.is_ascii_graphic() { letter } else { '_' }
}

fn clean_value(letter: char) -> char {
    if matches!(letter, ',' | '=') { '_' } else { clean(letter) }
}
