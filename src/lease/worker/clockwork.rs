//! When something is done again.

use std::time::Duration;

/// When something is done again.
#[derive(Debug, Default)]
pub(super) struct Clockwork {
    pub(super) at: Duration,
    pub(super) begun: Option<Duration>,
    pub(super) ended: Option<Duration>,
}

impl Clockwork {
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let is_due = self.begun.is_none() && self.at <= now;
        if is_due {
            self.begun = Some(now);
        }
        is_due
    }

    /// When what ends now began.
    pub(super) fn end(&mut self, now: Duration) -> Duration {
        self.ended = Some(now);
        self.begun.take().unwrap_or(now)
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.begun.is_none().then_some(self.at)
    }
}
