//! The real binary, as a person or a supervisor meets it: arguments, files and signals in; words, files and codes out.

mod answers;
mod archive;
mod delivery;
mod guide;
mod hostile;
mod iam;
mod letter_index;
mod letter_store;
mod letter_topic;
mod memory;
mod mistakes;
mod normalize;
mod recipes;
mod replay;
mod signals;
mod stats;

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use siemline::ocsf::{Severity, validate};
use tempfile::TempDir;

/// No command of this suite takes longer, even unoptimised on a busy machine: one that does hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// A directory of its own for one test, which the binary runs in.
pub struct Home {
    directory: TempDir,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
    /// The most memory it held at once, in KiB, as the system last told; 0 where it does not tell.
    pub peak_kib: u64,
}

/// A process that runs. It is killed when dropped.
pub struct Running {
    child: Child,
    out: mpsc::Receiver<Vec<u8>>,
    err: mpsc::Receiver<Vec<u8>>,
    peak_kib: u64,
}

impl Home {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The JSON lines of a file; none, where there is no such file.
    pub fn lines(&self, name: &str) -> Vec<Value> {
        json_lines(&self.read(name))
    }

    /// The dead letters, as the default place under `dl` holds them.
    pub fn dead_letters(&self) -> Vec<Value> {
        self.lines("dl/dead-letters.ndjson")
    }

    /// Runs the binary to its end. Blocks: tests with servers call it through [`tokio::task::spawn_blocking`].
    pub fn siemline(&self, arguments: &[&str]) -> Ended {
        self.siemline_fed(arguments, b"")
    }

    /// Runs the binary to its end, with this on standard input.
    pub fn siemline_fed(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut running = self.start(arguments);
        let mut stdin = running.child.stdin.take().unwrap();
        let input = input.to_vec();
        // A process that does not read its input closes the pipe.
        let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
        let ended = running.wait();
        feeding.join().unwrap();
        ended
    }

    /// Starts the binary in this directory, with nothing of the surroundings but what is set here.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_siemline"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        Running { child, out, err, peak_kib: 0 }
    }
}

impl Running {
    /// Asks the process to stop.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Says whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        drop(self.child.stdin.take());
        let begin = Instant::now();
        let status = loop {
            self.peak_kib = self.peak_kib.max(peak_kib(self.child.id()));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "the process hangs");
            thread::park_timeout(Duration::from_millis(5));
        };
        let text = |bytes: &mpsc::Receiver<Vec<u8>>| String::from_utf8(bytes.recv().unwrap()).unwrap();
        Ended { code: status.code(), out: text(&self.out), err: text(&self.err), peak_kib: self.peak_kib }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// The line of standard error that begins so, free of what stands before it; fails without one.
    pub fn line(&self, start: &str) -> &str {
        let found = self.err.lines().map(str::trim_start).find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line `{start}...` in:\n{}", self.err))
    }

    /// The numbers of the line `read N = ...` by their names, and asserts that it adds up.
    pub fn equation(&self) -> Vec<(String, u64)> {
        let line = self.line("read ");
        let mut terms = Vec::new();
        let plain = regex::Regex::new(r"\([^)]*\)").unwrap().replace_all(line, "").replace("to be read again", "again");
        for found in regex::Regex::new(r"([a-z-]+) (\d+)").unwrap().captures_iter(&plain) {
            terms.push((found[1].to_owned(), found[2].parse::<u64>().unwrap()));
        }
        let rest: u64 = terms.iter().skip(1).map(|(_, count)| count).sum();
        assert_eq!(terms[0], ("read".to_owned(), rest), "the equation does not hold: {line}");
        terms
    }

    /// One number of the equation; 0 where it is not in it.
    pub fn count(&self, name: &str) -> u64 {
        self.equation().into_iter().find(|(term, _)| term == name).map_or(0, |(_, count)| count)
    }
}

/// Reads a pipe to its end on a thread of its own, so that the process never waits for us.
fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::copy(&mut pipe, &mut bytes).unwrap();
        // Nobody asks any more when the test has failed.
        drop(sender.send(bytes));
    });
    receiver
}

/// `VmHWM` of a process that runs.
fn peak_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:.300}"))).collect()
}

/// Asserts that an event is valid OCSF.
pub fn assert_valid(event: &Value) {
    let mut problems = validate(event);
    problems.retain(|problem| problem.severity() == Severity::Error);
    assert!(problems.is_empty(), "{problems:?}\n{event:#.2000}");
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A GuardDuty finding of our own, told apart by its number.
pub fn finding(number: u32) -> Value {
    serde_json::json!({
        "schemaVersion": "2.0", "accountId": "111122223333", "region": "eu-west-1", "partition": "aws",
        "id": format!("{number:032x}"),
        "arn": format!("arn:aws:guardduty:eu-west-1:111122223333:detector/d1/finding/{number:032x}"),
        "type": "Recon:EC2/Portscan", "severity": 5, "title": format!("Finding {number}"), "description": "A port scan.",
        "createdAt": "2026-01-02T03:04:05.678Z", "updatedAt": "2026-01-02T03:05:05.678Z",
        "resource": { "resourceType": "Instance", "instanceDetails": { "instanceId": "i-0123456789EXAMPLE" } },
        "service": { "serviceName": "guardduty", "detectorId": "d1", "count": 3, "archived": false,
            "eventFirstSeen": "2026-01-02T03:00:00Z", "eventLastSeen": "2026-01-02T03:04:00Z",
            "action": { "actionType": "PORT_PROBE", "portProbeAction": { "blocked": false, "portProbeDetails": [] } } },
    })
}

/// These findings, one a line.
pub fn findings(numbers: impl IntoIterator<Item = u32>) -> String {
    ndjson(numbers.into_iter().map(finding))
}

pub fn ndjson(documents: impl IntoIterator<Item = Value>) -> String {
    documents.into_iter().flat_map(|document| [document.to_string(), "\n".to_owned()]).collect()
}

/// The text that tells one finding from another, if it stands in the event.
pub fn title(event: &Value) -> Option<&str> {
    // OCSF, or ECS, which has no field for a title beside the message.
    event["finding_info"]["title"].as_str().or_else(|| event["ocsf"]["finding_info"]["title"].as_str())
}
