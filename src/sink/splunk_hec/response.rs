//! HEC's answers to verdicts. Pure.
//!
//! HEC answers `{"text":..,"code":N}` and, where one object was at fault, `"invalid-event-number":i`, counted from 0: the
//! objects before it are indexed, it and those after it are not. Codes 0 to 22 are Splunk's published list, 23 to 27 stand
//! in the documentation of later versions.
//!
//! With indexer acknowledgement a success carries an id, and the batch is delivered when Splunk says of that id that it is
//! indexed. A 400 that cuts a batch carries none, so that nobody knows of the entries before the cut: they are sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};
use crate::http::{Answer, words};

/// How long the next batch waits where Splunk says that its queues are nearly full (codes 24 and 25) and names no time.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// What HEC says in JSON.
#[derive(Debug, Deserialize)]
struct Reply {
    code: u32,
    #[serde(default)]
    text: String,
    #[serde(default, rename = "invalid-event-number")]
    invalid_event_number: Option<u64>,
    /// Counted from 0 in each channel.
    #[serde(default, rename = "ackId")]
    ack_id: Option<u64>,
}

/// What `/services/collector/ack` says of the ids that it was asked for.
#[derive(Debug, Deserialize)]
struct Acknowledgements {
    acks: BTreeMap<String, bool>,
}

/// What HEC says about a batch that is to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in the queue. Whether it is indexed, this id tells.
    Awaits { ack_id: u64, slow_down: Option<Duration> },
    /// Verdicts that no acknowledgement follows, none of them "accepted".
    Settled(Delivery),
}

/// The verdicts on a batch of so many entries.
///
/// # Errors
///
/// Where HEC answered for the request as a whole.
pub(super) fn judge(answer: &Answer, entries: usize) -> Result<Delivery, Error> {
    // A proxy may say this without HEC's body, and what HEC itself says with these means the same.
    match answer.status {
        413 => return Err(said(answer, Disposition::Split, "larger than the endpoint takes")),
        401 | 403 => return Err(token(answer)),
        404 | 405 | 415 => return Err(endpoint(answer)),
        _ => {}
    }
    let Ok(reply) = serde_json::from_slice::<Reply>(&answer.body) else {
        return Err(unreadable(answer));
    };
    let retry = || said(answer, answer.retry(), "try again");
    match (answer.status, reply.code) {
        (200, 0 | 17) => Ok(Delivery::accepted()),
        (200, 24 | 25) => {
            Ok(Delivery { verdicts: Verdicts::AllAccepted, slow_down: Some(answer.retry_after.unwrap_or(SLOW_DOWN)) })
        }
        (_, 8 | 9 | 18 | 19 | 20 | 23 | 26 | 27) => Err(retry()),
        (status, _) if status == 408 || status == 429 || status >= 500 => Err(retry()),
        (_, 1 | 2 | 3 | 4 | 21 | 22) => Err(token(answer)),
        (_, 5) => Err(said(
            answer,
            Disposition::Pause,
            "HEC saw no event in a batch that holds some; does a proxy drop the body?",
        )),
        (_, 6 | 12 | 13 | 15) => cut(answer, &reply, entries),
        // The batch is of one index, and the number that comes with this code is one too high: it is not looked at.
        (_, 7) => Ok(refuse_all(answer, entries)),
        (_, 10) => Err(said(
            answer,
            Disposition::Pause,
            "the token asks for indexer acknowledgement: set `acknowledgement = true`, or take a token without",
        )),
        (_, 11) => {
            Err(said(answer, Disposition::Pause, "HEC does not like the channel; does a proxy change its header?"))
        }
        (_, 14) => Err(said(
            answer,
            Disposition::Pause,
            "the token has no indexer acknowledgement: enable it at the token, or leave `acknowledgement` out (Splunk Cloud \
             offers it to Firehose only)",
        )),
        (_, 16) => Err(said(answer, Disposition::Pause, "write the token as `token`, not into the endpoint")),
        (400, _) => Err(said(answer, Disposition::Refuse, "refused")),
        // Success is spoken, and these words are not known.
        _ => Err(said(answer, Disposition::Pause, "an answer that siemline does not know")),
    }
}

/// The same for a batch that is to be acknowledged.
///
/// # Errors
///
/// Where HEC answered for the request as a whole, and where it took the batch without an id: then nothing would ever tell.
pub(super) fn judge_taken(answer: &Answer, entries: usize) -> Result<Taken, Error> {
    let Delivery { verdicts, slow_down } = judge(answer, entries)?;
    match verdicts {
        Verdicts::Each(verdicts) => {
            let unknown = |verdict| if verdict == Verdict::Accepted { Verdict::unspoken() } else { verdict };
            let verdicts = Verdicts::Each(verdicts.into_iter().map(unknown).collect());
            Ok(Taken::Settled(Delivery { verdicts, slow_down }))
        }
        Verdicts::AllAccepted => {
            if let Ok(Reply { ack_id: Some(ack_id), .. }) = serde_json::from_slice(&answer.body) {
                return Ok(Taken::Awaits { ack_id, slow_down });
            }
            let words = "HEC took a batch without an `ackId`: enable indexer acknowledgement at the token, or leave \
                         `acknowledgement` out";
            Err(answer.error(Disposition::Pause, "no_ack_id", words.to_owned()))
        }
    }
}

/// The ids that a poll tells to be indexed. Those that it does not name are not.
///
/// # Errors
///
/// Where it tells nothing: then nobody knows, whatever the status says.
pub(super) fn judge_poll(answer: &Answer) -> Result<BTreeSet<u64>, Error> {
    if answer.status == 200
        && let Ok(Acknowledgements { acks }) = serde_json::from_slice(&answer.body)
    {
        let indexed = acks.into_iter().filter(|(_, is_indexed)| *is_indexed);
        return Ok(indexed.filter_map(|(id, _)| id.parse().ok()).collect());
    }
    match judge(answer, 0) {
        Err(error) if error.is_retry() || error.disposition == Disposition::Pause => Err(error),
        _ => Err(said(answer, answer.retry(), "no acknowledgements can be read in the answer")),
    }
}

/// What the empty POST says about the token: "no data" means that it is good.
pub(super) fn judge_probe(answer: &Answer) -> Result<(), Error> {
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(Reply { code: 5, .. }) if answer.status == 400 => Ok(()),
        // Nothing was sent that could be accepted.
        _ => match judge(answer, 0) {
            Ok(_) => Err(said(answer, Disposition::Pause, "HEC took an empty request: is it one?")),
            Err(error) => Err(error),
        },
    }
}

/// What the health endpoint says. It does not look at the token. Where there is none (a proxy that lets only the event
/// endpoint through) the probe of the token decides alone.
pub(super) fn judge_health(answer: &Answer) -> Result<(), Error> {
    if answer.is_passing() {
        Err(said(answer, answer.retry(), "the token is good, and HEC is not healthy (queues that are full, for one)"))
    } else {
        Ok(())
    }
}

/// One object was at fault. Without its number, or with one that cannot be, the lane finds it by halving.
fn cut(answer: &Answer, reply: &Reply, entries: usize) -> Result<Delivery, Error> {
    let number = reply.invalid_event_number.and_then(|number| usize::try_from(number).ok());
    let Some(number) = number.filter(|number| *number < entries) else {
        return Err(said(answer, Disposition::Refuse, "refused, and which event is at fault is not told"));
    };
    let mut verdicts = vec![Verdict::Accepted; number];
    verdicts.push(Verdict::refused(code(answer), wording(answer)));
    // Those after it were not looked at: no verdict, so that the lane sends them again.
    Ok(Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None })
}

fn refuse_all(answer: &Answer, entries: usize) -> Delivery {
    let verdict = Verdict::refused(
        code(answer),
        format!("{}: the index does not exist, or the token does not allow it", wording(answer)),
    );
    Delivery { verdicts: Verdicts::Each(vec![verdict; entries]), slow_down: None }
}

/// The body is not HEC's.
fn unreadable(answer: &Answer) -> Error {
    if answer.is_passing() {
        said(answer, answer.retry(), "try again")
    } else if answer.status == 200 && (answer.body.is_empty() || answer.begins_an_object()) {
        // HEC's answer with its end missing: what it was about to say is not known.
        said(answer, answer.retry(), "the answer cannot be read")
    } else if answer.status == 400 && answer.body.starts_with(b"\"") {
        // So the receiver of the OpenTelemetry Collector says what it cannot make a log of, such as the text `metric`: with
        // no code, in a bare string. It has taken nothing of the batch then.
        said(answer, Disposition::Refuse, "refused, and which event is at fault is not told")
    } else {
        endpoint(answer)
    }
}

fn token(answer: &Answer) -> Error {
    said(answer, Disposition::Pause, "the token is missing, wrong or disabled")
}

fn endpoint(answer: &Answer) -> Error {
    said(answer, Disposition::Pause, "this is not HEC: check the endpoint")
}

fn said(answer: &Answer, disposition: Disposition, remark: &str) -> Error {
    answer.error(disposition, code(answer), format!("{remark}; answered {}: {}", answer.status, wording(answer)))
}

/// `hec_6` where HEC spoke, `http_503` where something else did.
fn code(answer: &Answer) -> String {
    match serde_json::from_slice::<Reply>(&answer.body) {
        // A wrong path is answered with a JSON body whose code is the status.
        Ok(Reply { code, .. }) if code < 100 => format!("hec_{code}"),
        _ => answer.code(),
    }
}

fn wording(answer: &Answer) -> String {
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) if !reply.text.is_empty() => words(reply.text.as_bytes()),
        _ => answer.words(),
    }
}
