//! A disk that takes no change any more: full, or mounted for reading only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::disk::{Directory, Inventory};
use super::super::log::Log;
use super::super::run::{Spill, run};
use super::super::testing::{Destination, MemoryDisk};
use super::simulation::{lane, paused, put};
use crate::ack::{Outcome, Settlements};
use crate::budget::Budget;
use crate::delivery;
use crate::metric::{EventMeter, LaneMeter};
use crate::shutdown;

/// The events that are on the disk when it begins to refuse, and those that come then.
const SPILLED: u64 = 60;
const LATER: u64 = 10;

/// Guards that a disk which takes no change is drained all the same: the destination is back, and gets what is on the disk
/// and, behind it, what waits; that the hindrance is told as long as it lasts; and that all is removed when it is over.
#[test]
fn a_disk_that_takes_no_change_is_drained_all_the_same() {
    paused().block_on(async {
        let (budget, events, meter) = (Budget::new(20_000), Arc::<EventMeter>::default(), Arc::<LaneMeter>::default());
        let (_stop, shutdown) = shutdown::channel();
        let disk = MemoryDisk::new(5, 0, Duration::from_millis(5));
        let destination = Arc::<Destination>::default();
        destination.is_down.store(true, Ordering::Relaxed);
        let ((parcels, queue), (to_lane, of_lane)) = (mpsc::channel(4), mpsc::channel(1));
        // A source beside it, which no lane waits for.
        let (other, mut of_other) = mpsc::channel(200);
        let spill = Spill {
            name: "spilling".into(),
            log: Log::open(disk.clone(), "ocsf", 64 << 20).await.unwrap(),
            bytes_max: 64 << 20,
            after: Duration::from_secs(1),
            queue,
            lane: to_lane,
            budget: budget.clone(),
            meter: Arc::clone(&meter),
            events: Arc::clone(&events),
            names: Arc::default(),
            shutdown,
            clock: || 1_700_000_000_000,
        };
        let spilling = run(spill, delivery::run(lane(&destination, of_lane, &budget, &events, &meter)));
        let hindrance = || meter.spill.state().and_then(|state| state.hindrance).map(|why| why.code);
        let until = async |is: &dyn Fn() -> bool| {
            while !is() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let driving = async {
            let settlements = Settlements::default();
            let lanes = [parcels, other];
            let put_one = async |number| {
                let receipt = settlements.receipt(number);
                put(&[number], &budget, &lanes, &receipt).await;
                receipt.settle(Outcome::Delivered);
            };
            for number in 0..SPILLED {
                put_one(number).await;
            }
            until(&|| meter.spill.written.get() == SPILLED).await;
            disk.refuse();
            for number in SPILLED..SPILLED + LATER {
                put_one(number).await;
            }
            until(&|| hindrance().as_deref() == Some("spill_disk")).await;
            assert!(destination.taken.lock().unwrap().is_empty());
            destination.is_down.store(false, Ordering::Relaxed);
            let taken = || destination.taken.lock().unwrap().len();
            until(&|| taken() == usize::try_from(SPILLED + LATER).unwrap()).await;
            assert_eq!(hindrance().as_deref(), Some("spill_disk"), "nothing can be removed, and that is told");
            disk.mend();
            until(&|| hindrance().is_none()).await;
            of_other.close();
            while of_other.recv().await.is_some() {}
        };
        timeout(Duration::from_hours(1), join(driving, spilling)).await.expect("it does not stand still");
        let left: Vec<String> = disk.files().into_keys().filter(|name| name != "settled").collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(events.abandoned.get(), 0);
    });
}

/// Guards the question before the first opening: whether the directory could be had and what it holds is told, and nothing of
/// the question is left behind.
#[tokio::test]
async fn a_directory_is_judged_without_being_made() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("new/spill");
    assert_eq!(Directory::probe(&path).await.unwrap(), Inventory::default());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let mut log = Log::open(Directory::open(&path).await.unwrap(), "ocsf", 1 << 20).await.unwrap();
    log.append(&[vec![1; 100]], 0).await.unwrap();
    std::fs::write(path.join("00000000000000000009.spill.damaged"), "damaged").unwrap();
    assert_eq!(Directory::probe(&path).await.unwrap(), Inventory { bytes: log.bytes(), damaged: 1 });
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 3, "the segment, the damaged one and the lock");
    std::fs::write(home.path().join("file"), "in the way").unwrap();
    for in_the_way in ["file", "file/spill"] {
        assert!(Directory::probe(&home.path().join(in_the_way)).await.is_err(), "{in_the_way}");
        assert!(Directory::open(&home.path().join(in_the_way)).await.is_err(), "{in_the_way}");
    }
}
