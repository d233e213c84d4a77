//! Which dead letters are meant. Pure.

use jiff::Timestamp;

use crate::delivery::KeptLetter;

/// Which dead letters are meant: those that all of these say yes to. An empty list says yes to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The names of sinks.
    pub sinks: Vec<String>,
    /// Reasons: `refused`, `too_large`.
    pub reasons: Vec<String>,
    /// Codes: `hec_6`.
    pub codes: Vec<String>,
    /// Log types; `aws.*` means all that begin so.
    pub log_types: Vec<String>,
    /// Last sent at this time or later.
    pub since: Option<Timestamp>,
    /// Last sent before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Says whether a letter is meant.
    #[must_use]
    pub fn admits(&self, letter: &KeptLetter) -> bool {
        let time = letter.last_time();
        any(&self.sinks, letter.sink.as_deref())
            && any(&self.reasons, Some(&letter.reason))
            && any(&self.codes, Some(&letter.code))
            && any(&self.log_types, letter.log_type.as_deref())
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

fn any(wanted: &[String], has: Option<&str>) -> bool {
    let is = |wanted: &String| match (wanted.strip_suffix('*'), has) {
        (_, None) => false,
        (Some(start), Some(has)) => has.starts_with(start),
        (None, Some(has)) => has == wanted,
    };
    wanted.is_empty() || wanted.iter().any(is)
}
