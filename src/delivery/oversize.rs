//! Events that are larger than what the destination takes: encoded again without their bulkiest parts. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventView, Sink};
use crate::normalize::{Part, Projection, trim};

/// What becomes of an event that is larger than what the destination takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Oversize {
    /// It goes without `raw_data`; if it is still too large without every `data`, and then without `unmapped`. A label
    /// says what is missing. If nothing helps, it goes to the dead letters, as raw events do, which have no such parts.
    #[default]
    Trim,
    /// It goes to the dead letters whole.
    DeadLetter,
}

/// The documents of an event without some of their parts. A sink reads them through its [`EventView`] like those that they
/// stand for. The event as AWS wrote it is not among them.
#[derive(Clone, Debug)]
pub struct TrimmedEvent {
    ocsf: Option<Vec<u8>>,
    projected: [Option<Vec<u8>>; Projection::ALL.len()],
}

impl TrimmedEvent {
    /// The OCSF document, if something of it went.
    pub(super) fn ocsf(&self) -> Option<&[u8]> {
        self.ocsf.as_deref()
    }

    /// The document in another vocabulary, if something of it went.
    pub(super) fn projected(&self, to: Projection) -> Option<&[u8]> {
        self.projected.get(to.number())?.as_deref()
    }

    fn new(event: EventView<'_>, parts: &[Part]) -> Self {
        let without = |document: &[u8], vocabulary| trim(document, vocabulary, parts).map(|trimmed| trimmed.document);
        Self {
            ocsf: without(event.ocsf(), None),
            projected: Projection::ALL.map(|to| without(event.projected(to), Some(to))),
        }
    }
}

/// The frame of an event that was made smaller until it has no more than so many bytes: as few of its parts as possible are
/// missing. `None` where even without all of them it is larger.
pub(super) fn trimmed_frame(event: EventView<'_>, sink: &impl Sink, bytes_max: usize) -> Option<Vec<u8>> {
    let mut frame = Vec::new();
    (1..=Part::ALL.len()).filter_map(|count| Part::ALL.get(..count)).find_map(|parts| {
        let trimmed = TrimmedEvent::new(event, parts);
        frame.clear();
        sink.encode(EventView { trimmed: Some(&trimmed), ..event }, &mut frame);
        (frame.len() <= bytes_max).then(|| std::mem::take(&mut frame))
    })
}
