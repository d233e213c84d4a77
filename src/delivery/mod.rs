//! Delivery: from normalized events to a destination's verdict on each. Floor 4.
//!
//! A [`Sink`] knows one protocol; it encodes events and sends a batch once. Everything else is the same for all sinks
//! and lives in the lane: queue, batching, retry, splitting, pausing, pacing, dead letters.

mod batch;
mod block;
mod dead_letter;
mod filler;
mod judge;
mod kept_letter;
mod lane;
mod ledger;
mod load;
mod memory;
mod options;
mod oversize;
mod pace;
mod rate;
mod schedule;
mod spill_options;
mod state;
mod stored_letter;
mod tasks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;
mod window;

use std::future::Future;
use std::sync::Arc;

pub use batch::Batch;
pub use block::{Block, EventView, Parcel, Row};
pub use dead_letter::{DeadLetter, DeadLetters, DeadReason, LINE_VERSION, Original, What};
pub use kept_letter::{KeptError, KeptLetter, KeptWhat};
pub use lane::{Lane, abandon, run};
pub use ledger::{Ledger, Mark, Remember, count_event};
pub use memory::{Memory, MemoryKey};
pub use options::{LaneDefaults, LaneOptions, LaneSettings, OptionsError};
pub use oversize::{Oversize, TrimmedEvent};
pub use schedule::{RETRY_AFTER_MAX, Schedule};
pub use spill_options::{SpillOptions, SpillSettings};
pub use stored_letter::{KeptLine, WrittenLetter};
pub use tasks::{Here, Tasks};
pub use verdict::{Delivery, Disposition, Error, Reason, Verdict, Verdicts};

/// One destination.
pub trait Sink: Send + Sync + 'static {
    /// Appends one event as the destination wants it framed, the separator included. Pure.
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>);

    /// Appends what its batches have in common, for a destination that is told such things once a request: a Splunk index,
    /// a Sumo category. Only entries with the same text share a batch, and [`Batch::bucket`] gives it back. Nothing by
    /// default: all entries may go together. Pure.
    fn bucket(&self, _event: EventView<'_>, _out: &mut Vec<u8>) {}

    /// Sends one batch once and waits until the destination has it for good. Retries nothing. Dropping the future midway
    /// is safe in the sense of the house: the batch is then not delivered, and may be sent again.
    ///
    /// # Errors
    ///
    /// When the request as a whole failed; the error's [`Disposition`] says what is asked of the lane.
    fn send(&self, batch: &Batch) -> impl Future<Output = Result<Delivery, Error>> + Send;

    /// Asks the destination the cheapest honest question: could a batch be delivered now?
    ///
    /// # Errors
    ///
    /// With what stands in the way, and the remedy where it is known.
    fn check(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl<S: Sink> Sink for Arc<S> {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        (**self).encode(event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        (**self).bucket(event, out);
    }

    fn send(&self, batch: &Batch) -> impl Future<Output = Result<Delivery, Error>> + Send {
        (**self).send(batch)
    }

    fn check(&self) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).check()
    }
}
