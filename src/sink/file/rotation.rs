//! A file that is appended to, synced and rotated. The dead letters use it too.

use std::fs::TryLockError;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

/// When a file is put aside, and who may read it.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// From this size on.
    pub bytes_max: u64,
    /// From this age on.
    pub age_max: Duration,
    /// The permission bits of a new file (Unix).
    pub mode: u32,
}

/// A file of lines. Lines are written whole or not at all: a write that fails midway is taken back.
pub struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    since: Instant,
}

impl Rotating {
    /// A file at this path; nothing is opened yet.
    #[must_use]
    pub fn new(path: PathBuf, rotation: Rotation) -> Self {
        Self { path, rotation, open: None }
    }

    /// Where it is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines and waits until the disk has them. Dropping the future midway may leave lines that nobody
    /// acknowledged: they may come twice, never torn, since the next write begins by taking back what is not whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, written or synced; nothing of these lines is then in it.
    pub async fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if !self.is_due(&open) => open,
            Some(open) => {
                drop(open);
                self.put_aside().await?;
                self.open().await?
            }
            None => self.open().await?,
        };
        if let Err(error) = write_and_sync(&mut open.file, lines).await {
            // Take the torn part back. Should that fail too, the next opening does it.
            let _ = open.file.set_len(open.bytes).await;
            return Err(error);
        }
        open.bytes += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.open = Some(open);
        Ok(())
    }

    fn is_due(&self, open: &Open) -> bool {
        open.bytes > 0 && (open.bytes >= self.rotation.bytes_max || open.since.elapsed() >= self.rotation.age_max)
    }

    async fn open(&self) -> io::Result<Open> {
        if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(directory).await?;
        }
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false);
        #[cfg(unix)]
        options.mode(self.rotation.mode);
        let mut file = self.held(options.open(&self.path).await?).await?;
        let bytes = whole_lines(&mut file).await?;
        file.set_len(bytes).await?;
        file.seek(SeekFrom::Start(bytes)).await?;
        Ok(Open { file, bytes, since: Instant::now() })
    }

    /// Holds a file while it is written: nobody is to take lines out of it meanwhile (`siemline replay --remove` does). Where
    /// there are no locks, nothing is held.
    async fn held(&self, file: File) -> io::Result<File> {
        let file = file.into_std().await;
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "lines are being taken out of it"));
        }
        // Before it was held, another may have taken its place.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let there = tokio::fs::metadata(&self.path).await?;
            let own = file.metadata()?;
            if (there.dev(), there.ino()) != (own.dev(), own.ino()) {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another file has just taken its place"));
            }
        }
        Ok(File::from_std(file))
    }

    async fn put_aside(&self) -> io::Result<()> {
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (stem, extension) = (self.path.file_stem().unwrap_or_default(), self.path.extension().unwrap_or_default());
        for number in 0_u32..1000 {
            let mut name = stem.to_owned();
            name.push(if number == 0 { format!(".{stamp}") } else { format!(".{stamp}-{number}") });
            if !extension.is_empty() {
                name.push(".");
                name.push(extension);
            }
            let aside = self.path.with_file_name(name);
            if !tokio::fs::try_exists(&aside).await? {
                return tokio::fs::rename(&self.path, aside).await;
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for the rotated file"))
    }
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotating").field("path", &self.path).finish_non_exhaustive()
    }
}

async fn write_and_sync(file: &mut File, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines).await?;
    file.flush().await?;
    file.sync_data().await
}

/// Up to where a file consists of whole lines: a crash may have torn the last one.
async fn whole_lines(file: &mut File) -> io::Result<u64> {
    use tokio::io::AsyncReadExt as _;

    let mut end = file.metadata().await?.len();
    let mut piece = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        file.seek(SeekFrom::Start(start)).await?;
        let length = usize::try_from(end - start).unwrap_or(piece.len());
        let window = piece.get_mut(..length).unwrap_or_default();
        file.read_exact(window).await?;
        if let Some(at) = memchr::memrchr(b'\n', window) {
            return Ok(start + u64::try_from(at).unwrap_or(0) + 1);
        }
        end = start;
    }
    Ok(0)
}
