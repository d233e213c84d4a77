//! What a server answered, and what can be said about it without knowing the protocol.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::delivery::{Disposition, Error, RETRY_AFTER_MAX};

/// How much of a server's own words is kept, in bytes.
const WORDS_BYTES_MAX: usize = 400;

/// A whole answer, or its beginning where it was longer than the bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, from now on and at most [`RETRY_AFTER_MAX`].
    pub retry_after: Option<Duration>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// The body was longer than `response_bytes_max`, and was cut there.
    pub truncated: bool,
}

impl Answer {
    /// A whole answer.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, retry_after: None, body: body.into(), truncated: false }
    }

    /// The request failed, and this is what the lane is asked to do about it.
    #[must_use]
    pub fn error(
        &self,
        disposition: Disposition,
        code: impl Into<std::borrow::Cow<'static, str>>,
        words: String,
    ) -> Error {
        Error { disposition, code: code.into(), words }
    }

    /// [`Disposition::Retry`] after the time that the server named, if it named one.
    #[must_use]
    pub const fn retry(&self) -> Disposition {
        Disposition::Retry { after: self.retry_after }
    }

    /// The code that names the status: `http_503`.
    #[must_use]
    pub fn code(&self) -> String {
        format!("http_{}", self.status)
    }

    /// Says whether the status asks for another try later: 408, 429, or 5xx.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..=599)
    }

    /// What the body begins with, for a message.
    #[must_use]
    pub fn words(&self) -> String {
        words(&self.body)
    }

    /// Says whether the body could be the beginning of a JSON object.
    #[must_use]
    pub fn begins_an_object(&self) -> bool {
        self.body.trim_ascii_start().first() == Some(&b'{')
    }
}

/// Foreign bytes as words for a message: one line, valid UTF-8, at most 400 bytes.
#[must_use]
pub fn words(bytes: &[u8]) -> String {
    let cut = bytes.get(..WORDS_BYTES_MAX).unwrap_or(bytes);
    let mut words = String::new();
    for word in String::from_utf8_lossy(cut).split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    if cut.len() < bytes.len() {
        words.push_str(" ...");
    }
    if words.is_empty() {
        words.push_str("(empty)");
    }
    words
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, section 10.2.3). A date in the past is no wait at all; what
/// is neither is as if nothing were said.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let after = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the bound.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = DateTimeParser::new().parse_timestamp(value).ok()?;
        Duration::from_secs(u64::try_from(at.as_second().saturating_sub(now.as_second())).unwrap_or(0))
    };
    Some(after.min(RETRY_AFTER_MAX))
}
