//! From a path to the values it leads to.

use simd_json::Node;

use super::super::explain::Trace;
use super::super::mapping::ast::Step;
use super::super::plan::{Path, Place};
use super::super::tape::{self, Scalar, is_there, members, node_of};
use super::walk::member;
use super::{Gathered, Run};
use crate::envelope::Field;

/// A value that a path led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'r> {
    /// A node of the tape.
    Node(usize),
    /// What the envelopes told, the mapping's name.
    Told(&'r str),
    /// JSON text that the envelopes told.
    ToldJson(&'r str),
}

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// The value at a path that leads to one; the first for a path that may lead to several.
    pub(super) fn at(&mut self, path: &'r Path) -> Option<Found<'r>> {
        match &path.place {
            Place::Tape { slot, tail } if tail.is_empty() => self.slot(*slot).map(Found::Node),
            Place::Tape { .. } => {
                let from = self.gather(path);
                let first = self.buffers.gathered.get(from).copied();
                self.buffers.gathered.truncate(from);
                first.map(|first| Found::Node(first.node))
            }
            Place::Envelope(Field::Extracted) => self.context.get(Field::Extracted).map(Found::ToldJson),
            Place::Envelope(field) => self.context.get(*field).map(Found::Told),
            Place::Text => match self.text_node {
                Some(node) => Some(Found::Node(node)),
                None => self.text.map(Found::Told),
            },
            Place::LogType => Some(Found::Told(self.log_type)),
        }
    }

    /// The leaf at a path.
    pub(super) fn leaf_at(&mut self, path: &'r Path) -> Option<Scalar<'r>> {
        match self.at(path)? {
            Found::Node(node) => self.scalar(node),
            Found::Told(text) | Found::ToldJson(text) => Some(Scalar::Text(text)),
        }
    }

    pub(super) fn scalar(&self, node: usize) -> Option<Scalar<'r>> {
        tape::scalar(self.nodes, node)
    }

    pub(super) fn slot(&self, slot: usize) -> Option<usize> {
        self.buffers.slots.get(slot).copied().and_then(node_of)
    }

    /// Pushes every node that a path leads to onto `gathered`, and returns where they begin there. The caller truncates.
    pub(super) fn gather(&mut self, path: &'r Path) -> usize {
        let begin = self.buffers.gathered.len();
        let Place::Tape { slot, tail } = &path.place else { return begin };
        if let Some(node) = self.slot(*slot) {
            self.buffers.gathered.push(Gathered { node, keyed: false });
        }
        for step in tail {
            let end = self.buffers.gathered.len();
            for at in begin..end {
                let Some(Gathered { node, .. }) = self.buffers.gathered.get(at).copied() else { break };
                self.follow(step, node);
            }
            self.buffers.gathered.drain(begin..end);
        }
        begin
    }

    fn follow(&mut self, step: &Step, node: usize) {
        let nodes = self.nodes;
        let gathered = &mut self.buffers.gathered;
        let mut push = |value: usize| {
            if nodes.get(value).is_some_and(|node| is_there(*node)) {
                gathered.push(Gathered { node: value, keyed: false });
            }
        };
        let is_array = matches!(nodes.get(node), Some(Node::Array { .. }));
        match step {
            Step::Key(key) => {
                if let Some(value) = member(nodes, node, key, self.plan.keys) {
                    push(value);
                }
            }
            Step::Index(index) if is_array => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                members(nodes, node).skip(index).take(1).for_each(|(_, value)| push(value));
            }
            Step::From(first) if is_array => {
                let first = usize::try_from(*first).unwrap_or(usize::MAX);
                members(nodes, node).skip(first).for_each(|(_, value)| push(value));
            }
            Step::Each => members(nodes, node).for_each(|(_, value)| push(value)),
            Step::Index(_) | Step::From(_) => {}
        }
    }
}
