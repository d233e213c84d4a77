//! What the watchdog sees of a reader, and says.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Reader, UnderWay};
use crate::metric::Reason;
use crate::source::kinesis::feed::{UNREAD_MAX, now_ms};
use crate::source::kinesis::watch::{Tell, headroom_ms};

impl Reader {
    /// Why the shard does not move, where it does not.
    fn reason(&self, under_way: &UnderWay) -> Reason {
        if let Some(reason) = self.trouble {
            return reason;
        }
        if under_way.placing.is_some() {
            return Reason::WorkersBusy;
        }
        if !self.ready.is_empty() || self.ending.is_some() {
            return Reason::LaneFull;
        }
        self.stage.reason()
    }

    /// The watchdog's look.
    pub(super) fn look(&mut self, under_way: &UnderWay) {
        let now = Instant::now();
        if self.unread_since.is_some_and(|since| now.duration_since(since) >= UNREAD_MAX)
            && let Some(feed) = &mut self.feed
        {
            feed.unsubscribe();
        }
        let (source, shard, reason) = (&self.work.name, &self.opener.shard, self.reason(under_way));
        if let Tell::StandsStill(standstill) = self.watch.look(now, reason) {
            tracing::warn!(%source, %shard, reason = reason.word(), ?standstill, "shard does not move");
        }
        let write_reason = if under_way.writing.is_some() { Reason::CheckpointStuck } else { Reason::Moving };
        if let Tell::StandsStill(standstill) = self.write_watch.look(now, write_reason) {
            tracing::warn!(%source, %shard, reason = write_reason.word(), ?standstill, "checkpoint is not written");
        }
        // The reading may go on while no checkpoint can be written; then that is what there is to be told.
        let (reason, standstill) = match (reason, self.write_watch.standstill(now)) {
            (Reason::Moving, standstill)
                if write_reason == Reason::CheckpointStuck && standstill >= self.work.options.standstill_after.0 =>
            {
                (write_reason, standstill)
            }
            (Reason::Moving, _) => (reason, Duration::ZERO),
            _ => (reason, self.watch.standstill(now)),
        };
        let retention = Duration::from_millis(self.work.retention_ms.load(Ordering::Relaxed));
        let oldest_ms = self.arrivals.oldest_ms().or_else(|| self.ready.front().and_then(|record| record.arrival_ms));
        self.meter.measure(|state| {
            state.reason = reason;
            state.standstill_ms = u64::try_from(standstill.as_millis()).unwrap_or(u64::MAX);
            state.is_still = reason != Reason::Moving && standstill >= self.work.options.standstill_after.0;
            let behind = state.behind_ms.map(Duration::from_millis);
            let is_known = !retention.is_zero() && (oldest_ms.is_some() || behind.is_some());
            state.headroom_ms = is_known.then(|| headroom_ms(retention, now_ms(), oldest_ms, behind));
        });
    }

    pub(super) fn tell_moved(&mut self) {
        if let Tell::MovesAgain(stood) = self.watch.moved(Instant::now()) {
            tracing::info!(source = %self.work.name, shard = %self.opener.shard, ?stood, "shard moves again");
        }
    }
}
