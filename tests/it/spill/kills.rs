//! Kills while the spill fills, and while it drains.

use std::collections::BTreeSet;

use tokio::net::TcpListener;

use super::House;
use crate::fakes::plan::{Fault, Plan};

const EVENTS: u32 = 4000;

/// Lives of the process while the spill fills, and while it drains, that end by SIGKILL.
const FILLING: u32 = 5;
const DRAINING: u32 = 4;

/// Guards law 1 across kills: with the first destination down, the other gets everything, and the checkpoints pass all of it,
/// although the process is killed five times while the spill fills; and from the disk alone the first gets everything when it
/// is back, although it fails at random and the process is killed four times while the spill drains. What comes twice has the
/// same id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_process_is_killed_with_a_spill() {
    let house = House::new(|seed| Plan::dice(seed, 20, Fault::passing())).await;
    house.configure(&house.behind_gate(), "64MiB");
    for life in 1..=FILLING {
        house.put(EVENTS / FILLING);
        let (at_other, on_disk) = (house.bulk.distinct(), house.spilled_bytes());
        let (more, more_bytes) = (house.roll(1..300), house.roll(1..50_000));
        let mut running = house.start();
        if life % 2 == 0 {
            running.until("some are spilled", || house.spilled_bytes() >= on_disk + more_bytes).await;
        } else {
            running.until("some arrive at the other", || house.bulk.distinct() >= at_other + more).await;
        }
        running.kill();
    }
    let mut running = house.start();
    running.until("all of the stream is settled", || house.is_settled()).await;
    assert_eq!((house.hec.distinct(), house.bulk.distinct()), (0, EVENTS as usize), "seed {}", house.seed);
    running.kill();

    house.gate.reopen().await;
    for _ in 0..DRAINING {
        let more = house.hec.distinct() + house.roll(1..400);
        let mut running = house.start();
        running.until("some arrive from the disk", || house.hec.distinct() >= more).await;
        assert!(!house.segments(".spill").is_empty(), "seed {}", house.seed);
        running.kill();
    }
    let mut running = house.start();
    running.until("the spill is empty", || house.segments(".spill").is_empty()).await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    house.assert_delivered(&BTreeSet::new());
}

/// Guards a destination that hangs: connections come about, and nothing is ever answered. The other gets everything, the
/// checkpoints go on, the process ends when it is asked to, and the next delivers from the disk, everything once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_hangs_is_spilled_for_and_a_stop_loses_nothing() {
    let house = House::new(|_| Plan::healthy()).await;
    // The system takes connections for it, and nobody ever reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    house.configure(&format!("http://{}", silent.local_addr().unwrap()), "64MiB");
    house.put(1000);
    let mut running = house.start();
    running.until("all of the stream is settled", || house.is_settled()).await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    assert!(told.contains("+ spilled 1000 "), "{told}");
    assert_eq!(house.bulk.distinct(), 1000);

    house.gate.reopen().await;
    house.configure(&house.behind_gate(), "64MiB");
    let mut running = house.start();
    running.until("the spill is empty", || house.segments(".spill").is_empty()).await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    house.assert_delivered(&BTreeSet::new());
    assert_eq!((house.hec.duplicates(), house.bulk.duplicates()), (0, 0), "seed {}", house.seed);
}
