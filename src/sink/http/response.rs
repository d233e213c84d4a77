//! Answers to verdicts. Pure.

use serde_json::Value;

use super::VerifyBodyOptions;
use crate::delivery::{Disposition, Error};
use crate::http::Answer;

/// What counts as success.
#[derive(Clone, Debug)]
pub(super) struct Success {
    /// Empty: 200 to 299.
    pub statuses: Vec<u16>,
    pub verify: Option<VerifyBodyOptions>,
}

impl Success {
    fn has(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..=299).contains(&status) } else { self.statuses.contains(&status) }
    }
}

/// Everything was taken.
///
/// # Errors
///
/// Where it was not, or where that cannot be told.
pub(super) fn judge(answer: &Answer, success: &Success) -> Result<(), Error> {
    let said = |disposition, remark: &str| Err(said(answer, disposition, remark));
    match answer.status {
        status if success.has(status) => verify(answer, success),
        400 | 422 => said(Disposition::Refuse, "refused"),
        401 | 403 => said(Disposition::Pause, "the credentials are missing, wrong, or may not write here"),
        404 | 405 | 410 => said(Disposition::Pause, "nothing takes events at this address: check `url` and `method`"),
        407 => said(Disposition::Pause, "set `http.proxy_username` and `http.proxy_password`"),
        413 => said(Disposition::Split, "larger than the destination takes"),
        415 => said(Disposition::Pause, "the form is not taken: check `body`, `content_type` and `compression`"),
        408 | 425 | 429 | 500..=599 => said(answer.retry(), "try again"),
        200..=299 => said(Disposition::Pause, "a status that `success` does not list"),
        300..=399 => said(Disposition::Pause, "the address has moved, and redirects are not followed: check `url`"),
        _ => said(Disposition::Pause, "an answer that siemline does not know"),
    }
}

/// What the question of `check` found. `is_own` where the configuration names what to ask; otherwise it was HEAD of the
/// address, which many destinations do not know: all that it tells is that somebody is there.
pub(super) fn judge_check(answer: &Answer, success: &Success, is_own: bool) -> Result<(), Error> {
    match answer.status {
        200..=299 => Ok(()),
        401 | 407 | 408 | 425 | 429 | 500..=599 => judge(answer, success),
        _ if is_own => judge(answer, success),
        _ => Ok(()),
    }
}

fn verify(answer: &Answer, success: &Success) -> Result<(), Error> {
    let Some(verify) = &success.verify else {
        // A page to sign in is answered with 200 too.
        if begins_a_page(&answer.body) {
            let remark = "a web page, not an answer to events: check `url` and the proxy";
            return Err(said(answer, Disposition::Pause, remark));
        }
        return Ok(());
    };
    let value = serde_json::from_slice::<Value>(&answer.body).ok();
    match value.as_ref().and_then(|value| value.pointer(&verify.pointer)) {
        Some(value) if *value == verify.equals => Ok(()),
        Some(_) => {
            let remark = format!("`{}` is not {}, as `verify_body` asks", verify.pointer, verify.equals);
            Err(said(answer, Disposition::Refuse, &remark))
        }
        // An answer that was cut may have meant success; one that is of another kind does not come from the destination.
        None if answer.truncated => {
            Err(said(answer, answer.retry(), "the answer is longer than `http.response_bytes_max`"))
        }
        None => {
            let remark = format!("the answer has no `{}`, which `verify_body` asks for", verify.pointer);
            Err(said(answer, Disposition::Pause, &remark))
        }
    }
}

fn begins_a_page(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|page| body.get(..page.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(page.as_bytes())))
}

fn said(answer: &Answer, disposition: Disposition, remark: &str) -> Error {
    answer.error(disposition, answer.code(), format!("{remark}; answered {}: {}", answer.status, answer.words()))
}
