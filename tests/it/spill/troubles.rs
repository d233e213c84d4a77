//! Damage, a spill or a disk that is full, and a directory that cannot be had.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use super::{House, number};
use crate::fakes::plan::Plan;

/// The most events of one entry of the spill: a chunk is cut at 20 kB, and one record more.
const ENTRY_EVENTS_MAX: usize = 40;

/// The bytes of a segment's own header; frames stand behind it.
const HEADER_BYTES: usize = 56;

async fn reopen_and_drain(house: &House) -> String {
    house.gate.reopen().await;
    let mut running = house.start();
    // It takes signals then.
    running.until_told("reading shard").await;
    running.until("the spill is empty", || house.segments(".spill").is_empty()).await;
    let log = running.log();
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    log
}

/// Guards damage: a frame whose writing was cut short, in the middle of the spill, costs nothing; a byte that is not what it
/// was costs the entry that it stands in, is told, and its segment is kept aside; an end that is missing costs the entry that
/// it belonged to. Everything else is delivered, and the other sink misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_costs_what_it_hit_and_nothing_else() {
    let house = House::new(|_| Plan::healthy()).await;
    // Segments are an eighth of it.
    house.configure(&house.behind_gate(), "2MiB");
    house.put(3000);
    let mut running = house.start();
    running.until("all of the stream is settled", || house.is_settled()).await;
    running.kill();

    let segments = house.segments(".spill");
    let [first, second, .., last] = segments.as_slice() else { panic!("three segments, not {segments:?}") };
    flip(first, 2000);
    let mut torn = File::options().read(true).append(true).open(second).unwrap();
    let mut frame = vec![0; HEADER_BYTES + 600];
    torn.seek(SeekFrom::Start(0)).unwrap();
    torn.read_exact(&mut frame).unwrap();
    torn.write_all(&frame[HEADER_BYTES..]).unwrap();
    let last = File::options().write(true).open(last).unwrap();
    last.set_len(last.metadata().unwrap().len() - 10).unwrap();

    let log = reopen_and_drain(&house).await;
    assert_eq!(log.matches("the spill is damaged").count(), 1, "{log}");
    assert_eq!(house.segments(".spill.damaged").len(), 1);
    let there: BTreeSet<u32> =
        house.hec.received().values().map(|arrival| number(&arrival.envelope["event"])).collect();
    let lost: BTreeSet<u32> = (0..3000).filter(|number| !there.contains(number)).collect();
    assert!((2..=2 * ENTRY_EVENTS_MAX).contains(&lost.len()), "two entries, seed {}: {lost:?}", house.seed);
    house.assert_delivered(&lost);
}

/// Flips a bit of one byte.
fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Guards the bound: a spill that is full says so and takes no more than its `bytes_max`; the reading stops, for the other sink
/// too; and when the destination is back, all goes on, and everything arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spill_stops_the_reading_and_goes_on() {
    const EVENTS: u32 = 8000;
    let house = House::new(|_| Plan::healthy()).await;
    house.configure(&house.behind_gate(), "1MiB");
    house.put(EVENTS);
    let mut running = house.start();
    running.until_told("`bytes_max` is reached").await;
    running.until_told("reason=\"lane_full\"").await;
    assert!(house.spilled_bytes() <= 1 << 20, "{} bytes, {}", house.spilled_bytes(), running.told());
    assert!(house.bulk.distinct() < EVENTS as usize && !house.is_settled(), "the reading stops, {}", running.told());
    assert_eq!(house.hec.distinct(), 0);
    house.gate.reopen().await;
    running.until("all of the stream is settled", || house.is_settled()).await;
    running.until("the spill is empty", || house.segments(".spill").is_empty()).await;
    running.until_told("spill goes on").await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    house.assert_delivered(&BTreeSet::new());
}

/// Guards a full disk: it is told in the disk's own words, nothing is lost, and what is on the disk drains although the disk
/// takes nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_drains() {
    let house = House::new(|_| Plan::healthy()).await;
    house.configure(&house.behind_gate(), "64MiB");
    house.put(1000);
    let mut running = house.start_with_little_room();
    running.until_told("the disk fails: File too large").await;
    assert!(!house.is_settled(), "{}", running.told());
    house.gate.reopen().await;
    running.until("all of the stream is settled", || house.is_settled()).await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    let log = reopen_and_drain(&house).await;
    assert!(!log.contains("damaged"), "what was cut short was never settled: {log}");
    house.assert_delivered(&BTreeSet::new());
}

/// Guards a disk that is mended while the process runs: what stands in the way is told, and once it is gone, the spill goes on
/// and the checkpoints pass, with the destination still down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_mended_is_used_again() {
    let house = House::new(|_| Plan::healthy()).await;
    house.configure(&house.behind_gate(), "64MiB");
    house.put(1000);
    let obstacle = house.home.path("spill/00000000000000000001.spill");
    std::fs::create_dir_all(&obstacle).unwrap();
    let mut running = house.start();
    running.until_told("the disk fails: Is a directory").await;
    assert!(!house.is_settled(), "{}", running.told());
    std::fs::remove_dir(&obstacle).unwrap();
    running.until_told("spill goes on").await;
    running.until("all of the stream is settled", || house.is_settled()).await;
    assert_eq!(house.hec.distinct(), 0);
    running.kill();
    reopen_and_drain(&house).await;
    house.assert_delivered(&BTreeSet::new());
}

/// Guards the owner: a second process does not begin with a directory that another has, says what to do, and takes nothing;
/// `check` tells what lies there. Once the first is gone, a process with nothing to read empties it into a file, and ends. A
/// file in the way is told by both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_had_is_explained() {
    let house = House::new(|_| Plan::healthy()).await;
    house.configure(&house.behind_gate(), "64MiB");
    house.put(200);
    let mut running = house.start();
    running.until("all of the stream is settled", || house.is_settled()).await;

    house.home.write("one.ndjson", crate::cli::findings(0..1));
    let config = |directory: &str| {
        format!(
            "[source.file.in]\npaths = [\"one.ndjson\"]\n[sink.file.soc]\npath = \"out.ndjson\"\n\
             [sink.file.soc.lane.spill]\ndirectory = \"{directory}\"\ndirectory_may_vanish = true\n\
             [dead_letter.file]\ndirectory = \"dl\"\n"
        )
    };
    house.home.write("second.toml", config("spill"));
    let ended = house.home.siemline(&["run", "--config", "second.toml"]);
    let words = "the spill of sink `soc` in spill: it is in use by another lane or another process: give each lane of each process";
    assert!(ended.code == Some(1) && ended.err.contains(words), "{ended:?}");
    assert_eq!(house.home.read("out.ndjson"), "", "nothing was read");
    let ended = house.home.siemline(&["check", "--config", "second.toml", "--connect"]);
    let line = ended.out.lines().find(|line| line.starts_with("spill soc: ready, holds ")).unwrap();
    assert!(ended.code == Some(0) && line.ends_with(" bytes of 10GiB") && !line.contains("holds 0 "), "{ended:?}");
    running.kill();

    // As the page on delivery says how to empty one by hand.
    house.home.write("one.ndjson", "");
    let ended = house.home.siemline(&["run", "--config", "second.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let numbers: BTreeSet<u32> = house.home.lines("out.ndjson").iter().map(number).collect();
    assert_eq!(numbers, (0..200).collect(), "seed {}", house.seed);
    assert!(house.segments(".spill").is_empty());

    house.home.write("blocked", "a file where a directory should be");
    house.home.write("second.toml", config("blocked/spill"));
    let ended = house.home.siemline(&["run", "--config", "second.toml"]);
    let words = "the spill of sink `soc` in blocked/spill: it cannot be made, read or written: Not a directory";
    assert!(ended.code == Some(1) && ended.err.contains(words), "{ended:?}");
    let ended = house.home.siemline(&["check", "--config", "second.toml", "--connect"]);
    let words = "spill soc: NOT READY: blocked/spill cannot be made or written: Not a directory";
    assert!(ended.code == Some(1) && ended.out.contains(words), "{ended:?}");
}
