//! The spill at work, beside its lane.

mod on_disk;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::disk::Disk;
use super::group::{GROUP_BYTES_MAX, GROUP_PARCELS_MAX, bytes_of};
use super::hold::{Ended, Hold};
use super::log::Log;
use crate::ack::Settled;
use crate::budget::Budget;
use crate::delivery::{Parcel, abandon};
use crate::metric::{EventMeter, Hindrance, LaneMeter, SpillState};
use crate::normalize::NamesOfLogTypes;
use crate::shutdown::Shutdown;

/// How long a disk that refuses, or is full, is left alone, and how often the state is kept and measured.
const TICK: Duration = Duration::from_secs(1);

/// How long anything waits for the lane before it is spilled when the process is to end, and how long the lane may be silent
/// then before it is cut off: all that it has is on the disk.
const STOP_AFTER: Duration = Duration::from_secs(2);

/// How often the same trouble is said again.
const COMPLAINT_EVERY: Duration = Duration::from_mins(1);

/// What a spill is made of.
#[derive(Debug)]
pub struct Spill<D> {
    /// The sink's name in the configuration.
    pub name: Arc<str>,
    /// What is on the disk.
    pub log: Log<D>,
    /// The most that it may take there.
    pub bytes_max: u64,
    /// How long anything waits for the lane before it is written.
    pub after: Duration,
    /// What is routed to the lane. Closing it drains spill and lane, unless `shutdown` says that what is on the disk may stay
    /// there.
    pub queue: mpsc::Receiver<Parcel>,
    /// The lane's own queue. A short one: what waits in it waits for the lane as what waits here.
    pub lane: mpsc::Sender<Parcel>,
    /// What is read back is charged to it.
    pub budget: Budget,
    /// The lane's meter.
    pub meter: Arc<LaneMeter>,
    /// Where the ends of events are counted.
    pub events: Arc<EventMeter>,
    /// What SIEMs call the log types.
    pub names: Arc<NamesOfLogTypes>,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// The wall clock, in milliseconds since 1970.
    pub clock: fn() -> i64,
}

/// Runs a spill and its lane until the queue is closed, and everything is delivered or, if the process is to stop, lies on
/// the disk. A lane that has only such entries then, and does not move, is dropped.
///
/// Dropping the future midway is safe: what is on the disk is delivered by the next process, and the rest is read again.
pub async fn run<D: Disk>(spill: Spill<D>, lane: impl Future<Output = ()> + Send) {
    let mut at_work = AtWork::new(spill);
    {
        let mut lane_ended = false;
        tokio::pin!(lane);
        let work = at_work.work();
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = &mut lane, if !lane_ended => lane_ended = true,
                () = &mut work => break,
            }
        }
    }
    at_work.count_the_rest().await;
}

struct AtWork<D> {
    name: Arc<str>,
    log: Log<D>,
    bytes_max: u64,
    after: Duration,
    queue: mpsc::Receiver<Parcel>,
    /// `None` once nothing more goes to the lane.
    lane: Option<mpsc::Sender<Parcel>>,
    budget: Budget,
    meter: Arc<LaneMeter>,
    events: Arc<EventMeter>,
    names: Arc<NamesOfLogTypes>,
    shutdown: Shutdown,
    clock: fn() -> i64,
    hold: Hold,
    /// What came and neither the lane nor the disk has, oldest first.
    waiting: VecDeque<(Parcel, Instant)>,
    is_closed: bool,
    /// The entry that was read for the lane.
    ready: Option<Parcel>,
    /// Since when more comes than the lane takes.
    pressed_since: Option<Instant>,
    /// The disk refused a change, and none is made until then.
    writes_rest_until: Option<Instant>,
    /// The disk refused to be read, and is not read until then.
    reads_rest_until: Option<Instant>,
    /// The spill is full, and nothing is written until then.
    full_until: Option<Instant>,
    /// When the lane was last given or last ended something.
    moved_at: Instant,
    /// When the state is measured next.
    ticks_at: Instant,
    /// When it is kept next how far all is settled.
    keeps_at: Instant,
    hindrance: Option<Hindrance>,
    complained_at: Option<Instant>,
}

/// What happens to it.
enum Action {
    Ended(Settled),
    Came(Option<Parcel>),
    Room(mpsc::OwnedPermit<Parcel>),
    LaneGone,
    Wake,
}

impl<D: Disk> AtWork<D> {
    fn new(spill: Spill<D>) -> Self {
        let Spill { name, log, bytes_max, after, queue, lane, budget, meter, events, names, shutdown, clock } = spill;
        let now = Instant::now();
        Self {
            name,
            log,
            bytes_max,
            after,
            queue,
            lane: Some(lane),
            budget,
            meter,
            events,
            names,
            shutdown,
            clock,
            hold: Hold::default(),
            waiting: VecDeque::new(),
            is_closed: false,
            ready: None,
            pressed_since: None,
            writes_rest_until: None,
            reads_rest_until: None,
            full_until: None,
            moved_at: now,
            ticks_at: now,
            keeps_at: now,
            hindrance: None,
            complained_at: None,
        }
    }

    async fn work(&mut self) {
        loop {
            while let Some(settled) = self.hold.try_next() {
                self.ended(settled);
            }
            let now = Instant::now();
            self.look(now);
            self.mind_disk(now).await;
            if self.is_done(Instant::now()) {
                // Without these, more comes twice next time: no reason to wait for a disk that fails.
                while self.log.wants_sweep() && self.log.sweep().await.is_ok() {}
                let _ = self.log.keep_settled().await;
                self.measure();
                self.meter.spill.keeps_all();
                return;
            }
            let wakes_at = self.wakes_at();
            let lane = self.lane.clone().filter(|_| self.has_something());
            let permit = async {
                match lane {
                    Some(lane) => lane.reserve_owned().await.map_or(Action::LaneGone, Action::Room),
                    None => pending().await,
                }
            };
            let is_stopping = self.shutdown.is_requested();
            let action = tokio::select! {
                biased;
                settled = self.hold.next() => Action::Ended(settled),
                action = permit => action,
                parcel = self.queue.recv(), if !self.is_closed && self.wants_parcel(now) => Action::Came(parcel),
                () = self.shutdown.requested(), if !is_stopping => Action::Wake,
                () = sleep_until(wakes_at) => Action::Wake,
            };
            match action {
                Action::Ended(settled) => self.ended(settled),
                Action::Came(Some(parcel)) => self.came(parcel, now),
                Action::Came(None) => self.is_closed = true,
                Action::Room(permit) => self.give(permit),
                Action::LaneGone => return,
                Action::Wake => {}
            }
        }
    }

    /// Waits for what the requests of a lane that was cut off hold: it is counted when they are gone, soon after the lane.
    async fn count_the_rest(&mut self) {
        let gone = async {
            while !self.hold.is_empty() {
                let settled = self.hold.next().await;
                self.ended(settled);
            }
        };
        // Who counts less than there is tells it as to be read again: no reason to wait for long.
        let _in_time = timeout(STOP_AFTER, gone).await;
    }

    fn came(&mut self, parcel: Parcel, now: Instant) {
        self.waiting.push_back((parcel, now));
        while self.wants_parcel(now)
            && let Ok(parcel) = self.queue.try_recv()
        {
            self.waiting.push_back((parcel, now));
        }
    }

    fn give(&mut self, permit: mpsc::OwnedPermit<Parcel>) {
        let parcel = match self.ready.take() {
            Some(parcel) => Some(parcel),
            None => self.waiting.pop_front().map(|(parcel, since)| self.hold.fresh(parcel, since)),
        };
        if let Some(parcel) = parcel {
            self.moved_at = Instant::now();
            permit.send(parcel);
        }
    }

    fn ended(&mut self, settled: Settled) {
        self.moved_at = Instant::now();
        if let Ended::Settle(place) = self.hold.ended(settled) {
            self.log.settle(place);
        }
    }

    /// Looks how the lane gets on.
    fn look(&mut self, now: Instant) {
        let is_half_full = self.queue.len().saturating_mul(2) >= self.queue.max_capacity();
        let is_pressed = is_half_full || (self.budget.is_pressed() && !self.queue.is_empty());
        self.pressed_since = is_pressed.then(|| self.pressed_since.unwrap_or(now));
        if self.shutdown.is_requested() {
            // It stays on the disk.
            self.ready = None;
        }
        if self.is_closed && self.waiting.is_empty() && (self.shutdown.is_requested() || !self.is_behind()) {
            self.lane = None;
        }
    }

    /// Says whether anything on the disk comes before what is routed now.
    fn is_behind(&self) -> bool {
        self.ready.is_some() || !self.log.is_drained()
    }

    fn has_something(&self) -> bool {
        self.ready.is_some() || (self.log.is_drained() && !self.waiting.is_empty())
    }

    /// Says whether what waits goes to the disk.
    fn diverts(&self, now: Instant) -> bool {
        let Some((_, since)) = self.waiting.front() else { return false };
        let is_over = |since: Instant| now >= since + self.patience();
        self.is_behind() || is_over(*since) || self.pressed_since.is_some_and(is_over)
    }

    /// How long anything waits for the lane before it is written.
    fn patience(&self) -> Duration {
        if self.shutdown.is_requested() { self.after.min(STOP_AFTER) } else { self.after }
    }

    /// One parcel waits for the lane; as many as are written together wait for the disk.
    fn wants_parcel(&self, now: Instant) -> bool {
        let bytes: usize = self.waiting.iter().map(|(parcel, _)| bytes_of(parcel)).sum();
        self.waiting.is_empty()
            || (self.waiting.len() < GROUP_PARCELS_MAX
                && bytes < GROUP_BYTES_MAX
                && (self.is_behind() || self.diverts(now)))
    }

    fn is_done(&self, now: Instant) -> bool {
        let is_cut_off = || self.shutdown.is_requested() && self.hold.is_spilled() && now >= self.moved_at + STOP_AFTER;
        self.lane.is_none() && (self.hold.is_empty() || is_cut_off())
    }

    fn wakes_at(&self) -> Instant {
        let patience = self.patience();
        let waits_since = self.waiting.front().map(|(_, since)| *since);
        let of_waiting = waits_since.into_iter().chain(self.pressed_since).map(|since| since + patience).min();
        let write_at = of_waiting.into_iter().chain(self.hold.due_at(patience)).min();
        let rests_until = self.full_until.max(self.writes_rest_until);
        let write_at = write_at.map(|at| rests_until.map_or(at, |until| at.max(until)));
        write_at.map_or(self.ticks_at, |at| at.min(self.ticks_at))
    }

    fn measure(&self) {
        self.meter.spill.measure(SpillState {
            bytes: self.log.bytes(),
            bytes_max: self.bytes_max,
            since_ms: self.log.since_ms(),
            hindrance: self.hindrance.clone(),
        });
    }

    fn complain(&mut self, code: &str, words: &str, now: Instant) {
        let since_ms = self.hindrance.as_ref().map_or_else(self.clock, |before| before.since_ms);
        self.hindrance = Some(Hindrance { code: code.to_owned(), words: words.to_owned(), since_ms });
        self.measure();
        if self.complained_at.is_some_and(|at| now < at + COMPLAINT_EVERY) {
            return;
        }
        self.complained_at = Some(now);
        tracing::warn!(
            sink = &*self.name,
            code,
            words,
            "the spill takes nothing more until this is mended; everything waits, and the queue's bound stops the reading"
        );
    }
}

impl<D> Drop for AtWork<D> {
    fn drop(&mut self) {
        self.queue.close();
        for (parcel, _) in self.waiting.drain(..) {
            abandon(parcel, &self.meter, &self.events);
        }
        while let Ok(parcel) = self.queue.try_recv() {
            abandon(parcel, &self.meter, &self.events);
        }
    }
}
