//! What a destination said.

use std::borrow::Cow;
use std::time::Duration;

/// The code of an entry without a verdict.
pub(super) const UNSPOKEN: &str = "no_verdict";

/// What the destination said about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has it.
    Accepted,
    /// It had it already: as good as accepted.
    Duplicate,
    /// Not now; send it again.
    Retry(Reason),
    /// Never: sending it again would be refused again.
    Refused(Reason),
}

/// Why, in a stable code and the destination's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A stable code of ours or of the destination's: `hec_6`, `mapper_parsing_exception`, `http_400`.
    pub code: Cow<'static, str>,
    /// The destination's own words, cut to a sane length.
    pub words: String,
}

/// The verdicts on a batch's entries, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// Every entry was accepted.
    AllAccepted,
    /// One each. Where the list is shorter than the batch, the rest has no verdict, which is [`Verdict::Retry`].
    Each(Vec<Verdict>),
}

/// The destination answered entry by entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// One verdict an entry.
    pub verdicts: Verdicts,
    /// The destination asks for a gentler pace: wait this long before the next batch.
    pub slow_down: Option<Duration>,
}

impl Delivery {
    /// Everything was accepted, and the pace is right.
    #[must_use]
    pub const fn accepted() -> Self {
        Self { verdicts: Verdicts::AllAccepted, slow_down: None }
    }
}

/// What a failed request asks of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Send the same again: after the schedule's wait, or after this long if the destination named a time.
    Retry {
        /// What the destination asked for (`Retry-After`).
        after: Option<Duration>,
    },
    /// Too large: send it in halves. One entry alone that is too large is made smaller (`oversize`), or refused.
    Split,
    /// The destination refuses this request for good. A batch of several is halved to find the culprit.
    Refuse,
    /// Nothing will get through until a person mends something (credentials, an index): keep everything, say so, and
    /// probe now and then.
    Pause,
}

/// The request as a whole failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words} ({code})")]
pub struct Error {
    /// What is asked of the lane.
    pub disposition: Disposition,
    /// A stable code: `http_503`, `hec_4`, `connect`, `timeout`.
    pub code: Cow<'static, str>,
    /// What happened, in the destination's words where it had any, and the remedy where it is known.
    pub words: String,
}

impl Verdict {
    /// Send it again, because.
    pub fn retry(code: impl Into<Cow<'static, str>>, words: impl Into<String>) -> Self {
        Self::Retry(Reason { code: code.into(), words: words.into() })
    }

    /// None: the destination said nothing about this entry, and it was not at fault. Where others of the batch were settled,
    /// it is sent again at once, however often that happens.
    #[must_use]
    pub fn unspoken() -> Self {
        Self::retry(UNSPOKEN, "the destination's answer leaves it out")
    }

    /// Refused for good, because.
    pub fn refused(code: impl Into<Cow<'static, str>>, words: impl Into<String>) -> Self {
        Self::Refused(Reason { code: code.into(), words: words.into() })
    }
}

impl Error {
    /// Says whether the same is to be sent again.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        matches!(self.disposition, Disposition::Retry { .. })
    }
}
