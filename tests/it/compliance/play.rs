//! How a scenario is played: a real lane, a real sink, a destination behind sockets; and the laws that hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::json;
use siemline::ack::{Outcome, Receipt};
use siemline::budget::Budget;
use siemline::delivery::{
    DeadLetter, DeadLetters, Here, Lane, LaneDefaults, LaneOptions, Ledger, Parcel, Sink, What, run,
};
use siemline::metric::{EventMeter, LaneMeter};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::scenario::{BATCH, Cell, EVENTS, Expected, REFUSALS_MAX, Scenario};
use crate::events::{block_of, uid};

/// No play takes longer; one that stands still does.
const PLAY_MAX: Duration = Duration::from_mins(2);

/// How often it is looked whether the lane has come to where the next scene begins.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A destination with its sink. What it does in a scenario is settled when it starts.
pub trait Destination: Sized {
    /// As the configuration calls the kind of sink.
    const KIND: &'static str;
    /// The name of the row: the kind's, or one that begins with it where the kind has several.
    const NAME: &'static str = Self::KIND;
    /// What its lane takes by default.
    const LANE: LaneDefaults;
    /// Its sink.
    type Sink: Sink;

    /// What a scenario comes to here.
    fn cell(scenario: Scenario) -> Cell;

    /// How long the lane waits for an answer.
    fn patience(scenario: Scenario) -> &'static str {
        scenario.request_timeout()
    }

    async fn start(scenario: Scenario) -> Self;

    /// A sink of the destination's own, as a process makes one when it starts.
    async fn sink(&self) -> Self::Sink;

    /// How often each event was taken, by [`uid`].
    fn received(&self) -> BTreeMap<String, u32>;

    /// How many faults have yet to land.
    fn faults_left(&self) -> usize;

    /// The destination goes away.
    async fn go_away(&self);

    /// The destination is as it should be from now on.
    async fn mend(&self);

    /// All sinks are gone. Waits until what they sent is there, where that takes longer than to answer.
    async fn settle(&self) {}
}

/// A law of delivery, as the harness holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Every reading of an event has one end, and the meter counts the same.
    OneEnd,
    /// Every event ends as delivered or dead-lettered.
    NoneLost,
    /// What is said to be delivered is there.
    SuccessIsSpoken,
    /// What is dead-lettered has one letter, and is not there.
    DeadLettersAreUndelivered,
    /// As many events as were refused are dead-lettered, with the destination's own code.
    OnlyTheRefusedAreBuried,
    /// The destination is given no event more often than the scenario costs.
    NoMoreDuplicates,
    /// The lane pauses where a person has to mend something, and nowhere else.
    PausesAreForPeople,
    /// The destination's own wait is kept.
    WaitsAreKept,
    /// What was to go wrong did go wrong.
    FaultsLand,
    /// It comes to an end.
    NothingStandsStill,
}

/// A law that was broken, and how.
#[derive(Clone, Debug)]
pub struct Complaint {
    pub scenario: Scenario,
    pub law: Law,
    pub words: String,
}

/// Plays all scenarios that have a meaning at a destination, side by side. What is not as it has to be is told all at once.
pub async fn hold<D: Destination>() {
    let played = Scenario::ALL.into_iter().filter_map(|scenario| match D::cell(scenario) {
        Cell::Played(expected) => Some(play::<D>(scenario, expected)),
        Cell::Meaningless(_) => None,
    });
    let complaints = join_all(played).await.concat();
    let lines: Vec<String> =
        complaints.iter().map(|Complaint { scenario, law, words }| format!("{scenario:?}: {law:?}: {words}")).collect();
    assert!(lines.is_empty(), "{}:\n{}", D::NAME, lines.join("\n"));
}

/// Plays one scenario. What is not as it has to be.
pub async fn play<D: Destination>(scenario: Scenario, expected: Expected) -> Vec<Complaint> {
    let destination = D::start(scenario).await;
    let desk = Desk::default();
    let started = Instant::now();
    if timeout(PLAY_MAX, act(scenario, &destination, &desk)).await.is_err() {
        let words = format!("{:?}, {:?}", desk.meter.state(), desk.meter.condition());
        return vec![Complaint { scenario, law: Law::NothingStandsStill, words }];
    }
    let lasted = started.elapsed();
    destination.settle().await;
    let received = destination.received();
    let mut broken = desk.broken_laws(&received);
    broken.extend(desk.surprises(&received, &expected));
    if destination.faults_left() > 0 {
        broken.push((Law::FaultsLand, format!("{} faults have not landed", destination.faults_left())));
    }
    if lasted < expected.lasts {
        broken.push((Law::WaitsAreKept, format!("it lasted {lasted:?}, not {:?}", expected.lasts)));
    }
    broken.into_iter().map(|(law, words)| Complaint { scenario, law, words }).collect()
}

async fn act<D: Destination>(scenario: Scenario, destination: &D, desk: &Desk) {
    let all = (0..EVENTS).collect::<Vec<_>>();
    let lane = desk.deliver::<D>(destination.sink().await, scenario, all.clone());
    let meter = &desk.meter;
    let second_is_taken = || meter.requests.get() >= 2 && destination.faults_left() == 0;
    match scenario {
        Scenario::AllRefused => {
            let mending = async {
                until(|| meter.pauses.get() > 0).await;
                destination.mend().await;
            };
            join(lane, mending).await;
        }
        Scenario::Refused => {
            let mending = async {
                until(|| meter.failures.get() > 1).await;
                destination.mend().await;
            };
            join(lane, mending).await;
        }
        Scenario::Restart => {
            let restarting = async {
                until(second_is_taken).await;
                destination.go_away().await;
                until(|| meter.failures.get() > 1).await;
                destination.mend().await;
            };
            join(lane, restarting).await;
        }
        Scenario::Shutdown => {
            tokio::select! {
                () = lane => panic!("the lane is at its end before it is dropped"),
                () = until(second_is_taken) => {}
            }
            destination.mend().await;
            // As after a restart: what was abandoned is read again, and nothing else.
            desk.deliver::<D>(destination.sink().await, scenario, desk.abandoned()).await;
        }
        Scenario::Twice => {
            lane.await;
            desk.deliver::<D>(destination.sink().await, scenario, all).await;
        }
        _ => lane.await,
    }
}

/// Waits until it is so.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        sleep(LOOK_EVERY).await;
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<DeadLetter>>);

impl DeadLetters for Kept {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        self.0.lock().unwrap().extend(letters);
    }
}

/// Where the ends of all events are noted, over all lanes of a play.
#[derive(Default)]
struct Desk {
    /// How each reading of each event ended.
    ends: Arc<Mutex<BTreeMap<u32, Vec<Outcome>>>>,
    /// How many events were handed to lanes.
    readings: Mutex<usize>,
    letters: Arc<Kept>,
    meter: Arc<LaneMeter>,
    events: Arc<EventMeter>,
}

impl Desk {
    /// A lane that delivers these events, each with a receipt of its own.
    fn deliver<D: Destination>(
        &self,
        sink: D::Sink,
        scenario: Scenario,
        rows: Vec<u32>,
    ) -> impl Future<Output = ()> + use<D> {
        let options: LaneOptions = serde_json::from_value(json!({
            "batch_entries_max": BATCH,
            "batch_age_max": "1h",
            "requests_in_flight_max": 1,
            "request_timeout": D::patience(scenario),
            "retry_first": "1ms",
            "retry_max": "20ms",
            "refusals_in_a_row_max": REFUSALS_MAX,
            "pause_probe": "20ms",
        }))
        .unwrap();
        let (parcels, queue) = mpsc::channel(rows.len().max(1));
        let mut block = block_of(EVENTS, |n| scenario.document(n));
        block.ledger = Ledger::new(block.rows.iter().map(|_| 1));
        let block = Arc::new(block);
        *self.readings.lock().unwrap() += rows.len();
        for row in rows {
            let ends = Arc::clone(&self.ends);
            let receipt = Receipt::new(u64::from(row), move |settled| {
                ends.lock().unwrap().entry(row).or_default().push(settled.outcome);
            });
            let parcel = Parcel { block: Arc::clone(&block), rows: vec![row], receipt };
            parcels.try_send(parcel).unwrap_or_else(|_| panic!("there is room for all"));
        }
        run(Lane {
            name: Arc::from(D::NAME),
            sink,
            dead_letters: Arc::clone(&self.letters),
            tasks: Here,
            queue,
            settings: options.settings(D::LANE).unwrap(),
            budget: Budget::new(64 << 20),
            meter: Arc::clone(&self.meter),
            events: Arc::clone(&self.events),
            seed: 1,
            clock: || 0,
        })
    }

    /// The events whose last reading was given up.
    fn abandoned(&self) -> Vec<u32> {
        let ends = self.ends.lock().unwrap();
        ends.iter().filter(|(_, ends)| ends.last() == Some(&Outcome::Abandoned)).map(|(row, _)| *row).collect()
    }

    /// What is not as it was expected of this scenario.
    fn surprises(&self, received: &BTreeMap<String, u32>, expected: &Expected) -> Vec<(Law, String)> {
        let letters = self.letters.0.lock().unwrap();
        let mut surprises = Vec::new();
        let codes: BTreeSet<&str> = letters.iter().map(|letter| letter.code.as_ref()).collect();
        let wanted = (expected.buried > 0).then_some(expected.code).into_iter().collect();
        if letters.len() != expected.buried as usize || codes != wanted {
            let words = format!("{} dead letters {codes:?}, not {} {wanted:?}", letters.len(), expected.buried);
            surprises.push((Law::OnlyTheRefusedAreBuried, words));
        }
        let duplicates: u32 = received.values().map(|times| times - 1).sum();
        if !expected.duplicates.contains(&duplicates) {
            surprises.push((Law::NoMoreDuplicates, format!("{duplicates} duplicates, not {:?}", expected.duplicates)));
        }
        let pauses = self.meter.pauses.get();
        if pauses != expected.pauses {
            surprises.push((Law::PausesAreForPeople, format!("{pauses} pauses, not {}", expected.pauses)));
        }
        surprises
    }

    /// Conservation, event by event.
    fn broken_laws(&self, received: &BTreeMap<String, u32>) -> Vec<(Law, String)> {
        let ends = self.ends.lock().unwrap();
        let letters = self.letters.0.lock().unwrap();
        let row_of = |letter: &DeadLetter| match letter.what {
            What::Row(row) => row,
            _ => panic!("a lane buries rows: {letter:?}"),
        };
        let mut broken = Vec::new();
        for n in 0..EVENTS {
            let is_there = received.contains_key(&uid(n));
            let buried = letters.iter().filter(|letter| row_of(letter) == n).count();
            let last = ends.get(&n).and_then(|ends| ends.last().copied());
            let law = match last {
                Some(Outcome::Delivered) if !is_there => Law::SuccessIsSpoken,
                Some(Outcome::Delivered) if buried > 0 => Law::DeadLettersAreUndelivered,
                Some(Outcome::DeadLettered) if is_there || buried != 1 => Law::DeadLettersAreUndelivered,
                Some(Outcome::Delivered | Outcome::DeadLettered) => continue,
                _ => Law::NoneLost,
            };
            broken.push((law, format!("event {n} ended as {last:?}, there: {is_there}, letters: {buried}")));
        }
        let readings = *self.readings.lock().unwrap();
        let noted: usize = ends.values().map(Vec::len).sum();
        let counted = self.meter.delivered.get() + self.meter.dead_lettered.get() + self.meter.abandoned.get();
        if noted != readings || counted != u64::try_from(readings).unwrap() {
            broken.push((Law::OneEnd, format!("{readings} readings, {noted} ends, {counted} counted")));
        }
        broken
    }
}
