//! Does what the [`Worker`] decides: reads and writes the table, asks the stream for its shards, and tells the source.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::grant::{Desk, Grants, Outlook, Recall};
use super::lease::{Change, Lease};
use super::worker::{Act, News, Rules, Worker};
use super::{Changed, Error, Leader, LeaseTable, Shard};
use crate::delivery::Schedule;

/// The first and the longest ceiling of a wait after the stream could not be listed.
const LIST_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How often the same missing permission is told.
const FORBIDDEN_EVERY: Duration = Duration::from_mins(1);

/// After so many failures in a row the table's trouble is worth a warning.
const FAILURES_QUIET: u32 = 3;

/// The stream whose shards are shared out.
pub trait Shards: Send + Sync + 'static {
    /// Why it could not be asked.
    type Error: std::error::Error + Send + Sync + 'static;

    /// All shards of the stream, the closed ones that still hold records included. Dropping the future midway is safe.
    fn list(&self) -> impl Future<Output = Result<Vec<Shard>, ListError<Self::Error>>> + Send;
}

/// Why the shards could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError<E> {
    /// It may work later.
    #[error("{0}")]
    Passing(E),
    /// It will not: the stream is gone.
    #[error("{0}")]
    Final(E),
}

/// Why the sharing of leases ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Ended<E> {
    /// The table cannot be used.
    #[error(transparent)]
    Table(Error),
    /// The stream is gone.
    #[error("{0}")]
    Stream(E),
}

/// Takes, renews, hands over and releases the leases of one worker. It runs beside the source, in the same task or another.
#[derive(Debug)]
pub struct Coordinator<T, S: Shards> {
    name: Arc<str>,
    table: Arc<T>,
    shards: Arc<S>,
    worker: Worker,
    desk: Arc<Desk>,
    call_max: Duration,
    schedule: Schedule,
    table_failures: u32,
    /// What was last told of what is not permitted, and when.
    forbidden: Option<(String, Instant)>,
    /// For which shape of the leases the source was told the outlook.
    looked_at: Option<(u64, bool)>,
    troubles: Troubles,
    /// Why it ends when everything is settled.
    gone: Option<S::Error>,
}

/// A coordinator for the source of this name, and what it grants.
///
/// The id of the worker must be its own, now and ever before ([`worker_id`](super::worker_id)).
pub fn coordinator<T: LeaseTable, S: Shards>(
    name: &Arc<str>,
    table: T,
    shards: S,
    worker: Arc<str>,
    rules: Rules,
) -> (Coordinator<T, S>, Grants) {
    let desk = Arc::new(Desk::default());
    // A call that takes longer says nothing in time.
    let call_max = rules.failover / 4;
    let coordinator = Coordinator {
        name: Arc::clone(name),
        table: Arc::new(table),
        shards: Arc::new(shards),
        worker: Worker::new(worker, rules, fastrand::u64(..)),
        desk: Arc::clone(&desk),
        call_max,
        schedule: Schedule::new(LIST_RETRY.0, LIST_RETRY.1, fastrand::u64(..), Instant::now().into_std()),
        table_failures: 0,
        forbidden: None,
        looked_at: None,
        troubles: Troubles::default(),
        gone: None,
    };
    (coordinator, Grants::new(desk))
}

/// What is in the way of taking leases.
#[derive(Debug, Default)]
struct Troubles {
    table: Option<String>,
    list: Option<String>,
    leader: Option<String>,
    /// Whether there is anything that the source was not told.
    is_new: bool,
}

impl Troubles {
    fn words(&self) -> Option<String> {
        [&self.leader, &self.table, &self.list].into_iter().flatten().next().cloned()
    }
}

/// What came of an act.
enum Did<E> {
    Scanned(Result<(BTreeMap<String, Lease>, Option<Leader>), Error>),
    Listed(Result<Vec<Shard>, ListError<E>>),
    Created(String, Lease, Result<bool, Error>),
    Changed(String, Change, Result<Changed, Error>, Duration),
    Removed(String, Result<bool, Error>),
}

impl<T: LeaseTable, S: Shards> Coordinator<T, S> {
    /// Shares out leases until it is asked to stop and all grants have come back.
    ///
    /// Dropping the future midway is safe: the leases run out after the failover time, and what is not settled is read again.
    ///
    /// # Errors
    ///
    /// When the table cannot be used, and what is granted is lost; or when the stream is gone, and what was read is settled.
    pub async fn run(mut self) -> Result<(), Ended<S::Error>> {
        let result = self.share().await;
        self.desk.close();
        result
    }

    async fn share(&mut self) -> Result<(), Ended<S::Error>> {
        let born = Instant::now();
        let mut under_way = FuturesUnordered::new();
        loop {
            let now = born.elapsed();
            let mut is_news = self.hear(now);
            for act in self.worker.poll(now) {
                let (table, shards) = (Arc::clone(&self.table), Arc::clone(&self.shards));
                under_way.push(perform(table, shards, act, now, self.call_max));
            }
            is_news |= self.tell();
            if is_news || self.troubles.is_new || self.looked_at != Some(self.worker.shape()) {
                self.looked_at = Some(self.worker.shape());
                self.troubles.is_new = false;
                self.desk.tell(Outlook {
                    is_quiet: self.worker.is_quiet(),
                    waiting: self.worker.waiting(),
                    is_known: self.worker.is_informed(),
                    trouble: self.troubles.words(),
                });
            }
            if self.worker.is_done() {
                return self.gone.take().map_or(Ok(()), |error| Err(Ended::Stream(error)));
            }
            let due = born + self.worker.due(now).min(now + Duration::from_hours(1));
            tokio::select! {
                Some(did) = under_way.next() => self.take_note(did, born.elapsed())?,
                () = self.desk.wished() => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Takes what the source wants; says whether a grant came back.
    fn hear(&mut self, now: Duration) -> bool {
        let wishes = self.desk.wishes();
        let is_any_back = wishes.slips.values().any(|slip| slip.is_returned);
        for (shard, slip) in wishes.slips {
            if let Some((checkpoint, children, ticket)) = slip.checkpoint
                && !self.worker.checkpoint(&shard, checkpoint, children, ticket)
            {
                self.desk.recall(&shard, Recall::Lost);
            }
            if slip.is_gone {
                self.worker.gone(&shard, now);
            }
            if slip.is_returned {
                self.worker.returned(&shard);
            }
        }
        if wishes.is_stopping {
            self.worker.stop(now);
        }
        is_any_back
    }

    /// Tells the source what is new; says whether there is anything but checkpoints.
    fn tell(&mut self) -> bool {
        let mut is_news = false;
        for news in self.worker.news() {
            is_news |= !matches!(news, News::Written { .. });
            match news {
                News::Granted { shard, lease } => {
                    tracing::info!(source = %self.name, shard, checkpoint = ?lease.checkpoint, "reading shard");
                    self.desk.grant(&shard, lease);
                }
                News::Recalled(shard) => {
                    tracing::info!(source = %self.name, shard, "another worker asks for the lease, handing it over");
                    self.desk.recall(&shard, Recall::HandOver);
                }
                News::Lost(shard) => {
                    tracing::warn!(source = %self.name, shard, "lease lost, another worker reads on from the checkpoint");
                    self.desk.recall(&shard, Recall::Lost);
                }
                News::Written { shard, ticket } => self.desk.written(&shard, ticket),
                News::Ruled(leader) => {
                    tracing::warn!(
                        source = %self.name, leader,
                        "a leader of KCL 3 assigns the leases of this table, taking none: stop its workers, or set them to the \
                         client version that is compatible with KCL 2"
                    );
                    let words =
                        format!("{leader}, a leader of KCL 3, assigns the leases of this table, and none is taken");
                    (self.troubles.leader, self.troubles.is_new) = (Some(words), true);
                }
                News::Free => {
                    (self.troubles.leader, self.troubles.is_new) = (None, true);
                    tracing::info!(source = %self.name, "no leader of KCL 3 assigns the leases any more, taking them");
                }
            }
        }
        is_news
    }

    fn take_note(&mut self, did: Did<S::Error>, now: Duration) -> Result<(), Ended<S::Error>> {
        match did {
            Did::Scanned(result) => match self.passing(result)? {
                Some((leases, leader)) => self.worker.scanned(&leases, leader.as_ref(), now),
                None => self.worker.not_scanned(now),
            },
            Did::Listed(Ok(shards)) => {
                self.schedule.reset();
                self.troubles.is_new |= self.troubles.list.take().is_some();
                self.worker.listed(shards, now);
            }
            Did::Listed(Err(ListError::Final(error))) => {
                // What is out can still be settled and written down.
                self.gone = Some(error);
                self.desk.end();
                self.worker.stop(now);
            }
            Did::Listed(Err(ListError::Passing(trouble))) => {
                let wait = self.schedule.next(None);
                tracing::warn!(source = %self.name, %trouble, ?wait, "cannot list shards, trying again");
                let words = format!("cannot list shards: {trouble}");
                (self.troubles.list, self.troubles.is_new) = (Some(words), true);
                self.worker.not_listed(wait, now);
            }
            Did::Created(shard, lease, result) => {
                let is_new = self.passing(result)?;
                self.worker.created(&shard, lease, is_new, now);
            }
            Did::Changed(shard, change, result, begun) => {
                let changed = self.passing(result)?;
                self.worker.changed(&shard, &change, changed, begun, now);
            }
            Did::Removed(shard, result) => {
                let is_gone = self.passing(result)?;
                self.worker.removed(&shard, is_gone);
            }
        }
        Ok(())
    }

    /// `None` for what failed and may work later.
    fn passing<V>(&mut self, result: Result<V, Error>) -> Result<Option<V>, Ended<S::Error>> {
        match result {
            Ok(value) => {
                self.table_failures = 0;
                self.troubles.is_new |= self.troubles.table.take().is_some();
                Ok(Some(value))
            }
            // Other calls may go through meanwhile, so that no row of failures would tell of it.
            Err(Error::Forbidden(words)) => {
                self.tell_forbidden(words);
                Ok(None)
            }
            Err(error) if error.is_passing() => {
                self.table_failures = self.table_failures.saturating_add(1);
                if self.table_failures > FAILURES_QUIET || !self.worker.is_informed() {
                    let words = format!("the lease table failed: {error}");
                    (self.troubles.table, self.troubles.is_new) = (Some(words), true);
                }
                // At once, and then each time that the failures have doubled: a table out of reach fails for every lease.
                if self.table_failures > FAILURES_QUIET && self.table_failures.is_power_of_two() {
                    tracing::warn!(source = %self.name, %error, failures = self.table_failures, "lease table failed again");
                } else {
                    tracing::debug!(source = %self.name, %error, "lease table failed, trying again");
                }
                Ok(None)
            }
            Err(error) => Err(Ended::Table(error)),
        }
    }

    fn tell_forbidden(&mut self, words: String) {
        let is_told =
            self.forbidden.as_ref().is_some_and(|(told, at)| *told == words && at.elapsed() < FORBIDDEN_EVERY);
        if !is_told {
            tracing::warn!(source = %self.name, error = words, "the lease table does not permit it, trying on");
            self.forbidden = Some((words, Instant::now()));
        }
    }
}

async fn perform<T: LeaseTable, S: Shards>(
    table: Arc<T>,
    shards: Arc<S>,
    act: Act,
    begun: Duration,
    call_max: Duration,
) -> Did<S::Error> {
    match act {
        Act::Scan => {
            let look = async {
                let leases = table.load().await?;
                Ok((leases, table.leader().await?))
            };
            Did::Scanned(in_time(call_max, look).await)
        }
        Act::List => Did::Listed(shards.list().await),
        Act::Create { shard, lease } => {
            let created = in_time(call_max, table.create(&shard, &lease)).await;
            Did::Created(shard, lease, created)
        }
        Act::Change { shard, change } => {
            let changed = in_time(call_max, table.change(&shard, &change)).await;
            Did::Changed(shard, change, changed, begun)
        }
        Act::Remove { shard, counter } => {
            let removed = in_time(call_max, table.remove(&shard, counter)).await;
            Did::Removed(shard, removed)
        }
    }
}

async fn in_time<V>(call_max: Duration, call: impl Future<Output = Result<V, Error>>) -> Result<V, Error> {
    match tokio::time::timeout(call_max, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::Passing(format!("no answer from the lease table within {call_max:?}"))),
    }
}
