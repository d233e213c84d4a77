//! One stream at work: which of its shards are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, sleep};

use super::absent::Absent;
use super::consumer;
use super::feed::now_ms;
use super::options::{KinesisOptions, Mode};
use super::reader::{End, LOOK_EVERY, Reader, Work, label};
use super::service::Service;
use super::source::Error;
use super::trouble::Trouble;
use crate::delivery::Schedule;
use crate::lease::{self, Ended, Grants, LeaseTable, Rules, Start};
use crate::metric::{Reason, SourceMeter};
use crate::shutdown::{self, Shutdown};
use crate::source::Intake;

/// The first and the longest ceiling of a wait after something failed that may work later.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How often the stream is asked for its retention; `DescribeStreamSummary` may be called 20 times a second in an account.
const RETENTION_EVERY: Duration = Duration::from_mins(10);

/// How long the lease of a shard that was read to its end is kept; as KCL does by default.
const FINISHED_KEPT: Duration = Duration::from_mins(5);

/// One stream and its leases.
pub struct StreamReading<T> {
    pub name: Arc<str>,
    pub service: Service,
    pub options: Arc<KinesisOptions>,
    pub table: T,
    pub meter: Arc<SourceMeter>,
    pub start: Start,
}

impl<T: LeaseTable> StreamReading<T> {
    /// Reads the shards of the stream that it gets leases for, until it is asked to stop, or to the end of the backfill.
    /// Dropping the future midway is safe: what is not settled is read again.
    ///
    /// # Errors
    ///
    /// With what cannot get better by waiting; what was handed on is settled by then, unless the leases are lost.
    pub async fn run(self, intake: Intake, stop: Shutdown) -> Result<(), Error> {
        let is_bounded = self.options.end.is_some();
        let rules = self.rules();
        let (work, table) = tokio::select! {
            prepared = self.prepare() => prepared?,
            () = stop.requested() => return Ok(()),
        };
        let worker = lease::worker_id(&host(), fastrand::u64(..)).into();
        let (coordinator, grants) = lease::coordinator(&work.name, table, work.service.clone(), worker, rules);
        let coordinating = coordinator.run();
        tokio::pin!(coordinating);
        let mut retention = Box::pin(keep_retention(Arc::clone(&work)));
        // All readers share this one task. None of their steps holds it up: a reader waits only for what is in its own hands
        // (`reader::UnderWay`), and nothing below awaits anything but in `select!`.
        let mut readers = FuturesUnordered::new();
        // The shards that are read up to the end of the backfill: their leases are kept, or they would be granted again, until
        // another worker asks for them.
        let (mut reached, mut has_reached) = (FuturesUnordered::new(), false);
        // The readers stop when the stream does, and it also does when one of them fails.
        let (halt, halted) = shutdown::channel();
        let mut result = Ok(());
        // Without an intake it is going down.
        let mut intake = Some(intake);
        let standstill_after = work.options.standstill_after.0;
        let mut absent = Absent::new(standstill_after);
        let mut look = tokio::time::interval((standstill_after / 4).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                ended = &mut coordinating => break ended,
                grant = grants.next(), if intake.is_some() => match (grant, intake.as_ref()) {
                    (Some(grant), Some(entrance)) => {
                        absent.begins(&label(&work, grant.shard()));
                        let reader = Reader::new(&work, grant, entrance.budget().account());
                        readers.push(reader.run(entrance.clone(), halted.clone()));
                    }
                    _ => intake = None,
                },
                () = grants.outlook_changed() => note_outlook(&work, &grants, &mut absent),
                // Also that the end of a backfill is seen by who has nothing to read.
                _ = look.tick() => absent.look(&work.name, &work.meter, Instant::now()),
                Some(ended) = readers.next() => {
                    if let Some(shard) = ended.as_ref().ok().and_then(End::shard) {
                        absent.ends(&label(&work, shard));
                    }
                    match ended {
                        Ok(End::Finished(shard)) => {
                            tracing::info!(source = %work.name, shard, "shard ended, all of it is settled");
                            work.meter.forget(&label(&work, &shard));
                        }
                        Ok(End::Reached(shard, grant)) => {
                            tracing::info!(source = %work.name, shard, "shard is read to the end that was asked for");
                            work.meter.forget(&label(&work, &shard));
                            has_reached = true;
                            reached.push(async move { drop((grant.recalled().await, grant)) });
                        }
                        Ok(End::Missing(shard)) => {
                            tracing::warn!(source = %work.name, shard, "shard is gone, asking the stream");
                            work.meter.forget(&label(&work, &shard));
                        }
                        Ok(End::HandedOver(shard)) => {
                            tracing::info!(source = %work.name, shard, "shard handed over");
                            work.meter.forget(&label(&work, &shard));
                        }
                        Ok(End::Lost(shard)) => {
                            tracing::warn!(source = %work.name, shard, reason = Reason::LeaseLost.word(), "shard given up");
                            absent.lost(&label(&work, &shard), Instant::now());
                        }
                        Ok(End::Stopped) => intake = None,
                        Err(error) => {
                            result = result.and(Err(error));
                            intake = None;
                        }
                    }
                },
                Some(()) = reached.next() => {}
                () = &mut retention => {}
                () = stop.requested(), if intake.is_some() => intake = None,
            }
            let is_over = is_bounded && readers.is_empty() && grants.outlook().is_quiet;
            if is_over && intake.is_some() && (has_reached || is_behind_end(&work)) {
                tracing::info!(source = %work.name, stream = %work.service.stream(), "read to the end");
                intake = None;
            }
            if intake.is_none() {
                halt.stop();
                grants.stop();
                reached.clear();
            }
        };
        // Without a coordinator every lease is lost, and the readers end at once.
        drop((intake, reached));
        halt.stop();
        while let Some(ended) = readers.next().await {
            result = result.and(ended.map(drop));
        }
        result.and(ended.map_err(Error::from))
    }

    fn rules(&self) -> Rules {
        let lease = &self.options.lease;
        Rules {
            failover: lease.failover.0,
            hand_over_max: lease.hand_over_max.0,
            sync_every: self.options.shard_sync_interval.0,
            finished_kept: FINISHED_KEPT,
            start: self.start,
            leases_max: lease.leases_max.unwrap_or(usize::MAX),
        }
    }

    /// Sees to it that the table is ready, and that the consumer is there, where subscriptions are wanted.
    async fn prepare(self) -> Result<(Arc<Work>, T), Error> {
        let Self { name, service, options, table, meter, .. } = self;
        let stream: Arc<str> = service.stream().as_str().into();
        prepare_table(&name, &service, &table, &meter).await?;
        let consumer_arn = match options.mode {
            Mode::Polling => None,
            Mode::FanOut => {
                let consumer = options.consumer(&name);
                meter.hinder(&stream, Some(format!("the consumer `{consumer}` is not ready yet: the log says why")));
                let arn = consumer::ready(&service, &consumer, options.fan_out_fallback).await;
                arn.map_err(|trouble| Error::Missing(trouble.to_string()))?.map(Arc::from)
            }
        };
        meter.hinder(&stream, None);
        let retention_ms = AtomicU64::new(0);
        Ok((Arc::new(Work { name, service, options, meter, retention_ms, consumer_arn }), table))
    }
}

/// Waits until the table is ready; what cannot get better by waiting is an error.
async fn prepare_table<T: LeaseTable>(
    name: &str,
    service: &Service,
    table: &T,
    meter: &SourceMeter,
) -> Result<(), Error> {
    let stream = service.stream().as_str().into();
    let mut schedule = Schedule::new(RETRY.0, RETRY.1, fastrand::u64(..), Instant::now().into_std());
    loop {
        match prepare(service, table).await {
            Err(Error::Lease(error)) if error.is_passing() => {
                let wait = schedule.next(None);
                tracing::warn!(source = name, %error, ?wait, "the lease table is not ready, trying again");
                meter.hinder(&stream, Some(format!("the lease table is not ready: {error}")));
                sleep(wait).await;
            }
            prepared => return prepared,
        }
    }
}

/// Makes the table of a stream ready.
///
/// # Errors
///
/// With what stands in the way, now ([`lease::Error::is_passing`]) or for good.
pub async fn prepare<T: LeaseTable>(service: &Service, table: &T) -> Result<(), Error> {
    let mut missing = None;
    let identity = async {
        match service.summary().await {
            Ok(summary) => Ok(summary.identity),
            Err(trouble) => {
                let error = lease::Error::Passing(trouble.to_string());
                if let Trouble::Missing(words) = trouble {
                    missing = Some(words);
                }
                Err(error)
            }
        }
    };
    let prepared = table.prepare(identity).await;
    match missing {
        Some(words) => Err(Error::Missing(words)),
        None => Ok(prepared?),
    }
}

impl From<Ended<Trouble>> for Error {
    fn from(ended: Ended<Trouble>) -> Self {
        match ended {
            Ended::Table(error) => Self::Lease(error),
            Ended::Stream(Trouble::Missing(words)) => Self::Missing(words),
            Ended::Stream(trouble) => Self::Unreachable(trouble),
        }
    }
}

/// The name of the machine or container, for people who look at the table.
pub(crate) fn host() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Says whether nothing before the end of the backfill can come any more, as nothing is read now.
fn is_behind_end(work: &Work) -> bool {
    work.options.end_ms().is_some_and(|end_ms| now_ms() >= end_ms)
}

/// Takes note of what there is to be read besides what is granted.
fn note_outlook(work: &Work, grants: &Grants, absent: &mut Absent) {
    let (outlook, stream) = (grants.outlook(), Arc::from(work.service.stream().as_str()));
    if outlook.is_known {
        work.meter.opened(&stream);
    }
    work.meter.hinder(&stream, outlook.trouble);
    let waiting = outlook.waiting.iter().map(|shard| label(work, shard)).collect();
    absent.waiting(waiting, &work.meter, Instant::now());
}

/// Asks for the stream's retention now and then; never ends. What cannot be asked is not measured, and stops nothing.
async fn keep_retention(work: Arc<Work>) {
    let mut schedule = Schedule::new(RETRY.0, RETENTION_EVERY, fastrand::u64(..), Instant::now().into_std());
    let mut is_told = false;
    loop {
        match work.service.summary().await {
            Ok(summary) => {
                let retention_ms = u64::try_from(summary.retention.as_millis()).unwrap_or(u64::MAX);
                work.retention_ms.store(retention_ms, Ordering::Relaxed);
                schedule.reset();
                sleep(RETENTION_EVERY).await;
            }
            Err(trouble) => {
                if !is_told && matches!(trouble, Trouble::Forbidden(_)) {
                    is_told = true;
                    tracing::warn!(source = %work.name, %trouble, "the retention is not known, so its headroom is not measured");
                }
                sleep(schedule.next(Some(RETRY.0))).await;
            }
        }
    }
}
