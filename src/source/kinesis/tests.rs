//! Guards how records are taken apart, and what the options may say.

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types;
use md5::{Digest as _, Md5};
use prost::Message as _;

use super::KinesisOptions;
use super::aggregate::{Opened, Opener};

/// The library's `AggregatedRecord`, as far as it matters here.
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

fn aggregate(hash_keys: &[u128]) -> Vec<u8> {
    let user = |number: usize| User {
        partition_key: 0,
        explicit_hash_key: u64::try_from(number).ok(),
        data: number.to_string().into_bytes(),
    };
    let document = Aggregated {
        partition_keys: vec!["key".to_owned()],
        explicit_hash_keys: hash_keys.iter().map(u128::to_string).collect(),
        records: (0..hash_keys.len()).map(user).collect(),
    };
    let document = document.encode_to_vec();
    [&[0xF3, 0x89, 0x9A, 0xC2], document.as_slice(), &Md5::digest(&document)].concat()
}

fn open(data: Vec<u8>, is_strict: bool) -> Opened {
    let record = types::Record::builder()
        .sequence_number("00495")
        .partition_key("key")
        .data(Blob::new(data))
        .approximate_arrival_timestamp(DateTime::from_millis(1_700_000_000_123));
    let opener = Opener { shard: "shardId-7".into(), hash_keys: Some((10, 20)), is_strict };
    opener.open(record.build().unwrap())
}

fn shown(opened: &Opened) -> Vec<(String, String)> {
    let shown = |record: &crate::record::Record| {
        assert_eq!(record.arrival_ms, Some(1_700_000_000_123));
        (record.position.to_string(), String::from_utf8_lossy(&record.data).into_owned())
    };
    opened.records.iter().map(shown).collect()
}

/// Guards that each user record has its own position, the first one that of the record itself.
#[test]
fn user_records_have_positions() {
    let opened = open(aggregate(&[10, 15, 20]), true);
    let expect = [("shardId-7/495", "0"), ("shardId-7/495/1", "1"), ("shardId-7/495/2", "2")];
    assert_eq!(shown(&opened), expect.map(|(at, text)| (at.to_owned(), text.to_owned())));
    assert!(opened.is_aggregate && opened.broken.is_none());
    assert_eq!((opened.outside, opened.discarded), (0, 0));
}

/// Guards what becomes of records that belong elsewhere: kept and counted, or, strict, their whole aggregate let go by
/// name and counted.
#[test]
fn records_outside_the_shard_are_kept_and_counted() {
    let kept = open(aggregate(&[9, 15, 21]), false);
    assert_eq!((kept.records.len(), kept.outside, kept.discarded), (3, 2, 0));
    let strict = open(aggregate(&[15, 21, 16]), true);
    assert_eq!((strict.records.len(), strict.outside, strict.discarded), (3, 1, 3));
    assert!(strict.records.iter().all(|record| record.let_go == Some("kpl_strict")), "each counts as filtered");
    assert!(kept.records.iter().all(|record| record.let_go.is_none()));
}

/// Guards that nothing is dropped that cannot be opened: plain records, broken aggregates and empty ones come as they are.
#[test]
fn what_cannot_be_opened_comes_whole() {
    let mut broken = aggregate(&[15]);
    broken.truncate(broken.len() - 1);
    for (data, is_broken) in [(b"{}".to_vec(), false), (Vec::new(), false), (broken, true), (aggregate(&[]), false)] {
        let opened = open(data.clone(), true);
        assert_eq!(opened.records.len(), 1);
        assert_eq!(opened.records[0].data, data);
        assert_eq!(opened.records[0].position.sub_sequence, 0);
        assert_eq!((opened.is_aggregate, opened.broken.is_some()), (false, is_broken), "{data:?}");
    }
}

fn options(text: &str) -> Result<KinesisOptions, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Guards the mistakes that are found before anything is asked.
#[test]
fn mistakes_are_found_early() {
    for (text, expect) in [
        ("stream = 's'\nmode = 'push'", "unknown variant"),
        ("stream = 's t'", "is no stream"),
        ("stream = []", "at least one"),
        ("stream = 's'\nend = 'tomorrow'", "is no time"),
        ("", "missing field `stream`"),
    ] {
        let error = options(text).unwrap_err();
        assert!(error.contains(expect), "{text}: {error}");
    }
    for (text, expect) in [
        ("stream = 's'\nexternal_id = 'x'", Some("external_id")),
        ("stream = 's'\nassume_role = 'reader'", Some("assume_role")),
        ("stream = 's'\nassume_role = 'arn:aws-cn:iam::111122223333:role/reader'\nexternal_id = 'x'", None),
        ("stream = 's'\nconsumer = 'a b'", Some("consumer")),
        ("stream = 's'\nstart = '2026-02-01T00:00:00Z'\nend = '2026-01-01T00:00:00Z'", Some("end")),
        ("stream = 's'\nstart = '2026-01-01T00:00:00Z'\nend = '2026-02-01T00:00:00Z'", None),
        ("stream = 's'\nsubscription_renewal = '10m'", Some("subscription_renewal")),
        ("stream = 's'\nfan_out_fallback = true", Some("fan_out_fallback")),
        ("stream = 's'\nmode = 'fan_out'\nfan_out_fallback = true", None),
    ] {
        let found = options(text).unwrap().mistake();
        assert_eq!(found.map(|(option, _)| option), expect, "{text}");
    }
}
