//! The crash test: the real binary, killed again and again while chunks are unsettled, loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::kinesis::{FakeKinesis, STREAM, Tip, passing};
use crate::fakes::plan::{Fault, Plan};

/// Events in the stream.
const EVENTS: u32 = 20_000;

/// How often the binary is started and killed before it may end in peace.
const LIVES: u32 = 12;

/// How long the whole test may take. It takes a fraction of it; a machine may be busy.
const TIME_MAX: Duration = Duration::from_mins(5);

/// One of so many events is refused for good, another one at each sink.
const REFUSED_OF: u32 = 499;

/// The two sinks, by the names that the configuration gives them.
const SINKS: [&str; 2] = ["soc", "engineering"];

fn is_refused(sink: &str, n: u32) -> bool {
    n % REFUSED_OF == if sink == SINKS[0] { 7 } else { 100 }
}

/// Guards the promise: a stream of 20,000 findings is read out of four shards, which are split and merged meanwhile, into two
/// sinks that fail at random; the process is killed by SIGKILL twelve times with chunks unsettled; and in the end every
/// event stands at every sink, except those that a sink refuses for good, and exactly those lie in the dead letters.
/// `SIEMLINE_TEST_SEED` repeats the choices of a run, as far as the machine repeats its timing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_process_is_killed() {
    let started = Instant::now();
    let seed = std::env::var("SIEMLINE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let kinesis = FakeKinesis::start(4, Plan::dice(dice.u64(..), 5, passing())).await;
    let plan = |sink: &'static str, seed: u64| {
        Plan::dice(seed, 20, Fault::passing()).refusing(move |event| is_refused(sink, number(event)))
    };
    let hec = FakeHec::start(plan(SINKS[0], dice.u64(..))).await;
    let bulk = FakeBulk::start(plan(SINKS[1], dice.u64(..))).await;
    let house = House::new(&kinesis, &hec, &bulk);

    let mut records = records(&mut dice).into_iter().peekable();
    // Kills with events that were in the stream and not at every sink.
    let (mut put, mut kills) = (0, 0);
    for life in 1..=LIVES {
        // One part of the stream for each life, so that none finishes before its time.
        let part = EVENTS * life / (LIVES + 1);
        while put < part && records.peek().is_some() {
            let (events, data) = records.next().unwrap();
            kinesis.put(&format!("{}", dice.u32(..)), data);
            put += events;
        }
        match life {
            4 => drop(kinesis.split(&kinesis.open_shards()[1])),
            7 => drop(kinesis.merge(&kinesis.open_shards()[1], &kinesis.open_shards()[2])),
            _ => {}
        }
        let arrived = || hec.distinct() + bulk.distinct();
        let before = arrived();
        let more = dice.usize(1..1500);
        let mut binary = house.start();
        binary.until("some events arrive", started, &house, || arrived() > before + more).await;
        binary.kill();
        let due = |sink| (0..put).filter(|n| !is_refused(sink, *n)).count();
        if arrived() < due(SINKS[0]) + due(SINKS[1]) {
            kills += 1;
        }
        println!("life {life}: {} of {} arrived, {:?}", arrived(), due(SINKS[0]) + due(SINKS[1]), started.elapsed());
    }
    for (_, data) in records {
        kinesis.put(&format!("{}", dice.u32(..)), data);
    }
    assert!(kills >= 10, "{kills} kills");

    let expect = |sink: &str| (0..EVENTS).filter(|n| !is_refused(sink, *n)).collect::<BTreeSet<u32>>();
    let (at_hec, at_bulk) = (expect(SINKS[0]), expect(SINKS[1]));
    let mut binary = house.start();
    // Where the checkpoints stand at the end, everything has arrived: that is the promise.
    binary.until("all of the stream is settled", started, &house, || house.is_settled(&kinesis)).await;
    binary.stop(started, &house).await;

    let indexed = hec.received();
    let indexed: Vec<u32> = indexed.values().map(|arrival| number(&arrival.envelope["event"])).collect();
    let created = bulk.received();
    let created: Vec<u32> = created.values().map(|arrival| number(&arrival.document)).collect();
    for (sink, arrived, expected) in [(SINKS[0], indexed, at_hec), (SINKS[1], created, at_bulk)] {
        let ids = arrived.len();
        let arrived: BTreeSet<u32> = arrived.into_iter().collect();
        let lost: Vec<&u32> = expected.difference(&arrived).collect();
        let strange: Vec<&u32> = arrived.difference(&expected).collect();
        assert!(lost.is_empty() && strange.is_empty(), "{sink}: lost {lost:?}, strange {strange:?}, seed {seed}");
        assert_eq!(ids, expected.len(), "{sink}: an event that is read again has the same id, seed {seed}");
    }
    let refused =
        |sink: &'static str| (0..EVENTS).filter(move |n| is_refused(sink, *n)).map(move |n| (sink.to_owned(), n));
    let buried = house.dead_letters();
    let distinct: BTreeSet<(String, u32)> = buried.iter().cloned().collect();
    assert_eq!(distinct, SINKS.into_iter().flat_map(refused).collect(), "seed {seed}");
    assert_eq!(hec.silently_dropped(), 0);
    assert!(house.is_settled(&kinesis), "the checkpoints stay where they were");
    println!(
        "{EVENTS} events, {kills} kills, duplicates: {} at HEC, {} at _bulk (409), {} in the dead letters; {:?}",
        hec.duplicates(),
        bulk.duplicates(),
        buried.len() - distinct.len(),
        started.elapsed(),
    );
}

/// The number of an event, which its finding's id spells.
fn number(event: &Value) -> u32 {
    // OCSF at Splunk; ECS at Elastic, which has the id of a finding under `ocsf`.
    let id = event["finding_info"]["uid_alt"].as_str().or_else(|| event["ocsf"]["finding_info"]["uid_alt"].as_str());
    let id = id.unwrap_or_else(|| panic!("no finding: {event}"));
    u32::from_str_radix(id, 16).unwrap()
}

/// All events of the stream in records of 50 to 100: how many, and the record as a CloudWatch Logs subscription hands it
/// over. Every other event is wrapped by EventBridge.
fn records(dice: &mut fastrand::Rng) -> Vec<(u32, Vec<u8>)> {
    let mut records = Vec::new();
    let mut n = 0;
    while n < EVENTS {
        let events = dice.u32(50..=100).min(EVENTS - n);
        let log_events: Vec<Value> = (n..n + events)
            .map(|n| json!({ "id": format!("{n:056}"), "timestamp": time_ms(n), "message": message(n) }))
            .collect();
        let document = json!({
            "messageType": "DATA_MESSAGE",
            "owner": "111122223333",
            "logGroup": "/aws/events/guardduty",
            "logStream": "findings",
            "subscriptionFilters": ["to-siemline"],
            "logEvents": log_events,
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(document.to_string().as_bytes()).unwrap();
        records.push((events, gzip.finish().unwrap()));
        n += events;
    }
    records
}

fn time_ms(n: u32) -> i64 {
    1_760_000_000_000 + i64::from(n) * 1000
}

fn message(n: u32) -> String {
    let finding = finding(n);
    let message = if n.is_multiple_of(2) {
        finding
    } else {
        json!({
            "version": "0",
            "id": format!("00000000-0000-4000-8000-{n:012x}"),
            "detail-type": "GuardDuty Finding",
            "source": "aws.guardduty",
            "account": "111122223333",
            "time": "2025-10-09T08:53:20Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": finding,
        })
    };
    message.to_string()
}

fn finding(n: u32) -> Value {
    let id = format!("{n:032x}");
    json!({
        "schemaVersion": "2.0",
        "accountId": "111122223333",
        "region": "eu-west-1",
        "partition": "aws",
        "id": id,
        "arn": format!("arn:aws:guardduty:eu-west-1:111122223333:detector/d0000000000000000000000000000001/finding/{id}"),
        "type": "Recon:EC2/PortProbeUnprotectedPort",
        "resource": {
            "resourceType": "Instance",
            "instanceDetails": { "instanceId": format!("i-{n:017x}"), "instanceType": "t3.medium" },
        },
        "service": {
            "serviceName": "guardduty",
            "detectorId": "d0000000000000000000000000000001",
            "action": {
                "actionType": "PORT_PROBE",
                "portProbeAction": {
                    "portProbeDetails": [{
                        "localPortDetails": { "port": 22, "portName": "SSH" },
                        "remoteIpDetails": { "ipAddressV4": format!("198.51.100.{}", n % 254 + 1) },
                    }],
                    "blocked": false,
                },
            },
            "eventFirstSeen": "2025-10-09T08:00:00Z",
            "eventLastSeen": "2025-10-09T08:50:00Z",
            "archived": false,
            "count": n % 7 + 1,
        },
        "severity": 2,
        "createdAt": "2025-10-09T08:53:20.000Z",
        "updatedAt": "2025-10-09T08:53:20.000Z",
        "title": format!("Port probe number {n}"),
        "description": "An unprotected port of an instance is being probed.",
    })
}

/// Where the binary lives: its configuration, checkpoints, dead letters and log.
struct House {
    directory: tempfile::TempDir,
}

impl House {
    fn new(kinesis: &FakeKinesis, hec: &FakeHec, bulk: &FakeBulk) -> Self {
        let house = Self { directory: tempfile::tempdir().unwrap() };
        let lane = "batch_entries_max = 200\nbatch_age_max = \"50ms\"\nretry_first = \"50ms\"\nretry_max = \"500ms\"\n";
        let text = format!(
            r#"
            [source.kinesis.findings]
            stream = "{STREAM}"
            region = "eu-west-1"
            endpoint_url = "{kinesis}"
            checkpoint_file = "{checkpoints}"
            lease = {{ file_may_vanish = true }}
            checkpoint_interval = "50ms"
            idle_wait = "100ms"
            records_max = 5
            chunk_bytes_max = "20kB"

            [sink.splunk_hec.soc]
            endpoint = "{hec}"
            token = {{ env = "HEC_TOKEN" }}
            [sink.splunk_hec.soc.lane]
            {lane}
            [sink.elastic.engineering]
            endpoint = "{bulk}"
            api_key = {{ env = "ELASTIC_API_KEY" }}
            [sink.elastic.engineering.lane]
            {lane}
            [dead_letter.file]
            directory = "{dead_letters}"
            "#,
            kinesis = kinesis.url,
            checkpoints = house.path("checkpoints.json").display(),
            hec = hec.url,
            bulk = bulk.url,
            dead_letters = house.path("dead-letters").display(),
        );
        std::fs::write(house.path("siemline.toml"), text).unwrap();
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&self) -> Running {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_siemline"))
            .args(["run", "--config"])
            .arg(self.path("siemline.toml"))
            // Nothing of the machine's own: neither credentials nor a proxy.
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .envs([("HEC_TOKEN", TOKEN), ("ELASTIC_API_KEY", API_KEY)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running(child)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What lies in the dead letters: sink and event, one for each line.
    fn dead_letters(&self) -> Vec<(String, u32)> {
        let mut buried = Vec::new();
        for entry in std::fs::read_dir(self.path("dead-letters")).unwrap() {
            let path = entry.unwrap().path();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                buried.push(buried_event(line).unwrap_or_else(|| panic!("no dead letter of ours: {line}")));
            }
        }
        buried
    }

    /// Says whether the checkpoints on the disk stand behind all that the stream holds.
    fn is_settled(&self, kinesis: &FakeKinesis) -> bool {
        let text = std::fs::read_to_string(self.path("checkpoints.json")).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        kinesis.tips().into_iter().all(|(shard, tip)| {
            let expect = match tip {
                Tip::Closed => json!("SHARD_END"),
                Tip::Last(sequence) => json!({ "SEQUENCE": { "sequence": sequence, "sub_sequence": 0 } }),
                Tip::Empty => json!("TRIM_HORIZON"),
            };
            written["leases"][&shard]["checkpoint"] == expect
        })
    }
}

fn buried_event(line: &str) -> Option<(String, u32)> {
    let letter: BTreeMap<String, Value> = serde_json::from_str(line).ok()?;
    let original: Value = serde_json::from_str(letter.get("original")?.as_str()?).ok()?;
    let finding = original.get("detail").unwrap_or(&original);
    let n = u32::from_str_radix(finding["id"].as_str()?, 16).ok()?;
    (letter.get("reason")? == "refused").then(|| Some((letter.get("sink")?.as_str()?.to_owned(), n)))?
}

/// One run of the binary. It is killed at the latest when the test ends.
struct Running(Child);

impl Running {
    /// Waits until something is so; not longer than the test may take, nor than the process lives.
    async fn until(&mut self, what: &str, started: Instant, house: &House, is: impl Fn() -> bool) {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !is() {
            tick.tick().await;
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("the binary ended with {status} before {what}:\n{}", house.log());
            }
            assert!(started.elapsed() < TIME_MAX, "waited too long until {what}:\n{}", house.log());
        }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(!status.success(), "{status}");
    }

    /// SIGTERM: it drains, checkpoints, and ends well.
    async fn stop(mut self, started: Instant, house: &House) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < TIME_MAX, "waited too long for the end:\n{}", house.log());
            tick.tick().await;
        };
        assert!(status.success(), "{status}:\n{}", house.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}
