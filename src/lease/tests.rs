//! Guards which leases there are, how they change, and that checkpoints survive.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Change, Changed, Checkpoint, Error, FileTable, Kind, Lease, LeaseTable as _, MemoryTable, Shard, Start, is_ready,
    plan,
};

fn shard(id: &str, parents: &[&str]) -> Shard {
    let parents = parents.iter().map(ToString::to_string).collect();
    Shard { id: id.into(), parents, is_closed: false, hash_range: None }
}

fn lease(checkpoint: Checkpoint, parents: &[&str]) -> Lease {
    Lease::new(checkpoint, parents.iter().map(ToString::to_string).collect(), None)
}

fn at(sequence: &str, sub_sequence: u64) -> Checkpoint {
    Checkpoint::Sequence { sequence: sequence.into(), sub_sequence }
}

fn leases(leases: &[(&str, Lease)]) -> BTreeMap<String, Lease> {
    leases.iter().map(|(id, lease)| ((*id).to_owned(), lease.clone())).collect()
}

/// What is created, as `id checkpoint`.
fn created(shards: &[Shard], table: &[(&str, Lease)], start: Start) -> Vec<String> {
    let plan = plan(shards, &leases(table), start);
    plan.create.into_iter().map(|(id, lease)| format!("{id} {:?}", lease.checkpoint)).collect()
}

/// Guards KCL's rules of creation, line by line.
#[test]
fn leases_are_created_when_their_parents_are_finished() {
    let done = |parents: &[&str]| lease(Checkpoint::ShardEnd, parents);
    let read = |parents: &[&str]| lease(at("7", 0), parents);
    let stream = [shard("a", &[]), shard("x", &[]), shard("b", &["a"]), shard("c", &["a"]), shard("d", &["b", "x"])];
    let horizon = Start::TrimHorizon;
    assert_eq!(created(&stream, &[], horizon), ["a TrimHorizon", "x TrimHorizon"], "the oldest first");
    assert_eq!(created(&stream, &[("a", read(&[])), ("x", read(&[]))], horizon), [""; 0]);
    let a_done = [("a", done(&[])), ("x", read(&[]))];
    assert_eq!(created(&stream, &a_done, horizon), ["b TrimHorizon", "c TrimHorizon"]);
    let half = [("a", done(&[])), ("b", done(&["a"])), ("c", read(&["a"])), ("x", read(&[]))];
    assert_eq!(created(&stream, &half, horizon), [""; 0], "a merge waits for both");
    let both = [("a", done(&[])), ("b", done(&["a"])), ("c", read(&["a"])), ("x", done(&[]))];
    assert_eq!(created(&stream, &both, horizon), ["d TrimHorizon"]);
    let cleaned = [("c", read(&["a"])), ("d", read(&["b", "x"]))];
    assert_eq!(created(&stream, &cleaned, horizon), [""; 0], "what is gone from the table was finished");
    assert_eq!(created(&[shard("z", &["gone"])], &[], horizon), ["z TrimHorizon"], "an expired parent blocks nobody");
}

/// Guards that a start other than the oldest record counts once, and that children are read whole.
#[test]
fn the_start_counts_once() {
    let split = [shard("b", &["a"]), shard("a", &[])];
    let expected = ["a AtTimestamp(7)", "b AtTimestamp(7)"];
    assert_eq!(created(&split, &[], Start::Latest(7)), expected, "parents first: a crash midway leaves no gap");
    assert_eq!(created(&split, &[], Start::AtTimestamp(7)), expected);
    let begun = [("a", lease(Checkpoint::AtTimestamp(7), &[]))];
    assert_eq!(created(&split, &begun, Start::Latest(9000)), [""; 0]);
    let ended = [("a", lease(Checkpoint::ShardEnd, &[]))];
    assert_eq!(created(&split, &ended, Start::Latest(9000)), ["b TrimHorizon"]);
    // A second starter, or one after a crash, finds the time of the first.
    let two = [shard("a", &[]), shard("b", &[])];
    assert_eq!(created(&two, &begun, Start::Latest(9000)), ["b AtTimestamp(7)"]);
    let gone = [shard("b", &["a"])];
    let before = [("a", lease(at("1", 0), &[])), ("c", lease(Checkpoint::AtTimestamp(7), &[]))];
    assert_eq!(created(&gone, &before, Start::Latest(9000)), ["b TrimHorizon"], "its parent expired while it was read");
}

/// Guards the clean-up: a finished lease stays until all its children have begun and its parents' leases are gone, or until
/// its shard is no longer listed.
#[test]
fn finished_leases_go_when_nobody_needs_them() {
    let done = |parents: &[&str]| lease(Checkpoint::ShardEnd, parents);
    let read = |parents: &[&str]| lease(at("7", 0), parents);
    let new = |parents: &[&str]| lease(Checkpoint::TrimHorizon, parents);
    let stream = [shard("a", &[]), shard("b", &["a"]), shard("c", &["a"]), shard("d", &["b"])];
    let removed = |table: &[(&str, Lease)]| plan(&stream, &leases(table), Start::TrimHorizon).remove;
    assert_eq!(removed(&[("a", done(&[])), ("b", read(&["a"])), ("c", new(&["a"]))]), [""; 0], "c has not begun");
    assert_eq!(removed(&[("a", done(&[])), ("b", read(&["a"])), ("c", read(&["a"]))]), ["a"]);
    let two = [("a", done(&[])), ("b", done(&["a"])), ("c", read(&["a"])), ("d", read(&["b"]))];
    assert_eq!(removed(&two), ["a"], "b waits for a");
    assert_eq!(removed(&[("c", done(&["a"]))]), [""; 0], "its children are not listed yet");
    assert_eq!(removed(&[("old", done(&[])), ("expired", read(&[])), ("c", read(&["a"]))]), ["expired", "old"]);
}

/// Guards what may be read: not finished, and all parents are, or are gone.
#[test]
fn children_follow_their_parents() {
    let table = leases(&[
        ("a", lease(Checkpoint::ShardEnd, &[])),
        ("b", lease(at("1", 0), &["a"])),
        ("c", lease(Checkpoint::TrimHorizon, &["a", "b"])),
        ("d", lease(Checkpoint::TrimHorizon, &["gone"])),
    ]);
    let ready: Vec<&str> =
        table.iter().filter(|(_, lease)| is_ready(lease, &table)).map(|(id, _)| id.as_str()).collect();
    assert_eq!(ready, ["b", "d"]);
}

/// Guards the order of checkpoints: as numbers, not as texts, then inside the aggregate.
#[test]
fn checkpoints_have_an_order() {
    let ordered = [
        Checkpoint::TrimHorizon,
        at("9", 0),
        at("9", 5),
        at("10", 0),
        at("49590338271490256608559692538361571095921575989136588898", 0),
        Checkpoint::ShardEnd,
    ];
    for (n, one) in ordered.iter().enumerate() {
        for (m, other) in ordered.iter().enumerate() {
            assert_eq!(one.is_before(other), n < m, "{one:?} {other:?}");
        }
    }
    assert!(!Checkpoint::TrimHorizon.is_before(&Checkpoint::AtTimestamp(1)));
    assert!(!Checkpoint::AtTimestamp(1).is_before(&Checkpoint::TrimHorizon));
}

fn change(by: &str, counter: u64, kind: Kind) -> Change {
    Change { by: by.into(), counter, kind }
}

fn take(from: Option<&str>) -> Kind {
    Kind::Take { from: from.map(Into::into) }
}

/// What a change leaves: owner, who may checkpoint, counter, switches; nothing where it is refused.
type After<'a> = Option<(Option<&'a str>, Option<&'a str>, u64, u64)>;

/// Guards the locking: who may change what, and what is left then (owner, who may checkpoint, counter, switches).
#[test]
fn changes_are_conditional() {
    let held = |owner: Option<&str>, checkpoint_owner: Option<&str>| {
        let mut lease = lease(at("5", 0), &[]);
        (lease.owner, lease.checkpoint_owner) = (owner.map(Arc::from), checkpoint_owner.map(Arc::from));
        lease.counter = 3;
        lease
    };
    let ask = || Kind::Ask { from: "a".into() };
    let withdraw = || Kind::Withdraw { from: "a".into() };
    let move_on = || Kind::Checkpoint(at("6", 0));
    let cases: Vec<(Option<&str>, Option<&str>, Change, After<'_>)> = vec![
        (Some("a"), None, change("a", 3, Kind::Renew), Some((Some("a"), None, 4, 0))),
        (Some("a"), None, change("a", 2, Kind::Renew), None),
        (Some("a"), None, change("b", 3, Kind::Renew), None),
        (None, None, change("a", 3, Kind::Renew), None),
        (Some("a"), None, change("b", 3, take(Some("a"))), Some((Some("b"), None, 4, 1))),
        (None, None, change("b", 3, take(None)), Some((Some("b"), None, 4, 0))),
        (Some("a"), None, change("b", 2, take(Some("a"))), None),
        (Some("b"), Some("a"), change("b", 3, take(Some("b"))), Some((Some("b"), None, 4, 0))),
        (Some("a"), None, change("b", 0, ask()), Some((Some("b"), Some("a"), 3, 0))),
        (Some("c"), None, change("b", 3, ask()), None),
        (Some("c"), Some("a"), change("b", 3, ask()), None),
        (Some("b"), Some("a"), change("b", 0, withdraw()), Some((Some("a"), None, 3, 0))),
        (Some("b"), None, change("b", 0, withdraw()), None),
        (Some("b"), Some("a"), change("a", 3, move_on()), Some((Some("b"), Some("a"), 4, 0))),
        (Some("b"), Some("a"), change("b", 3, move_on()), None),
        (Some("b"), Some("a"), change("a", 3, Kind::HandOver), Some((Some("b"), None, 4, 0))),
        (Some("b"), Some("a"), change("a", 3, Kind::Release), None),
        (Some("a"), None, change("a", 3, Kind::HandOver), None),
        (Some("a"), None, change("a", 3, Kind::Release), Some((None, None, 4, 0))),
    ];
    for (owner, checkpoint_owner, change, after) in cases {
        let mut lease = held(owner, checkpoint_owner);
        let permitted = lease.permits(&change);
        assert_eq!(permitted, after.is_some(), "{change:?} on {lease:?}");
        if permitted {
            lease.apply(&change);
            let found =
                (lease.owner.as_deref(), lease.checkpoint_owner.as_deref(), lease.counter, lease.owner_switches);
            assert_eq!(Some(found), after, "{change:?}");
        }
    }
}

/// Guards that checkpoints are there after a restart and owners are not, and that a foreign or broken file is not taken for a
/// table.
#[tokio::test]
async fn a_file_survives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/findings.json");
    let table = FileTable::new(path.clone(), "stream");
    assert_eq!(table.load().await.unwrap(), BTreeMap::new());
    let new = lease(Checkpoint::TrimHorizon, &["p"]);
    assert!(table.create("a", &new).await.unwrap());
    assert!(!table.create("a", &new).await.unwrap(), "it is there");
    let taken = table.change("a", &change("me", 0, take(None))).await.unwrap();
    assert!(matches!(taken, Changed::Done(lease) if lease.owner.as_deref() == Some("me")));
    let moved = table.change("a", &change("me", 1, Kind::Checkpoint(at("495", 2)))).await.unwrap();
    assert!(matches!(moved, Changed::Done(_)));
    let refused = table.change("a", &change("me", 1, Kind::Renew)).await.unwrap();
    assert!(matches!(refused, Changed::Refused(Some(lease)) if lease.counter == 2));
    assert_eq!(table.change("b", &change("me", 1, Kind::Renew)).await.unwrap(), Changed::Refused(None));

    let second = FileTable::new(path.clone(), "stream");
    let seen = second.load().await.unwrap();
    assert_eq!(seen["a"], lease(at("495", 2), &["p"]), "free, as after a restart");
    let in_use = second.remove("a", 0).await.unwrap_err();
    assert!(matches!(in_use, Error::InUse { .. }), "{in_use}");
    drop(table);
    assert!(second.remove("a", 0).await.unwrap());
    assert_eq!(FileTable::new(path.clone(), "stream").load().await.unwrap(), BTreeMap::new());
    drop(second);

    let other = FileTable::new(path.clone(), "other").load().await.unwrap_err();
    assert!(other.to_string().contains("they belong to the stream `stream`, not `other`"), "{other}");
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(FileTable::new(path, "stream").load().await, Err(Error::Foreign { .. })));
}

/// Guards that a table in memory keeps the same rules.
#[tokio::test]
async fn memory_keeps_the_rules() {
    let table = MemoryTable::default();
    assert!(table.create("a", &lease(Checkpoint::TrimHorizon, &[])).await.unwrap());
    assert!(matches!(table.change("a", &change("me", 0, take(None))).await.unwrap(), Changed::Done(_)));
    assert!(matches!(table.change("a", &change("you", 0, take(None))).await.unwrap(), Changed::Refused(Some(_))));
    assert!(!table.remove("a", 0).await.unwrap());
    assert!(table.remove("a", 1).await.unwrap());
    assert_eq!(table.load().await.unwrap(), BTreeMap::new());
    assert!(table.leader().await.unwrap().is_none());
}
