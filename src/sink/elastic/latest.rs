//! What an index of latest states knows an event by: the finding, and how new this word on it is. Pure.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::delivery::EventView;

/// A finding's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The id of its document: the first 16 bytes of SHA-256 of `finding_info.uid`.
    pub(super) id: [u8; 16],
    /// Its version: milliseconds since 1970, not below 0, as external versions are.
    pub(super) version: u64,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    finding_info: Option<FindingInfo>,
}

#[derive(Deserialize)]
struct FindingInfo {
    #[serde(default)]
    uid: Option<Value>,
    #[serde(default)]
    modified_time: Option<Value>,
}

/// The state that an event tells of; `None` for one that is no finding with an id.
pub(super) fn state(event: EventView<'_>) -> Option<State> {
    let info = serde_json::from_slice::<Event>(event.ocsf()).ok()?.finding_info?;
    let uid = info.uid.as_ref()?.as_str().filter(|uid| !uid.is_empty())?;
    let modified_ms = info.modified_time.as_ref().and_then(Value::as_i64).unwrap_or(event.row.time_ms);
    let hash: [u8; 32] = Sha256::digest(uid.as_bytes()).into();
    let id = hash.first_chunk::<16>().copied()?;
    Some(State { id, version: u64::try_from(modified_ms).unwrap_or(0) })
}
