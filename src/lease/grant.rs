//! The seam to the source: what it is to read now, and where its checkpoints go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::lease::{Checkpoint, HashRange, Lease};
use super::plan::Shard;

/// What the source is to read now: one [`Grant`] a shard, never two of one shard at a time.
#[derive(Debug)]
pub struct Grants {
    desk: Arc<Desk>,
}

/// The right to read a shard and to write its checkpoint. It is given back by dropping it, after everything that was read is
/// settled or given up; then somebody else may read the shard.
#[derive(Debug)]
pub struct Grant {
    shard: Arc<str>,
    lease: Lease,
    desk: Arc<Desk>,
    word: watch::Receiver<Word>,
    ticket: u64,
}

/// Why a shard is to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// Somebody else is to read it: settle what is out, write the last checkpoint, and give it back within the hand-over time.
    HandOver,
    /// Somebody else may read it already: nothing more can be written. Give it back at once.
    Lost,
}

/// The lease is somebody else's: the checkpoint was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost: another worker reads the shard")]
pub struct Lost;

/// Where the source and the coordinator leave word for each other. It holds at most one slip a shard.
#[derive(Debug, Default)]
pub(super) struct Desk {
    inner: Mutex<Inner>,
    /// Something is there for the coordinator.
    for_coordinator: Notify,
    /// Something is there for the source.
    for_source: Notify,
    for_outlook: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    grants: VecDeque<Grant>,
    slips: BTreeMap<Arc<str>, Slip>,
    words: BTreeMap<Arc<str>, watch::Sender<Word>>,
    is_stopping: bool,
    is_closed: bool,
    outlook: Outlook,
}

/// What there is to be read besides what is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Whether nothing more is to be read by this worker as things stand.
    pub is_quiet: bool,
    /// The shards that wait until their parents are finished.
    pub waiting: Vec<String>,
    /// Whether the stream was asked for its shards, and the table for its leases.
    pub is_known: bool,
    /// What is in the way of taking leases, in words: the stream or the table cannot be asked, or a leader assigns the leases.
    pub trouble: Option<String>,
}

/// What the source wants of one shard.
#[derive(Debug, Default)]
pub(super) struct Slip {
    /// A checkpoint, with the children of a shard that ends, and the number by which it is confirmed.
    pub(super) checkpoint: Option<(Checkpoint, Vec<Shard>, u64)>,
    /// The grant came back.
    pub(super) is_returned: bool,
    /// The service does not know the shard.
    pub(super) is_gone: bool,
}

/// What the coordinator has taken from the desk.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) slips: BTreeMap<Arc<str>, Slip>,
    pub(super) is_stopping: bool,
}

/// What a grant is told.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    recall: Option<Recall>,
    written: u64,
}

impl Grants {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// The next shard to read; `None` when no more come: what is out is to be settled and given back. Dropping the future midway is safe: nothing is taken.
    pub async fn next(&self) -> Option<Grant> {
        loop {
            {
                let mut inner = self.desk.lock();
                if let Some(grant) = inner.grants.pop_front() {
                    return Some(grant);
                }
                if inner.is_closed {
                    return None;
                }
            }
            self.desk.for_source.notified().await;
        }
    }

    /// What there is to be read besides what is granted.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        self.desk.lock().outlook.clone()
    }

    /// Completes when the [`outlook`](Self::outlook) may have changed. Dropping the future midway is safe.
    pub async fn outlook_changed(&self) {
        self.desk.for_outlook.notified().await;
    }

    /// Asks the coordinator to take no more leases, and to end when all grants have come back and are released.
    pub fn stop(&self) {
        let grants = {
            let mut inner = self.desk.lock();
            inner.is_stopping = true;
            std::mem::take(&mut inner.grants)
        };
        drop(grants);
        self.desk.for_coordinator.notify_one();
    }
}

impl Drop for Grants {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Grant {
    /// The shard's id.
    #[must_use]
    pub fn shard(&self) -> &Arc<str> {
        &self.shard
    }

    /// Where the reading begins: behind this checkpoint, which is never [`Checkpoint::ShardEnd`].
    #[must_use]
    pub fn from(&self) -> &Checkpoint {
        &self.lease.checkpoint
    }

    /// The hash keys of the shard, where the stream or the table told them.
    #[must_use]
    pub fn hash_range(&self) -> Option<HashRange> {
        self.lease.hash_range
    }

    /// Completes when the shard is to be given back. Dropping the future midway is safe.
    pub async fn recalled(&self) -> Recall {
        let mut word = self.word.clone();
        let recall = word.wait_for(|word| word.recall.is_some()).await.ok().and_then(|word| word.recall);
        // Without a coordinator the lease runs out.
        recall.unwrap_or(Recall::Lost)
    }

    /// Completes when the lease is lost, whether or not it was asked for before. Dropping the future midway is safe.
    pub async fn lost(&self) {
        // An error means that the coordinator is gone, and the lease with it.
        let _ = self.word.clone().wait_for(|word| word.recall == Some(Recall::Lost)).await;
    }

    /// Writes the checkpoint: everything up to and including it is settled. It is asked for at once; the future waits until it
    /// is written, as long as the table is out of reach and the lease may still be this worker's. Dropping it leaves the old
    /// or the new checkpoint.
    ///
    /// # Errors
    ///
    /// When the lease is lost.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint) -> impl Future<Output = Result<(), Lost>> + Send + use<> {
        self.write(checkpoint, Vec::new())
    }

    /// Writes that the shard is read to its end and everything in it is settled: its children may be read. `children` are
    /// those that the service named; the stream is asked for them in any case. As [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    ///
    /// When the lease is lost.
    pub fn finish(&mut self, children: Vec<Shard>) -> impl Future<Output = Result<(), Lost>> + Send + use<> {
        self.write(Checkpoint::ShardEnd, children)
    }

    /// Gives the shard back, which the service does not know any more. The stream is asked for its shards before it is
    /// granted again.
    pub fn gone(self) {
        self.desk.slip(&self.shard, |slip| slip.is_gone = true);
    }

    fn write(
        &mut self,
        checkpoint: Checkpoint,
        children: Vec<Shard>,
    ) -> impl Future<Output = Result<(), Lost>> + Send + use<> {
        self.ticket += 1;
        let ticket = self.ticket;
        self.desk.slip(&self.shard, |slip| slip.checkpoint = Some((checkpoint, children, ticket)));
        let mut word = self.word.clone();
        async move {
            let is_answered = |word: &Word| word.written >= ticket || word.recall == Some(Recall::Lost);
            let word = word.wait_for(is_answered).await.map_err(|_| Lost)?;
            if word.written >= ticket { Ok(()) } else { Err(Lost) }
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.desk.slip(&self.shard, |slip| slip.is_returned = true);
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slip(&self, shard: &Arc<str>, write: impl FnOnce(&mut Slip)) {
        write(self.lock().slips.entry(Arc::clone(shard)).or_default());
        self.for_coordinator.notify_one();
    }

    /// Completes when there is something for the coordinator.
    pub(super) async fn wished(&self) {
        self.for_coordinator.notified().await;
    }

    /// Takes what the source wants.
    pub(super) fn wishes(&self) -> Wishes {
        let mut inner = self.lock();
        let slips = std::mem::take(&mut inner.slips);
        for (shard, slip) in &slips {
            if slip.is_returned {
                inner.words.remove(shard);
            }
        }
        Wishes { slips, is_stopping: inner.is_stopping }
    }

    /// Lays out a grant.
    pub(super) fn grant(self: &Arc<Self>, shard: &str, lease: Lease) {
        let shard: Arc<str> = shard.into();
        let (sender, word) = watch::channel(Word::default());
        let grant = Grant { shard: Arc::clone(&shard), lease, desk: Arc::clone(self), word, ticket: 0 };
        let refused = {
            let mut inner = self.lock();
            inner.words.insert(shard, sender);
            if inner.is_stopping {
                Some(grant)
            } else {
                inner.grants.push_back(grant);
                None
            }
        };
        // It comes back by itself, outside of the lock.
        drop(refused);
        self.for_source.notify_one();
    }

    /// Tells what there is to be read.
    pub(super) fn tell(&self, outlook: Outlook) {
        let mut inner = self.lock();
        if inner.outlook != outlook {
            inner.outlook = outlook;
            self.for_outlook.notify_one();
        }
    }

    /// Tells a grant that it is to be given back.
    pub(super) fn recall(&self, shard: &str, recall: Recall) {
        if let Some(word) = self.lock().words.get(shard) {
            word.send_modify(|word| word.recall = Some(recall));
        }
    }

    /// Tells a grant that its checkpoint is written.
    pub(super) fn written(&self, shard: &str, ticket: u64) {
        if let Some(word) = self.lock().words.get(shard) {
            word.send_modify(|word| word.written = word.written.max(ticket));
        }
    }

    /// No more grants come.
    pub(super) fn end(&self) {
        let grants = {
            let mut inner = self.lock();
            inner.is_closed = true;
            std::mem::take(&mut inner.grants)
        };
        drop(grants);
        self.for_source.notify_one();
    }

    /// The coordinator is gone: what is out is lost, and nothing more comes.
    pub(super) fn close(&self) {
        let (grants, words) = {
            let mut inner = self.lock();
            inner.is_closed = true;
            (std::mem::take(&mut inner.grants), std::mem::take(&mut inner.words))
        };
        drop((grants, words));
        self.for_source.notify_one();
    }
}
