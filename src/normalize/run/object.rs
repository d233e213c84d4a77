//! Objects of the output, and arrays of them.

use simd_json::Node;

use super::super::explain::Trace;
use super::super::json::push_comma;
use super::super::plan::{Array, Base, Block, Content, Leaf, Member, Needs, Object, Place, Rule};
use super::super::tape::{ABSENT, is_there, members, slot_of};
use super::walk::fill;
use super::{ELEMENTS_MAX, Gathered, Run};

/// What is known of an object under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    /// The members that are written.
    pub(super) present: u128,
    /// Whether one of them came from the event.
    pub(super) from_event: bool,
    /// The members that are `rest`s: what of them is left is known only at the end.
    pub(super) rests: u128,
}

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Writes an object with its braces; nothing, and false, where its constraints are not met. `presence` is what is known of
    /// it before.
    pub(super) fn object(&mut self, object: &'r Object, presence: &mut Presence) -> bool {
        let mark = self.mark();
        self.buffers.scratch.push(b'{');
        self.members(object, presence);
        if !object.is_met(presence) {
            self.undo(&mark);
            return false;
        }
        if presence.rests != 0 && !object.is_met(&presence.without_rests()) {
            for splice in self.buffers.splices.iter_mut().skip(mark.splices) {
                splice.is_needed = true;
            }
        }
        self.buffers.scratch.push(b'}');
        true
    }

    /// Writes the members of an object into one that is open, and of the blocks that add to it.
    pub(super) fn members(&mut self, object: &'r Object, presence: &mut Presence) {
        if !object.fixed.is_empty() {
            push_comma(&mut self.buffers.scratch);
            self.buffers.scratch.extend_from_slice(&object.fixed);
            presence.present |= object.fixed_members;
            for (rule, target) in &object.fixed_rules {
                self.trace.wrote(*rule, target, &self.buffers.indices, None);
            }
        }
        for member in &object.members {
            if presence.present & member.bit == 0 && self.may_come(&member.needs) {
                self.member(member, presence);
            }
        }
        let mut given = false;
        for block in &object.blocks {
            if block.otherwise && given {
                continue;
            }
            let before = presence.present;
            self.block_into(block, presence);
            given |= presence.present != before;
        }
    }

    /// Writes the members of a block into the object that is open; its first base that holds is the one.
    fn block_into(&mut self, block: &'r Block, presence: &mut Presence) {
        let Some(base) = &block.base else {
            if self.holds(&block.when) {
                self.block_members(block, presence);
            }
            return;
        };
        let begin = self.gather_base(base);
        for at in begin..self.buffers.gathered.len() {
            let Some(node) = self.buffers.gathered.get(at).copied() else { break };
            self.enter(base, node);
            if self.holds(&block.when) {
                self.block_members(block, presence);
                break;
            }
        }
        self.buffers.gathered.truncate(begin);
    }

    fn block_members(&mut self, block: &'r Block, presence: &mut Presence) {
        let mark = self.mark();
        let before = *presence;
        self.members(&block.object, presence);
        if presence.present == before.present {
            self.undo(&mark);
            *presence = before;
        } else {
            self.fired(block);
            presence.from_event |= block.presence().from_event;
        }
    }

    fn member(&mut self, member: &'r Member, presence: &mut Presence) {
        let mark = self.mark();
        self.name(member);
        let is_written = match &member.content {
            Content::Rule(content) => {
                let (rule, leaf) = &**content;
                self.leaf(rule, leaf, member, mark.scratch, presence)
            }
            Content::Rules(content) => {
                let (rule, leaf) = &**content;
                self.leaf_array(rule, leaf, member.bit, presence)
            }
            Content::Object(object) => {
                let mut inner = Presence::default();
                let is_written = self.object(object, &mut inner);
                presence.holds(is_written, member.bit, inner.stands())
            }
            Content::Array(array) => {
                let from_event = self.array(array);
                presence.holds(from_event.is_some(), member.bit, from_event == Some(true))
            }
        };
        if !is_written {
            self.undo(&mark);
        }
    }

    /// Whether anything can come of a member: false where all it could be made of is absent.
    fn may_come(&self, needs: &Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::OneOf(slots) => slots.iter().any(|slot| self.slot(*slot).is_some()),
        }
    }

    fn name(&mut self, member: &Member) {
        let scratch = &mut self.buffers.scratch;
        let is_first = matches!(scratch.last(), Some(b'{'));
        scratch.extend_from_slice(if is_first { member.prefix.get(1..).unwrap_or_default() } else { &member.prefix });
    }

    /// Writes an array of objects; the flag says whether one of them came from the event.
    fn array(&mut self, array: &'r Array) -> Option<bool> {
        self.buffers.scratch.push(b'[');
        self.buffers.indices.push(0);
        let mut from_event = false;
        if let Some((rule, leaf)) = &array.rule {
            from_event |= self.element_by_rule(rule, leaf);
        }
        for block in &array.blocks {
            if block.otherwise && self.buffers.indices.last().is_some_and(|count| *count > 0) {
                continue;
            }
            from_event |= self.elements(block);
        }
        let count = self.buffers.indices.pop().unwrap_or(0);
        self.buffers.scratch.push(b']');
        (count > 0).then_some(from_event)
    }

    fn element_by_rule(&mut self, rule: &'r Rule, leaf: &'r Leaf) -> bool {
        let mark = self.mark();
        let Some(from_event) = self.leaf_element(rule, leaf) else {
            self.undo(&mark);
            return false;
        };
        self.count_element();
        from_event
    }

    /// Appends the elements that a block makes.
    fn elements(&mut self, block: &'r Block) -> bool {
        let Some(base) = &block.base else { return self.element(block) };
        let mut from_event = false;
        let begin = self.gather_base(base);
        for at in begin..self.buffers.gathered.len() {
            let Some(node) = self.buffers.gathered.get(at).copied() else { break };
            if self.buffers.indices.last().is_some_and(|count| *count >= ELEMENTS_MAX) {
                break;
            }
            self.enter(base, node);
            from_event |= self.element(block);
        }
        self.buffers.gathered.truncate(begin);
        from_event
    }

    fn element(&mut self, block: &'r Block) -> bool {
        if !self.holds(&block.when) {
            return false;
        }
        let mark = self.mark();
        push_comma(&mut self.buffers.scratch);
        let mut presence = block.presence();
        if !self.object(&block.object, &mut presence) {
            self.undo(&mark);
            return false;
        }
        self.fired(block);
        self.count_element();
        presence.stands()
    }

    fn count_element(&mut self) {
        if let Some(count) = self.buffers.indices.last_mut() {
            *count = count.saturating_add(1);
        }
    }

    /// An object made by a part; the flag says whether it came from the event.
    pub(super) fn part(&mut self, part: &'r Block) -> Option<bool> {
        if let Some(base) = &part.base {
            let begin = self.gather_base(base);
            let first = self.buffers.gathered.get(begin).copied();
            self.buffers.gathered.truncate(begin);
            self.enter(base, first?);
        }
        let mut presence = Presence::default();
        self.object(&part.object, &mut presence).then(|| presence.stands())
    }

    /// Pushes the nodes a block is to stand on, one after the other.
    pub(super) fn gather_base(&mut self, base: &'r Base) -> usize {
        let begin = match &base.path.place {
            Place::Tape { .. } => self.gather(&base.path),
            _ => self.buffers.gathered.len(),
        };
        if base.each {
            let nodes = self.nodes;
            let end = self.buffers.gathered.len();
            for at in begin..end {
                let Some(Gathered { node, .. }) = self.buffers.gathered.get(at).copied() else { break };
                let keyed = matches!(nodes.get(node), Some(Node::Object { .. }));
                let there = members(nodes, node).map(|(_, node)| Gathered { node, keyed });
                let there = there.filter(|value| nodes.get(value.node).is_some_and(|node| is_there(*node)));
                // One more than can be written is enough: what is behind the bound is not looked at.
                let limit = usize::try_from(ELEMENTS_MAX).unwrap_or(usize::MAX);
                self.buffers.gathered.extend(there.take(limit));
            }
            self.buffers.gathered.drain(begin..end);
        }
        begin
    }

    /// Makes a node the base: finds the node of every path below it.
    pub(super) fn enter(&mut self, base: &'r Base, gathered: Gathered) {
        let node = gathered.node;
        let Some(scope) = self.plan.scopes.get(base.scope) else { return };
        fill(&scope.trie, self.nodes, node, &mut self.buffers.slots);
        // In an object the key stands before its value.
        let key = if gathered.keyed { slot_of(node.saturating_sub(1)) } else { ABSENT };
        if let Some(slot) = self.buffers.slots.get_mut(scope.key_slot) {
            *slot = key;
        }
    }

    fn fired(&mut self, block: &Block) {
        if let Some(id) = block.id {
            self.trace.fired(id);
        }
    }
}

impl Presence {
    /// Notes a member that may have been written; hands on whether it was.
    fn holds(&mut self, is_written: bool, bit: u128, from_event: bool) -> bool {
        if is_written {
            self.present |= bit;
            self.from_event |= from_event;
        }
        is_written
    }

    /// Whether something of it came from the event, as far as is known.
    pub(super) fn stands(&self) -> bool {
        self.from_event || self.rests != 0
    }

    /// What it would be if nothing were left for the `rest`s.
    fn without_rests(&self) -> Self {
        Self { present: self.present & !self.rests, rests: 0, ..*self }
    }
}

impl Block {
    /// What is known of its object before it begins: a condition that held is something of the event.
    fn presence(&self) -> Presence {
        Presence { from_event: !self.when.0.is_empty(), ..Presence::default() }
    }
}

impl Object {
    /// Whether an object with these members may stand in the output.
    fn is_met(&self, presence: &Presence) -> bool {
        let present = presence.present;
        present != 0
            && (presence.stands() || self.may_be_constant)
            && present & self.required == self.required
            && self.at_least_one.iter().all(|any| present & any != 0)
            && self.just_one.iter().all(|one| (present & one).is_power_of_two())
    }

    /// As [`Self::is_met`] for the object of a class, which may hold nothing but constants, or nothing where nothing is asked
    /// for.
    pub(super) fn is_complete(&self, presence: &Presence) -> bool {
        let asks_nothing = self.required == 0 && self.at_least_one.is_empty() && self.just_one.is_empty();
        self.is_met(&Presence { from_event: true, ..*presence }) || (presence.present == 0 && asks_nothing)
    }
}
