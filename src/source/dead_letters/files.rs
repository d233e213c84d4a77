//! Dead letters in files.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::Error;
use crate::delivery::KeptLetter;

/// The longest line. Records are bounded by their transports, and what they become as a letter is a few times as long.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// The files of dead letters in a directory, or the one file that is named, each with its size now.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn find(from: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let failed = |error| Error::Read { path: from.to_owned(), error };
    let size = |path: &Path| path.metadata().map(|metadata| metadata.len());
    if !from.is_dir() {
        return Ok(vec![(from.to_owned(), size(from).map_err(failed)?)]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "ndjson") && path.is_file() {
            let bytes = size(&path).map_err(|error| Error::Read { path: path.clone(), error })?;
            files.push((path, bytes));
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::Nothing(from.to_owned())) } else { Ok(files) }
}

/// The lines of a file of dead letters, up to the size that it had.
#[derive(Debug)]
pub struct Letters {
    path: PathBuf,
    file: tokio::io::Take<BufReader<File>>,
    bytes: u64,
    offset: u64,
    line: Vec<u8>,
}

/// A line of a file.
#[derive(Debug)]
pub struct Line {
    /// Where it begins.
    pub offset: u64,
    /// How long it is, its end included.
    pub bytes: u64,
    /// The letter; `None` where it is none.
    pub letter: Option<KeptLetter>,
}

impl Letters {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn open(path: &Path, bytes: u64) -> Result<Self, Error> {
        let file = File::open(path).await.map_err(|error| Error::Read { path: path.to_owned(), error })?;
        let file = BufReader::new(file).take(0);
        Ok(Self { path: path.to_owned(), file, bytes, offset: 0, line: Vec::new() })
    }

    /// The next line. Dropping the future midway loses the place: the reading is to be begun anew then.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has a line that is longer than any letter.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        self.line.clear();
        self.file.set_limit(self.bytes.saturating_sub(self.offset).min(LINE_BYTES_MAX));
        let read = self.file.read_until(b'\n', &mut self.line).await;
        let bytes = read.map_err(|error| Error::Read { path: self.path.clone(), error })?;
        let (bytes, offset) = (u64::try_from(bytes).unwrap_or(u64::MAX), self.offset);
        if bytes == 0 {
            return Ok(None);
        }
        if bytes >= LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
            let error = io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any dead letter");
            return Err(Error::Read { path: self.path.clone(), error });
        }
        self.offset += bytes;
        // A line without its end is being written, or was torn: nobody acknowledged it.
        let letter = match self.line.strip_suffix(b"\n").map(KeptLetter::parse) {
            Some(Ok(letter)) => Some(letter),
            Some(Err(error)) => {
                tracing::warn!(path = %self.path.display(), offset, %error, "a line is passed over");
                None
            }
            None => None,
        };
        Ok(Some(Line { offset, bytes, letter }))
    }
}
