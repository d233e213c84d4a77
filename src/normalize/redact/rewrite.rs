//! JSON text rewritten: copied as it stands, but for what paths lead to.

use std::borrow::Cow;

use super::Rule;
use super::leaf::{Action, MASK};
use super::path::Step;
use crate::normalize::json::push_string;
use crate::normalize::repair::repair;
use crate::normalize::scan::{Broken, skip_space, string_end, value_end};

/// Containers within each other that paths are followed into, strings that hold JSON counted too; below, everything is
/// masked. It bounds the recursion.
const DEPTH_MAX: usize = 96;

/// How far the paths are followed: a rule, and the number of the step that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    rule: usize,
    step: usize,
}

/// Rewrites texts by one set of rules.
pub(super) struct Rewriter<'r> {
    rules: &'r [Rule],
    out: Vec<u8>,
    /// The states of all containers that are open, the innermost last.
    states: Vec<State>,
    changes: usize,
    is_cut: bool,
}

impl<'r> Rewriter<'r> {
    pub fn new(rules: &'r [Rule]) -> Self {
        Self { rules, out: Vec::new(), states: Vec::new(), changes: 0, is_cut: false }
    }

    /// Whether the structure of something broke, so that the rest of it was masked.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// A JSON document rewritten; `None` where nothing of it was to be.
    pub fn document(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let begin = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        self.begin();
        let states = self.states.len();
        self.values(begin, true, 0..states, 0);
        self.end()
    }

    /// A text rewritten, if it begins like JSON; `None` where nothing of it was to be.
    pub fn text(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        self.begin();
        let states = self.states.len();
        self.values(body, false, 0..states, 0);
        self.end()
    }

    fn begin(&mut self) {
        self.out.clear();
        self.changes = 0;
        self.states.clear();
        self.states.extend((0..self.rules.len()).map(|rule| State { rule, step: 0 }));
    }

    fn end(&mut self) -> Option<Vec<u8>> {
        (self.changes > 0).then(|| std::mem::take(&mut self.out))
    }

    /// One JSON value behind the other, and what stands behind them as it is. Where the structure breaks, the rest is masked.
    fn values(&mut self, text: &[u8], is_json: bool, states: std::ops::Range<usize>, depth: usize) {
        let mut at = 0;
        loop {
            let begin = skip_space(text, at);
            self.copy(text, at, begin);
            if begin >= text.len() || !(begins_json(text, begin) || is_json && at == 0) {
                self.copy(text, begin, text.len());
                return;
            }
            if let Ok(end) = self.value(text, begin, states.clone(), depth) {
                at = end;
            } else {
                self.is_cut = true;
                self.changes = self.changes.saturating_add(1);
                push_string(&mut self.out, MASK);
                return;
            }
        }
    }

    /// The value that begins at `at`; returns where it ends.
    fn value(&mut self, text: &[u8], at: usize, states: std::ops::Range<usize>, depth: usize) -> Result<usize, Broken> {
        if states.is_empty() {
            let end = value_end(text, at)?;
            self.copy(text, at, end);
            return Ok(end);
        }
        match text.get(at) {
            Some(b'{' | b'[' | b'"') if depth >= DEPTH_MAX => {
                let end = value_end(text, at)?;
                push_string(&mut self.out, MASK);
                self.changes = self.changes.saturating_add(1);
                Ok(end)
            }
            Some(b'{') => self.object(text, at, states, depth),
            Some(b'[') => self.array(text, at, states, depth),
            Some(b'"') => self.string(text, at, states, depth),
            _ => {
                let end = value_end(text, at)?;
                self.copy(text, at, end);
                Ok(end)
            }
        }
    }

    fn object(
        &mut self,
        text: &[u8],
        at: usize,
        states: std::ops::Range<usize>,
        depth: usize,
    ) -> Result<usize, Broken> {
        self.out.push(b'{');
        let mut at = skip_space(text, at.saturating_add(1));
        let mut is_first = true;
        if text.get(at) == Some(&b'}') {
            self.out.push(b'}');
            return Ok(at.saturating_add(1));
        }
        loop {
            if text.get(at) != Some(&b'"') {
                return Err(Broken);
            }
            let key_end = string_end(text, at)?;
            let colon = skip_space(text, key_end);
            if text.get(colon) != Some(&b':') {
                return Err(Broken);
            }
            let begin = skip_space(text, colon.saturating_add(1));
            let below = self.states.len();
            let action = self.follow(&key(text.get(at..key_end).unwrap_or_default()), states.clone());
            let is_dropped = matches!(action, Some(Action::Drop));
            if !is_dropped {
                if !is_first {
                    self.out.push(b',');
                }
                is_first = false;
                self.copy(text, at, key_end);
                self.out.push(b':');
            }
            let end = match action {
                None => self.value(text, begin, below..self.states.len(), depth.saturating_add(1))?,
                Some(action) => {
                    self.changes = self.changes.saturating_add(1);
                    let end = value_end(text, begin)?;
                    if !is_dropped {
                        self.leaves(text.get(begin..end).unwrap_or_default(), action)?;
                    }
                    end
                }
            };
            self.states.truncate(below);
            at = skip_space(text, end);
            match text.get(at) {
                Some(b',') => at = skip_space(text, at.saturating_add(1)),
                Some(b'}') => {
                    self.out.push(b'}');
                    return Ok(at.saturating_add(1));
                }
                _ => return Err(Broken),
            }
        }
    }

    /// Pushes the states below a member of this name; returns what happens to the member if a path ends at it.
    fn follow(&mut self, name: &str, states: std::ops::Range<usize>) -> Option<&'r Action> {
        let rules = self.rules;
        for number in states {
            let Some(State { rule, step }) = self.states.get(number).copied() else { break };
            let Some(known) = rules.get(rule) else { break };
            // `**` stays, and may also stand for nothing.
            let step = if known.steps.get(step) == Some(&Step::Deep) {
                self.states.push(State { rule, step });
                step.saturating_add(1)
            } else {
                step
            };
            if known.steps.get(step).is_some_and(|wanted| wanted.is(name)) {
                let step = step.saturating_add(1);
                if step >= known.steps.len() {
                    return Some(&known.action);
                }
                self.states.push(State { rule, step });
            }
        }
        None
    }

    /// An array: whatever leads to it leads to its elements.
    fn array(&mut self, text: &[u8], at: usize, states: std::ops::Range<usize>, depth: usize) -> Result<usize, Broken> {
        self.out.push(b'[');
        let mut at = skip_space(text, at.saturating_add(1));
        if text.get(at) == Some(&b']') {
            self.out.push(b']');
            return Ok(at.saturating_add(1));
        }
        loop {
            let end = self.value(text, at, states.clone(), depth.saturating_add(1))?;
            at = skip_space(text, end);
            match text.get(at) {
                Some(b',') => {
                    self.out.push(b',');
                    at = skip_space(text, at.saturating_add(1));
                }
                Some(b']') => {
                    self.out.push(b']');
                    return Ok(at.saturating_add(1));
                }
                _ => return Err(Broken),
            }
        }
    }

    /// A string, which may hold JSON.
    fn string(
        &mut self,
        text: &[u8],
        at: usize,
        states: std::ops::Range<usize>,
        depth: usize,
    ) -> Result<usize, Broken> {
        let end = string_end(text, at)?;
        let token = text.get(at..end).unwrap_or_default();
        if memchr::memchr2(b'{', b'[', token).is_none() {
            self.copy(text, at, end);
            return Ok(end);
        }
        let inner = unescaped(token);
        let around = std::mem::take(&mut self.out);
        let before = self.changes;
        self.values(inner.as_bytes(), false, states, depth.saturating_add(1));
        let inner = std::mem::replace(&mut self.out, around);
        if self.changes > before {
            push_string(&mut self.out, &String::from_utf8_lossy(&inner));
        } else {
            self.copy(text, at, end);
        }
        Ok(end)
    }

    /// Every leaf of a value redacted, its structure and keys kept.
    fn leaves(&mut self, value: &[u8], action: &Action) -> Result<(), Broken> {
        let mut at = 0;
        while let Some(byte) = value.get(at) {
            match byte {
                b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                    self.out.push(*byte);
                    at = at.saturating_add(1);
                }
                b'"' => {
                    let end = string_end(value, at)?;
                    if value.get(skip_space(value, end)) == Some(&b':') {
                        self.copy(value, at, end);
                    } else {
                        let text = unescaped(value.get(at..end).unwrap_or_default());
                        push_string(&mut self.out, &action.of_text(&text));
                    }
                    at = end;
                }
                _ => {
                    let end = value_end(value, at)?;
                    match value.get(at..end) {
                        Some(b"null") => self.copy(value, at, end),
                        word => {
                            let word = String::from_utf8_lossy(word.unwrap_or_default());
                            push_string(&mut self.out, &action.of_text(&word));
                        }
                    }
                    at = end;
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self, text: &[u8], from: usize, to: usize) {
        self.out.extend_from_slice(text.get(from..to).unwrap_or_default());
    }
}

/// Whether what stands here can be an object or array: prose in braces is none.
fn begins_json(text: &[u8], at: usize) -> bool {
    let next = text.get(skip_space(text, at.saturating_add(1))).copied();
    match text.get(at) {
        Some(b'{') => matches!(next, Some(b'"' | b'}')),
        Some(b'[') => matches!(next, Some(b'{' | b'[' | b'"' | b']')),
        _ => false,
    }
}

/// The text of a key.
fn key(token: &[u8]) -> Cow<'_, str> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'\\', inner).is_none() { String::from_utf8_lossy(inner) } else { unescaped(token).into() }
}

/// The text of a string token. What no JSON reader takes is made into what one does, as the normalizer does it.
fn unescaped(token: &[u8]) -> String {
    if let Ok(text) = serde_json::from_slice(token) {
        return text;
    }
    let mut repaired = Vec::new();
    repair(token, &mut repaired);
    serde_json::from_slice(&repaired).unwrap_or_else(|_| String::from_utf8_lossy(token).into_owned())
}
