//! Many workers on one table, with everything that goes wrong between them: crashes, pauses, partitions, throttled calls, lost
//! answers, late requests, clocks that run apart, and a stream that is resharded meanwhile.
//!
//! What must hold: no checkpoint moves back, no record is left unread, no record of a child comes before all of its parents',
//! no shard stands without a reader for longer than the failover time plus one renewal, nobody wakes without need, and in the
//! end nobody has more than the share. A failure prints the seed; `SIEMLINE_SEED=<seed>` repeats it alone and tells what
//! happens. `SIEMLINE_RUNS=<runs>` plays more of them, and `SIEMLINE_SEED=random` others than those that are played without.

mod laws;
mod network;
mod play;
mod readers;
mod troubles;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use super::super::memory;
use super::super::plan::Start;
use super::{Act, Changed, Checkpoint, Kind, Lease, News, Rules, Shard, Worker};
use crate::lease::worker_id;
use network::Call;
use play::Tally;
use readers::{Reading, records_of};

/// Milliseconds.
type Ms = u64;

const FAILOVER: Ms = 10_000;
/// The bound: the failover time plus one renewal. Clocks run apart by less than the last part.
const GAP_MAX: Ms = FAILOVER + FAILOVER / 3 + FAILOVER / 100;
/// How long things go wrong.
const STORM: Ms = 22_000;
/// When at the latest all must be settled.
const END: Ms = 54_000;
/// A run ends before that when all has been settled for so long; one of these many goes on all the same.
const SETTLED: Ms = 5_000;
const TO_THE_END: u64 = 16;
/// How often readers read and the world is looked at.
const TICK: Ms = 500;
/// When a call without an answer is given up.
const CALL_MAX: Ms = FAILOVER / 4;
/// How often in a row a worker may ask to be woken at once, and then do nothing.
const IDLE_MAX: u32 = 3;

struct Simulation {
    seed: u64,
    is_told: bool,
    dice: fastrand::Rng,
    now: Ms,
    /// When each event happens, and its number: those of one time in the order in which they were made.
    queue: BinaryHeap<Reverse<u64>>,
    events: Vec<Event>,
    table: BTreeMap<String, Lease>,
    /// Shard `n` has the number `n` in its id.
    stream: Vec<StoredShard>,
    workers: Vec<Being>,
    /// Those that still have something before them.
    calls: Vec<Option<Call>>,
    /// Shards that ever had a lease.
    ever: BTreeSet<String>,
    /// When a shard was last read, or could first be, or its owner was struck.
    served: BTreeMap<String, Ms>,
    /// When the last thing that goes wrong is over.
    calm_at: Ms,
    settled_since: Option<Ms>,
    tally: Tally,
}

struct StoredShard {
    shard: Shard,
    records: u64,
    /// Records that were delivered at least once: all below.
    delivered: u64,
}

/// One worker with its readers.
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own, and they come together")]
struct Being {
    worker: Worker,
    id: Arc<str>,
    offset: Ms,
    drift_ppm: i64,
    is_alive: bool,
    is_paused: bool,
    is_cut_off: bool,
    /// Whether it was asked to stop: what is granted then is given back unread.
    is_stopping: bool,
    readings: BTreeMap<String, Reading>,
    poll_at: Ms,
    idle: u32,
    /// When it was polled last.
    idle_at: Ms,
}

#[derive(Clone, Copy)]
enum Event {
    Poll(usize),
    Tick,
    /// The call meets the table; a scan does so twice, a half each time.
    Served(usize, u8),
    Answered(usize),
    Strike,
    Recover(usize, u8),
    Reshard,
    Put,
}

/// In the queue, the number of an event takes the lower bits.
const NUMBER_BITS: u32 = 24;

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let shards = dice.u64(1..6);
        let width = u128::MAX / u128::from(shards);
        let stream = (0..shards)
            .map(|n| stored(n, Vec::new(), u128::from(n) * width, u128::from(n) * width + (width - 1), dice.u64(0..30)))
            .collect();
        let mut simulation = Self {
            seed,
            is_told: std::env::var("SIEMLINE_SEED").is_ok(),
            dice,
            now: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            table: BTreeMap::new(),
            stream,
            workers: Vec::new(),
            calls: Vec::new(),
            ever: BTreeSet::new(),
            served: BTreeMap::new(),
            calm_at: 0,
            settled_since: None,
            tally: Tally::default(),
        };
        let workers = simulation.dice.usize(3..9);
        simulation.tally.of_workers[workers - 3] += 1;
        for _ in 0..workers {
            let at = simulation.dice.u64(0..3000);
            simulation.be_born(at);
        }
        simulation.at(0, Event::Tick);
        for at in [2000, 9000, 16_000, 21_000] {
            let later = simulation.dice.u64(0..5000);
            simulation.trouble_at(at + later, Event::Reshard);
            simulation.trouble_at(at, Event::Put);
        }
        for _ in 0..simulation.dice.u64(1..7) {
            let at = simulation.dice.u64(1000..STORM);
            simulation.trouble_at(at, Event::Strike);
        }
        simulation
    }

    fn at(&mut self, at: Ms, event: Event) {
        let number = u64::try_from(self.events.len()).unwrap();
        assert!(number < 1 << NUMBER_BITS, "seed {}: events without end", self.seed);
        self.events.push(event);
        self.queue.push(Reverse(at.max(self.now) << NUMBER_BITS | number));
    }

    /// The same, of what keeps the world from coming to rest.
    fn trouble_at(&mut self, at: Ms, event: Event) {
        self.calm_at = self.calm_at.max(at);
        self.at(at, event);
    }

    fn be_born(&mut self, at: Ms) {
        let number = self.workers.len();
        // Some know of no handing over, as workers of KCL 2 do not.
        let is_kcl2 = number > 0 && self.dice.u8(0..5) == 0;
        let id = if is_kcl2 { format!("java-{number}") } else { worker_id("host", u64::try_from(number).unwrap()) };
        let id: Arc<str> = id.into();
        let rules = Rules {
            failover: Duration::from_millis(FAILOVER),
            hand_over_max: Duration::from_secs(30),
            sync_every: Duration::from_secs(5),
            finished_kept: Duration::from_secs(10),
            start: Start::TrimHorizon,
            leases_max: usize::MAX,
        };
        self.workers.push(Being {
            worker: Worker::new(Arc::clone(&id), rules, self.dice.u64(..)),
            id,
            offset: self.dice.u64(0..1_000_000),
            drift_ppm: self.dice.i64(-1000..1000),
            is_alive: true,
            is_paused: false,
            is_cut_off: false,
            is_stopping: false,
            readings: BTreeMap::new(),
            poll_at: at,
            idle: 0,
            idle_at: 0,
        });
        self.tally.without_asking += u64::from(is_kcl2);
        self.trouble_at(at, Event::Poll(number));
    }

    fn run(mut self) -> Tally {
        let is_long = self.seed.is_multiple_of(TO_THE_END);
        while let Some(Reverse(key)) = self.queue.pop() {
            let at = key >> NUMBER_BITS;
            let is_settled = self.settled_since.is_some_and(|since| since + SETTLED <= at);
            if at > END || is_settled && !is_long {
                break;
            }
            self.now = at;
            let number = usize::try_from(key & ((1 << NUMBER_BITS) - 1)).unwrap();
            self.happen(self.events[number]);
        }
        self.check_end();
        self.count_clocks();
        self.tally
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Poll(n) => self.poll(n),
            Event::Tick => self.tick(),
            Event::Served(call, half) => self.serve(call, half),
            Event::Answered(call) => self.answer(call),
            Event::Strike => self.strike(),
            Event::Recover(n, what) => self.recover(n, what),
            Event::Reshard => self.reshard(),
            Event::Put => {
                for shard in self.stream.iter_mut().filter(|shard| !shard.shard.is_closed) {
                    shard.records += self.dice.u64(0..40);
                }
            }
        }
    }

    fn tell(&self, who: usize, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>6} {} {}", self.now, self.workers[who].id, what());
        }
    }

    fn fail(&self, words: &str) -> ! {
        let table: Vec<String> = self.table.iter().map(|(id, lease)| format!("{id} {lease:?}")).collect();
        panic!("seed {}: at {} ms: {words}\n{}", self.seed, self.now, table.join("\n"))
    }

    fn poll(&mut self, n: usize) {
        let being = &mut self.workers[n];
        if !being.is_alive || being.is_paused || being.poll_at > self.now {
            return;
        }
        let now = being.local(self.now);
        let acts = being.worker.poll(now);
        let is_idle = acts.is_empty();
        self.hear(n);
        for act in acts {
            self.call(n, act, now);
        }
        let being = &mut self.workers[n];
        if being.worker.is_done() {
            being.is_alive = false;
            return;
        }
        let at = being.global(being.worker.due(now)).max(self.now + 1);
        // Clocks that run apart may wake it a moment too early, and several answers may come in one moment.
        let is_later = being.idle_at < self.now;
        being.idle = if is_idle && at <= self.now + 2 { being.idle + u32::from(is_later) } else { 0 };
        being.idle_at = self.now;
        being.poll_at = at;
        if being.idle > IDLE_MAX {
            self.fail(&format!("worker {n} wakes again and again, and does nothing"));
        }
        self.at(at, Event::Poll(n));
    }

    fn poll_soon(&mut self, n: usize) {
        self.workers[n].poll_at = self.now;
        self.at(self.now, Event::Poll(n));
    }

    fn hear(&mut self, n: usize) {
        for news in self.workers[n].worker.news() {
            self.tell(n, || format!("{news:?}"));
            match news {
                News::Granted { shard, lease } => {
                    if self.workers[n].readings.contains_key(&shard) {
                        self.fail("granted twice");
                    }
                    if self.workers[n].is_stopping {
                        self.give_back(n, &shard);
                        continue;
                    }
                    self.workers[n].readings.insert(shard, Reading::at(records_of(&lease.checkpoint)));
                    self.tally.granted += 1;
                }
                News::Recalled(shard) => {
                    if let Some(reading) = self.workers[n].readings.get_mut(&shard) {
                        reading.is_recalled = true;
                    }
                }
                News::Lost(shard) => self.give_back(n, &shard),
                News::Written { shard, ticket } => self.written(n, &shard, ticket),
                News::Ruled(_) | News::Free => self.fail("there is no leader"),
            }
        }
    }
}

impl Being {
    fn local(&self, now: Ms) -> Duration {
        let now = i64::try_from(now).unwrap();
        let drifted = now * 1000 + now * self.drift_ppm / 1000;
        Duration::from_micros(u64::try_from(drifted).unwrap() + self.offset * 1000)
    }

    /// The first millisecond at which the worker's clock shows this time.
    fn global(&self, local: Duration) -> Ms {
        let since =
            i64::try_from(local.as_micros().saturating_sub(u128::from(self.offset) * 1000)).unwrap_or(i64::MAX / 2);
        let at = i128::from(since) * 1_000_000 / i128::from(1_000_000 + self.drift_ppm) / 1000;
        u64::try_from(at).unwrap_or(u64::MAX / 2) + 1
    }
}

fn stored(number: u64, parents: Vec<String>, start: u128, end: u128, records: u64) -> StoredShard {
    let hash_range = Some(super::super::HashRange { start, end });
    let shard = Shard { id: format!("shardId-{number:012}"), parents, is_closed: false, hash_range };
    StoredShard { shard, records, delivered: 0 }
}

/// The place of a shard in the stream, which its id tells.
fn place_of(id: &str) -> usize {
    id.trim_start_matches("shardId-").parse().unwrap()
}
