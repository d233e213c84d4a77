//! The spill of a lane: what waits for a destination that is down waits on the disk. Floor 5.
//!
//! It stands between routing and the lane's queue. Most of the time it only hands on, and keeps a hold on what the lane has
//! ([`run`]). What has been there for `after` without an end is written to the disk, synced, and its receipt settled as
//! spilled: its source reads on. When the lane takes no more for as long, what comes goes behind it to the disk, and from
//! there, in order, to the lane when that takes something again. An entry of the spill is settled when the lane is done with
//! it; what is not by the end of the process is delivered by the next.
//!
//! - Segments of frames with checksums (`format`, `entry`): a write that was cut short is no frame; what is damaged is left
//!   out and kept aside, and all behind it is read.
//! - A [`Log`] of segments on a [`Disk`], bounded by `bytes_max`. A full one, or a disk that refuses, takes nothing more, and
//!   the queue's bound stops the reading as if there were no spill.

mod disk;
mod entry;
mod format;
mod group;
mod hold;
mod log;
mod run;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;

pub use disk::{Directory, Disk, Inventory};
pub use log::Log;
pub use run::{Spill, run};

/// Why a spill cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another lane or another process has the directory.
    #[error("it is in use by another lane or another process: give each lane of each process a directory of its own")]
    InUse,
    /// The events in it were made for another form than the sink is to be sent.
    #[error(
        "it holds events in the form `{held}`, and the sink is to be sent `{wanted}`: run with `format = \"{held}\"` until the \
         spill is empty, or move the directory away"
    )]
    Form {
        /// The form of what it holds.
        held: String,
        /// The form that the sink is to be sent.
        wanted: String,
    },
    /// A version of siemline with another form of segments wrote it.
    #[error(
        "it was written in version {0} of its form, which this siemline does not read: let the one that wrote it empty it"
    )]
    Version(u32),
    /// The disk fails, or the directory cannot be had.
    #[error("it cannot be made, read or written: {0}")]
    Disk(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock { Self::InUse } else { Self::Disk(error) }
    }
}
