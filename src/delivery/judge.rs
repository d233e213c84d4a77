//! What follows from a destination's answer: the decision, free of everything that carries it out. Pure.

use std::borrow::Cow;
use std::time::Duration;

use super::verdict::UNSPOKEN;
use super::{DeadReason, Delivery, Disposition, Error, LaneSettings, Reason, Verdict, Verdicts};

/// How many entries a probe carries where the destination answers entry by entry, so that one good entry among bad ones is
/// found soon.
const PROBE_ENTRIES: usize = 16;

/// What was asked of the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// How many entries the batch has.
    pub entries: usize,
    /// How often they were answered "try again" before, while others were accepted.
    pub retries: u32,
    /// Whether the destination has accepted entries of other batches since these were last answered. It is up, then.
    pub others_accepted: bool,
    /// Whether it is one entry that was called too large, and has been made smaller since.
    pub is_smaller_now: bool,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// What becomes of each entry.
    pub fates: Fates,
    /// What becomes of those that are to be sent again, and of the lane.
    pub next: Next,
    /// The destination asks for a gentler pace.
    pub slow_down: Option<Duration>,
}

/// One fate for all entries, or one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fates {
    All(Fate),
    Each(Vec<Fate>),
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The destination has it.
    Delivered,
    /// The destination had it.
    Duplicate,
    /// It goes to the dead letters.
    Buried(DeadReason, Reason),
    /// It is to be sent again, as [`Next`] says.
    Again,
}

/// What becomes of the entries that are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There are none.
    Go,
    /// The destination stopped at an entry and did not look at these. They are sent again at once.
    Rest,
    /// They wait by their own schedule, or as long as the destination asked; the others go on meanwhile.
    Later { after: Option<Duration> },
    /// The destination accepts nothing: everything waits.
    Wait { after: Option<Duration>, why: Reason },
    /// They are sent in two halves, at once. There are at least two.
    Halves,
    /// The entry has been made smaller, and is sent again at once.
    Smaller,
    /// Nothing will get through until somebody mends something: everything stays, and small batches probe.
    Pause { why: Reason, probe_entries: usize },
}

/// Refusals in a row, with one code and nothing accepted between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    code: Cow<'static, str>,
    length: usize,
}

impl Streak {
    /// Something was accepted.
    pub fn end(&mut self) {
        self.length = 0;
    }

    /// Says whether so many were refused in a row that the next with the same code are kept.
    pub fn is_full(&self, settings: &LaneSettings) -> bool {
        self.length >= settings.refusals_in_a_row_max.get()
    }

    /// Counts a refusal, and says whether the entry may be buried. If not, it is kept for another try.
    fn may_bury(&mut self, why: &Reason, settings: &LaneSettings) -> bool {
        if self.code != why.code {
            *self = Self { code: why.code.clone(), length: 0 };
        }
        let may = !self.is_full(settings);
        if may {
            self.length += 1;
        }
        may
    }
}

/// Judges an answer.
pub(super) fn judge(
    asked: Asked,
    answer: Result<Delivery, Error>,
    streak: &mut Streak,
    settings: &LaneSettings,
) -> Judgement {
    match answer {
        Ok(Delivery { verdicts: Verdicts::AllAccepted, slow_down }) => {
            streak.end();
            Judgement { fates: Fates::All(Fate::Delivered), next: Next::Go, slow_down }
        }
        Ok(Delivery { verdicts: Verdicts::Each(verdicts), slow_down }) => {
            let (fates, next) = judge_each(asked, verdicts, streak, settings);
            Judgement { fates: Fates::Each(fates), next, slow_down }
        }
        Err(error) => {
            let (fate, next) = judge_failure(asked, error, streak, settings);
            Judgement { fates: Fates::All(fate), next, slow_down: None }
        }
    }
}

/// Entries that were answered one by one. Those of one answer were judged at the same time: if any was accepted, the
/// destination works, and the refusals are about their entries.
///
/// Where the answer settles some and is silent about others, the destination stopped at an entry (HEC does, at one that it
/// refuses). The others were not at fault, however often that happens: each time fewer are left, so it comes to an end.
fn judge_each(asked: Asked, verdicts: Vec<Verdict>, streak: &mut Streak, settings: &LaneSettings) -> (Vec<Fate>, Next) {
    let is_accepted = |verdict: &Verdict| matches!(verdict, Verdict::Accepted | Verdict::Duplicate);
    let any_accepted = verdicts.iter().take(asked.entries).any(is_accepted);
    if any_accepted {
        streak.end();
    }
    let others_accepted = any_accepted || asked.others_accepted;
    let mut next = Next::Go;
    let any_settled = verdicts.iter().take(asked.entries).any(|verdict| !matches!(verdict, Verdict::Retry(_)));
    let missing = std::iter::repeat_with(Verdict::unspoken);
    let fates = verdicts.into_iter().chain(missing).take(asked.entries).map(|verdict| match verdict {
        Verdict::Accepted => Fate::Delivered,
        Verdict::Duplicate => Fate::Duplicate,
        Verdict::Retry(why) if why.code == UNSPOKEN && any_settled => {
            if next == Next::Go {
                next = Next::Rest;
            }
            Fate::Again
        }
        Verdict::Retry(why) if others_accepted && asked.retries >= settings.entry_retry_max => {
            Fate::Buried(DeadReason::EntryRetryMax, retried_too_often(&why))
        }
        Verdict::Retry(why) => {
            if next == Next::Go {
                next = if others_accepted { Next::Later { after: None } } else { Next::Wait { after: None, why } };
            }
            Fate::Again
        }
        Verdict::Refused(why) if any_accepted || streak.may_bury(&why, settings) => {
            Fate::Buried(DeadReason::Refused, why)
        }
        Verdict::Refused(why) => {
            next = Next::Pause { why, probe_entries: PROBE_ENTRIES };
            Fate::Again
        }
    });
    (fates.collect(), next)
}

/// A request that failed as a whole. A batch that fails again and again while others are accepted is halved until its
/// culprit is alone; the culprit is bounded as any entry is.
fn judge_failure(asked: Asked, error: Error, streak: &mut Streak, settings: &LaneSettings) -> (Fate, Next) {
    let why = Reason { code: error.code, words: error.words };
    let is_alone = asked.entries <= 1;
    match error.disposition {
        Disposition::Retry { .. } if asked.others_accepted && asked.retries >= settings.entry_retry_max => {
            if is_alone {
                (Fate::Buried(DeadReason::EntryRetryMax, retried_too_often(&why)), Next::Go)
            } else {
                (Fate::Again, Next::Halves)
            }
        }
        Disposition::Retry { after } if asked.others_accepted => (Fate::Again, Next::Later { after }),
        Disposition::Retry { after } => (Fate::Again, Next::Wait { after, why }),
        Disposition::Pause => (Fate::Again, Next::Pause { why, probe_entries: PROBE_ENTRIES }),
        Disposition::Split if asked.is_smaller_now => (Fate::Again, Next::Smaller),
        Disposition::Split if is_alone => {
            let why = Reason { code: "too_large".into(), ..why };
            bury_or_pause(DeadReason::TooLarge, why, streak, settings)
        }
        Disposition::Refuse if is_alone => bury_or_pause(DeadReason::Refused, why, streak, settings),
        Disposition::Refuse if streak.is_full(settings) && streak.code == why.code => {
            (Fate::Again, Next::Pause { why, probe_entries: 1 })
        }
        Disposition::Split | Disposition::Refuse => (Fate::Again, Next::Halves),
    }
}

fn bury_or_pause(reason: DeadReason, why: Reason, streak: &mut Streak, settings: &LaneSettings) -> (Fate, Next) {
    if streak.may_bury(&why, settings) {
        (Fate::Buried(reason, why), Next::Go)
    } else {
        (Fate::Again, Next::Pause { why, probe_entries: 1 })
    }
}

fn retried_too_often(last: &Reason) -> Reason {
    Reason { code: "entry_retry_max".into(), words: format!("{}: {}", last.code, last.words) }
}
