//! The paths of one scope, merged: one walk of an object's tape finds the node of every one of them.

use super::super::mapping::ast::Keys;

/// One step that several paths share.
#[derive(Debug)]
pub(in super::super) struct TrieNode {
    /// Where the walk notes the value's node. Numbers are unique in a plan.
    pub(in super::super) slot: usize,
    /// Members of an object that go on.
    pub(in super::super) keys: Vec<KeyStep>,
    /// A bit for the print of each of them: most keys that go nowhere are known by it.
    filter: u64,
    /// Elements of an array that go on.
    pub(in super::super) indexes: Vec<(usize, usize)>,
}

/// A key, and the node of the trie it leads to.
#[derive(Debug)]
pub(in super::super) struct KeyStep {
    print: Print,
    key: Box<str>,
    pub(in super::super) node: usize,
}

/// The merged paths of a scope. Node 0 is the base.
#[derive(Debug)]
pub(in super::super) struct Trie {
    pub(in super::super) nodes: Vec<TrieNode>,
    pub(in super::super) keys: Keys,
}

impl Trie {
    pub(super) fn new(keys: Keys, slots: &mut usize) -> Self {
        let mut trie = Self { nodes: Vec::new(), keys };
        trie.add(slots);
        trie
    }

    /// The node behind `key` at `node`, made if it is not there; `None` only for a node that does not exist.
    pub(super) fn key(&mut self, node: usize, key: &str, slots: &mut usize) -> Option<usize> {
        let mode = self.keys;
        if let Some(known) = self.nodes.get(node)?.keys.iter().find(|known| equal(&known.key, key, mode)) {
            return Some(known.node);
        }
        let next = self.add(slots);
        let step = KeyStep { print: print(key.as_bytes(), mode), key: key.into(), node: next };
        let node = self.nodes.get_mut(node)?;
        node.filter |= step.print.bit();
        node.keys.push(step);
        Some(next)
    }

    /// The node behind element `index` at `node`, made if it is not there.
    pub(super) fn index(&mut self, node: usize, index: usize, slots: &mut usize) -> Option<usize> {
        if let Some((_, known)) = self.nodes.get(node)?.indexes.iter().find(|(known, _)| *known == index) {
            return Some(*known);
        }
        let next = self.add(slots);
        self.nodes.get_mut(node)?.indexes.push((index, next));
        Some(next)
    }

    fn add(&mut self, slots: &mut usize) -> usize {
        let slot = *slots;
        *slots = slots.saturating_add(1);
        self.nodes.push(TrieNode { slot, keys: Vec::new(), filter: 0, indexes: Vec::new() });
        self.nodes.len().saturating_sub(1)
    }
}

impl TrieNode {
    /// The step for this key of the source.
    #[inline]
    pub(in super::super) fn step(&self, key: &str, mode: Keys) -> Option<&KeyStep> {
        let wanted = print(key.as_bytes(), mode);
        if self.filter & wanted.bit() == 0 {
            return None;
        }
        self.keys
            .iter()
            .find(|step| step.print == wanted && (key.len() <= Print::WHOLE_MAX || equal(&step.key, key, mode)))
    }
}

/// The length of a key, its first and its last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    head: u64,
    tail: u64,
    bytes: usize,
}

impl Print {
    /// Keys of at most so many bytes are equal if their prints are: head and tail are all of them.
    const WHOLE_MAX: usize = 16;

    /// One of 64 bits, by all three parts.
    #[inline]
    fn bit(self) -> u64 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let size = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        let mixed = self.head ^ self.tail.rotate_left(29) ^ size.wrapping_mul(ODD);
        // The bits of a product are mixed well at the top only.
        1 << (mixed.wrapping_mul(ODD) >> 58)
    }
}

/// Whether a key of the source is the key of a path.
pub(in super::super) fn equal(path: &str, source: &str, mode: Keys) -> bool {
    match mode {
        Keys::Exact => path == source,
        Keys::AnyInitial => match (path.as_bytes().split_first(), source.as_bytes().split_first()) {
            (Some((a, path)), Some((b, source))) => a.eq_ignore_ascii_case(b) && path == source,
            (None, None) => true,
            _ => false,
        },
    }
}

/// The print of a key. Written without copies of a length that is not constant, which would be calls.
#[inline]
fn print(key: &[u8], mode: Keys) -> Print {
    let word = |half: &[u8; 4]| u64::from(u32::from_le_bytes(*half));
    // The first letter, whose case may not matter, stands in the lowest byte of the head and nowhere else.
    let (head, tail) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(head), _) if key.len() == 8 => (u64::from_le_bytes(*head), 0),
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            (Some(head), _) if key.len() == 4 => (word(head), 0),
            (Some(head), Some(tail)) => (word(head), word(tail)),
            _ => (key.iter().rev().fold(0, |all, byte| (all << 8) | u64::from(*byte)), 0),
        },
    };
    let head = match (mode, key.first()) {
        (Keys::AnyInitial, Some(first)) => head ^ u64::from(first ^ first.to_ascii_lowercase()),
        _ => head,
    };
    Print { head, tail, bytes: key.len() }
}
