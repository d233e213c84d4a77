//! Events per second and core through every kind of sink: into its encoder, through a lane with a destination in memory, and
//! through a lane over loopback to the fake of the hermetic suite that is as strict as the real destination.
//!
//! The rounds interleave. The figure is CPU time: of the thread that encodes, batches and judges, and for what is delivered of
//! all threads of the process but the fake's, so that librdkafka's, the SDK's and those that write files count. What the fake
//! itself took stands beside it and in no figure. Each round has a fake and a sink of its own, and is held against what arrived.
//!
//! `tasks` says, by the clock on the wall, what it brings that requests are tasks of their own. `stalled` runs the whole pipeline
//! with two destinations, one of which never answers, and says what that costs the other.
//!
//!     cargo bench --bench delivery                  all sinks
//!     cargo bench --bench delivery -- elastic       the sinks whose names begin so
//!     cargo bench --bench delivery -- tasks
//!     cargo bench --bench delivery -- stalled

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a bench stops where something is wrong, and its figures are small"
)]

#[path = "../reading/corpus.rs"]
#[expect(dead_code, reason = "one kind of records is enough here")]
mod corpus;
mod cpu;
#[path = "../normalize/cpu_time.rs"]
mod cpu_time;
mod destinations;
#[path = "../../tests/it/events.rs"]
#[expect(dead_code, reason = "the load is this bench's own")]
mod events;
#[expect(dead_code, reason = "nothing goes wrong here on purpose")]
mod fakes;
mod load;
mod quick;
#[path = "../normalize/random.rs"]
mod random;
mod stalled;
mod table;
mod tasks;

use std::process::ExitCode;

use destinations::Site;
use load::Load;

/// What a child is told that measures the sink whose destination is its own standard output.
const CHILD: &str = "child-whose-standard-output-is-taken";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let site = Site::new();
    match words.first().map(String::as_str) {
        Some(CHILD) => eprint!("{}", table::row("stdout", &site, &Load::new())),
        Some(stalled::pipeline::CHILD) => stalled::pipeline::run(&words[1]),
        Some("tasks") => tasks::contest(&site, &Load::new()),
        Some("stalled") => return stalled::contest(&site),
        _ => table::print(&words, &site, &Load::new()),
    }
    ExitCode::SUCCESS
}
