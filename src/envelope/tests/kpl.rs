//! Aggregates of the Kinesis Producer Library: what they hold, and what broken ones become.

use md5::{Digest as _, Md5};
use prost::Message as _;

use super::super::kpl::{Broken, Found, MAGIC, UserRecord, hash_key_of, read};

/// The format as KPL's `.proto` file says it, written a second time and encoded by `prost` itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Aggregated {
    #[prost(string, repeated, tag = "1")]
    pub(super) partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) records: Vec<Inner>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Inner {
    #[prost(uint64, required, tag = "1")]
    pub(super) partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    pub(super) explicit_hash_key: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    pub(super) data: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(super) tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Tag {
    #[prost(string, required, tag = "1")]
    key: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// An aggregate of this document, whatever it is.
fn sealed(document: &[u8]) -> Vec<u8> {
    [&MAGIC[..], document, &Md5::digest(document)].concat()
}

/// An aggregate of records with these data, all of one partition key.
pub(super) fn aggregate(data: &[&[u8]]) -> Vec<u8> {
    let records = data.iter().map(|data| inner(0, None, data)).collect();
    let document = Aggregated { partition_keys: vec!["k".to_owned()], explicit_hash_keys: vec![], records };
    sealed(&document.encode_to_vec())
}

fn inner(partition_key: u64, explicit_hash_key: Option<u64>, data: &[u8]) -> Inner {
    Inner { partition_key, explicit_hash_key, data: data.to_vec(), tags: vec![] }
}

fn user_records(record: &[u8]) -> Vec<UserRecord<'_>> {
    match read(record, 1000) {
        Found::Aggregate(records) => records,
        other => panic!("{other:?}"),
    }
}

/// Every user record comes with its keys, its number and the place of its data.
#[test]
fn user_records_of_an_aggregate() {
    let mut second = inner(1, Some(0), b"two");
    second.tags = vec![Tag { key: "t".to_owned(), value: None }];
    let document = Aggregated {
        partition_keys: vec!["one".to_owned(), "z\u{e9}ro".to_owned()],
        explicit_hash_keys: vec!["340282366920938463463374607431768211455".to_owned()],
        records: vec![inner(0, None, b"1"), second, inner(0, None, b"")],
    };
    let record = sealed(&document.encode_to_vec());
    let found = user_records(&record);
    let seen: Vec<_> = found
        .iter()
        .map(|user| (user.sub_sequence, user.partition_key, user.explicit_hash_key, &record[user.data.clone()]))
        .collect();
    let explicit = Some("340282366920938463463374607431768211455");
    assert_eq!(seen, [(0, "one", None, b"1".as_slice()), (1, "z\u{e9}ro", explicit, b"two"), (2, "one", None, b"")]);
    assert_eq!(found[1].hash_key(), u128::MAX);
    assert_eq!(found[0].hash_key(), hash_key_of("one"));
}

/// The hash key of a partition key is its MD5 read as a big-endian number (Kinesis API, `PutRecord`).
#[test]
fn hash_keys() {
    // RFC 1321, appendix A.5: MD5 of "abc".
    assert_eq!(hash_key_of("abc"), 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72);
    let user = |explicit_hash_key| UserRecord { sub_sequence: 0, partition_key: "abc", explicit_hash_key, data: 0..0 };
    assert_eq!(user(Some("7")).hash_key(), 7);
    for none in ["", "-1", "x", "340282366920938463463374607431768211456"] {
        assert_eq!(user(Some(none)).hash_key(), hash_key_of("abc"), "{none}");
    }
}

/// The tables may stand behind the records, unknown fields anywhere, and an aggregate may be of nothing.
#[test]
fn odd_but_whole() {
    let records = Aggregated { records: vec![inner(0, None, b"x")], ..Aggregated::default() }.encode_to_vec();
    let table = Aggregated { partition_keys: vec!["k".to_owned()], ..Aggregated::default() }.encode_to_vec();
    // Field 9: a varint, eight bytes, four bytes, a group.
    let unknown = [0x48, 0x01, 0x49, 0, 0, 0, 0, 0, 0, 0, 0, 0x4D, 0, 0, 0, 0, 0x4B, 0x08, 0x01, 0x4C];
    let record = sealed(&[&records[..], &unknown, &table].concat());
    assert_eq!(user_records(&record).len(), 1);
    assert_eq!(user_records(&sealed(&table)), []);
}

/// What is no aggregate, and what only begins like one.
#[test]
fn plain_and_broken() {
    for plain in [&b""[..], b"{}", &MAGIC[..3]] {
        assert_eq!(read(plain, 1), Found::Plain);
    }
    let broken = |record: &[u8], why| assert_eq!(read(record, 2), Found::Broken(why), "{}", record.escape_ascii());
    broken(&MAGIC, Broken::Truncated);
    broken(&sealed(b""), Broken::Truncated);
    let whole = aggregate(&[b"a", b"b"]);
    for end in MAGIC.len()..whole.len() {
        let why = if end <= MAGIC.len() + 16 { Broken::Truncated } else { Broken::Digest };
        broken(&whole[..end], why);
    }
    for place in MAGIC.len()..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        broken(&changed, Broken::Digest);
    }
    broken(&aggregate(&[b"a", b"b", b"c"]), Broken::TooMany);
    let table = |keys: usize| Aggregated { partition_keys: vec![String::new(); keys], ..Aggregated::default() };
    broken(&sealed(&table(3).encode_to_vec()), Broken::TooMany);
}

/// A document with the right digest may still be anything.
#[test]
fn hostile_documents() {
    let broken = |document: &[u8]| {
        let record = sealed(document);
        assert_eq!(read(&record, 1000), Found::Broken(Broken::Document), "{}", document.escape_ascii());
    };
    let table = Aggregated { partition_keys: vec!["k".to_owned()], ..Aggregated::default() }.encode_to_vec();
    let with =
        |records: Vec<Inner>| [&table[..], &Aggregated { records, ..Aggregated::default() }.encode_to_vec()].concat();
    broken(&with(vec![inner(1, None, b"x")]));
    broken(&with(vec![inner(u64::MAX, None, b"x")]));
    broken(&with(vec![inner(0, Some(0), b"x")]));
    // A record without its required fields; a key that is no UTF-8; a length beyond the end; a field of another type.
    broken(&[&table[..], &[0x1A, 0x00]].concat());
    broken(&[&table[..], &[0x1A, 0x02, 0x08, 0x00]].concat());
    broken(&[0x0A, 0x01, 0xFF]);
    broken(&[0x0A, 0x05, b'x']);
    broken(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    broken(&[0x08, 0x01]);
    broken(&[0x18, 0x01]);
    broken(b"plain text that was never protobuf");
    // A group within a group, deeper than any reader follows.
    broken(&[0x4B].repeat(100_000));
}

/// Whatever stands between magic and digest: no panic, and data lies inside the record.
#[test]
fn random_documents() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = Aggregated {
        partition_keys: vec!["k".to_owned(), "l".to_owned()],
        explicit_hash_keys: vec!["1".to_owned()],
        records: vec![inner(0, Some(0), b"one"), inner(1, None, b"two")],
    }
    .encode_to_vec();
    for _ in 0..20_000 {
        let mut document = whole.clone();
        for _ in 0..=random.usize(..3) {
            let place = random.usize(..document.len());
            document[place] = random.u8(..);
        }
        let record = sealed(&document);
        if let Found::Aggregate(records) = read(&record, 1000) {
            for user in records {
                assert!(record.get(user.data.clone()).is_some(), "seed {seed}: {}", document.escape_ascii());
            }
        }
    }
}
