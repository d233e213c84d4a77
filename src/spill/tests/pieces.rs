//! The form of segments, and the log of them, against what disks do.

use std::sync::Arc;
use std::time::Duration;

use super::super::disk::Directory;
use super::super::entry;
use super::super::format::{Beginning, FILE_HEADER_BYTES, FileHeader, Place, Step, push_frame, step};
use super::super::log::{Found, Log};
use super::super::testing::MemoryDisk;
use super::super::{Disk as _, Error};
use crate::budget::Budget;
use crate::delivery::testing::block;

const SEGMENT: u64 = 7;

/// A segment's frames, and where each ends.
fn frames(bodies: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for (index, body) in (0..).zip(bodies) {
        push_frame(SEGMENT, index, body, &mut bytes).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// The numbers of the frames that are read, and how many bytes are told as damaged.
fn read(bytes: &[u8]) -> (Vec<u32>, usize) {
    let (mut at, mut whole, mut damaged) = (0, Vec::new(), 0);
    loop {
        let (found, next) = step(SEGMENT, bytes, at);
        match found {
            Step::Frame { index, .. } => whole.push(index),
            Step::Damage(lost) => damaged += lost,
            Step::End => return (whole, damaged),
        }
        assert!(next > at, "reading comes to its end");
        at = next;
    }
}

const BODIES: [&[u8]; 4] = [b"first", b"", b"third, with \xf5SPL in it", b"the fourth of them"];

/// Guards torn writes: cut at any byte, every frame before the cut is read, nothing else, and nothing is called damaged. The
/// same where the file system fills up with zeros.
#[test]
fn a_segment_cut_anywhere_gives_its_whole_frames() {
    let (bytes, ends) = frames(&BODIES);
    for cut in 0..=bytes.len() {
        let whole: Vec<u32> = (0..).zip(&ends).filter(|(_, end)| **end <= cut).map(|(index, _)| index).collect();
        assert_eq!(read(&bytes[..cut]), (whole.clone(), 0), "cut at {cut}");
    }
    for end in &ends {
        let mut zeros = bytes[..*end].to_vec();
        zeros.resize(end + 500, 0);
        let (whole, damaged) = read(&zeros);
        assert_eq!((whole.len(), damaged), (ends.iter().filter(|other| *other <= end).count(), 0));
    }
}

/// Guards flipped bits: one costs the frame that it is in and no other, and is told.
#[test]
fn a_flipped_bit_costs_one_frame_and_is_told() {
    let (bytes, ends) = frames(&BODIES);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
        let (whole, damaged) = read(&flipped);
        let others: Vec<u32> = (0..4).filter(|index| usize::try_from(*index).unwrap() != hit).collect();
        assert_eq!(whole, others, "bit {bit}");
        assert!(damaged > 0, "bit {bit}");
    }
}

/// Guards that frames of another file, as a disk may give them back, are none of this one.
#[test]
fn a_frame_of_another_segment_is_none() {
    let mut bytes = Vec::new();
    push_frame(SEGMENT + 1, 0, b"old", &mut bytes).unwrap();
    let (whole, damaged) = read(&bytes);
    assert!(whole.is_empty());
    assert_eq!(damaged, bytes.len());
}

/// Guards file header and place: written, read, and not believed where a byte is wrong.
#[test]
fn headers_and_places_are_read_as_written() {
    let header = FileHeader { segment: SEGMENT, begun_ms: -5, label: "ocsf".into() };
    let bytes = header.to_bytes();
    assert_eq!(FileHeader::read(&bytes), Beginning::Whole(header));
    assert_eq!(FileHeader::read(&bytes[..FILE_HEADER_BYTES - 1]), Beginning::Torn);
    let place = Place { segment: 3, index: 9 };
    assert_eq!(Place::read(&place.to_bytes()), Some(place));
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert_eq!(FileHeader::read(&wrong), Beginning::Damaged, "byte {at}");
    }
    for at in 0..place.to_bytes().len() {
        let mut wrong = place.to_bytes();
        wrong[at] ^= 1;
        assert_eq!(Place::read(&wrong), None, "byte {at}");
    }
}

/// Guards that an entry has all that a sink and a dead letter ask for, of its rows alone; and that no broken one is taken for
/// an entry, or does harm.
#[test]
fn an_entry_gives_back_its_events() {
    let budget = Budget::new(1 << 20);
    let mut of = Arc::into_inner(block("shardId-000000000001", &[10, 11, 12], &[1, 1, 1], budget.charge(0))).unwrap();
    of.raw = b"raw of 12".to_vec();
    of.rows[2].raw = 0..9;
    of.rows[2].account = of.rows[2].ocsf.start + 1..of.rows[2].ocsf.start + 4;
    of.rows[2].id = [7; 16];
    of.records[2].arrival_ms = Some(77);
    let body = entry::encode(&of, &[0, 2]).unwrap();
    let back = entry::decode(&body, &of.names, &budget).unwrap();
    assert_eq!((back.records.len(), back.rows.len(), &*back.source), (2, 2, "memory"));
    for (number, was) in [(0, 0), (1, 2)] {
        let (new, old) = (back.event(number).unwrap(), of.event(was).unwrap());
        assert_eq!((new.ocsf(), new.raw(), new.account()), (old.ocsf(), old.raw(), old.account()));
        assert_eq!((&new.row.log_type, new.row.id), (&old.row.log_type, old.row.id));
        let (new, old) = (back.record(new.row.record).unwrap(), of.record(old.row.record).unwrap());
        assert_eq!((&new.data, &new.position, new.arrival_ms), (&old.data, &old.position, old.arrival_ms));
    }
    assert!(budget.used() > 0, "what is read back is charged");
    drop(back);
    assert_eq!(budget.used(), 0);
    for cut in 0..body.len() {
        assert!(entry::decode(&body[..cut], &of.names, &budget).is_err(), "cut at {cut}");
    }
}

async fn drain(log: &mut Log<impl super::super::Disk>, budget: &Budget) -> (Vec<(Place, Vec<u8>)>, usize) {
    let (mut entries, mut damaged) = (Vec::new(), 0);
    loop {
        match log.next(budget).await.unwrap() {
            Found::Entry(place, body) => entries.push((place, body)),
            Found::Damage(_, bytes) => damaged += bytes,
            Found::Drained => return (entries, damaged),
        }
    }
}

/// Guards the log on a real directory: one owner at a time; what was written is read in order, over segments, while more is
/// written; what was settled does not come again, the rest does; what is wholly settled is removed; another form is refused.
#[tokio::test]
async fn a_log_outlives_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spill");
    let budget = Budget::new(1 << 20);
    let open = async || Log::open(Directory::open(&path).await?, "ecs", 4000).await;
    let mut log = open().await.unwrap();
    assert!(matches!(open().await, Err(Error::InUse)));
    let body = |number: u8| vec![number; 100];
    let mut written = Vec::new();
    for number in 0..10 {
        written.extend(log.append(&[body(number * 2), body(number * 2 + 1)], 5).await.unwrap());
        if number == 4 {
            assert_eq!(drain(&mut log, &budget).await.0.len(), 10);
            assert!(log.is_drained());
        }
    }
    assert_eq!(log.since_ms(), Some(5));
    let (rest, damaged) = drain(&mut log, &budget).await;
    assert_eq!((rest.len(), damaged), (10, 0));
    assert!(log.has_room(&[body(0)]) && !log.has_room(&[vec![0; 4000]]));
    for place in &written[..13] {
        log.settle(*place);
    }
    log.settle(written[17]);
    while log.wants_sweep() {
        log.sweep().await.unwrap();
    }
    log.keep_settled().await.unwrap();
    drop(log);

    assert!(matches!(
        Log::open(Directory::open(&path).await.unwrap(), "cim", 4000).await,
        Err(Error::Form { held, wanted }) if held == "ecs" && wanted == "cim"
    ));
    let mut log = open().await.unwrap();
    let (again, _) = drain(&mut log, &budget).await;
    let places: Vec<Place> = again.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, written[13..], "in order; that the 17th was settled is only known of what is contiguous");
    assert_eq!(again[0].1, body(13));
    for place in places {
        log.settle(place);
    }
    while log.wants_sweep() {
        log.sweep().await.unwrap();
    }
    assert_eq!(log.bytes(), 0);
    let next = log.append(&[body(1)], 6).await.unwrap();
    assert!(next[0] > written[19], "no place is used twice");
}

/// Guards damage in the middle: it is told, what is behind it comes, and the file is kept, under a name that is not read again.
#[tokio::test(start_paused = true)]
async fn a_damaged_segment_is_put_aside() {
    let disk = MemoryDisk::new(1, 0, Duration::ZERO);
    let budget = Budget::new(1 << 20);
    let mut log = Log::open(disk.clone(), "ocsf", 1 << 20).await.unwrap();
    log.append(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()], 0).await.unwrap();
    let (name, mut bytes) = disk.files().pop_first().unwrap();
    bytes[FILE_HEADER_BYTES + 21] ^= 1;
    disk.put(&name, bytes);
    let mut log = Log::open(disk.clone(), "ocsf", 1 << 20).await.unwrap();
    let (entries, damaged) = drain(&mut log, &budget).await;
    let bodies: Vec<&[u8]> = entries.iter().map(|(_, body)| body.as_slice()).collect();
    assert_eq!(bodies, [b"two".as_slice(), b"three"]);
    assert!(damaged > 0);
    for (place, _) in &entries {
        log.settle(*place);
    }
    while log.wants_sweep() {
        log.sweep().await.unwrap();
    }
    assert_eq!(disk.list().await.unwrap()[0].0, format!("{name}.damaged"));
    let mut log = Log::open(disk, "ocsf", 1 << 20).await.unwrap();
    assert_eq!(drain(&mut log, &budget).await, (Vec::new(), 0));
}
