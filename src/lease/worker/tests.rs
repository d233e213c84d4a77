//! Guards single decisions of a worker: what it does when it sees this.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::plan::Start;
use super::{Act, Changed, Kind, Leader, Lease, News, Rules, Worker};
use crate::lease::{Checkpoint, Shard};

const ME: &str = "siemline:me:0";
const OTHER: &str = "siemline:other:1";
const TAKE: Kind = Kind::Take { from: None };
const JAVA: &str = "host-17:0bde";

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn worker() -> Worker {
    let rules = Rules {
        failover: seconds(10.0),
        hand_over_max: seconds(30.0),
        sync_every: seconds(60.0),
        finished_kept: seconds(300.0),
        start: Start::TrimHorizon,
        leases_max: 100,
    };
    Worker::new(ME.into(), rules, 7)
}

fn lease(owner: Option<&str>, counter: u64) -> Lease {
    let mut lease = Lease::new(Checkpoint::TrimHorizon, Vec::new(), None);
    (lease.owner, lease.counter) = (owner.map(Into::into), counter);
    lease
}

fn table(leases: &[(&str, Lease)]) -> BTreeMap<String, Lease> {
    leases.iter().map(|(shard, lease)| ((*shard).to_owned(), lease.clone())).collect()
}

/// Reads the table at this time, and says what is written then, as `shard kind`.
fn scan(worker: &mut Worker, leases: &[(&str, Lease)], at: f64) -> Vec<String> {
    scan_with(worker, leases, None, at)
}

fn scan_with(worker: &mut Worker, leases: &[(&str, Lease)], leader: Option<&Leader>, at: f64) -> Vec<String> {
    let asked = worker.poll(seconds(at));
    assert!(asked.contains(&Act::Scan), "{asked:?}");
    worker.scanned(&table(leases), leader, seconds(at));
    let mut writes = written(&asked);
    writes.extend(written(&worker.poll(seconds(at))));
    writes
}

fn written(acts: &[Act]) -> Vec<String> {
    let changes = acts.iter().filter_map(|act| match act {
        Act::Change { shard, change } if matches!(change.kind, Kind::Take { .. }) => Some(format!("{shard} Take")),
        Act::Change { shard, change } => Some(format!("{shard} {:?}", change.kind)),
        _ => None,
    });
    changes.collect()
}

/// Lets a worker have this lease since this time.
fn give(worker: &mut Worker, shard: &str, at: f64) {
    let free = lease(None, 4);
    assert_eq!(scan(worker, &[(shard, free.clone())], at), [format!("{shard} Take")]);
    answer(worker, shard, TAKE, free, at);
    assert!(matches!(worker.news().as_slice(), [News::Granted { .. }]));
}

/// Answers a write of this kind as the table would.
fn answer(worker: &mut Worker, shard: &str, kind: Kind, mut stored: Lease, at: f64) -> Lease {
    let change = super::Change { by: ME.into(), counter: stored.counter, kind };
    stored.apply(&change);
    worker.changed(shard, &change, Some(Changed::Done(Box::new(stored.clone()))), seconds(at), seconds(at));
    stored
}

/// Guards expiry: it is judged by how long the observer has not seen the counter move, and by nothing else.
#[test]
fn a_lease_is_taken_when_its_counter_stands_still() {
    let mut worker = worker();
    let none: [String; 0] = [];
    assert_eq!(scan(&mut worker, &[("a", lease(Some(OTHER), 1))], 100.0), none);
    assert_eq!(scan(&mut worker, &[("a", lease(Some(OTHER), 2))], 108.0), none, "it moved");
    assert_eq!(scan(&mut worker, &[("a", lease(Some(OTHER), 2))], 117.9), none);
    assert!(worker.due(seconds(117.9)) <= seconds(118.0), "the end of its time is waited for, not the next reading");
    assert_eq!(written(&worker.poll(seconds(118.0))), ["a Take"]);
}

/// Guards stealing: one at a time, from whoever has most, asked if it knows of handing over and taken if not; nobody is robbed
/// below the share.
#[test]
fn what_is_stolen() {
    for (owner, expected) in [(OTHER, format!("Ask {{ from: {OTHER:?} }}")), (JAVA, "Take".to_owned())] {
        let cases: [(&[Option<&str>], bool); 5] = [
            (&[Some(owner)], false),
            (&[Some(owner), Some(owner)], true),
            (&[Some(owner), Some(owner), Some(owner)], true),
            (&[Some(owner), Some("x"), Some("y")], false),
            (&[Some(owner), Some(owner), Some("x"), Some("y"), Some("z")], true),
        ];
        for (owners, steals) in cases {
            let mut worker = worker();
            let leases: Vec<(String, Lease)> =
                owners.iter().enumerate().map(|(n, owner)| (format!("s{n}"), lease(*owner, 1))).collect();
            let leases: Vec<(&str, Lease)> = leases.iter().map(|(id, lease)| (id.as_str(), lease.clone())).collect();
            let writes = scan(&mut worker, &leases, 50.0);
            assert_eq!(writes.len(), usize::from(steals), "{owners:?}: {writes:?}");
            assert!(writes.iter().all(|write| write.ends_with(&expected)), "{owners:?}: {writes:?}");
        }
    }
}

/// Guards the share: a worker takes no more than its part at once, and what nobody wants a little later.
#[test]
fn what_is_left_over_is_taken_later() {
    let mut worker = worker();
    let leases: Vec<(&str, Lease)> = vec![
        ("a", lease(Some(OTHER), 1)),
        ("b", lease(Some(OTHER), 1)),
        ("c", lease(None, 1)),
        ("d", lease(None, 1)),
        ("e", lease(None, 1)),
    ];
    assert_eq!(scan(&mut worker, &leases, 50.0).len(), 3, "the share of two is three");
    let mut worker = Worker::new(ME.into(), Rules { leases_max: 2, ..worker.rules.clone() }, 1);
    assert_eq!(scan(&mut worker, &leases, 50.0).len(), 2, "it wants no more than two");

    // It has its share of two already: what is free is left to the other first.
    let mut worker = self::worker();
    let two = [("y", lease(None, 4)), ("z", lease(None, 4))];
    assert_eq!(scan(&mut worker, &two, 40.0).len(), 2);
    for (shard, free) in two {
        answer(&mut worker, shard, TAKE, free, 40.0);
    }
    let mine = |shard| (shard, lease(Some(ME), 5));
    let leases = [mine("y"), mine("z"), ("b", lease(None, 1)), ("c", lease(Some(OTHER), 1))];
    assert_eq!(scan(&mut worker, &leases, 42.0), [""; 0]);
    assert!(worker.due(seconds(42.0)) <= seconds(42.625));
    assert_eq!(written(&worker.poll(seconds(42.625))), ["b Take"]);
}

/// Guards renewal: three times in a failover time, a failed one again soon; and a worker that could not write for the failover
/// time says itself that it has lost the lease.
#[test]
fn what_is_held_is_renewed_or_lost() {
    let mut worker = worker();
    give(&mut worker, "a", 10.0);
    let mut stored = lease(Some(ME), 5);
    assert_eq!(written(&worker.poll(seconds(13.0))), Vec::<String>::new());
    assert_eq!(written(&worker.poll(seconds(13.4))), ["a Renew"]);
    assert_eq!(written(&worker.poll(seconds(13.5))), Vec::<String>::new(), "one write at a time");
    stored = answer(&mut worker, "a", Kind::Renew, stored, 13.5);
    assert_eq!(written(&worker.poll(seconds(16.9))), ["a Renew"]);
    let renew = super::Change { by: ME.into(), counter: stored.counter, kind: Kind::Renew };
    worker.changed("a", &renew, None, seconds(16.9), seconds(18.0));
    assert_eq!(written(&worker.poll(seconds(18.1))), Vec::<String>::new());
    assert_eq!(written(&worker.poll(seconds(18.3))), ["a Renew"]);
    // The answer was lost, and the write was not: the counter is another, and the lease still ours.
    stored.counter += 1;
    worker.changed("a", &renew, Some(Changed::Refused(Some(Box::new(stored)))), seconds(18.3), seconds(18.4));
    assert_eq!(written(&worker.poll(seconds(18.4))), ["a Renew"]);
    worker.changed("a", &renew, None, seconds(18.4), seconds(20.0));
    worker.poll(seconds(23.4));
    assert_eq!(worker.news(), []);
    worker.poll(seconds(23.5));
    assert_eq!(worker.news(), [News::Lost("a".into())], "the last renewal began at 13.5");
    assert!(!worker.checkpoint("a", Checkpoint::ShardEnd, Vec::new(), 1));
}

/// Guards the hand-over from the owner's side: it is recalled, the checkpoint is still written, and with its release the
/// other may begin.
#[test]
fn a_lease_is_handed_over() {
    let mut worker = worker();
    give(&mut worker, "a", 10.0);
    let mut stored = lease(Some(ME), 5);
    stored.apply(&super::Change { by: OTHER.into(), counter: 0, kind: Kind::Ask { from: ME.into() } });
    assert_eq!(scan(&mut worker, &[("a", stored.clone())], 11.7), Vec::<String>::new());
    assert_eq!(worker.news(), [News::Recalled("a".into())]);
    let checkpoint = Checkpoint::Sequence { sequence: "17".into(), sub_sequence: 3 };
    assert!(worker.checkpoint("a", checkpoint.clone(), Vec::new(), 1));
    let writes = written(&worker.poll(seconds(11.8)));
    assert_eq!(writes, [format!("a Checkpoint({checkpoint:?})")]);
    let stored = answer(&mut worker, "a", Kind::Checkpoint(checkpoint), stored, 11.9);
    assert_eq!(worker.news(), [News::Written { shard: "a".into(), ticket: 1 }]);
    worker.returned("a");
    assert_eq!(written(&worker.poll(seconds(12.0))), ["a HandOver"]);
    let stored = answer(&mut worker, "a", Kind::HandOver, stored, 12.1);
    assert_eq!((stored.owner.as_deref(), stored.checkpoint_owner), (Some(OTHER), None));
    assert_eq!(written(&worker.poll(seconds(12.2))), Vec::<String>::new());
}

/// Guards the hand-over from the other side: it waits, takes what is handed over, and takes what is not when the owner shows
/// no life or its time is over.
#[test]
fn a_lease_that_was_asked_for_comes() {
    let asked = |owner: &str, counter: u64| {
        let mut lease = lease(Some(ME), counter);
        lease.checkpoint_owner = Some(owner.into());
        lease
    };
    let start = || {
        let mut worker = worker();
        let leases = [("a", lease(Some(OTHER), 1)), ("b", lease(Some(OTHER), 1))];
        let writes = scan(&mut worker, &leases, 50.0);
        let shard = writes[0].split(' ').next().unwrap().to_owned();
        answer(&mut worker, &shard, Kind::Ask { from: OTHER.into() }, lease(Some(OTHER), 1), 50.1);
        (worker, shard)
    };
    let (mut worker, shard) = start();
    assert_eq!(scan(&mut worker, &[(&shard, asked(OTHER, 2))], 55.0), Vec::<String>::new());
    assert_eq!(scan(&mut worker, &[(&shard, lease(Some(ME), 3))], 57.0), [format!("{shard} Take")]);

    let (mut worker, shard) = start();
    assert_eq!(written(&worker.poll(seconds(59.9))), Vec::<String>::new());
    assert!(written(&worker.poll(seconds(60.0))).contains(&format!("{shard} Take")), "no life since 50");

    let (mut worker, shard) = start();
    for n in 0..14_u32 {
        assert_eq!(scan(&mut worker, &[(&shard, asked(OTHER, 2 + u64::from(n)))], 52.0 + 2.0 * f64::from(n)), [""; 0]);
    }
    assert_eq!(written(&worker.poll(seconds(80.2))), [format!("{shard} Take")], "30 s are over");
}

/// Guards the stop: nothing more is taken, what comes back is released, and then it is done.
#[test]
fn a_stop_releases() {
    let mut worker = worker();
    give(&mut worker, "a", 10.0);
    worker.stop(seconds(11.0));
    assert!(!worker.is_done());
    assert_eq!(worker.poll(seconds(12.0)), []);
    assert_eq!(written(&worker.poll(seconds(14.0))), ["a Renew"], "it is still drained");
    let stored = answer(&mut worker, "a", Kind::Renew, lease(Some(ME), 5), 14.0);
    worker.returned("a");
    assert_eq!(written(&worker.poll(seconds(14.1))), ["a Release"]);
    let stored = answer(&mut worker, "a", Kind::Release, stored, 14.2);
    assert_eq!(stored.owner, None);
    assert!(worker.is_done());
}

/// Guards the leader of KCL 3: while its lock lives, nothing is taken; it is judged by its version, which must change.
#[test]
fn a_living_leader_is_left_alone() {
    let mut worker = worker();
    let leader = |version: &str| Leader { owner: "java".into(), version: version.into(), lasts: seconds(120.0) };
    let free = [("a", lease(None, 1))];
    assert_eq!(scan_with(&mut worker, &free, Some(&leader("1")), 10.0), [""; 0]);
    assert_eq!(worker.news(), [News::Ruled("java".into())]);
    assert_eq!(scan_with(&mut worker, &free, Some(&leader("2")), 40.0), [""; 0]);
    assert_eq!(scan_with(&mut worker, &free, Some(&leader("2")), 159.0), [""; 0]);
    assert_eq!(worker.news(), []);
    assert_eq!(scan_with(&mut worker, &free, Some(&leader("2")), 161.0), ["a Take"]);
    assert_eq!(worker.news(), [News::Free]);

    let mut worker = self::worker();
    scan_with(&mut worker, &free, Some(&leader("1")), 10.0);
    assert_eq!(scan_with(&mut worker, &free, None, 12.0), ["a Take"], "it has released its lock");
}

/// Guards that children wait: also for a parent whose lease one reading of the table may have missed.
#[test]
fn a_child_waits_for_its_parents() {
    let child = |parents: &[&str]| {
        let parents = parents.iter().map(ToString::to_string).collect();
        Lease::new(Checkpoint::TrimHorizon, parents, None)
    };
    let mut ended = lease(None, 9);
    ended.checkpoint = Checkpoint::ShardEnd;
    let mut worker = worker();
    assert_eq!(scan(&mut worker, &[("b", child(&["a"])), ("a", lease(Some(OTHER), 1))], 50.0), [""; 0]);
    assert_eq!(scan(&mut worker, &[("b", child(&["a"])), ("a", ended.clone())], 52.0), ["b Take"]);
    let mut worker = self::worker();
    assert_eq!(scan(&mut worker, &[("b", child(&["a"]))], 50.0), [""; 0], "seen once");
    assert_eq!(scan(&mut worker, &[("b", child(&["a"]))], 52.0), ["b Take"]);
}

/// Guards against waking without need: what waits for an answer is woken by it, and not every millisecond before.
#[test]
fn a_worker_that_waits_for_an_answer_sleeps() {
    let mut waiting = worker();
    assert_eq!(waiting.poll(seconds(1.0)), [Act::Scan]);
    assert!(waiting.due(seconds(1.0)) > seconds(2.0), "the stream is asked when the table is known");

    let mut worker = worker();
    let theirs = [("a", lease(Some(OTHER), 1)), ("b", lease(Some(OTHER), 1))];
    let asked = scan(&mut worker, &theirs, 50.0);
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    let shard = if asked.starts_with('a') { "a" } else { "b" };
    answer(&mut worker, shard, Kind::Ask { from: OTHER.into() }, lease(Some(OTHER), 1), 50.1);
    let acts = worker.poll(seconds(61.0));
    assert!(written(&acts).iter().any(|write| *write == format!("{shard} Take")), "its owner shows no life: {acts:?}");
    assert!(worker.due(seconds(61.0)) > seconds(62.0), "the write is under way");
}

/// Guards that leases are created from the stream's list, and only from a list that is younger than what was seen of the
/// table.
#[test]
fn leases_are_created_from_a_list() {
    let mut worker = worker();
    let first = worker.poll(seconds(1.0));
    assert_eq!(first, [Act::Scan], "the table first");
    worker.scanned(&BTreeMap::new(), None, seconds(1.1));
    assert_eq!(worker.poll(seconds(1.2)), [Act::List]);
    let shard = Shard { id: "a".into(), parents: Vec::new(), is_closed: false, hash_range: None };
    worker.listed(vec![shard], seconds(1.3));
    let acts = worker.poll(seconds(1.3));
    let [Act::Create { shard, lease }] = acts.as_slice() else { panic!("{acts:?}") };
    worker.created(shard, lease.clone(), Some(true), seconds(1.4));
    let acts = worker.poll(seconds(1.4));
    assert_eq!(written(&acts), ["a Take"]);

    let mut late = self::worker();
    late.poll(seconds(1.0));
    late.scanned(&BTreeMap::new(), None, seconds(1.1));
    late.poll(seconds(1.2));
    let shard = Shard { id: "a".into(), parents: Vec::new(), is_closed: false, hash_range: None };
    late.listed(vec![shard], seconds(20.0));
    let acts = late.poll(seconds(20.0));
    assert!(!acts.iter().any(|act| matches!(act, Act::Create { .. })), "it slept in between: {acts:?}");
}
