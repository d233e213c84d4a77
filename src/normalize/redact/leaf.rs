//! What becomes of one value.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::options::{RedactAction, RedactOptions};
use crate::normalize::json::push_hex;

/// What stands in place of a masked value.
pub(super) const MASK: &str = "***";

/// Bytes of the hash that are shown, as two digits each: enough that no two values meet by chance.
const HASH_BYTES: usize = 16;

/// The shortest key.
const KEY_BYTES_MIN: usize = 16;

/// What becomes of a value.
#[derive(Clone)]
pub(super) enum Action {
    Drop,
    Mask,
    Hash(Box<Hmac<Sha256>>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "Drop",
            Self::Mask => "Mask",
            Self::Hash(_) => "Hash(***)",
        })
    }
}

impl Action {
    /// The action of some options, with its key.
    pub fn new(options: &RedactOptions) -> Result<Self, String> {
        match (options.action, &options.key) {
            (RedactAction::Drop, None) => Ok(Self::Drop),
            (RedactAction::Mask, None) => Ok(Self::Mask),
            (RedactAction::Drop | RedactAction::Mask, Some(_)) => {
                Err("only `action = \"hash\"` has a key: set it, or leave the key out".to_owned())
            }
            (RedactAction::Hash, None) => {
                Err("`action = \"hash\"` needs a key: { env = \"NAME\" } or { file = \"/path\" }".to_owned())
            }
            (RedactAction::Hash, Some(reference)) => {
                let key = reference.resolve().map_err(|error| error.to_string())?;
                let key = key.expose().as_bytes();
                if key.len() < KEY_BYTES_MIN {
                    return Err(format!(
                        "the key has {} bytes: with less than {KEY_BYTES_MIN} it can be guessed",
                        key.len()
                    ));
                }
                let hash = Hmac::new_from_slice(key).map_err(|error| error.to_string())?;
                Ok(Self::Hash(Box::new(hash)))
            }
        }
    }

    /// What a text becomes. Whoever can leave a value out altogether does so instead, where the action is to drop.
    pub fn of_text(&self, text: &str) -> Cow<'static, str> {
        match self {
            Self::Drop => Cow::Borrowed(""),
            Self::Mask => Cow::Borrowed(MASK),
            Self::Hash(hash) => {
                let mut hash = hash.as_ref().clone();
                hash.update(text.as_bytes());
                let digest = hash.finalize().into_bytes();
                let mut shown = Vec::with_capacity(2 * HASH_BYTES);
                push_hex(&mut shown, digest.get(..HASH_BYTES).unwrap_or_default());
                Cow::Owned(String::from_utf8_lossy(&shown).into_owned())
            }
        }
    }
}
