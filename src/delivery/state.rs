//! What a lane knows, and how each thing that happens changes it. Synchronous; the times are given.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::time::Instant;

use super::filler::Filler;
use super::judge::{Asked, Fate, Fates, Judgement, Next, Streak, judge};
use super::load::{Burial, Entry, History, Load, Meters};
use super::oversize::trimmed_frame;
use super::pace::Pace;
use super::watch::{Held, Watch};
use super::{DeadReason, Delivery, Disposition, Error, LaneSettings, Oversize, Parcel, Reason, Schedule, Sink};
use crate::ack::Outcome;
use crate::budget::Budget;
use crate::metric::{Hindrance, LaneState};

/// The most loads that wait on their own schedule before no more parcels are taken.
const LATER_LOADS_MAX: usize = 64;

/// The most loads that are on their way to the dead letters before no more requests start.
const BURIALS_MAX: usize = 16;

/// Something that happens to a lane.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and a box for each answer would cost more")]
pub(super) enum Action {
    /// A parcel came.
    Parcel(Parcel),
    /// No more parcels will come.
    Closed,
    /// The destination answered, or failed to.
    Answer(Load, Result<Delivery, Error>),
    /// These entries lie in the dead letters.
    Buried(Vec<Entry>),
    /// The memory budget is pressed.
    Pressure,
    /// A time has come.
    Wake,
}

/// A lane's state. The loop around it ([`super::run`]) asks what is to be sent and buried, and tells what happened.
pub(super) struct State {
    settings: LaneSettings,
    budget: Budget,
    meters: Meters,
    filler: Filler,
    /// Loads that may go as soon as the pace allows, the oldest first.
    ready: VecDeque<Load>,
    /// Loads that wait on their own. At most [`LATER_LOADS_MAX`] before parcels wait, and then as many as are out.
    later: Vec<(Instant, Load)>,
    in_flight: u32,
    to_bury: VecDeque<Burial>,
    burying: usize,
    pace: Pace,
    streak: Streak,
    pause: Option<Pause>,
    /// How many entries were accepted so far.
    accepted: u64,
    is_closed: bool,
    watch: Watch,
}

/// The lane has paused. It ends when an answer shows that the destination was mended.
struct Pause {
    probe_entries: usize,
    probe_at: Instant,
    /// Set while the answer to a probe is awaited.
    is_probing: bool,
}

impl State {
    pub fn new(
        name: Arc<str>,
        settings: LaneSettings,
        budget: Budget,
        meters: Meters,
        seed: u64,
        now: Instant,
    ) -> Self {
        let schedule = Schedule::new(settings.retry_first, settings.retry_max, seed, now.into_std());
        let pace = Pace::new(&settings, schedule);
        let watch = Watch::new(name, Arc::clone(&meters.lane), &settings, now);
        Self {
            settings,
            budget,
            meters,
            filler: Filler::default(),
            ready: VecDeque::new(),
            later: Vec::new(),
            in_flight: 0,
            to_bury: VecDeque::new(),
            burying: 0,
            pace,
            streak: Streak::default(),
            pause: None,
            accepted: 0,
            is_closed: false,
            watch,
        }
    }

    /// Says whether the next parcel may be taken from the queue.
    pub fn wants_parcel(&self) -> bool {
        !self.is_closed
            && self.filler.wants_parcel()
            && self.has_room()
            && self.later.len() < LATER_LOADS_MAX
            && self.has_room_for_burials()
    }

    /// Says whether less is ready than one window of full batches and one more: a batch that fails over and over must not
    /// keep out the neighbours that would show it to be the culprit. Fragments of batches are counted by what is in them: a
    /// lane that paused because of refusals has to see what comes behind them.
    fn has_room(&self) -> bool {
        let window = self.settings.requests_in_flight_max.get().saturating_add(1);
        let entries_max = window.saturating_mul(self.settings.batch_entries_max.get());
        let bytes_max = window.saturating_mul(self.settings.batch_bytes_max.get());
        self.ready.len() < window
            || (self.ready.iter().map(|load| load.entries.len()).sum::<usize>() < entries_max
                && self.ready.iter().map(|load| load.batch.body().len()).sum::<usize>() < bytes_max)
    }

    fn has_room_for_burials(&self) -> bool {
        self.burying + self.to_bury.len() < BURIALS_MAX
    }

    /// Says whether pressure on the budget could change anything.
    pub fn minds_pressure(&self) -> bool {
        self.filler.is_unripe()
    }

    /// Says whether everything is settled and nothing more will come.
    pub fn is_done(&self) -> bool {
        self.is_closed && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.filler.is_empty()
            && self.ready.is_empty()
            && self.later.is_empty()
            && self.in_flight == 0
            && self.to_bury.is_empty()
            && self.burying == 0
    }

    /// The next time, after now, at which something may be due by itself.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let later = self.later.iter().map(|(time, _)| *time);
        let others = [
            self.filler.ripens_at(&self.settings),
            self.pause.as_ref().map(|pause| pause.probe_at),
            self.watch.stalls_at().filter(|_| !self.is_idle()),
        ];
        later.chain(self.pace.due()).chain(others.into_iter().flatten()).filter(|time| *time > now).min()
    }

    /// The next load to send, if one may go now. It is then under way until its [`Action::Answer`].
    pub fn next_request(&mut self, sink: &impl Sink, now: Instant, now_ms: i64) -> Option<Load> {
        self.bring_back_later(now);
        self.fill(sink, now, now_ms);
        if !self.has_room_for_burials() {
            return None;
        }
        let mut load = if self.pause.is_some() { self.next_probe(now)? } else { self.next_ready(now)? };
        load.ticket = Some(self.pace.sent(self.in_flight, load.batch.body().len(), now));
        self.in_flight += 1;
        if load.history.attempts == 0 {
            load.history.first_ms = now_ms;
        } else {
            self.meters.lane.retried.add_count(load.entries.len());
        }
        load.history.attempts = load.history.attempts.saturating_add(1);
        load.history.last_ms = now_ms;
        load.history.wait_number = self.pace.wait_number();
        self.meters.lane.requests.add(1);
        self.meters.lane.bytes.add_count(load.batch.body().len());
        Some(load)
    }

    /// The next entries to bury. They are then under way until their [`Action::Buried`].
    pub fn next_burial(&mut self) -> Option<Burial> {
        let burial = self.to_bury.pop_front()?;
        self.burying += 1;
        Some(burial)
    }

    /// Takes note of what happened.
    pub fn apply(&mut self, action: Action, sink: &impl Sink, now: Instant) {
        match action {
            Action::Parcel(parcel) => {
                if self.is_idle() {
                    self.watch.moves(now);
                }
                self.filler.open(parcel, self.meters.clone());
            }
            Action::Closed => self.is_closed = true,
            Action::Answer(load, answer) => self.answered(load, answer, sink, now),
            Action::Buried(entries) => {
                self.watch.moves(now);
                self.burying = self.burying.saturating_sub(1);
                for entry in entries {
                    entry.settle(Outcome::DeadLettered);
                }
            }
            Action::Pressure => self.filler.press(),
            Action::Wake => {}
        }
    }

    /// Tells the meter, and the log if need be, how the lane stands.
    pub fn tell(&mut self, now: Instant, now_ms: i64) {
        let is_waiting = !self.ready.is_empty() || !self.filler.is_empty();
        let held = if self.is_idle() {
            Held::Idle
        } else if !self.has_room_for_burials() || (self.burying > 0 && self.in_flight == 0 && !is_waiting) {
            Held::DeadLetters
        } else if self.pace.is_held(now) {
            Held::Pace
        } else if self.in_flight > 0 {
            Held::Answers
        } else if is_waiting {
            Held::Nothing
        } else {
            Held::Retries
        };
        let window = self.pace.window();
        let latency_ms = window.latency().map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        let numbers =
            LaneState { in_flight: self.in_flight, window: window.size(), latency_ms, ..LaneState::default() };
        self.watch.tell(&numbers, held, now, now_ms);
    }

    fn bring_back_later(&mut self, now: Instant) {
        let due = self.later.extract_if(.., |(time, _)| *time <= now);
        for (_, load) in due {
            self.ready.push_front(load);
        }
    }

    fn fill(&mut self, sink: &impl Sink, now: Instant, now_ms: i64) {
        while self.has_room() {
            let Some(load) = self.filler.fill(sink, &self.settings, &self.budget, now) else { break };
            self.push_fresh(load);
        }
        if self.is_closed && self.filler.wants_parcel() {
            self.filler.press();
        }
        self.bury_oversize(now_ms);
    }

    /// What cannot be made small enough goes to the dead letters without having been sent.
    fn bury_oversize(&mut self, now_ms: i64) {
        let mut burial = Burial { letters: Vec::new(), entries: Vec::new() };
        let bytes_max = self.settings.event_bytes_max.map_or(usize::MAX, NonZeroUsize::get);
        for (entry, bytes) in self.filler.take_oversize() {
            let words = format!("{bytes} bytes, `event_bytes_max` is {bytes_max}");
            let why = Reason { code: "event_bytes_max".into(), words };
            let history = History { first_ms: now_ms, last_ms: now_ms, ..History::default() };
            burial.letters.push(entry.letter(self.watch.name(), DeadReason::Oversize, why, &history));
            burial.entries.push(entry);
        }
        if !burial.entries.is_empty() {
            self.meters.lane.oversize.add_count(burial.entries.len());
            self.to_bury.push_back(burial);
        }
    }

    fn push_fresh(&mut self, mut load: Load) {
        load.history.accepted_before = self.accepted;
        self.ready.push_back(load);
    }

    fn next_ready(&mut self, now: Instant) -> Option<Load> {
        if !self.pace.allows(self.in_flight, now) {
            return None;
        }
        if self.has_room()
            && let Some(load) = self.filler.ripe(&self.settings, &self.budget, now)
        {
            self.push_fresh(load);
        }
        self.ready.pop_front()
    }

    /// A small load to see whether the destination was mended. What was probed in vain goes to the back, so that the
    /// probes see all that there is.
    fn next_probe(&mut self, now: Instant) -> Option<Load> {
        let pause = self.pause.as_ref()?;
        let (count, due) = (pause.probe_entries, !pause.is_probing && now >= pause.probe_at);
        if !due {
            return None;
        }
        if let Some(load) = self.filler.ripe(&self.settings, &self.budget, now) {
            self.push_fresh(load);
        }
        let mut load = self.ready.pop_front().or_else(|| self.later.pop().map(|(_, load)| load))?;
        if load.entries.len() > count {
            let (first, rest) = load.split(count);
            self.ready.push_front(rest);
            load = first;
        }
        load.is_probe = true;
        if let Some(pause) = &mut self.pause {
            pause.is_probing = true;
        }
        Some(load)
    }

    fn answered(&mut self, mut load: Load, answer: Result<Delivery, Error>, sink: &impl Sink, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if answer.is_err() {
            self.meters.lane.failures.add(1);
        }
        let ticket = load.ticket.take();
        let (entries, has_answered) = (load.entries.len(), answer.is_ok());
        let asked = Asked {
            entries,
            retries: load.history.retries,
            others_accepted: self.accepted > load.history.accepted_before,
            is_smaller_now: self.make_smaller(&mut load, &answer, sink),
        };
        let is_unreachable = matches!(&answer, Err(error) if error.is_retry());
        let Judgement { fates, next, slow_down } = judge(asked, answer, &mut self.streak, &self.settings);
        self.mind_pause(load.is_probe, &next, is_unreachable, now);
        self.note_condition(&next, load.history.last_ms);
        let accepted_before = self.accepted;
        let again = self.settle(load, fates);
        if self.accepted > accepted_before {
            self.pace.succeeded();
            self.watch.accepted(now);
            if self.pause.is_none() {
                self.meters.lane.works();
            }
        }
        let again_count = again.as_ref().map_or(0, |load| load.entries.len());
        if let Some(ticket) = ticket {
            if let Some(asked) = slow_down {
                self.pace.slow_down(ticket, asked, now);
            } else if is_unreachable || is_too_much(&next, again_count, entries) {
                self.pace.ease(ticket);
            } else if has_answered {
                self.pace.answered(ticket, now);
            }
        }
        if let Some(load) = again {
            self.send_again(load, next, now);
        }
    }

    /// Makes an entry smaller that was called too large when it came alone, where that is possible.
    fn make_smaller(&self, load: &mut Load, answer: &Result<Delivery, Error>, sink: &impl Sink) -> bool {
        let is_too_large = matches!(answer, Err(Error { disposition: Disposition::Split, .. }));
        let ([entry], true, Oversize::Trim) = (&*load.entries, is_too_large, self.settings.oversize) else {
            return false;
        };
        let bytes_max = load.batch.body().len().saturating_sub(1);
        let Some(frame) = entry.event().and_then(|event| trimmed_frame(event, sink, bytes_max)) else { return false };
        self.meters.lane.trimmed.add(1);
        load.reframe(&frame);
        true
    }

    /// Carries out what becomes of each entry, and returns what is to be sent again.
    fn settle(&mut self, mut load: Load, fates: Fates) -> Option<Load> {
        let entries = std::mem::take(&mut load.entries);
        let mut kept = Vec::new();
        let mut burial = Burial { letters: Vec::new(), entries: Vec::new() };
        let mut settle_one = |number: usize, entry: Entry, fate: Fate| match fate {
            Fate::Delivered | Fate::Duplicate => {
                self.accepted += 1;
                if fate == Fate::Duplicate {
                    self.meters.lane.duplicates.add(1);
                }
                entry.settle(Outcome::Delivered);
            }
            Fate::Buried(reason, why) => {
                if reason == DeadReason::TooLarge {
                    self.meters.lane.oversize.add(1);
                }
                burial.letters.push(entry.letter(self.watch.name(), reason, why, &load.history));
                burial.entries.push(entry);
            }
            Fate::Again => kept.push((number, entry)),
        };
        match fates {
            Fates::All(fate) => {
                for (number, entry) in entries.into_iter().enumerate() {
                    settle_one(number, entry, fate.clone());
                }
            }
            Fates::Each(fates) => {
                for (number, (entry, fate)) in entries.into_iter().zip(fates).enumerate() {
                    settle_one(number, entry, fate);
                }
            }
        }
        if !burial.entries.is_empty() {
            self.to_bury.push_back(burial);
        }
        (!kept.is_empty()).then(|| load.keep(kept))
    }

    fn send_again(&mut self, mut load: Load, next: Next, now: Instant) {
        let was_probe = std::mem::take(&mut load.is_probe);
        load.history.accepted_before = self.accepted;
        match next {
            Next::Go => debug_assert!(false, "nothing is left to be sent again"),
            Next::Rest | Next::Smaller => {
                load.history.retries = 0;
                self.ready.push_front(load);
            }
            Next::Later { after } => {
                load.history.retries = load.history.retries.saturating_add(1);
                self.pace.hold(after.unwrap_or_default(), now);
                let pace = &mut self.pace;
                let schedule = load.schedule.get_or_insert_with(|| Box::new(pace.fork()));
                let wait = schedule.next(after);
                self.later.push((now + wait, load));
            }
            Next::Wait { after, why } => {
                let wait = self.pace.failed(load.history.wait_number, after, now);
                self.watch.fails(&why, wait, now);
                // Behind the others: were it to go first again and again, it would starve them.
                self.ready.push_back(load);
            }
            Next::Halves => {
                self.meters.lane.splits.add(1);
                load.history.retries = 0;
                let middle = load.entries.len().div_ceil(2);
                let (first, second) = load.split(middle);
                self.ready.push_front(second);
                self.ready.push_front(first);
            }
            Next::Pause { .. } if was_probe => self.ready.push_back(load),
            Next::Pause { .. } => self.ready.push_front(load),
        }
    }

    /// Enters, keeps or ends the pause after an answer.
    fn mind_pause(&mut self, was_probe: bool, next: &Next, is_unreachable: bool, now: Instant) {
        let probe_at = now + self.settings.pause_probe;
        match (&mut self.pause, next) {
            (None, Next::Pause { why, probe_entries }) => {
                self.meters.lane.pauses.add(1);
                self.pause = Some(Pause { probe_entries: *probe_entries, probe_at, is_probing: false });
                self.watch.pauses(why, self.settings.pause_probe, now);
            }
            (None, _) => {}
            (Some(pause), next) => {
                if was_probe {
                    pause.is_probing = false;
                    pause.probe_at = probe_at;
                }
                if let Next::Pause { probe_entries, .. } = next {
                    pause.probe_entries = *probe_entries;
                } else if !is_unreachable && !self.streak.is_full(&self.settings) {
                    self.pause = None;
                    self.watch.goes_on();
                    self.meters.lane.works();
                }
            }
        }
    }

    /// Takes note, for whoever asks how the lane gets on, of an answer to what was sent at this time.
    fn note_condition(&self, next: &Next, sent_ms: i64) {
        let hindrance = |why: &Reason| Hindrance {
            code: why.code.clone().into_owned(),
            words: why.words.clone(),
            since_ms: sent_ms,
        };
        match next {
            Next::Pause { why, .. } => self.meters.lane.pauses(hindrance(why)),
            Next::Wait { why, .. } => self.meters.lane.fails(hindrance(why)),
            Next::Go | Next::Rest | Next::Smaller | Next::Later { .. } | Next::Halves => {}
        }
    }
}

/// Says whether an answer means that the destination has too much to do: it accepts nothing, or had no room for a quarter of
/// a batch of several. One entry that is told to come back again and again says nothing about the others.
fn is_too_much(next: &Next, again: usize, entries: usize) -> bool {
    match next {
        Next::Wait { .. } => true,
        Next::Later { .. } => entries > 1 && again.saturating_mul(4) >= entries,
        Next::Go | Next::Rest | Next::Smaller | Next::Halves | Next::Pause { .. } => false,
    }
}
