//! Leases in memory: for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Change, Changed, Checkpoint, Error, Lease, LeaseTable};

/// A table that is gone with the process. Several workers may share it.
#[derive(Debug, Default)]
pub struct MemoryTable(Mutex<BTreeMap<String, Lease>>);

impl LeaseTable for MemoryTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn create(&self, shard: &str, lease: &Lease) -> Result<bool, Error> {
        Ok(create(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), shard, lease))
    }

    async fn change(&self, shard: &str, change: &Change) -> Result<Changed, Error> {
        Ok(apply(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), shard, change))
    }

    async fn remove(&self, shard: &str, counter: u64) -> Result<bool, Error> {
        Ok(remove(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), shard, counter))
    }

    async fn reset(&self, shard: &str, counter: u64, checkpoint: &Checkpoint) -> Result<bool, Error> {
        Ok(reset(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), shard, counter, checkpoint))
    }
}

/// Adds a lease that is not there.
pub(super) fn create(leases: &mut BTreeMap<String, Lease>, shard: &str, lease: &Lease) -> bool {
    let is_new = !leases.contains_key(shard);
    if is_new {
        leases.insert(shard.to_owned(), lease.clone());
    }
    is_new
}

/// Changes a lease that is as expected.
pub(super) fn apply(leases: &mut BTreeMap<String, Lease>, shard: &str, change: &Change) -> Changed {
    match leases.get_mut(shard) {
        Some(lease) if lease.permits(change) => {
            lease.apply(change);
            Changed::Done(Box::new(lease.clone()))
        }
        lease => Changed::Refused(lease.map(|lease| Box::new(lease.clone()))),
    }
}

/// Sets the checkpoint of a lease that has this counter.
pub(super) fn reset(leases: &mut BTreeMap<String, Lease>, shard: &str, counter: u64, checkpoint: &Checkpoint) -> bool {
    let Some(lease) = leases.get_mut(shard).filter(|lease| lease.counter == counter) else { return false };
    lease.checkpoint = checkpoint.clone();
    (lease.owner, lease.checkpoint_owner, lease.children) = (None, None, Vec::new());
    (lease.counter, lease.owner_switches) = (counter + 1, 0);
    true
}

/// Removes a lease that has this counter.
pub(super) fn remove(leases: &mut BTreeMap<String, Lease>, shard: &str, counter: u64) -> bool {
    let is_expected = leases.get(shard).is_some_and(|lease| lease.counter == counter);
    if is_expected {
        leases.remove(shard);
    }
    is_expected
}
