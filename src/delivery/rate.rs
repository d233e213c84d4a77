//! A rate that is not exceeded: so many per second, evenly. Pure; the time is given.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// How much of the past may be caught up: what was not used because a timer was late, or because nothing was there. So no
/// second has more than a tenth above the rate, beside the one item that may come at once.
const CATCH_UP: Duration = Duration::from_millis(100);

/// So many per second: a bucket of tokens of the smallest depth that loses nothing to timers. What is larger than the
/// bucket goes all the same, and the next waits for as long as that took.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: NonZeroU64,
    free_at: Option<Instant>,
}

impl Rate {
    pub fn new(per_second: NonZeroU64) -> Self {
        Self { per_second, free_at: None }
    }

    /// When the next may go; `None` for at once.
    pub fn free_at(&self) -> Option<Instant> {
        self.free_at
    }

    /// Says whether the next may go.
    pub fn is_free(&self, now: Instant) -> bool {
        self.free_at.is_none_or(|time| now >= time)
    }

    /// So many go now.
    pub fn take(&mut self, amount: usize, now: Instant) {
        let amount = u128::try_from(amount).unwrap_or(u128::MAX);
        let nanoseconds = amount.saturating_mul(1_000_000_000) / u128::from(self.per_second.get());
        let takes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let from = self.free_at.map_or(now, |free_at| free_at.max(earliest));
        // What takes longer than any clock can tell has the next wait as long as can be told.
        self.free_at = from.checked_add(takes).or_else(|| from.checked_add(Duration::from_hours(24))).or(Some(from));
    }
}
