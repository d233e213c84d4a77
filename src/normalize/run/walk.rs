//! One walk of a tape: the node of every path of a scope.

use simd_json::Node;

use super::super::mapping::ast::{Keys, Step};
use super::super::plan::{Trie, equal};
use super::super::tape::{ABSENT, end, is_there, members, slot_of, span};

/// Fills the slots of a scope from the value at `base`; those of paths that lead nowhere become absent.
///
/// The recursion is as deep as the longest path of the mapping, whatever the depth of the input.
pub(in super::super) fn fill(trie: &Trie, nodes: &[Node<'_>], base: usize, slots: &mut [u32]) {
    for node in &trie.nodes {
        if let Some(slot) = slots.get_mut(node.slot) {
            *slot = ABSENT;
        }
    }
    visit(trie, 0, nodes, base, slots);
}

fn visit(trie: &Trie, step: usize, nodes: &[Node<'_>], at: usize, slots: &mut [u32]) {
    let (Some(step), Some(node)) = (trie.nodes.get(step), nodes.get(at)) else { return };
    let Some(slot) = slots.get_mut(step.slot) else { return };
    if !is_there(*node) {
        *slot = ABSENT;
        return;
    }
    *slot = slot_of(at);
    match node {
        Node::Object { .. } if !step.keys.is_empty() => {
            let (mut key_at, end) = (at + 1, end(nodes, at));
            while key_at < end {
                let value = key_at + 1;
                let Some(Node::String(key)) = nodes.get(key_at) else { break };
                key_at = value + span(nodes, value);
                let Some(next) = step.step(key, trie.keys) else { continue };
                let before = trie.nodes.get(next.node).and_then(|next| slots.get(next.slot)).copied();
                if before.is_some_and(|before| before != ABSENT) {
                    // A key that comes twice: the last one counts, so nothing of the first may stay.
                    forget(trie, next.node, slots);
                }
                visit(trie, next.node, nodes, value, slots);
            }
        }
        Node::Array { .. } if !step.indexes.is_empty() => {
            let last = step.indexes.iter().map(|(index, _)| *index).max().unwrap_or(0);
            for (index, (_, value)) in members(nodes, at).enumerate().take(last.saturating_add(1)) {
                for (_, next) in step.indexes.iter().filter(|(wanted, _)| *wanted == index) {
                    visit(trie, *next, nodes, value, slots);
                }
            }
        }
        _ => {}
    }
}

fn forget(trie: &Trie, step: usize, slots: &mut [u32]) {
    let Some(step) = trie.nodes.get(step) else { return };
    if let Some(slot) = slots.get_mut(step.slot) {
        *slot = ABSENT;
    }
    for next in step.keys.iter().map(|key| key.node).chain(step.indexes.iter().map(|(_, node)| *node)) {
        forget(trie, next, slots);
    }
}

/// The node that steps without `[]` lead to from `base`; the last of several equal keys.
pub(in super::super) fn find(nodes: &[Node<'_>], base: usize, steps: &[Step], mode: Keys) -> Option<usize> {
    let mut at = base;
    for step in steps {
        at = match step {
            Step::Key(wanted) => member(nodes, at, wanted, mode)?,
            Step::Index(index) => match nodes.get(at)? {
                Node::Array { .. } => members(nodes, at).nth(usize::try_from(*index).ok()?)?.1,
                _ => return None,
            },
            Step::From(_) | Step::Each => return None,
        };
    }
    nodes.get(at).filter(|node| is_there(**node)).map(|_| at)
}

/// The value of the last member of this key.
pub(super) fn member(nodes: &[Node<'_>], at: usize, wanted: &str, mode: Keys) -> Option<usize> {
    let mut found = None;
    for (key, value) in members(nodes, at) {
        if let Some(Node::String(key)) = key.and_then(|key| nodes.get(key))
            && equal(wanted, key, mode)
        {
            found = Some(value);
        }
    }
    found
}
