//! Where the checkpoints stand: a table of leases, one for each shard. Floor 6.
//!
//! The table is behind one trait, so that a local file (one process), and later a table that several processes share, are
//! the same to a source. What to read next is a pure function of the table and the stream's shards ([`plan`]).

mod file;
mod memory;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;

pub use file::FileTable;
pub use memory::MemoryTable;
pub use plan::{Plan, Shard, Start, plan};
use serde::{Deserialize, Serialize};

use crate::ack::{Position, Sequence};

/// One shard's place in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Up to where everything is settled.
    pub checkpoint: Checkpoint,
    /// The shards this one came from: two after a merge, one after a split.
    #[serde(default)]
    pub parents: Vec<String>,
}

/// Up to where a shard has been read and settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Checkpoint {
    /// Nothing yet: the reading begins with the oldest record.
    TrimHorizon,
    /// Nothing yet: the reading begins with the first record at or after this time, in milliseconds since 1970.
    AtTimestamp(i64),
    /// Everything up to and including this record.
    Sequence {
        /// The record's sequence number.
        sequence: String,
        /// The number inside an aggregated record; 0 for a plain one.
        sub_sequence: u64,
    },
    /// Everything there ever was in the shard: its children may be read.
    ShardEnd,
}

impl Checkpoint {
    /// The checkpoint behind a settled position.
    #[must_use]
    pub fn at(position: &Position) -> Self {
        Self::Sequence { sequence: position.sequence.as_str().to_owned(), sub_sequence: position.sub_sequence }
    }

    /// The settled position, if there is one.
    #[must_use]
    pub fn position(&self, shard: &str) -> Option<Position> {
        match self {
            Self::Sequence { sequence, sub_sequence } => {
                Some(Position { shard: shard.into(), sequence: Sequence::new(sequence), sub_sequence: *sub_sequence })
            }
            Self::TrimHorizon | Self::AtTimestamp(_) | Self::ShardEnd => None,
        }
    }
}

/// A table that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("checkpoints in {path}: {error}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no table of ours.
    #[error("checkpoints in {path}: {words}: restore the file, or move it away to begin anew from `start`")]
    Foreign {
        /// Which file.
        path: String,
        /// What is wrong with it.
        words: String,
    },
}

/// A table of leases. Writes are durable when they return.
pub trait LeaseTable: Send + Sync + 'static {
    /// All leases, by shard.
    fn load(&self) -> impl Future<Output = Result<BTreeMap<String, Lease>, Error>> + Send;

    /// Adds leases that are not there yet and removes others, in one step. Dropping the future midway leaves either the
    /// old or the new state.
    fn update(
        &self,
        create: Vec<(String, Lease)>,
        remove: Vec<String>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Moves the checkpoint of one shard. Dropping the future midway leaves either the old or the new state.
    fn checkpoint(&self, shard: &str, checkpoint: Checkpoint) -> impl Future<Output = Result<(), Error>> + Send;
}
