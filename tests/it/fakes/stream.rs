//! A Kinesis data stream as it stands in the service: shards, their records, splits and merges. No sockets here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest as _, Md5};

/// A record as it stands in a shard.
#[derive(Clone, Debug)]
pub struct Stored {
    /// 56 digits.
    pub sequence: String,
    pub partition_key: String,
    pub data: Vec<u8>,
    /// Milliseconds since 1970.
    pub arrival_ms: i64,
}

/// A shard. Closed ones stay listed, and readable, until they expire.
#[derive(Clone, Debug)]
pub struct StoredShard {
    pub id: String,
    pub parents: Vec<String>,
    /// The first and the last hash key that belong to it.
    pub hash_keys: (u128, u128),
    /// The number before its first record.
    pub starting_sequence: String,
    /// The number behind its last record, once it is closed.
    pub ending_sequence: Option<String>,
    /// In the order of their numbers.
    pub records: Vec<Stored>,
}

/// All shards of one stream, and what hands out the sequence numbers.
#[derive(Debug)]
pub struct Stream {
    pub shards: Vec<StoredShard>,
    next_sequence: u64,
    dice: fastrand::Rng,
    clock_ms: AtomicI64,
}

impl Stream {
    /// A stream of so many shards, the hash keys evenly divided.
    pub fn new(shards: usize, seed: u64) -> Self {
        let mut stream = Self {
            shards: Vec::new(),
            next_sequence: 1,
            dice: fastrand::Rng::with_seed(seed),
            clock_ms: AtomicI64::new(0),
        };
        let share = u128::MAX / shards as u128;
        for n in 0..shards as u128 {
            let last = if n + 1 == shards as u128 { u128::MAX } else { share * (n + 1) - 1 };
            stream.open(Vec::new(), (share * n, last));
        }
        stream
    }

    pub fn shard(&self, id: &str) -> Option<&StoredShard> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    /// The open shards, in the order of their hash keys.
    pub fn open_shards(&self) -> Vec<String> {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.ending_sequence.is_none()).collect();
        open.sort_by_key(|shard| shard.hash_keys);
        open.into_iter().map(|shard| shard.id.clone()).collect()
    }

    /// The shards that came from this one.
    pub fn children(&self, id: &str) -> impl Iterator<Item = &StoredShard> {
        self.shards.iter().filter(move |shard| shard.parents.iter().any(|parent| parent == id))
    }

    /// The open shard that a partition key belongs to.
    pub fn shard_of(&self, partition_key: &str) -> String {
        let key = hash_key(partition_key);
        let owner = self
            .shards
            .iter()
            .find(|shard| shard.ending_sequence.is_none() && (shard.hash_keys.0..=shard.hash_keys.1).contains(&key));
        owner.expect("the open shards cover all hash keys").id.clone()
    }

    /// Appends to an open shard.
    pub fn put(&mut self, id: &str, partition_key: &str, data: Vec<u8>) -> String {
        assert!((1..=256).contains(&partition_key.len()), "a partition key has 1 to 256 characters");
        assert!(data.len() + partition_key.len() <= 10 << 20, "a record has at most 10 MiB");
        let arrival_ms = self.now_ms();
        self.put_at(id, partition_key, data, arrival_ms)
    }

    /// Appends a record that arrived then.
    pub fn put_at(&mut self, id: &str, partition_key: &str, data: Vec<u8>, arrival_ms: i64) -> String {
        let sequence = self.sequence();
        let shard = self.shards.iter_mut().find(|shard| shard.id == id).expect("the shard is there");
        assert!(shard.ending_sequence.is_none(), "{id} is closed");
        let partition_key = partition_key.to_owned();
        shard.records.push(Stored { sequence: sequence.clone(), partition_key, data, arrival_ms });
        sequence
    }

    /// Splits an open shard in the middle of its hash keys.
    pub fn split(&mut self, id: &str) -> [String; 2] {
        let (first, last) = self.close(id);
        let middle = first + (last - first) / 2;
        let parents = vec![id.to_owned()];
        [self.open(parents.clone(), (first, middle)), self.open(parents, (middle + 1, last))]
    }

    /// Merges two open shards whose hash keys lie side by side.
    pub fn merge(&mut self, a: &str, b: &str) -> String {
        let (lower, upper) = (self.close(a), self.close(b));
        assert!(lower.1.checked_add(1) == Some(upper.0), "only neighbours can be merged, the lower first");
        self.open(vec![a.to_owned(), b.to_owned()], (lower.0, upper.1))
    }

    /// The retention of a closed shard is over: it is listed no more.
    pub fn expire(&mut self, id: &str) {
        assert!(self.shard(id).is_some_and(|shard| shard.ending_sequence.is_some()), "only a closed shard expires");
        self.shards.retain(|shard| shard.id != id);
    }

    /// Now, and never earlier than said before.
    pub fn now_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let now = i64::try_from(now).expect("long before the end of time");
        self.clock_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }

    fn open(&mut self, parents: Vec<String>, hash_keys: (u128, u128)) -> String {
        let id = format!("shardId-{:012}", self.highest() + 1);
        let starting_sequence = self.sequence();
        let (ending_sequence, records) = (None, Vec::new());
        self.shards.push(StoredShard {
            id: id.clone(),
            parents,
            hash_keys,
            starting_sequence,
            ending_sequence,
            records,
        });
        id
    }

    fn close(&mut self, id: &str) -> (u128, u128) {
        let sequence = self.sequence();
        let shard = self.shards.iter_mut().find(|shard| shard.id == id).expect("the shard is there");
        assert!(shard.ending_sequence.is_none(), "{id} is closed already");
        shard.ending_sequence = Some(sequence);
        shard.hash_keys
    }

    /// The highest number of a shard so far, -1 for none.
    fn highest(&self) -> i64 {
        let numbers = self.shards.iter().filter_map(|shard| shard.id.strip_prefix("shardId-")?.parse().ok());
        numbers.max().unwrap_or(-1)
    }

    /// Numbers grow, with gaps.
    fn sequence(&mut self) -> String {
        self.next_sequence += self.dice.u64(1..1000);
        format!("49{:054}", self.next_sequence)
    }
}

/// Says whether this is a sequence number of ours.
pub fn is_sequence(text: &str) -> bool {
    text.len() == 56 && text.starts_with("49") && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a partition key lies: its MD5, the first byte the highest.
fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}
