//! The destinations behind HTTP: each a fake that fails by a script, with a gate before it.

pub mod aws;
pub mod elastic;
pub mod hec;
pub mod intakes;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use siemline::delivery::{LaneDefaults, Sink};

use super::play::Destination;
use super::scenario::{BODY_BYTES_MAX, Cell, POISON, Scenario};
use crate::fakes::gate::Gate;
use crate::fakes::plan::{Fault, Plan};

/// A kind of sink with the fake of its destination.
pub trait Kind: Sized {
    const KIND: &'static str;
    const NAME: &'static str = Self::KIND;
    const LANE: LaneDefaults;
    type Fake;
    type Sink: Sink;

    fn cell(scenario: Scenario) -> Cell;
    /// How it refuses credentials.
    fn unauthorised() -> Fault;
    async fn start(plan: Plan) -> Self::Fake;
    fn url(fake: &Self::Fake) -> &str;
    fn received(fake: &Self::Fake) -> BTreeMap<String, u32>;
    /// A sink for a fake at this address, which is not the fake's own.
    async fn sink(url: &str) -> Self::Sink;
}

/// A destination behind HTTP and a gate.
pub struct Web<K: Kind> {
    fake: K::Fake,
    gate: Gate,
    faults: usize,
    met: Arc<AtomicUsize>,
    refuses_all: Arc<AtomicBool>,
    kind: PhantomData<K>,
}

impl<K: Kind> Destination for Web<K> {
    const KIND: &'static str = K::KIND;
    const NAME: &'static str = K::NAME;
    const LANE: LaneDefaults = K::LANE;
    type Sink = K::Sink;

    fn cell(scenario: Scenario) -> Cell {
        K::cell(scenario)
    }

    async fn start(scenario: Scenario) -> Self {
        let script = scenario.script(K::unauthorised());
        let faults = script.len();
        let refuses_all = Arc::new(AtomicBool::new(scenario == Scenario::AllRefused));
        let refuses = Arc::clone(&refuses_all);
        let is_poison = move |event: &Value| scenario == Scenario::OneRefused && event["n"] == POISON;
        let mut plan = Plan::script(script).refusing(move |event| is_poison(event) || refuses.load(Ordering::Relaxed));
        if matches!(scenario, Scenario::TooLarge | Scenario::OneTooLarge) {
            plan = plan.body_bytes_max(BODY_BYTES_MAX);
        }
        let met = plan.met();
        let fake = K::start(plan).await;
        let authority = K::url(&fake).split('/').nth(2).expect("a URL has an authority");
        let gate = Gate::open(authority.parse().expect("a fake is named by its address")).await;
        if scenario == Scenario::Refused {
            gate.close().await;
        }
        Self { fake, gate, faults, met, refuses_all, kind: PhantomData }
    }

    async fn sink(&self) -> K::Sink {
        let url = K::url(&self.fake);
        let authority = url.split('/').nth(2).expect("a URL has an authority");
        K::sink(&url.replacen(authority, &self.gate.address().to_string(), 1)).await
    }

    fn received(&self) -> BTreeMap<String, u32> {
        K::received(&self.fake)
    }

    fn faults_left(&self) -> usize {
        self.faults.saturating_sub(self.met.load(Ordering::Relaxed))
    }

    async fn go_away(&self) {
        self.gate.close().await;
    }

    async fn mend(&self) {
        self.refuses_all.store(false, Ordering::Relaxed);
        self.gate.reopen().await;
    }
}

fn status(status: u16, body: &str) -> Fault {
    Fault::Reject { status, body: body.to_owned(), retry_after_s: None }
}

/// Options with a secret in a file, which is read when the sink is made.
fn with_secret<O: serde::de::DeserializeOwned>(secret: &str, options: impl FnOnce(Value) -> Value) -> (O, impl Sized) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, secret).unwrap();
    (serde_json::from_value(options(json!({ "file": path }))).unwrap(), directory)
}
