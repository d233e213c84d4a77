//! The calls to Kinesis.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::describe_stream_consumer::DescribeStreamConsumerError;
use aws_sdk_kinesis::operation::register_stream_consumer::RegisterStreamConsumerError;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ChildShard, ConsumerStatus, HashKeyRange, Record, ShardIteratorType, StartingPosition};

use super::stream::StreamName;
use super::subscription::Subscription;
use super::trouble::{Trouble, classify, remedy};
use crate::lease::{self, Checkpoint, HashRange, ListError, Shard, StreamIdentity};

/// One stream of the service.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client,
    stream: StreamName,
}

/// What one call for records brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The records, in the shard's order.
    pub records: Vec<Record>,
    /// How to go on; `None` at the end of a closed shard.
    pub next_iterator: Option<String>,
    /// How far the reading is behind the newest record, where the service says so: it always does.
    pub behind: Option<Duration>,
    /// The shards that came from this one, told at its end only.
    pub children: Vec<Shard>,
}

/// What the service says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Its ARN.
    pub arn: String,
    /// How long it keeps its records.
    pub retention: Duration,
    /// What tells it from others, also from one of the same name before it.
    pub identity: StreamIdentity,
}

/// A registered consumer, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// Ready for subscriptions: its ARN.
    Active(String),
    /// It is being made, or removed.
    NotYet,
    /// There is none of this name.
    None,
}

/// Where a reading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// At a checkpoint. The record of a sequence number comes again: the checkpoint may stand inside an aggregate.
    Checkpoint(Checkpoint),
    /// Behind this sequence number, which a subscription gave to go on from.
    Behind(String),
}

impl Service {
    /// A client of the stream. Credentials are looked for at the first call.
    #[must_use]
    pub fn new(sdk_config: &SdkConfig, stream: &StreamName, endpoint_url: Option<&str>) -> Self {
        let mut builder = aws_sdk_kinesis::config::Builder::from(sdk_config);
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Self { client: Client::from_conf(builder.build()), stream: stream.clone() }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// All shards of the stream, the closed ones that still hold records included.
    ///
    /// # Errors
    ///
    /// With what the failure means. A stream has one shard at the least: an answer without any is none.
    pub async fn shards(&self) -> Result<Vec<Shard>, Trouble> {
        let (mut shards, mut next) = (Vec::new(), None);
        loop {
            // The service takes either the stream or the token of the next page, never both.
            let request = match next.take() {
                Some(token) => self.client.list_shards().next_token(token),
                None if self.stream.is_arn() => self.client.list_shards().stream_arn(self.stream.as_str()),
                None => self.client.list_shards().stream_name(self.stream.as_str()),
            };
            let page = request.send().await.map_err(|error| self.trouble("ListShards", &error))?;
            let Some(listed) = page.shards else {
                return Err(self.garbage("ListShards", "no list of shards"));
            };
            shards.extend(listed.into_iter().map(listed_shard));
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ if shards.is_empty() => return Err(self.garbage("ListShards", "no shard")),
                _ => return Ok(shards),
            }
        }
    }

    /// An iterator at this place; `None` for a shard that was read to its end.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn iterator(&self, shard: &str, from: &From) -> Result<Option<String>, Trouble> {
        let Some(place) = from.place() else { return Ok(None) };
        let request = self.client.get_shard_iterator().shard_id(shard);
        let request = if self.stream.is_arn() {
            request.stream_arn(self.stream.as_str())
        } else {
            request.stream_name(self.stream.as_str())
        };
        let request = request.shard_iterator_type(place.kind).set_timestamp(place.time);
        let answer = request.set_starting_sequence_number(place.sequence).send().await;
        let answer = answer.map_err(|error| from.foreign(self.trouble("GetShardIterator", &error)))?;
        match answer.shard_iterator {
            Some(iterator) if !iterator.is_empty() => Ok(Some(iterator)),
            _ => Err(self.garbage("GetShardIterator", "no iterator")),
        }
    }

    /// The records behind an iterator.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn records(&self, iterator: &str, records_max: usize) -> Result<Fetched, Trouble> {
        let records_max = i32::try_from(records_max).unwrap_or(i32::MAX);
        let mut request = self.client.get_records().shard_iterator(iterator).limit(records_max);
        if self.stream.is_arn() {
            request = request.stream_arn(self.stream.as_str());
        }
        let answer = request.send().await.map_err(|error| self.trouble("GetRecords", &error))?;
        Ok(Fetched {
            records: answer.records,
            next_iterator: answer.next_shard_iterator.filter(|iterator| !iterator.is_empty()),
            behind: answer.millis_behind_latest.map(milliseconds),
            children: children(answer.child_shards),
        })
    }

    /// The stream's ARN and retention.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn summary(&self) -> Result<StreamSummary, Trouble> {
        let request = self.client.describe_stream_summary();
        let request = if self.stream.is_arn() {
            request.stream_arn(self.stream.as_str())
        } else {
            request.stream_name(self.stream.as_str())
        };
        let answer = request.send().await.map_err(|error| self.trouble("DescribeStreamSummary", &error))?;
        let summary = answer.stream_description_summary;
        let summary = summary.ok_or_else(|| self.garbage("DescribeStreamSummary", "no summary"))?;
        match u64::try_from(summary.retention_period_hours) {
            Ok(hours @ 1..) if !summary.stream_arn.is_empty() => {
                let identity = StreamIdentity {
                    account: summary.stream_arn.split(':').nth(4).unwrap_or_default().to_owned(),
                    name: summary.stream_name,
                    created_s: summary.stream_creation_timestamp.secs(),
                };
                Ok(StreamSummary { arn: summary.stream_arn, retention: Duration::from_hours(hours), identity })
            }
            _ => Err(self.garbage("DescribeStreamSummary", "no ARN, or no retention")),
        }
    }

    /// The consumer of this name.
    ///
    /// # Errors
    ///
    /// With what the failure means; that there is none is no failure.
    pub async fn consumer(&self, stream_arn: &str, name: &str) -> Result<Consumer, Trouble> {
        let request = self.client.describe_stream_consumer().stream_arn(stream_arn).consumer_name(name);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if is_unknown_consumer(&error) => return Ok(Consumer::None),
            Err(error) => return Err(self.trouble("DescribeStreamConsumer", &error)),
        };
        match answer.consumer_description {
            Some(told) if told.consumer_status == ConsumerStatus::Active && !told.consumer_arn.is_empty() => {
                Ok(Consumer::Active(told.consumer_arn))
            }
            Some(_) => Ok(Consumer::NotYet),
            None => Err(self.garbage("DescribeStreamConsumer", "no description")),
        }
    }

    /// Registers a consumer of this name. One that is there already is no failure: another copy was first.
    ///
    /// # Errors
    ///
    /// With what the failure means. Too many consumers (20 a stream) are [`Trouble::Refused`].
    pub async fn register(&self, stream_arn: &str, name: &str) -> Result<(), Trouble> {
        let request = self.client.register_stream_consumer().stream_arn(stream_arn).consumer_name(name);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(RegisterStreamConsumerError::ResourceInUseException(_)) => Ok(()),
                Some(RegisterStreamConsumerError::LimitExceededException(limit)) => {
                    Err(Trouble::Refused(format!("RegisterStreamConsumer on {}: {limit}", self.stream)))
                }
                _ => Err(self.trouble("RegisterStreamConsumer", &error)),
            },
        }
    }

    /// Subscribes to a shard. Dropping the future midway is safe; the service may count the subscription as made.
    ///
    /// # Errors
    ///
    /// With what the failure means.
    pub async fn subscribe(&self, consumer_arn: &str, shard: &str, from: &From) -> Result<Subscription, Trouble> {
        let Some(place) = from.place() else {
            return Err(Trouble::Refused(format!("shard {shard} was read to its end")));
        };
        let position = StartingPosition::builder().r#type(place.kind).set_timestamp(place.time);
        let position = position.set_sequence_number(place.sequence).build();
        let position = position.map_err(|error| Trouble::Disturbed(error.to_string()))?;
        let request = self.client.subscribe_to_shard().consumer_arn(consumer_arn).shard_id(shard);
        let answer = request.starting_position(position).send().await;
        let answer = answer.map_err(|error| from.foreign(self.trouble("SubscribeToShard", &error)))?;
        Ok(Subscription::new(answer, self.clone()))
    }

    /// What a failed call means.
    pub fn trouble<E, R>(&self, call: &str, error: &SdkError<E, R>) -> Trouble
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
        let words = match error.as_service_error().and_then(ProvideErrorMetadata::message) {
            Some(message) => format!("{call} on {}: {code}: {message}", self.stream),
            None => format!("{call} on {}: {}", self.stream, DisplayErrorContext(error)),
        };
        if code.is_empty() && is_of_credentials(error) {
            return Trouble::Forbidden(format!("{words}: mend the credentials, or the role that is assumed"));
        }
        match remedy(call, &code) {
            Some(remedy) => classify(&code, format!("{words}: {remedy}")),
            None => classify(&code, words),
        }
    }

    fn garbage(&self, call: &str, what: &str) -> Trouble {
        Trouble::Garbage(format!("{call} on {}: {what}", self.stream))
    }
}

/// A place in a shard, as the service takes it.
struct Place {
    kind: ShardIteratorType,
    sequence: Option<String>,
    time: Option<DateTime>,
}

impl From {
    fn place(&self) -> Option<Place> {
        let (sequence, time) = (None, None);
        match self {
            Self::Behind(sequence) => {
                Some(Place { kind: ShardIteratorType::AfterSequenceNumber, sequence: Some(sequence.clone()), time })
            }
            Self::Checkpoint(Checkpoint::TrimHorizon) => {
                Some(Place { kind: ShardIteratorType::TrimHorizon, sequence, time })
            }
            Self::Checkpoint(Checkpoint::AtTimestamp(time_ms)) => {
                let time = Some(DateTime::from_millis(*time_ms));
                Some(Place { kind: ShardIteratorType::AtTimestamp, sequence, time })
            }
            Self::Checkpoint(Checkpoint::Sequence { sequence, .. }) => {
                Some(Place { kind: ShardIteratorType::AtSequenceNumber, sequence: Some(sequence.clone()), time })
            }
            Self::Checkpoint(Checkpoint::ShardEnd) => None,
        }
    }

    /// The service takes a checkpoint's number for as long as the stream lives, also when its record has expired: one that it
    /// refuses is of another stream.
    fn foreign(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Refused(words) if matches!(self, Self::Checkpoint(Checkpoint::Sequence { .. })) => {
                Trouble::Foreign(words)
            }
            trouble => trouble,
        }
    }
}

fn listed_shard(shard: aws_sdk_kinesis::types::Shard) -> Shard {
    let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
    let is_closed = shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_some());
    let parents = parents.into_iter().flatten().collect();
    Shard { id: shard.shard_id, parents, is_closed, hash_range: hash_range(shard.hash_key_range) }
}

/// The children that the end of a shard tells of.
pub fn children(told: Option<Vec<ChildShard>>) -> Vec<Shard> {
    let child = |child: ChildShard| Shard {
        id: child.shard_id,
        parents: child.parent_shards,
        is_closed: false,
        hash_range: hash_range(child.hash_key_range),
    };
    told.unwrap_or_default().into_iter().map(child).collect()
}

fn hash_range(told: Option<HashKeyRange>) -> Option<HashRange> {
    told.and_then(|range| HashRange::parse(&range.starting_hash_key, &range.ending_hash_key))
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

/// Says whether a call was never made for want of credentials. The SDK has no code for that, and its error's type is not one
/// that it shows: the causes say so in words.
fn is_of_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|cause| cause.to_string().contains("credentials"))
}

/// A duration that the service tells; a negative one counts as none.
pub fn milliseconds(told: i64) -> Duration {
    Duration::from_millis(u64::try_from(told).unwrap_or(0))
}

fn is_unknown_consumer<R>(error: &SdkError<DescribeStreamConsumerError, R>) -> bool {
    matches!(error.as_service_error(), Some(DescribeStreamConsumerError::ResourceNotFoundException(_)))
}
