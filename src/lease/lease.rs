//! One lease, and how it may change. Pure.
//!
//! The rules are those of the Kinesis Client Library (`DynamoDBLeaseRefresher`, `DynamoDBLeaseSerializer`), so that both may
//! work on one table.

use std::sync::Arc;

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
    /// The shards that came from this one, as far as its reader was told at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
    /// The hash keys that belong to the shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_range: Option<HashRange>,
    /// Who reads the shard, or is to read it next.
    #[serde(skip)]
    pub owner: Option<Arc<str>>,
    /// Who still reads it and may write its checkpoint, while `owner` waits for the hand-over.
    #[serde(skip)]
    pub checkpoint_owner: Option<Arc<str>>,
    /// Grows with every write of the owner: the sign of life, and the lock of every change.
    #[serde(skip)]
    pub counter: u64,
    /// How often the owner changed since the checkpoint moved.
    #[serde(skip)]
    pub owner_switches: u64,
}

/// The hash keys of a shard, both ends included. Decimal in the service and in the table, 128 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(String, String)", try_from = "(String, String)")]
pub struct HashRange {
    /// The lowest.
    pub start: u128,
    /// The highest.
    pub end: u128,
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

/// One conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who writes.
    pub by: Arc<str>,
    /// The counter that the lease must have; [`Kind::Ask`] and [`Kind::Withdraw`], which leave it alone, look at the owners
    /// only.
    pub counter: u64,
    /// What is written.
    pub kind: Kind,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The owner lives.
    Renew,
    /// The lease is mine now.
    Take {
        /// Who had it, as far as known: a switch of owners is counted.
        from: Option<Arc<str>>,
    },
    /// The lease is mine as soon as its owner has handed it over. The counter stays, since it is that owner's sign of life.
    Ask {
        /// Its owner.
        from: Arc<str>,
    },
    /// I do not want what I have asked for any more.
    Withdraw {
        /// The owner that was asked.
        from: Arc<str>,
    },
    /// Everything up to here is settled. Nothing may be settled twice: the checkpoint never moves back.
    Checkpoint(Checkpoint),
    /// The shard is read to its end, and these shards follow.
    Finish {
        /// The shards that came from it, as far as known.
        children: Vec<String>,
    },
    /// I do not read the shard any more, and anybody may.
    Release,
    /// I do not read the shard any more, and whoever has asked for it may begin.
    HandOver,
}

impl Lease {
    /// A lease that nobody has yet.
    #[must_use]
    pub fn new(checkpoint: Checkpoint, parents: Vec<String>, hash_range: Option<HashRange>) -> Self {
        Self {
            checkpoint,
            parents,
            children: Vec::new(),
            hash_range,
            owner: None,
            checkpoint_owner: None,
            counter: 0,
            owner_switches: 0,
        }
    }

    /// Who reads the shard now, and alone may write its checkpoint.
    #[must_use]
    pub fn actual_owner(&self) -> Option<&Arc<str>> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// Says whether the shard is read to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.checkpoint == Checkpoint::ShardEnd
    }

    /// Says whether the lease is as the change expects it.
    #[must_use]
    pub fn permits(&self, change: &Change) -> bool {
        let by = Some(&change.by);
        match &change.kind {
            Kind::Take { .. } => self.counter == change.counter,
            Kind::Release => {
                self.counter == change.counter && self.owner.as_ref() == by && self.checkpoint_owner.is_none()
            }
            Kind::HandOver => self.counter == change.counter && self.checkpoint_owner.as_ref() == by,
            Kind::Ask { from } => self.owner.as_ref() == Some(from) && self.checkpoint_owner.is_none(),
            Kind::Withdraw { from } => self.owner.as_ref() == by && self.checkpoint_owner.as_ref() == Some(from),
            Kind::Renew | Kind::Checkpoint(_) | Kind::Finish { .. } => {
                self.counter == change.counter && self.actual_owner() == by
            }
        }
    }

    /// Makes the change, which it [`permits`](Self::permits).
    pub fn apply(&mut self, change: &Change) {
        debug_assert!(self.permits(change), "{self:?} does not permit {change:?}");
        let by = Arc::clone(&change.by);
        match &change.kind {
            Kind::Renew => {}
            Kind::Take { from } => {
                self.owner_switches += u64::from(from.as_ref().is_some_and(|from| *from != by));
                self.owner = Some(by);
                self.checkpoint_owner = None;
            }
            Kind::Ask { from } => {
                self.owner = Some(by);
                self.checkpoint_owner = Some(Arc::clone(from));
                return;
            }
            Kind::Withdraw { from } => {
                self.owner = Some(Arc::clone(from));
                self.checkpoint_owner = None;
                return;
            }
            Kind::Checkpoint(checkpoint) => {
                self.checkpoint = checkpoint.clone();
                self.owner_switches = 0;
            }
            Kind::Finish { children } => {
                self.checkpoint = Checkpoint::ShardEnd;
                self.children.clone_from(children);
                self.owner_switches = 0;
            }
            Kind::Release => self.owner = None,
            Kind::HandOver => self.checkpoint_owner = None,
        }
        self.counter += 1;
    }
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

    /// Says whether this one lies before the other. Two beginnings lie before everything else, and neither before the other;
    /// numbers are compared as numbers, then inside the aggregate; the end lies behind everything.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Sequence { sequence, sub_sequence },
                Self::Sequence { sequence: other, sub_sequence: other_sub_sequence },
            ) => (Sequence::new(sequence), sub_sequence) < (Sequence::new(other), other_sub_sequence),
            _ => self.rank() < other.rank(),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::TrimHorizon | Self::AtTimestamp(_) => 0,
            Self::Sequence { .. } => 1,
            Self::ShardEnd => 2,
        }
    }
}

impl HashRange {
    /// Reads the two decimal numbers of the service.
    #[must_use]
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        Some(Self { start: start.parse().ok()?, end: end.parse().ok()? })
    }
}

impl From<HashRange> for (String, String) {
    fn from(range: HashRange) -> Self {
        (range.start.to_string(), range.end.to_string())
    }
}

impl TryFrom<(String, String)> for HashRange {
    type Error = String;

    fn try_from((start, end): (String, String)) -> Result<Self, String> {
        Self::parse(&start, &end).ok_or_else(|| format!("`{start}` to `{end}` is no range of hash keys"))
    }
}
