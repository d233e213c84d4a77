//! The lane of one sink.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::filler::Opened;
use super::load::{Burial, Entry, Load, Meters};
use super::state::{Action, State};
use super::{DeadLetters, Delivery, Disposition, Error, LaneSettings, Parcel, Sink, Tasks};
use crate::budget::Budget;
use crate::metric::{EventMeter, LaneMeter};

/// How long a lane sleeps at most when nothing is due.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// What a lane is made of.
#[derive(Debug)]
pub struct Lane<S, D, T> {
    /// The sink's name in the configuration.
    pub name: Arc<str>,
    /// The destination.
    pub sink: S,
    /// Where what cannot be delivered is kept.
    pub dead_letters: D,
    /// Where its requests run.
    pub tasks: T,
    /// What is routed to the lane. A bounded channel: its bound is the backpressure. Closing it drains the lane.
    pub queue: mpsc::Receiver<Parcel>,
    /// How to batch, retry and pace.
    pub settings: LaneSettings,
    /// The memory budget: encoded batches are charged to it.
    pub budget: Budget,
    /// What the lane counts, in entries.
    pub meter: Arc<LaneMeter>,
    /// Where the ends of events are counted, shared by all lanes.
    pub events: Arc<EventMeter>,
    /// The seed of the jitter.
    pub seed: u64,
    /// The wall clock, in milliseconds since 1970: what dead letters are dated with.
    pub clock: fn() -> i64,
}

/// Runs a lane until its queue is closed and everything in it is settled.
///
/// Entries leave in the order of the queue; what has to be sent again may arrive after what came later. Requests run where
/// [`Lane::tasks`] runs them; events are encoded, and burials polled, here.
///
/// Dropping the future midway is safe: what is not settled is abandoned, which means that it is read again.
pub async fn run<S: Sink, D: DeadLetters, T: Tasks>(lane: Lane<S, D, T>) {
    let Lane { name, sink, dead_letters, tasks, queue, settings, budget, meter, events, seed, clock } = lane;
    let sink = Arc::new(sink);
    let meters = Meters { lane: meter, events };
    let mut queue = Queue { parcels: queue, meters: meters.clone() };
    let request_timeout = settings.request_timeout;
    let mut state = State::new(name, settings, budget.clone(), meters, seed, Instant::now());
    let mut requests = FuturesUnordered::new();
    let mut burials = FuturesUnordered::new();
    loop {
        let (now, now_ms) = (Instant::now(), clock());
        while let Some(load) = state.next_request(&sink, now, now_ms) {
            requests.push(tasks.run(send(Arc::clone(&sink), load, request_timeout)));
        }
        while let Some(burial) = state.next_burial() {
            burials.push(bury(&dead_letters, burial));
        }
        if state.is_done() {
            return;
        }
        state.tell(now, now_ms);
        let wakes_at = state.wakes_at(now).unwrap_or(now + IDLE_MAX);
        let action = tokio::select! {
            biased;
            Some(entries) = burials.next(), if !burials.is_empty() => Action::Buried(entries),
            Some((load, answer)) = requests.next(), if !requests.is_empty() => Action::Answer(load, answer),
            () = budget.pressure(), if state.minds_pressure() => Action::Pressure,
            parcel = queue.parcels.recv(), if state.wants_parcel() => parcel.map_or(Action::Closed, Action::Parcel),
            () = sleep_until(wakes_at) => Action::Wake,
        };
        state.apply(action, &sink, Instant::now());
    }
}

async fn send<S: Sink>(sink: Arc<S>, load: Load, request_timeout: Duration) -> (Load, Result<Delivery, Error>) {
    let answer = match timeout(request_timeout, sink.send(&load.batch)).await {
        Ok(answer) => answer,
        Err(_) => Err(Error {
            disposition: Disposition::Retry { after: None },
            code: "timeout".into(),
            words: format!("no answer within {} (`request_timeout`)", crate::unit::Span(request_timeout)),
        }),
    };
    (load, answer)
}

async fn bury<D: DeadLetters>(dead_letters: &D, burial: Burial) -> Vec<Entry> {
    dead_letters.keep(burial.letters).await;
    burial.entries
}

/// The queue. What is left in it when the lane is dropped is counted as abandoned.
struct Queue {
    parcels: mpsc::Receiver<Parcel>,
    meters: Meters,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.parcels.close();
        while let Ok(parcel) = self.parcels.try_recv() {
            drop(Opened::new(parcel, self.meters.clone()));
        }
    }
}
