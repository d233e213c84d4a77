//! Receipts: shares in a chunk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Outcome;

/// The number of a chunk, counted by the [`Frontier`](super::Frontier) that opened it and never used twice.
pub type ChunkId = u64;

/// What a chunk's last receipt reports: the worst outcome of all its shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which chunk.
    pub chunk: ChunkId,
    /// The worst outcome of all shares.
    pub outcome: Outcome,
}

/// A share in a chunk. There is one per (chunk, batch), not one per event; the normalizer holds the first until routing
/// has ended.
///
/// When the last share is gone, the chunk's owner is told the worst outcome. A share dropped without
/// [`settle`](Self::settle) counts as [`Outcome::Abandoned`]: success is always spoken, never implied.
pub struct Receipt {
    chunk: Arc<Chunk>,
    outcome: Outcome,
}

struct Chunk {
    id: ChunkId,
    worst: AtomicU8,
    tell: Box<dyn Fn(Settled) + Send + Sync>,
}

impl Receipt {
    /// The first share of a chunk. `tell` is called once, from whichever thread drops the last share; it must not block.
    pub fn new(id: ChunkId, tell: impl Fn(Settled) + Send + Sync + 'static) -> Self {
        let chunk = Chunk { id, worst: AtomicU8::new(Outcome::Delivered.code()), tell: Box::new(tell) };
        Self { chunk: Arc::new(chunk), outcome: Outcome::Abandoned }
    }

    /// The chunk this is a share of.
    #[must_use]
    pub fn chunk(&self) -> ChunkId {
        self.chunk.id
    }

    /// Another share of the same chunk, to be settled on its own.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { chunk: Arc::clone(&self.chunk), outcome: Outcome::Abandoned }
    }

    /// Ends this share with an outcome.
    pub fn settle(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.chunk.worst.fetch_max(self.outcome.code(), Ordering::AcqRel);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let outcome = Outcome::of_code(self.worst.load(Ordering::Acquire));
        (self.tell)(Settled { chunk: self.id, outcome });
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("chunk", &self.chunk.id).finish_non_exhaustive()
    }
}
