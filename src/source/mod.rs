//! Where records come from. Floor 7.
//!
//! A source reads records, hands them on in [`Chunk`](crate::record::Chunk)s, and moves its checkpoint when their receipts say so. It never
//! acknowledges what was not delivered, and it reads nothing for which there is no room.

pub mod dead_letters;
pub mod file;
mod intake;
pub mod kinesis;

use std::future::Future;

pub use intake::{Closed, Intake, Room, Window};

use crate::shutdown::Shutdown;

/// One source.
pub trait Source: Send {
    /// What can go wrong for good.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads until the end of its input, or until it is asked to stop. Then it gives up `intake`, waits until every chunk
    /// that it handed on is settled, and writes its last checkpoint.
    ///
    /// Dropping the future midway is safe: what was not settled is read again next time.
    ///
    /// # Errors
    ///
    /// Only with what cannot get better by waiting: a stream that does not exist, a file that cannot be read.
    fn run(self, intake: Intake, stop: Shutdown) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
