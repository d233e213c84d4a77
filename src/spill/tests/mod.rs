//! The spill without a process: its pieces, the contract of its disk, and all of it simulated.

#[path = "../../../tests/it/spill/contract.rs"]
mod contract;
mod pieces;
mod simulation;
mod troubles;

use std::time::Duration;

use super::Disk;
use super::disk::Directory;
use super::testing::MemoryDisk;

/// Guards that the simulation stands on a disk like the real ones.
#[tokio::test]
async fn memory_and_directory_keep_the_contract() {
    contract::holds(&MemoryDisk::new(0, 0, Duration::ZERO)).await;
    let directory = tempfile::tempdir().unwrap();
    contract::holds(&Directory::open(directory.path()).await.unwrap()).await;
}
