//! Property tests of the frontier and of receipts against models so simple that they are obviously right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{ABANDONMENTS_MAX, ChunkId, Frontier, Outcome, Position, Receipt, Sequence, Settled, Step};

const ROUNDS: u64 = 300;

/// Prints the seed of the round that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed: {}", self.0);
        }
    }
}

fn position(number: usize) -> Position {
    // Every third record is an aggregate's second part, so that sub-sequences are told apart.
    let sequence = Sequence::from(u64::try_from(number / 3).unwrap());
    Position { shard: "shardId-000000000000".into(), sequence, sub_sequence: u64::try_from(number % 3).unwrap() }
}

fn number(position: &Position) -> usize {
    let sequence: usize = position.sequence.as_str().parse().unwrap();
    sequence * 3 + usize::try_from(position.sub_sequence).unwrap()
}

/// What a frontier should know, kept in the plainest way: every record with its state.
struct Model {
    /// How many records, from the first, a checkpoint has passed.
    passed: usize,
    /// The chunks that are out: first record, records, settled.
    out: Vec<(ChunkId, usize, usize, bool)>,
    /// The next record to read.
    next: usize,
    abandonments: HashMap<usize, u8>,
}

impl Model {
    /// The step that settling a chunk should ask for.
    fn settle(&mut self, chunk: ChunkId, outcome: Outcome) -> Step {
        let Some(&(_, first, count, _)) = self.out.iter().find(|(id, ..)| *id == chunk) else { return Step::Wait };
        if outcome == Outcome::Abandoned {
            for record in first..first + count {
                *self.abandonments.entry(record).or_default() += 1;
            }
            self.out.clear();
            self.next = self.passed;
            return Step::Rewind;
        }
        for out in &mut self.out {
            out.3 |= out.0 == chunk;
        }
        let before = self.passed;
        while let Some((_, first, count, true)) = self.out.first().copied() {
            assert_eq!(first, self.passed, "chunks leave in order");
            self.passed += count;
            self.out.remove(0);
        }
        self.abandonments.retain(|record, _| *record >= self.passed);
        if self.passed > before { Step::Advance(position(self.passed - 1)) } else { Step::Wait }
    }
}

/// Guards the heart of conservation: whatever the order in which chunks are settled or abandoned, the checkpoint never
/// passes what is not settled, never moves back, the window holds its bound, and late words about forgotten chunks change
/// nothing.
#[test]
fn a_frontier_does_what_the_model_does() {
    for seed in 0..ROUNDS {
        let _seed = Seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let window = rng.usize(1..8);
        let total = rng.usize(1..120);
        let abandon_percent = [0, 5, 30][rng.usize(0..3)];
        let mut frontier = Frontier::new(window, None);
        let mut model = Model { passed: 0, out: Vec::new(), next: 0, abandonments: HashMap::new() };
        // Chunks that were forgotten in a rewind, whose receipts still speak.
        let mut stale: Vec<ChunkId> = Vec::new();
        let mut ids_seen = 0;
        let mut lost_patience = 0;
        while model.passed < total {
            assert_eq!(frontier.is_full(), model.out.len() >= window);
            assert_eq!(frontier.is_idle(), model.out.is_empty());
            if !frontier.is_full() && model.next < total && (model.out.is_empty() || rng.bool()) {
                let count = rng.usize(1..=5).min(total - model.next);
                // A record that was abandoned goes out alone.
                let suspect =
                    (model.next..model.next + count).position(|record| frontier.abandonments(&position(record)) > 0);
                let count = suspect.map_or(count, |at| at.max(1));
                let id = frontier.open((model.next..model.next + count).map(position).collect());
                assert_eq!(id, ids_seen, "numbers are never used twice");
                ids_seen += 1;
                model.out.push((id, model.next, count, false));
                model.next += count;
                continue;
            }
            let (chunk, first) = if !stale.is_empty() && rng.u8(0..4) == 0 {
                (stale.swap_remove(rng.usize(0..stale.len())), None)
            } else {
                let open: Vec<_> = model.out.iter().filter(|out| !out.3).collect();
                let Some(out) = open.get(rng.usize(0..open.len().max(1))) else { continue };
                (out.0, Some(out.1))
            };
            let give_up = first.is_some_and(|first| frontier.abandonments(&position(first)) >= ABANDONMENTS_MAX);
            let outcome = match rng.u8(0..100) {
                _ if give_up => Outcome::DeadLettered,
                roll if roll < abandon_percent => Outcome::Abandoned,
                roll if roll < 50 => Outcome::Delivered,
                roll if roll < 75 => Outcome::Filtered,
                _ => Outcome::DeadLettered,
            };
            lost_patience += u32::from(give_up);
            let before = frontier.settled().map(number);
            let forgotten: Vec<ChunkId> =
                model.out.iter().filter(|out| !out.3 && out.0 != chunk).map(|out| out.0).collect();
            let step = frontier.settle(Settled { chunk, outcome });
            assert_eq!(step, model.settle(chunk, outcome));
            if step == Step::Rewind {
                stale.extend(forgotten);
            }
            let after = frontier.settled().map(number);
            assert!(after >= before, "the checkpoint moved back: {before:?} to {after:?}");
            assert_eq!(after, model.passed.checked_sub(1), "the checkpoint is where the contiguous run ends");
            for record in 0..total {
                let expected = model.abandonments.get(&record).copied().unwrap_or(0);
                assert_eq!(frontier.abandonments(&position(record)), expected, "record {record}");
                assert!(expected <= ABANDONMENTS_MAX, "given up in time");
            }
        }
        assert!(frontier.is_idle());
        assert!(abandon_percent > 0 || lost_patience == 0);
    }
}

/// Guards the third abandonment: counted per record and over rewinds, named in the record that did it, forgotten once the
/// record is behind the checkpoint.
#[test]
fn abandonments_are_counted_per_record() {
    let mut frontier = Frontier::new(4, None);
    let first = frontier.open(vec![position(0), position(1)]);
    assert_eq!(frontier.settle(Settled { chunk: first, outcome: Outcome::Abandoned }), Step::Rewind);
    for count in 1..ABANDONMENTS_MAX {
        let good = frontier.open(vec![position(0)]);
        let culprit = frontier.open(vec![position(1)]);
        assert_eq!(frontier.abandonments(&position(1)), count);
        assert_eq!(
            frontier.settle(Settled { chunk: culprit, outcome: Outcome::Abandoned }),
            Step::Rewind,
            "even if an older chunk is out"
        );
        assert_eq!(
            frontier.settle(Settled { chunk: good, outcome: Outcome::Delivered }),
            Step::Wait,
            "it was forgotten in the rewind and will be read again"
        );
    }
    assert_eq!(frontier.abandonments(&position(0)), 1);
    assert_eq!(frontier.abandonments(&position(1)), ABANDONMENTS_MAX);
    let good = frontier.open(vec![position(0)]);
    let gone = frontier.open(vec![position(1)]);
    assert_eq!(frontier.settle(Settled { chunk: gone, outcome: Outcome::DeadLettered }), Step::Wait);
    assert_eq!(
        frontier.settle(Settled { chunk: good, outcome: Outcome::Delivered }),
        Step::Advance(position(1)),
        "one step over both"
    );
    assert_eq!(frontier.abandonments(&position(1)), 0);
}

/// Guards that a chunk's owner is told exactly once, when the last share is gone, with the worst outcome, and that a share
/// dropped in silence is the worst of all.
#[test]
fn receipts_tell_the_worst_once_and_last() {
    for seed in 0..ROUNDS {
        let _seed = Seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let mut shares = vec![Receipt::new(seed, move |settled| tell.lock().unwrap().push(settled))];
        let mut worst = Outcome::Delivered;
        let mut more = rng.usize(0..12);
        while !shares.is_empty() {
            assert!(told.lock().unwrap().is_empty(), "a share is left");
            if more > 0 && rng.bool() {
                more -= 1;
                shares.push(shares[rng.usize(0..shares.len())].share());
                continue;
            }
            let share = shares.swap_remove(rng.usize(0..shares.len()));
            let outcome = match rng.u8(0..20) {
                0 => None,
                1 => Some(Outcome::Abandoned),
                2..5 => Some(Outcome::DeadLettered),
                5..8 => Some(Outcome::Filtered),
                _ => Some(Outcome::Delivered),
            };
            worst = worst.max(outcome.unwrap_or(Outcome::Abandoned));
            match outcome {
                Some(outcome) => share.settle(outcome),
                None => drop(share),
            }
        }
        assert_eq!(*told.lock().unwrap(), [Settled { chunk: seed, outcome: worst }]);
    }
}

/// Guards the same across threads: shares are settled where the lanes run.
#[test]
fn receipts_are_settled_from_any_thread() {
    for round in 0..50 {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let first = Receipt::new(round, move |settled| tell.lock().unwrap().push(settled));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let share = first.share();
                scope.spawn(move || {
                    let inner = share.share();
                    share.settle(Outcome::Delivered);
                    inner.settle(if thread == 2 { Outcome::DeadLettered } else { Outcome::Delivered });
                });
            }
            first.settle(Outcome::Filtered);
        });
        assert_eq!(*told.lock().unwrap(), [Settled { chunk: round, outcome: Outcome::DeadLettered }]);
    }
}

/// Guards that sequence numbers of any length compare as numbers, not as texts.
#[test]
fn sequences_order_as_numbers() {
    let long = "49590338271490256608559692538361571095921575989136588898";
    let texts = ["0", "9", "10", "99", "100", "18446744073709551616", long];
    for pair in texts.windows(2) {
        assert!(Sequence::new(pair[0]) < Sequence::new(pair[1]), "{pair:?}");
    }
    assert_eq!(Sequence::new("00042"), Sequence::from(42));
    assert_eq!(Sequence::new("000"), Sequence::from(0));
    assert_eq!(Sequence::new(""), Sequence::from(0));
    assert_eq!(Sequence::new(long).to_string(), long);
}

/// Guards how a position is shown in logs and dead letters.
#[test]
fn positions_show_the_sub_sequence_only_where_there_is_one() {
    let mut position = Position::new("shardId-000000000007".into(), Sequence::from(12));
    assert_eq!(position.to_string(), "shardId-000000000007/12");
    position.sub_sequence = 3;
    assert_eq!(position.to_string(), "shardId-000000000007/12/3");
}

/// Guards the order of badness, which every "worst wins" rests on, and that it survives being kept as a number.
#[test]
fn outcomes_are_ordered_by_badness() {
    let all = [Outcome::Delivered, Outcome::Spilled, Outcome::Filtered, Outcome::DeadLettered, Outcome::Abandoned];
    assert!(all.is_sorted());
    for outcome in all {
        assert_eq!(Outcome::of_code(outcome.code()), outcome);
        assert_eq!(outcome.is_settled(), outcome != Outcome::Abandoned);
    }
    assert!(all.map(Outcome::code).is_sorted());
}
