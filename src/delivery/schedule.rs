//! When to try again: full jitter over an exponential ceiling. Pure.
//!
//! The `backoff` crate is no longer maintained, hence it is named in this file only. It gives the ceilings; the jitter is
//! drawn here, from a seed, so that a run can be repeated.

use std::time::{Duration, Instant};

use backoff::Clock;
use backoff::backoff::Backoff;
use backoff::exponential::ExponentialBackoff;

/// The longest wait that a destination may ask for. A `Retry-After` beyond it is taken for a mistake, and cut to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);

/// The waits of one series of failures.
#[derive(Debug)]
pub struct Schedule {
    ceilings: ExponentialBackoff<Still>,
    jitter: fastrand::Rng,
}

/// A clock that stands still: the series has no end in time, so `backoff` needs none.
#[derive(Clone, Copy, Debug)]
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

impl Schedule {
    /// A schedule whose first ceiling is `first`, doubled each time up to `max`. `any_time` is not read as a time: the
    /// crate underneath wants one.
    #[must_use]
    pub fn new(first: Duration, max: Duration, seed: u64, any_time: Instant) -> Self {
        let ceilings = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: max,
            start_time: any_time,
            max_elapsed_time: None,
            clock: Still(any_time),
        };
        Self { ceilings, jitter: fastrand::Rng::with_seed(seed) }
    }

    /// A schedule of the same settings at its beginning, with its own jitter.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut ceilings = self.ceilings.clone();
        ceilings.reset();
        Self { ceilings, jitter: self.jitter.fork() }
    }

    /// How long to wait now. What the destination asked for is honoured up to [`RETRY_AFTER_MAX`], where it is longer.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let max = self.ceilings.max_interval;
        let ceiling = self.ceilings.next_backoff().unwrap_or(max).min(max);
        ceiling.mul_f64(self.jitter.f64()).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    /// Begins anew: something got through.
    pub fn reset(&mut self) {
        self.ceilings.reset();
    }
}
