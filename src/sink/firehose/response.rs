//! The service's answers to verdicts. Pure.

use std::time::Duration;

use super::request::Piece;
use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};

/// How long the lane holds back when records were refused for now: the service counts its limits by the second.
const EASE: Duration = Duration::from_millis(500);

/// What became of one record: nothing, or the code and the words of its failure.
pub(super) type Outcome = Result<(), (String, String)>;

/// What follows for a batch of so many entries, of which these records were sent, with these outcomes. A record without an
/// outcome was not spoken of.
pub(super) fn judge(entries: usize, pieces: &[Piece<'_>], outcomes: &[Outcome]) -> Delivery {
    let sent = pieces.iter().map(|piece| piece.entries.len()).sum::<usize>();
    if sent == entries && outcomes.len() == pieces.len() && outcomes.iter().all(Result::is_ok) {
        return Delivery::accepted();
    }
    let too_large = || Verdict::refused("too_large", "the event is larger than a record may be: 1,000 KiB");
    let mut verdicts = vec![too_large(); entries];
    let mut slow_down = None;
    for (number, piece) in pieces.iter().enumerate() {
        let verdict = match outcomes.get(number) {
            Some(Ok(())) => Verdict::Accepted,
            Some(Err((code, words))) => {
                // "The service is unavailable" is what it says of a limit, too.
                slow_down = Some(EASE);
                Verdict::retry(code.clone(), words.clone())
            }
            None => Verdict::retry("no_outcome", "the service's answer leaves the record out"),
        };
        for slot in verdicts.iter_mut().take(piece.entries.end).skip(piece.entries.start) {
            *slot = verdict.clone();
        }
    }
    Delivery { verdicts: Verdicts::Each(verdicts), slow_down }
}

/// What a failed call asks for, by its status (0 where no answer came) and the service's code.
pub(super) fn failure(status: u16, code: &str, words: &str) -> Error {
    let retry = Disposition::Retry { after: None };
    let (disposition, remedy) = match code {
        "ResourceNotFoundException" => {
            (Disposition::Pause, "create the Firehose stream, or name another in `stream` and `region`")
        }
        "AccessDeniedException" | "AccessDenied" => {
            (Disposition::Pause, "allow `firehose:PutRecordBatch` on the stream, for the role that siemline has")
        }
        "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired" => (Disposition::Pause, "check the credentials of AWS, the clock and the region"),
        "InvalidKMSResourceException" => {
            (Disposition::Pause, "enable the stream's KMS key, and let Firehose and siemline's role use it")
        }
        "InvalidSourceException" => {
            (Disposition::Pause, "the stream takes records of CloudWatch Logs only: name one with Direct PUT")
        }
        "ThrottlingException" | "Throttling" | "LimitExceededException" | "RequestLimitExceeded" | "SlowDown" => {
            (retry, "")
        }
        "RequestEntityTooLargeException" => (Disposition::Split, ""),
        "InvalidArgumentException" | "ValidationException" | "ValidationError" | "SerializationException" => {
            (Disposition::Refuse, "")
        }
        _ => match status {
            413 => (Disposition::Split, ""),
            401 | 403 | 404 => (Disposition::Pause, "check the credentials of AWS, `region` and `endpoint_url`"),
            400 => (Disposition::Refuse, ""),
            _ => (retry, ""),
        },
    };
    let code = match (code, status) {
        ("", 0) => "no_answer".to_owned(),
        ("", status) => format!("http_{status}"),
        (code, _) => code.to_owned(),
    };
    let words = if remedy.is_empty() { words.to_owned() } else { format!("{words}: {remedy}") };
    Error { disposition, code: code.into(), words }
}
