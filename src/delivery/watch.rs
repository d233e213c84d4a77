//! What a lane says about itself: in the log, now and then, and in its meter.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{LaneSettings, Reason};
use crate::metric::{LaneMeter, LaneReason, LaneState};

/// How often a lane says again that its destination fails, or that it has paused for the same reason.
const COMPLAINT_EVERY: Duration = Duration::from_mins(1);

/// How often a lane says again that it is stalled.
const STALL_EVERY: Duration = Duration::from_mins(10);

/// Looks at a lane from the side.
#[derive(Debug)]
pub(super) struct Watch {
    name: Arc<str>,
    meter: Arc<LaneMeter>,
    stalled_after: Duration,
    /// When last an entry came to its end, or there was none.
    moved: Instant,
    /// Since when the destination accepts nothing, and the last reason.
    failing: Option<(Instant, Cow<'static, str>)>,
    /// Since when the lane is paused, and why.
    paused: Option<(Instant, Cow<'static, str>)>,
    /// When the lane last said that its destination fails.
    complained: Option<Instant>,
    /// When, and because of which code, it last said that it pauses.
    pause_said: Option<(Instant, Cow<'static, str>)>,
    /// When it last said that it is stalled, as long as it is.
    stall_said: Option<Instant>,
}

/// What holds a lane up, as far as can be seen from its queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// There is nothing to do.
    Idle,
    /// The destination, or the schedule after its failure, asked to wait.
    Pace,
    /// All that is left waits by a schedule of its own.
    Retries,
    /// Requests are under way.
    Answers,
    /// What goes to the dead letters is not kept yet.
    DeadLetters,
    /// Nothing in particular: batches are filled, or go as the configured rate allows.
    Nothing,
}

impl Watch {
    pub fn new(name: Arc<str>, meter: Arc<LaneMeter>, settings: &LaneSettings, now: Instant) -> Self {
        Self {
            name,
            meter,
            stalled_after: settings.stalled_after,
            moved: now,
            failing: None,
            paused: None,
            complained: None,
            pause_said: None,
            stall_said: None,
        }
    }

    /// The lane's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// An entry came to its end, or the first one came.
    pub fn moves(&mut self, now: Instant) {
        self.moved = now;
        self.stall_said = None;
    }

    /// The destination accepted something.
    pub fn accepted(&mut self, now: Instant) {
        self.failing = None;
        self.moves(now);
    }

    /// When a lane that does not move is stalled; `None` once it has said so.
    pub fn stalls_at(&self) -> Option<Instant> {
        self.stall_said.is_none().then(|| self.moved + self.stalled_after)
    }

    /// Says why the lane pauses: once, and again now and then where it pauses over and over for the same reason.
    pub fn pauses(&mut self, why: &Reason, probe_every: Duration, now: Instant) {
        self.paused = Some((now, why.code.clone()));
        let said = self.pause_said.as_ref();
        if said.is_some_and(|(time, code)| *code == why.code && now < *time + COMPLAINT_EVERY) {
            return;
        }
        self.pause_said = Some((now, why.code.clone()));
        tracing::warn!(
            sink = &*self.name,
            code = &*why.code,
            words = why.words,
            ?probe_every,
            "lane pauses: nothing gets through until this is mended; everything is kept"
        );
    }

    /// The pause is over.
    pub fn goes_on(&mut self) {
        tracing::info!(sink = &*self.name, "lane goes on");
        self.paused = None;
    }

    /// Says, now and then, that the destination fails.
    pub fn fails(&mut self, why: &Reason, wait: Option<Duration>, now: Instant) {
        let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
        self.failing = Some((since, why.code.clone()));
        let Some(wait) = wait else { return };
        if self.complained.is_some_and(|time| now < time + COMPLAINT_EVERY) {
            return;
        }
        self.complained = Some(now);
        tracing::warn!(
            sink = &*self.name,
            code = &*why.code,
            words = why.words,
            ?wait,
            "destination accepts nothing; the lane tries again until it does"
        );
    }

    /// Tells the meter how the lane stands, and the log if it is stalled. The caller knows the numbers, and what holds the
    /// lane up.
    pub fn tell(&mut self, numbers: &LaneState, held: Held, now: Instant, now_ms: i64) {
        if held == Held::Idle {
            self.moves(now);
        }
        let is_stalled = now >= self.moved + self.stalled_after;
        let waits = |reason| if is_stalled { reason } else { LaneReason::Moving };
        let (reason, since, code) = match (held, &self.paused, &self.failing) {
            (Held::Idle, _, _) => (LaneReason::Moving, now, None),
            (_, Some((since, code)), _) => (LaneReason::Paused, *since, Some(code)),
            (Held::DeadLetters, _, _) => (waits(LaneReason::DeadLettersStuck), self.moved, None),
            (_, _, Some((since, code))) => (LaneReason::Failing, *since, Some(code)),
            (Held::Pace, _, _) => (LaneReason::AskedToWait, self.moved, None),
            (Held::Retries, _, _) => (waits(LaneReason::Retrying), self.moved, None),
            (Held::Answers, _, _) => (waits(LaneReason::AwaitsAnswers), self.moved, None),
            (Held::Nothing, _, _) => (waits(LaneReason::Filling), self.moved, None),
        };
        let code = code.cloned().unwrap_or_default();
        if is_stalled && self.stall_said.is_none_or(|time| now >= time + STALL_EVERY) {
            if self.stall_said.is_none() {
                self.meter.stalls.add(1);
            }
            self.stall_said = Some(now);
            tracing::warn!(
                sink = &*self.name, reason = reason.word(), code = &*code, stalled = ?(now - self.moved),
                in_flight = numbers.in_flight, window = numbers.window,
                "lane is stalled: nothing was delivered or dead-lettered for so long"
            );
        }
        let since_ms = (reason != LaneReason::Moving).then(|| {
            let age_ms = i64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(i64::MAX);
            now_ms.saturating_sub(age_ms)
        });
        let LaneState { in_flight, window, latency_ms, .. } = *numbers;
        self.meter.measure(LaneState { in_flight, window, latency_ms, reason, code, since_ms, is_stalled });
    }
}
