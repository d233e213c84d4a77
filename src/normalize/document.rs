//! A document to be looked at: parsed the way the normalizer parses, for whoever asks about an event beside it.

use std::fmt;

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::normalizer::{BODY_BYTES_USUAL, RAW, parse, wrap};
use super::repair::repair;
use super::tape::{self, DEPTH_MAX, Members, members, scalar};
use crate::envelope::Form;

/// Parses documents one after the other, in buffers of its own: in the steady state it does not allocate.
pub struct Reader {
    parser: Buffers,
    body: Vec<u8>,
    tape: Tape<'static>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self { parser: Buffers::with_max_depth(BODY_BYTES_USUAL, DEPTH_MAX), body: Vec::new(), tape: Tape(Vec::new()) }
    }
}

impl Reader {
    /// Shows a document to `look`. What is no JSON object is shown as the member `raw` of one: a text, and what the parser
    /// refuses even after repair.
    pub fn read<R>(&mut self, form: Form, body: &[u8], look: impl FnOnce(View<'_>) -> R) -> R {
        let tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let mut parsed = match form {
            Form::Json => parse(body, &mut self.body, &mut self.parser, tape).ok(),
            Form::Text => None,
        };
        if parsed.is_none() && form == Form::Json {
            // Rare enough for buffers of its own.
            let (mut repaired, mut buffer) = (Vec::new(), Vec::new());
            repair(body, &mut repaired);
            if let Ok(mut tape) = parse(&repaired, &mut buffer, &mut self.parser, Tape(Vec::new())) {
                wrap(&mut tape.0);
                return look(View { nodes: &tape.0, at: 0 });
            }
        }
        if let Some(tape) = &mut parsed {
            wrap(&mut tape.0);
            let looked = look(View { nodes: &tape.0, at: 0 });
            self.tape = std::mem::replace(tape, Tape(Vec::new())).reset();
            return looked;
        }
        let text = String::from_utf8_lossy(body);
        let nodes = [Node::Object { len: 1, count: 2 }, Node::String(RAW), Node::String(&text)];
        look(View { nodes: &nodes, at: 0 })
    }
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct View<'d> {
    nodes: &'d [Node<'d>],
    at: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'d> {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// A whole number; every one of 64 bits fits.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A text, unescaped.
    Text(&'d str),
}

impl<'d> View<'d> {
    /// What the value is.
    #[must_use]
    pub fn kind(self) -> Kind<'d> {
        match self.nodes.get(self.at) {
            Some(Node::Object { .. }) => Kind::Object,
            Some(Node::Array { .. }) => Kind::Array,
            Some(Node::Static(StaticNode::Null)) | None => Kind::Null,
            Some(_) => match scalar(self.nodes, self.at) {
                Some(tape::Scalar::Text(text)) => Kind::Text(text),
                Some(tape::Scalar::Integer(number)) => Kind::Integer(number.into()),
                Some(tape::Scalar::Unsigned(number)) => Kind::Integer(number.into()),
                Some(tape::Scalar::Float(number)) => Kind::Float(number),
                Some(tape::Scalar::Boolean(value)) => Kind::Boolean(value),
                None => Kind::Null,
            },
        }
    }

    /// The elements of an array, or the values of an object's members; none of a leaf.
    pub fn values(self) -> impl Iterator<Item = Self> {
        let members: Members<'d, 'd> = members(self.nodes, self.at);
        members.map(move |(_, at)| Self { nodes: self.nodes, at })
    }

    /// The values of an object's members of this name; several where the name stands there twice.
    pub fn named(self, name: &str) -> impl Iterator<Item = Self> {
        let nodes = self.nodes;
        let members: Members<'d, 'd> = members(nodes, self.at);
        members.filter_map(move |(key, at)| match nodes.get(key?) {
            Some(Node::String(key)) if *key == name => Some(Self { nodes, at }),
            _ => None,
        })
    }
}
