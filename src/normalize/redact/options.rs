//! What is to be redacted, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

/// Takes values out of events before anything is made of them, so that no format, observable, label, message or raw copy
/// holds them. Dead letters in the local file hold the original: that file never leaves the machine by itself, and a store on
/// the network wants the word `unredacted = true`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedactOptions {
    /// Of these log types; `aws.*` means all that begin so, none given means all. An event that no mapping recognises has the
    /// log type `base`.
    pub log_type: Vec<String>,
    /// Paths in the event as AWS wrote it, free of its envelopes: `userIdentity.userName`, `resources[].tags.*`,
    /// `**.password`; of a line of text its columns: `srcaddr`; of what the envelopes told: `@envelope.log_stream`. Names are
    /// compared ignoring case, arrays and strings that hold JSON are looked through.
    pub paths: Vec<String>,
    /// What becomes of what stands there.
    pub action: RedactAction,
    /// The key of `hash`, of 16 bytes or more: equal values become equal hashes, and only who has the key can try values.
    pub key: Option<SecretRef>,
}

/// What becomes of a redacted value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedactAction {
    /// It goes, and its name with it; a column of a line becomes the mark of an absent one.
    Drop,
    /// Every leaf at and below the place becomes `***`.
    #[default]
    Mask,
    /// Every leaf at and below the place becomes 32 hexadecimal digits: the first half of an HMAC-SHA-256 under `key`.
    Hash,
}
