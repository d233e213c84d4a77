//! Taking out of a file what need not be sent again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

/// Removes the lines that begin at these offsets. A file with nothing left in it is removed. What was appended since it was
/// read stays; a crash leaves the file as it was, or as it is to be. Blocks.
///
/// # Errors
///
/// When the file cannot be read or written anew, or a running siemline writes to it.
pub fn remove(path: &Path, offsets: &BTreeSet<u64>) -> io::Result<()> {
    let file = File::open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        let words = "a running siemline writes to it: stop it, and replay again with --remove";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, words));
    }
    let aside = path.with_extension("ndjson.part");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut rest = BufWriter::new(options.open(&aside)?);
    let (mut reader, mut line, mut offset, mut is_empty) = (BufReader::new(&file), Vec::new(), 0, true);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        if !offsets.contains(&offset) {
            rest.write_all(&line)?;
            is_empty = false;
        }
        offset += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
    rest.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    if is_empty {
        std::fs::remove_file(path)?;
        std::fs::remove_file(aside)
    } else {
        std::fs::rename(aside, path)
    }
}
