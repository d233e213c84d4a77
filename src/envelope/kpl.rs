//! The aggregates of the Kinesis Producer Library: many user records in one Kinesis record.
//!
//! Four magic bytes, a protobuf document, and its MD5 (KPL, "Aggregation format"). Pure: both the Kinesis source, which
//! gives each user record a position of its own, and the peeler, for a file that holds one record, read them here.
//!
//! The document is walked with `prost`'s own wire functions and not through a derived struct: what is wanted of a user record
//! is *where its data stands* in the record, nothing of it is copied, and two bytes of a hostile document never become a
//! hundred in memory.

use std::ops::Range;

use md5::{Digest as _, Md5};
use prost::bytes::Buf as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// What an aggregate begins with.
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The MD5 behind the document.
const DIGEST_BYTES: usize = 16;

/// What a Kinesis record is, as far as the Kinesis Producer Library goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// No aggregate: it does not begin with [`MAGIC`].
    Plain,
    /// An aggregate, and its user records in their order. There may be none.
    Aggregate(Vec<UserRecord<'r>>),
    /// It begins like an aggregate and is none, or a broken one: to be delivered as the plain record that it is.
    Broken(Broken),
}

/// One record as its producer knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord<'r> {
    /// Its number in the aggregate, from 0: the sub-sequence number of its position.
    pub sub_sequence: u32,
    /// The partition key that its producer gave.
    pub partition_key: &'r str,
    /// The explicit hash key, where its producer gave one: a decimal number.
    pub explicit_hash_key: Option<&'r str>,
    /// Where its data stands in the Kinesis record.
    pub data: Range<usize>,
}

/// Why something that begins like an aggregate cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// There is no room for a document between magic and digest.
    #[error("it is too short for an aggregate")]
    Truncated,
    /// The digest behind the document is not its digest.
    #[error("its MD5 does not match")]
    Digest,
    /// The document is not the protobuf that it should be, or a record names a partition key that is not in the table.
    #[error("its protobuf document is broken")]
    Document,
    /// More user records, or keys in its tables, than are allowed.
    #[error("it holds too many records")]
    TooMany,
}

impl UserRecord<'_> {
    /// Where Kinesis would put it: the explicit hash key, else the MD5 of the partition key as a number. An explicit hash
    /// key that is no number of 128 bits counts as none.
    #[must_use]
    pub fn hash_key(&self) -> u128 {
        let explicit = self.explicit_hash_key.and_then(|key| key.parse().ok());
        explicit.unwrap_or_else(|| hash_key_of(self.partition_key))
    }
}

/// The hash key that Kinesis gives to a partition key: its MD5, the first byte the highest.
#[must_use]
pub fn hash_key_of(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// Reads a Kinesis record. No more than `records_max` user records and as many keys are taken.
#[must_use]
pub fn read(record: &[u8], records_max: usize) -> Found<'_> {
    let Some(rest) = record.strip_prefix(&MAGIC) else { return Found::Plain };
    match user_records(record, rest, records_max) {
        Ok(records) => Found::Aggregate(records),
        Err(broken) => Found::Broken(broken),
    }
}

fn user_records<'r>(record: &'r [u8], rest: &'r [u8], records_max: usize) -> Result<Vec<UserRecord<'r>>, Broken> {
    let (document, digest) = rest.split_last_chunk::<DIGEST_BYTES>().ok_or(Broken::Truncated)?;
    if document.is_empty() {
        return Err(Broken::Truncated);
    }
    if Md5::digest(document).as_slice() != digest {
        return Err(Broken::Digest);
    }
    // A table may stand behind the records that name its keys, so that the records come second.
    let (mut partition_keys, mut explicit_hash_keys, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    let document_range = MAGIC.len()..record.len().saturating_sub(DIGEST_BYTES);
    each_field(record, document_range, |number, value| match (number, value) {
        (1, Value::Bytes(key)) => push(&mut partition_keys, text(record, key)?, records_max),
        (2, Value::Bytes(key)) => push(&mut explicit_hash_keys, text(record, key)?, records_max),
        (3, Value::Bytes(body)) => push(&mut bodies, body, records_max),
        (1..=3, _) => Err(Broken::Document),
        _ => Ok(()),
    })?;
    let mut records = Vec::with_capacity(bodies.len());
    for (number, body) in bodies.into_iter().enumerate() {
        let sub_sequence = u32::try_from(number).map_err(|_| Broken::TooMany)?;
        records.push(user_record(record, body, sub_sequence, &partition_keys, &explicit_hash_keys)?);
    }
    Ok(records)
}

fn user_record<'r>(
    record: &'r [u8],
    body: Range<usize>,
    sub_sequence: u32,
    partition_keys: &[&'r str],
    explicit_hash_keys: &[&'r str],
) -> Result<UserRecord<'r>, Broken> {
    let (mut partition_key, mut explicit_hash_key, mut data) = (None, None, None);
    each_field(record, body, |number, value| {
        match (number, value) {
            (1, Value::Number(index)) => partition_key = Some(keyed(partition_keys, index)?),
            (2, Value::Number(index)) => explicit_hash_key = Some(keyed(explicit_hash_keys, index)?),
            (3, Value::Bytes(range)) => data = Some(range),
            (1..=3, _) => return Err(Broken::Document),
            _ => {}
        }
        Ok(())
    })?;
    // Both are required fields; protobuf's own readers refuse a document without them.
    let (Some(partition_key), Some(data)) = (partition_key, data) else { return Err(Broken::Document) };
    Ok(UserRecord { sub_sequence, partition_key, explicit_hash_key, data })
}

/// A field's value, as far as an aggregate has such.
enum Value {
    Number(u64),
    /// Where its bytes stand in the record.
    Bytes(Range<usize>),
    Other,
}

/// Shows the fields of the protobuf document that stands at `range`, each with its number.
fn each_field(
    record: &[u8],
    range: Range<usize>,
    mut show: impl FnMut(u32, Value) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let end = range.end;
    let mut rest = record.get(range).ok_or(Broken::Document)?;
    while !rest.is_empty() {
        let (number, wire) = decode_key(&mut rest).map_err(|_| Broken::Document)?;
        let value = match wire {
            WireType::Varint => Value::Number(decode_varint(&mut rest).map_err(|_| Broken::Document)?),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut rest).map_err(|_| Broken::Document)?;
                let length = usize::try_from(length).map_err(|_| Broken::Document)?;
                if length > rest.len() {
                    return Err(Broken::Document);
                }
                let start = end.saturating_sub(rest.len());
                rest.advance(length);
                Value::Bytes(start..start.saturating_add(length))
            }
            _ => {
                skip_field(wire, number, &mut rest, DecodeContext::default()).map_err(|_| Broken::Document)?;
                Value::Other
            }
        };
        show(number, value)?;
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, value: T, entries_max: usize) -> Result<(), Broken> {
    if list.len() >= entries_max {
        return Err(Broken::TooMany);
    }
    list.push(value);
    Ok(())
}

fn keyed<'r>(keys: &[&'r str], index: u64) -> Result<&'r str, Broken> {
    let index = usize::try_from(index).ok();
    index.and_then(|index| keys.get(index)).copied().ok_or(Broken::Document)
}

/// A partition key is Unicode (Kinesis API, `PutRecord`), and protobuf's `string` is UTF-8.
fn text(record: &[u8], range: Range<usize>) -> Result<&str, Broken> {
    std::str::from_utf8(record.get(range).unwrap_or_default()).map_err(|_| Broken::Document)
}
