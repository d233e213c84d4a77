//! The batcher: from parcels to loads, by count, encoded bytes and age. Synchronous; the time is given.

use std::sync::Arc;

use tokio::time::Instant;

use super::load::{Entry, History, Load, Meters, Share, room};
use super::{Batch, LaneSettings, Parcel, Sink};
use crate::budget::{Budget, Charge};

/// Fills batches from one parcel after the other. Only one batch is being filled at a time, and a parcel is encoded no
/// further than the lane asks for loads.
#[derive(Debug, Default)]
pub(super) struct Filler {
    opened: Option<Opened>,
    filling: Option<Filling>,
}

/// A parcel, and how far it was taken. Dropping it abandons the rest.
#[derive(Debug)]
pub(super) struct Opened {
    parcel: Option<Parcel>,
    next: usize,
    /// The share through the batch that is being filled.
    share: Option<Arc<Share>>,
    meters: Meters,
}

#[derive(Debug)]
struct Filling {
    batch: Batch,
    entries: Vec<Entry>,
    charge: Charge,
    /// When its first entry came.
    since: Instant,
    /// Set when it is to go although it is neither full nor old.
    is_pressed: bool,
}

impl Opened {
    pub fn new(parcel: Parcel, meters: Meters) -> Self {
        meters.lane.entries.add_count(parcel.rows.len());
        Self { parcel: Some(parcel), next: 0, share: None, meters }
    }

    /// The next row, which stays the next until [`Opened::take`].
    fn peek(&self) -> Option<(&Parcel, u32)> {
        let parcel = self.parcel.as_ref()?;
        Some((parcel, *parcel.rows.get(self.next)?))
    }

    /// Takes the next row as an entry of the batch that is being filled.
    fn take(&mut self) -> Option<Entry> {
        let parcel = self.parcel.as_ref()?;
        let row = *parcel.rows.get(self.next)?;
        self.next += 1;
        let fresh = || Share::new(&parcel.block, parcel.receipt.share(), self.meters.clone());
        Some(Entry::new(Arc::clone(self.share.get_or_insert_with(fresh)), row))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        while self.take().is_some() {}
        // Every row has a share that speaks for it, through its batch; the parcel's own share has nothing to add.
        if let Some(parcel) = self.parcel.take() {
            parcel.receipt.settle(crate::ack::Outcome::Delivered);
        }
    }
}

impl Filler {
    /// Says whether the next parcel may come.
    pub fn wants_parcel(&self) -> bool {
        self.opened.is_none()
    }

    pub fn is_empty(&self) -> bool {
        self.opened.is_none() && self.filling.is_none()
    }

    /// Takes a parcel, to be encoded when loads are asked for.
    pub fn open(&mut self, parcel: Parcel, meters: Meters) {
        debug_assert!(self.wants_parcel(), "one parcel at a time");
        self.opened = Some(Opened::new(parcel, meters));
    }

    /// Fills on, and returns a load if one is full.
    pub fn fill(&mut self, sink: &impl Sink, settings: &LaneSettings, budget: &Budget, now: Instant) -> Option<Load> {
        let full = self.fill_uncharged(sink, settings, budget, now);
        if let Some(Filling { batch, entries, charge, .. }) = &mut self.filling {
            charge.resize(room(batch, entries));
        }
        full
    }

    fn fill_uncharged(
        &mut self,
        sink: &impl Sink,
        settings: &LaneSettings,
        budget: &Budget,
        now: Instant,
    ) -> Option<Load> {
        let (entries_max, bytes_max) = (settings.batch_entries_max.get(), settings.batch_bytes_max.get());
        while let Some(opened) = &mut self.opened {
            let Some((parcel, row)) = opened.peek() else {
                self.opened = None;
                break;
            };
            let Some(event) = parcel.block.event(row) else {
                debug_assert!(false, "a parcel names rows of its block");
                drop(opened.take());
                continue;
            };
            let filling = self.filling.get_or_insert_with(|| Filling::new(now, budget));
            filling.batch.push(|out| sink.encode(event, out));
            if filling.batch.len() > 1 && filling.batch.body().len() > bytes_max {
                filling.batch.pop();
                return self.flush(budget);
            }
            filling.entries.extend(opened.take());
            if filling.batch.len() >= entries_max || filling.batch.body().len() >= bytes_max {
                return self.flush(budget);
            }
        }
        None
    }

    /// The load that is not full, if it is old enough or pressed.
    pub fn ripe(&mut self, settings: &LaneSettings, budget: &Budget, now: Instant) -> Option<Load> {
        let filling = self.filling.as_ref()?;
        if filling.is_pressed || now >= filling.since + settings.batch_age_max { self.flush(budget) } else { None }
    }

    /// The load that is being filled, as it is.
    pub fn flush(&mut self, budget: &Budget) -> Option<Load> {
        let Filling { batch, entries, .. } = self.filling.take()?;
        if let Some(opened) = &mut self.opened {
            opened.share = None;
        }
        Some(Load::new(batch, entries, History::default(), budget))
    }

    /// When the load that is being filled becomes old enough.
    pub fn ripens_at(&self, settings: &LaneSettings) -> Option<Instant> {
        self.filling.as_ref().map(|filling| filling.since + settings.batch_age_max)
    }

    /// Says whether there is something that pressure could hurry.
    pub fn is_unripe(&self) -> bool {
        self.filling.as_ref().is_some_and(|filling| !filling.is_pressed)
    }

    /// What is being filled is to go as it is.
    pub fn press(&mut self) {
        if let Some(filling) = &mut self.filling {
            filling.is_pressed = true;
        }
    }
}

impl Filling {
    fn new(since: Instant, budget: &Budget) -> Self {
        let charge = budget.charge(0);
        Self { batch: Batch::default(), entries: Vec::new(), charge, since, is_pressed: false }
    }
}
