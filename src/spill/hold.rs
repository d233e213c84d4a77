//! What the lane was given and has not settled. Synchronous; the times are given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::format::Place;
use crate::ack::{ChunkId, Outcome, Receipt, Settled, Settlements};
use crate::delivery::{Block, Parcel};

/// The parcels that the lane has, by the numbers of the receipts that it was given with them, in the order of giving.
#[derive(Debug, Default)]
pub(super) struct Hold {
    parcels: BTreeMap<ChunkId, Held>,
    next: ChunkId,
    settlements: Settlements,
}

#[derive(Debug)]
enum Held {
    /// In memory alone.
    Fresh(Fresh),
    /// In memory alone, and too large for the spill.
    TooLarge(Receipt),
    /// In the spill.
    Spilled(Place),
}

/// A parcel with the receipt of its source.
#[derive(Debug)]
pub(super) struct Fresh {
    pub block: Arc<Block>,
    pub rows: Vec<u32>,
    pub receipt: Receipt,
    pub since: Instant,
}

/// What the end of a parcel means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The source was told.
    Told,
    /// The entry of the spill is to be settled.
    Settle(Place),
    /// The lane gave an entry of the spill up: it stays there, and the next process reads it.
    Stays,
}

impl Hold {
    /// Makes a parcel for the lane of one that came from routing.
    pub fn fresh(&mut self, parcel: Parcel, since: Instant) -> Parcel {
        let Parcel { block, rows, receipt } = parcel;
        let (of_lane, fresh) = self.number();
        let given = Parcel { block: Arc::clone(&block), rows: rows.clone(), receipt: of_lane };
        self.parcels.insert(fresh, Held::Fresh(Fresh { block, rows, receipt, since }));
        given
    }

    /// Makes a parcel for the lane of an entry of the spill.
    pub fn spilled(&mut self, block: Block, place: Place) -> Parcel {
        let rows = (0_u32..).zip(&block.rows).map(|(number, _)| number).collect();
        let (receipt, number) = self.number();
        self.parcels.insert(number, Held::Spilled(place));
        Parcel { block: Arc::new(block), rows, receipt }
    }

    /// Waits for the lane to end a parcel. Dropping the future midway is safe.
    pub async fn next(&self) -> Settled {
        self.settlements.next().await
    }

    /// What the lane has ended and nobody has looked at.
    pub fn try_next(&self) -> Option<Settled> {
        self.settlements.try_next()
    }

    /// The lane has ended a parcel.
    pub fn ended(&mut self, settled: Settled) -> Ended {
        match self.parcels.remove(&settled.chunk) {
            Some(Held::Fresh(Fresh { receipt, .. }) | Held::TooLarge(receipt)) => {
                receipt.settle(settled.outcome);
                Ended::Told
            }
            Some(Held::Spilled(place)) if settled.outcome.is_settled() => Ended::Settle(place),
            Some(Held::Spilled(_)) | None => Ended::Stays,
        }
    }

    /// Says whether the lane has anything.
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Says whether all that the lane has is in the spill too.
    pub fn is_spilled(&self) -> bool {
        self.parcels.values().all(|held| matches!(held, Held::Spilled(_)))
    }

    /// When the oldest that is in memory alone has been there for this long.
    pub fn due_at(&self, after: Duration) -> Option<Instant> {
        self.all_fresh().next().map(|(_, fresh)| fresh.since + after)
    }

    /// What is in memory alone, the oldest first, with its number.
    pub fn all_fresh(&self) -> impl Iterator<Item = (ChunkId, &Fresh)> {
        self.parcels.iter().filter_map(|(number, held)| match held {
            Held::Fresh(fresh) => Some((*number, fresh)),
            Held::TooLarge(_) | Held::Spilled(_) => None,
        })
    }

    /// A parcel is in the spill now: its source need not wait. How it ends is still the lane's word, which counts its events.
    pub fn is_in_spill(&mut self, number: ChunkId, place: Place) {
        if let Some(held) = self.parcels.get_mut(&number)
            && let Held::Fresh(fresh) = std::mem::replace(held, Held::Spilled(place))
        {
            for charge in &fresh.block.charges {
                charge.leave_account();
            }
            fresh.receipt.settle(Outcome::Spilled);
        }
    }

    /// A parcel will never fit into the spill: only the lane can end it.
    pub fn is_too_large(&mut self, number: ChunkId) {
        if let Some(Held::Fresh(fresh)) = self.parcels.remove(&number) {
            self.parcels.insert(number, Held::TooLarge(fresh.receipt));
        }
    }

    fn number(&mut self) -> (Receipt, ChunkId) {
        let number = self.next;
        self.next += 1;
        (self.settlements.receipt(number), number)
    }
}
