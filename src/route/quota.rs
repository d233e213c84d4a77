//! A byte budget: so many bytes in an hour of the wall clock.

use std::sync::{Arc, Mutex, PoisonError};

/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// A budget that all workers share. Its hours are those of the clock in UTC, so that what an hour let through can be told
/// from the events themselves.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    bytes_max: u64,
    hour: Arc<Mutex<Hour>>,
}

/// The hour that is counted, since 1970, and what it has let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hour {
    number: i64,
    bytes: u64,
}

impl Quota {
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, hour: Arc::default() }
    }

    /// Whether an event of so many bytes goes through now; if so, it is counted.
    pub fn admits(&self, now_ms: i64, bytes: usize) -> bool {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        hour.admits(now_ms, u64::try_from(bytes).unwrap_or(u64::MAX), self.bytes_max)
    }
}

impl Hour {
    /// The first event of an hour goes through whatever its size: a budget below one event would let nothing through at all.
    fn admits(&mut self, now_ms: i64, bytes: u64, bytes_max: u64) -> bool {
        let number = now_ms.div_euclid(HOUR_MS);
        // A clock that was set back goes on in the hour that was begun.
        if number > self.number {
            *self = Self { number, bytes: 0 };
        }
        let after = self.bytes.saturating_add(bytes);
        let admitted = self.bytes == 0 || after <= bytes_max;
        if admitted {
            self.bytes = after;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the budget: up to the bound, anew in the next hour, not anew when the clock goes back, a giant once.
    #[test]
    fn a_quota_is_spent_and_renewed() {
        let mut hour = Hour::default();
        let ten = 10 * HOUR_MS;
        assert!(hour.admits(ten, 60, 100));
        assert!(!hour.admits(ten + 1, 41, 100), "over the budget");
        assert!(hour.admits(ten + HOUR_MS - 1, 40, 100), "what still fits goes through");
        assert!(!hour.admits(ten + HOUR_MS - 1, 1, 100));
        assert!(!hour.admits(ten - HOUR_MS, 1, 100), "a clock set back gives nothing");
        assert!(hour.admits(ten + HOUR_MS, 100, 100), "the next hour");
        assert!(hour.admits(ten + 2 * HOUR_MS, 5000, 100), "a giant, first in its hour");
        assert!(!hour.admits(ten + 2 * HOUR_MS, 1, 100));
    }
}
