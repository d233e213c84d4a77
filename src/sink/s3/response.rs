//! S3's failures to what is asked of the lane. Pure.
//!
//! S3 does not look into an object: nothing that it refuses is the fault of an event. What does not pass by itself pauses the
//! lane, so that no event is lost for a wrong bucket. The codes stand in the API reference under "Error responses".

use std::borrow::Cow;
use std::time::Duration;

use crate::delivery::{Disposition, Error};

/// What S3 said of a failed call, or what stood between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The status; none where there was no answer.
    pub(super) status: Option<u16>,
    /// S3's code; empty where it had none.
    pub(super) code: String,
    /// Its words.
    pub(super) words: String,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Whether there are no credentials to ask with.
    pub(super) lacks_credentials: bool,
}

/// What a failed call asks of the lane. `bucket` and `call` are named in the words.
pub(super) fn judge(said: &Said, bucket: &str, call: &str) -> Error {
    let (disposition, remedy) = meaning(said, call);
    let code: Cow<'static, str> = match (said.status, said.code.is_empty()) {
        (_, false) => format!("s3_{}", said.code).into(),
        (Some(status), true) => format!("http_{status}").into(),
        (None, true) if said.lacks_credentials => "credentials".into(),
        (None, true) => "connect".into(),
    };
    let remedy = remedy.map_or_else(String::new, |remedy| format!(": {remedy}"));
    Error { disposition, code, words: format!("{call} on bucket `{bucket}`: {}{remedy}", said.words) }
}

fn meaning(said: &Said, call: &str) -> (Disposition, Option<String>) {
    let retry = Disposition::Retry { after: said.retry_after };
    let pause = |remedy: &str| (Disposition::Pause, Some(remedy.to_owned()));
    match (said.code.as_str(), said.status) {
        ("EntityTooLarge" | "MaxMessageLengthExceeded", _) => (Disposition::Split, None),
        (
            "SlowDown"
            | "InternalError"
            | "ServiceUnavailable"
            | "Throttling"
            | "ThrottlingException"
            | "RequestTimeout"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "NoSuchUpload"
            | "BadDigest"
            | "IncompleteBody"
            | "XAmzContentChecksumMismatch"
            | "KMS.ThrottlingException",
            _,
        ) => (retry, None),
        ("NoSuchBucket", _) => pause("make the bucket, or mend `bucket`"),
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | ("", Some(301 | 307)) => pause("the bucket is in another region: set `region`"),
        ("InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => {
            pause("renew the credentials of the environment; those of a role are renewed by themselves")
        }
        ("SignatureDoesNotMatch", _) => pause("mend the secret key of the credentials"),
        ("RequestTimeTooSkewed", _) => pause("set the clock of this machine"),
        ("InvalidStorageClass", _) => pause("this store does not know `storage_class`"),
        (code, _) if code.starts_with("KMS.") || code.starts_with("Kms") => {
            pause("S3 cannot use the key: enable it, and allow kms:GenerateDataKey and kms:Decrypt by its policy")
        }
        ("AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "InvalidPayer", _) | ("", Some(401 | 403)) => {
            let action = match call {
                "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "PutObject",
                "ListObjectsV2" => "ListBucket",
                call => call,
            };
            let words =
                format!("allow s3:{action}, and the bucket's key if it has one (`siemline iam` prints the policy)");
            (Disposition::Pause, Some(words))
        }
        ("", Some(200)) => pause("look at `endpoint_url`, and at the proxies on the way"),
        (_, Some(413)) => (Disposition::Split, None),
        (_, None) if said.lacks_credentials => pause("mend the credentials, or the role that is assumed"),
        (_, None | Some(408 | 409 | 429 | 500..)) => (retry, None),
        (_, Some(404)) => pause("make the bucket, or mend `bucket` and `endpoint_url`"),
        _ => pause("an answer that does not pass by waiting: mend the options of the sink"),
    }
}
