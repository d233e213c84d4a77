//! From a pattern as it is written to places to be asked.
//!
//! `$or` is multiplied out first, so that each alternative is one tree in which every place stands once: only so can all
//! that is asked below one array be asked of one element.

use serde_json::{Map, Value};

use super::operator::{self, OPERATORS};
use super::{ALTERNATIVES_MAX, DEPTH_MAX, Mistake, Pattern, Place, Test};

const OR: &str = "$or";

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// With the first mistake in it: where, and the remedy.
    pub fn compile(pattern: &Value) -> Result<Self, Mistake> {
        let Value::Object(members) = pattern else {
            return Err(Mistake::new("a pattern is a table of names"));
        };
        let mut alternatives = object(members, 0)?;
        for alternative in &mut alternatives {
            alternative.mark_absences();
        }
        Ok(Self { alternatives, is_enveloped: false })
    }
}

/// The ways in which a pattern's object may hold.
fn object(members: &Map<String, Value>, depth: usize) -> Result<Vec<Place>, Mistake> {
    if members.is_empty() {
        return Err(Mistake::new("an empty pattern: name what it asks for, or leave it out"));
    }
    if depth >= DEPTH_MAX {
        return Err(Mistake::new(format!("names within each other are more than {DEPTH_MAX} deep")));
    }
    let mut ways = vec![Place::default()];
    for (name, value) in members {
        let more = match (name.as_str(), value) {
            (OR, Value::Array(patterns)) => either(patterns, depth),
            _ => member(name, value, depth),
        };
        let more = more.map_err(|mistake| mistake.under(name))?;
        if ways.len().saturating_mul(more.len()) > ALTERNATIVES_MAX {
            let words = format!(
                "`$or` and `exists = false` make more than {ALTERNATIVES_MAX} combinations: split the route into several"
            );
            return Err(Mistake::new(words).under(name));
        }
        ways = ways.iter().flat_map(|way| more.iter().map(|more| way.clone().and(more))).collect();
    }
    Ok(ways)
}

fn either(patterns: &[Value], depth: usize) -> Result<Vec<Place>, Mistake> {
    if patterns.len() < 2 {
        return Err(Mistake::new("`$or` is a list of two patterns or more"));
    }
    let mut ways = Vec::new();
    for (number, pattern) in patterns.iter().enumerate() {
        let number = number.to_string();
        let Value::Object(members) = pattern else {
            return Err(Mistake::new("an entry of `$or` is a pattern: a table of names").under(&number));
        };
        if let Some(name) = members.keys().find(|name| OPERATORS.contains(&name.as_str())) {
            let words = format!("`{name}` is an operator, and an entry of `$or` begins with the name of a field");
            return Err(Mistake::new(words).under(name).under(&number));
        }
        ways.extend(object(members, depth).map_err(|mistake| mistake.under(&number))?);
    }
    Ok(ways)
}

/// The ways in which what stands under one name may hold.
fn member(name: &str, value: &Value, depth: usize) -> Result<Vec<Place>, Mistake> {
    let below = |place: Place| Place { below: vec![(name.into(), place)], ..Place::default() };
    match value {
        Value::Object(members) => {
            if let Some((name, written)) = members.iter().find(|(name, value)| is_misplaced(name, value)) {
                let words = format!(
                    "`{name}` is an operator, and operators stand in a list: [{{ {} = {written} }}]",
                    operator::as_key(name)
                );
                return Err(Mistake::new(words).under(name));
            }
            Ok(object(members, depth.saturating_add(1))?.into_iter().map(below).collect())
        }
        Value::Array(list) => {
            let (mut may_be_absent, mut wanted) = (false, Vec::new());
            if list.is_empty() {
                return Err(Mistake::new("an empty list, which no event meets: write what the value may be"));
            }
            for (number, entry) in list.iter().enumerate() {
                match operator::read(entry).map_err(|mistake| mistake.under(&number.to_string()))? {
                    Some(entry) => wanted.push(entry),
                    None => may_be_absent = true,
                }
            }
            let absent = may_be_absent.then_some(Test::Absent);
            let there = if wanted.is_empty() { None } else { Some(Test::OneOf(wanted)) };
            let tests = absent.into_iter().chain(there);
            Ok(tests.map(|test| below(Place { tests: vec![test], ..Place::default() })).collect())
        }
        plain => Err(Mistake::new(format!("what a value may be is a list: [{plain}]"))),
    }
}

/// Whether a name is that of an operator where a field's is due. `prefix` and `suffix` may name fields, which hold lists or
/// patterns.
fn is_misplaced(name: &str, value: &Value) -> bool {
    OPERATORS.contains(&name)
        && !(matches!(name, "prefix" | "suffix") && matches!(value, Value::Array(_) | Value::Object(_)))
}

impl Place {
    /// Both of what two places ask of the same value.
    fn and(mut self, other: &Self) -> Self {
        self.tests.extend(other.tests.iter().cloned());
        for (name, place) in &other.below {
            match self.below.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = std::mem::take(known).and(place),
                None => self.below.push((name.clone(), place.clone())),
            }
        }
        self
    }

    fn mark_absences(&mut self) {
        for (_, place) in &mut self.below {
            place.mark_absences();
        }
        self.is_absence =
            self.tests.iter().all(|test| *test == Test::Absent) && self.below.iter().all(|(_, place)| place.is_absence);
    }
}
