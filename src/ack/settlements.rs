//! The way back: from the last receipt of a chunk to the owner of its frontier.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{ChunkId, Receipt, Settled};

/// Collects what the receipts of one shard report. It holds at most one entry a chunk that was opened, so the frontier's
/// window bounds it.
#[derive(Clone, Debug, Default)]
pub struct Settlements(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    settled: Mutex<VecDeque<Settled>>,
    arrived: Notify,
}

impl Settlements {
    /// The first receipt of a chunk, which reports here.
    #[must_use]
    pub fn receipt(&self, chunk: ChunkId) -> Receipt {
        let inner = Arc::clone(&self.0);
        Receipt::new(chunk, move |settled| {
            inner.settled.lock().unwrap_or_else(PoisonError::into_inner).push_back(settled);
            inner.arrived.notify_one();
        })
    }

    /// What was reported and not yet taken.
    #[must_use]
    pub fn try_next(&self) -> Option<Settled> {
        self.0.settled.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Waits for the next report. One task at a time waits. Dropping the future midway is safe: nothing is taken.
    pub async fn next(&self) -> Settled {
        loop {
            if let Some(settled) = self.try_next() {
                return settled;
            }
            self.0.arrived.notified().await;
        }
    }
}
