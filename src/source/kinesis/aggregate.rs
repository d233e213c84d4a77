//! From the service's records to ours: aggregates of the Kinesis Producer Library taken apart. Pure.

use std::sync::Arc;

use aws_sdk_kinesis::types;
use bytes::Bytes;

use crate::ack::{Position, Sequence};
use crate::envelope::kpl::{self, Found};
use crate::record::Record;

/// The most user records of one aggregate; a larger one is handed on as the plain record that it is. The library itself makes
/// aggregates of 50 KiB, with a few thousand records at the most.
const AGGREGATE_RECORDS_MAX: usize = 100_000;

/// The rule that lets the records of an aggregate go of which one belongs elsewhere.
const STRICT: &str = "kpl_strict";

/// What a record costs in memory beyond its bytes, about: its position and its place in lists.
pub const RECORD_OVERHEAD_BYTES: usize = 192;

/// How a shard's records are taken apart.
#[derive(Clone, Debug)]
pub struct Opener {
    /// What stands for the shard in positions.
    pub shard: Arc<str>,
    /// The first and the last hash key that belong to the shard, where they are known.
    pub hash_keys: Option<(u128, u128)>,
    /// As the Kinesis Client Library does: a user record that belongs elsewhere takes its whole aggregate with it.
    pub is_strict: bool,
}

/// What one record held.
#[derive(Debug, Default)]
pub struct Opened {
    /// The records to hand on, in their order.
    pub records: Vec<Record>,
    /// It was an aggregate.
    pub is_aggregate: bool,
    /// It looked like an aggregate and was none.
    pub broken: Option<kpl::Broken>,
    /// User records whose hash key lies outside the shard.
    pub outside: usize,
    /// User records that are let go by the rule `kpl_strict`. They are handed on all the same, so that they are counted as
    /// events that a rule filtered, and so that the checkpoint moves over them.
    pub discarded: usize,
}

impl Opener {
    /// Takes a record apart. A user record's sub-sequence number is its place in the aggregate, as with the Kinesis Client
    /// Library. What is no aggregate, a broken one, or an empty one, is one plain record.
    #[must_use]
    pub fn open(&self, record: types::Record) -> Opened {
        let arrival_ms = record.approximate_arrival_timestamp.and_then(|time| time.to_millis().ok());
        let data = Bytes::from(record.data.into_inner());
        let position = Position::new(Arc::clone(&self.shard), Sequence::new(&record.sequence_number));
        let plain = |position| vec![Record { data: data.clone(), position, arrival_ms, let_go: None, again: None }];
        let found = match kpl::read(&data, AGGREGATE_RECORDS_MAX) {
            Found::Aggregate(found) if !found.is_empty() => found,
            Found::Plain | Found::Aggregate(_) => return Opened { records: plain(position), ..Opened::default() },
            Found::Broken(broken) => {
                return Opened { records: plain(position), broken: Some(broken), ..Opened::default() };
            }
        };
        let outside = found.iter().filter(|record| self.is_outside(record.hash_key())).count();
        let let_go = (outside > 0 && self.is_strict).then_some(STRICT);
        let discarded = if let_go.is_some() { found.len() } else { 0 };
        let record = |found: kpl::UserRecord<'_>| Record {
            data: data.slice(found.data.clone()),
            position: Position { sub_sequence: u64::from(found.sub_sequence), ..position.clone() },
            arrival_ms,
            let_go,
            again: None,
        };
        let records = found.into_iter().map(record).collect();
        Opened { records, is_aggregate: true, outside, discarded, ..Opened::default() }
    }

    fn is_outside(&self, hash_key: u128) -> bool {
        self.hash_keys.is_some_and(|(first, last)| !(first..=last).contains(&hash_key))
    }
}
