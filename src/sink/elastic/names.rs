//! The names of the indexes that an event is written to. Pure.

use super::ElasticOptions;
use crate::delivery::EventView;
use crate::sink::{
    self,
    template::{Bounded, Template},
};

/// The longest name of an index, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Where events are written.
#[derive(Debug)]
pub(super) struct Names {
    stream: Bounded,
    /// The namespace of the integration's data streams, where events go to those.
    pub(super) namespace: Option<String>,
    latest: Option<Bounded>,
}

impl Names {
    /// The names that these options say.
    pub(super) fn new(options: &ElasticOptions) -> Result<Self, sink::Error> {
        if options.namespace.is_empty() {
            return Err(wrong("namespace", "it is empty: name one, or leave it out".to_owned()));
        }
        let stream = template("index", &options.stream())?;
        let latest = options.latest.as_deref().map(|text| template("latest", text)).transpose()?;
        if latest.is_some() && !options.document_ids {
            let words = "it needs ids of ours: leave `document_ids` out".to_owned();
            return Err(wrong("latest", words));
        }
        if latest.as_ref().is_some_and(|latest| latest.fixed().is_some_and(|name| Some(name) == stream.fixed())) {
            return Err(wrong("latest", "it is an index of its own: name another one than `index`".to_owned()));
        }
        Ok(Self {
            stream: Bounded::new(stream, options.indexes_max),
            namespace: options.is_by_log_type().then(|| options.namespace.clone()),
            latest: latest.map(|latest| Bounded::new(latest, options.indexes_max)),
        })
    }

    /// The name that stands in the URL: that of all events, but for those of the integration's log types.
    pub(super) fn fixed(&self) -> Option<&str> {
        self.stream.template().fixed()
    }

    /// The name of the index of latest states where it is the same for all events.
    pub(super) fn fixed_latest(&self) -> Option<&str> {
        self.latest.as_ref()?.template().fixed()
    }

    /// The pattern of all names that events are written under.
    pub(super) fn pattern(&self) -> String {
        self.stream.template().pattern("*")
    }

    /// The pattern of the names of the indexes of latest states.
    pub(super) fn latest_pattern(&self) -> Option<String> {
        Some(self.latest.as_ref()?.template().pattern("*"))
    }

    pub(super) const fn has_latest(&self) -> bool {
        self.latest.is_some()
    }

    /// Appends the name of the event's index, as a JSON string and a member of its action, where it does not stand in the URL.
    pub(super) fn push_stream(&self, event: EventView<'_>, out: &mut Vec<u8>) -> bool {
        let dataset = event.names().and_then(|names| names.dataset.as_deref());
        if let (Some(namespace), Some(dataset)) = (&self.namespace, dataset) {
            push_name(&format!("logs-{dataset}-{namespace}"), out);
            return true;
        }
        if self.fixed().is_some() {
            return false;
        }
        push_bounded(&self.stream, event, out);
        true
    }

    /// Appends the name of the event's index of latest states.
    pub(super) fn push_latest(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        if let Some(latest) = &self.latest {
            push_bounded(latest, event, out);
        }
    }
}

fn push_bounded(bounded: &Bounded, event: EventView<'_>, out: &mut Vec<u8>) {
    let mut name = String::new();
    bounded.push(event, clean, &mut name);
    push_name(&name, out);
}

/// What is clean needs no escapes in JSON and is of one byte each.
fn push_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"_index\":\"");
    out.extend(name.chars().map(clean).filter_map(|c| u8::try_from(c).ok()).take(NAME_BYTES_MAX));
    out.push(b'"');
}

/// Lower case, and nothing but letters, digits, `.`, `_` and `-`: what every version of either takes in a name.
const fn clean(c: char) -> char {
    match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
        _ => '_',
    }
}

/// Reads a name. One without fields is the cluster's to judge: it may be an alias of any name.
fn template(option: &'static str, text: &str) -> Result<Template, sink::Error> {
    if text.is_empty() {
        return Err(wrong(option, "it is empty: name one, or leave it out".to_owned()));
    }
    let template = Template::parse(text).map_err(|mistake| wrong(option, mistake.to_string()))?;
    if template.fixed().is_none() {
        let pattern = template.pattern("*");
        if pattern.starts_with(['*', '-', '_', '.']) {
            let words = format!("`{text}`: it begins with a letter or a digit, not with a field: `logs-{{account}}`");
            return Err(wrong(option, words));
        }
        if let Some(illegal) = template.pattern("").chars().find(|c| clean(*c) != *c) {
            let words = format!("`{text}`: `{illegal}` may not stand in the name of an index with fields");
            return Err(wrong(option, words));
        }
    }
    Ok(template)
}

fn wrong(option: &'static str, words: String) -> sink::Error {
    sink::Error::Option { option, words }
}
