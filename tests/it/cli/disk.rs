//! Guards a disk that takes no more: what was not written is tried again, what was written is whole, the words say what to do, and
//! nothing is lost when there is room again. The limit of the process on the size of a file stands in for the disk.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::{Home, PATIENCE, Running, drain, findings, title};

const EVENTS: u32 = 400;

/// So much a file may hold, in blocks of 512 bytes: less than the events make.
const BLOCKS_MAX: u32 = 128;

/// Starts a run that may write no more than so much to a file. What it says comes line by line.
fn start_limited(home: &Home) -> (Running, mpsc::Receiver<String>) {
    // Who ignores the signal is told by the write, as by a disk.
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS_MAX}; exec \"$0\" run --config c.toml");
    let mut child = Command::new("/bin/sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_siemline")])
        .current_dir(home.directory.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (said, lines) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            // Nobody listens any more once the words were heard.
            drop(said.send(line));
        }
    });
    let out = drain(child.stdout.take().unwrap());
    (Running { child, out, err: drain(std::io::empty().take(0)), peak_kib: 0 }, lines)
}

/// The titles of what stands in the file, each of whose lines is whole.
fn written(home: &Home) -> BTreeSet<String> {
    let text = home.read("out.ndjson");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    home.lines("out.ndjson").iter().map(|event| title(event).unwrap().to_owned()).collect()
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let home = Home::new();
    home.write("in/0.ndjson", findings(0..EVENTS));
    home.write(
        "c.toml",
        "[source.file.in]\npaths = [\"in/*.ndjson\"]\n[sink.file.out]\npath = \"out.ndjson\"\n[sink.file.out.lane]\n\
         batch_entries_max = 20\nretry_first = \"10ms\"\nretry_max = \"50ms\"\n\
         [dead_letter.file]\ndirectory = \"dl\"\n[pipeline]\nshutdown_grace = \"100ms\"\n",
    );
    let (running, lines) = start_limited(&home);
    let mut heard = Vec::new();
    while !heard.last().is_some_and(|line: &String| line.contains("cannot write out.ndjson")) {
        heard.push(lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {heard:#?}")));
    }
    let words = heard.last().unwrap();
    assert!(words.contains("`rotate_bytes_max`") && words.contains("tries again"), "{words}");
    running.terminate();
    running.wait();
    let before = written(&home);
    assert!(!before.is_empty() && before.len() < EVENTS as usize, "{} were written", before.len());
    assert!(home.dead_letters().is_empty(), "a disk's fault is no event's");

    let ended = home.siemline(&["run", "--config", "c.toml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.count("delivered"), u64::from(EVENTS));
    assert_eq!(written(&home), (0..EVENTS).map(|number| format!("Finding {number}")).collect());
}
