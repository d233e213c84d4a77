//! A real process that is asked while it runs into what it may run into.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::{Answer, PATIENCE, get};
use crate::fakes::aggregate::aggregate;
use crate::fakes::http::{Reply, Server};
use crate::fakes::kinesis::{FakeKinesis, STREAM, error};
use crate::fakes::plan::Plan;

/// A Kinesis, a destination whose token may be wrong, and a place for dead letters that may be blocked.
pub struct House {
    directory: tempfile::TempDir,
    pub kinesis: FakeKinesis,
    hec: Server,
    is_token_wrong: Arc<AtomicBool>,
}

impl House {
    pub async fn new() -> Self {
        let is_token_wrong = Arc::new(AtomicBool::new(false));
        let is_wrong = Arc::clone(&is_token_wrong);
        let hec = Server::start(move |_| {
            if is_wrong.load(Ordering::Relaxed) {
                Reply::json(403, &json!({ "text": "Invalid token", "code": 4 }))
            } else {
                Reply::json(200, &json!({ "text": "Success", "code": 0 }))
            }
        })
        .await;
        let kinesis = FakeKinesis::start(2, Plan::healthy()).await;
        Self { directory: tempfile::tempdir().unwrap(), kinesis, hec, is_token_wrong }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write_config(&self, listen: &str) {
        let text = format!(
            r#"
            [admin]
            listen = "{listen}"
            [source.kinesis.findings]
            stream = "{STREAM}"
            region = "eu-west-1"
            endpoint_url = "{kinesis}"
            checkpoint_file = "checkpoints.json"
            checkpoint_interval = "50ms"
            idle_wait = "50ms"
            shard_sync_interval = "1s"
            standstill_after = "40ms"
            window_chunks_max = 1
            chunk_bytes_max = "1B"
            kpl_strict = true
            lease = {{ file_may_vanish = true }}
            [sink.splunk_hec.soc]
            endpoint = "{hec}"
            token = {{ file = "token" }}
            [sink.splunk_hec.soc.lane]
            batch_age_max = "10ms"
            pause_probe = "20ms"
            [dead_letter.file]
            directory = "blocked/dl"
            [pipeline]
            shutdown_grace = "2s"
            "#,
            kinesis = self.kinesis.url,
            hec = self.hec.url(),
        );
        std::fs::write(self.path("c.toml"), text).unwrap();
        std::fs::write(self.path("token"), "a token").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_siemline"));
        command
            .args(arguments)
            .args(["--config", "c.toml"])
            .current_dir(self.directory.path())
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("HOSTNAME", "here")])
            .stdin(Stdio::null());
        command
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts a run, and reads from its log where it can be asked.
    pub async fn start(&self) -> Running {
        let log = File::create(self.path("log")).unwrap();
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut running = Running { child, address: String::new() };
        let address = regex::Regex::new(r"admin server listens .*address=([0-9.:]+)").unwrap();
        self.until("the address is told", async || {
            let log = self.log();
            let Some(found) = address.captures(&log) else { return false };
            found[1].clone_into(&mut running.address);
            true
        })
        .await;
        running
    }

    pub async fn until(&self, what: &str, mut is: impl AsyncFnMut() -> bool) {
        let begin = Instant::now();
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
        while !is().await {
            tick.tick().await;
            assert!(begin.elapsed() < PATIENCE, "waited too long until {what}:\n{}", self.log());
        }
    }

    /// Waits until `/readyz` says this: ready where it is empty.
    pub async fn until_ready_says(&self, address: &str, words: &str) {
        self.until(&format!("/readyz says `{words}`"), async || {
            let answer = get(address, "/readyz").await;
            let is_ready = (answer.code, answer.body.as_str()) == (200, "ready\n");
            if words.is_empty() { is_ready } else { answer.code == 503 && answer.body.contains(words) }
        })
        .await;
    }
}

/// A run at work. It is killed at the latest when the test ends.
pub struct Running {
    child: Child,
    pub address: String,
}

impl Running {
    pub async fn terminate(mut self, house: &House) -> i32 {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let mut code = None;
        house
            .until("it ends", async || {
                code = self.child.try_wait().unwrap();
                code.is_some()
            })
            .await;
        code.unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Asserts law 1 as a scraper sees it, and gives the events back that were read.
fn read_events(metrics: &Answer) -> u64 {
    let events = |name: &str| metrics.sum(&format!("siemline_events_{name}"));
    let parts = ["delivered_total", "filtered_total", "dead_lettered_total", "abandoned_total", "in_flight"];
    assert_eq!(events("read_total"), parts.into_iter().map(events).sum::<u64>(), "{}", metrics.body);
    let entries = |name: &str| metrics.sum(&format!("siemline_lane_{name}"));
    let parts = ["delivered_total", "dead_lettered_total", "abandoned_total", "in_flight"];
    assert_eq!(entries("entries_total"), parts.into_iter().map(entries).sum::<u64>(), "{}", metrics.body);
    events("read_total")
}

/// Guards the whole of it on a process that meets one hindrance after the other: a stream that it may not ask, a wrong token, a
/// place for dead letters that is blocked. Each is told in words while it lasts, by readiness, metrics, status and page, and by
/// `siemline status`; and all is well again when it is mended. The books add up all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_says_what_is_in_its_way() {
    let house = House::new().await;
    house.write_config("127.0.0.1:0");
    house.kinesis.plan(Plan::dice(1, 100, vec![error("AccessDeniedException", "not authorized by plan")]));
    let running = house.start().await;
    let address = running.address.clone();
    house.until_ready_says(&address, "source `findings` is not open yet: cannot list shards: ").await;
    assert_eq!(get(&address, "/healthz").await.code, 200, "it lives");
    assert!(get(&address, "/").await.body.contains("class=\"red\""));
    house.kinesis.plan(Plan::healthy());
    house.until_ready_says(&address, "").await;

    // All is well: one event delivered, two that `kpl_strict` lets go and that count as filtered by its name.
    let shard = house.kinesis.open_shards().remove(0);
    house.kinesis.put_to(&shard, json!({ "n": 1 }).to_string());
    house.kinesis.put_to(&shard, aggregate(&[("mine", Some(1)), ("other", Some(u128::MAX))]));
    house.kinesis.split(&shard);
    let mut metrics = get(&address, "/metrics").await;
    house
        .until("all is delivered", async || {
            metrics = get(&address, "/metrics").await;
            read_events(&metrics) == 3 && metrics.sum("siemline_events_in_flight") == 0
        })
        .await;
    assert_eq!(metrics.sum("siemline_ready"), 1);
    assert_eq!(metrics.sum("siemline_source_open"), 1);
    let page = get(&address, "/").await;
    assert!(page.body.contains("class=\"green\""), "{}", page.body);

    // A wrong token pauses the lane, and what is out fills the window of the shard.
    house.is_token_wrong.store(true, Ordering::Relaxed);
    let open = house.kinesis.open_shards();
    for n in 2..5 {
        house.kinesis.put_to(&open[0], json!({ "n": n }).to_string());
    }
    house.until_ready_says(&address, "the lane of sink `soc` is paused: ").await;
    let mut status = Value::Null;
    house
        .until("the shard stands still", async || {
            status = serde_json::from_str(&get(&address, "/status").await.body).unwrap();
            status["sources"]["findings"]["shards"][&open[0]]["is_still"] == true
        })
        .await;
    let told = &status["sources"]["findings"]["shards"][&open[0]];
    assert_eq!(told["reason"], "lane_full", "{status:#}");
    assert_eq!((&status["is_ready"], &status["lanes"]["soc"]["condition"]), (&json!(false), &json!("paused")));
    assert!(status["lanes"]["soc"]["hindrance"]["since_ms"].as_i64().unwrap() > 1_700_000_000_000);
    let metrics = get(&address, "/metrics").await;
    assert_eq!((metrics.sum("siemline_lane_paused"), metrics.sum("siemline_ready")), (1, 0));
    let series =
        format!("siemline_shard_standstill_seconds{{source=\"findings\",shard=\"{}\",reason=\"lane_full\"}}", open[0]);
    let standstill = metrics.metric("siemline_shard_standstill_seconds");
    assert!(standstill.iter().any(|(told, seconds)| *told == series && *seconds != "0.000"), "{standstill:?}");
    read_events(&metrics);
    assert!(house.log().contains("reason=\"lane_full\""), "{}", house.log());

    // Whoever looks at the leases is told the same by the process.
    house.write_config(&address);
    let answered = house.output(&["status", "--json"]).await;
    let document: Value = serde_json::from_slice(&answered.stdout).unwrap_or_else(|_| panic!("{answered:?}"));
    assert!(answered.status.success(), "calls that are throttled cost the lag alone: {answered:?}");
    let shards = document[0]["shards"].as_array().unwrap();
    let told = shards.iter().find(|told| told["shard"] == open[0].as_str()).unwrap();
    assert_eq!(told["reason"], "lane_full", "{document:#}");
    assert!(told["standstill_ms"].as_u64().unwrap() > 0);
    assert!(document[0]["process"].as_str().unwrap().contains("is not ready: the lane of sink `soc`"), "{document:#}");
    let answered = house.output(&["status"]).await;
    assert!(String::from_utf8_lossy(&answered.stdout).contains("lane_full for "), "{answered:?}");

    house.is_token_wrong.store(false, Ordering::Relaxed);
    house.until_ready_says(&address, "").await;

    // Dead letters that cannot be kept stop the reading.
    std::fs::write(house.path("blocked"), "a file where a directory should be").unwrap();
    house.kinesis.put_to(&open[0], b"\xff\xfe broken".to_vec());
    house.until_ready_says(&address, "dead letters cannot be kept, and reading stops: cannot write blocked/dl/").await;
    assert_eq!(get(&address, "/metrics").await.sum("siemline_dead_letters_stuck"), 1);
    std::fs::remove_file(house.path("blocked")).unwrap();
    house.until_ready_says(&address, "").await;
    let mut metrics = get(&address, "/metrics").await;
    house
        .until("everything has ended", async || {
            metrics = get(&address, "/metrics").await;
            read_events(&metrics) == 7 && metrics.sum("siemline_events_in_flight") == 0
        })
        .await;
    let ended = ["delivered_total", "filtered_total", "dead_lettered_total"];
    let ended = ended.map(|name| metrics.sum(&format!("siemline_events_{name}")));
    assert_eq!(ended, [4, 2, 1], "{}", metrics.body);
    assert_eq!(
        metrics.metric("siemline_events_filtered_total"),
        [("siemline_events_filtered_total{rule=\"kpl_strict\"}", "2")]
    );
    assert_eq!(metrics.sum("siemline_dead_letters_kept_total"), 1);

    assert_eq!(running.terminate(&house).await, 0, "{}", house.log());
    assert!(house.log().contains("filtered 2 (kpl_strict 2)"), "{}", house.log());
    let answered = house.output(&["status"]).await;
    let words = String::from_utf8(answered.stdout).unwrap();
    assert!(words.contains("could not ask the process: nobody answers at"), "{words}");
}

/// Guards the last words: the summary names the shard that stood still when the process was stopped, and why; what it had read
/// is to be read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_names_what_stood_still() {
    let house = House::new().await;
    house.write_config("127.0.0.1:0");
    house.is_token_wrong.store(true, Ordering::Relaxed);
    let shard = house.kinesis.open_shards().remove(0);
    for n in 0..3 {
        house.kinesis.put_to(&shard, json!({ "n": n }).to_string());
    }
    let running = house.start().await;
    let address = running.address.clone();
    house
        .until("the shard stands still", async || {
            let status: Value = serde_json::from_str(&get(&address, "/status").await.body).unwrap();
            status["sources"]["findings"]["shards"][&shard]["is_still"] == true
        })
        .await;
    running.terminate(&house).await;
    let told = format!("stood still: {shard} of source findings: lane_full for ");
    assert!(house.log().contains(&told), "{}", house.log());
    assert!(house.log().contains("read 1 = delivered 0 + filtered 0 + dead-lettered 0 + to be read again 1"));
}

/// Guards the mistakes: an address that somebody has, one that is none of ours, and one that is no address.
#[tokio::test]
async fn an_address_that_cannot_be_had_is_explained() {
    let house = House::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = async |listen: &str, command: &str| {
        house.write_config(listen);
        let ended = house.output(&[command]).await;
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, words) = refused(&address, "run").await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains(&format!("cannot listen on {address} (`listen` under `[admin]`)")), "{words}");
    assert!(words.contains("stop it, or choose another port"), "{words}");
    let (code, words) = refused("192.0.2.1:9600", "run").await;
    assert!(code == Some(1) && words.contains("it is no address of this machine"), "{words}");
    for command in ["check", "run"] {
        let (code, words) = refused("localhost", command).await;
        assert_eq!(code, Some(64), "{words}");
        assert!(words.contains("c.toml:3:22: `localhost` is no address with a port"), "{words}");
    }
    assert_eq!(house.kinesis.calls().len(), 0, "nothing was read");
    drop(taken);
}
