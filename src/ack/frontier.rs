//! The frontier of one shard: which chunks are out, and how far a checkpoint may move.

use std::collections::{HashMap, VecDeque};

use super::{ChunkId, Outcome, Position, Settled};

/// After this many abandonments a record is dead-lettered whole instead of read again.
pub const ABANDONMENTS_MAX: u8 = 3;

/// What the owner of a shard has to do after a chunk was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: an older chunk is still out, or the chunk belongs to a reading before the last rewind.
    Wait,
    /// Everything up to and including this position is settled: a checkpoint may be written there.
    Advance(Position),
    /// A chunk was abandoned. All chunks that are out have been forgotten; read again from behind the frontier
    /// ([`Frontier::settled`], or where the reading began).
    Rewind,
}

/// The chunks of one shard that are out, oldest first, and the last position behind which all is settled.
///
/// The window is bounded by `window_chunks_max`: a full window ([`is_full`](Self::is_full)) is the backpressure.
#[derive(Debug)]
pub struct Frontier {
    window: VecDeque<Out>,
    window_chunks_max: usize,
    next: ChunkId,
    settled: Option<Position>,
    /// How often each record behind the frontier has been abandoned. Bounded by what one window holds.
    abandoned: HashMap<Position, u8>,
}

#[derive(Debug)]
struct Out {
    id: ChunkId,
    positions: Vec<Position>,
    settled: bool,
}

impl Frontier {
    /// A frontier with nothing out. `settled` is where the checkpoint stands, if there is one.
    #[must_use]
    pub fn new(window_chunks_max: usize, settled: Option<Position>) -> Self {
        Self { window: VecDeque::new(), window_chunks_max, next: 0, settled, abandoned: HashMap::new() }
    }

    /// Says whether no chunk may be opened now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.window.len() >= self.window_chunks_max
    }

    /// Says whether no chunk is out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.window.is_empty()
    }

    /// The position up to which everything is settled.
    #[must_use]
    pub fn settled(&self) -> Option<&Position> {
        self.settled.as_ref()
    }

    /// How often this record has been abandoned. Such a record goes out in a chunk of its own, so that the next
    /// abandonment names the culprit; at [`ABANDONMENTS_MAX`] it goes to the dead letters whole.
    #[must_use]
    pub fn abandonments(&self, position: &Position) -> u8 {
        self.abandoned.get(position).copied().unwrap_or(0)
    }

    /// Opens a chunk of these records, in the order of the shard. They follow everything opened before.
    pub fn open(&mut self, positions: Vec<Position>) -> ChunkId {
        debug_assert!(!positions.is_empty(), "a chunk holds at least one record");
        debug_assert!(!self.is_full(), "a full window is the backpressure");
        let id = self.next;
        self.next += 1;
        self.window.push_back(Out { id, positions, settled: false });
        id
    }

    /// Takes note of a settled chunk.
    pub fn settle(&mut self, settled: Settled) -> Step {
        let Some(at) = self.window.iter().position(|out| out.id == settled.chunk) else { return Step::Wait };
        match settled.outcome {
            Outcome::Abandoned => {
                self.count_abandonment(at);
                self.window.clear();
                Step::Rewind
            }
            Outcome::Delivered | Outcome::Spilled | Outcome::Filtered | Outcome::DeadLettered => {
                if let Some(out) = self.window.get_mut(at) {
                    out.settled = true;
                }
                self.advance()
            }
        }
    }

    fn count_abandonment(&mut self, at: usize) {
        for position in self.window.get(at).into_iter().flat_map(|out| &out.positions) {
            let count = self.abandoned.entry(position.clone()).or_insert(0);
            *count = count.saturating_add(1);
        }
    }

    fn advance(&mut self) -> Step {
        let mut last = None;
        while let Some(out) = self.window.pop_front_if(|out| out.settled) {
            for position in &out.positions {
                self.abandoned.remove(position);
            }
            last = out.positions.into_iter().next_back().or(last);
        }
        match last {
            Some(position) => {
                self.settled = Some(position.clone());
                Step::Advance(position)
            }
            None => Step::Wait,
        }
    }
}
