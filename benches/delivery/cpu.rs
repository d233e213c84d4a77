//! CPU time of this process, told apart by whose threads spent it: the product's, or a fake's.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// What the threads of fakes are named, or begin with. librdkafka names the one of its mock cluster itself.
const FAKES: [&str; 2] = [FAKE, "rdk:mock"];

/// The name of a thread that belongs to a fake.
pub const FAKE: &str = "fake";

/// What was spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// By every thread that is no fake's: the lane, the blocking calls of a file, librdkafka's own.
    pub ours: Duration,
    /// By the fakes.
    pub fakes: Duration,
}

/// What all threads of this process spend on `work`. Threads that end meanwhile are left out: those of a runtime, of a sink and
/// of a fake live on.
pub fn of(work: impl FnOnce()) -> Spent {
    let before = threads();
    work();
    let mut spent = Spent::default();
    for (id, (is_fake, nanoseconds)) in threads() {
        let earlier = before.get(&id).map_or(0, |(_, nanoseconds)| *nanoseconds);
        let part = Duration::from_nanos(nanoseconds.saturating_sub(earlier));
        if is_fake { spent.fakes += part } else { spent.ours += part }
    }
    spent
}

/// The threads by their ids: whether each is a fake's, and its CPU time in nanoseconds.
fn threads() -> HashMap<String, (bool, u64)> {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let tasks = fs::read_dir("/proc/self/task").expect("Linux tells a process's threads").flatten();
    tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let nanoseconds = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanoseconds = nanoseconds.split(' ').next()?.parse().ok()?;
            let is_fake = FAKES.iter().any(|fake| name.starts_with(fake));
            Some((task.file_name().to_string_lossy().into_owned(), (is_fake, nanoseconds)))
        })
        .collect()
}
