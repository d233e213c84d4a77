//! The window against simulated destinations: so many workers behind one queue, which take some time for each batch.

use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::window::{Ticket, Window};

/// How the time that a batch takes varies.
#[derive(Clone, Copy, Debug)]
enum Jitter {
    None,
    /// Evenly, by half to either side.
    Even,
    /// As seldom but far as that of customers at a counter.
    Exponential,
}

/// The sizes of batches.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    Equal,
    /// From 1 KiB to 4 MiB, each doubling as often as any other.
    Mixed,
}

#[derive(Clone, Debug)]
struct World {
    seed: u64,
    workers: usize,
    window_max: u32,
    jitter: Jitter,
    sizes: Sizes,
    /// When each lane begins, in seconds.
    begins: Vec<f64>,
    /// From when to when every request fails after a second.
    outage: Option<(f64, f64)>,
    /// What is counted ends before `until_s` and after `from_s`.
    from_s: f64,
    until_s: f64,
}

/// What a lane got.
#[derive(Clone, Copy, Debug, Default)]
struct Got {
    /// The share of what the destination can do at most.
    share: f64,
    /// How many times as long as a batch takes at a worker its answer took.
    times: f64,
}

struct Lane {
    window: Window,
    in_flight: u32,
    answers: f64,
    worked_s: f64,
    took_s: f64,
}

struct Request {
    lane: usize,
    ticket: Option<Ticket>,
    sent_s: f64,
    work_s: f64,
    ends_s: f64,
    fails: bool,
}

impl World {
    fn new(workers: usize, jitter: Jitter, sizes: Sizes, seed: u64) -> Self {
        let until_s = if workers > 4 { 150.0 } else { 400.0 };
        let (begins, outage) = (vec![0.0], None);
        Self { seed, workers, window_max: 64, jitter, sizes, begins, outage, from_s: 50.0, until_s }
    }

    fn run(&self) -> Vec<Got> {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs_f64(seconds);
        let mut free_s = vec![0.0_f64; self.workers];
        let lane =
            || Lane { window: Window::new(self.window_max), in_flight: 0, answers: 0.0, worked_s: 0.0, took_s: 0.0 };
        let mut lanes: Vec<Lane> = self.begins.iter().map(|_| lane()).collect();
        let begin = |(lane, begin): (usize, &f64)| Request {
            lane,
            ticket: None,
            sent_s: *begin,
            work_s: 0.0,
            ends_s: *begin,
            fails: false,
        };
        let mut requests: Vec<Request> = self.begins.iter().enumerate().map(begin).collect();
        loop {
            let first = (0..requests.len()).min_by(|a, b| requests[*a].ends_s.total_cmp(&requests[*b].ends_s)).unwrap();
            let ended = requests.swap_remove(first);
            let now_s = ended.ends_s;
            if now_s > self.until_s {
                break;
            }
            let lane = &mut lanes[ended.lane];
            if let Some(ticket) = ended.ticket {
                lane.in_flight -= 1;
                if ended.fails {
                    lane.window.failed(ticket);
                    lane.window.collapse();
                    assert_eq!(lane.window.size(), 1);
                } else {
                    lane.window.answered(ticket, at(now_s));
                }
                if now_s > self.from_s && !ended.fails {
                    lane.answers += 1.0;
                    lane.worked_s += ended.work_s;
                    lane.took_s += now_s - ended.sent_s;
                }
            }
            while lane.in_flight < lane.window.size() {
                let bytes = match self.sizes {
                    Sizes::Equal => 1 << 20,
                    Sizes::Mixed => 1 << rng.usize(10..22),
                };
                let mean_s = match self.sizes {
                    Sizes::Equal => 0.1,
                    Sizes::Mixed => 0.02 + 0.1 * f64::from(u32::try_from(bytes).unwrap()) / f64::from(1 << 20),
                };
                let work_s = mean_s
                    * match self.jitter {
                        Jitter::None => 1.0,
                        Jitter::Even => 0.5 + rng.f64(),
                        Jitter::Exponential => -(1.0 - rng.f64()).ln(),
                    };
                let ticket = lane.window.sent(lane.in_flight, bytes, at(now_s));
                lane.in_flight += 1;
                let fails = self.outage.is_some_and(|(from_s, until_s)| (from_s..until_s).contains(&now_s));
                let ends_s = if fails {
                    now_s + 1.0
                } else {
                    let free_s = free_s.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
                    *free_s = free_s.max(now_s) + work_s;
                    *free_s
                };
                requests.push(Request { lane: ended.lane, ticket: Some(ticket), sent_s: now_s, work_s, ends_s, fails });
            }
        }
        let all_s = (self.until_s - self.from_s) * f64::from(u32::try_from(self.workers).unwrap());
        lanes.iter().map(|lane| Got { share: lane.worked_s / all_s, times: lane.took_s / lane.worked_s }).collect()
    }
}

/// Guards that the window finds what the destination can do, without knowing it, and without a queue of more than a few:
/// whatever the number of its workers, however long each answer takes, and whether batches are alike or not.
#[test]
fn the_window_finds_the_capacity_and_no_long_queue() {
    for workers in [1, 2, 4, 16, 40] {
        for (jitter, share_min) in [(Jitter::None, 0.9), (Jitter::Even, 0.9), (Jitter::Exponential, 0.65)] {
            for sizes in [Sizes::Equal, Sizes::Mixed] {
                for seed in 0..3 {
                    let world = World::new(workers, jitter, sizes, seed);
                    let got = world.run()[0];
                    assert!(got.share > share_min && got.times < 2.2, "{got:?} {world:?}");
                }
            }
        }
    }
}

/// Guards the bound that a person sets.
#[test]
fn the_window_stays_below_its_maximum() {
    for window_max in [1, 3] {
        let got = World { window_max, ..World::new(16, Jitter::None, Sizes::Equal, 1) }.run()[0];
        let possible = f64::from(window_max) / 16.0;
        assert!((possible * 0.95..possible * 1.01).contains(&got.share), "{window_max}: {got:?}");
    }
}

/// Guards fairness: of two lanes to one destination the one that comes later gets its half, and the queue stays bounded.
#[test]
fn two_lanes_share() {
    for workers in [4, 16] {
        for jitter in [Jitter::None, Jitter::Even, Jitter::Exponential] {
            for seed in 0..2 {
                let until_s = if workers > 4 { 400.0 } else { 1000.0 };
                let world = World {
                    begins: vec![0.0, 60.0],
                    from_s: until_s * 0.4,
                    until_s,
                    ..World::new(workers, jitter, Sizes::Equal, seed)
                };
                let got = world.run();
                assert!(got[0].share + got[1].share > 0.9, "{got:?} {world:?}");
                assert!(got.iter().all(|got| got.share > 0.25 && got.times < 6.0), "{got:?} {world:?}");
            }
        }
    }
}

/// Guards the way down and up again: one request at a time while all fail, and soon after the end what was before.
#[test]
fn the_window_recovers_after_an_outage() {
    for workers in [1, 4, 16] {
        for seed in 0..3 {
            let world = World {
                outage: Some((30.0, 90.0)),
                from_s: 95.0,
                until_s: 125.0,
                ..World::new(workers, Jitter::Even, Sizes::Equal, seed)
            };
            let got = world.run()[0];
            assert!(got.share > 0.8 && got.times < 2.5, "{got:?} {world:?}");
        }
    }
}

/// Guards the reaction to a throttled request: half at once, the failures of one round once, and growth from there.
#[test]
fn a_throttled_request_halves_the_window() {
    let now = Instant::now();
    let mut window = Window::new(16);
    assert_eq!((window.size(), window.latency()), (1, None));
    let second = Duration::from_secs(1);
    let answer = |window: &mut Window, times: usize| {
        for _ in 0..times {
            let ticket = window.sent(window.size() - 1, 1000, now);
            window.answered(ticket, now + second);
        }
    };
    answer(&mut window, 15);
    assert_eq!((window.size(), window.latency()), (16, Some(second)), "fast at first");
    let tickets: Vec<Ticket> = (0..16).map(|others| window.sent(others, 1000, now)).collect();
    for ticket in tickets {
        window.failed(ticket);
    }
    assert_eq!(window.size(), 8);
    answer(&mut window, 15);
    assert_eq!(window.size(), 8, "an epoch");
    answer(&mut window, 1);
    assert_eq!(window.size(), 9);
    for expected in [4, 2, 1, 1] {
        let ticket = window.sent(0, 1000, now);
        window.failed(ticket);
        assert_eq!(window.size(), expected);
    }
}

/// Guards that a window which was never full does not grow: nothing is known about a larger one.
#[test]
fn an_idle_lane_learns_nothing_about_larger_windows() {
    let now = Instant::now();
    let mut window = Window::new(16);
    for _ in 0..200 {
        let ticket = window.sent(0, 1000, now);
        window.answered(ticket, now + Duration::from_millis(10));
    }
    assert_eq!(window.size(), 2);
}
