//! The `[[test]]`s of mappings: run, compared, validated, and what no test fired. Pure: `siemline test` and the hermetic
//! suite print what comes out of here.

mod compare;
mod uid;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub use compare::Difference;
use serde_json::Value;

use super::mapping::Loaded;
use super::mapping::ast::{At, Mapping, RuleId, RuleName, Test};
use super::{Mappings, Normalizer, Projector, digest};
use crate::envelope::{Event, Limits, Peeler, Piece};
use crate::ocsf::{self, Severity};

/// What running all tests of all mappings found.
#[derive(Clone, Debug)]
pub struct Summary {
    /// One report for each mapping: the log types', the base mapping's, the projections'.
    pub reports: Vec<Report>,
    /// The rules of `common.toml` that no test of any mapping fired.
    pub common_unfired: Vec<RuleName>,
}

/// What running the tests of one mapping found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The mapping's log type.
    pub log_type: Arc<str>,
    /// Its tests, in the order of the file.
    pub tests: Vec<Outcome>,
    /// How many rules, blocks, cases, `parse`s and `ignore`s it has, those of `common.toml` left out.
    pub rules: usize,
    /// Those of them that no test fired, in the order of the file.
    pub unfired: Vec<RuleName>,
}

/// What one test found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// Where it stands.
    pub at: At,
    /// What is wrong; none if the test passed.
    pub faults: Vec<Fault>,
    /// What OCSF warns of although the event is valid.
    pub warnings: Vec<String>,
}

/// What is wrong with what came out of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which event of several it is about, from 1.
    pub event: Option<usize>,
    /// What.
    pub kind: FaultKind,
}

/// What may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A field is not as it is expected.
    Difference(Difference),
    /// Anything else, in words.
    Words(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(event) = self.event {
            write!(f, "event {event}: ")?;
        }
        match &self.kind {
            FaultKind::Difference(difference) => difference.fmt(f),
            FaultKind::Words(words) => f.write_str(words),
        }
    }
}

impl Fault {
    fn words(words: String) -> Self {
        Self { event: None, kind: FaultKind::Words(words) }
    }
}

impl Summary {
    /// Whether every test passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.reports.iter().flat_map(|report| &report.tests).all(|test| test.faults.is_empty())
    }

    /// Whether the tests fired every rule.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.common_unfired.is_empty() && self.reports.iter().all(|report| report.unfired.is_empty())
    }
}

/// Runs every test of every mapping. `compiled` is made of `loaded`.
#[must_use]
pub fn run(loaded: &Loaded, compiled: &Arc<Mappings>) -> Summary {
    let mut bench = Bench {
        base: &loaded.base,
        peeler: Peeler::new(Limits::default()),
        normalizer: Normalizer::new(Arc::clone(compiled)),
        projector: Projector::new(Arc::clone(compiled)),
        fired: BTreeMap::new(),
    };
    let mappings = || loaded.log_types.iter().chain([&loaded.base]).chain(&loaded.projections);
    let outcomes: Vec<Vec<Outcome>> =
        mappings().map(|mapping| mapping.tests.iter().map(|test| bench.test(mapping, test)).collect()).collect();
    let reports = mappings().zip(outcomes).map(|(mapping, tests)| {
        let own: Vec<(RuleId, &RuleName)> = rules(mapping).filter(|(_, name)| !is_common(name)).collect();
        let unfired = own.iter().filter(|(id, _)| !bench.has_fired(mapping, *id)).map(|(_, name)| (*name).clone());
        Report { log_type: Arc::clone(&mapping.log_type), tests, rules: own.len(), unfired: in_file_order(unfired) }
    });
    Summary { reports: reports.collect(), common_unfired: bench.common_unfired(mappings()) }
}

/// What the tests share.
struct Bench<'l> {
    base: &'l Mapping,
    peeler: Peeler,
    normalizer: Normalizer,
    projector: Projector,
    /// The rules that fired, by log type.
    fired: BTreeMap<Arc<str>, BTreeSet<RuleId>>,
}

impl Bench<'_> {
    fn test(&mut self, mapping: &Mapping, test: &Test) -> Outcome {
        let mut outcome = Outcome { name: test.name.clone(), at: test.at.clone(), faults: vec![], warnings: vec![] };
        let Self { base, peeler, normalizer, projector, fired } = self;
        let peeled = match peeler.peel(test.input.as_bytes(), test.arrival_ms) {
            Ok(peeled) => peeled,
            Err(refusal) => {
                outcome.faults.push(Fault::words(format!("the input is refused: {refusal}")));
                return outcome;
            }
        };
        let mut events = 0;
        for piece in peeled.pieces() {
            match piece {
                Piece::Event(event) => {
                    let mut told = Vec::new();
                    let value = if mapping.projection.is_some() {
                        project(projector, mapping, event.body, &Arc::from("ocsf"), fired, &mut told)
                    } else {
                        let (log_type, value) = normalize(normalizer, &event, fired);
                        if log_type != mapping.log_type {
                            told.push(FaultKind::Words(format!("it was recognised as {log_type}")));
                        }
                        value
                    };
                    match (test.expect.get(events), value) {
                        (Some(expect), Ok(value)) => {
                            let is_uid = |text: &str| uid::is_uid(text, &[mapping, base], &event);
                            told.extend(difference(expect, &value, &is_uid));
                            if mapping.projection.is_none() {
                                validate(&value, &mut told, &mut outcome.warnings);
                            }
                        }
                        (None, Ok(value)) => told.push(FaultKind::Words(format!("nothing is expected, got {value}"))),
                        (_, Err(error)) => told.push(FaultKind::Words(format!("the output is no JSON: {error}"))),
                    }
                    events += 1;
                    let event = (test.expect.len() > 1).then_some(events);
                    outcome.faults.extend(told.into_iter().map(|kind| Fault { event, kind }));
                }
                Piece::Filtered { .. } => {}
                Piece::Refused { code, .. } => {
                    outcome.faults.push(Fault::words(format!("a part of the input is refused: {code}")));
                }
            }
        }
        if events < test.expect.len() {
            let words = format!("{} events are expected, and the input holds {events}", test.expect.len());
            outcome.faults.push(Fault::words(words));
        }
        outcome
    }

    fn has_fired(&self, mapping: &Mapping, id: RuleId) -> bool {
        self.fired.get(&mapping.log_type).is_some_and(|fired| fired.contains(&id))
    }

    /// A rule of `common.toml` stands in many mappings; one test of one of them is enough.
    fn common_unfired<'m>(&self, mappings: impl Iterator<Item = &'m Mapping>) -> Vec<RuleName> {
        let mut places: BTreeMap<(u32, u32, String), (RuleName, bool)> = BTreeMap::new();
        for mapping in mappings {
            for (id, name) in rules(mapping).filter(|(_, name)| is_common(name)) {
                let key = (name.at.line, name.at.column, name.label.clone());
                let entry = places.entry(key).or_insert_with(|| (name.clone(), false));
                entry.1 |= self.has_fired(mapping, id);
            }
        }
        places.into_values().filter(|(_, has_fired)| !has_fired).map(|(name, _)| name).collect()
    }
}

/// Normalizes an event and notes the rules that fired. Gives the log type that recognised it, and what came out.
fn normalize(
    normalizer: &mut Normalizer,
    event: &Event<'_>,
    fired: &mut BTreeMap<Arc<str>, BTreeSet<RuleId>>,
) -> (Arc<str>, Result<Value, serde_json::Error>) {
    let mut out = Vec::new();
    let (found, explanation) = normalizer.normalize_explained(event, &digest(event.body), &mut out);
    if let Some(log_type) = explanation.mapping {
        fired.entry(log_type).or_default().extend(explanation.fired);
    }
    (found.log_type, serde_json::from_slice(&out))
}

/// Projects an OCSF document, notes the rules that fired, and tells what is not in the vocabulary.
fn project(
    projector: &mut Projector,
    mapping: &Mapping,
    ocsf: &[u8],
    log_type: &str,
    fired: &mut BTreeMap<Arc<str>, BTreeSet<RuleId>>,
    told: &mut Vec<FaultKind>,
) -> Result<Value, serde_json::Error> {
    let Some(projection) = mapping.projection else { return Ok(Value::Null) };
    let mut out = Vec::new();
    let explanation = projector.project_explained(projection, ocsf, log_type, &mut out);
    let value = serde_json::from_slice(&out)?;
    let case = mapping.cases.iter().find(|case| explanation.fired.contains(&case.id));
    if let Some((case, class)) = case.and_then(|case| Some((case, projection.table().class(&case.class)?))) {
        let faults = projection.table().faults(&class.shape, &value, &case.profiles);
        told.extend(faults.into_iter().map(FaultKind::Words));
    }
    fired.entry(Arc::clone(&mapping.log_type)).or_default().extend(explanation.fired);
    Ok(value)
}

fn difference(expect: &str, value: &Value, is_uid: &dyn Fn(&str) -> bool) -> Vec<FaultKind> {
    match serde_json::from_str(expect) {
        Ok(expect) => compare::differences(&expect, value, is_uid).into_iter().map(FaultKind::Difference).collect(),
        Err(error) => vec![FaultKind::Words(format!("`expect` is no JSON: {error}"))],
    }
}

fn validate(value: &Value, faults: &mut Vec<FaultKind>, warnings: &mut Vec<String>) {
    for problem in ocsf::validate(value) {
        match problem.severity() {
            Severity::Error => faults.push(FaultKind::Words(format!("no valid OCSF: {problem}"))),
            Severity::Warning => warnings.push(problem.to_string()),
        }
    }
}

/// The rules of a mapping, by number.
fn rules(mapping: &Mapping) -> impl Iterator<Item = (RuleId, &RuleName)> {
    mapping.rules.iter().enumerate().map(|(id, name)| (RuleId(u32::try_from(id).unwrap_or(u32::MAX)), name))
}

fn is_common(name: &RuleName) -> bool {
    name.at.file.rsplit('/').next() == Some("common.toml")
}

fn in_file_order(names: impl Iterator<Item = RuleName>) -> Vec<RuleName> {
    let mut names: Vec<RuleName> = names.collect();
    names.sort_by_key(|name| (name.at.line, name.at.column));
    names
}
