//! Several lanes over one budget, sources with frontiers before them, destinations that fail by a seeded plan behind them,
//! and crashes between: the conservation law in paused time.
//!
//! `SIEMLINE_SEED=<n>` runs one seed, `SIEMLINE_SEEDS=<n>` so many.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{sleep, timeout};

use crate::ack::{ChunkId, Frontier, Outcome, Position, Receipt, Settled, Step};
use crate::budget::Budget;
use crate::delivery::testing::{MemoryDeadLetters, MemorySink, Nature, Plan, block, block_of};
use crate::delivery::{DeadReason, Here, Lane, LaneDefaults, LaneOptions, LaneSettings, Oversize, Parcel, run};
use crate::metric::{EventMeter, LaneMeter};
use crate::unit::{Size, Span};

const SEEDS: u64 = 12;
const LANES: usize = 3;
const SHARDS: u64 = 3;
const EVENTS_A_SHARD: u64 = 250;
/// Where the numbers of the events begin that only keep the destinations busy.
const TICKS_FROM: u64 = 1_000_000;

/// Guards law 1 over everything that can happen to a lane: in the end every event is at every sink that it was routed to,
/// or in the dead letters if and only if that sink refuses it for good; receipts tell the worst; the meters add up; all room
/// is given back.
#[test]
fn nothing_is_lost_whatever_the_destinations_do() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("SIEMLINE_SEED");
    let count = number("SIEMLINE_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        let _seed = Seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(simulate(seed));
    }
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

/// What survives a crash.
struct World {
    sinks: Vec<Arc<MemorySink>>,
    dead: Vec<Arc<MemoryDeadLetters>>,
    checkpoints: Mutex<HashMap<u64, Position>>,
    settings: Vec<LaneSettings>,
}

const NATURES: [fn(u64) -> Nature; LANES] = [
    |number| match number {
        _ if number.is_multiple_of(53) => Nature::Poison,
        _ if number.is_multiple_of(71) => Nature::Sour,
        _ => Nature::Good,
    },
    |number| match number {
        _ if number.is_multiple_of(47) => Nature::Poison,
        _ if number.is_multiple_of(89) => Nature::Sour,
        _ if number.is_multiple_of(101) => Nature::Giant,
        _ => Nature::Good,
    },
    |_| Nature::Good,
];

/// The lanes an event is routed to. One in eight goes nowhere: it is filtered.
fn is_routed(number: u64, lane: usize) -> bool {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) & (1 << lane) != 0
}

fn lanes_of(number: u64) -> u16 {
    (0..LANES).map(|lane| u16::from(is_routed(number, lane))).sum()
}

/// More bytes than the lanes and their destinations take, in a part that an event can go without, or in one that it cannot.
fn document(number: u64) -> String {
    let bulk = "\u{fc}".repeat(100);
    match number {
        _ if number.is_multiple_of(83) => format!("{{\"n\":{number},\"raw_data\":1,\"message\":\"{bulk}\"}}"),
        _ if number.is_multiple_of(37) => format!("{{\"n\":{number},\"raw_data\":\"{bulk}\",\"unmapped\":{{}}}}"),
        _ if number.is_multiple_of(61) => {
            format!("{{\"raw_data\":1,\"unmapped\":{{\"a\":\"{bulk}\"}},\"n\":{number}}}")
        }
        _ => format!("{{\"n\":{number}}}"),
    }
}

/// The most bytes of an event, for the lanes that mind it; the third learns it from its destination.
const EVENT_BYTES_MAX: [Option<u64>; LANES] = [Some(150), Some(150), None];
const OVERSIZE: [Oversize; LANES] = [Oversize::Trim, Oversize::DeadLetter, Oversize::Trim];

/// Why a lane buries an event; `None` where it delivers it.
fn reason(number: u64, lane: usize) -> Option<DeadReason> {
    let is_large = [83, 37, 61].iter().any(|factor| number.is_multiple_of(*factor));
    let is_stubborn = number.is_multiple_of(83);
    match (lane, NATURES[lane](number)) {
        (0, _) if is_stubborn => Some(DeadReason::Oversize),
        (1, _) if is_large => Some(DeadReason::Oversize),
        (2, _) if is_stubborn => Some(DeadReason::TooLarge),
        (_, Nature::Good) => None,
        (_, Nature::Poison) => Some(DeadReason::Refused),
        (_, Nature::Sour) => Some(DeadReason::EntryRetryMax),
        (_, Nature::Giant) => Some(DeadReason::TooLarge),
    }
}

fn is_good(number: u64, lane: usize) -> bool {
    reason(number, lane).is_none()
}

async fn simulate(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut world = World { sinks: Vec::new(), dead: Vec::new(), checkpoints: Mutex::default(), settings: Vec::new() };
    for (lane, nature) in NATURES.into_iter().enumerate() {
        let plan = Plan {
            seed: rng.u64(..),
            is_whole: lane == 1,
            nature,
            latency_max: Duration::from_millis(rng.u64(0..800)),
            fail: rng.u8(0..20),
            stall: rng.u8(0..4),
            pause: rng.u8(0..3),
            short: rng.u8(0..15),
            busy: rng.u8(0..20),
            slow_down: rng.u8(0..10),
            // An event that cannot be made smaller is always too large for the third.
            bytes_max: rng.usize(160..[400, 400, 220][lane]),
            // One of the lanes has more buckets than may be filled at once.
            buckets: [1, rng.u64(2..10), 100][lane],
        };
        let options = LaneOptions {
            batch_entries_max: Some(rng.u32(1..40)),
            batch_bytes_max: Some(Size(rng.u64(20..600))),
            event_bytes_max: EVENT_BYTES_MAX[lane].map(Size),
            oversize: OVERSIZE[lane],
            batch_age_max: Some(Span::milliseconds(rng.u64(0..2000))),
            requests_in_flight_max: Some(rng.u32(1..6)),
            request_timeout: Some(Span::seconds(5)),
            retry_max: Span::seconds(10),
            ..LaneOptions::default()
        };
        world.sinks.push(Arc::new(MemorySink::new(plan)));
        world.dead.push(Arc::new(MemoryDeadLetters::new(rng.u64(..), Duration::from_secs(rng.u64(0..5)))));
        world.settings.push(options.settings(LaneDefaults::default()).unwrap());
    }
    for _crash in 0..rng.usize(0..4) {
        let until_crash = Duration::from_millis(rng.u64(100..60_000));
        process(&world, &mut rng, Some(until_crash)).await;
    }
    process(&world, &mut rng, None).await;
    check_the_end(&world);
}

/// One life of the process: lanes, and sources that read on from their checkpoints.
async fn process(world: &World, rng: &mut fastrand::Rng, until_crash: Option<Duration>) {
    let budget = Budget::new(rng.usize(100..4000));
    let events = Arc::<EventMeter>::default();
    let meters: Vec<Arc<LaneMeter>> = (0..LANES).map(|_| Arc::default()).collect();
    let read = AtomicUsize::new(0);
    let reading = AtomicUsize::new(usize::try_from(SHARDS).unwrap());
    let (mut queues, mut lanes) = (Vec::new(), Vec::new());
    for (number, meter) in meters.iter().enumerate() {
        let (queue, parcels) = mpsc::channel(rng.usize(1..4));
        queues.push(queue);
        lanes.push(run(Lane {
            name: format!("lane-{number}").into(),
            sink: Arc::clone(&world.sinks[number]),
            dead_letters: Arc::clone(&world.dead[number]),
            tasks: Here,
            queue: parcels,
            settings: world.settings[number].clone(),
            budget: budget.clone(),
            meter: Arc::clone(meter),
            events: Arc::clone(&events),
            seed: rng.u64(..),
            clock: || 1_700_000_000_000,
        }));
    }
    let sources: Vec<_> = (0..SHARDS)
        .map(|shard| {
            let source =
                Source { world, shard, rng: rng.fork(), budget: &budget, queues: queues.clone(), events: &events };
            let (read, reading) = (&read, &reading);
            async move {
                read.fetch_add(source.run().await, Ordering::Relaxed);
                reading.fetch_sub(1, Ordering::Relaxed);
            }
        })
        .collect();
    let life = join(join_all(lanes), join(join_all(sources), tick(queues, &budget, &meters, &reading)));
    let is_over = timeout(until_crash.unwrap_or(Duration::from_hours(24)), life).await.is_ok();
    assert!(is_over || until_crash.is_some(), "the lanes stand still");

    assert_eq!(budget.used(), 0, "all room was given back");
    for meter in &meters {
        let ended = meter.delivered.get() + meter.dead_lettered.get() + meter.abandoned.get();
        assert_eq!(meter.entries.get(), ended, "every entry ended");
        assert!(!is_over || meter.abandoned.get() == 0, "nothing is abandoned without a crash");
    }
    if is_over {
        let ended = events.delivered.get() + events.filtered.get() + events.dead_lettered.get();
        assert_eq!(ended, u64::try_from(read.into_inner()).unwrap(), "every event ended");
    }
}

/// A source of one shard.
struct Source<'a> {
    world: &'a World,
    shard: u64,
    rng: fastrand::Rng,
    budget: &'a Budget,
    queues: Vec<mpsc::Sender<Parcel>>,
    events: &'a EventMeter,
}

impl Source<'_> {
    /// Reads from the checkpoint to the end of the shard, and waits until all is settled. Returns how many events it read.
    async fn run(mut self) -> usize {
        let begin = self.shard * 10_000;
        let end = begin + EVENTS_A_SHARD;
        let checkpoint = self.world.checkpoints.lock().unwrap().get(&self.shard).cloned();
        let number_of = |position: &Position| position.sequence.as_str().parse::<u64>().unwrap();
        let first = checkpoint.as_ref().map_or(begin, |position| number_of(position) + 1);
        let mut next = first;
        let mut frontier = Frontier::new(self.rng.usize(1..6), checkpoint);
        let (tell, mut told) = mpsc::channel::<Settled>(16);
        let mut expected: HashMap<ChunkId, Outcome> = HashMap::new();
        loop {
            while !frontier.is_full() && next < end {
                let numbers: Vec<u64> = (next..end.min(next + self.rng.u64(1..30))).collect();
                next += u64::try_from(numbers.len()).unwrap();
                let positions = numbers.iter().map(|number| Position::new("shard".into(), (*number).into())).collect();
                let id = frontier.open(positions);
                let tell = tell.clone();
                let receipt = Receipt::new(id, move |settled| match tell.try_send(settled) {
                    Ok(()) | Err(TrySendError::Closed(_)) => {}
                    Err(TrySendError::Full(_)) => panic!("more chunks than the window holds"),
                });
                expected.insert(id, self.put(&numbers, receipt).await);
            }
            if frontier.is_idle() {
                return usize::try_from(end - first).unwrap();
            }
            let settled = told.recv().await.unwrap();
            assert_eq!(expected.remove(&settled.chunk), Some(settled.outcome), "chunk {}", settled.chunk);
            match frontier.settle(settled) {
                Step::Wait => {}
                Step::Advance(position) => {
                    self.world.checkpoints.lock().unwrap().insert(self.shard, position);
                }
                Step::Rewind => panic!("nothing is abandoned without a crash"),
            }
        }
    }

    /// Routes a chunk, and returns the outcome that it should end with.
    async fn put(&self, numbers: &[u64], receipt: Receipt) -> Outcome {
        let charge = self.budget.admit(numbers.len() * 10).await;
        let lanes: Vec<u16> = numbers.iter().map(|number| lanes_of(*number)).collect();
        let block = block_of("shard", numbers, &lanes, charge, document);
        let mut expected = Outcome::Delivered;
        for (lane, queue) in self.queues.iter().enumerate() {
            let rows: Vec<u32> =
                (0_u32..).zip(numbers).filter(|(_, number)| is_routed(**number, lane)).map(|(row, _)| row).collect();
            if numbers.iter().any(|number| is_routed(*number, lane) && !is_good(*number, lane)) {
                expected = Outcome::DeadLettered;
            }
            let parcel = Parcel { block: Arc::clone(&block), rows, receipt: receipt.share() };
            queue.send(parcel).await.unwrap();
        }
        let filtered = lanes.iter().filter(|lanes| **lanes == 0).count();
        self.events.filtered.add_count(filtered);
        let own = if filtered > 0 { Outcome::Filtered } else { Outcome::Delivered };
        receipt.settle(own);
        expected.max(own)
    }
}

/// Keeps the destinations busy with good events until the sources are done, so that what is never accepted is told from a
/// destination that is down; and asserts at each step that the meters never promise more than came.
async fn tick(queues: Vec<mpsc::Sender<Parcel>>, budget: &Budget, meters: &[Arc<LaneMeter>], reading: &AtomicUsize) {
    let goods = (TICKS_FROM..).filter(|number| (0..LANES).all(|lane| is_good(*number, lane)));
    for number in goods {
        sleep(Duration::from_secs(1)).await;
        if reading.load(Ordering::Relaxed) == 0 {
            return;
        }
        let receipt = Receipt::new(number, |_| {});
        // The events of the ticks are in no sum over events: their ledger waits for a lane that never speaks.
        let block = block("ticks", &[number], &[u16::try_from(LANES).unwrap() + 1], budget.charge(1));
        for queue in &queues {
            let parcel = Parcel { block: Arc::clone(&block), rows: vec![0], receipt: receipt.share() };
            queue.send(parcel).await.unwrap();
        }
        for meter in meters {
            let ended = meter.delivered.get() + meter.dead_lettered.get() + meter.abandoned.get();
            assert!(ended <= meter.entries.get(), "more entries ended than came");
            assert!(meter.duplicates.get() <= meter.delivered.get());
        }
    }
}

fn check_the_end(world: &World) {
    let numbers = || (0..SHARDS).flat_map(|shard| shard * 10_000..shard * 10_000 + EVENTS_A_SHARD);
    for lane in 0..LANES {
        let sink = &world.sinks[lane];
        let stored: BTreeSet<u64> =
            sink.stored.lock().unwrap().keys().copied().filter(|number| *number < TICKS_FROM).collect();
        let wanted: BTreeSet<u64> =
            numbers().filter(|number| is_routed(*number, lane) && is_good(*number, lane)).collect();
        assert_eq!(stored, wanted, "lane {lane}");

        let letters = world.dead[lane].letters.lock().unwrap();
        let dead: BTreeSet<(u64, DeadReason)> = letters.iter().map(|letter| (letter.number, letter.reason)).collect();
        let refused: BTreeSet<(u64, DeadReason)> = numbers()
            .filter(|number| is_routed(*number, lane))
            .filter_map(|number| Some((number, reason(number, lane)?)))
            .collect();
        assert_eq!(dead, refused, "lane {lane}");

        let settings = &world.settings[lane];
        assert!(sink.batches.lock().unwrap().iter().all(|size| *size <= settings.batch_entries_max.get()));
        assert!(sink.in_flight_peak.load(Ordering::Relaxed) <= settings.requests_in_flight_max.get());
    }
}
