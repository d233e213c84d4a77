//! Parse, map and serialise the events of four log types: the compiled plan against the same mapping by hand over
//! `serde_json` trees.
//!
//! Both read the same events, free of their envelopes, and write equal documents, which is asserted first as parsed JSON.
//! The rounds interleave; the figure is thread CPU time. Exits with 1 where a log type is below its `ratio_min`.
//!
//! The shipped mapping stands beside them without a floor: it maps more than the two do.
//!
//!     cargo bench --bench normalize                           all log types
//!     cargo bench --bench normalize -- aws.cloudtrail         the named ones
//!     cargo bench --bench normalize -- plan aws.cloudtrail    for a profiler: nothing but the plan, long enough

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a bench stops where something is wrong, and its figures are small"
)]

mod asff;
mod cloudtrail;
mod contest;
mod cpu_time;
mod guardduty;
mod random;
mod tree;
mod vpc_flow;

use std::process::ExitCode;

use contest::{Contest, ROUNDS};

/// A round that the neighbours disturbed so much tells nothing: median over minimum of the reference.
const NOISE_MAX: f64 = 1.3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (modes, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| *word == "plan");
    let all = [guardduty::log_type, cloudtrail::log_type, asff::log_type, vpc_flow::log_type];
    let log_types = all.into_iter().map(|log_type| log_type());
    let named = log_types.filter(|log_type| names.is_empty() || names.iter().any(|name| *name == log_type.name));
    let mut contests: Vec<Contest> = named.map(Contest::new).collect();
    assert!(!contests.is_empty(), "no log type of these names: {names:?}");
    if !modes.is_empty() {
        contests.iter_mut().for_each(Contest::run_plan);
        return ExitCode::SUCCESS;
    }
    for contest in &mut contests {
        println!("{}", contest.assert_equal());
    }
    if cfg!(debug_assertions) {
        println!("equal; an unoptimised build tells nothing about time");
        return ExitCode::SUCCESS;
    }
    for _ in 0..ROUNDS {
        contests.iter_mut().for_each(Contest::round);
    }
    let ratios: Vec<bool> = contests.into_iter().map(report).collect();
    if ratios.into_iter().all(|reached| reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the figures of one log type. Whether its floor is reached.
fn report(contest: Contest) -> bool {
    let (name, ratio_min) = (contest.log_type.name, contest.log_type.ratio_min);
    let figures = contest.figures();
    println!("\n{name:<32}{:>10}{:>10}   us per event", "min", "median");
    for (name, (min, median)) in
        ["compiled plan", "serde_json trees", "compiled plan, shipped mapping"].iter().zip(figures)
    {
        println!("{name:<32}{min:>10.2}{median:>10.2}");
    }
    let ratio = figures[1].0 / figures[0].0;
    println!("ratio of the minima: {ratio:.2} (at least {ratio_min})");
    if figures[1].1 / figures[1].0 > NOISE_MAX {
        println!("the machine was too busy for a verdict on more than the minima");
    }
    ratio >= ratio_min
}
