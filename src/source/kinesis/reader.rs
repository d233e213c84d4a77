//! The reader of one shard.

mod look;
mod records;

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aws_sdk_kinesis::types;
use tokio::time::{Instant, sleep_until};

use super::aggregate::Opener;
use super::feed::{Brought, Feed, Stage};
use super::options::KinesisOptions;
use super::pace::{Answered, Pace};
use super::service::{From, Service};
use super::trouble::Trouble;
use super::watch::{Arrivals, Watch};
use crate::ack::{Position, Settled};
use crate::budget::{Account, Charge};
use crate::lease::{Checkpoint, Grant, Lost, Recall, Shard};
use crate::metric::{Reason, ShardMeter, SourceMeter};
use crate::record::Record;
use crate::shutdown::Shutdown;
use crate::source::{Closed, Intake, Room, Window};

/// After so many failed calls in a row the failure is worth a warning.
const FAILURES_QUIET: u32 = 3;

/// After so many failed subscriptions in a row a shard is polled, where that is wanted.
const FALLBACK_FAILURES: u32 = 5;

/// How often the watchdog looks, at the most and at the least.
pub(super) const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Arrival times are approximate, and one record may be a little earlier than the one before it: so long a backfill reads
/// beyond its end before it believes that nothing earlier follows.
const END_SLACK_MS: i64 = 5000;

/// How a reading ended.
#[derive(Debug)]
pub enum End {
    /// The shard is closed, and everything in it is settled: its children may be read.
    Finished(String),
    /// Everything up to the end of the backfill is settled. The grant is kept for as long as the backfill lasts.
    Reached(String, Box<Grant>),
    /// Another worker asked for the shard, and reads on; what was handed on is settled.
    HandedOver(String),
    /// Another worker has the lease: what was handed on may come twice.
    Lost(String),
    /// The shard is not there, or its stream is not; what was handed on is settled.
    Missing(String),
    /// It was asked to stop, or the pipeline is going down; what was handed on is settled.
    Stopped,
}

impl End {
    /// The shard that is read no more; none where the whole source stops.
    pub fn shard(&self) -> Option<&str> {
        match self {
            Self::Finished(shard)
            | Self::Reached(shard, _)
            | Self::HandedOver(shard)
            | Self::Lost(shard)
            | Self::Missing(shard) => Some(shard),
            Self::Stopped => None,
        }
    }
}

/// What all readers of one stream share.
#[derive(Debug)]
pub struct Work {
    /// The name of the source.
    pub name: Arc<str>,
    /// The stream.
    pub service: Service,
    /// As they were written.
    pub options: Arc<KinesisOptions>,
    /// What is measured.
    pub meter: Arc<SourceMeter>,
    /// How long the stream keeps its records, in milliseconds; 0 while that is not known.
    pub retention_ms: AtomicU64,
    /// The consumer whose subscriptions are read; none for polling.
    pub consumer_arn: Option<Arc<str>>,
}

/// Reads one shard until its end, or until it is asked to stop.
pub struct Reader {
    work: Arc<Work>,
    /// The right to read the shard.
    grant: Grant,
    /// Its id.
    shard: Arc<str>,
    opener: Opener,
    window: Window,
    account: Arc<Account>,
    /// Where the reading began: behind it there is no settled position yet.
    origin: Checkpoint,
    /// The last position that was handed on.
    sent: Option<Position>,
    /// Records up to this one came before, and are left out: the service begins with the record of a checkpoint.
    skip: Option<Position>,
    /// Where a subscription goes on; everything before it was handed on, or is about to be.
    continuation: Option<String>,
    feed: Option<Feed>,
    stage: Stage,
    is_polling: bool,
    pace: Pace,
    /// What ends the reading when everything before it is settled.
    ending: Option<Ending>,
    /// Fetched and not yet taken apart.
    fetched: VecDeque<types::Record>,
    /// Taken apart and not yet handed on.
    ready: VecDeque<Record>,
    /// The room of both.
    charge: Option<Charge>,
    /// The checkpoint that was written last.
    written: Checkpoint,
    written_at: Instant,
    watch: Watch,
    write_watch: Watch,
    /// Since when nobody asks the feed.
    unread_since: Option<Instant>,
    trouble: Option<Reason>,
    arrivals: Arrivals,
    meter: Arc<ShardMeter>,
}

#[derive(Clone, Debug)]
enum Ending {
    /// The shard is closed, and these came from it.
    Closed(Vec<Shard>),
    /// The time is over that is to be read.
    Reached,
}

/// A future that is kept over many turns of the loop.
type Lasting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

type Kept<T> = Option<Lasting<T>>;

/// What a feed brought, and the feed itself.
type Fetched = Box<(Feed, Result<Brought, Trouble>)>;

/// What is under way for one shard, all of it at the same time: nothing here waits for anything else.
struct UnderWay {
    fetching: Kept<Fetched>,
    /// The length of the next chunk, and the wait for its place.
    placing: Kept<(usize, Result<Room, Closed>)>,
    writing: Kept<(Checkpoint, Result<(), Lost>)>,
}

/// What happened to a reader.
enum Happening {
    Settled(Settled),
    Fetched(Fetched),
    Placed(usize, Result<Room, Closed>),
    Written(Checkpoint, Result<(), Lost>),
    Recalled(Recall),
    TimeToWrite,
    TimeToLook,
    Stop,
}

/// Why the reading is over.
enum Over {
    Ended(Ending),
    Stopped,
    Recalled,
    Lost,
    Missing,
    Foreign(String),
}

impl Reader {
    /// A reader of a shard that is granted, from its checkpoint on.
    #[must_use]
    pub fn new(work: &Arc<Work>, grant: Grant, account: Account) -> Self {
        let options = &work.options;
        let (shard, checkpoint) = (Arc::clone(grant.shard()), grant.from().clone());
        let hash_keys = grant.hash_range().map(|range| (range.start, range.end));
        let label = label(work, &shard);
        let settled = checkpoint.position(&label);
        let now = Instant::now();
        let window = Window::new(Arc::clone(&work.name), options.window_chunks_max.max(1), settled.clone());
        let meter = work.meter.shard(&label);
        meter.measure(|state| (state.reason, state.standstill_ms, state.is_still) = (Reason::Moving, 0, false));
        Self {
            grant,
            shard,
            opener: Opener { shard: label, hash_keys, is_strict: options.kpl_strict },
            window,
            account: Arc::new(account),
            origin: checkpoint.clone(),
            sent: settled,
            skip: None,
            continuation: None,
            feed: None,
            stage: Stage::default(),
            is_polling: work.consumer_arn.is_none(),
            pace: Pace::new(options.records_max, options.idle_wait.0, fastrand::u64(..), now),
            ending: None,
            fetched: VecDeque::new(),
            ready: VecDeque::new(),
            charge: None,
            written: checkpoint,
            written_at: now,
            watch: Watch::new(options.standstill_after.0, now),
            write_watch: Watch::new(options.standstill_after.0, now),
            unread_since: None,
            trouble: None,
            arrivals: Arrivals::default(),
            meter,
            work: Arc::clone(work),
        }
    }

    /// Reads. Dropping the future midway is safe: what is not settled is read again.
    ///
    /// # Errors
    ///
    /// When the checkpoint is not of this stream.
    pub async fn run(mut self, intake: Intake, stop: Shutdown) -> Result<End, super::Error> {
        let over = self.read(&intake, &stop).await;
        // Without its intake the lanes flush, and nothing more is waited for than what is out.
        drop(intake);
        self.let_go();
        let shard = self.shard.to_string();
        // What is out of a lost shard comes again from another worker, and nothing here can be written.
        while !self.window.is_idle() && !matches!(over, Over::Lost) {
            tokio::select! {
                settled = self.window.next_settled() => drop(self.settle(settled)),
                () = self.grant.lost() => return Ok(self.lost()),
            }
        }
        let written = match &over {
            Over::Lost => Err(Lost),
            Over::Ended(Ending::Closed(children)) => self.grant.finish(children.clone()).await,
            _ => match self.checkpoint() {
                Some(checkpoint) => self.grant.checkpoint(checkpoint).await,
                None => Ok(()),
            },
        };
        Ok(match (over, written) {
            (Over::Foreign(words), _) => return Err(super::Error::Foreign(words)),
            (_, Err(Lost)) | (Over::Lost, _) => self.lost(),
            (Over::Recalled, Ok(())) => End::HandedOver(shard),
            (Over::Ended(Ending::Closed(_)), Ok(())) => End::Finished(shard),
            (Over::Ended(Ending::Reached), Ok(())) => End::Reached(shard, Box::new(self.grant)),
            (Over::Missing, Ok(())) => {
                self.grant.gone();
                End::Missing(shard)
            }
            (Over::Stopped, Ok(())) => End::Stopped,
        })
    }

    /// The meter keeps the reason until the shard is granted again.
    fn lost(&self) -> End {
        self.meter.measure(|state| state.reason = Reason::LeaseLost);
        End::Lost(self.shard.to_string())
    }

    /// Reads until it is over; nothing is under way then but chunks that are out.
    async fn read(&mut self, intake: &Intake, stop: &Shutdown) -> Over {
        let mut under_way = UnderWay { fetching: None, placing: None, writing: None };
        let look_every = (self.work.options.standstill_after.0 / 4).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        let mut look_at = Instant::now();
        let over = loop {
            if let Some(ending) = self.begin(&mut under_way, intake) {
                break Over::Ended(ending);
            }
            let write_at = self.written_at + self.work.options.checkpoint_interval.0;
            let may_write = under_way.writing.is_none() && self.checkpoint().is_some();
            let happening = tokio::select! {
                // What is settled counts first: it may call the reading back.
                biased;
                settled = self.window.next_settled() => Happening::Settled(settled),
                () = stop.requested() => Happening::Stop,
                recall = self.grant.recalled() => Happening::Recalled(recall),
                (checkpoint, result) = kept(&mut under_way.writing) => Happening::Written(checkpoint, result),
                () = sleep_until(write_at), if may_write => Happening::TimeToWrite,
                () = sleep_until(look_at) => Happening::TimeToLook,
                (records, room) = kept(&mut under_way.placing) => Happening::Placed(records, room),
                fetched = kept(&mut under_way.fetching) => Happening::Fetched(fetched),
            };
            match happening {
                Happening::Settled(settled) => {
                    if self.settle(settled) {
                        (under_way.fetching, under_way.placing) = (None, None);
                    }
                }
                Happening::Fetched(fetched) => {
                    under_way.fetching = None;
                    let (feed, result) = *fetched;
                    self.is_polling = feed.is_polling();
                    self.feed = Some(feed);
                    match self.take(result) {
                        None => {}
                        Some(Trouble::Foreign(words)) => break Over::Foreign(words),
                        Some(_) => break Over::Missing,
                    }
                }
                Happening::Placed(records, Ok(room)) => {
                    under_way.placing = None;
                    self.hand_on(records, room);
                }
                Happening::Written(checkpoint, result) => {
                    under_way.writing = None;
                    if result.is_err() {
                        break Over::Lost;
                    }
                    self.written = checkpoint;
                    self.tell_moved();
                    let _told = self.write_watch.moved(Instant::now());
                }
                Happening::TimeToWrite => under_way.writing = self.write(),
                Happening::TimeToLook => {
                    self.look(&under_way);
                    look_at = Instant::now() + look_every;
                }
                Happening::Placed(_, Err(Closed)) | Happening::Stop => break Over::Stopped,
                Happening::Recalled(Recall::HandOver) => break Over::Recalled,
                Happening::Recalled(Recall::Lost) => break Over::Lost,
            }
        };
        // A write that is under way is not given up: two of them must not overtake each other.
        let UnderWay { fetching, placing, writing } = under_way;
        drop((fetching, placing));
        if let Some(writing) = writing {
            let (checkpoint, result) = writing.await;
            if result.is_err() {
                return Over::Lost;
            }
            self.written = checkpoint;
        }
        over
    }

    /// Begins whatever can be begun. Gives back what ended the reading, when all before it is settled.
    fn begin(&mut self, under_way: &mut UnderWay, intake: &Intake) -> Option<Ending> {
        if under_way.placing.is_none() {
            self.open_fetched();
            if !self.ready.is_empty() && !self.window.is_full() {
                under_way.placing = Some(self.place(intake));
            }
        }
        let is_empty = under_way.placing.is_none() && self.ready.is_empty();
        if is_empty && self.ending.is_some() {
            return self.ending.clone().filter(|_| self.window.is_idle());
        }
        if is_empty && under_way.fetching.is_none() {
            under_way.fetching = Some(self.fetch());
            self.unread_since = None;
        } else if under_way.fetching.is_none() && self.unread_since.is_none() {
            self.unread_since = Some(Instant::now());
        }
        None
    }

    /// The next step of the feed.
    fn fetch(&mut self) -> Lasting<Fetched> {
        let now = Instant::now();
        self.charge = None;
        self.skip.clone_from(&self.sent);
        let ask =
            if self.is_polling { self.pace.ask(now, self.account.share_bytes()) } else { self.pace.subscribe(now) };
        let feed = self.feed.take().unwrap_or_else(|| self.new_feed());
        let from = match (&self.continuation, &self.sent) {
            (Some(continuation), _) if !self.is_polling => From::Behind(continuation.clone()),
            (_, Some(sent)) => From::Checkpoint(Checkpoint::at(sent)),
            (_, None) => From::Checkpoint(self.origin.clone()),
        };
        let next = feed.next(ask, Arc::clone(&self.account), from);
        Box::pin(async move { Box::new(next.await) })
    }

    fn new_feed(&self) -> Feed {
        let (service, shard, stage) = (self.work.service.clone(), Arc::clone(&self.shard), self.stage.clone());
        match &self.work.consumer_arn {
            Some(consumer_arn) if !self.is_polling => {
                let renewal = self.work.options.subscription_renewal.0;
                Feed::fan_out(service, shard, stage, Arc::clone(consumer_arn), renewal)
            }
            _ => Feed::polling(service, shard, stage),
        }
    }

    /// Takes what the feed brought. Gives the trouble back that ends the reading.
    fn take(&mut self, result: Result<Brought, Trouble>) -> Option<Trouble> {
        let now = Instant::now();
        let brought = match result {
            Ok(brought) => brought,
            Err(trouble @ (Trouble::Missing(_) | Trouble::Foreign(_))) => return Some(trouble),
            Err(trouble) => {
                self.fail(now, &trouble);
                return None;
            }
        };
        if brought.is_new_subscription {
            self.pace.subscribed(now);
        }
        if let Some(behind) = brought.behind {
            self.trouble = None;
            if self.is_polling {
                let answered = Answered { records: brought.records.len(), bytes: brought.bytes(), behind };
                self.pace.answered(now, answered);
            } else {
                self.pace.pushed(now);
            }
            self.continuation = brought.continuation.or(self.continuation.take());
            self.meter.measure(|state| state.behind_ms = Some(u64::try_from(behind.as_millis()).unwrap_or(u64::MAX)));
            self.tell_moved();
            if self.is_beyond_end(brought.asked_ms, behind) {
                self.ending = Some(Ending::Reached);
            }
        }
        if let Some(children) = brought.end {
            self.ending = Some(Ending::Closed(children));
        }
        self.fetched = brought.records.into();
        self.charge = Some(brought.charge);
        None
    }

    /// Says whether everything has come that arrived before the end of the backfill.
    fn is_beyond_end(&self, asked_ms: i64, behind: Duration) -> bool {
        let behind_ms = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX);
        self.work.options.end_ms().is_some_and(|end_ms| asked_ms.saturating_sub(behind_ms) >= end_ms + END_SLACK_MS)
    }

    fn fail(&mut self, now: Instant, trouble: &Trouble) {
        let wait = self.pace.failed(now, trouble);
        let failures = self.pace.failures();
        match trouble {
            Trouble::Throttled(_) => self.meter.throttled.add(1),
            _ => self.meter.failures.add(1),
        }
        // The first expired iterator is in order.
        self.trouble = (failures > 1 || !matches!(trouble, Trouble::Expired(_))).then(|| trouble.reason());
        if matches!(trouble, Trouble::Refused(_) | Trouble::Garbage(_)) {
            self.continuation = None;
        }
        let shard = &self.opener.shard;
        // What a person has to mend is told at once.
        if failures > FAILURES_QUIET || matches!(trouble, Trouble::Forbidden(_)) {
            tracing::warn!(source = %self.work.name, %shard, %trouble, ?wait, failures, "call failed again, trying on");
        } else {
            tracing::debug!(source = %self.work.name, %shard, %trouble, ?wait, "call failed, trying again");
        }
        if !self.is_polling && self.work.options.fan_out_fallback && failures >= FALLBACK_FAILURES {
            tracing::warn!(source = %self.work.name, %shard, %trouble, "cannot be subscribed to, polling this shard instead");
            self.is_polling = true;
            (self.feed, self.continuation) = (None, None);
        }
    }

    /// The checkpoint that is to be written.
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.window.settled().map(Checkpoint::at).filter(|checkpoint| *checkpoint != self.written)
    }

    fn write(&mut self) -> Kept<(Checkpoint, Result<(), Lost>)> {
        let checkpoint = self.checkpoint()?;
        let now = Instant::now();
        self.written_at = now;
        let _told = self.write_watch.moved(now);
        let written = self.grant.checkpoint(checkpoint.clone());
        Some(Box::pin(async move { (checkpoint, written.await) }))
    }
}

/// What stands for a shard in positions, logs and metrics: its id, and the stream before it where a source has several.
pub fn label(work: &Work, shard: &str) -> Arc<str> {
    work.options.shard_label(work.service.stream(), shard).into()
}

fn at(position: &Position) -> (&crate::ack::Sequence, u64) {
    (&position.sequence, position.sub_sequence)
}

/// The end of what is under way; never, where nothing is.
async fn kept<T>(future: &mut Kept<T>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
