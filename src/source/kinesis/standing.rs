//! Where the streams of a source stand: leases, owners, lag, headroom, checkpoints. And how they are set back or forth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::options::KinesisOptions;
use super::service::{From, Service};
use super::shards::prepare;
use super::source::{Error, first_start, stores};
use super::trouble::Trouble;
use super::{StartAt, StreamName};
use crate::aws;
use crate::lease::{self, Checkpoint, Lease, LeaseTable as _, Shard, Store, is_ready};

/// How often a shard is asked for its lag while its calls are throttled, and how long it is left alone between: `GetRecords`
/// may be called five times a second.
const LAG_TRIES: u32 = 3;
const LAG_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One stream of a source.
#[derive(Clone, Debug)]
pub struct StreamStanding {
    /// Which.
    pub stream: StreamName,
    /// How long it keeps its records.
    pub retention: Duration,
    /// The leader of KCL 3 that holds the lock of the table. Whether it lives, one look cannot tell.
    pub leader: Option<String>,
    /// Its shards, by id: those with a lease, and those that are listed.
    pub shards: Vec<ShardStanding>,
}

/// One shard.
#[derive(Clone, Debug)]
pub struct ShardStanding {
    /// Its id.
    pub shard: String,
    /// What becomes of it.
    pub state: State,
    /// Who reads it.
    pub owner: Option<Arc<str>>,
    /// Who is to read it next.
    pub next_owner: Option<Arc<str>>,
    /// Up to where all is settled; none without a lease.
    pub checkpoint: Option<Checkpoint>,
    /// How far the checkpoint is behind the newest record.
    pub lag: Option<Duration>,
    /// How long it takes until the oldest record behind the checkpoint expires.
    pub headroom: Option<Duration>,
}

/// What becomes of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is read to its end.
    Finished,
    /// Its parents are to be finished first.
    WaitsForParent,
    /// Somebody owns it.
    Owned,
    /// It is read by the next who comes; a local file does not say who has it.
    Free,
    /// It has a lease, and the stream does not list it any more: its records have expired.
    Gone,
}

impl State {
    /// As a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::WaitsForParent => "waits for parent",
            Self::Owned => "owned",
            Self::Free => "free",
            Self::Gone => "gone",
        }
    }
}

/// What a reset does to one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its checkpoint is set.
    Set {
        /// The checkpoint that was.
        from: Checkpoint,
        /// The checkpoint that will be.
        to: Checkpoint,
        /// The counter that the lease must have.
        counter: u64,
    },
    /// It is made.
    Create(Lease),
    /// It is removed: the shard is read again from its beginning when its parents are finished.
    Remove {
        /// The counter that the lease must have.
        counter: u64,
    },
}

/// A reset that is planned and not yet made.
#[derive(Debug)]
pub struct Reset {
    /// Which stream.
    pub stream: StreamName,
    /// What is done, by shard, in this order.
    pub steps: Vec<(String, Step)>,
    store: Store,
    leases: BTreeMap<String, Lease>,
    failover: Duration,
}

/// Looks at the streams of a source. It asks each unfinished shard for one record behind its checkpoint, to know the lag.
///
/// # Errors
///
/// With what stands in the way.
pub async fn standing(name: &str, options: &KinesisOptions) -> Result<Vec<StreamStanding>, Error> {
    let mut streams = Vec::new();
    for (stream, store) in stores(name, options) {
        let service = service(name, options, &stream).await;
        if let Store::DynamoDb(_) = &store {
            prepare(&service, &store).await?;
        }
        let leases = store.load().await?;
        let leader = store.leader().await?.map(|leader| leader.owner);
        let listed = service.shards().await.map_err(in_words)?;
        let retention = service.summary().await.map_err(in_words)?.retention;
        let mut shards = rows(&listed, &leases);
        for row in &mut shards {
            let is_open = matches!(row.state, State::Owned | State::Free);
            if let Some(checkpoint) = row.checkpoint.clone().filter(|_| is_open) {
                row.lag = lag(&service, &row.shard, checkpoint).await.map_err(in_words)?;
                row.headroom = row.lag.map(|lag| retention.saturating_sub(lag));
            }
        }
        streams.push(StreamStanding { stream, retention, leader, shards });
    }
    Ok(streams)
}

/// Plans to begin the streams of a source at another place.
///
/// # Errors
///
/// With what stands in the way.
pub async fn plan_reset(name: &str, options: &KinesisOptions, to: StartAt) -> Result<Vec<Reset>, Error> {
    let options = KinesisOptions { start: to, ..options.clone() };
    let mut resets = Vec::new();
    for (stream, store) in stores(name, &options) {
        let service = service(name, &options, &stream).await;
        prepare(&service, &store).await?;
        let leases = store.load().await?;
        let listed = service.shards().await.map_err(in_words)?;
        let target = lease::plan(&listed, &BTreeMap::new(), first_start(to)).create;
        let steps = steps(target, &leases);
        let failover = options.lease.failover.0;
        resets.push(Reset { stream, steps, store, leases, failover });
    }
    Ok(resets)
}

impl Reset {
    /// Makes the changes, after a failover time in which no owner has shown life.
    ///
    /// # Errors
    ///
    /// When an owner lives, or a lease has changed meanwhile, or the table fails; what was not made is said.
    pub async fn apply(self) -> Result<usize, ResetError> {
        if self.leases.values().any(|lease| lease.owner.is_some() && !lease.is_finished()) {
            sleep(self.failover).await;
            let later = self.store.load().await?;
            let moved = later
                .iter()
                .find(|(shard, lease)| self.leases.get(*shard).is_some_and(|before| before.counter != lease.counter));
            if let Some((shard, lease)) = moved {
                let owner = lease.actual_owner().map_or_else(|| "somebody".to_owned(), ToString::to_string);
                return Err(ResetError::Alive { shard: shard.clone(), owner });
            }
        }
        let count = self.steps.len();
        for (done, (shard, step)) in self.steps.into_iter().enumerate() {
            let is_made = match step {
                Step::Set { to, counter, .. } => self.store.reset(&shard, counter, &to).await?,
                Step::Create(lease) => self.store.create(&shard, &lease).await?,
                Step::Remove { counter } => self.store.remove(&shard, counter).await?,
            };
            if !is_made {
                return Err(ResetError::Changed { shard, done });
            }
        }
        Ok(count)
    }
}

/// Why a reset was not made, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Somebody reads.
    #[error("{owner} reads {shard}: stop all copies first")]
    Alive {
        /// Which shard.
        shard: String,
        /// Who.
        owner: String,
    },
    /// Somebody changed a lease.
    #[error("the lease of {shard} has changed meanwhile, {done} steps were made: stop all copies, and reset again")]
    Changed {
        /// Which.
        shard: String,
        /// How many steps were made before.
        done: usize,
    },
    /// The table failed.
    #[error(transparent)]
    Table(#[from] lease::Error),
}

fn steps(target: Vec<(String, Lease)>, leases: &BTreeMap<String, Lease>) -> Vec<(String, Step)> {
    let wanted: BTreeMap<String, Lease> = target.into_iter().collect();
    let remove = leases.iter().filter(|(shard, _)| !wanted.contains_key(*shard));
    let remove: Vec<(String, Step)> =
        remove.map(|(shard, lease)| (shard.clone(), Step::Remove { counter: lease.counter })).collect();
    let set = wanted.into_iter().map(|(shard, lease)| match leases.get(&shard) {
        Some(known) => {
            let (from, to) = (known.checkpoint.clone(), lease.checkpoint);
            (shard, Step::Set { from, to, counter: known.counter })
        }
        None => (shard, Step::Create(lease)),
    });
    // What is removed would be read again before its time if the others still stood behind it.
    set.chain(remove).collect()
}

fn rows(listed: &[Shard], leases: &BTreeMap<String, Lease>) -> Vec<ShardStanding> {
    let mut rows: BTreeMap<&str, ShardStanding> = BTreeMap::new();
    for shard in listed {
        let row = ShardStanding {
            shard: shard.id.clone(),
            state: State::WaitsForParent,
            owner: None,
            next_owner: None,
            checkpoint: None,
            lag: None,
            headroom: None,
        };
        rows.insert(&shard.id, row);
    }
    // A shard without a lease was finished and cleaned up, if one of its descendants has a lease.
    let plan = lease::plan(listed, leases, lease::Start::TrimHorizon);
    let parents: Vec<&String> = leases.values().flat_map(|lease| &lease.parents).collect();
    for (id, row) in &mut rows {
        let will_be = plan.create.iter().any(|(shard, _)| shard == id);
        if will_be {
            row.state = State::Free;
        } else if parents.iter().any(|parent| parent.as_str() == *id) {
            row.state = State::Finished;
        }
    }
    for (id, lease) in leases {
        let state = if lease.is_finished() {
            State::Finished
        } else if !listed.iter().any(|shard| shard.id == *id) {
            State::Gone
        } else if !is_ready(lease, leases) {
            State::WaitsForParent
        } else if lease.owner.is_some() {
            State::Owned
        } else {
            State::Free
        };
        let row = ShardStanding {
            shard: id.clone(),
            state,
            owner: lease.actual_owner().cloned(),
            next_owner: lease.checkpoint_owner.as_ref().and(lease.owner.clone()),
            checkpoint: Some(lease.checkpoint.clone()),
            lag: None,
            headroom: None,
        };
        rows.insert(id, row);
    }
    rows.into_values().collect()
}

/// How far the checkpoint is behind. A shard that is read at the same time may have no call left in this second; where it has
/// none for long, its lag is not known, which is no reason to tell nothing of the others.
async fn lag(service: &Service, shard: &str, checkpoint: Checkpoint) -> Result<Option<Duration>, Trouble> {
    for _ in 0..LAG_TRIES {
        let asked = async {
            match service.iterator(shard, &From::Checkpoint(checkpoint.clone())).await? {
                Some(iterator) => Ok(service.records(&iterator, 1).await?.behind),
                None => Ok(None),
            }
        };
        match asked.await {
            Err(Trouble::Throttled(_)) => sleep(LAG_AGAIN_AFTER).await,
            asked => return asked,
        }
    }
    Ok(None)
}

async fn service(name: &str, options: &KinesisOptions, stream: &StreamName) -> Service {
    let sdk_config = aws::configuration(&options.access(name, stream)).await;
    Service::new(&sdk_config, stream, options.endpoint_url.as_deref())
}

fn in_words(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Missing(words) => Error::Missing(words),
        trouble => Error::Unreachable(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        let parents = parents.iter().map(ToString::to_string).collect();
        Shard { id: id.into(), parents, is_closed: false, hash_range: None }
    }

    fn lease(checkpoint: Checkpoint, parents: &[&str], owner: Option<&str>) -> Lease {
        let mut lease = Lease::new(checkpoint, parents.iter().map(ToString::to_string).collect(), None);
        lease.owner = owner.map(Into::into);
        lease
    }

    /// Guards what is said of a shard: also of one without a lease, and of one that is handed over.
    #[test]
    fn each_shard_has_a_state() {
        let at = || Checkpoint::Sequence { sequence: "5".into(), sub_sequence: 0 };
        let listed =
            [shard("a", &[]), shard("b", &["a"]), shard("c", &["b"]), shard("d", &[]), shard("e", &["b", "d"])];
        let mut handed = lease(at(), &["a"], Some("new"));
        handed.checkpoint_owner = Some("old".into());
        let leases = BTreeMap::from([
            ("b".to_owned(), handed),
            ("d".to_owned(), lease(Checkpoint::TrimHorizon, &[], None)),
            ("old".to_owned(), lease(at(), &[], None)),
        ]);
        let rows = rows(&listed, &leases);
        let states: Vec<(&str, State)> = rows.iter().map(|row| (row.shard.as_str(), row.state)).collect();
        let expected = [
            ("a", State::Finished),
            ("b", State::Owned),
            ("c", State::WaitsForParent),
            ("d", State::Free),
            ("e", State::WaitsForParent),
            ("old", State::Gone),
        ];
        assert_eq!(states, expected);
        assert_eq!((rows[1].owner.as_deref(), rows[1].next_owner.as_deref()), (Some("old"), Some("new")));
    }

    /// Guards that a reset leaves no lease of the past: what is to be read again is set, made or removed.
    #[test]
    fn a_reset_leaves_nothing_behind() {
        let end = || Checkpoint::ShardEnd;
        let leases =
            BTreeMap::from([("a".to_owned(), lease(end(), &[], None)), ("b".to_owned(), lease(end(), &["a"], None))]);
        let target = vec![
            ("a".to_owned(), lease(Checkpoint::TrimHorizon, &[], None)),
            ("x".to_owned(), lease(Checkpoint::TrimHorizon, &[], None)),
        ];
        let steps = steps(target, &leases);
        let expected = [
            ("a".to_owned(), Step::Set { from: end(), to: Checkpoint::TrimHorizon, counter: 0 }),
            ("x".to_owned(), Step::Create(lease(Checkpoint::TrimHorizon, &[], None))),
            ("b".to_owned(), Step::Remove { counter: 0 }),
        ];
        assert_eq!(steps, expected);
    }
}
