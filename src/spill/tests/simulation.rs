//! A lane with a spill beside one without, over crashes, stops, failing disks and destinations that are down.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join3, select};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::super::log::Log;
use super::super::run::{Spill, run};
use super::super::testing::{Destination, MemoryDisk};
use crate::ack::{Frontier, Outcome, Position, Sequence, Settlements, Step};
use crate::budget::Budget;
use crate::delivery::testing::{MemoryDeadLetters, block};
use crate::delivery::{self, Here, Lane, LaneDefaults, LaneOptions, Parcel};
use crate::metric::{EventMeter, LaneMeter};
use crate::shutdown::{self, Shutdown, Stop};
use crate::unit::Span;

const SEEDS: u64 = 24;
const EVENTS: u64 = 400;

/// What survives a crash: the disk of the first lane's spill, both destinations, and the source's checkpoint.
struct World {
    disk: MemoryDisk,
    bytes_max: u64,
    destinations: [Arc<Destination>; 2],
    checkpoint: Mutex<Option<Position>>,
}

/// How a life of the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Crash,
    Stop,
    /// When everything is delivered.
    Drain,
}

/// Prints the seed of the round that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIEMLINE_SEED={}", self.0);
        }
    }
}

pub(super) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Guards law 1 with a spill: whatever crashes, fails or is down, in the end both destinations have every event, the disk
/// holds nothing, all room is given back, and the books of events add up.
#[test]
fn nothing_is_lost_with_a_spill() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("SIEMLINE_SEED");
    let count = number("SIEMLINE_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        let _seed = Seed(seed);
        paused().block_on(simulate(seed));
    }
}

async fn simulate(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World {
        disk: MemoryDisk::new(rng.u64(..), [0, 10, 40][rng.usize(0..3)], Duration::from_millis(rng.u64(0..300))),
        bytes_max: rng.u64(1500..20_000),
        destinations: [Arc::default(), Arc::default()],
        checkpoint: Mutex::default(),
    };
    for _ in 0..rng.usize(1..5) {
        let end = if rng.bool() { End::Crash } else { End::Stop };
        Box::pin(life(&world, &mut rng, end)).await;
        if end == End::Crash {
            world.disk.crash();
        }
    }
    world.disk.mend();
    for destination in &world.destinations {
        destination.is_down.store(false, Ordering::Relaxed);
    }
    Box::pin(life(&world, &mut rng, End::Drain)).await;
    for destination in &world.destinations {
        let taken: BTreeSet<u64> = destination.taken.lock().unwrap().iter().map(|(number, _)| *number).collect();
        assert_eq!(taken, (0..EVENTS).collect());
    }
    let left: Vec<String> = world.disk.files().into_keys().filter(|name| name != "settled").collect();
    assert!(left.is_empty(), "{left:?}");
}

async fn life(world: &World, rng: &mut fastrand::Rng, end: End) {
    let budget = Budget::new(rng.usize(200..4000));
    let events = Arc::<EventMeter>::default();
    let (stop, shutdown) = shutdown::channel();
    let log = Log::open(world.disk.clone(), "ocsf", world.bytes_max).await.unwrap();
    let after = Duration::from_millis(rng.u64(0..20_000));
    let (first, spilling) = spilling(&world.destinations[0], log, world.bytes_max, after, &budget, &events, &shutdown);
    let (second, meter) = (mpsc::channel(2), Arc::<LaneMeter>::default());
    let plain = delivery::run(lane(&world.destinations[1], second.1, &budget, &events, &meter));
    let source = source(world, rng.fork(), &budget, [first, second.0], &shutdown);
    let (read, life) = {
        let read = Mutex::new(0);
        let working = async {
            let (count, (), ()) = join3(source, spilling, plain).await;
            *read.lock().unwrap() = count;
        };
        let troubles = troubles(&world.destinations[0], rng.fork(), end, &stop);
        let bound = if end == End::Drain { Duration::from_hours(24) } else { Duration::from_secs(rng.u64(1..400)) };
        let life = timeout(bound, async {
            let working = Box::pin(working);
            select(working, Box::pin(troubles)).await;
        });
        let is_over = Box::pin(life).await.is_ok();
        (*read.lock().unwrap(), is_over)
    };
    assert!(life || end != End::Drain, "the lanes stand still");
    assert_eq!(budget.used(), 0, "all room was given back");
    if life && end == End::Drain {
        let ended = events.delivered.get() + events.spilled.get();
        assert_eq!(ended, read, "every event ended once");
        assert_eq!(events.abandoned.get(), 0);
    }
}

/// The lane of the first destination behind a spill, and where its parcels go.
fn spilling(
    destination: &Arc<Destination>,
    log: Log<MemoryDisk>,
    bytes_max: u64,
    after: Duration,
    budget: &Budget,
    events: &Arc<EventMeter>,
    shutdown: &Shutdown,
) -> (mpsc::Sender<Parcel>, impl Future<Output = ()> + use<>) {
    let (parcels, queue) = mpsc::channel(4);
    let (to_lane, of_lane) = mpsc::channel(1);
    let meter = Arc::<LaneMeter>::default();
    let spill = Spill {
        name: "spilling".into(),
        log,
        bytes_max,
        after,
        queue,
        lane: to_lane,
        budget: budget.clone(),
        meter: Arc::clone(&meter),
        events: Arc::clone(events),
        names: Arc::default(),
        shutdown: shutdown.clone(),
        clock: || 1_700_000_000_000,
    };
    (parcels, run(spill, delivery::run(lane(destination, of_lane, budget, events, &meter))))
}

pub(super) fn lane(
    destination: &Arc<Destination>,
    queue: mpsc::Receiver<Parcel>,
    budget: &Budget,
    events: &Arc<EventMeter>,
    meter: &Arc<LaneMeter>,
) -> Lane<Arc<Destination>, MemoryDeadLetters, Here> {
    let options = LaneOptions {
        batch_entries_max: Some(20),
        batch_age_max: Some(Span::milliseconds(200)),
        requests_in_flight_max: Some(1),
        retry_max: Span::seconds(10),
        ..LaneOptions::default()
    };
    Lane {
        name: "lane".into(),
        sink: Arc::clone(destination),
        dead_letters: MemoryDeadLetters::new(0, Duration::ZERO),
        tasks: Here,
        queue,
        settings: options.settings(LaneDefaults::default()).unwrap(),
        budget: budget.clone(),
        meter: Arc::clone(meter),
        events: Arc::clone(events),
        seed: 1,
        clock: || 1_700_000_000_000,
    }
}

/// Reads from the checkpoint to the end, or until it is to stop, and waits for what it has read. How much that was.
async fn source(
    world: &World,
    mut rng: fastrand::Rng,
    budget: &Budget,
    lanes: [mpsc::Sender<Parcel>; 2],
    shutdown: &Shutdown,
) -> u64 {
    let checkpoint = world.checkpoint.lock().unwrap().clone();
    let first = checkpoint.as_ref().map_or(0, |at| at.sequence.as_str().parse::<u64>().unwrap() + 1);
    let (mut next, mut frontier, settlements) = (first, Frontier::new(8, checkpoint), Settlements::default());
    loop {
        while !frontier.is_full() && next < EVENTS && !shutdown.is_requested() {
            sleep(Duration::from_millis(rng.u64(0..2000))).await;
            let numbers: Vec<u64> = (next..EVENTS.min(next + rng.u64(1..12))).collect();
            next += u64::try_from(numbers.len()).unwrap();
            let position = |number: &u64| Position::new("shard".into(), Sequence::from(*number));
            let id = frontier.open(numbers.iter().map(position).collect());
            let receipt = settlements.receipt(id);
            put(&numbers, budget, &lanes, &receipt).await;
            receipt.settle(Outcome::Delivered);
        }
        if frontier.is_idle() {
            return next - first;
        }
        if let Step::Advance(position) = frontier.settle(settlements.next().await) {
            *world.checkpoint.lock().unwrap() = Some(position);
        }
    }
}

pub(super) async fn put(
    numbers: &[u64],
    budget: &Budget,
    lanes: &[mpsc::Sender<Parcel>; 2],
    receipt: &crate::ack::Receipt,
) {
    let charge = budget.admit(numbers.len() * 10).await;
    let block = block("shard", numbers, &vec![2; numbers.len()], charge);
    for lane in lanes {
        let rows = (0..u32::try_from(numbers.len()).unwrap()).collect();
        let _gone = lane.send(Parcel { block: Arc::clone(&block), rows, receipt: receipt.share() }).await;
    }
}

/// The first destination goes down and comes back; at some time the process is asked to stop.
async fn troubles(destination: &Destination, mut rng: fastrand::Rng, end: End, stop: &Stop) {
    if end == End::Drain {
        return std::future::pending().await;
    }
    for _ in 0..rng.u8(0..6) {
        sleep(Duration::from_millis(rng.u64(0..60_000))).await;
        destination.is_down.store(rng.u8(0..3) > 0, Ordering::Relaxed);
    }
    if end == End::Stop {
        stop.stop();
    }
    std::future::pending::<()>().await;
}

/// Guards the promise of a spill: one destination is down for six hours; the other gets every event as soon as ever, all but
/// the first of them within moments; the source's checkpoint goes on; and when the first is back, it gets everything, once,
/// and in order what was on the disk.
#[test]
fn six_hours_down_cost_the_other_nothing() {
    const EVERY: Duration = Duration::from_secs(2);
    /// As many as two batches and what is being filled behind them.
    const LANE_HOLDS_MAX: usize = 100;
    const DOWN: Duration = Duration::from_hours(6);
    paused().block_on(async {
        let budget = Budget::new(20_000);
        let events = Arc::<EventMeter>::default();
        let (_stop, shutdown) = shutdown::channel();
        let disk = MemoryDisk::new(3, 0, Duration::from_millis(5));
        let destinations: [Arc<Destination>; 2] = Default::default();
        destinations[0].is_down.store(true, Ordering::Relaxed);
        let log = Log::open(disk.clone(), "ocsf", 64 << 20).await.unwrap();
        let after = Duration::from_secs(10);
        let (first, spilling) = spilling(&destinations[0], log, 64 << 20, after, &budget, &events, &shutdown);
        let (second, queue) = mpsc::channel(4);
        let meter = Arc::<LaneMeter>::default();
        let plain = delivery::run(lane(&destinations[1], queue, &budget, &events, &meter));
        let made = Mutex::new(Vec::new());
        let source = async {
            let (mut frontier, settlements, lanes) = (Frontier::new(16, None), Settlements::default(), [first, second]);
            let begin = Instant::now();
            for number in 0.. {
                sleep(EVERY).await;
                while frontier.is_full() {
                    frontier.settle(settlements.next().await);
                }
                while let Some(settled) = settlements.try_next() {
                    frontier.settle(settled);
                }
                made.lock().unwrap().push(Instant::now());
                let id = frontier.open(vec![Position::new("shard".into(), Sequence::from(number))]);
                let receipt = settlements.receipt(id);
                put(&[number], &budget, &lanes, &receipt).await;
                receipt.settle(Outcome::Delivered);
                if begin.elapsed() > DOWN {
                    break;
                }
            }
            destinations[0].is_down.store(false, Ordering::Relaxed);
            drop(lanes);
            while !frontier.is_idle() {
                frontier.settle(settlements.next().await);
            }
        };
        let all = join(source, join(spilling, plain));
        timeout(Duration::from_hours(12), all).await.expect("everything comes to its end");
        let made = made.into_inner().unwrap();
        for destination in &destinations {
            let taken = destination.taken.lock().unwrap();
            let mut numbers: Vec<u64> = taken.iter().map(|(number, _)| *number).collect();
            // What the lane had when its destination went down it has sent again and again, in turns.
            assert!(numbers[LANE_HOLDS_MAX..].is_sorted(), "what was on the disk comes in order");
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..u64::try_from(made.len()).unwrap()), "everything, once");
        }
        let taken = destinations[1].taken.lock().unwrap();
        let lag = taken.iter().zip(&made).map(|((_, taken), made)| *taken - *made).max().unwrap();
        assert!(lag < Duration::from_secs(1), "the other's lag is {lag:?}");
        assert!(events.spilled.get() > 0, "{events:?}");
        assert_eq!(events.spilled.get() + events.delivered.get(), u64::try_from(made.len()).unwrap());
        assert_eq!(budget.used(), 0);
    });
}
