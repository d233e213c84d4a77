//! Where segments lie: a directory, or, for tests, memory that crashes.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use super::log::{DAMAGED_SUFFIX, SEGMENT_SUFFIX};

/// A place for a few files. Dropping any of these futures midway is as a crash: the change may or may not be made.
pub trait Disk: Send + Sync + 'static {
    /// The names of all files, and their sizes.
    fn list(&self) -> impl Future<Output = io::Result<Vec<(String, u64)>>> + Send;

    /// Writes at this offset, where the file then ends, makes the file if there is none, and completes when the disk has it.
    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads what stands between two offsets, or less where the file ends before.
    fn read(&self, name: &str, from: u64, to: u64) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Puts a file of these bytes in the place of whatever has the name, as a whole, and completes when the disk has it.
    fn replace(&self, name: &str, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file; that it is gone already is no error.
    fn remove(&self, name: &str) -> impl Future<Output = io::Result<()>> + Send;
}

/// A directory that belongs to one lane of one process, as long as this lives. Its files can be read by their owner only:
/// they hold the original bytes.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// What lies in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The bytes of segments that are still to be delivered, in part or as a whole.
    pub bytes: u64,
    /// How many damaged segments are kept.
    pub damaged: usize,
}

/// The name of the file that is locked.
const LOCK: &str = "lock";

const MODE: u32 = 0o600;

/// What a probe writes: a block of most file systems.
const PROBE_BYTES: usize = 4096;

impl Directory {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] where another lane or another process has it; any other where it cannot be made or
    /// written to.
    pub async fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path).await?;
        let options = Self::options().write(true).create(true).truncate(false).clone();
        let lock = options.open(path.join(LOCK)).await?.into_std().await;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Asks whether the directory could be made and written, and what it holds, and leaves nothing behind: a file is written
    /// and removed in it, or in the nearest directory above it that is there. Whether another process has it is not asked.
    ///
    /// # Errors
    ///
    /// With what the disk says against it.
    pub async fn probe(path: &Path) -> io::Result<Inventory> {
        let path = std::path::absolute(path)?;
        let mut nearest = path.as_path();
        while let (false, Some(above)) = (fs::try_exists(nearest).await?, nearest.parent()) {
            nearest = above;
        }
        let probe = nearest.join(format!("siemline-check-{}", std::process::id()));
        let written = Self::write_probe(&probe).await;
        match fs::remove_file(&probe).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error))?,
            _ => written?,
        }
        let mut found = Inventory::default();
        if nearest == path {
            for (name, bytes) in list(&path).await? {
                if name.ends_with(SEGMENT_SUFFIX) {
                    found.bytes += bytes;
                }
                found.damaged += usize::from(name.ends_with(DAMAGED_SUFFIX));
            }
        }
        Ok(found)
    }

    async fn write_probe(path: &Path) -> io::Result<()> {
        let mut file = Self::options().write(true).create_new(true).open(path).await?;
        file.write_all(&[0; PROBE_BYTES]).await?;
        file.flush().await?;
        file.sync_all().await
    }

    fn options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        #[cfg(unix)]
        options.mode(MODE);
        options
    }

    async fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path).await?.sync_all().await
    }
}

impl Disk for Directory {
    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        list(&self.path).await
    }

    async fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let mut file = Self::options().write(true).create(true).truncate(false).open(path).await?;
        file.set_len(offset).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        file.write_all(bytes).await?;
        file.flush().await?;
        file.sync_data().await?;
        if offset == 0 { self.sync().await } else { Ok(()) }
    }

    async fn read(&self, name: &str, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(self.path.join(name)).await?;
        file.seek(SeekFrom::Start(from)).await?;
        let mut bytes = Vec::new();
        let mut part = file.take(to.saturating_sub(from));
        while part.read_buf(&mut bytes).await? > 0 {}
        Ok(bytes)
    }

    async fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        self.write(&new, 0, bytes).await?;
        self.rename(&new, name).await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to)).await?;
        self.sync().await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

async fn list(directory: &Path) -> io::Result<Vec<(String, u64)>> {
    let (mut files, mut entries) = (Vec::new(), fs::read_dir(directory).await?);
    while let Some(entry) = entries.next_entry().await? {
        let data = match entry.metadata().await {
            Ok(data) => data,
            // Whoever is at work here may have removed it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let (true, Ok(name)) = (data.is_file(), entry.file_name().into_string()) {
            files.push((name, data.len()));
        }
    }
    Ok(files)
}
