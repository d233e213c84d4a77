//! Aggregates as the Kinesis Producer Library writes them.

use md5::{Digest as _, Md5};
use prost::Message as _;

/// The library's `AggregatedRecord`.
#[derive(Clone, PartialEq, prost::Message)]
struct Aggregated {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<User>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct User {
    #[prost(uint64, required, tag = "1")]
    partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
}

/// An aggregate of these texts, each with the explicit hash key that is given, or the partition key `key`.
pub fn aggregate(texts: &[(&str, Option<u128>)]) -> Vec<u8> {
    let (mut explicit_hash_keys, mut records) = (Vec::new(), Vec::new());
    for (text, hash_key) in texts {
        let explicit_hash_key = hash_key.map(|hash_key| {
            explicit_hash_keys.push(hash_key.to_string());
            explicit_hash_keys.len() as u64 - 1
        });
        records.push(User { partition_key: 0, explicit_hash_key, data: text.as_bytes().to_vec() });
    }
    let document = Aggregated { partition_keys: vec!["key".to_owned()], explicit_hash_keys, records }.encode_to_vec();
    [&[0xF3, 0x89, 0x9A, 0xC2], document.as_slice(), &Md5::digest(&document)].concat()
}
