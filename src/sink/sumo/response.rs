//! Sumo's answers to verdicts. Pure.
//!
//! Documented are 200, 401 (no such address or token), 408 (taken, and not done in time), 429 (throttled by the account's
//! quota), 503 and 504. A 200 has no body, or one in JSON with a complaint about the headers, such as
//! `{"status":200,"id":"..","code":"bad.http.header.fields","message":".."}`: the messages are taken, the fields are not.

use serde::Deserialize;

use crate::delivery::{Disposition, Error};
use crate::http::{Answer, words};

/// What Sumo says in JSON.
#[derive(Debug, Default, Deserialize)]
struct Reply {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Everything was taken; what Sumo complained about all the same, if it did.
///
/// # Errors
///
/// Where it was not taken.
pub(super) fn judge(answer: &Answer) -> Result<Option<String>, Error> {
    let said = |disposition, remark: &str| Err(said(answer, disposition, remark));
    match answer.status {
        200 if begins_a_page(answer) => {
            said(Disposition::Pause, "a web page answers instead of Sumo: check the address and the proxy")
        }
        200 if answer.body.trim_ascii().is_empty() => Ok(None),
        200 => Ok(Some(complaint(answer))),
        401 | 403 => {
            said(Disposition::Pause, "the address or the token is not valid: copy it again from the HTTP source")
        }
        404 | 405 | 410 => said(Disposition::Pause, "this is no HTTP source: check the address"),
        407 => said(Disposition::Pause, "set `http.proxy_username` and `http.proxy_password`"),
        413 => said(Disposition::Split, "larger than Sumo takes"),
        415 => said(Disposition::Pause, "the compression is not taken: set `compression = \"gzip\"`"),
        400 | 422 => said(Disposition::Refuse, "refused"),
        429 => said(
            answer.retry(),
            "throttled: the account's ingest quota or rate is used up; raise it in Sumo, or send less by routes",
        ),
        _ if answer.is_passing() => said(answer.retry(), "try again"),
        300..=399 => said(Disposition::Pause, "the source has moved: copy its address again"),
        _ => said(Disposition::Pause, "an answer that siemline does not know"),
    }
}

/// What Sumo says to an empty request: that there is nothing in it says that the address is good.
pub(super) fn judge_probe(answer: &Answer) -> Result<(), Error> {
    match answer.status {
        400 => Ok(()),
        _ => judge(answer).map(|_complaint| ()),
    }
}

fn begins_a_page(answer: &Answer) -> bool {
    answer.body.trim_ascii_start().first() == Some(&b'<')
}

/// The words of a complaint: Sumo's code and words, or the body as it is.
fn complaint(answer: &Answer) -> String {
    let Ok(reply) = serde_json::from_slice::<Reply>(&answer.body) else { return answer.words() };
    let first = reply.errors.into_iter().next().unwrap_or(Complaint { code: reply.code, message: reply.message });
    match (first.code.as_str(), first.message.as_str()) {
        ("", "") => answer.words(),
        ("", message) => words(message.as_bytes()),
        (code, message) => words(format!("{code}: {message}").as_bytes()),
    }
}

fn said(answer: &Answer, disposition: Disposition, remark: &str) -> Error {
    answer.error(disposition, answer.code(), format!("{remark}; answered {}: {}", answer.status, complaint(answer)))
}
