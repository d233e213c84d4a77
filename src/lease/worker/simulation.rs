//! Many workers on one table, with everything that goes wrong between them: crashes, pauses, partitions, lost answers, late
//! requests, clocks that run apart, and a stream that is resharded meanwhile.
//!
//! What must hold: no checkpoint moves back, no record is left unread, no record of a child comes before all of its parents',
//! no shard stands without a reader for longer than the failover time plus one renewal, and in the end nobody has more than
//! the share. A failure prints the seed; `SIEMLINE_SEED=<seed>` repeats it alone and tells what happens.

mod troubles;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use super::super::memory;
use super::super::plan::Start;
use super::{Act, Changed, Checkpoint, Lease, News, Rules, Shard, Worker};
use crate::lease::{hands_over, worker_id};

/// How many seeds a test run plays.
const RUNS: u64 = 400;

/// Milliseconds.
type Ms = u64;

const FAILOVER: Ms = 10_000;
/// The bound: the failover time plus one renewal. Clocks run apart by less than the last part.
const GAP_MAX: Ms = FAILOVER + FAILOVER / 3 + FAILOVER / 100;
/// How long things go wrong.
const STORM: Ms = 22_000;
/// How long a run lasts.
const END: Ms = 54_000;
/// How often readers read and the world is looked at.
const TICK: Ms = 500;
/// When a call without an answer is given up.
const CALL_MAX: Ms = FAILOVER / 4;

struct Simulation {
    seed: u64,
    is_told: bool,
    dice: fastrand::Rng,
    now: Ms,
    serial: u64,
    queue: BinaryHeap<Reverse<(Ms, u64, Event)>>,
    table: BTreeMap<String, Lease>,
    stream: Vec<StoredShard>,
    workers: Vec<Being>,
    calls: BTreeMap<u64, Call>,
    /// Shards that ever had a lease.
    ever: BTreeSet<String>,
    /// When a shard was last read, or could first be, or its owner was struck.
    served: BTreeMap<String, Ms>,
    tally: Tally,
}

/// What happened, over all runs.
#[derive(Debug, Default)]
struct Tally {
    kills_with_unsettled: u64,
    pauses: u64,
    partitions: u64,
    stops: u64,
    reshards: u64,
    moved: u64,
    handed_over: u64,
    gap_longest: Ms,
}

struct StoredShard {
    shard: Shard,
    records: u64,
    /// Records that were delivered at least once: all below.
    delivered: u64,
}

/// One worker with its readers.
struct Being {
    worker: Worker,
    id: Arc<str>,
    offset: Ms,
    drift_ppm: i64,
    is_alive: bool,
    is_paused: bool,
    is_cut_off: bool,
    readings: BTreeMap<String, Reading>,
    poll_at: Ms,
}

struct Reading {
    next: u64,
    written: u64,
    /// The number of the checkpoint that is on its way, and what it says: so many records, or the end.
    asked: Option<(u64, Option<u64>)>,
    tickets: u64,
    is_recalled: bool,
}

struct Call {
    worker: usize,
    act: Act,
    begun: Duration,
    answer: Answer,
}

#[derive(Clone)]
enum Answer {
    None,
    /// With the number of halves that are in it.
    Scan(BTreeMap<String, Lease>, u8),
    List(Vec<Shard>),
    Changed(Changed),
    Was(bool),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Poll(usize),
    Tick,
    /// The call meets the table; a scan does so twice, a half each time.
    Served(u64, u8),
    Answered(u64),
    Strike,
    Recover(usize, u8),
    Reshard,
    Put,
}

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
            serial: 0,
            queue: BinaryHeap::new(),
            table: BTreeMap::new(),
            stream,
            workers: Vec::new(),
            calls: BTreeMap::new(),
            ever: BTreeSet::new(),
            served: BTreeMap::new(),
            tally: Tally::default(),
        };
        for _ in 0..simulation.dice.u64(3..9) {
            let at = simulation.dice.u64(0..3000);
            simulation.be_born(at);
        }
        simulation.at(0, Event::Tick);
        for at in [2000, 9000, 16_000, 21_000] {
            let later = simulation.dice.u64(0..5000);
            simulation.at(at + later, Event::Reshard);
            simulation.at(at, Event::Put);
        }
        for _ in 0..simulation.dice.u64(1..7) {
            let at = simulation.dice.u64(1000..STORM);
            simulation.at(at, Event::Strike);
        }
        simulation
    }

    fn at(&mut self, at: Ms, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse((at.max(self.now), self.serial, event)));
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
            readings: BTreeMap::new(),
            poll_at: at,
        });
        self.at(at, Event::Poll(number));
    }

    fn run(mut self) -> Tally {
        while let Some(Reverse((at, _, event))) = self.queue.pop() {
            if at > END {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.check_end();
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

    // ---- the workers ----

    fn poll(&mut self, n: usize) {
        let being = &mut self.workers[n];
        if !being.is_alive || being.is_paused || being.poll_at > self.now {
            return;
        }
        let now = being.local(self.now);
        let acts = being.worker.poll(now);
        self.hear(n);
        for act in acts {
            self.call(n, act, now);
        }
        let being = &mut self.workers[n];
        if being.worker.is_done() {
            being.is_alive = false;
            return;
        }
        being.poll_at = being.global(being.worker.due(now)).max(self.now + 1);
        let at = being.poll_at;
        self.at(at, Event::Poll(n));
    }

    fn poll_soon(&mut self, n: usize) {
        self.workers[n].poll_at = self.now;
        self.at(self.now, Event::Poll(n));
    }

    fn hear(&mut self, n: usize) {
        let news = self.workers[n].worker.news();
        for news in news {
            self.tell(n, || format!("{news:?}"));
            match news {
                News::Granted { shard, lease } => {
                    if self.workers[n].readings.contains_key(&shard) {
                        self.fail("granted twice");
                    }
                    let next = records_of(&lease.checkpoint);
                    let reading = Reading { next, written: next, asked: None, tickets: 0, is_recalled: false };
                    self.workers[n].readings.insert(shard, reading);
                    self.tally.moved += 1;
                }
                News::Recalled(shard) => {
                    if let Some(reading) = self.workers[n].readings.get_mut(&shard) {
                        reading.is_recalled = true;
                        self.tally.handed_over += 1;
                    }
                }
                News::Lost(shard) => self.give_back(n, &shard),
                News::Written { shard, ticket } => self.written(n, &shard, ticket),
                News::Ruled(_) | News::Free => self.fail("there is no leader"),
            }
        }
    }

    fn written(&mut self, n: usize, shard: &str, ticket: u64) {
        let Some(reading) = self.workers[n].readings.get_mut(shard) else { return };
        match reading.asked.take_if(|(asked, _)| *asked == ticket) {
            Some((_, Some(records))) => reading.written = records,
            Some((_, None)) => self.give_back(n, shard),
            None => {}
        }
    }

    fn give_back(&mut self, n: usize, shard: &str) {
        self.workers[n].readings.remove(shard);
        self.workers[n].worker.returned(shard);
        self.poll_soon(n);
    }

    fn tick(&mut self) {
        for n in 0..self.workers.len() {
            if self.workers[n].is_alive && !self.workers[n].is_paused {
                let shards: Vec<String> = self.workers[n].readings.keys().cloned().collect();
                for shard in shards {
                    self.read(n, &shard);
                }
            }
        }
        self.check_served();
        self.at(self.now + TICK, Event::Tick);
    }

    fn read(&mut self, n: usize, id: &str) {
        let at = self.stream.iter().position(|stored| stored.shard.id == *id).unwrap();
        let reading = self.workers[n].readings.get_mut(id).unwrap();
        if !reading.is_recalled {
            let until = self.stream[at].records.min(reading.next + self.dice.u64(0..20));
            reading.next = until;
            if until > self.stream[at].delivered {
                self.stream[at].delivered = until;
                let parents = self.stream[at].shard.parents.clone();
                let is_read = |parent: &&String| {
                    self.stream.iter().any(|other| other.shard.id == **parent && other.delivered == other.records)
                };
                if !parents.iter().all(|parent| is_read(&parent)) {
                    self.fail(&format!("{id} is read before its parents are"));
                }
            }
        }
        let reading = self.workers[n].readings.get_mut(id).unwrap();
        if reading.asked.is_some() {
            return;
        }
        let is_at_end = self.stream[at].shard.is_closed && reading.next == self.stream[at].records;
        let wish = if is_at_end {
            None
        } else if reading.written < reading.next && (reading.is_recalled || self.dice.u8(0..5) == 0) {
            Some(reading.next)
        } else if reading.is_recalled && reading.written == reading.next {
            self.give_back(n, id);
            return;
        } else {
            return;
        };
        reading.tickets += 1;
        reading.asked = Some((reading.tickets, wish));
        let ticket = reading.tickets;
        let checkpoint = wish.map_or(Checkpoint::ShardEnd, checkpoint_of);
        if self.workers[n].worker.checkpoint(id, checkpoint, Vec::new(), ticket) {
            self.poll_soon(n);
        } else {
            self.give_back(n, id);
        }
    }

    // ---- the network and the table ----

    fn call(&mut self, worker: usize, act: Act, begun: Duration) {
        self.serial += 1;
        let number = self.serial;
        let halves = if act == Act::Scan { 2 } else { 1 };
        let answer = if act == Act::Scan { Answer::Scan(BTreeMap::new(), 0) } else { Answer::None };
        self.calls.insert(number, Call { worker, act, begun, answer });
        let is_throttled = self.dice.u16(0..300) == 0;
        if self.workers[worker].is_cut_off || is_throttled {
            let after = if is_throttled { 20 } else { CALL_MAX };
            return self.at(self.now + after, Event::Answered(number));
        }
        let (there, back) = (self.dice.u64(2..60), self.dice.u64(2..60));
        // A request may be on its way for long, and arrive after it was given up.
        let is_late = worker > 0 && self.dice.u16(0..200) == 0;
        let there = if is_late { there + self.dice.u64(0..5000) } else { there };
        for half in 0..halves {
            self.at(self.now + there + u64::from(half) * 10, Event::Served(number, half));
        }
        let after = (there + 10 * u64::from(halves) + back).min(CALL_MAX);
        self.at(self.now + after, Event::Answered(number));
    }

    fn serve(&mut self, number: u64, half: u8) {
        let (worker, act) = (self.calls[&number].worker, self.calls[&number].act.clone());
        self.tell(worker, || format!("{act:?}"));
        // What was answered as given up is made all the same.
        let Some(call) = self.calls.get_mut(&number) else { return };
        let answer = match &call.act {
            Act::Scan => {
                let Answer::Scan(seen, halves) = &mut call.answer else { unreachable!() };
                let is_in_half = |id: &String| id.as_bytes().last().is_some_and(|last| last % 2 == half);
                *halves += 1;
                let found = self.table.iter().filter(|(id, _)| is_in_half(id));
                seen.extend(found.map(|(id, lease)| (id.clone(), lease.clone())));
                return;
            }
            Act::List => Answer::List(self.stream.iter().map(|stored| stored.shard.clone()).collect()),
            Act::Create { shard, lease } => {
                let is_new = memory::create(&mut self.table, shard, lease);
                let shard = shard.clone();
                if is_new {
                    if !self.ever.insert(shard.clone()) {
                        self.fail(&format!("{shard} has a lease again"));
                    }
                    self.served.insert(shard, self.now);
                }
                Answer::Was(is_new)
            }
            Act::Change { shard, change } => {
                let before = self.table.get(shard).map(|lease| lease.checkpoint.clone());
                let changed = memory::apply(&mut self.table, shard, change);
                let shard = shard.clone();
                if let Changed::Done(lease) = &changed {
                    let is_owner = |being: &&Being| lease.actual_owner() == Some(&being.id);
                    let owner = self.workers.iter().find(is_owner);
                    if owner.is_some_and(|being| !being.is_alive || being.is_paused || being.is_cut_off) {
                        // A late request, or a hand-over, gives the lease to somebody who is struck already.
                        self.served.insert(shard.clone(), self.now);
                    }
                }
                if let (Some(before), Changed::Done(lease)) = (before, &changed) {
                    self.check_checkpoint(&shard, &before, &lease.checkpoint);
                }
                Answer::Changed(changed)
            }
            Act::Remove { shard, counter } => {
                let is_finished = self.table.get(shard).is_some_and(Lease::is_finished);
                let is_gone = memory::remove(&mut self.table, shard, *counter);
                let shard = shard.clone();
                if is_gone && !is_finished {
                    self.fail(&format!("the lease of {shard} is removed, and it is not finished"));
                }
                Answer::Was(is_gone)
            }
        };
        if let Some(call) = self.calls.get_mut(&number) {
            call.answer = answer;
        }
    }

    fn answer(&mut self, number: u64) {
        let worker = self.calls[&number].worker;
        let being = &self.workers[worker];
        if !being.is_alive {
            // Nobody waits for the answer; a late request may still arrive.
            return;
        }
        if being.is_paused {
            return self.at(self.now + 100, Event::Answered(number));
        }
        let is_lost = being.is_cut_off || (worker > 0 && self.dice.u16(0..300) == 0);
        let now = being.local(self.now);
        let call = &self.calls[&number];
        let (act, begun) = (call.act.clone(), call.begun);
        let answer = if is_lost { Answer::None } else { call.answer.clone() };
        let worker_core = &mut self.workers[worker].worker;
        match (act, answer) {
            (Act::Scan, Answer::Scan(leases, 2)) => worker_core.scanned(&leases, None, now),
            (Act::Scan, _) => worker_core.not_scanned(now),
            (Act::List, Answer::List(shards)) => worker_core.listed(shards, now),
            (Act::List, _) => worker_core.not_listed(Duration::from_secs(1), now),
            (Act::Create { shard, lease }, Answer::Was(is_new)) => {
                worker_core.created(&shard, lease, Some(is_new), now);
            }
            (Act::Create { shard, lease }, _) => worker_core.created(&shard, lease, None, now),
            (Act::Change { shard, change }, Answer::Changed(changed)) => {
                worker_core.changed(&shard, &change, Some(changed), begun, now);
            }
            (Act::Change { shard, change }, _) => {
                worker_core.changed(&shard, &change, None, begun, now);
                // The bound holds after each thing that goes wrong: a write without an answer is one.
                self.served.insert(shard, self.now);
            }
            (Act::Remove { shard, .. }, Answer::Was(is_gone)) => worker_core.removed(&shard, Some(is_gone)),
            (Act::Remove { shard, .. }, _) => worker_core.removed(&shard, None),
        }
        self.poll_soon(worker);
    }

    // ---- what must hold ----

    fn check_checkpoint(&self, id: &str, before: &Checkpoint, after: &Checkpoint) {
        if after.is_before(before) {
            self.fail(&format!("the checkpoint of {id} moves back from {before:?} to {after:?}"));
        }
        let stored = self.stream.iter().find(|stored| stored.shard.id == *id).unwrap();
        let records = if *after == Checkpoint::ShardEnd { stored.records } else { records_of(after) };
        if stored.delivered < records {
            self.fail(&format!("the checkpoint of {id} is {after:?}, and {} are delivered", stored.delivered));
        }
    }

    fn check_served(&mut self) {
        for (id, lease) in &self.table {
            let is_read = |being: &Being| being.is_alive && !being.is_paused && being.readings.contains_key(id);
            if !super::super::is_ready(lease, &self.table) || self.workers.iter().any(is_read) {
                self.served.insert(id.clone(), self.now);
            }
        }
        for (id, served) in &self.served {
            if self.table.contains_key(id) {
                self.tally.gap_longest = self.tally.gap_longest.max(self.now - served);
                if self.now - served > GAP_MAX {
                    self.fail(&format!("nobody has read {id} since {served} ms"));
                }
            }
        }
    }

    fn check_end(&self) {
        for stored in &self.stream {
            if stored.delivered != stored.records {
                self.fail(&format!(
                    "{} of {} records of {} are read",
                    stored.delivered, stored.records, stored.shard.id
                ));
            }
        }
        let living: Vec<&Being> = self.workers.iter().filter(|being| being.is_alive).collect();
        let read: usize = living.iter().map(|being| being.readings.len()).sum();
        let share = read.div_ceil(living.len());
        if let Some(rich) = living.iter().find(|being| being.readings.len() > share) {
            self.fail(&format!("{} has {} leases, the share is {share}", rich.id, rich.readings.len()));
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

/// The checkpoint behind so many records.
fn checkpoint_of(records: u64) -> Checkpoint {
    Checkpoint::Sequence { sequence: records.to_string(), sub_sequence: 0 }
}

fn records_of(checkpoint: &Checkpoint) -> u64 {
    match checkpoint {
        Checkpoint::Sequence { sequence, .. } => sequence.parse().unwrap(),
        _ => 0,
    }
}

/// Guards the sharing of leases among workers that fail.
#[test]
fn workers_share_a_stream_whatever_happens() {
    assert!(hands_over(&worker_id("host", 1)));
    if let Some(seed) = std::env::var("SIEMLINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        println!("{:?}", Simulation::new(seed).run());
        return;
    }
    let first = fastrand::u64(..1 << 40);
    let runs = std::env::var("SIEMLINE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    println!("seeds {first} to {}", first + runs - 1);
    let next = std::sync::atomic::AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let play = || {
            let mut sum = Tally::default();
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= first + runs {
                    return sum;
                }
                sum.add(&Simulation::new(seed).run());
            }
        };
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        players.into_iter().map(|player| player.join().expect("a seed failed, see above")).collect()
    });
    let mut sum = Tally::default();
    for tally in &tallies {
        sum.add(tally);
    }
    println!("{sum:?}");
    for landed in [sum.kills_with_unsettled, sum.pauses, sum.partitions, sum.stops, sum.reshards, sum.handed_over] {
        assert!(landed > runs / 20, "too little went wrong to prove anything: {sum:?}");
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills_with_unsettled += other.kills_with_unsettled;
        self.pauses += other.pauses;
        self.partitions += other.partitions;
        self.stops += other.stops;
        self.reshards += other.reshards;
        self.moved += other.moved;
        self.handed_over += other.handed_over;
        self.gap_longest = self.gap_longest.max(other.gap_longest);
    }
}
