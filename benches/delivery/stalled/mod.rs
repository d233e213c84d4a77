//! What one destination that never answers costs the other, when its lane has a spill.
//!
//! The whole pipeline runs in a process of its own, with two Splunk HECs and findings through a pipe; the one that is watched answers at once. In turn the
//! other answers too, or it never does and its lane spills. Once as much is offered as comes at an ordinary site, with the
//! defaults of a spill, from the first moment on; once as much as the program takes, from when the spill is at work. A third
//! kind of round, without the other destination, says what the second lane takes at all: of the processor, which is what is
//! short then.

pub mod pipeline;

use std::process::ExitCode;
use std::time::Duration;

use pipeline::{Other, Pipeline, Sample};
use tokio::time::{Instant, sleep_until};

use crate::destinations::Site;
use crate::quick;

/// What one stalled lane may cost the others, in percent of the events that they deliver in a second.
const COST_MAX_PERCENT: f64 = 5.0;

/// Events a second that are offered.
const OFFERED: u64 = 2000;

/// An unoptimised build tells nothing about time: it only shows that all of it runs.
const IS_TRIAL: bool = cfg!(debug_assertions);

/// How long anything waits before it is spilled where all is taken that there is: what is measured begins only then.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The same by default.
const BY_DEFAULT: Duration = if IS_TRIAL { AT_ONCE } else { Duration::from_secs(10) };

/// The same for a lane whose destination answers, where all is taken that there is: its queue is never empty then, which is
/// no reason to spill.
const NEVER: Duration = Duration::from_hours(1);

/// How long a rate is offered: twice as long as anything waits before it is spilled.
const OFFERED_FOR: Duration = Duration::from_secs(if IS_TRIAL { 4 } else { 20 });

const OFFERED_ROUNDS: usize = if IS_TRIAL { 1 } else { 3 };

/// Events of the watched destination, and as many in the spill, before the clock runs where all is taken that there is.
const WARM_EVENTS: u64 = if IS_TRIAL { 1000 } else { 20_000 };

/// How long is measured then.
const WINDOW: Duration = Duration::from_secs(if IS_TRIAL { 1 } else { 4 });

const FULL_ROUNDS: usize = if IS_TRIAL { 1 } else { 7 };

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Longer takes nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one round says.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Events a second at the watched destination.
    rate: f64,
    /// CPU time of the program for each of them, in microseconds.
    us: f64,
    /// How far the watched destination was behind what was offered at the worst, in seconds of it.
    behind_s: f64,
}

/// Runs all rounds and prints what it costs.
pub fn contest(site: &Site) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let quick = quick::start();
    let silent = quick::silent();
    let other = |stalls: bool| Other { url: if stalls { &silent } else { &quick }, stalls };
    runtime.block_on(async {
        println!("{OFFERED} events a second offered for {} s, {OFFERED_ROUNDS} rounds", OFFERED_FOR.as_secs());
        let mut offered = [Vec::new(), Vec::new()];
        for _ in 0..OFFERED_ROUNDS {
            for (stalls, rounds) in [false, true].into_iter().zip(&mut offered) {
                rounds.push(at_a_rate(&Pipeline::new(site, &quick, Some(other(stalls)), BY_DEFAULT)).await);
            }
        }
        println!("all that there is, {} s each, {FULL_ROUNDS} rounds", WINDOW.as_secs());
        let mut full = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..FULL_ROUNDS {
            let kinds = [Some(other(false)), Some(other(true)), None];
            for (kind, rounds) in kinds.into_iter().zip(&mut full) {
                let after = if kind.is_some_and(|other| other.stalls) { AT_ONCE } else { NEVER };
                rounds.push(at_full_speed(&Pipeline::new(site, &quick, kind, after)).await);
            }
        }
        report(offered, full)
    })
}

fn report(offered: [Vec<Round>; 2], full: [Vec<Round>; 3]) -> ExitCode {
    println!("\n{:<44}{:>12}{:>12}{:>12}{:>12}", "", "best ev/s", "median", "us an event", "behind, s");
    let [healthy, stalled] = offered;
    let healthy = row("offered, the other answers", &healthy);
    let stalled = row("offered, the other is stalled and spills", &stalled);
    let offered = cost(healthy, stalled);
    let [healthy, stalled, alone] = full;
    let healthy = row("at full speed, the other answers", &healthy);
    let stalled = row("at full speed, the other is stalled, spills", &stalled);
    let alone = row("at full speed, there is no other", &alone);
    println!("\nWhat the stalled lane costs the other, by the best rounds (at most {COST_MAX_PERCENT} %):");
    if IS_TRIAL {
        println!("an unoptimised build tells nothing about time");
        return ExitCode::SUCCESS;
    }
    let verdicts = [
        verdict("at the offered rate", offered),
        verdict("at full speed, against a second lane that delivers", cost(healthy, stalled)),
    ];
    println!("{:<56}{:>6.1} %", "(at full speed, against no second lane)", cost(alone, stalled));
    if verdicts.into_iter().all(|holds| holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a row; the best rate.
fn row(name: &str, rounds: &[Round]) -> f64 {
    let sorted = |figure: fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let (rates, us, behind) = (sorted(|round| round.rate), sorted(|round| round.us), sorted(|round| round.behind_s));
    let best = rates[rates.len() - 1];
    println!("{name:<44}{best:>12.0}{:>12.0}{:>12.1}{:>12.2}", rates[rates.len() / 2], us[0], behind[behind.len() / 2]);
    best
}

fn cost(without: f64, with: f64) -> f64 {
    (1.0 - with / without) * 100.0
}

fn verdict(name: &str, cost: f64) -> bool {
    let holds = cost < COST_MAX_PERCENT;
    println!("{name:<56}{cost:>6.1} %  {}", if holds { "OK" } else { "FAILS" });
    holds
}

/// Offers a rate, and looks how far behind the watched destination is, from the beginning: also while the stalled lane is
/// waited for that spills nothing yet.
async fn at_a_rate(pipeline: &Pipeline) -> Round {
    let mut running = pipeline.start().await;
    let first = running.sample().await;
    let begun = Instant::now();
    let mut behind = 0_u64;
    while begun.elapsed() < OFFERED_FOR {
        sleep_until(Instant::now() + LOOK).await;
        let due = u64::try_from(begun.elapsed().as_millis()).expect("a short time") * OFFERED / 1000;
        running.offer(due);
        behind = behind.max(running.offered().saturating_sub(running.sample().await.delivered));
    }
    let last = running.sample().await;
    running.assert_as_planned(&first, &last);
    Round { behind_s: behind as f64 / OFFERED as f64, ..round(&first, &last) }
}

/// Offers all that the program takes.
async fn at_full_speed(pipeline: &Pipeline) -> Round {
    let mut running = pipeline.start().await;
    running.offer(u64::MAX);
    let begun = Instant::now();
    let first = loop {
        assert!(begun.elapsed() < PATIENCE, "the spill begins");
        sleep_until(Instant::now() + LOOK).await;
        let sample = running.sample().await;
        if sample.delivered >= WARM_EVENTS && (!pipeline.stalls() || sample.spilled >= WARM_EVENTS) {
            break sample;
        }
    };
    sleep_until(Instant::now() + WINDOW).await;
    let last = running.sample().await;
    running.assert_as_planned(&first, &last);
    round(&first, &last)
}

fn round(first: &Sample, last: &Sample) -> Round {
    let events = (last.delivered - first.delivered) as f64;
    let us = last.cpu.saturating_sub(first.cpu).as_secs_f64() * 1e6 / events;
    Round { rate: events / (last.at - first.at).as_secs_f64(), us, behind_s: 0.0 }
}
