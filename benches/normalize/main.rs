//! Parse, map and serialise GuardDuty findings: the compiled plan against the same mapping by hand over `serde_json` trees.
//!
//! Both read the same events, free of their envelopes, and write equal documents, which is asserted first as parsed JSON.
//! The rounds interleave; the figure is thread CPU time. Exits with 1 below [`RATIO_MIN`].

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a bench stops where something is wrong, and its figures are small"
)]

mod corpus;
mod tree;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use siemline::envelope::{Context, Event, Form};
use siemline::normalize::mapping::Sources;
use siemline::normalize::{BodyDigest, Mappings, Normalizer};
use siemline::ocsf::Table;

const FINDINGS: usize = 2_000;
const ROUNDS: usize = 11;
/// Passes over the corpus in one round: long enough that the clock's grain does not show.
const PASSES: usize = 4;
const RATIO_MIN: f64 = 6.0;
/// A round that the neighbours disturbed so much tells nothing: median over minimum of the reference.
const NOISE_MAX: f64 = 1.3;

fn main() -> ExitCode {
    let findings = corpus::findings(FINDINGS);
    let bytes: usize = findings.iter().map(|finding| finding.body.len()).sum();
    let mut core = normalizer(Some(include_str!("core.toml")));
    let mut shipped = normalizer(None);
    let mut out = Vec::new();
    if std::env::args().any(|argument| argument == "plan") {
        // For a profiler: nothing but the plan, long enough.
        (0..ROUNDS)
            .for_each(|_| run(&findings, &mut out, |event, digest, out| drop(core.normalize(event, digest, out))));
        return ExitCode::SUCCESS;
    }
    let (mut written, mut leaves) = (0, 0);
    for finding in &findings {
        out.clear();
        core.normalize(&finding.event(), &finding.digest, &mut out);
        let by_plan: Value = serde_json::from_slice(&out).expect("the plan writes JSON");
        written += out.len();
        out.clear();
        tree::normalize(&finding.body, &finding.context, &finding.digest, &mut out);
        let by_tree: Value = serde_json::from_slice(&out).expect("the tree writes JSON");
        leaves += count(&by_tree);
        assert_eq!(sorted(by_plan), sorted(by_tree), "the two mappings differ");
    }
    println!(
        "{FINDINGS} findings, mean {} bytes in, {} bytes and {} leaves out",
        bytes / FINDINGS,
        written / FINDINGS,
        leaves / FINDINGS
    );
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        times[0]
            .push(timed(|| run(&findings, &mut out, |event, digest, out| drop(core.normalize(event, digest, out)))));
        times[1].push(timed(|| {
            run(&findings, &mut out, |event, digest, out| tree::normalize(event.body, event.context, digest, out));
        }));
        times[2]
            .push(timed(|| run(&findings, &mut out, |event, digest, out| drop(shipped.normalize(event, digest, out)))));
    }
    let names = ["compiled plan", "serde_json trees", "compiled plan, shipped mapping"];
    let figures = times.map(|mut rounds| {
        rounds.sort_unstable();
        (per_event(rounds[0]), per_event(rounds[ROUNDS / 2]))
    });
    println!("{:<32}{:>10}{:>10}   us per finding", "", "min", "median");
    for (name, (min, median)) in names.iter().zip(figures) {
        println!("{name:<32}{min:>10.2}{median:>10.2}");
    }
    let ratio = figures[1].0 / figures[0].0;
    println!("ratio of the minima: {ratio:.2} (at least {RATIO_MIN})");
    if figures[1].1 / figures[1].0 > NOISE_MAX {
        println!("the machine was too busy for a verdict on more than the minima");
    }
    if ratio < RATIO_MIN { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn normalizer(mapping: Option<&str>) -> Normalizer {
    let mut sources = Sources::embedded();
    if let Some(text) = mapping {
        sources = sources.with_directory(vec![("core.toml".to_owned(), text.to_owned())]);
    }
    let mut loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    // The trees know one log type: to tell it from all others is no part of what is compared.
    loaded.log_types.retain(|mapping| &*mapping.log_type == "aws.guardduty");
    let mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8());
    Normalizer::new(Arc::new(mappings.unwrap_or_else(|errors| panic!("{errors:?}"))))
}

/// One finding, free of its envelope.
pub struct Finding {
    body: Vec<u8>,
    context: Context,
    /// Made beforehand, as the workers do: it is no part of what is compared.
    digest: BodyDigest,
}

impl Finding {
    fn event(&self) -> Event<'_> {
        Event { index: 0, body: &self.body, form: Form::Json, context: &self.context }
    }
}

fn run(findings: &[Finding], out: &mut Vec<u8>, mut normalize: impl FnMut(&Event<'_>, &BodyDigest, &mut Vec<u8>)) {
    for _ in 0..PASSES {
        for finding in findings {
            out.clear();
            normalize(&finding.event(), &finding.digest, out);
            std::hint::black_box(&*out);
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

fn per_event(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / (FINDINGS * PASSES) as f64
}

fn timed(work: impl FnOnce()) -> Duration {
    let before = cpu_time();
    work();
    cpu_time().saturating_sub(before)
}

/// CPU time of this thread. The kernel brings the figure up to date when the thread gives way.
fn cpu_time() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    let nanoseconds =
        text.split(' ').next().and_then(|first| first.parse().ok()).expect("its first word is nanoseconds");
    Duration::from_nanos(nanoseconds)
}
