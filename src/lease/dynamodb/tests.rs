//! Guards the layout: what KCL writes is understood, and what is written, KCL understands.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{self, Item};
use super::request;
use super::{Keys, StreamIdentity};
use crate::lease::{Change, Checkpoint, HashRange, Kind, Lease, Start};

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn stream() -> StreamIdentity {
    StreamIdentity { account: "111122223333".into(), name: "security".into(), created_s: 1_700_000_000 }
}

fn attributes(attributes: &[(&str, AttributeValue)]) -> Item {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Guards that several streams and applications find their own leases, and nobody else's.
#[test]
fn keys_tell_streams_and_applications_apart() {
    let shard = "shardId-000000000003";
    let mut other = stream();
    other.created_s += 1;
    let all = [
        Keys::Shard,
        Keys::Stream(stream()),
        Keys::Stream(other),
        Keys::Application("soc".into(), stream()),
        Keys::Application("engineering".into(), stream()),
    ];
    let keys: Vec<String> = all.iter().map(|keys| keys.key(shard)).collect();
    assert_eq!(keys[0], shard);
    assert_eq!(keys[1], "111122223333:security:1700000000:shardId-000000000003");
    assert_eq!(keys[3], "soc:111122223333:security:1700000000:shardId-000000000003");
    for (n, one) in all.iter().enumerate() {
        for (m, key) in keys.iter().enumerate() {
            assert_eq!(one.shard(key), (n == m).then_some(shard), "{one:?} {key}");
            assert_eq!(key.starts_with(&one.prefix()), n == m, "{one:?} {key}");
        }
    }
}

/// Guards what an application on KCL 3 has written: every attribute in its place.
#[test]
fn items_of_kcl_are_understood() {
    let item = attributes(&[
        ("leaseKey", s("shardId-000000000003")),
        ("leaseOwner", s("worker-b")),
        ("checkpointOwner", s("worker-a")),
        ("leaseCounter", n("42")),
        ("ownerSwitchesSinceCheckpoint", n("2")),
        ("checkpoint", s("49590338271490256608559692538361571095921575989136588898")),
        ("checkpointSubSequenceNumber", n("7")),
        ("pendingCheckpoint", s("49590338271490256608559692538361571095921575989136588899")),
        ("parentShardId", AttributeValue::Ss(vec!["shardId-000000000002".into(), "shardId-000000000001".into()])),
        ("childShardIds", AttributeValue::Ss(vec!["shardId-000000000004".into()])),
        ("startingHashKey", s("0")),
        ("endingHashKey", s("340282366920938463463374607431768211455")),
        ("throughputKBps", n("1.5")),
        ("entityType", s("LEASE")),
    ]);
    let (shard, lease) = item::lease(&Keys::Shard, &item, Start::TrimHorizon).unwrap().unwrap();
    let sequence = "49590338271490256608559692538361571095921575989136588898".to_owned();
    let expected = Lease {
        checkpoint: Checkpoint::Sequence { sequence, sub_sequence: 7 },
        parents: vec!["shardId-000000000001".into(), "shardId-000000000002".into()],
        children: vec!["shardId-000000000004".into()],
        hash_range: Some(HashRange { start: 0, end: u128::MAX }),
        owner: Some("worker-b".into()),
        checkpoint_owner: Some("worker-a".into()),
        counter: 42,
        owner_switches: 2,
    };
    assert_eq!((shard.as_str(), lease), ("shardId-000000000003", expected));
}

/// Guards the sentinels, with the time of ours and without it, and what is no lease.
#[test]
fn sentinels_and_strangers() {
    let read = |checkpoint: &str, extra: &[(&str, AttributeValue)], start: Start| {
        let mut item = attributes(extra);
        item.entry("leaseKey".into()).or_insert_with(|| s("shardId-1"));
        item.insert("leaseCounter".into(), n("0"));
        item.insert("checkpoint".into(), s(checkpoint));
        item::lease(&Keys::Shard, &item, start).map(|lease| lease.map(|(_, lease)| lease.checkpoint))
    };
    let ours = [(item::START_TIMESTAMP, n("7"))];
    let (horizon, latest, at) = (Start::TrimHorizon, Start::Latest(9), Start::AtTimestamp(8));
    assert_eq!(read("TRIM_HORIZON", &[], latest), Ok(Some(Checkpoint::TrimHorizon)));
    assert_eq!(read("SHARD_END", &[], latest), Ok(Some(Checkpoint::ShardEnd)));
    assert_eq!(read("LATEST", &ours, latest), Ok(Some(Checkpoint::AtTimestamp(7))));
    assert_eq!(read("LATEST", &[], latest), Ok(Some(Checkpoint::AtTimestamp(9))), "KCL wrote it");
    assert_eq!(read("AT_TIMESTAMP", &[], at), Ok(Some(Checkpoint::AtTimestamp(8))));
    assert_eq!(read("AT_TIMESTAMP", &[], horizon), Ok(Some(Checkpoint::TrimHorizon)), "nothing is skipped");
    assert!(read("nonsense", &[], horizon).is_err());
    for entity in ["STREAM", "LEADER", "WORKER_METRIC_STATS"] {
        assert_eq!(read("TRIM_HORIZON", &[("entityType", s(entity))], horizon), Ok(None), "{entity}");
    }
    assert_eq!(read("TRIM_HORIZON", &[("leaseKey", s("Leader"))], horizon), Ok(None));
}

/// Guards that a lease comes back as it was written, and that a stream's name stands beside its key, as KCL wants it.
#[test]
fn what_is_written_is_read() {
    let keys = Keys::Stream(stream());
    for (start, checkpoint, sentinel) in [
        (Start::TrimHorizon, Checkpoint::TrimHorizon, "TRIM_HORIZON"),
        (Start::Latest(5), Checkpoint::AtTimestamp(5), "LATEST"),
        (Start::AtTimestamp(5), Checkpoint::AtTimestamp(5), "AT_TIMESTAMP"),
        (Start::TrimHorizon, Checkpoint::ShardEnd, "SHARD_END"),
    ] {
        let lease = Lease::new(checkpoint, vec!["shardId-1".into()], HashRange::parse("0", "99"));
        let item = item::item(&keys, "shardId-2", &lease, start);
        assert_eq!(item["checkpoint"], s(sentinel));
        assert_eq!(item["checkpointSubSequenceNumber"], n("0"));
        assert_eq!(item["streamName"], s("111122223333:security:1700000000"));
        assert_eq!(item["shardId"], s("shardId-2"));
        assert!(!item.contains_key("leaseOwner") && !item.contains_key("childShardIds"), "no empty attributes");
        // The time is the item's own, whatever is configured later.
        assert_eq!(item::lease(&keys, &item, Start::Latest(9)).unwrap(), Some(("shardId-2".to_owned(), lease)));
    }
}

/// Guards the leader's lock, as Amazon's lock client writes it.
#[test]
fn a_leaders_lock_is_read() {
    let held = attributes(&[
        ("key", s("Leader")),
        ("ownerName", s("worker-a")),
        ("leaseDuration", s("60000")),
        ("recordVersionNumber", s("0f9d")),
    ]);
    let leader = item::leader(&held).unwrap();
    assert_eq!((leader.owner.as_str(), leader.version.as_str()), ("worker-a", "0f9d"));
    assert_eq!(leader.lasts, Duration::from_mins(1));
    let mut released = held;
    released.insert("isReleased".into(), s("1"));
    assert_eq!(item::leader(&released), None);
    assert_eq!(item::leader(&HashMap::new()), None);
}

/// Guards the writing: conditions on the counter and the owners, and what KCL would set and take away.
#[test]
fn changes_are_updates() {
    let update = |kind: Kind| {
        let update = request::update(&Change { by: "me".into(), counter: 4, kind }, Start::TrimHorizon);
        (update.condition, update.expression, update.values)
    };
    let exists = "attribute_exists(leaseKey)";
    let mine = "(checkpointOwner = :me OR (attribute_not_exists(checkpointOwner) AND leaseOwner = :me))";
    let (condition, text, values) = update(Kind::Renew);
    assert_eq!(condition, format!("{exists} AND leaseCounter = :counter AND {mine}"));
    assert_eq!(text, "SET leaseCounter = :next");
    assert_eq!((&values[":counter"], &values[":next"], &values[":me"]), (&n("4"), &n("5"), &s("me")));

    let (condition, text, _) = update(Kind::Take { from: Some("you".into()) });
    assert_eq!(condition, format!("{exists} AND leaseCounter = :counter"));
    let expected =
        "SET leaseCounter = :next, leaseOwner = :me ADD ownerSwitchesSinceCheckpoint :amount REMOVE checkpointOwner";
    assert_eq!(text, expected);
    let (_, text, values) = update(Kind::Take { from: None });
    assert_eq!(text, "SET leaseCounter = :next, leaseOwner = :me REMOVE checkpointOwner");
    assert!(!values.contains_key(":amount"), "a value that is not named is refused by the service");

    let (condition, text, values) = update(Kind::Ask { from: "you".into() });
    assert_eq!(condition, format!("{exists} AND leaseOwner = :from AND attribute_not_exists(checkpointOwner)"));
    assert_eq!(text, "SET leaseOwner = :me, checkpointOwner = :from");
    assert_eq!(values.len(), 2, "the counter is the owner's sign of life");

    let (condition, text, values) =
        update(Kind::Checkpoint(Checkpoint::Sequence { sequence: "17".into(), sub_sequence: 2 }));
    assert_eq!(condition, format!("{exists} AND leaseCounter = :counter AND {mine}"));
    assert_eq!(
        text,
        "SET leaseCounter = :next, checkpoint = :checkpoint, checkpointSubSequenceNumber = :checkpointSubSequenceNumber, \
         ownerSwitchesSinceCheckpoint = :none REMOVE siemlineStartTimestamp, pendingCheckpoint, \
         pendingCheckpointSubSequenceNumber, pendingCheckpointState"
    );
    assert_eq!((&values[":checkpoint"], &values[":checkpointSubSequenceNumber"]), (&s("17"), &n("2")));

    let (_, text, values) = update(Kind::Finish { children: vec!["shardId-5".into()] });
    assert!(text.contains("childShardIds = :children"), "{text}");
    assert_eq!(values[":checkpoint"], s("SHARD_END"));
    let (_, text, _) = update(Kind::Finish { children: Vec::new() });
    assert!(!text.contains("childShardIds"), "an empty set is refused by the service: {text}");

    let (condition, text, _) = update(Kind::Release);
    assert!(condition.ends_with("leaseOwner = :me AND attribute_not_exists(checkpointOwner)"), "{condition}");
    assert_eq!(text, "SET leaseCounter = :next REMOVE leaseOwner");
    let (condition, text, _) = update(Kind::HandOver);
    assert!(condition.ends_with("checkpointOwner = :me"), "{condition}");
    assert_eq!(text, "SET leaseCounter = :next REMOVE checkpointOwner");
}
