//! What every place of a spill must do. The library's own tests run it over memory, the suite over what is real.

use std::io;

use super::Disk;

/// Guards the contract of [`Disk`] on a place that holds nothing: what was written is listed and read, also across writes and
/// beyond the end; a write ends the file; replacing, renaming and removing are whole; what is not there is told.
pub async fn holds(disk: &impl Disk) {
    let listed = async || {
        let mut files = disk.list().await.unwrap();
        // A directory has its lock, which is no file of a spill.
        files.retain(|(name, _)| name != "lock");
        files.sort();
        files
    };
    let one = |name: &str, bytes: u64| vec![(name.to_owned(), bytes)];
    assert!(listed().await.is_empty());
    assert_eq!(disk.read("a", 0, 9).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    disk.remove("a").await.unwrap();

    disk.write("a", 0, b"0123456789").await.unwrap();
    disk.write("a", 10, b"abcdef").await.unwrap();
    disk.write("a", 16, b"XYZ").await.unwrap();
    assert_eq!(listed().await, one("a", 19));
    for (from, to, expected) in [
        (0, 19, &b"0123456789abcdefXYZ"[..]),
        (0, 4, b"0123"),
        (8, 18, b"89abcdefXY"),
        (10, 16, b"abcdef"),
        (16, 99, b"XYZ"),
        (19, 30, b""),
    ] {
        assert_eq!(disk.read("a", from, to).await.unwrap(), expected, "{from}..{to}");
    }
    // A write that failed is done again from where it began.
    disk.write("a", 10, b"new").await.unwrap();
    assert_eq!(disk.read("a", 0, 99).await.unwrap(), b"0123456789new");
    assert_eq!(listed().await, one("a", 13));

    disk.replace("a", b"other").await.unwrap();
    assert_eq!(disk.read("a", 0, 99).await.unwrap(), b"other");
    disk.write("a", 5, b" end").await.unwrap();
    disk.rename("a", "b").await.unwrap();
    assert_eq!(disk.read("b", 0, 99).await.unwrap(), b"other end");
    assert_eq!(disk.read("a", 0, 9).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(listed().await, one("b", 9));
    disk.replace("c", b"c").await.unwrap();
    disk.remove("b").await.unwrap();
    assert_eq!(listed().await, one("c", 1));
    disk.remove("c").await.unwrap();
    assert!(listed().await.is_empty());
}
