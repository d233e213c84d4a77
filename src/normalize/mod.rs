//! Normalization: from an event's bytes to OCSF bytes. Floor 3, pure.
//!
//! A [`Mappings`] is every mapping file compiled into plans, shared by all workers. A [`Normalizer`] belongs to one worker
//! and keeps the buffers that are reused from event to event: in the steady state no event allocates.
//!
//! The way of an event: its body is parsed onto a tape (`json`, with `repair` for what the fast parser refuses, or `text`
//! for lines), recognised (`detect`), and one walk of the tape finds the node of every path of the plan (`run::walk`).
//! The plan then writes the output members into a scratch buffer, noting which leaf went where; what needs to know all
//! of that (`rest`, `observables`, `unmapped`) is put in when the parts are joined (`run::assemble`).
//!
//! A [`Projector`] runs the same plans over an OCSF event and writes another vocabulary (`project`). Which names a plan may
//! write, and what the engine adds by itself, is for the vocabulary's table to say.
//!
//! Nothing here recurses on the depth of the input; the plan's own depth is bounded by `plan::DEPTH_MAX`.

mod accounts;
mod amend;
mod convert;
mod detect;
pub mod document;
mod embed;
mod explain;
mod json;
pub mod mapping;
mod normalizer;
mod pass;
mod plan;
mod project;
mod projection;
pub mod redact;
mod repair;
mod run;
mod scan;
pub mod selftest;
mod tape;
mod text;
mod trim;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use accounts::{AccountFacts, Accounts, AccountsError};
pub use amend::Amend;
pub use explain::{Explanation, Leaves, Written};
pub use mapping::ast::SiemNames;
pub use normalizer::Normalizer;
pub use plan::{Error, Mappings, NamesOfLogTypes};
pub use project::Projector;
pub use projection::Projection;
pub use scan::value_at;
use sha2::{Digest as _, Sha256};
pub use trim::{Part, Trimmed, trim};

/// SHA-256 of an event's body: what tells two versions of one finding apart in `metadata.uid`, and part of the id under
/// which a destination keeps a document. It is made once, by whoever needs both.
pub type BodyDigest = [u8; 32];

/// The digest of an event's body, free of its envelopes.
#[must_use]
pub fn digest(body: &[u8]) -> BodyDigest {
    Sha256::digest(body).into()
}

/// What is known of one normalized event, beside its bytes.
#[derive(Clone, Debug)]
pub struct Normalized {
    /// The log type that recognised the event; `ocsf` for one that came as OCSF, the base mapping's name for the others.
    pub log_type: Arc<str>,
    /// OCSF `class_uid`; 0 for a base event.
    pub class_uid: u32,
    /// OCSF `severity_id`: 0 to 6, or 99.
    pub severity_id: u8,
    /// OCSF `time`, in milliseconds since 1970.
    pub time_ms: i64,
    /// Where `cloud.account.uid` stands in the output, without its quotes; empty where it is absent or holds an escape.
    pub account: Range<usize>,
    /// Where `cloud.region` stands in the output, as `account` does.
    pub region: Range<usize>,
    /// What was wrong with the event.
    pub complaints: Complaints,
}

/// What can be wrong with an event that still comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The fast parser refused the document; numbers beyond 64 bits, lone surrogates, raw control characters, broken
    /// UTF-8 or deep subtrees were rewritten, and the result was parsed.
    JsonRepaired,
    /// Not JSON after all: it came out as the text of a base event.
    JsonUnreadable,
    /// A log type recognised the event, but none of its cases came out whole: it is a base event.
    NoCase,
    /// The event's time lies after its record's arrival by more than [`CLOCK_AHEAD_MAX`]. It stays as it is.
    TimeInFuture,
}

/// How far the clock that an event was timed by may be ahead of the transport's. AWS takes a request whose clock is
/// five minutes off (IAM User Guide, "Signature Version 4"), and no zone is as near to another.
pub const CLOCK_AHEAD_MAX: Duration = Duration::from_mins(5);

impl Complaint {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::JsonRepaired, Self::JsonUnreadable, Self::NoCase, Self::TimeInFuture];

    /// The stable code: `json_repaired`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::JsonRepaired => "json_repaired",
            Self::JsonUnreadable => "json_unreadable",
            Self::NoCase => "no_case",
            Self::TimeInFuture => "time_in_future",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::JsonRepaired => 1,
            Self::JsonUnreadable => 2,
            Self::NoCase => 4,
            Self::TimeInFuture => 8,
        }
    }
}

/// A set of [`Complaint`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Complaints(u8);

impl Complaints {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn contains(self, complaint: Complaint) -> bool {
        self.0 & complaint.bit() != 0
    }

    /// All that are there.
    pub fn iter(self) -> impl Iterator<Item = Complaint> {
        Complaint::ALL.into_iter().filter(move |complaint| self.contains(*complaint))
    }

    const fn add(&mut self, complaint: Complaint) {
        self.0 |= complaint.bit();
    }
}
