//! When the next request may start. Synchronous; the time is given.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::Rate;
use super::window::{Ticket, Window};
use super::{LaneSettings, RETRY_AFTER_MAX, Schedule};

/// The lane's pace: a window of requests under way, the rates that the configuration allows, and a time before which
/// nothing is sent.
#[derive(Debug)]
pub(super) struct Pace {
    window: Window,
    requests: Option<Rate>,
    bytes: Option<Rate>,
    not_before: Option<Instant>,
    schedule: Schedule,
    wait_number: u64,
}

impl Pace {
    pub fn new(settings: &LaneSettings, schedule: Schedule) -> Self {
        Self {
            window: Window::new(u32::try_from(settings.requests_in_flight_max.get()).unwrap_or(u32::MAX)),
            requests: settings.requests_per_second_max.map(Rate::new),
            bytes: settings.bytes_per_second_max.map(Rate::new),
            not_before: None,
            schedule,
            wait_number: 0,
        }
    }

    /// Says whether a request may start while so many are under way.
    pub fn allows(&self, in_flight: u32, now: Instant) -> bool {
        in_flight < self.window.size() && !self.is_held(now) && self.rates().all(|rate| rate.is_free(now))
    }

    /// Says whether nothing is sent at all for a while.
    pub fn is_held(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|time| now < time)
    }

    /// The times, maybe past, from which on something may be sent that may not before.
    pub fn due(&self) -> impl Iterator<Item = Instant> {
        self.not_before.into_iter().chain(self.rates().filter_map(Rate::free_at))
    }

    /// The window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// How many waits there have been: a failure that was under way when a wait began says nothing new.
    pub fn wait_number(&self) -> u64 {
        self.wait_number
    }

    /// A schedule for entries that wait on their own.
    pub fn fork(&mut self) -> Schedule {
        self.schedule.fork()
    }

    /// A request starts, while so many others are under way.
    pub fn sent(&mut self, others: u32, bytes: usize, now: Instant) -> Ticket {
        if let Some(rate) = &mut self.requests {
            rate.take(1, now);
        }
        if let Some(rate) = &mut self.bytes {
            rate.take(bytes, now);
        }
        self.window.sent(others, bytes, now)
    }

    /// The destination answered, and has room.
    pub fn answered(&mut self, ticket: Ticket, now: Instant) {
        self.window.answered(ticket, now);
    }

    /// Something was accepted.
    pub fn succeeded(&mut self) {
        self.schedule.reset();
    }

    /// A request failed, or much of what it carried is to be sent again.
    pub fn ease(&mut self, ticket: Ticket) {
        self.window.failed(ticket);
    }

    /// The destination asks for a gentler pace.
    pub fn slow_down(&mut self, ticket: Ticket, asked: Duration, now: Instant) {
        self.ease(ticket);
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
            self.window.collapse();
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

    fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.requests.iter().chain(&self.bytes)
    }
}
