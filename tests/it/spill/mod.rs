//! The real binary with a spill before a destination that is down, killed, hindered and damaged.

mod kills;
mod troubles;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::{Home, finding, title};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::gate::Gate;
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::kinesis::{FakeKinesis, STREAM, Tip};
use crate::fakes::plan::Plan;

/// No wait takes longer, even unoptimised on a busy machine: one that does hangs.
const PATIENCE: Duration = Duration::from_mins(3);

/// Events in one record.
const EVENTS_PER_RECORD: u32 = 10;

/// Bytes of an event that no compression takes away.
const NOISE_BYTES: usize = 200;

/// A stream with two sinks: `soc`, behind a gate that is closed and with a spill before it, and `engineering`.
struct House {
    home: Home,
    kinesis: FakeKinesis,
    hec: FakeHec,
    gate: Gate,
    bulk: FakeBulk,
    dice: Mutex<fastrand::Rng>,
    seed: u64,
    put: Mutex<u32>,
}

impl House {
    /// `SIEMLINE_TEST_SEED` repeats the choices of a run, as far as the machine repeats its timing.
    async fn new(hec: impl FnOnce(u64) -> Plan) -> Self {
        let seed = std::env::var("SIEMLINE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("seed {seed}");
        let mut dice = fastrand::Rng::with_seed(seed);
        let hec = FakeHec::start(hec(dice.u64(..))).await;
        let gate = Gate::open(hec.url.trim_start_matches("http://").parse::<SocketAddr>().unwrap()).await;
        gate.close().await;
        Self {
            home: Home::new(),
            kinesis: FakeKinesis::start(4, Plan::healthy()).await,
            hec,
            gate,
            bulk: FakeBulk::start(Plan::healthy()).await,
            dice: Mutex::new(dice),
            seed,
            put: Mutex::new(0),
        }
    }

    fn roll(&self, of: std::ops::Range<usize>) -> usize {
        self.dice.lock().unwrap().usize(of)
    }

    /// Writes the configuration: the first sink is at this address.
    fn configure(&self, soc: &str, bytes_max: &str) {
        let lane = "batch_entries_max = 100\nbatch_age_max = \"20ms\"\nretry_first = \"20ms\"\nretry_max = \"100ms\"\n\
                    request_timeout = \"2s\"\n";
        let text = format!(
            r#"
            [source.kinesis.findings]
            stream = "{STREAM}"
            region = "eu-west-1"
            endpoint_url = "{kinesis}"
            checkpoint_file = "checkpoints.json"
            lease = {{ file_may_vanish = true }}
            checkpoint_interval = "50ms"
            idle_wait = "50ms"
            standstill_after = "1s"
            records_max = 20
            chunk_bytes_max = "20kB"
            window_chunks_max = 8
            [sink.splunk_hec.soc]
            endpoint = "{soc}"
            token = {{ env = "HEC_TOKEN" }}
            [sink.splunk_hec.soc.lane]
            {lane}
            [sink.splunk_hec.soc.lane.spill]
            directory = "spill"
            directory_may_vanish = true
            bytes_max = "{bytes_max}"
            after = "100ms"
            [sink.elastic.engineering]
            endpoint = "{bulk}"
            api_key = {{ env = "ELASTIC_API_KEY" }}
            [sink.elastic.engineering.lane]
            {lane}
            [dead_letter.file]
            directory = "dl"
            "#,
            kinesis = self.kinesis.url,
            bulk = self.bulk.url,
        );
        self.home.write("c.toml", text);
    }

    fn behind_gate(&self) -> String {
        format!("http://{}", self.gate.address())
    }

    /// Puts so many events more into the stream.
    fn put(&self, events: u32) {
        let (mut put, mut dice) = (self.put.lock().unwrap(), self.dice.lock().unwrap());
        let end = *put + events;
        while *put < end {
            let mut lines = String::new();
            for number in *put..end.min(*put + EVENTS_PER_RECORD) {
                let mut noise = String::new();
                for _ in 0..NOISE_BYTES {
                    write!(noise, "{:02x}", dice.u8(..)).unwrap();
                }
                let mut finding = finding(number);
                finding["description"] = noise.into();
                writeln!(lines, "{finding}").unwrap();
            }
            *put = end.min(*put + EVENTS_PER_RECORD);
            self.kinesis.put(&dice.u32(..).to_string(), lines);
        }
    }

    fn start(&self) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_siemline"));
        command.args(["run", "--config", "c.toml"]);
        self.start_by(command)
    }

    /// Starts it where no file may grow beyond 64 KiB at the most: a disk that is full.
    fn start_with_little_room(&self) -> Running {
        let mut command = Command::new("sh");
        // A system sends a signal besides, which ends whoever does not ignore it.
        let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_siemline"), "run", "--config", "c.toml"]);
        self.start_by(command)
    }

    fn start_by(&self, mut command: Command) -> Running {
        let mut child = command
            .current_dir(self.home.path(""))
            // Nothing of the machine's own: neither credentials nor a proxy.
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .envs([("HEC_TOKEN", TOKEN), ("ELASTIC_API_KEY", API_KEY)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (told, err) = (Arc::clone(&log), child.stderr.take().unwrap());
        // It ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(err).lines() {
                let mut log = told.lock().unwrap();
                log.push_str(&line.unwrap());
                log.push('\n');
            }
        });
        Running { child, log, seed: self.seed }
    }

    /// Says whether the checkpoints on the disk stand behind all that the stream holds.
    fn is_settled(&self) -> bool {
        let Ok(written) = serde_json::from_str::<Value>(&self.home.read("checkpoints.json")) else { return false };
        self.kinesis.tips().into_iter().all(|(shard, tip)| {
            let expect = match tip {
                Tip::Closed => json!("SHARD_END"),
                Tip::Last(sequence) => json!({ "SEQUENCE": { "sequence": sequence, "sub_sequence": 0 } }),
                Tip::Empty => json!("TRIM_HORIZON"),
            };
            written["leases"][&shard]["checkpoint"] == expect
        })
    }

    /// The segments of the spill whose names end so, in their order.
    fn segments(&self, ending: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.home.path("spill")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(ending) && path.is_file());
        paths.sort();
        paths
    }

    /// The bytes of all segments.
    fn spilled_bytes(&self) -> usize {
        // One may be removed meanwhile.
        let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| usize::try_from(data.len()).unwrap());
        self.segments(".spill").iter().map(bytes).sum()
    }

    /// Asserts conservation: every event stands at the second sink, and at the first all but these; each under one id, and
    /// none lies in the dead letters.
    fn assert_delivered(&self, lost: &BTreeSet<u32>) {
        let seed = self.seed;
        let all: BTreeSet<u32> = (0..*self.put.lock().unwrap()).collect();
        let (soc, engineering) = (self.hec.received(), self.bulk.received());
        let at_soc: BTreeSet<u32> = soc.values().map(|arrival| number(&arrival.envelope["event"])).collect();
        let at_engineering: BTreeSet<u32> = engineering.values().map(|arrival| number(&arrival.document)).collect();
        assert_eq!(at_soc, &all - lost, "seed {seed}");
        assert_eq!(at_engineering, all, "seed {seed}");
        assert_eq!(
            (soc.len(), engineering.len()),
            (at_soc.len(), all.len()),
            "a second time has the same id, seed {seed}"
        );
        assert_eq!(self.hec.silently_dropped(), 0);
        assert!(self.home.dead_letters().is_empty(), "seed {seed}");
        println!("duplicates: {} at HEC, {} at _bulk (409)", self.hec.duplicates(), self.bulk.duplicates());
    }
}

/// The number of a finding, as its title tells it.
fn number(event: &Value) -> u32 {
    title(event).unwrap().trim_start_matches("Finding ").parse().unwrap()
}

/// One run of the binary. It is killed at the latest when the test ends.
struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    seed: u64,
}

impl Running {
    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The end of the log, and the seed: what a failure is told with.
    fn told(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("seed {}:\n{}", self.seed, lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    /// Waits until something is so; not longer than patience lasts, nor than the process lives.
    async fn until(&mut self, what: &str, is: impl Fn() -> bool) {
        let begin = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !is() {
            tick.tick().await;
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the binary ended with {status} before {what}, {}", self.told());
            }
            assert!(begin.elapsed() < PATIENCE, "waited too long until {what}, {}", self.told());
        }
    }

    /// Waits until the log tells this.
    async fn until_told(&mut self, words: &str) {
        let log = Arc::clone(&self.log);
        self.until(&format!("`{words}` is told"), || log.lock().unwrap().contains(words)).await;
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(!status.success(), "{status}");
    }

    /// SIGTERM, and the end.
    async fn stop(mut self) -> (ExitStatus, String) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.ended().await
    }

    /// Waits for the end.
    async fn ended(&mut self) -> (ExitStatus, String) {
        let begin = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.told());
            }
            assert!(begin.elapsed() < PATIENCE, "waited too long for the end, {}", self.told());
            tick.tick().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}
