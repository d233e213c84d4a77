//! The fault table: what the services may refuse for as long as nobody mends it, what siemline says of it, and that it waits
//! and goes on when it is mended; and what ends it.
//!
//! Faults that pass by themselves stand in [`disturbances`](crate::fakes::kinesis::passing), ends of subscriptions in
//! [`fan_out`](super::fan_out).

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use siemline::budget::Budget;
use siemline::lease::{DynamoDbTable, Error as LeaseError, Keys, Start};
use siemline::metric::Reason;
use siemline::source::kinesis::KinesisSource;
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;

use super::{Reading, all_options, checkpoints, sdk_config, until};
use crate::fakes::dynamodb::FakeDynamoDb;
use crate::fakes::kinesis::FakeKinesis;
use crate::fakes::plan::Plan;
use crate::fakes::sts::FakeSts;

const DENIED: &str = "AccessDeniedException";

/// How records come in a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Polling,
    FanOut,
}

/// What siemline does while it is not mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// No shard is read yet, and the same is asked again.
    Waits,
    /// The shard stands still, with this reason.
    StandsStill(Reason),
    /// It reads all the same.
    Reads,
}

use By::{FanOut, Polling};
use Does::{Reads, StandsStill, Waits};

/// The call that is refused, how, what is said of it (nothing where it is throttled, which is no news), and what is done.
type Row = (By, &'static str, &'static str, &'static [&'static str], Does);

const FORBIDDEN: Does = StandsStill(Reason::Forbidden);
const THROTTLED: Does = StandsStill(Reason::Throttled);

const TABLE: [Row; 21] = [
    (
        Polling,
        "DescribeStreamSummary",
        DENIED,
        &["allow kinesis:DescribeStreamSummary", "the retention is not known"],
        Reads,
    ),
    (Polling, "ListShards", DENIED, &["allow kinesis:ListShards", "siemline iam"], Waits),
    (Polling, "GetShardIterator", DENIED, &["allow kinesis:GetShardIterator"], FORBIDDEN),
    (Polling, "GetRecords", DENIED, &["allow kinesis:GetRecords"], FORBIDDEN),
    (FanOut, "DescribeStreamSummary", DENIED, &["allow kinesis:DescribeStreamSummary", "no consumer yet"], Waits),
    (FanOut, "DescribeStreamConsumer", DENIED, &["allow kinesis:DescribeStreamConsumer"], Waits),
    (FanOut, "RegisterStreamConsumer", DENIED, &["allow kinesis:RegisterStreamConsumer"], Waits),
    (FanOut, "SubscribeToShard", DENIED, &["allow kinesis:SubscribeToShard"], FORBIDDEN),
    (Polling, "GetRecords", "KMSAccessDeniedException", &["GetRecords on security", "allow kms:Decrypt"], FORBIDDEN),
    (
        FanOut,
        "SubscribeToShard",
        "KMSAccessDeniedException",
        &["SubscribeToShard on security", "allow kms:Decrypt"],
        FORBIDDEN,
    ),
    (Polling, "GetRecords", "KMSDisabledException", &["enable the stream's key"], FORBIDDEN),
    (Polling, "GetRecords", "KMSInvalidStateException", &["cancel the deletion of the stream's key"], FORBIDDEN),
    (Polling, "GetRecords", "KMSNotFoundException", &["encrypt the stream with a key that is there"], FORBIDDEN),
    (Polling, "GetRecords", "KMSOptInRequired", &["sign the account up for KMS"], FORBIDDEN),
    (Polling, "GetRecords", "KMSThrottlingException", &[], THROTTLED),
    (Polling, "GetRecords", "ProvisionedThroughputExceededException", &[], THROTTLED),
    (Polling, "GetShardIterator", "LimitExceededException", &[], THROTTLED),
    (Polling, "GetRecords", "ExpiredTokenException", &["renew the credentials of the environment"], FORBIDDEN),
    (
        Polling,
        "GetRecords",
        "UnrecognizedClientException",
        &["UnrecognizedClientException", "renew the credentials"],
        FORBIDDEN,
    ),
    (Polling, "GetRecords", "InvalidSignatureException", &["or the clock"], FORBIDDEN),
    (Polling, "GetRecords", "ExpiredIteratorException", &[], StandsStill(Reason::Disturbed)),
];

/// What is told at the level of warnings and above, in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// Waits until one line has all these words.
    async fn until(&self, words: &[&str]) {
        let has = || {
            let log = self.0.lock().unwrap();
            String::from_utf8_lossy(&log).lines().any(|line| words.iter().all(|words| line.contains(words)))
        };
        until(&format!("{words:?}"), has).await;
    }
}

/// Guards each row: it is said which call is refused and what to do about it, nothing ends, and everything is read when it
/// is mended. All at the same time, since each waits a little.
#[tokio::test]
async fn what_is_refused_is_said_and_waited_for() {
    let (log, _guard) = Log::listen();
    join_all(TABLE.map(|row| Box::pin(play(row, log.clone())))).await;
}

async fn play((by, call, code, words, does): Row, log: Log) {
    let fake = match by {
        Polling => FakeKinesis::start(1, Plan::healthy()).await,
        FanOut => FakeKinesis::start_tls(1, Plan::healthy()).await,
    };
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    fake.put_to(&shard, "0");
    fake.refuse(call, code, "by plan");
    let options = match by {
        Polling => json!({ "standstill_after": "40ms" }),
        FanOut => json!({ "standstill_after": "40ms", "mode": "fan_out" }),
    };
    let mut reading = Reading::start(&fake, &file, options).await;
    fake.until(code, |calls| calls.iter().filter(|asked| asked.error.as_deref() == Some(code)).count() >= 2).await;
    log.until(words).await;
    match does {
        Reads => assert_eq!(reading.deliver(1).await, ["0"], "{call} {code}"),
        Waits => assert_eq!(reading.state(&shard).standstill_ms, 0, "{call} {code}: there is no reader yet"),
        StandsStill(reason) => until(code, || reading.state(&shard).reason == reason).await,
    }
    assert!(!reading.source.is_finished(), "{call} {code} ends nothing");
    fake.mend();
    if does == Reads {
        fake.put_to(&shard, "0");
    }
    assert_eq!(reading.deliver(1).await, ["0"], "{call} {code} is mended");
    assert_eq!(reading.stop().await, Vec::<String>::new());
}

/// Guards the same of the role that is assumed: the message names the call, it is asked again, and credentials that are about
/// to expire are renewed.
#[tokio::test]
async fn a_role_that_is_refused_is_said_and_waited_for() {
    let (log, _guard) = Log::listen();
    let (fake, sts) = (FakeKinesis::start(1, Plan::healthy()).await, FakeSts::start().await);
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    sts.refuse(true);
    sts.lasts(Duration::from_secs(5));
    let role = json!({ "assume_role": "arn:aws:iam::444455556666:role/reader" });
    let source = KinesisSource::new(&Arc::from("findings"), all_options(&fake, &file, &role));
    let own = sdk_config(&fake).await.into_builder().endpoint_url(&sts.url).build();
    let mut reading = Reading::of(source.configured(own), Budget::new(64 << 20));
    log.until(&["ListShards on security", "sts:AssumeRole", "mend the credentials, or the role"]).await;
    assert!(!reading.source.is_finished());
    sts.refuse(false);
    assert_eq!(reading.deliver(1).await, ["0"]);
    let asked = sts.asked().len();
    until("new credentials", || sts.asked().len() > asked).await;
    fake.put("key", "1");
    assert_eq!(reading.deliver(1).await, ["1"]);
    reading.stop().await;
}

/// Guards the calls to the lease table, each with its permission: those that a reading cannot do without are waited for.
#[tokio::test]
async fn a_lease_table_that_refuses_is_said_and_waited_for() {
    let (log, _guard) = Log::listen();
    let rows = [("Scan", Waits), ("GetItem", Waits), ("PutItem", Waits), ("UpdateItem", Waits), ("DeleteItem", Reads)];
    join_all(rows.map(|(call, does)| Box::pin(play_table(call, does, log.clone())))).await;

    let fake = FakeDynamoDb::start(Plan::healthy()).await;
    let table = table(&fake).await;
    for call in ["CreateTable", "DescribeTable"] {
        fake.refuse(call, DENIED);
        let error = table.create_table().await.unwrap_err();
        assert!(matches!(error, LeaseError::Forbidden(_)) && error.is_passing(), "{error}");
        assert!(error.to_string().contains(&format!("allow dynamodb:{call}")), "{error}");
    }
    fake.mend();
    table.create_table().await.unwrap();
}

async fn play_table(call: &'static str, does: Does, log: Log) {
    let (fake, dynamodb) =
        (FakeKinesis::start(1, Plan::healthy()).await, FakeDynamoDb::with_table("leases", Plan::healthy()).await);
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    // The lease of a shard whose records have expired is removed.
    dynamodb.put("leases", gone());
    dynamodb.refuse(call, DENIED);
    let options = all_options(&fake, &file, &json!({ "lease": { "failover": "2s" }, "shard_sync_interval": "200ms" }));
    let table = table(&dynamodb).await;
    let source = KinesisSource::with_tables(&Arc::from("findings"), options, |_| table.clone());
    let mut reading = Reading::of(source.configured(sdk_config(&fake).await), Budget::new(64 << 20));
    let allow = format!("allow dynamodb:{call} ");
    log.until(&["DynamoDB table `leases`", &allow, "siemline iam"]).await;
    if does == Reads {
        assert_eq!(reading.deliver(1).await, ["0"], "{call}");
        fake.put("key", "0");
    }
    assert!(!reading.source.is_finished(), "{call} ends nothing");
    dynamodb.mend();
    assert_eq!(reading.deliver(1).await, ["0"], "{call} is mended");
    dynamodb.until("leases", "the removal", |leases| !leases.contains_key("shardId-000000000099")).await;
    reading.stop().await;
}

fn gone() -> Value {
    json!({
        "leaseKey": { "S": "shardId-000000000099" },
        "leaseCounter": { "N": "7" },
        "ownerSwitchesSinceCheckpoint": { "N": "0" },
        "checkpoint": { "S": "TRIM_HORIZON" },
        "checkpointSubSequenceNumber": { "N": "0" },
    })
}

async fn table(fake: &FakeDynamoDb) -> DynamoDbTable {
    let credentials = aws_sdk_dynamodb::config::Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let sdk_config = siemline::aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await;
    DynamoDbTable::new(&sdk_config, Some(&fake.url), "leases", Keys::Shard, Start::TrimHorizon)
}

/// How long the binary may take, on a busy machine too.
const RUN_MAX: Duration = Duration::from_mins(2);

/// Guards what ends a run, since no waiting helps: what is said on the way out, and the code. (A stream that is deleted while
/// it is read: `a_missing_stream_is_an_error`.)
#[tokio::test]
async fn what_cannot_be_waited_for_ends_the_run() {
    let (fake, dynamodb) = (FakeKinesis::start(1, Plan::healthy()).await, FakeDynamoDb::start(Plan::healthy()).await);
    dynamodb.make_table("others", "id");
    for (options, words) in [
        ("stream = \"typo\"", ["typo", "mend `stream`"]),
        ("stream = \"security\"\nlease_table = \"others\"", ["its key is id (HASH)", "choose another `lease_table`"]),
        (
            "stream = \"security\"\nlease_table = \"missing\"",
            ["DescribeTable on DynamoDB table `missing`", "set `create_table`"],
        ),
        ("stream = \"typo\"\nlease_table = \"others\"", ["DescribeStreamSummary on typo", "mend `stream`"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "[source.kinesis.findings]\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\n{options}\n\
             lease = {{ endpoint_url = \"{}\", file_may_vanish = true }}\n[sink.file.out]\npath = \"out.ndjson\"\n",
            fake.url, dynamodb.url
        );
        std::fs::write(directory.path().join("c.toml"), config).unwrap();
        let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_siemline"))
            .args(["run", "--config", "c.toml"])
            .current_dir(directory.path())
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .kill_on_drop(true)
            .output();
        let ended = timeout(RUN_MAX, run).await.expect("it ends").unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{options}: {told}");
        assert!(words.iter().all(|words| told.contains(words)), "{options}: {told}");
    }
}
