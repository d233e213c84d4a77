//! Guards that a file source hands on every line, whatever the compression and however the bytes arrive.

use std::io::Write as _;

use super::{Decoder, FileOptions, FileSource, Lines};
use crate::ack::Outcome;
use crate::budget::Budget;
use crate::shutdown;
use crate::source::{Intake, Source as _};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Guards the decoder against pieces of every size, several members and a cut stream.
#[test]
fn decodes_in_pieces() {
    let text = b"one\ntwo\nthree\n".repeat(100);
    let members = [gzip(&text), gzip(b"four\n")].concat();
    let plain = [text.as_slice(), b"four\n"].concat();
    let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    for encoded in [&plain, &members, &zstd] {
        for size in [4, 7, 64, 100_000] {
            let (mut decoder, mut out) = (Decoder::Start, Vec::new());
            for piece in encoded.chunks(size) {
                decoder.feed(piece, &mut out).unwrap();
            }
            decoder.finish(&mut out).unwrap();
            assert_eq!(out, plain, "pieces of {size}");
        }
    }
    let (mut decoder, mut out) = (Decoder::Start, Vec::new());
    let cut = members.get(..members.len() - 3).unwrap();
    assert!(decoder.feed(cut, &mut out).and_then(|()| decoder.finish(&mut out)).is_err(), "a cut stream is an error");
    assert!(out.starts_with(&text), "what came before the cut is there");
}

/// Guards that lines come whole, trimmed of their ends, and that an endless line comes in bounded pieces.
#[test]
fn cuts_lines() {
    let mut lines = Lines::new(8);
    let mut out = Vec::new();
    for piece in ["a\r\n\n", "b", "c\n123456", "7890\nend"] {
        lines.feed(piece.as_bytes());
        out.extend(std::iter::from_fn(|| lines.next_line()));
    }
    out.extend(lines.rest());
    assert_eq!(out, ["a", "bc", "12345678", "90", "end"]);
}

fn options(path: &str) -> FileOptions {
    toml::from_str(&format!("paths = ['{path}']\nchunk_records_max = 2\nwindow_chunks_max = 2")).unwrap()
}

/// Guards the whole way: every line goes out in order, an abandoned chunk goes out again record by record, and the source
/// ends only when everything is settled.
#[tokio::test]
async fn hands_on_until_settled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lines.gz");
    std::fs::write(&path, gzip(b"1\n2\n3\n4\n5\n")).unwrap();
    let source = FileSource::open("test", options(path.to_str().unwrap()), None).unwrap();
    let (chunks, mut queue) = tokio::sync::mpsc::channel(8);
    let budget = Budget::new(1 << 20);
    let (_stop, shutdown) = shutdown::channel();
    let run = source.run(Intake::new(chunks, budget.clone()), shutdown);
    let take = async {
        let (mut seen, mut abandoned) = (Vec::new(), false);
        while let Some(chunk) = queue.recv().await {
            let texts = chunk.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap());
            seen.push(texts.collect::<Vec<_>>().join("+"));
            if seen.len() == 1 && !abandoned {
                abandoned = true;
                drop(chunk);
            } else {
                chunk.receipt.settle(Outcome::Delivered);
            }
        }
        seen
    };
    let (result, seen) = tokio::join!(run, take);
    result.unwrap();
    assert_eq!(seen.first().map(String::as_str), Some("1+2"));
    let after: Vec<&str> = seen.iter().skip_while(|texts| *texts != "1").map(String::as_str).collect();
    assert_eq!(after.get(..2), Some(["1", "2"].as_slice()), "abandoned records go alone: {seen:?}");
    let all: std::collections::BTreeSet<&str> = seen.iter().flat_map(|texts| texts.split('+')).collect();
    assert_eq!(all.len(), 5, "{seen:?}");
    assert_eq!(budget.used(), 0, "everything was given back");
}

/// Guards that a path that finds nothing is an error with the remedy.
#[test]
fn finds_nothing() {
    let error = FileSource::open("test", options("/nowhere/*.json"), None).err().unwrap();
    assert_eq!(error.to_string(), "`/nowhere/*.json` finds no file: mend the path, or remove it from `paths`");
}
