//! Copies of the binary share a stream by a lease table: one is killed, one is stopped, and nothing is lost.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fakes::dynamodb::FakeDynamoDb;
use crate::fakes::kinesis::{FakeKinesis, STREAM};
use crate::fakes::plan::Plan;

const TABLE: &str = "siemline";

/// How long anything may take: the failover time is a fraction of it, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

const FAILOVER: Duration = Duration::from_secs(3);

/// The copies' home: one configuration each, which differ in where they write.
struct House {
    directory: tempfile::TempDir,
    kinesis: FakeKinesis,
    dynamodb: FakeDynamoDb,
    put: u32,
}

impl House {
    async fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            kinesis: FakeKinesis::start(4, Plan::healthy()).await,
            dynamodb: FakeDynamoDb::start(Plan::healthy()).await,
            put: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self, copy: &str) -> PathBuf {
        let text = format!(
            r#"
            [source.kinesis.findings]
            stream = "{STREAM}"
            region = "eu-west-1"
            endpoint_url = "{kinesis}"
            lease_table = "{TABLE}"
            checkpoint_interval = "50ms"
            idle_wait = "400ms"
            shard_sync_interval = "1s"
            [source.kinesis.findings.lease]
            endpoint_url = "{dynamodb}"
            create_table = true
            failover = "{failover}s"
            [sink.file.out]
            path = "{out}"
            format = "raw"
            lane = {{ batch_age_max = "20ms" }}
            [dead_letter.file]
            directory = "{dead_letters}"
            "#,
            kinesis = self.kinesis.url,
            dynamodb = self.dynamodb.url,
            failover = FAILOVER.as_secs(),
            out = self.path(&format!("{copy}.ndjson")).display(),
            dead_letters = self.path("dead-letters").display(),
        );
        let path = self.path(&format!("{copy}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, copy: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_siemline"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config(copy))
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .stdin(Stdio::null());
        command
    }

    fn start(&self, copy: &str) -> Copy {
        let log = File::create(self.path(&format!("{copy}.log"))).unwrap();
        Copy(self.command(copy, &["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn put_some(&mut self, records: u32) {
        for _ in 0..records {
            let data = json!({ "n": self.put }).to_string();
            self.kinesis.put(&format!("key {}", self.put), data);
            self.put += 1;
        }
    }

    /// How often each record came out, over all copies.
    fn arrived(&self) -> BTreeMap<u32, u32> {
        let mut arrived = BTreeMap::new();
        for copy in ["a", "b"] {
            let text = std::fs::read_to_string(self.path(&format!("{copy}.ndjson"))).unwrap_or_default();
            // A copy that is killed may leave half a line.
            let numbers = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["n"].as_u64());
            for n in numbers {
                *arrived.entry(u32::try_from(n).unwrap()).or_default() += 1;
            }
        }
        arrived
    }

    /// How many leases each owner has that is not finished.
    fn owned(&self) -> Vec<usize> {
        let mut owned: BTreeMap<String, usize> = BTreeMap::new();
        for item in self.dynamodb.items(TABLE).values() {
            let is_settled = item.contains_key("checkpointOwner") || item["checkpoint"]["S"] == "SHARD_END";
            if let Some(owner) = item.get("leaseOwner").filter(|_| !is_settled) {
                *owned.entry(owner["S"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        owned.into_values().collect()
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !is(self) {
            tick.tick().await;
            if began.elapsed() > PATIENCE {
                let logs = ["a", "b"].map(|copy| std::fs::read_to_string(self.path(&format!("{copy}.log"))));
                panic!("waited too long until {what}: {logs:?}\n{:#?}", self.dynamodb.items(TABLE));
            }
        }
    }

    async fn until_all_arrived(&self) {
        self.until("all records arrive", |house| house.arrived().len() == usize::try_from(house.put).unwrap()).await;
    }
}

/// One copy at work. It is killed at the latest when the test ends.
struct Copy(Child);

impl Copy {
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    async fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            tick.tick().await;
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Guards scaling and failure with real processes: two copies share four shards by two each; a copy that is asked to stop
/// hands over within the failover time and without a duplicate; a shard is split meanwhile; a copy that is killed is taken
/// over from; every record arrives, and `status` tells who reads what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_take_over_from_each_other() {
    let mut house = House::new().await;
    house.put_some(40);
    let a = house.start("a");
    house.until_all_arrived().await;
    let b = house.start("b");
    house.until("both have two", |house| house.owned() == [2, 2]).await;
    house.put_some(40);
    house.until_all_arrived().await;
    assert!(
        house.arrived().values().all(|times| *times == 1),
        "scaling out brings no duplicates: {:?}",
        house.arrived()
    );

    let began = Instant::now();
    a.stop().await;
    house.until("the other has four", |house| house.owned() == [4]).await;
    println!("handed over in {:?}", began.elapsed());
    house.put_some(40);
    house.until_all_arrived().await;
    assert!(house.arrived().values().all(|times| *times == 1), "nor does a deploy: {:?}", house.arrived());

    let [left, _right] = house.kinesis.split(&house.kinesis.open_shards()[0]);
    house.put_some(40);
    house.until_all_arrived().await;
    house.until("the child is read", |house| house.dynamodb.items(TABLE).contains_key(&key(&left))).await;

    let status = house.command("b", &["status", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&status.stdout).unwrap_or_else(|error| panic!("{error}: {status:?}"));
    let shards = told[0]["shards"].as_array().unwrap();
    let owned = shards.iter().filter(|shard| shard["state"] == "owned" && shard["lag_ms"].is_u64()).count();
    assert_eq!((shards.len(), owned), (6, 5), "{told:#}");
    let refused = house.command("b", &["reset", "findings", "--to", "TRIM_HORIZON", "--yes"]).output().unwrap();
    assert!(!refused.status.success(), "it is read");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop all copies first"), "{refused:?}");

    b.kill();
    house.put_some(40);
    let began = Instant::now();
    let a = house.start("a");
    house.until_all_arrived().await;
    println!("taken over in {:?}", began.elapsed());
    a.stop().await;
    assert_eq!(house.owned(), Vec::<usize>::new(), "all is released");

    let dry = house.command("a", &["reset", "findings", "--to", "TRIM_HORIZON", "--dry-run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&dry.stdout).contains("-> TRIM_HORIZON"), "{dry:?}");
    let reset = house.command("a", &["reset", "findings", "--to", "TRIM_HORIZON", "--yes"]).output().unwrap();
    assert!(reset.status.success(), "{reset:?}");
    let before = house.arrived();
    let a = house.start("a");
    let all_again = |house: &House| house.arrived().iter().all(|(n, times)| *times > before[n]);
    house.until("all of it comes again", all_again).await;
    a.stop().await;
}

fn key(shard: &str) -> String {
    format!("111122223333:{STREAM}:1700000000:{shard}")
}

/// Guards that checkpoints are not lost in silence: where a file would not survive a restart, `check` warns and `run` refuses,
/// unless it is told that this is wanted. And that `iam` prints policies.
#[test]
fn a_file_that_would_vanish_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("siemline.toml");
    let write = |lease: &str| {
        let text = format!("[source.kinesis.s]\nstream = \"s\"\nregion = \"eu-west-1\"\n{lease}\n[sink.stdout.o]\n");
        std::fs::write(&config, text).unwrap();
    };
    let siemline = |command: &str| {
        let mut binary = Command::new(env!("CARGO_BIN_EXE_siemline"));
        let binary = binary.arg(command).arg("--config").arg(&config).env_clear().current_dir(directory.path());
        binary.env("KUBERNETES_SERVICE_HOST", "10.0.0.1").stdin(Stdio::null()).output().unwrap()
    };
    write("");
    let checked = siemline("check");
    let warning = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && warning.contains("warning: source `s`: on Kubernetes"), "{checked:?}");
    let refused = siemline("run");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{words}");
    assert!(words.contains("lease_table") && words.contains("file_may_vanish"), "{words}");
    for lease in ["lease = { file_may_vanish = true }", "lease_table = \"t\""] {
        write(lease);
        let checked = siemline("check");
        let told = String::from_utf8_lossy(&checked.stdout);
        assert!(!told.contains("warning: source"), "{checked:?}");
        assert!(told.contains("warning: dead letters: on Kubernetes"), "they are in a file all the same: {checked:?}");
    }
    let policies: Value = serde_json::from_slice(&siemline("iam").stdout).unwrap();
    assert_eq!(policies[0]["policy"]["Statement"][0]["Resource"], "arn:aws:kinesis:eu-west-1:*:stream/s");
}
