//! What ends a replay badly.

use std::io;
use std::path::PathBuf;

/// What can go wrong for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A store on the network that cannot be read.
    #[error("cannot read the store of dead letters: {0}")]
    Store(crate::delivery::Error),
    /// There is none.
    #[error("there are no dead letters in {0}")]
    Nothing(PathBuf),
    /// The time to drain was over before everything was settled.
    #[error("{0} dead letters were sent and not settled in time: they lie where they lay, replay again")]
    Unsettled(usize),
}
