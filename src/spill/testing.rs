//! A disk in memory that fails and crashes by a seeded plan, and a destination that is up or down.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::disk::Disk;
use crate::delivery::testing::error;
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};

/// Files, of which what was not synced is lost in part when it [crashes](Self::crash).
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    by_name: BTreeMap<String, Content>,
    rng: fastrand::Rng,
    /// How many of a hundred changes fail, and how long one takes at most.
    fail: u8,
    latency_max: Duration,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
}

impl MemoryDisk {
    pub fn new(seed: u64, fail: u8, latency_max: Duration) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(Files { by_name: BTreeMap::new(), rng, fail, latency_max })))
    }

    /// Power goes: of what was not synced some is there, and some may be zeros.
    pub fn crash(&self) {
        let mut files = self.0.lock().unwrap();
        let Files { by_name, rng, .. } = &mut *files;
        for content in by_name.values_mut() {
            let cut = rng.usize(content.synced..=content.bytes.len());
            let zeros = if rng.bool() { rng.usize(0..=content.bytes.len() - cut) } else { 0 };
            content.bytes.truncate(cut);
            content.bytes.resize(cut + zeros, 0);
            content.synced = content.bytes.len();
        }
    }

    /// From now on every change fails; what is there can be read.
    pub fn refuse(&self) {
        self.0.lock().unwrap().fail = 100;
    }

    /// From now on nothing fails.
    pub fn mend(&self) {
        self.0.lock().unwrap().fail = 0;
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.lock().unwrap();
        files.by_name.iter().map(|(name, content)| (name.clone(), content.bytes.clone())).collect()
    }

    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.0.lock().unwrap().by_name.insert(name.to_owned(), Content { bytes, synced });
    }

    /// Takes its time, and says whether it works.
    async fn work(&self) -> io::Result<()> {
        let (fails, time) = {
            let mut files = self.0.lock().unwrap();
            (files.rng.u8(0..100) < files.fail, files.latency_max.mul_f64(files.rng.f64()))
        };
        sleep(time).await;
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for MemoryDisk {
    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let files = self.files();
        Ok(files.into_iter().map(|(name, bytes)| (name, u64::try_from(bytes.len()).unwrap())).collect())
    }

    async fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        {
            let mut files = self.0.lock().unwrap();
            let content = files.by_name.entry(name.to_owned()).or_default();
            assert!(offset <= content.bytes.len(), "no holes");
            content.bytes.truncate(offset);
            content.bytes.extend_from_slice(bytes);
            content.synced = content.synced.min(offset);
        }
        self.work().await?;
        let mut files = self.0.lock().unwrap();
        let content = files.by_name.get_mut(name).unwrap();
        content.synced = content.bytes.len();
        Ok(())
    }

    async fn read(&self, name: &str, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let files = self.0.lock().unwrap();
        let content = files.by_name.get(name).ok_or(io::ErrorKind::NotFound)?;
        let place = |offset: u64| usize::try_from(offset).unwrap().min(content.bytes.len());
        Ok(content.bytes[place(from)..place(to)].to_vec())
    }

    async fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.work().await?;
        self.put(name, bytes.to_vec());
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.work().await?;
        let mut files = self.0.lock().unwrap();
        let content = files.by_name.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.by_name.insert(to.to_owned(), content);
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.work().await?;
        self.0.lock().unwrap().by_name.remove(name);
        Ok(())
    }
}

/// A destination that takes everything, in order, or nothing.
#[derive(Debug, Default)]
pub(super) struct Destination {
    pub is_down: AtomicBool,
    /// Every event that it took, in order, and when.
    pub taken: Mutex<Vec<(u64, Instant)>>,
}

impl Sink for Destination {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(event.ocsf());
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        sleep(Duration::from_millis(20)).await;
        if self.is_down.load(Ordering::Relaxed) {
            return Err(error(Disposition::Retry { after: None }, "http_503"));
        }
        let now = Instant::now();
        self.taken.lock().unwrap().extend(batch.frames().map(|frame| (number_in(frame), now)));
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) fn number_in(event: &[u8]) -> u64 {
    let digits: Vec<u8> = event.iter().copied().filter(u8::is_ascii_digit).collect();
    String::from_utf8(digits).unwrap().parse().unwrap()
}
