//! Does the shard move, and if not, why? And how long until its records expire? Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::ack::Position;
use crate::metric::Reason;

/// How often a shard that stands still is told of, after the first time.
const TELL_EVERY: Duration = Duration::from_mins(5);

/// Watches one shard.
#[derive(Debug)]
pub struct Watch {
    moved_at: Instant,
    /// When it was last told of.
    told_at: Option<Instant>,
    /// How long it may stand still before it is told of.
    after: Duration,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing.
    Nothing,
    /// It has stood still for so long.
    StandsStill(Duration),
    /// It moves again, after so long, and its standing still was told.
    MovesAgain(Duration),
}

impl Watch {
    /// A watch over a shard that begins to be read now.
    #[must_use]
    pub const fn new(after: Duration, now: Instant) -> Self {
        Self { moved_at: now, told_at: None, after }
    }

    /// The shard moved: it was asked and answered, or something of it was settled.
    pub fn moved(&mut self, now: Instant) -> Tell {
        let stood = self.standstill(now);
        self.moved_at = now;
        match self.told_at.take() {
            Some(_) => Tell::MovesAgain(stood),
            None => Tell::Nothing,
        }
    }

    /// For how long it has not moved.
    #[must_use]
    pub fn standstill(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved_at)
    }

    /// Looks at it: a shard that stands still is told of once, and then now and then.
    pub fn look(&mut self, now: Instant, reason: Reason) -> Tell {
        let is_due = self.told_at.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if reason == Reason::Moving || self.standstill(now) < self.after || !is_due {
            return Tell::Nothing;
        }
        self.told_at = Some(now);
        Tell::StandsStill(self.standstill(now))
    }
}

/// When the records arrived that are out and not settled.
#[derive(Debug, Default)]
pub struct Arrivals(VecDeque<(Position, i64)>);

impl Arrivals {
    /// A chunk went out: its last position, and when its first record arrived.
    pub fn put(&mut self, last: Position, arrival_ms: i64) {
        self.0.push_back((last, arrival_ms));
    }

    /// Everything up to this position is settled.
    pub fn settled(&mut self, position: &Position) {
        let is_settled =
            |last: &Position| (&last.sequence, last.sub_sequence) <= (&position.sequence, position.sub_sequence);
        while self.0.pop_front_if(|(last, _)| is_settled(last)).is_some() {}
    }

    /// The reading went back: nothing is out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// When the oldest record arrived that is out.
    #[must_use]
    pub fn oldest_ms(&self) -> Option<i64> {
        self.0.front().map(|(_, arrival_ms)| *arrival_ms)
    }
}

/// The time until the oldest record that is not settled expires, in milliseconds; negative where it has.
///
/// `oldest_ms` is when that record arrived, where one is known: out, or read and not yet handed on. Where none is known, the
/// shard holds nothing older than `behind`, what the service says of the place of the reading.
#[must_use]
pub fn headroom_ms(retention: Duration, now_ms: i64, oldest_ms: Option<i64>, behind: Option<Duration>) -> i64 {
    let behind_ms = behind.map_or(0, |behind| i64::try_from(behind.as_millis()).unwrap_or(i64::MAX));
    let age_ms = oldest_ms.map_or(behind_ms, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
    i64::try_from(retention.as_millis()).unwrap_or(i64::MAX).saturating_sub(age_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Sequence;

    /// Guards that a shard which stands still is told of once and then seldom, and that its moving again is told too.
    #[test]
    fn standing_still_is_told() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(Duration::from_mins(1), start);
        let stands = |seconds| Tell::StandsStill(Duration::from_secs(seconds));
        assert_eq!(watch.look(at(59), Reason::Throttled), Tell::Nothing);
        assert_eq!(watch.look(at(100), Reason::Moving), Tell::Nothing, "an idle shard moves");
        assert_eq!(watch.look(at(60), Reason::Throttled), stands(60));
        assert_eq!(watch.look(at(61), Reason::Throttled), Tell::Nothing, "it is not told every second");
        assert_eq!(watch.look(at(360), Reason::LaneFull), stands(360));
        assert_eq!(watch.moved(at(400)), Tell::MovesAgain(Duration::from_secs(400)));
        assert_eq!(watch.moved(at(401)), Tell::Nothing);
        assert_eq!(watch.look(at(460), Reason::LaneFull), Tell::Nothing);
        assert_eq!(watch.look(at(461), Reason::LaneFull), stands(60));
    }

    /// Guards the time that is left: by the oldest record that is out, and without one by the place of the reading.
    #[test]
    fn headroom_is_measured_from_the_oldest() {
        let day = Duration::from_hours(24);
        let day_ms = 86_400_000;
        assert_eq!(headroom_ms(day, 5000, None, None), day_ms);
        assert_eq!(headroom_ms(day, 5000, None, Some(Duration::from_secs(3))), day_ms - 3000);
        assert_eq!(headroom_ms(day, 5000, Some(1000), Some(Duration::ZERO)), day_ms - 4000);
        assert_eq!(headroom_ms(day, 5000, Some(9000), None), day_ms, "a clock that is ahead");
        assert_eq!(headroom_ms(day, 1000 + day_ms + 7, Some(1000), None), -7, "records are being lost");

        let at =
            |number: u64, sub_sequence| Position { sub_sequence, ..Position::new("s".into(), Sequence::from(number)) };
        let mut arrivals = Arrivals::default();
        arrivals.put(at(1, 4), 100);
        arrivals.put(at(2, 0), 200);
        arrivals.settled(&at(1, 3));
        assert_eq!(arrivals.oldest_ms(), Some(100));
        arrivals.settled(&at(1, 4));
        assert_eq!(arrivals.oldest_ms(), Some(200));
        arrivals.clear();
        assert_eq!(arrivals.oldest_ms(), None);
    }
}
