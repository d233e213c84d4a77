//! Two mappings must never claim one event with equal right: matches of equally many conditions exclude each other, and
//! do so visibly, in their conditions on one path. Only a user's own mapping may tie with a shipped one: it wins, and the
//! tie is noted.

use super::ast::{Base, Compare, Condition, Conditions, Constant, Keys, Mapping, Match, Origin, Path, Step, Wanted};
use super::condition::constant_text;
use super::error::Error;

/// The ties that nothing ends, each told at the later of its two places.
pub(super) fn errors(mappings: &[&Mapping]) -> Vec<Error> {
    let is_own = |mapping: &Mapping| mapping.origin != Origin::Shipped;
    let ties = all(mappings).into_iter().filter(|tie| is_own(tie.earlier.0) == is_own(tie.later.0));
    ties.map(|tie| error(tie.earlier.1, tie.later.1)).collect()
}

/// A tie that a user's own mapping wins: its log type and match, and those of the shipped one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tie<'m> {
    pub(super) earlier: (&'m Mapping, &'m Match),
    pub(super) later: (&'m Mapping, &'m Match),
}

/// The ties that a user's own mapping wins.
pub(super) fn won<'m>(mappings: &[&'m Mapping]) -> Vec<Tie<'m>> {
    let is_own = |mapping: &Mapping| mapping.origin != Origin::Shipped;
    all(mappings).into_iter().filter(|tie| is_own(tie.earlier.0) && !is_own(tie.later.0)).collect()
}

fn all<'m>(mappings: &[&'m Mapping]) -> Vec<Tie<'m>> {
    let mut ties = Vec::new();
    for (place, later) in mappings.iter().enumerate() {
        for earlier in mappings.iter().take(place) {
            // Lines of text and JSON documents are never one event.
            if !share_a_form(earlier, later) {
                continue;
            }
            let keys = if earlier.keys == later.keys { earlier.keys } else { Keys::AnyInitial };
            for (first, second) in pairs(earlier, later) {
                if !exclude(&first.when, &second.when, keys) {
                    ties.push(Tie { earlier: (earlier, first), later: (later, second) });
                }
            }
        }
    }
    ties
}

/// Whether an event may come in a form that both mappings read.
fn share_a_form(left: &Mapping, right: &Mapping) -> bool {
    let takes_json = |mapping: &Mapping| mapping.text.as_ref().is_none_or(|text| text.takes_json);
    (left.text.is_some() && right.text.is_some()) || (takes_json(left) && takes_json(right))
}

/// All pairs of matches of equally many conditions.
fn pairs<'m>(earlier: &'m Mapping, later: &'m Mapping) -> impl Iterator<Item = (&'m Match, &'m Match)> {
    earlier
        .matches
        .iter()
        .flat_map(|first| later.matches.iter().map(move |second| (first, second)))
        .filter(|(first, second)| first.when.0.len() == second.when.0.len())
}

fn error(first: &Match, second: &Match) -> Error {
    let at = &first.at;
    let words = format!(
        "this match and the one at {}:{}:{} have equally many conditions and do not exclude each other: \
         give one of them a condition more, such as a key that must exist",
        at.file, at.line, at.column,
    );
    Error::new(&second.at, words)
}

/// Whether no event can meet both.
fn exclude(left: &Conditions, right: &Conditions, keys: Keys) -> bool {
    left.0.iter().any(|left| right.0.iter().any(|right| contradict(left, right, keys)))
}

fn contradict(left: &Condition, right: &Condition, keys: Keys) -> bool {
    match (left, right) {
        (Condition::Any(tables), other) | (other, Condition::Any(tables)) => {
            tables.iter().all(|table| table.0.iter().any(|condition| contradict(condition, other, keys)))
        }
        (Condition::Is { path: left_path, wanted: left }, Condition::Is { path: right_path, wanted: right }) => {
            same_path(left_path, right_path, keys)
                && left.iter().all(|left| right.iter().all(|right| disjoint(left, right)))
        }
        _ => false,
    }
}

/// Whether two paths of matches lead to one place. Their base is the root, however it is written.
fn same_path(left: &Path, right: &Path, keys: Keys) -> bool {
    let (Path::Event { base: left_base, steps: left }, Path::Event { base: right_base, steps: right }) = (left, right)
    else {
        return left == right;
    };
    let is_root = |base: &Base| matches!(base, Base::Here | Base::Root);
    is_root(left_base)
        && is_root(right_base)
        && left.len() == right.len()
        && left.iter().zip(right).all(|steps| match steps {
            (Step::Key(left), Step::Key(right)) if keys == Keys::AnyInitial => equal_but_initial(left, right),
            (left, right) => left == right,
        })
}

fn equal_but_initial(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.chars(), right.chars());
    let initials = match (left.next(), right.next()) {
        (Some(left), Some(right)) => left.eq_ignore_ascii_case(&right),
        (left, right) => left == right,
    };
    initials && left.eq(right)
}

/// Whether no value is wanted by both.
fn disjoint(left: &Wanted, right: &Wanted) -> bool {
    match (left, right) {
        (Wanted::Exists(left), Wanted::Exists(right)) => left != right,
        // All other operators want something that is there.
        (Wanted::Exists(exists), _) | (_, Wanted::Exists(exists)) => !exists,
        (Wanted::Equals(constant), other) | (other, Wanted::Equals(constant)) => !holds(other, constant),
        (Wanted::EqualsIgnoreCase(text), Wanted::EqualsIgnoreCase(other)) => {
            text.to_lowercase() != other.to_lowercase()
        }
        (
            Wanted::Text { prefix: left_prefix, suffix: left_suffix, .. },
            Wanted::Text { prefix: right_prefix, suffix: right_suffix, .. },
        ) => {
            differ(left_prefix.as_deref(), right_prefix.as_deref(), |long, short| long.starts_with(short))
                || differ(left_suffix.as_deref(), right_suffix.as_deref(), |long, short| long.ends_with(short))
        }
        _ => false,
    }
}

/// Whether two beginnings (or ends) can not be those of one text.
fn differ(left: Option<&str>, right: Option<&str>, agrees: impl Fn(&str, &str) -> bool) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => !agrees(left, right) && !agrees(right, left),
        _ => false,
    }
}

/// Whether a constant is what is wanted.
fn holds(wanted: &Wanted, constant: &Constant) -> bool {
    let text = constant_text(constant);
    match wanted {
        Wanted::Equals(other) => constant_text(other) == text,
        Wanted::Text { prefix, suffix, contains } => {
            prefix.as_ref().is_none_or(|prefix| text.starts_with(prefix))
                && suffix.as_ref().is_none_or(|suffix| text.ends_with(suffix))
                && contains.as_ref().is_none_or(|contains| text.contains(contains))
        }
        Wanted::EqualsIgnoreCase(other) => other.to_lowercase() == text.to_lowercase(),
        Wanted::AnythingBut(others) => !others.iter().any(|other| holds(other, constant)),
        Wanted::Numeric(compares) => text.parse::<f64>().is_ok_and(|number| {
            compares.iter().all(|(compare, bound)| match compare {
                Compare::Equal => (number - bound).abs() < f64::EPSILON,
                Compare::Less => number < *bound,
                Compare::AtMost => number <= *bound,
                Compare::Greater => number > *bound,
                Compare::AtLeast => number >= *bound,
            })
        }),
        Wanted::Exists(exists) => *exists,
    }
}

/// Whether every event that meets `narrow` meets `wide` too, as far as their conditions show it one by one.
pub(super) fn implies(narrow: &Conditions, wide: &Conditions, keys: Keys) -> bool {
    wide.0.iter().all(|wide| narrow.0.iter().any(|narrow| is_narrower(narrow, wide, keys)))
}

fn is_narrower(narrow: &Condition, wide: &Condition, keys: Keys) -> bool {
    let (Condition::Is { path: narrow_path, wanted: narrow }, Condition::Is { path: wide_path, wanted: wide }) =
        (narrow, wide)
    else {
        return false;
    };
    let is_within = |narrow: &Wanted, wide: &Wanted| match (narrow, wide) {
        (narrow, wide) if narrow == wide => true,
        // All other operators want something that is there.
        (narrow, Wanted::Exists(true)) => !matches!(narrow, Wanted::Exists(_)),
        (Wanted::Equals(constant), wide) => holds(wide, constant),
        _ => false,
    };
    same_path(narrow_path, wide_path, keys)
        && narrow.iter().all(|narrow| wide.iter().any(|wide| is_within(narrow, wide)))
}
