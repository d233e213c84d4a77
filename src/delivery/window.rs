//! How many requests may be under way: found by what their answers take. Pure; the time is given.
//!
//! The window grows while latency stands, and shrinks when it rises or the destination says that it is too much. Latencies
//! are compared in epochs of several answers, each with what batches of its own size usually take ([`Class`]), so that
//! neither one slow answer nor a change of the batches looks like a queue at the destination.
//!
//! What batches usually take is learned slowly, and mostly where no more than one request of ours is under way: a queue of
//! our own making must not become the usual. So a lane that sees a queue for long [dips](Dip) now and then to one request.
//! That is also what makes lanes to one destination share it: who has more sees what it is without itself, and shrinks;
//! who has less sees the others' queue as usual, and grows.

use std::time::Duration;

use tokio::time::Instant;

/// The window that a lane begins with. The first answer is the measure of the others, so nothing of ours stands beside it.
const WINDOW_START: u32 = 1;

/// The least answers that make an epoch. Fewer would take the chance of single answers for a trend.
const EPOCH_ANSWERS_MIN: u32 = 8;

/// How many answers make a dip.
const DIP_ANSWERS: u32 = 4;

/// A lane that sees a queue dips after so many epochs: often enough to keep the measure, and seldom enough to cost a few
/// percent of what gets through at most.
const DIP_EVERY: u32 = 48;

/// Below this many times the usual latency nothing queues, and no dip is needed.
const QUIET_BELOW: f64 = 1.2;

/// Below this many times the usual latency the window grows.
const GROW_BELOW: f64 = 1.25;

/// Above this many times the usual latency the window shrinks.
const SHRINK_ABOVE: f64 = 1.5;

/// Above this many times the usual latency a single answer ends the fast growth of the beginning.
const RISES_ABOVE: f64 = 2.0;

/// How fast the usual latency follows an epoch's: where one request of ours at most was under way.
const FOLLOW_ALONE: f64 = 1.0 / 3.0;

/// How fast downwards, elsewhere.
const FOLLOW_DOWN: f64 = 1.0 / 16.0;

/// How fast upwards, elsewhere: so slowly that the next dip comes before our own queue is taken for the usual.
const FOLLOW_UP: f64 = 1.0 / 512.0;

/// How much one answer counts in the latency that is shown.
const SHOWN_WEIGHT: f64 = 0.2;

/// Sizes of batches that are taken for alike: two for each doubling.
const CLASSES: usize = 2 * 65;

/// How many answers of one size count at most for what batches of that size take beside the others.
const SEEN_MAX: u32 = 256;

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    max: u32,
    now: u32,
    /// Below it the window grows with every answer, from there on with every epoch.
    threshold: u32,
    /// How often the window has become smaller. The answer to a request from before then tells nothing of the window now.
    round: u64,
    classes: Box<[Class; CLASSES]>,
    /// What a batch of weight one usually takes, in seconds; `None` before the first answer.
    usual_s: Option<f64>,
    epoch: Epoch,
    epochs_since_dip: u32,
    dip: Option<Dip>,
    shown_s: Option<f64>,
}

/// Batches of about one size.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    /// How much longer they take than others under way at the same time: a factor, whatever queues at the destination.
    weight: f64,
    /// How many answers that was learned from, up to [`SEEN_MAX`].
    seen: u32,
    /// What those of this epoch took together, in seconds.
    sum_s: f64,
    /// How many of this epoch there are.
    count: u32,
}

#[derive(Debug)]
struct Epoch {
    answers: u32,
    answers_max: u32,
    /// The window was what held requests back: without that, nothing is known about a larger one.
    was_full: bool,
}

/// The window is one for a few answers, to see what the destination takes without us.
#[derive(Clone, Copy, Debug)]
struct Dip {
    back_to: u32,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    sent: Instant,
    round: u64,
    class: usize,
}

impl Window {
    pub fn new(max: u32) -> Self {
        let max = max.max(1);
        Self {
            max,
            now: WINDOW_START.min(max),
            threshold: max,
            round: 0,
            classes: Box::new([Class::default(); CLASSES]),
            usual_s: None,
            // The first answer alone is the first measure.
            epoch: Epoch::of(1),
            epochs_since_dip: 0,
            dip: None,
            shown_s: None,
        }
    }

    /// How many requests may be under way now.
    pub fn size(&self) -> u32 {
        self.now
    }

    /// What answers take, smoothed; `None` before the first.
    pub fn latency(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.shown_s?).ok()
    }

    /// A request starts, while so many others are under way.
    pub fn sent(&mut self, others: u32, bytes: usize, now: Instant) -> Ticket {
        self.epoch.was_full |= others.saturating_add(1) >= self.now;
        Ticket { sent: now, round: self.round, class: class_of(bytes) }
    }

    /// The destination answered.
    pub fn answered(&mut self, ticket: Ticket, now: Instant) {
        let took_s = now.saturating_duration_since(ticket.sent).as_secs_f64();
        self.shown_s = Some(self.shown_s.map_or(took_s, |shown| shown + (took_s - shown) * SHOWN_WEIGHT));
        let Some(class) = self.classes.get_mut(ticket.class) else { return };
        if ticket.round != self.round {
            return;
        }
        class.sum_s += took_s;
        class.count = class.count.saturating_add(1);
        let is_usual =
            class.seen == 0 || self.usual_s.is_none_or(|usual_s| took_s < usual_s * class.weight * RISES_ABOVE);
        self.epoch.answers = self.epoch.answers.saturating_add(1);
        if self.dip.is_none() && self.now < self.threshold && self.epoch.was_full {
            if is_usual {
                self.grow();
            } else {
                self.threshold = self.now;
            }
        }
        if self.epoch.answers >= self.epoch.answers_max {
            self.end_epoch();
        }
    }

    /// The destination says that it is too much: a throttled or failed request, or a part of its entries. Failures of one
    /// round count once.
    pub fn failed(&mut self, ticket: Ticket) {
        if ticket.round == self.round {
            self.shrink_to(self.wanted() / 2);
        }
    }

    /// The destination accepts nothing: one request at a time, until it does.
    pub fn collapse(&mut self) {
        if self.wanted() > 1 {
            // The failure that led here has halved it, and up to there it may grow fast again.
            let threshold = self.threshold;
            self.shrink_to(1);
            self.threshold = threshold;
        }
    }

    /// The window, or what it is after the dip.
    fn wanted(&self) -> u32 {
        self.dip.map_or(self.now, |dip| dip.back_to)
    }

    fn grow(&mut self) {
        self.now = self.now.saturating_add(1).min(self.max);
    }

    fn shrink_to(&mut self, size: u32) {
        let size = size.max(1);
        if self.wanted() > 1 {
            self.threshold = size;
        }
        self.dip = None;
        self.now = size;
        self.begin_round();
    }

    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        for class in self.classes.iter_mut() {
            (class.sum_s, class.count) = (0.0, 0);
        }
        self.begin_epoch();
    }

    fn begin_epoch(&mut self) {
        self.epoch = match self.dip {
            Some(_) => Epoch::of(DIP_ANSWERS),
            None => Epoch::of(self.now.saturating_mul(2).max(EPOCH_ANSWERS_MIN)),
        };
    }

    fn end_epoch(&mut self) {
        let times_usual = self.learn();
        if let Some(Dip { back_to }) = self.dip.take() {
            self.now = back_to;
            self.epochs_since_dip = 0;
            return self.begin_round();
        }
        let was_full = self.epoch.was_full;
        self.epochs_since_dip = self.epochs_since_dip.saturating_add(1);
        if times_usual > SHRINK_ABOVE && self.now > 1 {
            return self.shrink_to(self.now - (self.now / 8).max(1));
        }
        if self.epochs_since_dip >= DIP_EVERY && times_usual > QUIET_BELOW && self.now > 1 {
            self.dip = Some(Dip { back_to: self.now });
            self.now = 1;
            return self.begin_round();
        }
        if times_usual >= GROW_BELOW {
            self.threshold = self.threshold.min(self.now);
        } else if was_full && self.now >= self.threshold {
            self.grow();
        }
        self.begin_epoch();
    }

    /// Learns from the answers of this epoch, and says how many times what is usual they took.
    fn learn(&mut self) -> f64 {
        let known = self.classes.iter().filter(|class| class.count > 0 && class.seen > 0);
        let (sum_s, count) = known.fold((0.0, 0.0), |(sum_s, count), class| {
            (sum_s + class.sum_s / class.weight, count + f64::from(class.count))
        });
        // What a batch of weight one took in this epoch. Below a microsecond it is no network that answers, and nothing
        // could be divided by it. Where nothing is known to compare with, all is as usual, and what came first weighs one.
        let took_s =
            if count > 0.0 { (sum_s / count).max(1e-6) } else { self.usual_s.unwrap_or_else(|| self.mean_s()) };
        for class in self.classes.iter_mut().filter(|class| class.count > 0) {
            let count = f64::from(class.count);
            let weight = (class.sum_s / count / took_s).max(1e-6);
            class.weight += (weight - class.weight) * count / (count + f64::from(class.seen));
            class.seen = class.seen.saturating_add(class.count).min(SEEN_MAX);
            (class.sum_s, class.count) = (0.0, 0);
        }
        let usual_s = self.usual_s.unwrap_or(took_s);
        let follow = match () {
            () if self.dip.is_some() || self.now == 1 => FOLLOW_ALONE,
            () if took_s < usual_s => FOLLOW_DOWN,
            () => FOLLOW_UP,
        };
        self.usual_s = Some(usual_s + (took_s - usual_s) * follow);
        took_s / usual_s
    }

    fn mean_s(&self) -> f64 {
        let sums = self
            .classes
            .iter()
            .fold((0.0, 0.0), |(sum_s, count), class| (sum_s + class.sum_s, count + f64::from(class.count)));
        (sums.0 / sums.1).max(1e-6)
    }
}

impl Epoch {
    const fn of(answers_max: u32) -> Self {
        Self { answers: 0, answers_max, was_full: false }
    }
}

/// Two classes for each doubling of the size.
fn class_of(bytes: usize) -> usize {
    let octave = usize::BITS - bytes.leading_zeros();
    let is_upper_half = octave >= 2 && bytes >> (octave - 2) & 1 == 1;
    usize::try_from(2 * octave).unwrap_or(0) + usize::from(is_upper_half)
}
