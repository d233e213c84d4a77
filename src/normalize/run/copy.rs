//! Copies of subtrees: all of one, or the leaves that are left of it. Iterative, whatever the depth of the input.

use std::collections::HashMap;

use simd_json::{Node, StaticNode};

use super::super::convert::push_scalar;
use super::super::json::{push_comma, push_escaped, push_string};
use super::super::tape::{end, members, scalar};

/// Objects of at most so many members are looked through for equal keys pair by pair.
const PAIRWISE_MAX: usize = 12;

/// The state of a copy, kept so that its buffers are reused.
#[derive(Debug, Default)]
pub(in super::super) struct Copier {
    frames: Vec<Frame>,
    keys: Vec<usize>,
    /// Which of several equal keys a key is, from 2.
    renamed: HashMap<usize, u64>,
}

/// A container under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    node: usize,
    end: usize,
    keyed: bool,
    /// Its own key in the object around it.
    key: Option<usize>,
    /// A bit for the print of each key that is written: most keys are known by it to be the first of their kind.
    seen: [u64; 4],
    /// Whether equal keys of it were looked for.
    is_searched: bool,
}

impl Copier {
    /// Appends the value at `at` without its nulls, its empty containers and what `take` refuses, which is asked for every
    /// leaf and every container; nothing at all where no leaf is left. `name` is `"name":` or empty; with a name, a comma is put before it where one is due.
    /// Equal keys of one object are told apart by `#2`, `#3`, since most readers would drop all but one.
    pub(in super::super) fn copy(
        &mut self,
        nodes: &[Node<'_>],
        at: usize,
        name: &[u8],
        out: &mut Vec<u8>,
        mut take: impl FnMut(usize) -> bool,
    ) -> bool {
        self.frames.clear();
        self.renamed.clear();
        let end_all = end(nodes, at);
        let mut next = at;
        let mut opened = 0_usize;
        let mut wrote = false;
        while next < end_all {
            while self.frames.last().is_some_and(|frame| frame.end <= next) {
                self.close(&mut opened, out);
            }
            let mut here = next;
            let mut key = None;
            if self.frames.last().is_some_and(|frame| frame.keyed) {
                key = Some(here);
                here += 1;
            }
            next = here + 1;
            match nodes.get(here) {
                Some(Node::Object { .. } | Node::Array { .. }) if !take(here) => next = end(nodes, here),
                Some(Node::Object { .. }) => {
                    self.frames.push(Frame {
                        node: here,
                        end: end(nodes, here),
                        keyed: true,
                        key,
                        seen: [0; 4],
                        is_searched: false,
                    });
                }
                Some(Node::Array { .. }) => {
                    self.frames.push(Frame {
                        node: here,
                        end: end(nodes, here),
                        keyed: false,
                        key,
                        seen: [0; 4],
                        is_searched: false,
                    });
                }
                Some(Node::Static(StaticNode::Null)) | None => {}
                Some(_) if !take(here) => {}
                Some(_) => {
                    self.open(&mut opened, nodes, name, out);
                    if self.frames.is_empty() {
                        push_name(out, name);
                    } else {
                        push_comma(out);
                        let holder = self.frames.len().checked_sub(1);
                        self.push_key(nodes, key, holder, out);
                    }
                    if let Some(scalar) = scalar(nodes, here) {
                        push_scalar(out, scalar);
                    }
                    wrote = true;
                }
            }
        }
        while !self.frames.is_empty() {
            self.close(&mut opened, out);
        }
        wrote
    }

    /// Writes the beginnings of the containers that hold the leaf to be written.
    fn open(&mut self, opened: &mut usize, nodes: &[Node<'_>], name: &[u8], out: &mut Vec<u8>) {
        while let Some((key, keyed)) = self.frames.get(*opened).map(|frame| (frame.key, frame.keyed)) {
            if *opened == 0 {
                push_name(out, name);
            } else {
                push_comma(out);
                self.push_key(nodes, key, opened.checked_sub(1), out);
            }
            out.push(if keyed { b'{' } else { b'[' });
            *opened += 1;
        }
    }

    fn close(&mut self, opened: &mut usize, out: &mut Vec<u8>) {
        let Some(frame) = self.frames.pop() else { return };
        if *opened > self.frames.len() {
            out.push(if frame.keyed { b'}' } else { b']' });
            *opened = self.frames.len();
        }
    }

    /// Writes a key of the frame of this number, told apart from an equal one that was written before.
    fn push_key(&mut self, nodes: &[Node<'_>], key: Option<usize>, holder: Option<usize>, out: &mut Vec<u8>) {
        let Some((key, Node::String(text))) = key.and_then(|key| Some((key, nodes.get(key)?))) else { return };
        if let Some(holder) = holder.and_then(|holder| self.frames.get_mut(holder))
            && !holder.is_searched
            && !is_fresh(&mut holder.seen, text.as_bytes())
        {
            holder.is_searched = true;
            let object = holder.node;
            self.rename(nodes, object);
        }
        match self.renamed.get(&key) {
            None => push_string(out, text),
            Some(number) => {
                out.push(b'"');
                push_escaped(out, text);
                out.push(b'#');
                out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
                out.push(b'"');
            }
        }
        out.push(b':');
    }

    /// Finds the equal keys of an object, and numbers for them that make no key equal to another.
    fn rename(&mut self, nodes: &[Node<'_>], object: usize) {
        let keys = &mut self.keys;
        keys.clear();
        keys.extend(members(nodes, object).filter_map(|(key, _)| key));
        let text = |key: usize| match nodes.get(key) {
            Some(Node::String(text)) => *text,
            _ => "",
        };
        if keys.len() <= PAIRWISE_MAX {
            let mut rest = keys.as_slice();
            let mut equal = false;
            while let Some((first, others)) = rest.split_first() {
                equal |= others.iter().any(|other| text(*other) == text(*first));
                rest = others;
            }
            if !equal {
                return;
            }
        }
        keys.sort_unstable_by(|a, b| text(*a).cmp(text(*b)).then(a.cmp(b)));
        let mut number = 1_u64;
        for pair in keys.windows(2) {
            let &[before, key] = pair else { continue };
            if text(before) != text(key) {
                number = 1;
                continue;
            }
            number = number.saturating_add(1);
            while keys.binary_search_by(|known| text(*known).cmp(&format!("{}#{number}", text(key)))).is_ok() {
                number = number.saturating_add(1);
            }
            self.renamed.insert(key, number);
        }
    }
}

/// Whether no key of the same print was seen. Keys that differ in length or in one of three of their bytes, as nearly all
/// do, are told apart without comparing them.
fn is_fresh(seen: &mut [u64; 4], key: &[u8]) -> bool {
    let print = print(key);
    let Some(word) = seen.get_mut(print / 64) else { return false };
    let is_fresh = *word & (1 << (print % 64)) == 0;
    *word |= 1 << (print % 64);
    is_fresh
}

/// A number below 256 that equal keys share.
fn print(key: &[u8]) -> usize {
    let byte = |at: usize| key.get(at).map_or(0, |byte| usize::from(*byte));
    let (size, last) = (key.len(), key.last().map_or(0, |byte| usize::from(*byte)));
    (size * 37 + byte(0) * 7 + byte(size / 2) * 59 + last * 101) % 256
}

fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    if !name.is_empty() {
        push_comma(out);
        out.extend_from_slice(name);
    }
}
