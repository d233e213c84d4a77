//! Conditions. They consume nothing.

use simd_json::Node;

use super::super::convert::{Value, convert_in, number, text_equals, with_text};
use super::super::explain::Trace;
use super::super::mapping::ast::{Compare, Constant, Kind};
use super::super::plan::{Condition, Conditions, Path, Place, Wanted};
use super::super::tape::{Scalar, members, span};
use super::place::Found;
use super::{Gathered, Run};

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    /// Whether all of them hold.
    pub(in super::super) fn holds(&mut self, conditions: &'r Conditions) -> bool {
        conditions.0.iter().all(|condition| self.condition(condition))
    }

    fn condition(&mut self, condition: &'r Condition) -> bool {
        match condition {
            Condition::Is { path, wanted } => self.is(path, wanted),
            Condition::Any(any) => any.iter().any(|conditions| self.holds(conditions)),
            Condition::Same(a, b) => self.compare(a, b) == Some(true),
            Condition::Differ(a, b) => self.compare(a, b) == Some(false),
            Condition::Later(a, b) => self.time_at(a).is_some_and(|a| self.time_at(b).is_some_and(|b| a > b)),
        }
    }

    fn is(&mut self, path: &'r Path, wanted: &'r [Wanted]) -> bool {
        if matches!(&path.place, Place::Tape { tail, .. } if !tail.is_empty()) {
            let begin = self.gather(path);
            let mut holds = self.buffers.gathered.len() == begin && satisfies_absent(wanted);
            for at in begin..self.buffers.gathered.len() {
                let Some(Gathered { node, .. }) = self.buffers.gathered.get(at).copied() else { break };
                holds = holds || self.node_is(node, wanted);
            }
            self.buffers.gathered.truncate(begin);
            return holds;
        }
        match self.at(path) {
            None => satisfies_absent(wanted),
            Some(Found::Told(text) | Found::ToldJson(text)) => {
                wanted.iter().any(|wanted| satisfies(Some(Scalar::Text(text)), wanted))
            }
            Some(Found::Node(node)) => self.node_is(node, wanted),
        }
    }

    /// An array satisfies what one of its elements satisfies.
    fn node_is(&self, node: usize, wanted: &[Wanted]) -> bool {
        if wanted.iter().any(|wanted| satisfies(self.scalar(node), wanted)) {
            return true;
        }
        matches!(self.nodes.get(node), Some(Node::Array { .. }))
            && members(self.nodes, node).any(|(_, element)| {
                self.scalar(element).is_some_and(|scalar| {
                    let said = wanted.iter().filter(|wanted| !matches!(wanted, Wanted::Exists(_)));
                    said.into_iter().any(|wanted| satisfies(Some(scalar), wanted))
                })
            })
    }

    /// The time at a path, in milliseconds; `None` for what is no time in any spelling.
    fn time_at(&mut self, path: &'r Path) -> Option<i64> {
        let scalar = self.leaf_at(path)?;
        match convert_in(scalar, Kind::Timestamp, &self.plan.zone)? {
            (Value::Scalar(Scalar::Integer(ms)), _) => Some(ms),
            _ => None,
        }
    }

    /// Whether two values are equal; `None` where one of them is absent.
    fn compare(&mut self, a: &'r Path, b: &'r Path) -> Option<bool> {
        let (a, b) = (self.at(a)?, self.at(b)?);
        let leaf = |found| match found {
            Found::Node(node) => self.scalar(node),
            Found::Told(text) | Found::ToldJson(text) => Some(Scalar::Text(text)),
        };
        match (leaf(a), leaf(b)) {
            (Some(a), Some(b)) => Some(a == b || with_text(a, |a| text_equals(b, a))),
            (None, None) => {
                let (Found::Node(a), Found::Node(b)) = (a, b) else { return Some(false) };
                let part = |at: usize| self.nodes.get(at..at.saturating_add(span(self.nodes, at)));
                Some(part(a) == part(b))
            }
            _ => Some(false),
        }
    }
}

fn satisfies_absent(wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| matches!(wanted, Wanted::Exists(false)))
}

/// Whether something that is there is what is wanted. A container has no scalar: it is only there.
fn satisfies(scalar: Option<Scalar<'_>>, wanted: &Wanted) -> bool {
    if let Wanted::Exists(exists) = wanted {
        return *exists;
    }
    let Some(scalar) = scalar else { return false };
    match wanted {
        Wanted::Exists(exists) => *exists,
        Wanted::Equals(constant) => equals(scalar, constant),
        Wanted::Text { prefix, suffix, contains } => with_text(scalar, |text| {
            prefix.as_ref().is_none_or(|prefix| text.starts_with(prefix.as_str()))
                && suffix.as_ref().is_none_or(|suffix| text.ends_with(suffix.as_str()))
                && contains.as_ref().is_none_or(|contains| text.contains(contains.as_str()))
        }),
        Wanted::EqualsIgnoreCase(other) => with_text(scalar, |text| {
            text.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
        }),
        Wanted::AnythingBut(these) => !these.iter().any(|wanted| satisfies(Some(scalar), wanted)),
        Wanted::Numeric(bounds) => number(scalar).is_some_and(|number| {
            bounds.iter().all(|(compare, bound)| match compare {
                #[expect(clippy::float_cmp, reason = "exactly equal is what the condition asks")]
                Compare::Equal => number == *bound,
                Compare::Less => number < *bound,
                Compare::AtMost => number <= *bound,
                Compare::Greater => number > *bound,
                Compare::AtLeast => number >= *bound,
            })
        }),
    }
}

/// Equal as values, or as texts: a column of a line is always a text.
fn equals(scalar: Scalar<'_>, constant: &Constant) -> bool {
    match constant {
        Constant::Text(text) => text_equals(scalar, text),
        Constant::Integer(wanted) => match scalar {
            Scalar::Float(_) => number(Scalar::Integer(*wanted)).map(Scalar::Float) == Some(scalar),
            _ => scalar == Scalar::Integer(*wanted) || text_equals(scalar, itoa::Buffer::new().format(*wanted)),
        },
        Constant::Float(wanted) => number(scalar).is_some_and(|number| Scalar::Float(number) == Scalar::Float(*wanted)),
        Constant::Boolean(wanted) => {
            scalar == Scalar::Boolean(*wanted) || text_equals(scalar, if *wanted { "true" } else { "false" })
        }
    }
}
