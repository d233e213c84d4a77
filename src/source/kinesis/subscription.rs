//! A subscription to one shard: enhanced fan-out, over HTTP/2.

use std::fmt;
use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{Record, SubscribeToShardEventStream};
use tokio::time::Instant;

use super::service::{Service, children, milliseconds};
use super::trouble::Trouble;
use crate::lease::Shard;

/// The service sends an event every few seconds, an empty one if nothing was written: longer silence is a dead connection.
const SILENCE_MAX: Duration = Duration::from_secs(35);

/// A subscription that was made. Dropping it ends it.
pub struct Subscription {
    answer: SubscribeToShardOutput,
    service: Service,
    made_at: Instant,
}

/// What one event brought.
#[derive(Debug, Default)]
pub struct Pushed {
    /// The records, in the shard's order.
    pub records: Vec<Record>,
    /// Where the next subscription goes on; none at the end of the shard.
    pub continuation: Option<String>,
    /// How far the reading is behind the newest record.
    pub behind: Duration,
    /// The shards that came from this one: told at its end only.
    pub children: Vec<Shard>,
}

impl Subscription {
    /// A subscription that the service has just accepted.
    #[must_use]
    pub fn new(answer: SubscribeToShardOutput, service: Service) -> Self {
        Self { answer, service, made_at: Instant::now() }
    }

    /// When it was made.
    #[must_use]
    pub const fn made_at(&self) -> Instant {
        self.made_at
    }

    /// The next event; `None` when the service has ended the subscription, as it does after five minutes. Dropping the
    /// future midway loses nothing that was received whole; the subscription is then of no use any more.
    ///
    /// # Errors
    ///
    /// With what the failure means: the subscription is over.
    pub async fn next(&mut self) -> Result<Option<Pushed>, Trouble> {
        let event = match tokio::time::timeout(SILENCE_MAX, self.answer.event_stream.recv()).await {
            Ok(event) => event.map_err(|error| self.service.trouble("SubscribeToShard", &error))?,
            Err(_) => return Err(Trouble::Disturbed("SubscribeToShard: silence".to_owned())),
        };
        match event {
            None => Ok(None),
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => Ok(Some(Pushed {
                records: event.records,
                continuation: Some(event.continuation_sequence_number).filter(|number| !number.is_empty()),
                behind: milliseconds(event.millis_behind_latest),
                children: children(event.child_shards),
            })),
            Some(_) => Err(Trouble::Garbage("SubscribeToShard: an event of another kind".to_owned())),
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("made_at", &self.made_at).finish_non_exhaustive()
    }
}
