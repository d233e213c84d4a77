//! One rule: where its value comes from, and what stands beside it.

use std::ops::Range;

use simd_json::Node;

use super::super::convert::{Value, with_text};
use super::super::explain::Trace;
use super::super::json::{push_comma, push_string};
use super::super::mapping::ast::Constant;
use super::super::plan::{Each, Fallback, Leaf, Member, Path, Place, Role, Rule, Source};
use super::super::tape::{Scalar, members, scalar_of};
use super::object::Presence;
use super::place::Found;
use super::{Buffers, FREE, Gathered, Run, TYPED};

/// `type_id` and its like: the number that stands for a word that the schema does not have.
pub(super) const OTHER: i64 = 99;

/// What a rule gave. Two machine words: it goes up through several calls for every value, and stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gave {
    what: What,
    number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A text, a truth or a float of the mapping.
    Constant,
    ConstantNumber,
    /// A text, a truth, a float or an object of the event.
    Value,
    Number,
    /// A 99 for what [`Run::word`] holds: the source's own word.
    Word,
    /// The value is put in at the end.
    Rest,
}

impl Gave {
    pub(super) const CONSTANT: Self = Self { what: What::Constant, number: 0 };
    pub(super) const VALUE: Self = Self { what: What::Value, number: 0 };
    pub(super) const REST: Self = Self { what: What::Rest, number: 0 };

    /// A value of the event, as a number where it is one.
    pub(super) fn value(number: Option<i64>) -> Self {
        number.map_or(Self::VALUE, |number| Self { what: What::Number, number })
    }

    fn constant(number: Option<i64>) -> Self {
        number.map_or(Self::CONSTANT, |number| Self { what: What::ConstantNumber, number })
    }

    /// The same, as the source's own word tells.
    pub(super) fn with_word(self) -> Self {
        Self { what: What::Word, ..self }
    }

    /// The same, because of something in the event.
    fn told(self) -> Self {
        let what = match self.what {
            What::Constant => What::Value,
            What::ConstantNumber => What::Number,
            what => what,
        };
        Self { what, ..self }
    }

    fn number(self) -> Option<i64> {
        matches!(self.what, What::ConstantNumber | What::Number | What::Word).then_some(self.number)
    }

    fn is_told(self) -> bool {
        !matches!(self.what, What::Constant | What::ConstantNumber)
    }
}

/// The source's own word, where an enum has none for it, and its node.
pub(super) type Word<'r> = (Scalar<'r>, Option<usize>);

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Writes the value of a member whose name has been written, and its sibling. A `rest` takes the name back (to `begin`
    /// in the scratch buffer) and remembers it. Whether there is one.
    pub(super) fn leaf(
        &mut self,
        rule: &'r Rule,
        leaf: &'r Leaf,
        member: &Member,
        begin: usize,
        presence: &mut Presence,
    ) -> bool {
        let Some(gave) = self.rule(rule, leaf) else { return false };
        presence.present |= member.bit;
        if gave.what == What::Rest {
            presence.rests |= member.bit;
            self.name_splice(member.prefix.get(1..).unwrap_or_default(), begin);
            return true;
        }
        presence.from_event |= gave.is_told();
        if let (Some(number), Some(enumeration)) = (gave.number(), &leaf.enumeration)
            && let Some((bit, name)) = &enumeration.sibling
        {
            let caption = enumeration.caption(number);
            let word = self.word.filter(|_| gave.what == What::Word);
            if word.is_some() || caption.is_some() {
                presence.present |= *bit;
                let scratch = &mut self.buffers.scratch;
                push_comma(scratch);
                scratch.extend_from_slice(name);
                match (word, caption) {
                    (Some((word, _)), _) => with_text(word, |word| push_string(scratch, word)),
                    (None, caption) => scratch.extend_from_slice(caption.unwrap_or(b"\"\"")),
                }
            }
        }
        match leaf.role {
            Role::Activity => self.found.activity = gave.number(),
            Role::Severity => self.found.severity = gave.number(),
            Role::Time => self.found.time = gave.number(),
            Role::None | Role::Account | Role::Region => {}
        }
        true
    }

    /// Notes the name and the place of the `rest` that was remembered last.
    fn name_splice(&mut self, name: &[u8], begin: usize) {
        let buffers = &mut *self.buffers;
        buffers.scratch.truncate(begin);
        let from = buffers.names.len();
        buffers.names.extend_from_slice(name);
        if let Some(splice) = buffers.splices.last_mut() {
            splice.at = begin;
            splice.name = (from, buffers.names.len());
        }
    }

    /// Writes the value of an element of an array; nothing but the flag whether it came from the event.
    pub(super) fn leaf_element(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> Option<bool> {
        self.rule(rule, leaf).filter(|gave| gave.what != What::Rest).map(Gave::is_told)
    }

    /// As [`Self::leaf`] for an array of values.
    pub(super) fn leaf_array(&mut self, rule: &'r Rule, leaf: &'r Leaf, bit: u128, presence: &mut Presence) -> bool {
        let numbers = self.buffers.numbers.len();
        self.buffers.scratch.push(b'[');
        self.buffers.indices.push(0);
        let begin = self.buffers.scratch.len();
        let from_event = self.array_rule(rule, leaf);
        if rule.distinct {
            self.distinct(begin);
        }
        let count = self.buffers.indices.pop().unwrap_or(0);
        self.buffers.scratch.push(b']');
        let is_there = count > 0;
        if is_there {
            presence.present |= bit;
            presence.from_event |= from_event;
        }
        if is_there
            && let Some(enumeration) = &leaf.enumeration
            && let Some((bit, name)) = &enumeration.sibling
        {
            presence.present |= *bit;
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(name);
            self.buffers.scratch.push(b'[');
            for at in numbers..self.buffers.numbers.len() {
                let Some((number, word)) = self.buffers.numbers.get(at).copied() else { break };
                push_comma(&mut self.buffers.scratch);
                match (word.and_then(|node| self.scalar(node)), enumeration.caption(number)) {
                    (Some(word), _) => with_text(word, |word| push_string(&mut self.buffers.scratch, word)),
                    (None, caption) => self.buffers.scratch.extend_from_slice(caption.unwrap_or(b"\"\"")),
                }
            }
            self.buffers.scratch.push(b']');
        }
        self.buffers.numbers.truncate(numbers);
        is_there
    }

    /// Sorts the elements written since `begin`, and leaves each once. They are leaves: only a string may hold a comma.
    fn distinct(&mut self, begin: usize) {
        let Buffers { scratch, aux, pieces, .. } = &mut *self.buffers;
        aux.clear();
        aux.extend_from_slice(scratch.get(begin..).unwrap_or_default());
        scratch.truncate(begin);
        pieces.clear();
        let (mut start, mut quoted, mut escaped) = (0, false, false);
        for (at, byte) in aux.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    pieces.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
        }
        pieces.push(start..aux.len());
        let text = |piece: &Range<usize>| aux.get(piece.clone()).unwrap_or_default();
        pieces.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        pieces.dedup_by(|a, b| text(a) == text(b));
        for piece in pieces.iter() {
            push_comma(scratch);
            scratch.extend_from_slice(text(piece));
        }
    }

    /// Appends the elements that a rule gives; the flag says whether one came from the event.
    fn array_rule(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> bool {
        let before = self.buffers.indices.last().copied();
        let mut from_event = false;
        let mut missed = None;
        match &rule.source {
            Source::First(paths) | Source::All(paths) => {
                let all = matches!(rule.source, Source::All(_));
                for path in paths {
                    from_event |= self.elements_at(rule, leaf, path, &mut missed);
                    if !all && self.buffers.indices.last().copied() != before {
                        break;
                    }
                }
            }
            Source::Constants(constants) => {
                for constant in constants {
                    self.begin_element(|run| run.constant(rule, leaf, constant));
                }
            }
            Source::Each(each) => {
                let begin = self.gather_base(&each.base);
                for at in begin..self.buffers.gathered.len() {
                    let Some(member) = self.buffers.gathered.get(at).copied() else { break };
                    self.enter(&each.base, member);
                    if self.holds(&each.only) {
                        from_event |= self.array_rule(&each.rule, leaf) || !each.only.0.is_empty();
                    }
                }
                self.buffers.gathered.truncate(begin);
            }
            Source::Cases(arms) => {
                for (when, arm) in arms {
                    if self.holds(when) {
                        let some = self.array_rule(arm, leaf);
                        if self.buffers.indices.last().copied() != before {
                            self.trace.fired(rule.id);
                            from_event |= some || !when.0.is_empty();
                            break;
                        }
                    }
                }
            }
            _ => {
                let gave = self.begin_element(|run| run.rule(rule, leaf));
                return gave.is_some_and(Gave::is_told);
            }
        }
        if self.buffers.indices.last().copied() == before {
            match rule.default.as_deref() {
                None => {}
                Some(Fallback::Rule(default)) => {
                    self.trace.fired(rule.id);
                    return self.array_rule(default, leaf);
                }
                Some(Fallback::Constant(_)) => {
                    let gave = self.begin_element(|run| run.fall_back(rule, leaf, missed));
                    return gave.is_some_and(Gave::is_told);
                }
            }
        }
        from_event
    }

    fn elements_at(&mut self, rule: &'r Rule, leaf: &'r Leaf, path: &'r Path, missed: &mut Option<Word<'r>>) -> bool {
        if !matches!(path.place, Place::Tape { .. }) {
            let Some(found) = self.at(path) else { return false };
            return self.begin_element(|run| run.value(rule, leaf, path, found, missed)).is_some();
        }
        let mut given = false;
        let begin = self.gather(path);
        for at in begin..self.buffers.gathered.len() {
            let Some(Gathered { node, .. }) = self.buffers.gathered.get(at).copied() else { break };
            if matches!(self.nodes.get(node), Some(Node::Array { .. })) {
                let nodes = self.nodes;
                for (_, element) in members(nodes, node) {
                    given |=
                        self.begin_element(|run| run.value(rule, leaf, path, Found::Node(element), missed)).is_some();
                }
            } else {
                given |= self.begin_element(|run| run.value(rule, leaf, path, Found::Node(node), missed)).is_some();
            }
        }
        self.buffers.gathered.truncate(begin);
        given
    }

    fn begin_element(&mut self, write: impl FnOnce(&mut Self) -> Option<Gave>) -> Option<Gave> {
        let mark = self.mark();
        push_comma(&mut self.buffers.scratch);
        let gave = write(self).filter(|gave| gave.what != What::Rest);
        let Some(gave) = gave else {
            self.undo(&mark);
            return None;
        };
        if let Some(number) = gave.number() {
            let word = self.word.filter(|_| gave.what == What::Word).and_then(|(_, node)| node);
            self.buffers.numbers.push((number, word));
        }
        if let Some(count) = self.buffers.indices.last_mut() {
            *count = count.saturating_add(1);
        }
        Some(gave)
    }

    /// Writes the value that a rule gives.
    fn rule(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> Option<Gave> {
        let mut missed = None;
        let gave = match &rule.source {
            Source::First(paths) | Source::All(paths) => {
                paths.iter().find_map(|path| self.by_path(rule, leaf, path, &mut missed))
            }
            Source::Constant(constant) => self.constant(rule, leaf, constant),
            Source::Constants(constants) => constants.first().and_then(|first| self.constant(rule, leaf, first)),
            Source::Template(pieces) => self.template(rule, leaf, pieces),
            Source::Cases(arms) => arms.iter().find_map(|(when, arm)| {
                let gave = if self.holds(when) { self.rule(arm, leaf) } else { None }?;
                self.trace.fired(rule.id);
                Some(if when.0.is_empty() { gave } else { gave.told() })
            }),
            Source::Part(part) => {
                let stands = self.part(part)?;
                self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
                Some(if stands { Gave::VALUE } else { Gave::CONSTANT })
            }
            Source::Each(each) => self.first_member(each, leaf),
            Source::Rest(path) => self.rest(rule, leaf, path),
            Source::Uid(paths) => self.uid(rule, leaf, paths),
        };
        if gave.is_some() || rule.default.is_none() { gave } else { self.fall_back(rule, leaf, missed) }
    }

    /// What the first member of a list gives that gives something.
    fn first_member(&mut self, each: &'r Each, leaf: &'r Leaf) -> Option<Gave> {
        let begin = self.gather_base(&each.base);
        let mut gave = None;
        for at in begin..self.buffers.gathered.len() {
            let Some(member) = self.buffers.gathered.get(at).copied() else { break };
            self.enter(&each.base, member);
            gave = if self.holds(&each.only) { self.rule(&each.rule, leaf) } else { None };
            if gave.is_some() {
                break;
            }
        }
        self.buffers.gathered.truncate(begin);
        gave.map(|gave| if each.only.0.is_empty() { gave } else { gave.told() })
    }

    fn by_path(
        &mut self,
        rule: &'r Rule,
        leaf: &'r Leaf,
        path: &'r Path,
        missed: &mut Option<Word<'r>>,
    ) -> Option<Gave> {
        let slot = match &path.place {
            Place::Tape { slot, tail } if tail.is_empty() => *slot,
            _ => {
                let found = self.at(path)?;
                return self.value(rule, leaf, path, found, missed);
            }
        };
        // What most rules are: one text, as it is.
        let node = self.slot(slot)?;
        match self.nodes.get(node)? {
            Node::String(text) if rule.is_plain => self.plain(rule, leaf, path, node, text),
            _ => self.value(rule, leaf, path, Found::Node(node), missed),
        }
    }

    fn fall_back(&mut self, rule: &'r Rule, leaf: &'r Leaf, missed: Option<Word<'r>>) -> Option<Gave> {
        match rule.default.as_deref()? {
            Fallback::Rule(default) => {
                let gave = self.rule(default, leaf)?;
                self.trace.fired(rule.id);
                Some(gave)
            }
            Fallback::Constant(constant) => {
                let gave = self.constant(rule, leaf, constant)?;
                let (Some(OTHER), Some((word, node))) = (gave.number(), missed) else { return Some(gave) };
                if leaf.enumeration.is_none() {
                    return Some(gave);
                }
                // The sibling carries the word, so the leaf is kept.
                if let Some(node) = node.filter(|_| !rule.keep) {
                    self.take(node, if leaf.is_free { FREE } else { TYPED });
                }
                self.word = Some((word, node));
                Some(gave.with_word())
            }
        }
    }

    fn constant(&mut self, rule: &'r Rule, leaf: &'r Leaf, constant: &'r Constant) -> Option<Gave> {
        let fitted = self.fit(&Value::Scalar(scalar_of(constant)), leaf)?;
        self.trace.wrote(rule.id, &leaf.target, &self.buffers.indices, None);
        Some(Gave::constant(fitted.number()))
    }
}
