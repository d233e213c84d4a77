//! A class's object from beginning to end, and the parts of the output put together.

use simd_json::Node;

use super::super::convert::{Value, convert};
use super::super::explain::Trace;
use super::super::json::{push_comma, push_i64, push_string};
use super::super::mapping::ast::Kind;
use super::super::plan::Case;
use super::super::tape::{Scalar, each_leaf};
use super::object::Presence;
use super::{FIRST_REST, LEFT, Outcome, RUNS_MAX, Run};
use crate::envelope::Field;

/// The severity of an event that does not tell one.
const UNKNOWN: i64 = 0;

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Tries the cases in order and appends the first that comes out whole. `None`: none did, and nothing is appended.
    pub(in super::super) fn cases(&mut self, out: &mut Vec<u8>) -> Option<Outcome> {
        let plan = self.plan;
        plan.cases.iter().find_map(|case| {
            self.restart();
            if !self.holds(&case.when) {
                return None;
            }
            self.whole_case(case).then(|| self.finish(case, out))
        })
    }

    /// Writes a case until every object in it stands: one that stood on a `rest` for which nothing was left at the end is
    /// known by then, and left out the next time.
    fn whole_case(&mut self, case: &'r Case) -> bool {
        self.buffers.void.clear();
        for _ in 0..RUNS_MAX {
            self.restart();
            if !self.case(case) {
                return false;
            }
            self.claim();
            let buffers = &mut *self.buffers;
            let void = buffers.splices.iter().filter(|splice| splice.is_needed && !splice.has_leaves);
            let known = buffers.void.len();
            buffers.void.extend(void.map(|splice| (splice.node, splice.rule)));
            if buffers.void.len() == known {
                break;
            }
        }
        true
    }

    /// Appends the last case of the plan whatever is missing in it: the last resort.
    pub(in super::super) fn last_resort(&mut self, out: &mut Vec<u8>) -> Option<Outcome> {
        let case = self.plan.cases.last()?;
        self.restart();
        self.buffers.void.clear();
        self.case(case);
        self.claim();
        if self.found.severity.is_none() {
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(b"\"severity_id\":0,\"severity\":\"Unknown\"");
        }
        if self.found.time.is_none() {
            let time = self.arrival();
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(b"\"time\":");
            push_i64(&mut self.buffers.scratch, time);
        }
        Some(self.finish(case, out))
    }

    fn arrival(&self) -> i64 {
        let text = self.context.get(Field::Arrival).or_else(|| self.context.get(Field::LogEventTime));
        match text.and_then(|text| convert(Scalar::Text(text), Kind::Timestamp)) {
            Some((Value::Scalar(Scalar::Integer(ms)), _)) => ms,
            _ => 0,
        }
    }

    /// Writes the members of a class; whether all that must be there is.
    fn case(&mut self, case: &'r Case) -> bool {
        self.buffers.scratch.push(b'{');
        self.buffers.scratch.extend_from_slice(&case.head);
        let mut presence = Presence::default();
        self.members(&case.object, &mut presence);
        if self.found.activity.is_none() && !case.activity_default.is_empty() {
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(&case.activity_default);
        }
        let activity = self.found.activity.unwrap_or(case.activity);
        if let Some((_, fields)) = case.activities.iter().find(|(number, _)| *number == activity) {
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(fields);
        }
        self.trace.fired(case.id);
        case.object.is_complete(&presence)
    }

    /// Puts the scratch buffer and what belongs into it together, and ends the document.
    fn finish(&mut self, case: &Case, out: &mut Vec<u8>) -> Outcome {
        let nodes = self.nodes;
        let buffers = &mut *self.buffers;
        let begin = out.len();
        let mut copied = 0_usize;
        let places = [self.found.account, self.found.region];
        let mut moved = [0..0, 0..0];
        let mut owner = FIRST_REST;
        for splice in buffers.splices.iter().map(Some).chain([None]) {
            let until = splice.map_or(buffers.scratch.len(), |splice| splice.at);
            let mut piece = buffers.scratch.get(copied..until).unwrap_or_default();
            // A `rest` may have vanished before this piece, or may have come to stand before it.
            let mut skipped = 0;
            if copied > 0 {
                match (out.last(), piece.first()) {
                    (Some(b'{'), Some(b',')) => {
                        piece = piece.get(1..).unwrap_or_default();
                        skipped = 1;
                    }
                    (Some(b'{') | None, _) | (_, Some(b',' | b'}' | b']') | None) => {}
                    _ => out.push(b','),
                }
            }
            for (place, moved) in places.iter().zip(&mut moved) {
                if place.1 > place.0 && place.0 >= copied && place.1 <= until {
                    let shift = |at: usize| at.saturating_sub(copied).saturating_sub(skipped).saturating_add(out.len());
                    *moved = shift(place.0)..shift(place.1);
                }
            }
            out.extend_from_slice(piece);
            copied = until;
            if let Some(splice) = splice {
                let name = buffers.names.get(splice.name.0..splice.name.1).unwrap_or_default();
                let fate = &buffers.fate;
                buffers.copier.copy(nodes, splice.node, name, out, |node| match fate.get(node) {
                    Some(fate) if is_container(nodes, node) => *fate == LEFT || *fate == owner,
                    fate => fate.copied() == Some(owner),
                });
                owner = owner.saturating_add(1);
            }
        }
        if !buffers.observed.is_empty() {
            push_comma(out);
            out.extend_from_slice(b"\"observables\":[");
            out.extend_from_slice(buffers.observed.get(1..).unwrap_or_default());
            out.push(b']');
        }
        let fate = &buffers.fate;
        buffers.copier.copy(nodes, 0, &self.plan.rest, out, |leaf| fate.get(leaf).copied() == Some(LEFT));
        out.push(b'}');
        let [account, region] = moved.map(|range: std::ops::Range<usize>| {
            let has_escape = out.get(range.clone()).is_none_or(|text| text.contains(&b'\\'));
            if has_escape { begin..begin } else { range }
        });
        let severity = self.found.severity.or(case.severity).unwrap_or(UNKNOWN);
        Outcome {
            class_uid: case.class_uid,
            severity_id: u8::try_from(severity).unwrap_or(0),
            time_ms: self.found.time.or(case.time).unwrap_or_else(|| self.arrival()),
            account,
            region,
        }
    }

    /// Gives every leaf that is left to the `rest` it belongs to: where several could take it, to the innermost.
    fn claim(&mut self) {
        let buffers = &mut *self.buffers;
        let inner_first = {
            let numbers = &mut buffers.order;
            numbers.clear();
            numbers.extend(0..buffers.splices.len());
            let splices = &buffers.splices;
            numbers
                .sort_unstable_by_key(|number| std::cmp::Reverse(splices.get(*number).map_or(0, |splice| splice.node)));
            numbers
        };
        for number in inner_first.iter() {
            let (Some(splice), Ok(number)) = (buffers.splices.get_mut(*number), u16::try_from(*number)) else {
                continue;
            };
            let owner = FIRST_REST.saturating_add(number);
            let (fate, journal) = (&mut buffers.fate, &mut buffers.journal);
            each_leaf(self.nodes, splice.node, &mut buffers.open, |leaf| {
                if let Some(fate) = fate.get_mut(leaf).filter(|fate| **fate == LEFT) {
                    journal.push((leaf, LEFT));
                    *fate = owner;
                    splice.has_leaves = true;
                }
            });
            // Nothing is left below it, so that nobody else need look there.
            if let Some(fate) = fate.get_mut(splice.node).filter(|fate| **fate == LEFT) {
                journal.push((splice.node, LEFT));
                *fate = owner;
            }
        }
    }
}

fn is_container(nodes: &[Node<'_>], at: usize) -> bool {
    matches!(nodes.get(at), Some(Node::Object { .. } | Node::Array { .. }))
}

/// The minimal event, for when even the base mapping gives nothing.
pub(in super::super) fn push_bare(out: &mut Vec<u8>, version: &str, body: &str) -> Outcome {
    out.extend_from_slice(
        b"{\"class_uid\":0,\"class_name\":\"Base Event\",\"category_uid\":0,\"category_name\":\"Uncategorized\",",
    );
    out.extend_from_slice(
        b"\"activity_id\":0,\"activity_name\":\"Unknown\",\"type_uid\":0,\"type_name\":\"Base Event: Unknown\",",
    );
    out.extend_from_slice(b"\"severity_id\":0,\"severity\":\"Unknown\",\"time\":0,\"metadata\":{\"version\":");
    push_string(out, version);
    out.extend_from_slice(b",\"product\":{\"vendor_name\":\"AWS\"}},\"unmapped\":{\"raw\":");
    push_string(out, body);
    out.extend_from_slice(b"}}");
    let end = out.len();
    Outcome { class_uid: 0, severity_id: 0, time_ms: 0, account: end..end, region: end..end }
}
