//! What the failures of the service mean. Pure.

use crate::metric::Reason;

/// What a failed call means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Too many calls or bytes: wait a little.
    #[error("throttled: {0}")]
    Throttled(String),
    /// The iterator is too old (five minutes): get a new one.
    #[error("iterator expired: {0}")]
    Expired(String),
    /// An argument is not taken: an iterator, or a start that lies ahead of the service's clock.
    #[error("{0}")]
    Refused(String),
    /// The stream or shard is not there.
    #[error("{0}")]
    Missing(String),
    /// The sequence number of a checkpoint never was in this stream: no waiting helps.
    #[error("{0}")]
    Foreign(String),
    /// We may not: credentials, permissions or keys. It is asked again, slowly, since a person may mend it meanwhile.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody has it: another reader has the subscription, or a consumer is about to be made or removed.
    #[error("in use: {0}")]
    InUse(String),
    /// The service or the way to it is disturbed: try again.
    #[error("{0}")]
    Disturbed(String),
    /// An answer that says success and cannot be true: nothing of it counts, and it is asked again.
    #[error("answer that makes no sense: {0}")]
    Garbage(String),
}

impl Trouble {
    /// Why a shard with this trouble does not move.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Throttled(_) => Reason::Throttled,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::InUse(_) => Reason::InUse,
            Self::Expired(_)
            | Self::Refused(_)
            | Self::Missing(_)
            | Self::Foreign(_)
            | Self::Disturbed(_)
            | Self::Garbage(_) => Reason::Disturbed,
        }
    }
}

/// What a code of the service means (the errors of `aws-sdk-kinesis`, and those that all AWS services share).
#[must_use]
pub fn classify(code: &str, words: String) -> Trouble {
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException" => Trouble::Throttled(words),
        "ExpiredIteratorException" => Trouble::Expired(words),
        "InvalidArgumentException" | "ValidationException" => Trouble::Refused(words),
        "ResourceNotFoundException" => Trouble::Missing(words),
        "ResourceInUseException" => Trouble::InUse(words),
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException" => Trouble::Forbidden(words),
        code if code.starts_with("KMS") || code.starts_with("Kms") => Trouble::Forbidden(words),
        _ => Trouble::Disturbed(words),
    }
}

/// What a person can do about a failed call, where no waiting helps.
#[must_use]
pub fn remedy(call: &str, code: &str) -> Option<String> {
    let words = match code {
        "AccessDeniedException" => return Some(format!("allow kinesis:{call} (`siemline iam` prints the policy)")),
        "KMSAccessDeniedException" => {
            "allow kms:Decrypt with the stream's key, by our policy (`siemline iam` prints it) and by the key's own"
        }
        "KMSDisabledException" => "enable the stream's key",
        "KMSInvalidStateException" => "cancel the deletion of the stream's key, or wait until it is ready",
        "KMSNotFoundException" => "encrypt the stream with a key that is there",
        "KMSOptInRequired" => "sign the account up for KMS",
        "ExpiredTokenException" | "UnrecognizedClientException" | "MissingAuthenticationTokenException" => {
            "renew the credentials of the environment; those of a role are renewed by themselves"
        }
        "InvalidSignatureException" => "mend the secret key of the credentials, or the clock",
        _ => return None,
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that each failure the service documents is answered as it should be.
    #[test]
    fn failures_mean_something() {
        let is = |code: &str| classify(code, String::new());
        assert!(matches!(is("ProvisionedThroughputExceededException"), Trouble::Throttled(_)));
        assert!(matches!(is("KMSThrottlingException"), Trouble::Throttled(_)));
        for code in ["KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSOptInRequired"]
        {
            assert!(matches!(is(code), Trouble::Forbidden(_)), "{code}");
        }
        assert!(matches!(is("ExpiredIteratorException"), Trouble::Expired(_)));
        assert!(matches!(is("InvalidArgumentException"), Trouble::Refused(_)));
        assert!(matches!(is("ResourceNotFoundException"), Trouble::Missing(_)));
        assert!(matches!(is("ResourceInUseException"), Trouble::InUse(_)));
        assert!(matches!(is("InternalFailureException"), Trouble::Disturbed(_)));
        assert!(matches!(is(""), Trouble::Disturbed(_)));
    }
}
