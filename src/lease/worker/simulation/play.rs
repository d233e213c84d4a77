//! Plays the seeds, and counts what landed.

use super::Simulation;
use crate::lease::{hands_over, worker_id};

/// How many seeds each of the tests plays: 10,000 in all.
const RUNS: u64 = 2500;

/// What happened, over all runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills_with_unsettled: u64,
    pub(super) pauses: u64,
    pub(super) partitions: u64,
    pub(super) stops: u64,
    pub(super) splits: u64,
    pub(super) merges: u64,
    pub(super) throttled: u64,
    pub(super) late_requests: u64,
    pub(super) lost_answers: u64,
    /// Runs with two clocks that run apart by more than a thousandth.
    pub(super) clocks_apart: u64,
    /// Workers that know no asking.
    pub(super) without_asking: u64,
    /// Leases that were handed over by their owner.
    pub(super) handed_over: u64,
    /// Leases that were taken from one.
    pub(super) taken: u64,
    pub(super) granted: u64,
    /// Runs of 3, 4, ... 8 workers at the beginning.
    pub(super) of_workers: [u64; 6],
    /// The longest time without a reader, in milliseconds.
    pub(super) gap_longest: u64,
}

impl Simulation {
    pub(super) fn count_clocks(&mut self) {
        let drifts = || self.workers.iter().map(|being| being.drift_ppm);
        let apart = drifts().max().unwrap_or(0) - drifts().min().unwrap_or(0);
        self.tally.clocks_apart += u64::from(apart > 1000);
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills_with_unsettled += other.kills_with_unsettled;
        self.pauses += other.pauses;
        self.partitions += other.partitions;
        self.stops += other.stops;
        self.splits += other.splits;
        self.merges += other.merges;
        self.throttled += other.throttled;
        self.late_requests += other.late_requests;
        self.lost_answers += other.lost_answers;
        self.clocks_apart += other.clocks_apart;
        self.without_asking += other.without_asking;
        self.handed_over += other.handed_over;
        self.taken += other.taken;
        self.granted += other.granted;
        for (sum, more) in self.of_workers.iter_mut().zip(other.of_workers) {
            *sum += more;
        }
        self.gap_longest = self.gap_longest.max(other.gap_longest);
    }

    /// Each kind of trouble, and how often it landed.
    fn landed(&self) -> Vec<u64> {
        let mut landed = vec![
            self.kills_with_unsettled,
            self.pauses,
            self.partitions,
            self.stops,
            self.splits,
            self.merges,
            self.throttled,
            self.late_requests,
            self.lost_answers,
            self.clocks_apart,
            self.without_asking,
            self.handed_over,
            self.taken,
            self.granted,
        ];
        landed.extend(self.of_workers);
        landed
    }
}

/// The same seeds every time, so that a change is judged by what it changes; others where that is asked for.
fn play(part: u64) {
    assert!(hands_over(&worker_id("host", 1)));
    let asked = std::env::var("SIEMLINE_SEED").unwrap_or_default();
    if let Ok(seed) = asked.parse() {
        println!("{:?}", Simulation::new(seed).run());
        return;
    }
    let runs = std::env::var("SIEMLINE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let first = if asked == "random" { fastrand::u64(..1 << 40) } else { part * runs };
    println!("seeds {first} to {}", first + runs - 1);
    let mut sum = Tally::default();
    for seed in first..first + runs {
        sum.add(&Simulation::new(seed).run());
    }
    println!("{sum:#?}");
    assert!(
        sum.landed().into_iter().all(|landed| landed > runs / 20),
        "too little went wrong to prove anything: {sum:?}"
    );
}

/// Guards the sharing of leases among workers that fail. It is cut into four, so that they are played side by side.
#[test]
fn workers_share_a_stream_whatever_happens() {
    play(0);
}

#[test]
fn workers_share_a_stream_whatever_happens_2() {
    play(1);
}

#[test]
fn workers_share_a_stream_whatever_happens_3() {
    play(2);
}

#[test]
fn workers_share_a_stream_whatever_happens_4() {
    play(3);
}
