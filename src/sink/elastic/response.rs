//! The answer of `_bulk` to verdicts. Pure.

use std::borrow::Cow;

use serde::Deserialize;

use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};
use crate::http::{Answer, words};

/// What of the answer is asked for: the sizes of the rest add up.
pub(super) const FILTER_PATH: &str = "errors,items.*.status,items.*.error,items.*.failure_store";

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    items: Option<Vec<Line<'a>>>,
}

/// One line of the answer: `create` of an event, `index` of a finding's latest state, or an ingest pipeline's doing; `delete` of
/// a dead letter that was sent again.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, alias = "index", alias = "delete")]
    create: Outcome<'a>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(borrow, default)]
    error: Option<Cause<'a>>,
    /// `used` where the document went to the data stream's failure store; Elasticsearch alone has one.
    #[serde(borrow, default)]
    failure_store: Option<Cow<'a, str>>,
}

/// What a batch came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The verdicts.
    pub(super) delivery: Delivery,
    /// How many documents the cluster could not map and put into a failure store. It has them.
    pub(super) failure_stored: usize,
}

#[derive(Default, Deserialize)]
struct Cause<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    caused_by: Option<Box<Cause<'a>>>,
}

/// An error of the request as a whole. A gateway may write `error` as a text.
#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: Cause<'a>,
}

/// The verdicts on a batch whose entries have so many documents each. An entry is delivered when all of its documents are.
///
/// # Errors
///
/// Where the cluster answered for the request as a whole, or where its answer cannot be matched with the entries.
pub(super) fn judge(answer: &Answer, documents: &[usize]) -> Result<Judged, Error> {
    match answer.status {
        200 => judge_items(answer, documents),
        413 => Err(said(answer, Disposition::Split, "larger than the cluster takes")),
        400 => Err(judge_bad_request(answer)),
        status => Err(judge_status(answer, status)),
    }
}

/// The verdict on any other question than a batch: fine, or what stands in the way.
pub(super) fn judge_status(answer: &Answer, status: u16) -> Error {
    match status {
        401 => said(answer, Disposition::Pause, "the credentials are missing or wrong"),
        403 => said(answer, Disposition::Pause, "these credentials may not do this"),
        404 => said(answer, Disposition::Pause, "nothing is there: check the endpoint and the index"),
        _ if answer.is_passing() => said(answer, answer.retry(), "try again"),
        // Redirects among them, which are not followed.
        _ => said(answer, Disposition::Pause, "this is not how Elasticsearch answers: check the endpoint"),
    }
}

fn judge_items(answer: &Answer, documents: &[usize]) -> Result<Judged, Error> {
    let Ok(reply) = serde_json::from_slice::<Reply<'_>>(&answer.body) else {
        return Err(unreadable(answer, documents.len()));
    };
    let items = reply.items.unwrap_or_default();
    let expected: usize = documents.iter().sum();
    // The items are matched by their order, so a list of another length tells nothing about any of them. What was stored
    // is answered with 409 the next time.
    if items.len() != expected {
        let words = format!("the answer has {} items for {expected} documents", items.len());
        return Err(answer.error(answer.retry(), "items_missing", words));
    }
    let mut verdicts = Vec::with_capacity(documents.len());
    let mut items = items.iter();
    let mut failure_stored = 0;
    for count in documents {
        let mut verdict = None;
        for Line { create: outcome } in items.by_ref().take(*count) {
            failure_stored += usize::from(outcome.is_in_failure_store());
            let next = judge_item(answer, outcome)?;
            verdict = Some(match verdict {
                Some(verdict) => worse(verdict, next),
                None => next,
            });
        }
        // An entry has a document at least.
        verdicts.extend(verdict);
    }
    let all_accepted = verdicts.iter().all(|verdict| *verdict == Verdict::Accepted);
    let verdicts = if all_accepted { Verdicts::AllAccepted } else { Verdicts::Each(verdicts) };
    Ok(Judged { delivery: Delivery { verdicts, slow_down: None }, failure_stored })
}

/// The verdict on an entry with two documents: the event's, unless the other one says worse. That the index of latest states
/// has a newer one is no duplicate of the event.
fn worse(event: Verdict, latest: Verdict) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Accepted | Verdict::Duplicate => 0,
        Verdict::Retry(_) => 1,
        Verdict::Refused(_) => 2,
    };
    if rank(&latest) > rank(&event) { latest } else { event }
}

/// One document. An error that the document is not to blame for (credentials, a missing index) stops the lane: what the
/// same answer says about the others is then said again.
fn judge_item(answer: &Answer, outcome: &Outcome<'_>) -> Result<Verdict, Error> {
    let none = Cause::default();
    let cause = outcome.error.as_ref().unwrap_or(&none);
    let code = if cause.kind.is_empty() { format!("http_{}", outcome.status) } else { words(cause.kind.as_bytes()) };
    Ok(match outcome.status {
        // With `failure_store` the cluster keeps a document that it could not map: it has it.
        200..=299 => Verdict::Accepted,
        409 => Verdict::Duplicate,
        408 | 429 | 500..=599 => Verdict::retry(code, cause.in_words()),
        401 | 403 => {
            let remedy = match (outcome.status, &*cause.kind) {
                // A disk above its flood stage makes the cluster block what lies on it.
                (_, "cluster_block_exception") => {
                    "lift the block of the index, and make room on the disks of its nodes"
                }
                (401, _) => "mend the credentials",
                _ => "allow `create_doc` on the index (`index` too, for `latest`), or name another `index`",
            };
            return Err(answer.error(Disposition::Pause, code, format!("{}: {remedy}", cause.in_words())));
        }
        _ => match cause.remedy() {
            Some(remedy) => {
                return Err(answer.error(Disposition::Pause, code, format!("{}: {remedy}", cause.in_words())));
            }
            None => Verdict::refused(code, cause.in_words()),
        },
    })
}

/// The body as a whole was refused. Only the cluster itself can say that an entry is at fault; a gateway's 400 (plain HTTP
/// spoken to a TLS port) is about the endpoint.
pub(super) fn judge_bad_request(answer: &Answer) -> Error {
    match serde_json::from_slice::<Failure<'_>>(&answer.body) {
        Ok(_) => said(answer, Disposition::Refuse, "refused"),
        Err(_) => judge_status(answer, answer.status),
    }
}

fn unreadable(answer: &Answer, entries: usize) -> Error {
    if !answer.begins_an_object() && !answer.body.is_empty() {
        return said(answer, Disposition::Pause, "this is not how Elasticsearch answers: check the endpoint");
    }
    if answer.truncated && entries > 1 {
        let words =
            "the answer is longer than `http.response_bytes_max`: smaller batches have shorter answers".to_owned();
        return answer.error(Disposition::Split, "answer_too_long", words);
    }
    let words = format!("the answer cannot be read, so no entry has a verdict: {}", answer.words());
    answer.error(answer.retry(), "answer_unreadable", words)
}

fn said(answer: &Answer, disposition: Disposition, remark: &str) -> Error {
    match serde_json::from_slice::<Failure<'_>>(&answer.body) {
        Ok(Failure { error }) if !error.kind.is_empty() => {
            let words = format!("{remark}; answered {}: {}", answer.status, error.in_words());
            answer.error(disposition, words_of_kind(&error), words)
        }
        _ => {
            let words = format!("{remark}; answered {}: {}", answer.status, answer.words());
            answer.error(disposition, answer.code(), words)
        }
    }
}

fn words_of_kind(cause: &Cause<'_>) -> String {
    words(cause.kind.as_bytes())
}

impl Outcome<'_> {
    fn is_in_failure_store(&self) -> bool {
        matches!(self.status, 200..=299) && self.failure_store.as_deref() == Some("used")
    }
}

/// How reasons begin that have no type of their own, and what to do (the words are those of OpenSearch 2.19, measured, and of
/// Elasticsearch's source).
const REMEDIES: [(&str, &str); 4] = [
    ("pipeline with id [", "check `pipeline`"),
    ("no write index is defined for alias [", "give the alias a write index, or name another `index`"),
    (
        "only write ops with an op_type of create",
        "`latest` names a data stream: name an index, or no place that exists yet",
    ),
    ("Document ID is not supported", "this collection makes its own ids: set `document_ids = false`"),
];

impl Cause<'_> {
    /// What to do where every document would be refused so: the index or the pipeline is named wrongly, say.
    fn remedy(&self) -> Option<&'static str> {
        match &*self.kind {
            "index_not_found_exception" | "invalid_index_name_exception" => Some("check `index` and `latest`"),
            "index_closed_exception" => Some("open the index, or name another"),
            // No index can be opened any more: the cluster has as many shards as it may.
            "validation_exception" => Some("give the cluster room for the index, or lower `indexes_max`"),
            "illegal_argument_exception" => {
                let reason = self.reason.as_deref()?;
                REMEDIES.iter().find(|(begin, _)| reason.starts_with(begin)).map(|(_, remedy)| *remedy)
            }
            _ => None,
        }
    }

    /// The type, the reason and the innermost cause's reason, which is the one that tells the field.
    fn in_words(&self) -> String {
        let mut innermost = self;
        while let Some(cause) = &innermost.caused_by {
            innermost = cause;
        }
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        let text = match innermost.reason.as_deref() {
            Some(inner) if inner != reason => format!("{}: {reason}: {inner}", self.kind),
            _ => format!("{}: {reason}", self.kind),
        };
        words(text.as_bytes())
    }
}
