//! What differs between the event a test expects and the one that came out.

use std::fmt;

use serde_json::{Map, Value};

/// How many characters of a value a difference shows.
const SHOWN_CHARS_MAX: usize = 160;

/// The text in an expected event that stands for `metadata.uid`.
const UID: &str = "${uid}";

/// The array that the engine derives from the event: its order follows from the order of the rules, which means nothing.
const OBSERVABLES: &str = "observables";

/// What the engine writes of itself: a test may leave it out, so that its version is not in every expectation.
const TRANSFORMATION: &str = "metadata.transformation_info_list";

/// One field that is not as a test expects it. Reads `path: expected .., got ..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: `evidences[0].src_endpoint.ip`.
    pub path: String,
    /// What is expected, as JSON or `nothing`; a long value is cut.
    pub expected: String,
    /// What came out.
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.path, self.expected, self.got)
    }
}

/// Every difference. The order of an object's members does not matter, that of an array's
/// elements does. `is_uid` tells whether a text is the uid that [`UID`] stands for.
pub(super) fn differences(expected: &Value, got: &Value, is_uid: &dyn Fn(&str) -> bool) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(Some(expected), Some(got), "", is_uid, &mut found);
    found
}

fn compare(
    expected: Option<&Value>,
    got: Option<&Value>,
    path: &str,
    is_uid: &dyn Fn(&str) -> bool,
    found: &mut Vec<Difference>,
) {
    match (expected, got) {
        (Some(Value::Object(expected)), Some(Value::Object(got))) => objects(expected, got, path, is_uid, found),
        (Some(Value::Array(expected)), Some(Value::Array(got))) if path == OBSERVABLES => {
            unordered(expected, got, found);
        }
        (Some(Value::Array(expected)), Some(Value::Array(got))) => {
            for place in 0..expected.len().max(got.len()) {
                compare(expected.get(place), got.get(place), &format!("{path}[{place}]"), is_uid, found);
            }
        }
        (Some(Value::String(expected)), Some(Value::String(got))) if expected == UID && is_uid(got) => {}
        (Some(expected), Some(got)) if equal(expected, got) => {}
        (expected, got) => {
            let path = if path.is_empty() { "the event" } else { path };
            found.push(Difference { path: path.to_owned(), expected: shown(expected), got: shown(got) });
        }
    }
}

/// Compares the members of two arrays as sets.
fn unordered(expected: &[Value], got: &[Value], found: &mut Vec<Difference>) {
    let mut left: Vec<&Value> = got.iter().collect();
    for member in expected {
        match left.iter().position(|other| *other == member) {
            Some(place) => drop(left.swap_remove(place)),
            None => found.push(of_observable(Some(member), None)),
        }
    }
    left.sort_by_key(|member| got.iter().position(|other| std::ptr::eq(other, *member)));
    found.extend(left.iter().map(|member| of_observable(None, Some(member))));
}

fn of_observable(expected: Option<&Value>, got: Option<&Value>) -> Difference {
    Difference { path: OBSERVABLES.to_owned(), expected: shown(expected), got: shown(got) }
}

fn objects(
    expected: &Map<String, Value>,
    got: &Map<String, Value>,
    path: &str,
    is_uid: &dyn Fn(&str) -> bool,
    found: &mut Vec<Difference>,
) {
    let unexpected = got.keys().filter(|key| !expected.contains_key(*key));
    for key in expected.keys().chain(unexpected) {
        let is_plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let name = if is_plain { key.clone() } else { format!("{key:?}") };
        let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
        if inner == TRANSFORMATION && !expected.contains_key(key) {
            continue;
        }
        compare(expected.get(key), got.get(key), &inner, is_uid, found);
    }
}

/// Whether two scalars are one value: `1` and `1.0` are one number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
        }
        _ => left == right,
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
