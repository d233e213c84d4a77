//! The batcher: from parcels to loads, by count, encoded bytes and age. Synchronous; the time is given.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::time::Instant;

use super::load::{Entry, History, Load, Meters, Share, room};
use super::oversize::trimmed_frame;
use super::{Batch, EventView, LaneSettings, Oversize, Parcel, Sink};
use crate::budget::{Budget, Charge};

/// The most batches that are filled at once. A sink with more buckets than this sends the oldest batch before it is full.
pub(super) const BUCKETS_MAX: usize = 64;

/// Fills batches from one parcel after the other, one for each bucket that has entries, at most [`BUCKETS_MAX`]. A parcel
/// is encoded no further than the lane asks for loads.
#[derive(Debug, Default)]
pub(super) struct Filler {
    opened: Option<Opened>,
    /// The oldest first.
    filling: Vec<Filling>,
    /// The bucket of the event at hand, kept for its room.
    bucket: Vec<u8>,
    /// Entries that are larger than `event_bytes_max`, with the bytes they have, until they are taken out.
    oversize: Vec<(Entry, usize)>,
}

/// A parcel, and how far it was taken. Dropping it abandons the rest.
#[derive(Debug)]
pub(super) struct Opened {
    parcel: Option<Parcel>,
    next: usize,
    meters: Meters,
}

#[derive(Debug)]
struct Filling {
    batch: Batch,
    entries: Vec<Entry>,
    charge: Charge,
    /// The share of the opened parcel through this batch.
    share: Option<Arc<Share>>,
    /// When its first entry came.
    since: Instant,
    /// Set when it is to go although it is neither full nor old.
    is_pressed: bool,
}

impl Opened {
    pub fn new(parcel: Parcel, meters: Meters) -> Self {
        meters.lane.entries.add_count(parcel.rows.len());
        Self { parcel: Some(parcel), next: 0, meters }
    }

    /// The next row, which stays the next until [`Opened::take`].
    fn peek(&self) -> Option<(&Parcel, u32)> {
        let parcel = self.parcel.as_ref()?;
        Some((parcel, *parcel.rows.get(self.next)?))
    }

    /// Takes the next row as an entry of a batch, with this share through it.
    fn take(&mut self, share: &mut Option<Arc<Share>>) -> Option<Entry> {
        let parcel = self.parcel.as_ref()?;
        let row = *parcel.rows.get(self.next)?;
        self.next += 1;
        let fresh = || Share::new(&parcel.block, parcel.receipt.share(), self.meters.clone());
        Some(Entry::new(Arc::clone(share.get_or_insert_with(fresh)), row))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut share = None;
        while self.take(&mut share).is_some() {}
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
        self.opened.is_none() && self.filling.is_empty() && self.oversize.is_empty()
    }

    /// Takes a parcel, to be encoded when loads are asked for.
    pub fn open(&mut self, parcel: Parcel, meters: Meters) {
        debug_assert!(self.wants_parcel(), "one parcel at a time");
        self.opened = Some(Opened::new(parcel, meters));
    }

    /// Fills on, and returns a load if one is full.
    pub fn fill(&mut self, sink: &impl Sink, settings: &LaneSettings, budget: &Budget, now: Instant) -> Option<Load> {
        let full = self.fill_uncharged(sink, settings, budget, now);
        for Filling { batch, entries, charge, .. } in &mut self.filling {
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
                self.close();
                break;
            };
            let Some(event) = parcel.block.event(row) else {
                debug_assert!(false, "a parcel names rows of its block");
                drop(opened.take(&mut None));
                continue;
            };
            self.bucket.clear();
            sink.bucket(event, &mut self.bucket);
            let number = match self.filling.iter().position(|filling| filling.batch.bucket() == self.bucket) {
                Some(number) => number,
                None if self.filling.len() >= BUCKETS_MAX => return self.flush(0, budget),
                None => {
                    self.filling.push(Filling::new(&self.bucket, now, budget));
                    self.filling.len() - 1
                }
            };
            let filling = self.filling.get_mut(number)?;
            let bytes = filling.batch.push(|out| sink.encode(event, out));
            let is_oversize = settings.event_bytes_max.is_some_and(|max| bytes > max.get());
            let fits = !is_oversize || filling.refit(event, sink, settings);
            if !fits {
                self.oversize.extend(opened.take(&mut filling.share).map(|entry| (entry, bytes)));
                if filling.batch.is_empty() {
                    self.filling.remove(number);
                }
                continue;
            }
            if filling.batch.len() > 1 && filling.batch.body().len() > bytes_max {
                filling.batch.pop();
                return self.flush(number, budget);
            }
            if is_oversize {
                opened.meters.lane.trimmed.add(1);
            }
            filling.entries.extend(opened.take(&mut filling.share));
            if filling.batch.len() >= entries_max || filling.batch.body().len() >= bytes_max {
                return self.flush(number, budget);
            }
        }
        None
    }

    /// The entries that are too large for the destination, with the bytes they have, for whoever buries them.
    pub fn take_oversize(&mut self) -> Vec<(Entry, usize)> {
        std::mem::take(&mut self.oversize)
    }

    /// The oldest load that is not full, if it is old enough or pressed.
    pub fn ripe(&mut self, settings: &LaneSettings, budget: &Budget, now: Instant) -> Option<Load> {
        let is_ripe = |filling: &Filling| filling.is_pressed || now >= filling.since + settings.batch_age_max;
        let number = self.filling.iter().position(is_ripe)?;
        self.flush(number, budget)
    }

    /// When the oldest load that is being filled becomes old enough.
    pub fn ripens_at(&self, settings: &LaneSettings) -> Option<Instant> {
        self.filling.first().map(|filling| filling.since + settings.batch_age_max)
    }

    /// Says whether there is something that pressure could hurry.
    pub fn is_unripe(&self) -> bool {
        self.filling.iter().any(|filling| !filling.is_pressed)
    }

    /// What is being filled is to go as it is.
    pub fn press(&mut self) {
        for filling in &mut self.filling {
            filling.is_pressed = true;
        }
    }

    /// The parcel is taken to its end: what comes next has a share of its own.
    fn close(&mut self) {
        self.opened = None;
        for filling in &mut self.filling {
            filling.share = None;
        }
    }

    /// A load that is being filled, as it is.
    fn flush(&mut self, number: usize, budget: &Budget) -> Option<Load> {
        if number >= self.filling.len() {
            return None;
        }
        let Filling { batch, entries, .. } = self.filling.remove(number);
        Some(Load::new(batch, entries, History::default(), budget))
    }
}

impl Filling {
    fn new(bucket: &[u8], since: Instant, budget: &Budget) -> Self {
        Self {
            batch: Batch::of_bucket(bucket),
            entries: Vec::new(),
            charge: budget.charge(0),
            share: None,
            since,
            is_pressed: false,
        }
    }

    /// Puts a smaller frame in the place of the last, which is larger than `event_bytes_max`. If there is none, the last is
    /// taken back.
    fn refit(&mut self, event: EventView<'_>, sink: &impl Sink, settings: &LaneSettings) -> bool {
        self.batch.pop();
        let bytes_max = settings.event_bytes_max.map_or(usize::MAX, NonZeroUsize::get);
        let smaller = match settings.oversize {
            Oversize::Trim => trimmed_frame(event, sink, bytes_max),
            Oversize::DeadLetter => None,
        };
        if let Some(frame) = &smaller {
            self.batch.push(|out| out.extend_from_slice(frame));
        }
        smaller.is_some()
    }
}
