//! Which mapping an event is for: the match with the most conditions wins.

use super::convert::{Value, convert};
use super::explain::Trace;
use super::mapping::ast::{Keys, Kind};
use super::plan::{Mappings, Passed, Plan};
use super::run::{Run, fill};
use super::tape::{Scalar, node_of, scalar};

/// Finds the nodes of every path of every match. Nothing else may touch the slots before [`best`] and [`is_ocsf`].
pub(super) fn look<T: Trace>(run: &mut Run<'_, '_, T>) {
    run.buffers.slots.resize(run.plan.slots, 0);
    for scope in &run.plan.scopes {
        fill(&scope.trie, run.nodes, 0, &mut run.buffers.slots);
    }
}

/// The number of the plan whose match has the most conditions of those that hold, and how many, among the wanted plans.
pub(super) fn best<'r, 'a: 'r, T: Trace>(
    mappings: &'r Mappings,
    run: &mut Run<'r, 'a, T>,
    wanted: impl Fn(&Plan) -> bool,
) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for (number, plan) in mappings.plans.iter().enumerate().filter(|(_, plan)| wanted(plan)) {
        for known in &plan.matches {
            if best.is_none_or(|(_, weight)| known.weight > weight) && run.holds(&known.when) {
                best = Some((number, known.weight));
            }
        }
    }
    best
}

/// An event that is OCSF already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ocsf<'a> {
    pub(super) class_uid: u32,
    pub(super) severity: u8,
    pub(super) time_ms: i64,
    /// There is no `time`, and `time_ms` is from its twin `time_dt`.
    pub(super) lacks_time: bool,
    /// `finding_info.uid`.
    pub(super) finding: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) region: Option<&'a str>,
}

/// What an event tells of itself if it is OCSF already: `class_uid`, `category_uid` and `time` are numbers, and
/// `metadata.version` is a text. In place of `time` its twin may stand alone, `time_dt`, as Security Hub writes it.
pub(super) fn is_ocsf<'a, T: Trace>(places: &Passed, run: &Run<'_, 'a, T>) -> Option<Ocsf<'a>> {
    debug_assert_eq!(run.plan.keys, Keys::Exact, "OCSF has one spelling");
    let at = |slot: usize| {
        let node = run.buffers.slots.get(slot).copied().and_then(node_of)?;
        scalar(run.nodes, node)
    };
    let text = |slot| match at(slot) {
        Some(Scalar::Text(text)) => Some(text),
        _ => None,
    };
    let (Scalar::Integer(class_uid), Scalar::Integer(_)) = (at(places.class_uid)?, at(places.category_uid)?) else {
        return None;
    };
    let (time_ms, lacks_time) = match (at(places.time), at(places.time_dt)) {
        (Some(Scalar::Integer(time_ms)), _) => (time_ms, false),
        (None, Some(twin @ Scalar::Text(_))) => match convert(twin, Kind::Timestamp)? {
            (Value::Scalar(Scalar::Integer(time_ms)), _) => (time_ms, true),
            _ => return None,
        },
        _ => return None,
    };
    text(places.version)?;
    let severity = match at(places.severity) {
        Some(Scalar::Integer(severity)) => u8::try_from(severity).unwrap_or(0),
        _ => 0,
    };
    Some(Ocsf {
        class_uid: u32::try_from(class_uid).ok()?,
        severity,
        time_ms,
        lacks_time,
        finding: text(places.finding),
        account: text(places.account),
        region: text(places.region),
    })
}
