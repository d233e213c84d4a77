//! How many requests may be under way, and when the next may start. Synchronous; the time is given.

use std::time::Duration;

use tokio::time::Instant;

use super::{RETRY_AFTER_MAX, Schedule};

/// The lane's pace: a window that halves with every failure and grows by one with every success, and a time before which
/// nothing is sent.
#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    window_max: usize,
    not_before: Option<Instant>,
    schedule: Schedule,
    wait_number: u64,
}

impl Pace {
    pub fn new(window_max: usize, schedule: Schedule) -> Self {
        Self { window: window_max, window_max, not_before: None, schedule, wait_number: 0 }
    }

    /// Says whether a request may start while so many are under way.
    pub fn allows(&self, in_flight: usize, now: Instant) -> bool {
        in_flight < self.window && self.not_before.is_none_or(|time| now >= time)
    }

    /// The time before which nothing is sent.
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// How many waits there have been: a failure that was under way when a wait began says nothing new.
    pub fn wait_number(&self) -> u64 {
        self.wait_number
    }

    /// A schedule for entries that wait on their own.
    pub fn fork(&mut self) -> Schedule {
        self.schedule.fork()
    }

    /// Something was accepted.
    pub fn succeeded(&mut self) {
        self.window = (self.window + 1).min(self.window_max);
        self.schedule.reset();
    }

    /// A request failed.
    pub fn ease(&mut self) {
        self.window = (self.window / 2).max(1);
    }

    /// The destination asks for a gentler pace.
    pub fn slow_down(&mut self, asked: Duration, now: Instant) {
        self.ease();
        self.hold(asked, now);
    }

    /// Nothing is sent for so long, up to [`RETRY_AFTER_MAX`].
    pub fn hold(&mut self, wait: Duration, now: Instant) {
        self.not_before = self.not_before.max(Some(now + wait.min(RETRY_AFTER_MAX)));
    }

    /// The destination accepts nothing: a request failed that was sent after so many waits. Returns how long to wait, if a
    /// new wait begins.
    pub fn failed(&mut self, wait_number: u64, after: Option<Duration>, now: Instant) -> Option<Duration> {
        if wait_number == self.wait_number {
            self.window = 1;
            self.wait_number += 1;
            let wait = self.schedule.next(after);
            self.not_before = self.not_before.max(Some(now + wait));
            return Some(wait);
        }
        if let Some(asked) = after {
            self.hold(asked, now);
        }
        None
    }
}
