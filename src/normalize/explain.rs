//! Why an event came out as it did: which rule wrote which target from which place. Costs nothing when nobody asks.

use super::mapping::ast::RuleId;

/// What wrote one target of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The target, with the numbers of the array elements: `evidences[0].src_endpoint.ip`.
    pub target: String,
    /// The rule.
    pub rule: RuleId,
    /// The source path as the mapping has it; `None` for a constant.
    pub source: Option<String>,
}

/// The rules behind one output event.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Which mapping the rule numbers belong to; `None` for an event that passed through as OCSF.
    pub mapping: Option<std::sync::Arc<str>>,
    /// Every target that rules wrote, in the order of writing.
    pub written: Vec<Written>,
    /// Every rule, block, case, `parse` and `ignore` that had an effect, sorted, each once.
    pub fired: Vec<RuleId>,
    /// How the event's leaves were kept.
    pub leaves: Leaves,
}

/// How many leaves of the event went where, each leaf counted once: typed before free-form before the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaves {
    /// In typed attributes.
    pub typed: u64,
    /// In attributes of type `json_t` and in key-value objects.
    pub free_form: u64,
    /// In `unmapped` only.
    pub unmapped: u64,
    /// Let go by an `ignore`, or kept at their twin.
    pub ignored: u64,
}

/// What listens while a plan runs. What an undone part of the output was told is taken back.
pub(super) trait Trace {
    /// Whether anybody listens.
    const LISTENS: bool;
    fn mark(&self) -> usize;
    fn undo(&mut self, mark: usize);
    fn fired(&mut self, rule: RuleId);
    fn wrote(&mut self, rule: RuleId, target: &str, indices: &[u32], source: Option<&str>);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent;

impl Trace for Silent {
    const LISTENS: bool = false;
    fn mark(&self) -> usize {
        0
    }
    fn undo(&mut self, _mark: usize) {}
    fn fired(&mut self, _rule: RuleId) {}
    fn wrote(&mut self, _rule: RuleId, _target: &str, _indices: &[u32], _source: Option<&str>) {}
}

/// Notes everything.
#[derive(Debug, Default)]
pub(super) struct Record {
    notes: Vec<(RuleId, Option<Written>)>,
}

impl Record {
    pub(super) fn into_explanation(self) -> Explanation {
        let mut fired: Vec<RuleId> = self.notes.iter().map(|(rule, _)| *rule).collect();
        fired.sort_unstable();
        fired.dedup();
        let written = self.notes.into_iter().filter_map(|(_, written)| written).collect();
        Explanation { mapping: None, written, fired, leaves: Leaves::default() }
    }
}

impl Trace for Record {
    const LISTENS: bool = true;
    fn mark(&self) -> usize {
        self.notes.len()
    }

    fn undo(&mut self, mark: usize) {
        self.notes.truncate(mark);
    }

    fn fired(&mut self, rule: RuleId) {
        self.notes.push((rule, None));
    }

    fn wrote(&mut self, rule: RuleId, target: &str, indices: &[u32], source: Option<&str>) {
        let mut name = Vec::new();
        push_indexed(&mut name, target, indices);
        let target = String::from_utf8_lossy(&name).into_owned();
        self.notes.push((rule, Some(Written { target, rule, source: source.map(str::to_owned) })));
    }
}

/// Appends a target with the numbers of its elements in place of its `[]`s.
pub(super) fn push_indexed(out: &mut Vec<u8>, target: &str, indices: &[u32]) {
    let mut rest = target.as_bytes();
    for index in indices {
        // `[]` is the only place where a target has a bracket.
        let Some(at) = memchr::memchr(b'[', rest) else { break };
        let (before, after) = rest.split_at(at + 1);
        out.extend_from_slice(before);
        out.extend_from_slice(itoa::Buffer::new().format(*index).as_bytes());
        rest = after;
    }
    out.extend_from_slice(rest);
}
