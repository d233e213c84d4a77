//! Guards what is read next, and that checkpoints survive.

use std::collections::BTreeMap;

use super::{Checkpoint, Error, FileTable, Lease, LeaseTable as _, Shard, Start, plan};

fn shard(id: &str, parents: &[&str]) -> Shard {
    Shard { id: id.into(), parents: parents.iter().map(ToString::to_string).collect(), is_closed: false }
}

fn lease(checkpoint: Checkpoint, parents: &[&str]) -> Lease {
    Lease { checkpoint, parents: parents.iter().map(ToString::to_string).collect() }
}

fn read(shards: &[Shard], leases: &[(&str, Lease)]) -> Vec<String> {
    let leases = leases.iter().map(|(id, lease)| ((*id).to_owned(), lease.clone())).collect();
    plan(shards, &leases, Start::TrimHorizon).read.into_iter().map(|(id, _)| id).collect()
}

/// Guards the order of resharding: children after all their parents, and nobody waits for a shard that is long gone.
#[test]
fn children_follow_their_parents() {
    let split = [shard("a", &[]), shard("b", &["a"]), shard("c", &["a"]), shard("d", &["b", "c"])];
    assert_eq!(read(&split, &[]), ["a"]);
    let done = |parents: &[&str]| lease(Checkpoint::ShardEnd, parents);
    assert_eq!(read(&split, &[("a", done(&[]))]), ["b", "c"]);
    assert_eq!(read(&split, &[("a", done(&[])), ("b", done(&["a"]))]), ["c"], "a merge waits for both");
    assert_eq!(read(&split, &[("a", done(&[])), ("b", done(&["a"])), ("c", done(&["a"]))]), ["d"]);
    let orphan = [shard("z", &["gone"])];
    assert_eq!(read(&orphan, &[]), ["z"]);
}

/// Guards the clean-up: a finished lease stays while its shard is listed, and goes with it; an expired shard blocks nobody.
#[test]
fn finished_leases_go_with_their_shards() {
    let leases: BTreeMap<String, Lease> = [
        ("old".to_owned(), lease(Checkpoint::ShardEnd, &[])),
        ("expired".to_owned(), lease(Checkpoint::TrimHorizon, &[])),
        ("kept".to_owned(), lease(Checkpoint::ShardEnd, &[])),
    ]
    .into();
    let plan = plan(&[shard("kept", &[]), shard("child", &["kept", "expired"])], &leases, Start::AtTimestamp(7));
    assert_eq!(plan.remove, ["expired", "old"]);
    assert_eq!(plan.create, [("child".to_owned(), lease(Checkpoint::TrimHorizon, &["kept", "expired"]))]);
    assert_eq!(plan.read, [("child".to_owned(), Checkpoint::TrimHorizon)]);
}

/// Guards that `LATEST` loses nothing when the stream is split while nobody reads: the start counts once, for the shards
/// that were there at the first look.
#[test]
fn the_start_counts_once() {
    let first = plan(&[shard("a", &[])], &BTreeMap::new(), Start::AtTimestamp(7));
    assert_eq!(first.create, [("a".to_owned(), lease(Checkpoint::AtTimestamp(7), &[]))]);
    let leases: BTreeMap<String, Lease> = first.create.into_iter().collect();
    let second = plan(&[shard("a", &[]), shard("b", &["a"])], &leases, Start::AtTimestamp(9000));
    assert_eq!(second.create, [("b".to_owned(), lease(Checkpoint::TrimHorizon, &["a"]))]);
    assert_eq!(second.read, [("a".to_owned(), Checkpoint::AtTimestamp(7))]);
}

/// Guards that checkpoints are there after a restart, and that a foreign or broken file is not taken for one.
#[tokio::test]
async fn a_file_survives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/findings.json");
    let table = FileTable::new(path.clone(), "stream");
    assert_eq!(table.load().await.unwrap(), BTreeMap::new());
    table.update(vec![("a".into(), lease(Checkpoint::TrimHorizon, &[]))], vec![]).await.unwrap();
    let at = Checkpoint::Sequence { sequence: "495".into(), sub_sequence: 2 };
    table.checkpoint("a", at.clone()).await.unwrap();
    let again = FileTable::new(path.clone(), "stream").load().await.unwrap();
    assert_eq!(again.get("a").map(|lease| &lease.checkpoint), Some(&at));

    let other = FileTable::new(path.clone(), "other").load().await.unwrap_err();
    assert!(other.to_string().contains("they belong to the stream `stream`, not `other`"), "{other}");
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(FileTable::new(path, "stream").load().await, Err(Error::Foreign { .. })));
}
