//! What the process says about itself: logs, and over HTTP its health, its metrics and its status. Floor 5.
//!
//! A [`Board`] holds the meters of everything that runs; a [`Status`] is what they show at one moment. The pages of the admin
//! server ([`admin`]) are made from a status and from nothing else, so that metrics, JSON, page and readiness never disagree.

pub mod admin;
mod board;
mod exposition;
mod log;
mod page;
mod status;
#[cfg(test)]
mod tests;

pub use board::Board;
pub use exposition::exposition;
pub use log::{Error, LEVEL_VARIABLE, check, colours, init};
pub use page::page;
pub use status::{
    DeadLetterStatus, EventStatus, HindranceStatus, LaneStatus, MemoryStatus, ShardStatus, SourceStatus, Status,
};
