//! The order in which chunks leave the source, whatever becomes of them, over sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;
use siemline::ack::Outcome;
use siemline::lease::Checkpoint;
use siemline::record::Chunk;
use tokio::time::timeout;

use super::{Reading, checkpoints, leases, settle};
use crate::fakes::kinesis::{FakeKinesis, passing};
use crate::fakes::plan::Plan;

const RECORDS: usize = 160;

/// How often the process dies.
const DEATHS: usize = 3;

/// Below the number of abandonments after which a record is given up.
const ABANDONMENTS_MAX: u32 = 2;

/// What a test has seen of a shard.
#[derive(Default)]
struct Seen {
    /// Behind what was handed on last; nothing since the process began.
    next: Option<usize>,
    /// How often a chunk was abandoned, and how often the reading went back, in this life.
    abandonments: u32,
    rewinds: u32,
    delivered: BTreeSet<usize>,
    /// How often each record was in an abandoned chunk.
    abandoned: BTreeMap<usize, u32>,
}

impl Seen {
    /// The first record that was not delivered. No reading may begin behind it.
    fn gap(&self) -> usize {
        self.delivered.iter().zip(0..).take_while(|(index, expected)| *index == expected).count()
    }

    /// The law: chunks follow each other without a gap; back only after an abandonment or a death, and then to what was not
    /// delivered, or before it.
    fn take(&mut self, range: RangeInclusive<usize>, about: &str) {
        let (first, last) = range.into_inner();
        match self.next {
            None => assert!(first <= self.gap(), "{about}: begins at {first}, {} is not delivered", self.gap()),
            Some(next) if first == next => {}
            Some(next) => {
                self.rewinds += 1;
                assert!(first < next, "{about}: {next} to {first} are left out");
                assert!(first <= self.gap(), "{about}: goes back to {first}, {} is not delivered", self.gap());
                assert!(self.rewinds <= self.abandonments, "{about}: goes back from {next} to {first} for no reason");
            }
        }
        self.next = Some(last + 1);
    }
}

/// Guards the order of chunks: those of one shard leave in the shard's order without a gap, while they are settled late and
/// out of order, abandoned and read again, while the process dies and begins anew at the checkpoints, the stream is split and
/// merged, and the service fails at random. No record of a child leaves before all of its parents' are delivered.
/// `SIEMLINE_TEST_SEED` repeats the choices of a run, as far as the machine repeats its timing.
#[tokio::test]
async fn chunks_leave_in_shard_order_whatever_becomes_of_them() {
    let seed = std::env::var("SIEMLINE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let fake = FakeKinesis::start(2, Plan::dice(dice.u64(..), 5, passing())).await;
    let (_directory, file) = checkpoints();
    let options = json!({
        "chunk_bytes_max": "40B", "records_max": 20, "window_chunks_max": 4, "shard_sync_interval": "20ms",
    });
    let put_some = |name: &str| {
        for n in 0..RECORDS / 4 {
            fake.put(&format!("{name} {n}"), format!("record {name} {n}"));
        }
    };
    put_some("first");
    let mut reading = Reading::start(&fake, &file, options.clone()).await;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut out: Vec<Chunk> = Vec::new();
    let (mut reshardings, mut deaths, mut abandonments) = (0, 0, 0);
    loop {
        let delivered: usize = seen.values().map(|seen| seen.delivered.len()).sum();
        if delivered == RECORDS && out.is_empty() {
            break;
        }
        if delivered > 20 + 30 * reshardings && reshardings < 3 {
            let open = fake.open_shards();
            match reshardings {
                0 => drop(fake.split(&open[0])),
                1 => drop(fake.merge(&open[1], &open[2])),
                _ => drop(fake.split(&open[1])),
            }
            reshardings += 1;
            put_some(["second", "third", "fourth"][reshardings - 1]);
        }
        if delivered > 35 + 30 * deaths && deaths < DEATHS {
            deaths += 1;
            reading.kill().await;
            out.clear();
            for seen in seen.values_mut() {
                (seen.next, seen.abandonments, seen.rewinds) = (None, 0, 0);
            }
            reading = Reading::start(&fake, &file, options.clone()).await;
        }
        if out.len() < 6 && (out.is_empty() || dice.bool()) {
            if let Ok(chunk) = timeout(Duration::from_millis(50), reading.chunks.recv()).await {
                let chunk = chunk.expect("the source reads on");
                let (shard, range) = place(&fake, &chunk);
                for parent in fake.shards().iter().find(|known| known.id == shard).unwrap().parents.clone() {
                    let all = fake.shards().iter().find(|known| known.id == parent).unwrap().records.len();
                    let read = seen.get(&parent).map_or(0, |seen| seen.delivered.len());
                    assert_eq!(read, all, "{shard} before {parent} is delivered, seed {seed}");
                }
                seen.entry(shard.clone()).or_default().take(range, &format!("{shard}, seed {seed}"));
                out.push(chunk);
            }
        } else if !out.is_empty() {
            let chunk = out.swap_remove(dice.usize(..out.len()));
            let (shard, range) = place(&fake, &chunk);
            let seen = seen.get_mut(&shard).unwrap();
            let most = range.clone().filter_map(|index| seen.abandoned.get(&index)).max().copied().unwrap_or(0);
            if most < ABANDONMENTS_MAX && dice.u32(..8) == 0 {
                abandonments += 1;
                seen.abandonments += 1;
                for index in range {
                    *seen.abandoned.entry(index).or_default() += 1;
                }
                drop(chunk);
            } else {
                assert!(!chunk.give_up, "{shard}: no record was abandoned often enough, seed {seed}");
                seen.delivered.extend(range);
                settle(chunk, Outcome::Delivered);
            }
        }
    }
    fake.plan(Plan::healthy());
    reading.stop().await;
    println!("{reshardings} reshardings, {deaths} deaths, {abandonments} abandonments");
    assert_eq!((reshardings, deaths), (3, DEATHS), "seed {seed}");
    for (shard, lease) in leases(&file).await {
        let is_closed = fake.shards().iter().any(|known| known.id == shard && known.ending_sequence.is_some());
        assert_eq!(lease.checkpoint == Checkpoint::ShardEnd, is_closed, "{shard}, seed {seed}");
    }
}

/// Where a chunk's records stand in their shard, by number. They are neighbours.
fn place(fake: &FakeKinesis, chunk: &Chunk) -> (String, RangeInclusive<usize>) {
    let shard = chunk.records[0].position.shard.to_string();
    let stored = fake.shards().into_iter().find(|known| known.id == shard).unwrap().records;
    let number = |sequence: &str| stored.iter().position(|record| record.sequence == sequence).unwrap();
    let numbers: Vec<usize> = chunk.records.iter().map(|record| number(record.position.sequence.as_str())).collect();
    let range = numbers[0]..=numbers[numbers.len() - 1];
    assert_eq!(numbers, range.clone().collect::<Vec<_>>(), "{shard}: the records of a chunk follow each other");
    (shard, range)
}
