//! The clock of the bench.

use std::time::Duration;

/// The CPU time this thread spends on `work`.
pub fn of(work: impl FnOnce()) -> Duration {
    let before = now();
    work();
    now().saturating_sub(before)
}

/// CPU time of this thread. The kernel brings the figure up to date when the thread gives way.
fn now() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    let nanoseconds =
        text.split(' ').next().and_then(|first| first.parse().ok()).expect("its first word is nanoseconds");
    Duration::from_nanos(nanoseconds)
}
