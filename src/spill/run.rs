//! The spill at work, beside its lane.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::disk::Disk;
use super::entry;
use super::group::{GROUP_BYTES_MAX, GROUP_PARCELS_MAX, Group, bytes_of};
use super::hold::{Ended, Hold};
use super::log::{Found, Log};
use crate::ack::{Outcome, Settled};
use crate::budget::Budget;
use crate::delivery::{Parcel, abandon, count_event};
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
    let mut lane_ended = false;
    tokio::pin!(lane);
    let work = at_work.work();
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut lane, if !lane_ended => lane_ended = true,
            () = &mut work => return,
        }
    }
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
    /// The disk failed, and is left alone until then.
    disk_rests_until: Option<Instant>,
    /// The spill is full, and nothing is written until then.
    full_until: Option<Instant>,
    /// When the lane was last given or last ended something.
    moved_at: Instant,
    ticks_at: Instant,
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
            disk_rests_until: None,
            full_until: None,
            moved_at: now,
            ticks_at: now,
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
            if self.disk_rests_until.is_none_or(|until| now >= until) {
                self.disk_rests_until = None;
                if let Err(error) = self.mind_disk(now).await {
                    self.disk_rests_until = Some(now + TICK);
                    self.complain("spill_disk", &format!("the disk fails: {error}"), now);
                }
            }
            if self.is_done(Instant::now()) {
                // Without these, more comes twice next time: no reason to wait for a disk that fails.
                while self.log.wants_sweep() && self.log.sweep().await.is_ok() {}
                let _ = self.log.keep_settled().await;
                self.measure();
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
        let write_at = write_at.map(|at| self.full_until.map_or(at, |until| at.max(until)));
        let wakes_at = write_at.map_or(self.ticks_at, |at| at.min(self.ticks_at));
        self.disk_rests_until.map_or(wakes_at, |until| wakes_at.max(until))
    }

    /// Everything that there is to do on the disk, each a bounded piece.
    async fn mind_disk(&mut self, now: Instant) -> io::Result<()> {
        while self.log.wants_sweep() {
            self.log.sweep().await?;
            self.full_until = None;
        }
        if now >= self.ticks_at {
            self.ticks_at = now + TICK;
            self.measure();
            self.log.keep_settled().await?;
        }
        if self.full_until.is_none_or(|until| now >= until) {
            self.full_until = None;
            self.write(now).await?;
        }
        let reads = self.lane.is_some() && !self.shutdown.is_requested();
        while reads && self.ready.is_none() && !self.log.is_drained() {
            self.read().await?;
        }
        Ok(())
    }

    async fn write(&mut self, now: Instant) -> io::Result<()> {
        let diverts = self.diverts(now);
        let patience = self.patience();
        // What the lane has came before what waits.
        let due = self.hold.all_fresh().take_while(|(_, fresh)| diverts || now >= fresh.since + patience);
        let mut group = Group::default();
        let mut too_large = Vec::new();
        for (number, fresh) in due {
            match entry::encode(&fresh.block, &fresh.rows).filter(|body| self.log.could_hold(body)) {
                Some(body) => group.push(number, fresh.rows.len(), body),
                None => too_large.push(number),
            }
            if group.is_full() {
                break;
            }
        }
        for number in too_large {
            self.hold.is_too_large(number);
        }
        if !group.bodies.is_empty() {
            if self.fits(&mut group, now) {
                let places = self.log.append(&group.bodies, (self.clock)()).await?;
                self.log.adopt(&places);
                for (number, place) in group.numbers.iter().zip(places) {
                    self.hold.is_in_spill(*number, place);
                }
                self.wrote(&group);
            }
            return Ok(());
        }
        if diverts { self.divert(now).await } else { Ok(()) }
    }

    async fn divert(&mut self, now: Instant) -> io::Result<()> {
        let mut group = Group::default();
        for (parcel, _) in &self.waiting {
            match entry::encode(&parcel.block, &parcel.rows).filter(|body| self.log.could_hold(body)) {
                Some(body) => group.push(0, parcel.rows.len(), body),
                None => break,
            }
            if group.is_full() {
                break;
            }
        }
        if group.bodies.is_empty() {
            // The first is too large for the spill: it waits for the lane, and all that comes after it with it.
            self.full_until = Some(now + TICK);
            self.complain("spill_too_small", "one part of a chunk is larger than `bytes_max`", now);
            return Ok(());
        }
        if !self.fits(&mut group, now) {
            return Ok(());
        }
        let places = self.log.append(&group.bodies, (self.clock)()).await?;
        for (parcel, _) in self.waiting.drain(..places.len()) {
            for row in &parcel.rows {
                if let Some(outcome) = parcel.block.settle(*row, Outcome::Spilled) {
                    count_event(&self.events, outcome);
                }
            }
            parcel.receipt.settle(Outcome::Spilled);
        }
        self.wrote(&group);
        Ok(())
    }

    /// Leaves of a group what there is room for, and says whether that is anything.
    fn fits(&mut self, group: &mut Group, now: Instant) -> bool {
        while !group.bodies.is_empty() && !self.log.has_room(&group.bodies) {
            group.pop();
        }
        let fits = !group.bodies.is_empty();
        if !fits {
            self.full_until = Some(now + TICK);
            self.complain("spill_full", "`bytes_max` is reached", now);
        }
        fits
    }

    fn wrote(&mut self, group: &Group) {
        self.meter.spill.written.add_count(group.entries.iter().sum());
        if self.hindrance.take().is_some() {
            tracing::info!(sink = &*self.name, "spill goes on");
        }
        self.measure();
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.log.next(&self.budget).await? {
            Found::Drained => {}
            Found::Damage(file, bytes) => {
                self.meter.spill.damaged_bytes.add_count(bytes);
                tracing::error!(
                    sink = &*self.name,
                    file,
                    bytes,
                    "the spill is damaged: what stood there is lost to this sink, all behind it is delivered; the file is kept"
                );
            }
            Found::Entry(place, body) => match entry::decode(&body, &self.names, &self.budget) {
                Ok(block) => {
                    self.meter.spill.returned.add_count(block.rows.len());
                    self.ready = Some(self.hold.spilled(block, place));
                }
                Err(error) => {
                    self.log.give_up(place);
                    self.meter.spill.damaged_bytes.add_count(body.len());
                    tracing::error!(sink = &*self.name, %error, "an entry of the spill cannot be read; its file is kept");
                }
            },
        }
        Ok(())
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
