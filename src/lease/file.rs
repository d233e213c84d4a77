//! Leases in a local file: for one process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Checkpoint, Error, Lease, LeaseTable};

/// The version of the file's form.
const VERSION: u32 = 1;

/// A table in a JSON file, which is replaced whole and atomically: written beside it, synced, renamed, and the directory
/// synced. Two processes must not share it.
///
/// Each change runs to its end on a thread for blocking work, one after the other: a future that is dropped midway never
/// leaves a write behind that could overtake the next.
#[derive(Clone, Debug)]
pub struct FileTable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    stream: String,
    leases: Mutex<Option<BTreeMap<String, Lease>>>,
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
        Self(Arc::new(Inner { path, stream: stream.to_owned(), leases: Mutex::new(None) }))
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
        let mut held = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let leases = self.read()?;
        *held = Some(leases.clone());
        Ok(leases)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Lease>)) -> Result<(), Error> {
        let mut held = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leases = match held.as_ref() {
            Some(leases) => leases.clone(),
            None => self.read()?,
        };
        change(&mut leases);
        if held.as_ref() != Some(&leases) {
            self.write(&leases)?;
        }
        *held = Some(leases);
        Ok(())
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

impl LeaseTable for FileTable {
    async fn load(&self) -> Result<BTreeMap<String, Lease>, Error> {
        self.blocking(Inner::load).await
    }

    async fn update(&self, create: Vec<(String, Lease)>, remove: Vec<String>) -> Result<(), Error> {
        self.blocking(move |table| table.change(|leases| apply(leases, create, &remove))).await
    }

    async fn checkpoint(&self, shard: &str, checkpoint: Checkpoint) -> Result<(), Error> {
        let shard = shard.to_owned();
        self.blocking(move |table| table.change(|leases| move_checkpoint(leases, &shard, checkpoint))).await
    }
}

/// Adds what is not there and removes the others.
pub(super) fn apply(leases: &mut BTreeMap<String, Lease>, create: Vec<(String, Lease)>, remove: &[String]) {
    for (shard, lease) in create {
        leases.entry(shard).or_insert(lease);
    }
    leases.retain(|shard, _| !remove.contains(shard));
}

/// Moves the checkpoint of a shard that has a lease.
pub(super) fn move_checkpoint(leases: &mut BTreeMap<String, Lease>, shard: &str, checkpoint: Checkpoint) {
    if let Some(lease) = leases.get_mut(shard) {
        lease.checkpoint = checkpoint;
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}
