//! Acknowledgement: positions, receipts, outcomes and the frontier. Floor 0, pure.
//!
//! The rule of the house is that success is spoken: a [`Receipt`] that is dropped without being settled means "read it
//! again", and a checkpoint moves only over a contiguous run of settled chunks ([`Frontier`]).

mod frontier;
mod outcome;
mod position;
mod receipt;
mod settlements;
#[cfg(test)]
mod tests;

pub use frontier::{ABANDONMENTS_MAX, Frontier, Step};
pub use outcome::Outcome;
pub use position::{Position, Sequence};
pub use receipt::{ChunkId, Receipt, Settled};
pub use settlements::Settlements;
