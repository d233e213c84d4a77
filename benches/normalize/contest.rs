//! One log type, mapped three ways: by the plan of the core mapping, by hand, and by the plan of the shipped mapping.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use siemline::envelope::{Context, Event, Form};
use siemline::normalize::mapping::Sources;
use siemline::normalize::{BodyDigest, Mappings, Normalizer};
use siemline::ocsf::Table;

use crate::cpu_time;

pub const ROUNDS: usize = 11;

/// What is compared for one log type.
pub struct LogType {
    /// As the mappings name it.
    pub name: &'static str,
    /// The core rows of its mapping, as a mapping file.
    pub core: &'static str,
    /// The same rows by hand.
    pub by_tree: fn(&Event<'_>, &BodyDigest, &mut Vec<u8>),
    pub samples: Vec<Sample>,
    /// Passes over the samples in one round: long enough that the clock's grain does not show.
    pub passes: usize,
    /// How many times as long as the plan the trees take, at least.
    pub ratio_min: f64,
}

/// One event, free of its envelope.
pub struct Sample {
    form: Form,
    body: Vec<u8>,
    context: Context,
    /// Made beforehand, as the workers do: it is no part of what is compared.
    digest: BodyDigest,
}

impl Sample {
    pub fn new(form: Form, body: Vec<u8>, context: Context) -> Self {
        let digest = siemline::normalize::digest(&body);
        Self { form, body, context, digest }
    }

    fn event(&self) -> Event<'_> {
        Event { index: 0, body: &self.body, form: self.form, context: &self.context }
    }
}

pub struct Contest {
    pub log_type: LogType,
    core: Normalizer,
    shipped: Normalizer,
    out: Vec<u8>,
    times: [Vec<Duration>; 3],
}

impl Contest {
    pub fn new(log_type: LogType) -> Self {
        let core = normalizer(log_type.name, Some(log_type.core));
        let shipped = normalizer(log_type.name, None);
        Self { log_type, core, shipped, out: Vec::new(), times: Default::default() }
    }

    /// Maps every event by the plan and by hand, and stops where the two differ. Tells what the events are like.
    pub fn assert_equal(&mut self) -> String {
        let Self { log_type, core, shipped, out, .. } = self;
        let name = log_type.name;
        let (mut read, mut written, mut leaves) = (0, 0, 0);
        for sample in &log_type.samples {
            out.clear();
            let by_shipped = shipped.normalize(&sample.event(), &sample.digest, out);
            out.clear();
            let by_core = core.normalize(&sample.event(), &sample.digest, out);
            let by_plan: Value = serde_json::from_slice(out).expect("the plan writes JSON");
            read += sample.body.len();
            written += out.len();
            out.clear();
            (log_type.by_tree)(&sample.event(), &sample.digest, out);
            let by_tree: Value = serde_json::from_slice(out).expect("the trees write JSON");
            leaves += count(&by_tree);
            for normalized in [by_shipped, by_core] {
                assert_eq!(&*normalized.log_type, name, "the mapping knows its events");
                assert_eq!(normalized.complaints.iter().next(), None, "and maps them without complaint");
            }
            if let Some(difference) = difference(Some(&sorted(by_plan)), Some(&sorted(by_tree)), name) {
                panic!("{difference}\nof {}", String::from_utf8_lossy(&sample.body));
            }
        }
        let count = log_type.samples.len();
        format!(
            "{name}: {count} events, mean {} bytes in, {} bytes and {} leaves out",
            read / count,
            written / count,
            leaves / count
        )
    }

    /// Every way once, one after the other.
    pub fn round(&mut self) {
        let Self { log_type, core, shipped, out, times } = self;
        let by_core = || pass(log_type, out, |event, digest, out| drop(core.normalize(event, digest, out)));
        times[0].push(cpu_time::of(by_core));
        times[1].push(cpu_time::of(|| pass(log_type, out, log_type.by_tree)));
        let by_shipped = || pass(log_type, out, |event, digest, out| drop(shipped.normalize(event, digest, out)));
        times[2].push(cpu_time::of(by_shipped));
    }

    /// As many rounds of the core plan alone.
    pub fn run_plan(&mut self) {
        let Self { log_type, core, out, .. } = self;
        for _ in 0..ROUNDS {
            pass(log_type, out, |event, digest, out| drop(core.normalize(event, digest, out)));
        }
    }

    /// Minimum and median of the rounds, in microseconds per event: core plan, trees, shipped plan.
    pub fn figures(self) -> [(f64, f64); 3] {
        let events = (self.log_type.samples.len() * self.log_type.passes) as f64;
        let per_event = |time: Duration| time.as_secs_f64() * 1e6 / events;
        self.times.map(|mut rounds| {
            rounds.sort_unstable();
            (per_event(rounds[0]), per_event(rounds[rounds.len() / 2]))
        })
    }
}

fn normalizer(name: &str, mapping: Option<&str>) -> Normalizer {
    let mut sources = Sources::embedded();
    if let Some(text) = mapping {
        sources = sources.with_directory(vec![("core.toml".to_owned(), text.to_owned())]);
    }
    let mut loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    // The trees know one log type: to tell it from all others is no part of what is compared.
    loaded.log_types.retain(|mapping| &*mapping.log_type == name);
    let mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8());
    Normalizer::new(Arc::new(mappings.unwrap_or_else(|errors| panic!("{errors:?}"))))
}

fn pass(log_type: &LogType, out: &mut Vec<u8>, mut normalize: impl FnMut(&Event<'_>, &BodyDigest, &mut Vec<u8>)) {
    for _ in 0..log_type.passes {
        for sample in &log_type.samples {
            out.clear();
            normalize(&sample.event(), &sample.digest, out);
            std::hint::black_box(&*out);
        }
    }
}

/// The first place at which the two events differ.
fn difference(plan: Option<&Value>, tree: Option<&Value>, path: &str) -> Option<String> {
    match (plan, tree) {
        (plan, tree) if plan == tree => None,
        (Some(Value::Object(plan)), Some(Value::Object(tree))) => plan
            .keys()
            .chain(tree.keys())
            .find_map(|key| difference(plan.get(key), tree.get(key), &format!("{path}.{key}"))),
        (Some(Value::Array(plan)), Some(Value::Array(tree))) => (0..plan.len().max(tree.len()))
            .find_map(|place| difference(plan.get(place), tree.get(place), &format!("{path}[{place}]"))),
        (plan, tree) => {
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            Some(format!("{path}: the plan gives {}, the trees {}", shown(plan), shown(tree)))
        }
    }
}

/// Observables are a set.
fn sorted(mut event: Value) -> Value {
    if let Some(Value::Array(observables)) = event.get_mut("observables") {
        observables.sort_by_key(ToString::to_string);
    }
    event
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        _ => 1,
    }
}
