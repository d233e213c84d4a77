//! Leases in a local file: for one process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Change, Changed, Checkpoint, Error, Kind, Lease, LeaseTable, memory};

/// The version of the file's form.
const VERSION: u32 = 1;

/// How long a process that has the table may take to end, and how often it is looked for.
const TAKE_PATIENCE: Duration = Duration::from_secs(5);
const TAKE_EVERY: Duration = Duration::from_millis(100);

/// A table in a JSON file, which is replaced whole and atomically: written beside it, synced, renamed, and the directory
/// synced. Whoever changes it first has it, until it is dropped; others are refused. Who owns which lease is not written:
/// with the process they are free.
///
/// Each change runs to its end on a thread for blocking work, one after the other: a future that is dropped midway never
/// leaves a write behind that could overtake the next.
#[derive(Clone, Debug)]
pub struct FileTable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    stream: String,
    held: Mutex<Option<Held>>,
}

/// What a process that changes the table holds.
#[derive(Debug)]
struct Held {
    leases: BTreeMap<String, Lease>,
    /// Locked as long as it is open.
    lock: File,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    stream: String,
    leases: BTreeMap<String, Lease>,
}

impl FileTable {
    /// A table at this path, for this stream. A file that belongs to another stream is refused, since its shards have the
    /// same names.
    #[must_use]
    pub fn new(path: PathBuf, stream: &str) -> Self {
        Self(Arc::new(Inner { path, stream: stream.to_owned(), held: Mutex::new(None) }))
    }

    /// Takes the table for this process. A process that is just ending is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process has it; as [`LeaseTable::load`] when it cannot be read.
    pub async fn take(&self) -> Result<(), Error> {
        let patience_ends = Instant::now() + TAKE_PATIENCE;
        loop {
            match self.blocking(|table| table.change(|_| ((), Durable::No))).await {
                Err(Error::InUse { .. }) if Instant::now() < patience_ends => tokio::time::sleep(TAKE_EVERY).await,
                taken => return taken,
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let work = tokio::task::spawn_blocking(move || work(&inner));
        work.await.unwrap_or_else(|error| Err(self.0.failed(io::Error::other(error))))
    }
}

impl Inner {
    fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_ref() {
            Some(held) => Ok(held.leases.clone()),
            None => self.read(),
        }
    }

    /// Changes the leases, and writes them if the change asks for it. What cannot be written is not changed.
    fn change<V>(&self, change: impl FnOnce(&mut BTreeMap<String, Lease>) -> (V, Durable)) -> Result<V, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = held.take();
        let (mut leases, lock) = if let Some(Held { leases, lock }) = taken {
            (leases, lock)
        } else {
            let lock = self.lock()?;
            (self.read()?, lock)
        };
        let (value, durable) = change(&mut leases);
        let written = match durable {
            Durable::Yes => self.write(&leases),
            Durable::No => Ok(()),
        };
        // After a failed write the file is read again.
        written?;
        *held = Some(Held { leases, lock });
        Ok(value)
    }

    /// Another process that has the table has this lock; the table itself is replaced by each write.
    fn lock(&self) -> Result<File, Error> {
        let failed = |error| self.failed(error);
        fs::create_dir_all(directory(&self.path)).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(beside(&self.path, ".lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(fs::TryLockError::WouldBlock) => Err(Error::InUse { path: self.path.display().to_string() }),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn read(&self) -> Result<BTreeMap<String, Lease>, Error> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let written: Written = serde_json::from_slice(&text).map_err(|error| self.foreign(error.to_string()))?;
        if written.version != VERSION {
            return Err(self.foreign(format!("version {} is not {VERSION}", written.version)));
        }
        if written.stream != self.stream {
            return Err(self.foreign(format!("they belong to the stream `{}`, not `{}`", written.stream, self.stream)));
        }
        Ok(written.leases)
    }

    fn write(&self, leases: &BTreeMap<String, Lease>) -> Result<(), Error> {
        let written = Written { version: VERSION, stream: self.stream.clone(), leases: leases.clone() };
        let mut text = serde_json::to_vec_pretty(&written).map_err(|error| self.failed(error.into()))?;
        text.push(b'\n');
        replace(&self.path, &text).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::File { path: self.path.display().to_string(), error }
    }

    fn foreign(&self, words: String) -> Error {
        Error::Foreign { path: self.path.display().to_string(), words }
    }
}

/// Whether a change is to survive the process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

impl LeaseTable for FileTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        self.blocking(Inner::load).await
    }

    async fn create(&self, shard: &str, lease: &Lease) -> Result<bool, Error> {
        let (shard, lease) = (shard.to_owned(), lease.clone());
        let create = move |leases: &mut BTreeMap<String, Lease>| {
            let is_new = memory::create(leases, &shard, &lease);
            (is_new, if is_new { Durable::Yes } else { Durable::No })
        };
        self.blocking(move |table| table.change(create)).await
    }

    async fn change(&self, shard: &str, change: &Change) -> Result<Changed, Error> {
        let (shard, change) = (shard.to_owned(), change.clone());
        let apply = move |leases: &mut BTreeMap<String, Lease>| {
            let changed = memory::apply(leases, &shard, &change);
            let is_progress = matches!(change.kind, Kind::Checkpoint(_) | Kind::Finish { .. });
            let durable = if is_progress && matches!(changed, Changed::Done(_)) { Durable::Yes } else { Durable::No };
            (changed, durable)
        };
        self.blocking(move |table| table.change(apply)).await
    }

    async fn remove(&self, shard: &str, counter: u64) -> Result<bool, Error> {
        let shard = shard.to_owned();
        let remove = move |leases: &mut BTreeMap<String, Lease>| {
            let is_gone = memory::remove(leases, &shard, counter);
            (is_gone, if is_gone { Durable::Yes } else { Durable::No })
        };
        self.blocking(move |table| table.change(remove)).await
    }

    async fn reset(&self, shard: &str, counter: u64, checkpoint: &Checkpoint) -> Result<bool, Error> {
        let (shard, checkpoint) = (shard.to_owned(), checkpoint.clone());
        let reset = move |leases: &mut BTreeMap<String, Lease>| {
            let is_reset = memory::reset(leases, &shard, counter, &checkpoint);
            (is_reset, if is_reset { Durable::Yes } else { Durable::No })
        };
        self.blocking(move |table| table.change(reset)).await
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = directory(path);
    fs::create_dir_all(directory)?;
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}
