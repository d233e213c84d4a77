//! Law 6 and "never an invalid event", over events that nobody would send: every log type's own shapes, with random trees,
//! wrong types, unknown words, nulls, numbers out of range, keys of the other case and broken JSON put into them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use super::*;
use crate::envelope::{Context, Event, Form};
use crate::ocsf::{self, Severity};

/// How many events are made of each event of a mapping's tests; `SIEMLINE_ROUNDS` and `SIEMLINE_SEED` ask for more, and others.
const EVENTS_PER_SUBJECT: u64 = 6;

/// An event of a test, to be changed.
struct Subject {
    log_type: Arc<str>,
    name: String,
    body: Vec<u8>,
    form: Form,
    told: Context,
}

fn subjects(all: &[Mapping]) -> Vec<Subject> {
    let mut peeler = Peeler::new(Limits::default());
    let mut subjects = Vec::new();
    for mapping in all {
        for test in &mapping.tests {
            let peeled = peeler.peel(test.input.as_bytes(), test.arrival_ms).expect("the record peels");
            for piece in peeled.pieces() {
                if let Piece::Event(event) = piece {
                    let name = format!("{} / {}", mapping.log_type, test.name);
                    let (body, told) = (event.body.to_vec(), event.context.clone());
                    subjects.push(Subject {
                        log_type: Arc::clone(&mapping.log_type),
                        name,
                        body,
                        form: event.form,
                        told,
                    });
                }
            }
        }
    }
    subjects
}

/// Makes events, and marks leaves in them that must be found again.
struct Maker {
    random: fastrand::Rng,
    marks: u32,
}

impl Maker {
    /// A text that is nowhere else, and no conversion takes for anything but text.
    fn mark(&mut self) -> String {
        self.marks += 1;
        format!("leaf:{}:", self.marks)
    }

    fn scalar(&mut self) -> Value {
        match self.random.u32(0..20) {
            0 => Value::Null,
            1 => json!(self.random.bool()),
            2 => json!(self.random.i64(..)),
            3 => json!(u64::MAX),
            4 => json!(-1),
            5 => json!(self.random.i32(-200_000..200_000)),
            6 => json!(f64::from(self.random.i32(-90_000..90_000)) / 64.0),
            7 => json!(1e300),
            8 => json!(""),
            9 => json!(
                ["10.0.0.7", "2001:db8::1", "NEW", "true", "0", "-", "000000000012", "99999"][self.random.usize(0..8)]
            ),
            10 => json!(
                ["2024-09-04T17:00:36.9517Z", "Wed Sep 04 16:59:44.356 UTC 2024", "1725469236"]
                    [self.random.usize(0..3)]
            ),
            11 => json!(format!("{{\"a\":\"{}\"", self.mark())),
            12 => json!(format!("{{\"a\":[\"{}\",{{}}]}}", self.mark())),
            13 => json!(format!("arn:aws:iam::111122223333:role/{}", self.mark())),
            14 => json!(self.mark().repeat(40)),
            15 => json!(format!("{}\u{0}\n\"\\\u{1F600}", self.mark())),
            _ => json!(self.mark()),
        }
    }

    fn tree(&mut self, keys: &[String], depth: u32) -> Value {
        match if depth == 0 { 0 } else { self.random.u32(0..6) } {
            0..=2 => self.scalar(),
            3 => Value::Array((0..self.random.usize(0..4)).map(|_| self.tree(keys, depth - 1)).collect()),
            _ => {
                let mut members = Map::new();
                for _ in 0..self.random.usize(0..5) {
                    let key = keys[self.random.usize(0..keys.len())].clone();
                    members.insert(key, self.tree(keys, depth - 1));
                }
                Value::Object(members)
            }
        }
    }

    /// Changes one place in a document: another tree in it, a key of the other case, a member more or less.
    fn change(&mut self, value: &mut Value, keys: &[String]) {
        let inside = match value {
            Value::Object(members) => members.len(),
            Value::Array(elements) => elements.len(),
            _ => 0,
        };
        if inside == 0 {
            *value = self.tree(keys, 3);
            return;
        }
        let place = self.random.usize(0..inside);
        match value {
            Value::Object(members) => {
                let key = members.keys().nth(place).cloned().expect("it is inside");
                match self.random.u32(0..12) {
                    0 => drop(members.remove(&key)),
                    1 => {
                        let value = members.remove(&key).unwrap_or_default();
                        members.insert(other_case(&key), value);
                    }
                    2 => drop(members.insert(other_case(&key), self.tree(keys, 2))),
                    3 => {
                        let text = members.get(&key).map(ToString::to_string).unwrap_or_default();
                        members.insert(key, Value::from(text));
                    }
                    4 => drop(members.insert(key, self.tree(keys, 3))),
                    _ => self.change(members.get_mut(&key).expect("it is there"), keys),
                }
            }
            Value::Array(elements) => self.change(&mut elements[place], keys),
            _ => {}
        }
    }

    fn line(&mut self, line: &str) -> String {
        let separator = if line.contains('\t') { "\t" } else { " " };
        let mut cells: Vec<String> = line.split(separator).map(str::to_owned).collect();
        for _ in 0..self.random.usize(1..4) {
            let place = self.random.usize(0..cells.len());
            cells[place] = match self.random.u32(0..6) {
                0 => "-".to_owned(),
                1 => "99999999999999999999".to_owned(),
                2 => "\"".to_owned(),
                3 => self.random.i64(..).to_string(),
                _ => self.mark(),
            };
        }
        cells.join(separator)
    }
}

fn other_case(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map_or_else(String::new, |first| {
        let swapped = if first.is_lowercase() { first.to_ascii_uppercase() } else { first.to_ascii_lowercase() };
        format!("{swapped}{}", letters.as_str())
    })
}

fn keys_of(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            keys.insert(key.clone());
            keys_of(value, keys);
        }),
        Value::Array(elements) => elements.iter().for_each(|value| keys_of(value, keys)),
        _ => {}
    }
}

/// The marks in a text. A mark may have been written in capitals.
fn marks_in(text: &str) -> BTreeSet<u32> {
    let lower = text.to_lowercase();
    lower.split("leaf:").skip(1).filter_map(|rest| rest.split(':').next()?.parse().ok()).collect()
}

/// What is wrong with what came out of an event: nothing, it should be.
fn faults(normalizer: &mut Normalizer, event: &Event<'_>) -> (Arc<str>, Vec<String>) {
    let mut out = Vec::new();
    let (made, explanation) = normalizer.normalize_explained(event, &digest(event.body), &mut out);
    let text = String::from_utf8_lossy(&out);
    let mut faults = Vec::new();
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        return (made.log_type, vec![format!("it is no JSON: {text}")]);
    };
    if let Err(error) = laws::Unique::check(&mut serde_json::Deserializer::from_str(&text)) {
        faults.push(error.to_string());
    }
    let problems = ocsf::validate(&document);
    let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error);
    faults.extend(errors.map(|problem| format!("class {}: {problem}", document["class_uid"])));
    let (before, after) = (marks_in(&String::from_utf8_lossy(event.body)), marks_in(&text));
    let lost: Vec<&u32> = before.difference(&after).collect();
    // An `ignore` lets leaves go, and says how many they were.
    if u64::try_from(lost.len()).unwrap_or(u64::MAX) > explanation.leaves.ignored {
        faults.push(format!("{lost:?} are lost, {} let go: {text}", explanation.leaves.ignored));
    }
    (made.log_type, faults)
}

/// Guards: whatever the event, what comes out is valid, and every leaf of it is kept (law 6 of the design).
#[test]
fn whatever_an_event_holds() {
    let (mappings, all) = embedded();
    let mut normalizer = Normalizer::new(mappings);
    let asked = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first_seed: u64 = asked("SIEMLINE_SEED").unwrap_or(0);
    let rounds = asked("SIEMLINE_ROUNDS").unwrap_or(EVENTS_PER_SUBJECT);
    let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut marks = 0;
    let mut recognised: BTreeMap<Arc<str>, (u32, u32)> = BTreeMap::new();
    for (number, subject) in (0_u64..).zip(subjects(&all)) {
        let text = String::from_utf8(subject.body.clone()).expect("an event is UTF-8");
        let tree: Option<Value> = (subject.form == Form::Json).then(|| serde_json::from_str(&text).expect("JSON"));
        let mut keys = BTreeSet::from(["k".to_owned()]);
        if let Some(tree) = &tree {
            keys_of(tree, &mut keys);
        }
        let keys: Vec<String> = keys.into_iter().collect();
        for round in 0..rounds {
            let seed = first_seed + number * 1_000_000 + round;
            let mut maker = Maker { random: fastrand::Rng::with_seed(seed), marks: 0 };
            let body = match &tree {
                None => maker.line(&text),
                Some(tree) => {
                    let mut tree = tree.clone();
                    for _ in 0..=maker.random.usize(0..8) {
                        maker.change(&mut tree, &keys);
                    }
                    if !tree.is_object() {
                        continue;
                    }
                    tree.to_string()
                }
            };
            let event = Event { index: 0, body: body.as_bytes(), form: subject.form, context: &subject.told };
            let (log_type, faults) = faults(&mut normalizer, &event);
            marks += maker.marks;
            let (all, known) = recognised.entry(Arc::clone(&subject.log_type)).or_default();
            *all += 1;
            *known += u32::from(log_type == subject.log_type);
            for fault in faults {
                failures
                    .entry(format!("{log_type}: {fault}"))
                    .or_default()
                    .push(format!("{seed} ({}) {body}", subject.name));
            }
        }
    }
    let shown: Vec<String> =
        failures.iter().map(|(fault, seeds)| format!("{fault}\n  {} times, seed {}", seeds.len(), seeds[0])).collect();
    assert!(failures.is_empty(), "{} kinds of failure\n{}", failures.len(), shown.join("\n"));
    assert!(marks > 1000, "only {marks} leaves were looked for");
    for (log_type, (all, known)) in recognised {
        assert!(known * 8 > all, "{log_type}: only {known} of {all} changed events were still recognised");
    }
}
