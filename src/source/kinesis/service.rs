//! The calls to Kinesis, and what their failures mean.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};

use super::options::KinesisOptions;
use crate::lease::{self, Checkpoint, HashRange, ListError, Shard};

/// One stream of the service.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client,
    stream: String,
}

/// What one call brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The records, in the shard's order.
    pub records: Vec<Record>,
    /// How to go on; `None` at the end of a closed shard.
    pub next_iterator: Option<String>,
    /// How far the reading is behind the newest record.
    pub behind: Duration,
}

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
    /// The service or the way to it is disturbed: try again.
    #[error("{0}")]
    Disturbed(String),
}

impl Service {
    /// A client of the stream. Credentials are looked for at the first call.
    #[must_use]
    pub fn new(sdk_config: &SdkConfig, options: &KinesisOptions) -> Self {
        let mut builder = aws_sdk_kinesis::config::Builder::from(sdk_config);
        builder.set_endpoint_url(options.endpoint_url.clone());
        Self { client: Client::from_conf(builder.build()), stream: options.stream.clone() }
    }

    /// All shards of the stream, the closed ones that still hold records included.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn shards(&self) -> Result<Vec<Shard>, Trouble> {
        let (mut shards, mut next) = (Vec::new(), None);
        loop {
            // The service takes either the stream or the token of the next page, never both.
            let request = match next.take() {
                Some(token) => self.client.list_shards().next_token(token),
                None if self.is_arn() => self.client.list_shards().stream_arn(&self.stream),
                None => self.client.list_shards().stream_name(&self.stream),
            };
            let page = request.send().await.map_err(|error| self.trouble("ListShards", &error))?;
            for shard in page.shards.unwrap_or_default() {
                let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
                let is_closed = shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_some());
                let range = shard.hash_key_range;
                let hash_range =
                    range.and_then(|range| HashRange::parse(&range.starting_hash_key, &range.ending_hash_key));
                let parents = parents.into_iter().flatten().collect();
                shards.push(Shard { id: shard.shard_id, parents, is_closed, hash_range });
            }
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ => return Ok(shards),
            }
        }
    }

    /// An iterator behind a checkpoint.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn iterator(&self, shard: &str, behind: &Checkpoint) -> Result<Option<String>, Trouble> {
        let request = self.client.get_shard_iterator().shard_id(shard);
        let request = if self.is_arn() { request.stream_arn(&self.stream) } else { request.stream_name(&self.stream) };
        let request = match behind {
            Checkpoint::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Checkpoint::AtTimestamp(time_ms) => {
                request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(*time_ms))
            }
            Checkpoint::Sequence { sequence, .. } => {
                request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(sequence)
            }
            Checkpoint::ShardEnd => return Ok(None),
        };
        let answer = request.send().await.map_err(|error| match self.trouble("GetShardIterator", &error) {
            Trouble::Refused(words) if matches!(behind, Checkpoint::Sequence { .. }) => Trouble::Foreign(words),
            trouble => trouble,
        })?;
        Ok(answer.shard_iterator)
    }

    /// The records behind an iterator.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn records(&self, iterator: String, records_max: i32) -> Result<Fetched, Trouble> {
        let mut request = self.client.get_records().shard_iterator(iterator).limit(records_max);
        if self.is_arn() {
            request = request.stream_arn(&self.stream);
        }
        let answer = request.send().await.map_err(|error| self.trouble("GetRecords", &error))?;
        let behind = u64::try_from(answer.millis_behind_latest.unwrap_or(0)).unwrap_or(0);
        Ok(Fetched {
            records: answer.records,
            next_iterator: answer.next_shard_iterator,
            behind: Duration::from_millis(behind),
        })
    }

    fn is_arn(&self) -> bool {
        self.stream.starts_with("arn:")
    }

    fn trouble<E>(&self, call: &str, error: &SdkError<E>) -> Trouble
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
        let words = match error.as_service_error().and_then(ProvideErrorMetadata::message) {
            Some(message) => format!("{call} on {}: {code}: {message}", self.stream),
            None => format!("{call} on {}: {}", self.stream, DisplayErrorContext(error)),
        };
        classify(&code, words)
    }
}

impl lease::Shards for Service {
    type Error = Trouble;

    async fn list(&self) -> Result<Vec<Shard>, ListError<Trouble>> {
        self.shards().await.map_err(|trouble| match trouble {
            Trouble::Missing(_) => ListError::Final(trouble),
            trouble => ListError::Passing(trouble),
        })
    }
}

fn classify(code: &str, words: String) -> Trouble {
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException" => Trouble::Throttled(words),
        "ExpiredIteratorException" => Trouble::Expired(words),
        "InvalidArgumentException" => Trouble::Refused(words),
        "ResourceNotFoundException" => Trouble::Missing(words),
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException" => Trouble::Forbidden(words),
        code if code.starts_with("KMS") => Trouble::Forbidden(words),
        _ => Trouble::Disturbed(words),
    }
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
        assert!(matches!(is("KMSAccessDeniedException"), Trouble::Forbidden(_)));
        assert!(matches!(is("ExpiredIteratorException"), Trouble::Expired(_)));
        assert!(matches!(is("InvalidArgumentException"), Trouble::Refused(_)));
        assert!(matches!(is("ResourceNotFoundException"), Trouble::Missing(_)));
        assert!(matches!(is("InternalFailureException"), Trouble::Disturbed(_)));
        assert!(matches!(is(""), Trouble::Disturbed(_)));
    }
}
