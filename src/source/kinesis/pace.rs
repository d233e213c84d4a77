//! When a shard is asked, and for how much: a function of what was answered, and of time. Pure.
//!
//! The service allows five calls and 2 MiB a second for a shard, shared by all who read it, at most 10,000 records and
//! 10 MiB for one call; after 10 MiB it throttles for five seconds (`GetRecords`). What others on the same shard use up
//! shows as throttling: then the calls are spaced wider, and closer again as they succeed.

use std::time::Duration;

use tokio::time::Instant;

use super::aggregate::RECORD_OVERHEAD_BYTES;
use super::trouble::Trouble;
use crate::delivery::Schedule;

/// The service allows five calls a second for a shard.
const CALL_EVERY: Duration = Duration::from_millis(200);

/// The widest space between two calls that throttling leads to.
const SPACING_MAX: Duration = Duration::from_secs(5);

/// The service gives 2 MiB a second for a shard, shared by all who read it.
const BYTES_PER_SECOND: u32 = 2 << 20;

/// A shard takes in 1 MiB a second: so much more can a shard bring that was read to its tip.
const INGEST_BYTES_PER_SECOND: usize = 1 << 20;

/// The service gives at most so many records with one call.
pub const CALL_RECORDS_MAX: usize = 10_000;

/// The service gives at most so many bytes with one call; a record has no more either.
pub const CALL_BYTES_MAX: usize = 10 << 20;

/// Room for what a shard at its tip may bring beyond what its pace says.
const TIP_BYTES: usize = 64 << 10;

/// A shard at its tip is asked for so many times what it brought lately. If that is too little the answer is full, and the
/// next one comes without the wait of a tip.
const USUAL_TIMES: usize = 4;

/// What is known of some records is believed of so many times as many.
const BELIEVED_TIMES: usize = 8;

/// A call to the same consumer and shard within five seconds of a successful one is refused (`SubscribeToShard`).
const SUBSCRIBE_EVERY: Duration = Duration::from_secs(5);

/// The first and the longest ceiling of a wait after a failed call.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The next call for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When.
    pub at: Instant,
    /// The most records to be asked for.
    pub records_max: usize,
    /// What the answer may take in memory while it is taken in, as far as that is waited for before the call.
    pub room_bytes: usize,
    /// What one record, larger than the shard's share has room for, takes beyond that. It is charged without waiting: the
    /// memory of all others might never be free at once.
    pub more_bytes: usize,
}

/// What was answered, as far as the pace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// How many records.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How far the reading is behind the newest record.
    pub behind: Duration,
}

/// The pace of one shard.
#[derive(Debug)]
pub struct Pace {
    records_max: usize,
    idle_wait: Duration,
    /// Between two calls.
    spacing: Duration,
    next_at: Instant,
    /// When the next subscription is not refused for coming too early.
    subscribe_at: Instant,
    /// When the shard was read to its tip, as of the last answer.
    at_tip: Option<Instant>,
    /// What a record takes, averaged over an answer, and the larger answers counting most; 0 while none is known.
    record_bytes: usize,
    /// What an answer brought lately, the larger ones counting most: its bytes and its records.
    usual: (usize, usize),
    asked: usize,
    schedule: Schedule,
    failures: u32,
}

impl Pace {
    /// The pace of a shard that was not asked yet. `seed` draws the jitter of waits.
    #[must_use]
    pub fn new(records_max: u32, idle_wait: Duration, seed: u64, now: Instant) -> Self {
        let records_max = usize::try_from(records_max).unwrap_or(usize::MAX).clamp(1, CALL_RECORDS_MAX);
        Self {
            records_max,
            idle_wait,
            spacing: CALL_EVERY,
            next_at: now,
            subscribe_at: now,
            at_tip: None,
            record_bytes: 0,
            usual: (0, 0),
            asked: records_max,
            schedule: Schedule::new(RETRY.0, RETRY.1, seed, now.into_std()),
            failures: 0,
        }
    }

    /// The next call. `share_bytes` is what the shard may hold in memory: half of it is for the answer while it is taken in,
    /// the other half for records that are out. Where an answer may be larger, so many records are asked for as fit, by
    /// what is known of their size. So it is with a shard at its tip, which brings little as a rule, and of which there may
    /// be many: it takes room for some times that, and not for all that may have come.
    ///
    /// Asking counts as calling: a call that is given up midway was made all the same, as far as the limits go.
    pub fn ask(&mut self, now: Instant, share_bytes: usize) -> Ask {
        let at = self.next_at.max(now);
        self.next_at = at + self.spacing;
        let (mut bytes, mut records_max) = (CALL_BYTES_MAX, self.records_max);
        if let Some(tip) = self.at_tip {
            bytes = TIP_BYTES.saturating_add(ingested(at.duration_since(tip))).min(CALL_BYTES_MAX);
            let usual = self.usual.0.saturating_mul(USUAL_TIMES).max(TIP_BYTES);
            if self.record_bytes > 0 && usual < bytes {
                (bytes, records_max) = (usual, self.fitting(usual));
            }
        }
        let room_max = share_bytes / 2;
        if answer_room(bytes) > room_max {
            bytes = fitting_answer(room_max);
            records_max = self.fitting(bytes).min(records_max);
        }
        self.asked = records_max;
        // Even an empty answer is not asked for where the memory is full.
        let least = self.record_bytes.max(1);
        let room = answer_room(bytes.max(least));
        let room_bytes = room.min(room_max.max(least));
        Ask { at, records_max, room_bytes, more_bytes: room - room_bytes }
    }

    /// How many records may be asked for where there is room for so many bytes of them: one tells what the others may be
    /// like, and a few of them do not tell what thousands are like.
    fn fitting(&self, bytes: usize) -> usize {
        let believed = self.usual.1.max(1).saturating_mul(BELIEVED_TIMES);
        bytes.checked_div(self.record_bytes).unwrap_or(1).min(believed).clamp(1, self.records_max)
    }

    /// When a subscription may be made. Nothing is counted for it but what [`subscribed`](Self::subscribed) and
    /// [`failed`](Self::failed) are told.
    #[must_use]
    pub fn subscribe(&self, now: Instant) -> Ask {
        Ask {
            at: self.next_at.max(self.subscribe_at).max(now),
            records_max: self.records_max,
            room_bytes: 0,
            more_bytes: 0,
        }
    }

    /// Takes note of an answer.
    pub fn answered(&mut self, now: Instant, answered: Answered) {
        self.succeeded();
        if let Some(bytes) = answered.bytes.checked_div(answered.records) {
            self.record_bytes = lately(self.record_bytes, bytes.saturating_add(RECORD_OVERHEAD_BYTES));
        }
        self.usual = (lately(self.usual.0, answered.bytes), lately(self.usual.1, answered.records));
        let is_at_tip = answered.behind.is_zero() && answered.records < self.asked;
        self.at_tip = is_at_tip.then_some(now);
        let bytes = u32::try_from(answered.bytes).unwrap_or(u32::MAX);
        let for_bytes = Duration::from_secs(1).mul_f64(f64::from(bytes) / f64::from(BYTES_PER_SECOND));
        let for_others = if is_at_tip { self.idle_wait } else { Duration::ZERO };
        self.next_at = now + self.spacing.max(for_bytes).max(for_others);
    }

    /// Takes note of a subscription that was made: the next one is refused before five seconds are over. That it is of any use
    /// only its first event says.
    pub fn subscribed(&mut self, now: Instant) {
        self.subscribe_at = now + SUBSCRIBE_EVERY;
    }

    /// Takes note of an event of a subscription.
    pub fn pushed(&mut self, now: Instant) {
        self.succeeded();
        self.next_at = now;
    }

    /// Takes note of a failure, and says how long the shard is left alone.
    pub fn failed(&mut self, now: Instant, trouble: &Trouble) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = match trouble {
            // An old iterator is no fault of anybody's, the first time.
            Trouble::Expired(_) if self.failures == 1 => self.spacing,
            Trouble::Throttled(_) => {
                self.spacing = self.spacing.saturating_mul(2).min(SPACING_MAX);
                self.schedule.next(None).max(self.spacing)
            }
            Trouble::InUse(_) => self.schedule.next(None).max(SUBSCRIBE_EVERY),
            _ => self.schedule.next(None).max(self.spacing),
        };
        self.next_at = now + wait;
        wait
    }

    /// How many calls in a row have failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.schedule.reset();
        self.spacing = CALL_EVERY.max(self.spacing.mul_f64(0.875));
    }
}

/// What an answer with so many bytes of records takes while it is taken in: its text, which holds them in base64 (4 bytes for
/// 3), the records, and the text of the record that is being decoded, which may be all of it.
#[must_use]
pub const fn answer_room(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(11)
}

/// How many bytes of records an answer may have that fits in so much room.
const fn fitting_answer(room_bytes: usize) -> usize {
    room_bytes / 11 * 3
}

/// The larger of what is new and what is known, which fades: growth is believed at once.
fn lately(known: usize, new: usize) -> usize {
    new.max(known.saturating_mul(3).saturating_add(new) / 4)
}

fn ingested(time: Duration) -> usize {
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX).saturating_add(1);
    seconds.saturating_mul(INGEST_BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: usize = usize::MAX;

    fn pace(now: Instant) -> Pace {
        Pace::new(10_000, Duration::from_secs(1), 1, now)
    }

    fn answer(records: usize, bytes: usize, behind_s: u64) -> Answered {
        Answered { records, bytes, behind: Duration::from_secs(behind_s) }
    }

    /// Guards the limits of the service: the wait after each answer, from the first call on.
    #[test]
    fn the_wait_follows_from_the_answer() {
        let now = Instant::now();
        for (words, answered, wait_ms) in [
            ("a backlog of small answers: five calls a second", answer(10, 1000, 60), 200),
            ("2 MiB a second", answer(4, 4 << 20, 60), 2000),
            ("after 10 MiB five seconds", answer(10_000, 10 << 20, 60), 5000),
            ("the tip: the idle wait", answer(1, 100, 0), 1000),
            ("the tip with more bytes than the idle wait allows for", answer(3, 6 << 20, 0), 3000),
            ("a full answer is no tip, whatever is said", answer(10_000, 1000, 0), 200),
        ] {
            let mut pace = pace(now);
            assert_eq!(pace.ask(now, SHARE).at, now, "the first call comes at once");
            pace.answered(now, answered);
            assert_eq!(pace.ask(now, SHARE).at - now, Duration::from_millis(wait_ms), "{words}");
        }
    }

    /// Guards that a call counts when it is made: giving it up midway does not free its place.
    #[test]
    fn calls_that_are_given_up_count() {
        let now = Instant::now();
        let mut pace = pace(now);
        let times: Vec<_> = (0..4).map(|_| (pace.ask(now, SHARE).at - now).as_millis()).collect();
        assert_eq!(times, [0, 200, 400, 600]);
    }

    /// Guards the room that is taken before a call, which is for the answer's text too: a full answer where a backlog may be,
    /// and at the tip what a shard can have taken in since.
    #[test]
    fn room_is_taken_for_what_may_come() {
        let now = Instant::now();
        let mut pace = pace(now);
        let full = answer_room(CALL_BYTES_MAX);
        assert!(full > 3 * CALL_BYTES_MAX, "text and records");
        assert_eq!(pace.ask(now, SHARE).room_bytes, full, "nothing is known");
        pace.answered(now, answer(0, 0, 0));
        let ask = pace.ask(now, SHARE);
        assert!((answer_room(1 << 20)..answer_room(3 << 20)).contains(&ask.room_bytes), "{ask:?}");
        let ask = pace.ask(now + Duration::from_mins(1), SHARE);
        assert_eq!((ask.room_bytes, ask.records_max), (full, 10_000), "a minute later it may be anything");
        pace.answered(now, answer(10, 1000, 5));
        assert_eq!(pace.ask(now, SHARE).room_bytes, full, "behind");
    }

    /// Guards that a shard which brings little takes little room, that a burst is not read any later for it than by one call,
    /// and that growth is believed at once.
    #[test]
    fn a_tip_takes_room_for_what_is_usual() {
        let now = Instant::now();
        let mut pace = pace(now);
        let later = now + Duration::from_mins(1);
        pace.answered(now, answer(2, 2000, 0));
        let ask = pace.ask(later, SHARE);
        assert_eq!((ask.records_max, ask.room_bytes), (16, answer_room(TIP_BYTES)), "eight times what came");
        pace.answered(later, answer(16, 16_000, 0));
        let ask = pace.ask(later, SHARE);
        assert_eq!((ask.at - later, ask.records_max), (CALL_EVERY, 10_000), "a full answer is no tip");
        pace.answered(later, answer(300, 300 << 10, 0));
        let ask = pace.ask(later + Duration::from_mins(1), SHARE);
        let of_usual = 4 * (300 << 10) / (1024 + RECORD_OVERHEAD_BYTES);
        assert!((of_usual - 200..=of_usual).contains(&ask.records_max), "{ask:?}");
        assert_eq!(ask.room_bytes, answer_room(4 * (300 << 10)));
        for _ in 0..100 {
            pace.answered(later, answer(0, 0, 0));
        }
        let ask = pace.ask(later + Duration::from_mins(1), SHARE);
        assert_eq!((ask.records_max, ask.room_bytes), (8, answer_room(TIP_BYTES)), "it fades");
    }

    /// Guards a small memory: so many records are asked for as fit in half of the share, one at the least, and little that was
    /// seen is not taken for much. What one record takes beyond the share is charged and not waited for.
    #[test]
    fn a_small_share_asks_for_fewer_records() {
        let now = Instant::now();
        let mut pace = pace(now);
        let first = pace.ask(now, 2 << 20);
        assert_eq!(first.records_max, 1, "their size is not known yet");
        assert!(first.room_bytes <= 1 << 20 && first.room_bytes > 1000 << 10, "{first:?}");
        pace.answered(now, answer(1, 1 << 10, 60));
        assert_eq!(pace.ask(now, 2 << 20).records_max, 8, "one may be small by chance");
        pace.answered(now, answer(8, 8 << 10, 60));
        assert_eq!(pace.ask(now, 2 << 20).records_max, 64);
        pace.answered(now, answer(64, 64 << 10, 60));
        let next = pace.ask(now, 2 << 20);
        assert_eq!(next.records_max, (1 << 20) / 11 * 3 / (1024 + RECORD_OVERHEAD_BYTES));
        assert!(next.room_bytes <= 1 << 20 && next.more_bytes == 0, "{next:?}");
        pace.answered(now, answer(1, 10 << 20, 60));
        let next = pace.ask(now, 2 << 20);
        assert_eq!(next.records_max, 1);
        assert_eq!(next.room_bytes, (10 << 20) + RECORD_OVERHEAD_BYTES, "one record, whatever its size");
        assert_eq!(next.room_bytes + next.more_bytes, answer_room((10 << 20) + RECORD_OVERHEAD_BYTES));
    }

    /// Guards what throttling does: wider and wider to a bound, and closer again with success. Others on the shard are let
    /// live, and it never stops.
    #[test]
    fn throttling_widens_and_success_narrows() {
        let now = Instant::now();
        let mut pace = pace(now);
        let throttled = Trouble::Throttled(String::new());
        let mut spacings = Vec::new();
        for _ in 0..8 {
            let wait = pace.failed(now, &throttled);
            assert!(wait >= pace.spacing && wait <= RETRY.1);
            spacings.push(pace.spacing.as_millis());
        }
        assert_eq!(spacings, [400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
        assert_eq!(pace.failures(), 8);
        let mut answers = 0;
        while pace.spacing > CALL_EVERY {
            pace.answered(now, answer(10, 10, 1));
            answers += 1;
        }
        assert_eq!((pace.failures(), answers), (0, 25));
    }

    /// Guards the waits after other failures, and that one expired iterator costs no more than its call.
    #[test]
    fn failures_wait_longer_and_longer() {
        let now = Instant::now();
        let mut pace = pace(now);
        assert_eq!(pace.failed(now, &Trouble::Expired(String::new())), CALL_EVERY);
        let denied = Trouble::Forbidden(String::new());
        let longest = (0..50).map(|_| pace.failed(now, &denied)).max().unwrap();
        assert!(longest > Duration::from_secs(15) && longest <= RETRY.1, "{longest:?}");
        assert!(pace.failed(now, &Trouble::InUse(String::new())) >= SUBSCRIBE_EVERY);
        pace.subscribed(now);
        pace.failed(now, &Trouble::Disturbed(String::new()));
        assert!(
            pace.subscribe(now).at - now >= SUBSCRIBE_EVERY,
            "a subscription that fails at once is one all the same"
        );
        pace.pushed(now);
        assert_eq!((pace.failures(), pace.subscribe(now).at - now), (0, SUBSCRIBE_EVERY));
    }
}
