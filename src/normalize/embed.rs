//! Strings of an event that hold JSON: parsed, and put in their places on the tape.

use std::ops::Range;

use simd_json::{INPUT_PADDING, Node, Tape, fill_tape_padded};

use super::explain::Trace;
use super::normalizer::Desk;
use super::plan::Plan;
use super::run::{GONE, LEFT, find};
use super::tape::{any_leaf, end, members, scalar};

/// A string of the event that may hold JSON.
#[derive(Clone, Debug)]
pub(super) struct Embedded {
    /// Which `[[parse]]` named it.
    number: usize,
    node: usize,
    /// Its copy in the buffer for inner documents, with room behind it for the parser.
    text: Range<usize>,
}

impl Desk<'_> {
    /// Puts the JSON that strings of the event hold in their places on the tape.
    pub(super) fn embed<'a, T: Trace>(
        &mut self,
        plan: &Plan,
        tape: &mut Tape<'a>,
        inner: &'a mut Vec<u8>,
        inner_tape: &mut Tape<'a>,
        trace: &mut T,
    ) {
        self.embedded.clear();
        inner.clear();
        for (number, parse) in plan.parses.iter().enumerate() {
            let Some(node) = find(&tape.0, 0, &parse.path, plan.keys) else { continue };
            let Some(Node::String(text)) = tape.0.get(node) else { continue };
            if !text.trim_ascii_start().starts_with(['{', '[']) {
                continue;
            }
            let begin = inner.len();
            inner.extend_from_slice(text.as_bytes());
            self.embedded.push(Embedded { number, node, text: begin..inner.len() });
            inner.resize(inner.len().saturating_add(INPUT_PADDING), 0);
        }
        let mut rest = inner.as_mut_slice();
        let mut cut = 0_usize;
        // In the order of the buffer, and the nodes behind a place that has grown move with it.
        let mut embedded = std::mem::take(self.embedded);
        let mut number = 0;
        while let Some(Embedded { number: parse, node, text }) = embedded.get(number).cloned() {
            number = number.saturating_add(1);
            let length = text.len();
            let padded = text.end.saturating_add(INPUT_PADDING).saturating_sub(cut);
            let Some((piece, after)) = rest.split_at_mut_checked(padded) else { break };
            (rest, cut) = (after, cut.saturating_add(padded));
            if fill_tape_padded(piece, length, self.parser, inner_tape).is_err() || !holds_leaf(&inner_tape.0) {
                continue;
            }
            let Some(parse) = plan.parses.get(parse) else { continue };
            let grown = inner_tape.0.len().saturating_sub(1);
            widen(&mut tape.0, node, grown);
            tape.0.splice(node..node.saturating_add(1), inner_tape.0.iter().copied());
            for later in embedded.iter_mut().filter(|later| later.node > node) {
                later.node = later.node.saturating_add(grown);
            }
            trace.fired(parse.id);
        }
        self.twins(plan, &tape.0, &embedded);
        *self.embedded = embedded;
    }

    /// Lets go the leaves of an embedded document that are found equal below its twin.
    fn twins(&mut self, plan: &Plan, nodes: &[Node<'_>], embedded: &[Embedded]) {
        let buffers = &mut *self.buffers;
        buffers.fate.resize(nodes.len(), LEFT);
        for place in embedded {
            let Some(steps) = plan.parses.get(place.number).and_then(|parse| parse.twin.as_ref()) else { continue };
            let Some(twin) = find(nodes, 0, steps, plan.keys) else { continue };
            pair(nodes, place.node, twin, &mut buffers.fate);
        }
    }
}

fn holds_leaf(nodes: &[Node<'_>]) -> bool {
    any_leaf(nodes, 0, &mut Vec::new(), |_| true)
}

/// Makes room for `grown` more nodes below every container around `node`.
fn widen(nodes: &mut [Node<'_>], node: usize, grown: usize) {
    let mut at = 0;
    while at < node {
        let behind = end(nodes, at);
        if behind <= node {
            at = behind;
            continue;
        }
        if let Some(Node::Object { count, .. } | Node::Array { count, .. }) = nodes.get_mut(at) {
            *count = count.saturating_add(grown);
        }
        at = at.saturating_add(1);
    }
}

/// Walks two subtrees side by side and lets go the leaves of the first that the second has equal, at the same path.
fn pair(nodes: &[Node<'_>], copy: usize, twin: usize, fate: &mut [u16]) {
    let mut open = vec![(copy, twin)];
    while let Some((copy, twin)) = open.pop() {
        match (nodes.get(copy), nodes.get(twin)) {
            (Some(Node::Object { .. }), Some(Node::Object { .. })) => {
                for (key, value) in members(nodes, copy) {
                    let same = members(nodes, twin).find(|(other, _)| {
                        matches!((key.and_then(|key| nodes.get(key)), other.and_then(|key| nodes.get(key))),
                            (Some(key), Some(other)) if key == other)
                    });
                    if let Some((_, other)) = same {
                        open.push((value, other));
                    }
                }
            }
            (Some(Node::Array { .. }), Some(Node::Array { .. })) => {
                open.extend(members(nodes, copy).zip(members(nodes, twin)).map(|((_, a), (_, b))| (a, b)));
            }
            _ => {
                if copy != twin
                    && let (Some(a), Some(b)) = (scalar(nodes, copy), scalar(nodes, twin))
                    && a == b
                    && let Some(fate) = fate.get_mut(copy)
                {
                    *fate = GONE;
                }
            }
        }
    }
}
