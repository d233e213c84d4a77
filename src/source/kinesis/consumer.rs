//! The registered consumer of a stream, for enhanced fan-out.
//!
//! A consumer is registered once and never removed by siemline: other copies read with it, a deploy would lose the seconds that
//! making it takes, and an account may make only five at a time. It costs money by the shard and hour for as long as it is
//! registered; whoever goes back to polling removes it (`aws kinesis deregister-stream-consumer`).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::service::{Consumer, Service};
use super::trouble::Trouble;
use crate::delivery::Schedule;

/// How often a consumer is looked at that is being made: `DescribeStreamConsumer` may be called 20 times a second, and
/// making one takes seconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first and the longest ceiling of a wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// After so many failures in a row the stream is polled, where that is wanted.
const FALLBACK_FAILURES: u32 = 5;

/// Sees to it that the consumer of this name is there and ready: its ARN. `None` where it cannot be had and `may_fall_back`.
///
/// Dropping the future midway is safe.
///
/// # Errors
///
/// When the stream is not there.
pub async fn ready(service: &Service, name: &str, may_fall_back: bool) -> Result<Option<String>, Trouble> {
    let mut schedule = Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), Instant::now().into_std());
    let mut failures = 0;
    loop {
        let trouble = match look(service, name).await {
            Ok(Some(arn)) => return Ok(Some(arn)),
            Ok(None) => {
                sleep(LOOK_EVERY).await;
                continue;
            }
            Err(Trouble::Missing(words)) => return Err(Trouble::Missing(words)),
            Err(trouble) => trouble,
        };
        failures += 1;
        let stream = service.stream();
        if may_fall_back && (failures >= FALLBACK_FAILURES || matches!(trouble, Trouble::Refused(_))) {
            tracing::warn!(%stream, consumer = name, %trouble, "no consumer can be had, polling the stream instead");
            return Ok(None);
        }
        let wait = schedule.next(None);
        tracing::warn!(%stream, consumer = name, %trouble, ?wait, "no consumer yet, trying again");
        sleep(wait).await;
    }
}

/// One look: the ARN of a consumer that is ready; one that is not there is registered.
async fn look(service: &Service, name: &str) -> Result<Option<String>, Trouble> {
    let stream_arn =
        if service.stream().is_arn() { service.stream().as_str().to_owned() } else { service.summary().await?.arn };
    match service.consumer(&stream_arn, name).await? {
        Consumer::Active(arn) => return Ok(Some(arn)),
        Consumer::NotYet => {}
        Consumer::None => {
            tracing::info!(stream = %service.stream(), consumer = name, "registering consumer");
            service.register(&stream_arn, name).await?;
        }
    }
    Ok(None)
}
