//! Rates.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::rate::Rate;

fn rate(per_second: u64) -> Rate {
    Rate::new(NonZeroU64::new(per_second).unwrap())
}

/// How many of this amount start within so many seconds, when the next is tried every `step`.
fn count(rate: &mut Rate, amount: usize, from: Instant, time: Duration, step: Duration) -> usize {
    let (mut now, mut count) = (from, 0);
    while now < from + time {
        while rate.is_free(now) {
            rate.take(amount, now);
            count += 1;
        }
        now += step;
    }
    count
}

/// Guards the rate: reached, and not exceeded, whatever the timer's grain and however long nothing went before.
#[test]
fn a_rate_is_kept() {
    let start = Instant::now();
    for (per_second, amount, seconds, step_ms, most) in [
        (10, 1, 60, 1, 601),
        (1, 1, 60, 1, 60),
        (1000, 1, 20, 3, 20_101),
        (1_000_000, 300_000, 60, 1, 201),
        // One that is larger than a second's worth goes alone, and the next waits for it.
        (1_000_000, 4_000_000, 60, 1, 15),
    ] {
        let (time, step) = (Duration::from_secs(seconds), Duration::from_millis(step_ms));
        let mut rate = rate(per_second);
        let went = count(&mut rate, amount, start, time, step);
        assert!((most * 99 / 100..=most).contains(&went), "{per_second} {amount}: {went}");
        // After an hour of silence no more comes at once than a tenth of a second's worth.
        let later = start + Duration::from_hours(1);
        let burst = count(&mut rate, amount, later, Duration::from_millis(1), Duration::from_millis(1));
        let tenth = usize::try_from(per_second).unwrap() / 10 / amount;
        assert!(burst <= tenth + 1, "{per_second} {amount}: {burst}");
    }
}

/// Guards numbers that make no sense: no overflow.
#[test]
fn absurd_amounts_wait_and_end_nothing() {
    let now = Instant::now();
    let mut rate = rate(1);
    rate.take(usize::MAX, now);
    assert!(!rate.is_free(now + Duration::from_mins(1)));
    rate.take(usize::MAX, now);
    assert!(rate.free_at().is_some());
}
