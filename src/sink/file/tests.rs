//! Guards that a file holds whole lines only, is put aside when due, and that what is acknowledged is on the disk.

use std::time::Duration;

use super::{FileOptions, FileSink, Rotating, Rotation};
use crate::delivery::{Disposition, Sink as _};

fn rotation(bytes_max: u64) -> Rotation {
    Rotation { bytes_max, age_max: Duration::from_hours(1), mode: 0o600 }
}

/// Guards rotation by size: nothing is lost, and every file ends with a whole line.
#[tokio::test]
async fn rotates_by_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/events.ndjson");
    let mut file = Rotating::new(path.clone(), rotation(10));
    for number in 0..5 {
        file.append(format!("{{\"n\":{number}}}\n").as_bytes()).await.unwrap();
    }
    let mut texts: Vec<String> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(texts.len(), 3, "two lines a file: {texts:?}");
    texts.sort();
    assert_eq!(texts.concat().lines().count(), 5);
}

/// Guards that a line torn by a crash is taken back before the next is written, and that the file is private.
#[tokio::test]
async fn takes_back_what_is_torn() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.ndjson");
    std::fs::write(&path, "{\"whole\":1}\n{\"torn\":").unwrap();
    Rotating::new(path.clone(), rotation(1000)).append(b"{\"next\":2}\n").await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"whole\":1}\n{\"next\":2}\n");

    let fresh = directory.path().join("fresh.ndjson");
    Rotating::new(fresh.clone(), rotation(1000)).append(b"{}\n").await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Guards that a file which cannot be written is tried again, and that the words tell what to do.
#[tokio::test]
async fn what_cannot_be_written_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for (path, words) in
        [(directory.path().to_owned(), "a file in `path`"), (directory.path().join("file/x"), "`path`")]
    {
        let options: FileOptions = toml::from_str(&format!("path = '{}'", path.display())).unwrap();
        let error = FileSink::new(&options).check().await.unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Retry { after: None }, "file"));
        assert!(error.words.contains(words) && error.words.contains(&path.display().to_string()), "{error}");
    }
    for (kind, words) in [
        (std::io::ErrorKind::StorageFull, "make room on its disk"),
        (std::io::ErrorKind::QuotaExceeded, "make room on its disk"),
        (std::io::ErrorKind::FileTooLarge, "`rotate_bytes_max`"),
        (std::io::ErrorKind::PermissionDenied, "let the user of this process write there"),
    ] {
        assert!(super::sink::remedy(kind).contains(words), "{kind}");
    }
}
