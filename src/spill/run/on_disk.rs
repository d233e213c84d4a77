//! What a spill does on its disk: write, read, remove, and rest where that fails.

use std::io;

use tokio::time::Instant;

use super::super::disk::Disk;
use super::super::entry;
use super::super::group::Group;
use super::super::log::Found;
use super::{AtWork, TICK};
use crate::ack::Outcome;
use crate::delivery::count_event;

impl<D: Disk> AtWork<D> {
    /// Everything that there is to do on the disk, each a bounded piece. A disk that takes no change is read all the same:
    /// what is delivered makes room.
    pub(super) async fn mind_disk(&mut self, now: Instant) {
        let is_over = |until: Option<Instant>| until.is_none_or(|until| now >= until);
        if now >= self.ticks_at {
            self.ticks_at = now + TICK;
            self.measure();
        }
        if is_over(self.writes_rest_until) {
            let changed = self.change(now).await;
            self.writes_rest_until = self.rest_of(changed, now);
        }
        if is_over(self.reads_rest_until) {
            let read = self.read_on().await;
            self.reads_rest_until = self.rest_of(read, now);
        }
        let is_free = self.full_until.is_none() && self.writes_rest_until.is_none() && self.reads_rest_until.is_none();
        if is_free && self.hindrance.take().is_some() {
            tracing::info!(sink = &*self.name, "spill goes on");
            self.measure();
        }
    }

    /// Removes, writes, and keeps how far all is settled: one that fails keeps none of the others from being tried.
    async fn change(&mut self, now: Instant) -> io::Result<()> {
        let swept = self.sweep().await;
        let written = if self.full_until.is_none_or(|until| now >= until) {
            self.full_until = None;
            self.write(now).await
        } else {
            Ok(())
        };
        let kept = if now >= self.keeps_at {
            self.keeps_at = now + TICK;
            self.log.keep_settled().await
        } else {
            Ok(())
        };
        swept.and(written).and(kept)
    }

    async fn sweep(&mut self) -> io::Result<()> {
        while self.log.wants_sweep() {
            self.log.sweep().await?;
            self.full_until = None;
        }
        Ok(())
    }

    async fn read_on(&mut self) -> io::Result<()> {
        let reads = self.lane.is_some() && !self.shutdown.is_requested();
        while reads && self.ready.is_none() && !self.log.is_drained() {
            self.read().await?;
        }
        Ok(())
    }

    /// Until when the disk is left alone after this.
    fn rest_of(&mut self, done: io::Result<()>, now: Instant) -> Option<Instant> {
        let error = done.err()?;
        self.complain("spill_disk", &format!("the disk fails: {error}"), now);
        Some(now + TICK)
    }

    async fn write(&mut self, now: Instant) -> io::Result<()> {
        let diverts = self.diverts(now);
        let patience = self.patience();
        // What the lane has came before what waits.
        let due = self.hold.all_fresh().take_while(|(_, fresh)| diverts || now >= fresh.since + patience);
        let mut group = Group::default();
        let mut too_large = Vec::new();
        for (number, fresh) in due {
            match entry::encode(&fresh.block, &fresh.rows).filter(|body| self.log.could_hold(body)) {
                Some(body) => group.push(number, fresh.rows.len(), body),
                None => too_large.push(number),
            }
            if group.is_full() {
                break;
            }
        }
        for number in too_large {
            self.hold.is_too_large(number);
        }
        if !group.bodies.is_empty() {
            if self.fits(&mut group, now) {
                let places = self.log.append(&group.bodies, (self.clock)()).await?;
                self.log.adopt(&places);
                for (number, place) in group.numbers.iter().zip(places) {
                    self.hold.is_in_spill(*number, place);
                }
                self.wrote(&group);
            }
            return Ok(());
        }
        if diverts { self.divert(now).await } else { Ok(()) }
    }

    async fn divert(&mut self, now: Instant) -> io::Result<()> {
        let mut group = Group::default();
        for (parcel, _) in &self.waiting {
            match entry::encode(&parcel.block, &parcel.rows).filter(|body| self.log.could_hold(body)) {
                Some(body) => group.push(0, parcel.rows.len(), body),
                None => break,
            }
            if group.is_full() {
                break;
            }
        }
        if group.bodies.is_empty() {
            // The first is too large for the spill: it waits for the lane, and all that comes after it with it.
            self.full_until = Some(now + TICK);
            self.complain("spill_too_small", "one part of a chunk is larger than `bytes_max`", now);
            return Ok(());
        }
        if !self.fits(&mut group, now) {
            return Ok(());
        }
        let places = self.log.append(&group.bodies, (self.clock)()).await?;
        for (parcel, _) in self.waiting.drain(..places.len()) {
            for row in &parcel.rows {
                if let Some(outcome) = parcel.block.settle(*row, Outcome::Spilled) {
                    count_event(&self.events, outcome);
                }
            }
            parcel.receipt.settle(Outcome::Spilled);
        }
        self.wrote(&group);
        Ok(())
    }

    /// Leaves of a group what there is room for, and says whether that is anything.
    fn fits(&mut self, group: &mut Group, now: Instant) -> bool {
        while !group.bodies.is_empty() && !self.log.has_room(&group.bodies) {
            group.pop();
        }
        let fits = !group.bodies.is_empty();
        if !fits {
            self.full_until = Some(now + TICK);
            self.complain("spill_full", "`bytes_max` is reached", now);
        }
        fits
    }

    fn wrote(&mut self, group: &Group) {
        self.meter.spill.written.add_count(group.entries.iter().sum());
        self.measure();
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.log.next(&self.budget).await? {
            Found::Drained => {}
            Found::Damage(file, bytes) => {
                self.meter.spill.damaged_bytes.add_count(bytes);
                tracing::error!(
                    sink = &*self.name,
                    file,
                    bytes,
                    "the spill is damaged: what stood there is lost to this sink, all behind it is delivered; the file is kept"
                );
            }
            Found::Entry(place, body) => match entry::decode(&body, &self.names, &self.budget) {
                Ok(block) => {
                    self.meter.spill.returned.add_count(block.rows.len());
                    self.ready = Some(self.hold.spilled(block, place));
                }
                Err(error) => {
                    self.log.give_up(place);
                    self.meter.spill.damaged_bytes.add_count(body.len());
                    tracing::error!(sink = &*self.name, %error, "an entry of the spill cannot be read; its file is kept");
                }
            },
        }
        Ok(())
    }
}
