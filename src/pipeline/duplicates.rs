//! Duplicates: what was delivered already, and comes again from elsewhere.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::delivery::{Memory, MemoryKey};
use crate::normalize::value_at;
use crate::unit::Span;

/// The name under which a duplicate is counted.
const DUPLICATE: &str = "duplicate";

/// The name under which a copy of a finding is counted whose native form was delivered.
const PREFER_NATIVE: &str = "prefer_native";

/// The shortest last part of an ARN that tells a finding apart by itself.
const ID_CHARACTERS_MIN: usize = 16;

/// Lets go of what was delivered already and comes again from another position: the same event through two streams, the same
/// finding through two services. Off unless one of its options is set. It remembers in memory, in this process only, and only
/// what every sink has: a process that starts remembers nothing, and what it lets through then is a duplicate and no loss.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeduplicateOptions {
    /// The log types whose events are let go if one with the same `metadata.uid` was delivered; `aws.*` means all that begin
    /// so. That uid is made of the event's content too, so choose log types that have ids of their own (findings, CloudTrail):
    /// two equal lines of a log are two events.
    pub log_type: Vec<String>,
    /// Lets a finding go that comes through Security Hub (a log type of `copies_in`) when its native form was delivered before.
    /// Its id is `finding_info.uid`. A copy on which an analyst has worked (a status other than new, a note) is none, and the
    /// native form always goes, also behind its copy.
    pub prefer_native: bool,
    /// The log types that carry copies of findings.
    pub copies_in: Vec<String>,
    /// The most uids and findings that are remembered (about 100 bytes each); above, the oldest is forgotten.
    pub entries_max: usize,
    /// How long each is remembered.
    pub age_max: Span,
}

impl Default for DeduplicateOptions {
    fn default() -> Self {
        Self {
            log_type: Vec::new(),
            prefer_native: false,
            copies_in: vec!["aws.securityhub".to_owned(), "ocsf".to_owned()],
            entries_max: 100_000,
            age_max: Span::seconds(24 * 60 * 60),
        }
    }
}

/// What is known of delivered events, asked by all workers.
#[derive(Debug)]
pub struct Duplicates {
    options: DeduplicateOptions,
    memory: Arc<Memory>,
    duplicate: Arc<str>,
    prefer_native: Arc<str>,
}

/// What is to be remembered of an event when it is delivered: at most its uid and its finding.
pub type Keys = [Option<MemoryKey>; 2];

impl Duplicates {
    /// Nothing is remembered yet. `None`: nothing is asked for.
    #[must_use]
    pub fn new(options: &DeduplicateOptions) -> Option<Self> {
        let is_wanted = options.prefer_native || !options.log_type.is_empty();
        let age_ms = i64::try_from(options.age_max.0.as_millis()).unwrap_or(i64::MAX);
        is_wanted.then(|| Self {
            options: options.clone(),
            memory: Arc::new(Memory::new(options.entries_max, age_ms)),
            duplicate: DUPLICATE.into(),
            prefer_native: PREFER_NATIVE.into(),
        })
    }

    /// What delivered events are remembered in.
    #[must_use]
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Asks whether an event is to be let go, and by which rule; if not, what is to be remembered of it.
    ///
    /// # Errors
    ///
    /// The rule that lets it go.
    pub fn ask(&self, log_type: &str, ocsf: &[u8], id: &[u8; 16], now_ms: i64) -> Result<Keys, Arc<str>> {
        let uid = if is_one_of(&self.options.log_type, log_type) { text_at(ocsf, &["metadata", "uid"]) } else { None };
        let uid = uid.map(|uid| key(b"uid", uid));
        if uid.as_ref().is_some_and(|uid| self.memory.holds(uid, id, now_ms)) {
            return Err(Arc::clone(&self.duplicate));
        }
        if !self.options.prefer_native {
            return Ok([uid, None]);
        }
        let finding = text_at(ocsf, &["finding_info", "uid"]).map(|uid| key(b"finding", id_of(uid)));
        let is_copy = is_one_of(&self.options.copies_in, log_type);
        match finding {
            Some(finding) if is_copy && self.memory.holds(&finding, id, now_ms) && is_untouched(ocsf) => {
                Err(Arc::clone(&self.prefer_native))
            }
            finding => Ok([uid, finding.filter(|_| !is_copy)]),
        }
    }
}

fn is_one_of(log_types: &[String], log_type: &str) -> bool {
    log_types.iter().any(|wanted| match wanted.strip_suffix('*') {
        Some(start) => log_type.starts_with(start),
        None => wanted == log_type,
    })
}

fn text_at<'d>(ocsf: &'d [u8], path: &[&str]) -> Option<&'d [u8]> {
    value_at(ocsf, path)?.strip_prefix(b"\"")?.strip_suffix(b"\"").filter(|text| !text.is_empty())
}

/// The part of a finding's id that all services agree on: some write the ARN, some its last part.
fn id_of(uid: &[u8]) -> &[u8] {
    let last = uid.rsplit(|byte| *byte == b'/').next().unwrap_or(uid);
    let is_id =
        last.len() >= ID_CHARACTERS_MIN && last.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if is_id { last } else { uid }
}

/// Whether no analyst has worked on it: the status is unknown (0) or new (1), and nothing is noted.
fn is_untouched(ocsf: &[u8]) -> bool {
    matches!(value_at(ocsf, &["status_id"]), None | Some(b"0" | b"1")) && value_at(ocsf, &["comment"]).is_none()
}

fn key(kind: &[u8], text: &[u8]) -> MemoryKey {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update([0]);
    hash.update(text);
    let mut key = MemoryKey::default();
    for (to, from) in key.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duplicates(options: &str) -> Duplicates {
        Duplicates::new(&toml::from_str(options).unwrap()).unwrap()
    }

    fn deliver(duplicates: &Duplicates, log_type: &str, ocsf: &str, id: u8) {
        for key in duplicates.ask(log_type, ocsf.as_bytes(), &[id; 16], 0).unwrap().into_iter().flatten() {
            duplicates.memory().enter(key, [id; 16], 0);
        }
    }

    const UID: &str = r#"{"metadata":{"version":"1.8.0","uid":"abc"}}"#;

    /// Guards that nothing is asked unless it is wanted, and of the log types alone for which it is.
    #[test]
    fn uids_are_compared_where_it_is_wanted() {
        assert!(Duplicates::new(&DeduplicateOptions::default()).is_none());
        let duplicates = duplicates("log_type = ['aws.cloudtrail']");
        deliver(&duplicates, "aws.cloudtrail", UID, 1);
        let ask = |log_type: &str, ocsf: &str, id: u8| duplicates.ask(log_type, ocsf.as_bytes(), &[id; 16], 0);
        assert_eq!(ask("aws.cloudtrail", UID, 2).unwrap_err().as_ref(), "duplicate");
        assert!(ask("aws.cloudtrail", UID, 1).is_ok(), "a re-read");
        assert!(ask("aws.cloudtrail", &UID.replace("abc", "abd"), 2).is_ok());
        assert_eq!(ask("aws.vpc_flow", UID, 2), Ok([None, None]));
        assert_eq!(ask("aws.cloudtrail", r#"{"metadata":{}}"#, 2), Ok([None, None]), "no uid, no duplicate");
    }

    /// Guards which finding is a copy: the one through Security Hub, behind its native form, untouched.
    #[test]
    fn native_findings_are_preferred() {
        let arn = "arn:aws:guardduty:eu-west-1:111122223333:detector/0a/finding/0123456789abcdef0123";
        let finding = |uid: &str, more: &str| format!(r#"{{"finding_info":{{"uid":"{uid}"}}{more}}}"#);
        let fresh = || duplicates("prefer_native = true");
        let duplicates = fresh();
        let ask = |log_type: &str, ocsf: &str| duplicates.ask(log_type, ocsf.as_bytes(), &[9; 16], 0);
        assert!(ask("aws.securityhub", &finding(arn, "")).is_ok(), "its native form has not come");
        deliver(&duplicates, "aws.guardduty", &finding(arn, r#","status_id":1"#), 1);
        for (uid, more, is_let_go) in [
            (arn, "", true),
            (arn, r#","status_id":1"#, true),
            ("0123456789abcdef0123", "", true),
            (arn, r#","status_id":4"#, false),
            (arn, r#","comment":"seen""#, false),
            ("arn:aws:guardduty:eu-west-1:111122223333:detector/0a/finding/another-one-of-them", "", false),
        ] {
            assert_eq!(ask("aws.securityhub", &finding(uid, more)).is_err(), is_let_go, "{uid}{more}");
        }
        assert_eq!(ask("ocsf", &finding(arn, "")).unwrap_err().as_ref(), "prefer_native");
        assert!(ask("aws.guardduty", &finding(arn, "")).is_ok(), "a native update always goes");
        let duplicates = fresh();
        deliver(&duplicates, "aws.securityhub", &finding(arn, ""), 1);
        let native = duplicates.ask("aws.guardduty", finding(arn, "").as_bytes(), &[2; 16], 0);
        assert!(native.is_ok(), "the native form goes behind its copy too");
        let again = duplicates.ask("aws.securityhub", finding(arn, "").as_bytes(), &[3; 16], 0);
        assert!(again.is_ok(), "a copy makes no copy of another");
    }
}
