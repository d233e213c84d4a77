//! Firehose and S3: the codes of a call, and those of one record.

use serde_json::json;

use super::super::web::aws::{FirehoseKind, S3Kind};
use super::Made::{Buried, Cut, Pauses, SentAgain};
use super::{hold, refused, taken};
use crate::fakes::s3::error;

/// Guards each code that Firehose is documented to answer, to a call and to a record of it.
#[tokio::test]
async fn every_code_of_firehose_is_answered() {
    let credentials = "check the credentials of AWS, the clock and the region";
    let call = |code: &str, made, words| refused(400, code, made, words);
    let record = |code: &str| {
        let failed = json!({ "ErrorCode": code, "ErrorMessage": "as documented" });
        json!({ "FailedPutCount": 1, "RequestResponses": [failed] }).to_string()
    };
    hold::<FirehoseKind>(vec![
        refused(200, record("ServiceUnavailableException"), SentAgain, "as documented"),
        refused(200, record("InternalFailure"), SentAgain, "as documented"),
        call("ServiceUnavailableException", SentAgain, "ServiceUnavailableException"),
        call("ThrottlingException", SentAgain, "ThrottlingException"),
        call("LimitExceededException", SentAgain, "LimitExceededException"),
        call("ResourceNotFoundException", Pauses, "create the Firehose stream"),
        call("AccessDeniedException", Pauses, "allow `firehose:PutRecordBatch`"),
        call("InvalidKMSResourceException", Pauses, "enable the stream's KMS key"),
        call("InvalidSourceException", Pauses, "name one with Direct PUT"),
        call("UnrecognizedClientException", Pauses, credentials),
        call("ExpiredTokenException", Pauses, credentials),
        call("InvalidSignatureException", Pauses, credentials),
        call("MissingAuthenticationTokenException", Pauses, credentials),
        call("RequestEntityTooLargeException", Cut, ""),
        call("InvalidArgumentException", Buried, "InvalidArgumentException"),
        call("ValidationException", Buried, "ValidationException"),
        call("SerializationException", Buried, "SerializationException"),
        refused(403, "", Pauses, "check the credentials"),
        refused(413, "", Cut, ""),
        taken(500, "", SentAgain, "http_500"),
        taken(502, "", SentAgain, "http_502"),
        refused(503, "", SentAgain, "http_503"),
    ])
    .await;
}

/// Guards each code of S3's documentation that a write may be answered with.
#[tokio::test]
async fn every_code_of_s3_is_answered() {
    let no = |status, code: &str, made, words| refused(status, error(code), made, words);
    let renew = "renew the credentials";
    hold::<S3Kind>(vec![
        no(503, "SlowDown", SentAgain, "s3_SlowDown"),
        no(503, "ServiceUnavailable", SentAgain, "s3_ServiceUnavailable"),
        no(500, "InternalError", SentAgain, "s3_InternalError"),
        no(400, "RequestTimeout", SentAgain, "s3_RequestTimeout"),
        no(409, "OperationAborted", SentAgain, "s3_OperationAborted"),
        no(400, "BadDigest", SentAgain, "s3_BadDigest"),
        no(400, "IncompleteBody", SentAgain, "s3_IncompleteBody"),
        no(400, "KMS.ThrottlingException", SentAgain, "s3_KMS.ThrottlingException"),
        no(400, "EntityTooLarge", Cut, "s3_EntityTooLarge"),
        no(404, "NoSuchBucket", Pauses, "make the bucket, or mend `bucket`"),
        no(301, "PermanentRedirect", Pauses, "set `region`"),
        no(400, "AuthorizationHeaderMalformed", Pauses, "set `region`"),
        no(403, "AccessDenied", Pauses, "allow s3:PutObject"),
        no(403, "InvalidAccessKeyId", Pauses, renew),
        no(400, "ExpiredToken", Pauses, renew),
        no(400, "InvalidToken", Pauses, renew),
        no(403, "SignatureDoesNotMatch", Pauses, "mend the secret key"),
        no(403, "RequestTimeTooSkewed", Pauses, "set the clock"),
        no(400, "InvalidStorageClass", Pauses, "`storage_class`"),
        no(400, "KMS.DisabledException", Pauses, "allow kms:GenerateDataKey"),
        refused(403, "", Pauses, "allow s3:PutObject"),
        refused(413, "", Cut, "http_413"),
        refused(429, "", SentAgain, "http_429"),
        taken(500, "", SentAgain, "http_500"),
        taken(502, "", SentAgain, "http_502"),
        refused(503, "", SentAgain, "http_503"),
    ])
    .await;
}
