//! In which form events are delivered, and text as JSON.

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::delivery::EventView;
use crate::normalize::Projection;

/// In which form a sink delivers events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As OCSF.
    #[default]
    Ocsf,
    /// In Elastic's common schema.
    Ecs,
    /// With the fields of Splunk's common information model.
    Cim,
    /// As AWS wrote them, for the SIEM's own AWS add-on.
    Raw,
}

impl Format {
    /// The vocabulary that events are projected to for it.
    #[must_use]
    pub const fn projection(self) -> Option<Projection> {
        match self {
            Self::Ecs => Some(Projection::Ecs),
            Self::Cim => Some(Projection::Cim),
            Self::Ocsf | Self::Raw => None,
        }
    }

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Cim => "cim",
            Self::Raw => "raw",
        }
    }

    /// The event in this form where it is a document of ours: a JSON object in one line. `None` for the raw form.
    pub(super) fn document(self, event: EventView<'_>) -> Option<&[u8]> {
        match (self, self.projection()) {
            (Self::Raw, _) => None,
            (_, Some(projection)) => Some(event.projected(projection)),
            (_, None) => Some(event.ocsf()),
        }
    }

    /// Appends the event in this form as one line of NDJSON; a raw text line becomes a JSON string.
    pub(super) fn push_line(self, event: EventView<'_>, out: &mut Vec<u8>) {
        match self.document(event) {
            Some(document) => {
                out.extend_from_slice(document);
                out.push(b'\n');
            }
            None => push_raw_line(event.raw(), out),
        }
    }
}

/// Appends an event as AWS wrote it as one line of NDJSON; a text becomes a JSON string.
pub fn push_raw_line(body: &[u8], out: &mut Vec<u8>) {
    push_json_or_string(body, out);
    out.push(b'\n');
}

/// Appends text as a JSON string. What is no UTF-8 is replaced by U+FFFD: JSON has no way to carry it.
pub(super) fn push_string(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    // Writing a string into memory does not fail.
    let _written = serde_json::to_writer(out, &*text);
}

/// Appends text as it stands if it is a JSON object or array, in one line, and as a JSON string otherwise.
pub(super) fn push_json_or_string(text: &[u8], out: &mut Vec<u8>) {
    if !is_object_or_array(text) {
        push_string(text, out);
        return;
    }
    // In valid JSON a line break stands only between tokens, where a space means the same.
    out.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

fn is_object_or_array(text: &[u8]) -> bool {
    let begins = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    begins && std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
