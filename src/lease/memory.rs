//! Leases in memory: for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Checkpoint, Error, Lease, LeaseTable};

/// A table that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryTable(Mutex<BTreeMap<String, Lease>>);

impl LeaseTable for MemoryTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn update(&self, create: Vec<(String, Lease)>, remove: Vec<String>) -> Result<(), Error> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        super::file::apply(&mut leases, create, &remove);
        Ok(())
    }

    async fn checkpoint(&self, shard: &str, checkpoint: Checkpoint) -> Result<(), Error> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        super::file::move_checkpoint(&mut leases, shard, checkpoint);
        Ok(())
    }
}
