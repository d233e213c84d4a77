//! Who reads which shard, and up to where all is settled: leases and checkpoints. Floor 6.
//!
//! The table of leases is behind one trait: a local file (one process), DynamoDB (several processes, in the layout and by the
//! rules of the Kinesis Client Library), or memory (tests). What to do next is a pure function of the table and of time
//! ([`Worker`]); the [`Coordinator`] does it, beside the source, which gets [`Grant`]s and gives them back.

mod coordinator;
mod dynamodb;
mod file;
mod grant;
mod leader;
#[expect(clippy::module_inception, reason = "the room is about leases, and this is one")]
mod lease;
mod memory;
mod options;
mod plan;
mod store;
mod survival;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::future::Future;

pub use coordinator::{Coordinator, Ended, ListError, Shards, coordinator};
pub use dynamodb::{DynamoDbTable, Keys, StreamIdentity};
pub use file::FileTable;
pub use grant::{Grant, Grants, Lost, Outlook, Recall};
pub use leader::Leader;
pub use lease::{Change, Checkpoint, HashRange, Kind, Lease};
pub use memory::MemoryTable;
pub use options::{LeaseKeys, LeaseOptions};
pub use plan::{Plan, Shard, Start, is_ready, plan};
pub use store::Store;
pub use survival::{Surroundings, vanishes};
pub use worker::{Act, News, Rules, Worker};

/// What the ids of siemline's workers begin with. Such an owner is asked to hand a lease over; from others it is taken, as
/// KCL 2 does it, which knows no asking.
const WORKER: &str = "siemline:";

/// A worker's id, which no other has: `siemline:<host>:<random>`.
#[must_use]
pub fn worker_id(host: &str, random: u64) -> String {
    format!("{WORKER}{host}:{random:016x}")
}

/// Says whether this owner knows how to hand a lease over.
#[must_use]
pub fn hands_over(owner: &str) -> bool {
    owner.starts_with(WORKER)
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
    /// Another process has the file.
    #[error(
        "checkpoints in {path}: another process uses them: stop it, give this one a `checkpoint_file` of its own, or share the \
         stream by a `lease_table`"
    )]
    InUse {
        /// Which file.
        path: String,
    },
    /// The table is not there, or is no lease table. No waiting helps.
    #[error("{0}")]
    Table(String),
    /// It did not work this time: throttled, or out of reach.
    #[error("{0}")]
    Passing(String),
    /// It is not permitted, until somebody mends it.
    #[error("{0}")]
    Forbidden(String),
}

impl Error {
    /// Says whether the same may work later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing(_) | Self::Forbidden(_))
    }
}

/// What came of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is made, and durable; the lease as it is now.
    Done(Box<Lease>),
    /// The lease was not as expected, but like this, or was not there.
    Refused(Option<Box<Lease>>),
}

/// The leases of one stream. Writes are durable when they return. Dropping a future midway leaves either the old or the new
/// state.
pub trait LeaseTable: Send + Sync + 'static {
    /// All leases, by shard. What was written before the call is seen.
    fn load(&self) -> impl Future<Output = Result<BTreeMap<String, Lease>, Error>> + Send;

    /// Adds a lease; `false` if it is there already.
    fn create(&self, shard: &str, lease: &Lease) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Changes a lease, if it [permits](Lease::permits) it.
    fn change(&self, shard: &str, change: &Change) -> impl Future<Output = Result<Changed, Error>> + Send;

    /// Removes a lease, if its counter is this one.
    fn remove(&self, shard: &str, counter: u64) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Sets the checkpoint of a lease, forwards or back, and takes it from its owner, if its counter is this one.
    fn reset(
        &self,
        shard: &str,
        counter: u64,
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Makes the table ready, once, before all else. What the stream says of itself is asked where the table needs it.
    fn prepare<F>(&self, stream: F) -> impl Future<Output = Result<(), Error>> + Send
    where
        F: Future<Output = Result<StreamIdentity, Error>> + Send,
    {
        drop(stream);
        async { Ok(()) }
    }

    /// The lock of a leader of KCL 3, if the table knows such things.
    fn leader(&self) -> impl Future<Output = Result<Option<Leader>, Error>> + Send {
        async { Ok(None) }
    }
}
