//! The tape: the nodes of a parsed document in order, containers before what they hold, keys before their values.

use simd_json::{Node, StaticNode};

use super::mapping::ast::Constant;

/// Levels of nesting that are parsed; a deeper subtree is kept as the text of itself. An embedded document may have as
/// many again and the output adds a few, so that it stays below the 128 levels at which common readers give up.
pub(super) const DEPTH_MAX: usize = 56;

/// A slot's mark for "not there": slots hold the number of a node plus one.
pub(super) const ABSENT: u32 = 0;

/// A leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
}

/// The number of a node as a slot holds it. A tape has fewer nodes than its document has bytes, and those are bounded
/// far below `u32::MAX`.
pub(super) fn slot_of(node: usize) -> u32 {
    u32::try_from(node.saturating_add(1)).unwrap_or(ABSENT)
}

/// The node a slot stands for.
pub(super) fn node_of(slot: u32) -> Option<usize> {
    usize::try_from(slot).ok()?.checked_sub(1)
}

/// How many nodes belong to the value at `at`, itself included; at least one.
pub(super) fn span(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

/// Where the value at `at` ends: the number of the next value.
pub(super) fn end(nodes: &[Node<'_>], at: usize) -> usize {
    at + span(nodes, at)
}

/// The leaf at `at`; nothing for a null or a container.
pub(super) fn scalar<'a>(nodes: &[Node<'a>], at: usize) -> Option<Scalar<'a>> {
    match *nodes.get(at)? {
        Node::String(text) => Some(Scalar::Text(text)),
        Node::Static(StaticNode::I64(number)) => Some(Scalar::Integer(number)),
        Node::Static(StaticNode::U64(number)) => {
            Some(i64::try_from(number).map_or(Scalar::Unsigned(number), Scalar::Integer))
        }
        Node::Static(StaticNode::F64(number)) => Some(Scalar::Float(number)),
        Node::Static(StaticNode::Bool(value)) => Some(Scalar::Boolean(value)),
        _ => None,
    }
}

/// A mapping's constant as a leaf.
pub(super) fn scalar_of(constant: &Constant) -> Scalar<'_> {
    match constant {
        Constant::Text(text) => Scalar::Text(text),
        Constant::Integer(number) => Scalar::Integer(*number),
        Constant::Float(number) => Scalar::Float(*number),
        Constant::Boolean(value) => Scalar::Boolean(*value),
    }
}

/// Whether something is there: no null and no empty container.
pub(super) fn is_there(node: Node<'_>) -> bool {
    !matches!(node, Node::Static(StaticNode::Null) | Node::Object { len: 0, .. } | Node::Array { len: 0, .. })
}

/// The members of a container: the number of each value, and of its key where the container is an object.
pub(super) struct Members<'n, 'a> {
    nodes: &'n [Node<'a>],
    next: usize,
    end: usize,
    keyed: bool,
}

/// The members of the container at `at`; none for a leaf.
pub(super) fn members<'n, 'a>(nodes: &'n [Node<'a>], at: usize) -> Members<'n, 'a> {
    let keyed = matches!(nodes.get(at), Some(Node::Object { .. }));
    Members { nodes, next: at + 1, end: end(nodes, at), keyed }
}

impl Iterator for Members<'_, '_> {
    /// The key's node, where there is one, and the value's.
    type Item = (Option<usize>, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let key = self.keyed.then_some(self.next);
        let value = self.next + usize::from(self.keyed);
        self.next = end(self.nodes, value);
        (value < self.end).then_some((key, value))
    }
}

/// A container that [`each_leaf`] stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    end: usize,
    keyed: bool,
    key_is_next: bool,
}

/// Calls `visit` with the number of every leaf at or below `at`, in order. `stack` is lent so that nothing allocates, and
/// explicit so that nothing recurses.
pub(super) fn each_leaf(nodes: &[Node<'_>], at: usize, stack: &mut Vec<Open>, mut visit: impl FnMut(usize)) {
    any_leaf(nodes, at, stack, |leaf| {
        visit(leaf);
        false
    });
}

/// Whether `wanted` holds for a leaf at or below `at`; the leaves behind the first such one are not visited.
pub(super) fn any_leaf(
    nodes: &[Node<'_>],
    at: usize,
    stack: &mut Vec<Open>,
    mut wanted: impl FnMut(usize) -> bool,
) -> bool {
    stack.clear();
    let end_all = end(nodes, at);
    let mut next = at;
    while next < end_all {
        while stack.last().is_some_and(|open| open.end <= next) {
            stack.pop();
        }
        let here = next;
        next += 1;
        if let Some(open) = stack.last_mut().filter(|open| open.keyed) {
            open.key_is_next = !open.key_is_next;
            if !open.key_is_next {
                continue;
            }
        }
        match nodes.get(here) {
            Some(Node::Object { .. }) => stack.push(Open { end: end(nodes, here), keyed: true, key_is_next: true }),
            Some(Node::Array { .. }) => stack.push(Open { end: end(nodes, here), keyed: false, key_is_next: false }),
            Some(Node::Static(StaticNode::Null)) | None => {}
            Some(_) if wanted(here) => return true,
            Some(_) => {}
        }
    }
    false
}
