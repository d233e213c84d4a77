//! The Kinesis source over sockets: nothing is lost, nothing overtakes, and the service's limits are kept.

mod access;
mod aggregates;
mod backfill;
mod bounds;
mod fan_out;
mod faults;
mod memory;
mod obstacles;
mod order;
mod standstill;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kinesis::config::Credentials;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use serde_json::{Value, json};
use siemline::ack::{Outcome, Receipt};
use siemline::aws;
use siemline::budget::Budget;
use siemline::lease::{Checkpoint, FileTable, Lease, LeaseTable};
use siemline::metric::{ShardState, SourceMeter};
use siemline::record::{Chunk, Record};
use siemline::shutdown::{self, Stop};
use siemline::source::kinesis::{Error, KinesisOptions, KinesisSource};
use siemline::source::{Intake, Source as _};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fakes::kinesis::{FakeKinesis, PATIENCE, STREAM, STREAM_ARN, error, passing};
use crate::fakes::plan::{Fault, Plan};

/// A running source, and the test in the place of the pipeline.
struct Reading {
    chunks: mpsc::Receiver<Chunk>,
    budget: Budget,
    stop: Stop,
    meter: Arc<SourceMeter>,
    source: JoinHandle<Result<(), Error>>,
    /// What the table's process has locked.
    lock: Option<PathBuf>,
}

impl Reading {
    /// Starts the source with the test's waits and these options besides. No answer is cut short for want of memory.
    async fn start(fake: &FakeKinesis, checkpoints: &Path, options: Value) -> Self {
        Self::with_budget(fake, checkpoints, options, Budget::new(1 << 30)).await
    }

    async fn with_budget(fake: &FakeKinesis, checkpoints: &Path, options: Value, budget: Budget) -> Self {
        let source = KinesisSource::new(&Arc::from("findings"), all_options(fake, checkpoints, &options));
        let mut lock = checkpoints.as_os_str().to_owned();
        lock.push(".lock");
        Self { lock: Some(lock.into()), ..Self::of(source.configured(sdk_config(fake).await), budget) }
    }

    /// Runs this source.
    fn of<T: LeaseTable>(source: KinesisSource<T>, budget: Budget) -> Self {
        let (sender, chunks) = mpsc::channel(4);
        let (stop, shutdown) = shutdown::channel();
        let meter = source.meter();
        let source = tokio::spawn(source.run(Intake::new(sender, budget.clone()), shutdown));
        Self { chunks, budget, stop, meter, source, lock: None }
    }

    /// What is measured of a shard.
    fn state(&self, shard: &str) -> ShardState {
        self.meter.shard(&Arc::from(shard)).state()
    }

    async fn chunk(&mut self) -> Chunk {
        let chunk = timeout(PATIENCE, self.chunks.recv()).await;
        chunk.expect("waited too long for a chunk").expect("the source reads on")
    }

    /// The next so many records, settled as they come.
    async fn deliver(&mut self, records: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < records {
            let chunk = self.chunk().await;
            texts.extend(chunk.records.iter().map(text));
            settle(chunk, Outcome::Delivered);
        }
        texts
    }

    /// Stops, and settles what still comes.
    async fn stop(self) -> Vec<String> {
        self.stop.stop();
        self.end().await.0
    }

    /// Settles what still comes, and waits for the end.
    async fn end(mut self) -> (Vec<String>, Result<(), Error>) {
        let mut texts = Vec::new();
        while let Some(chunk) = timeout(PATIENCE, self.chunks.recv()).await.expect("waited too long for the end") {
            texts.extend(chunk.records.iter().map(text));
            settle(chunk, Outcome::Delivered);
        }
        let result = timeout(PATIENCE, self.source).await.expect("waited too long for the source").unwrap();
        assert_eq!(self.budget.used(), 0, "all room is given back");
        (texts, result)
    }

    /// Dies without a word, as by SIGKILL.
    async fn kill(self) {
        self.source.abort();
        assert!(self.source.await.unwrap_err().is_cancelled());
        // Its process lives on, and a write that was under way lets go of the lock when it is done.
        if let Some(lock) = self.lock {
            tokio::task::spawn_blocking(move || std::fs::File::open(lock).unwrap().lock().unwrap()).await.unwrap();
        }
    }
}

/// The test's waits and these options besides.
fn all_options(fake: &FakeKinesis, checkpoints: &Path, options: &Value) -> KinesisOptions {
    let mut all = json!({
        "stream": STREAM,
        "endpoint_url": fake.url,
        "checkpoint_file": checkpoints,
        "checkpoint_interval": "1ms",
        "idle_wait": "1ms",
    });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

/// Credentials of nobody, and trust in the fake's certificate.
async fn sdk_config(fake: &FakeKinesis) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let mut loader = aws::loader(Some("eu-west-1")).credentials_provider(credentials);
    if let Some(certificate) = fake.certificate() {
        let trusted = TrustStore::empty().with_pem_certificate(certificate);
        let context = TlsContext::builder().with_trust_store(trusted).build().unwrap();
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let client = aws_smithy_http_client::Builder::new().tls_provider(provider).tls_context(context).build_https();
        loader = loader.http_client(client);
    }
    loader.load().await
}

/// Waits until something is as it should be. Whoever can be told of it waits for the telling instead.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "waited too long for {what}");
}

fn text(record: &Record) -> String {
    String::from_utf8(record.data.to_vec()).unwrap()
}

fn texts(chunk: &Chunk) -> Vec<String> {
    chunk.records.iter().map(text).collect()
}

/// Ends a chunk with an outcome, and gives its room back.
fn settle(chunk: Chunk, outcome: Outcome) {
    chunk.receipt.settle(outcome);
}

fn checkpoints() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoints.json");
    (directory, file)
}

async fn leases(file: &Path) -> BTreeMap<String, Lease> {
    FileTable::new(file.to_owned(), STREAM).load().await.unwrap()
}

/// Waits until the table on the disk is as it should be.
async fn until_leases(file: &Path, what: &str, is: impl Fn(&BTreeMap<String, Lease>) -> bool) {
    let waiting = async {
        while !is(&leases(file).await) {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "waited too long for {what}: {:?}", leases(file).await);
}

fn at(sequence: &str) -> Checkpoint {
    Checkpoint::Sequence { sequence: sequence.to_owned(), sub_sequence: 0 }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Guards the heart of it: every record of every shard comes once and in the shard's order, also when the stream is split and
/// merged meanwhile, and no record of a child is handed on before all of its parents' records are settled. Receipts are
/// settled late and out of order, shards are listed one a page.
#[tokio::test]
async fn children_come_after_their_parents() {
    let fake = FakeKinesis::start(3, Plan::healthy()).await;
    fake.page_shards_max(1);
    let (_directory, file) = checkpoints();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut put = 0;
    let mut put_some = |records: usize| {
        for _ in 0..records {
            fake.put(&format!("key {put}"), format!("record {put}"));
            put += 1;
        }
    };
    put_some(60);
    // New shards are seen at once, and not only when their parents have ended.
    let options = json!({
        "chunk_bytes_max": "50B", "records_max": 30, "window_chunks_max": 3, "shard_sync_interval": "20ms",
    });
    let mut reading = Reading::start(&fake, &file, options).await;
    let mut handed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut settled = BTreeSet::new();
    let mut out: Vec<(Vec<String>, Receipt)> = Vec::new();
    let mut reshardings = 0;
    let mut count = 0;
    loop {
        let total: usize = fake.shards().iter().map(|shard| shard.records.len()).sum();
        if count == total && out.is_empty() && reshardings == 3 {
            break;
        }
        let open = fake.open_shards();
        match (reshardings, count) {
            (0, 10..) => drop(fake.split(&open[0])),
            (1, 70..) => drop(fake.merge(&open[1], &open[2])),
            (2, 130..) => drop(fake.split(&open[2])),
            _ => {}
        }
        let now = [10, 70, 130].iter().filter(|threshold| count >= **threshold).count();
        if now > reshardings {
            reshardings += 1;
            put_some(60);
        }
        let most_out = 3 * fake.open_shards().len() + 3;
        if count < total && out.len() < most_out && (out.is_empty() || dice.bool()) {
            let Ok(Some(chunk)) = timeout(Duration::from_millis(50), reading.chunks.recv()).await else {
                assert!(!out.is_empty() || count < total);
                if !out.is_empty() {
                    let (sequences, receipt) = out.swap_remove(dice.usize(..out.len()));
                    settled.extend(sequences);
                    receipt.settle(Outcome::Delivered);
                }
                continue;
            };
            let shard = chunk.records[0].position.shard.to_string();
            let shards = fake.shards();
            for parent in &shards.iter().find(|known| known.id == shard).unwrap().parents {
                for record in &shards.iter().find(|known| known.id == *parent).unwrap().records {
                    assert!(settled.contains(&record.sequence), "{shard} before {parent} is settled, seed {seed}");
                }
            }
            let sequences: Vec<String> =
                chunk.records.iter().map(|record| record.position.sequence.as_str().to_owned()).collect();
            count += sequences.len();
            handed.entry(shard).or_default().extend(sequences.clone());
            out.push((sequences, chunk.receipt));
        } else if !out.is_empty() {
            let (sequences, receipt) = out.swap_remove(dice.usize(..out.len()));
            settled.extend(sequences);
            receipt.settle(Outcome::Delivered);
        }
    }
    assert_eq!(reading.stop().await, Vec::<String>::new());
    for shard in fake.shards() {
        let stored: Vec<String> = shard.records.iter().map(|record| record.sequence.clone()).collect();
        assert_eq!(handed.remove(&shard.id).unwrap_or_default(), stored, "{} seed {seed}", shard.id);
    }
    assert_eq!(fake.errors("ProvisionedThroughputExceededException"), 0, "the limits are kept");
    let leases = leases(&file).await;
    for shard in fake.shards() {
        let is_closed = shard.ending_sequence.is_some();
        assert_eq!(leases[&shard.id].checkpoint == Checkpoint::ShardEnd, is_closed, "{}", shard.id);
    }
}

/// Guards that throttling, expired iterators, denied keys, bare 500s, slow answers and cut connections cost time only:
/// every record comes once and in order.
#[tokio::test]
async fn disturbances_cost_time_only() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let fake = FakeKinesis::start(2, Plan::dice(seed, 30, passing())).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    for n in 0..50 {
        fake.put_to(&shards[0], format!("a{n}"));
        fake.put_to(&shards[1], format!("b{n}"));
    }
    let mut reading = Reading::start(&fake, &file, json!({ "records_max": 10, "stream": STREAM_ARN })).await;
    let got = reading.deliver(100).await;
    fake.plan(Plan::healthy());
    assert_eq!(reading.stop().await, Vec::<String>::new(), "seed {seed}");
    for shard in ["a", "b"] {
        let got: Vec<&String> = got.iter().filter(|text| text.starts_with(shard)).collect();
        let expect: Vec<String> = (0..50).map(|n| format!("{shard}{n}")).collect();
        assert_eq!(got, expect.iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Guards each failure of the service on its own: the reading goes on. All at the same time, since each waits a little.
#[tokio::test]
async fn each_disturbance_is_survived() {
    futures_util::future::join_all(passing().into_iter().map(|fault| async move {
        let words = format!("{fault:?}");
        let fake = FakeKinesis::start(1, Plan::script([fault.clone(), fault.clone(), fault.clone()])).await;
        let (_directory, file) = checkpoints();
        for n in 0..3 {
            fake.put("key", n.to_string());
        }
        let mut reading = Reading::start(&fake, &file, json!({})).await;
        assert_eq!(reading.deliver(3).await, ["0", "1", "2"], "{words}");
        // And once more amid the reading.
        fake.plan(Plan::script([fault]));
        fake.put("key", "3");
        assert_eq!(reading.deliver(1).await, ["3"], "{words}");
        assert_eq!(reading.stop().await, Vec::<String>::new(), "{words}");
    }))
    .await;
}

/// Guards that an iterator that grew too old is replaced behind the last record that was handed on.
#[tokio::test]
async fn expired_iterators_are_replaced() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    fake.put("key", "0");
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    assert_eq!(reading.deliver(1).await, ["0"]);
    fake.expire_iterators();
    fake.put("key", "1");
    assert_eq!(reading.deliver(1).await, ["1"]);
    assert!(fake.errors("ExpiredIteratorException") >= 1);
    let types: Vec<String> = fake.calls().iter().filter_map(|call| call.iterator_type.clone()).collect();
    assert_eq!(types.first().map(String::as_str), Some("TRIM_HORIZON"));
    assert_eq!(
        types.last().map(String::as_str),
        Some("AT_SEQUENCE_NUMBER"),
        "a checkpoint may stand inside an aggregate"
    );
    reading.stop().await;
}

/// Guards the limits of the service: a backlog is read at five calls and 2 MiB a second, and the service never has to say so.
/// The largest record there is comes whole.
#[tokio::test]
async fn the_limits_are_kept() {
    let fake = FakeKinesis::start(2, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shards = fake.open_shards();
    for n in 0..120 {
        fake.put_to(&shards[0], n.to_string());
    }
    let giant = "x".repeat((10 << 20) - 3);
    fake.put_to(&shards[1], giant.clone());
    fake.put_to(&shards[1], "behind it");
    let mut reading = Reading::start(&fake, &file, json!({ "records_max": 10 })).await;
    let got = reading.deliver(122).await;
    let small: Vec<&String> = got.iter().filter(|text| text.len() < 4).collect();
    assert_eq!(small, numbers(0..120).iter().collect::<Vec<_>>());
    let large: Vec<&String> = got.iter().filter(|text| text.len() > 4).collect();
    assert!(large == [&giant, "behind it"], "the giant comes first and whole");
    assert_eq!(fake.errors("ProvisionedThroughputExceededException"), 0);
    assert!(fake.calls().iter().all(|call| call.records <= 10));
    reading.stop().await;
}

/// Guards the window: so many chunks are out, and no more.
#[tokio::test]
async fn a_full_window_stops_the_reading() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    for n in 0..20 {
        fake.put("key", n.to_string());
    }
    let options = json!({ "chunk_bytes_max": "1B", "window_chunks_max": 2, "records_max": 5 });
    let mut reading = Reading::start(&fake, &file, options).await;
    let mut got = Vec::new();
    while got.len() < 20 {
        let (first, second) = (reading.chunk().await, reading.chunk().await);
        assert!(reading.chunks.is_empty(), "two are out");
        let calls = fake.calls().iter().filter(|call| call.records > 0).count();
        assert!(calls <= (got.len() + 2) / 5 + 1, "nothing is read for which there is no room");
        for chunk in [first, second] {
            got.extend(texts(&chunk));
            settle(chunk, Outcome::Delivered);
        }
    }
    assert_eq!(got, numbers(0..20));
    reading.stop().await;
}

/// Guards the checkpoint: it moves only over a contiguous run of what is settled, it is on the disk, and the next run goes on
/// behind it.
#[tokio::test]
async fn the_checkpoint_moves_over_what_is_settled() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let sequences: Vec<String> = numbers(0..4).into_iter().map(|n| fake.put_to(&shard, n)).collect();
    let one_each = json!({ "chunk_bytes_max": "1B" });
    let mut reading = Reading::start(&fake, &file, one_each.clone()).await;
    let (first, second) = (reading.chunk().await, reading.chunk().await);
    let (third, fourth) = (reading.chunk().await, reading.chunk().await);
    settle(second, Outcome::DeadLettered);
    settle(third, Outcome::Filtered);
    // Two more calls: the reader has had its turn, and many checkpoint intervals.
    let calls = fake.calls().len();
    fake.until("two more calls", |all| all.len() >= calls + 2).await;
    assert_eq!(leases(&file).await[&shard].checkpoint, Checkpoint::TrimHorizon);
    settle(first, Outcome::Delivered);
    until_leases(&file, "the third", |leases| leases[&shard].checkpoint == at(&sequences[2])).await;
    reading.kill().await;
    drop(fourth);

    let mut reading = Reading::start(&fake, &file, one_each).await;
    assert_eq!(reading.deliver(1).await, ["3"]);
    assert_eq!(reading.stop().await, Vec::<String>::new());
    assert_eq!(leases(&file).await[&shard].checkpoint, at(&sequences[3]));
}

/// Guards the way back: an abandoned chunk is read again record by record, and the record that is abandoned for the third
/// time is given up, while its neighbours are not.
#[tokio::test]
async fn the_third_abandonment_gives_up() {
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    let shard = fake.open_shards().remove(0);
    let sequences: Vec<String> = numbers(0..3).into_iter().map(|n| fake.put_to(&shard, n)).collect();
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    let chunk = reading.chunk().await;
    assert_eq!(texts(&chunk), numbers(0..3));
    assert!(!chunk.give_up);
    drop(chunk);
    let chunk = reading.chunk().await;
    assert_eq!(texts(&chunk), ["0"]);
    settle(chunk, Outcome::Delivered);
    for abandonments in 1..3 {
        // What was handed on behind an abandoned chunk comes again, and its receipt counts for nothing.
        let chunk = next_of(&mut reading, "1").await;
        assert!(!chunk.give_up, "after {abandonments}");
        drop(chunk);
    }
    let chunk = next_of(&mut reading, "1").await;
    assert!(chunk.give_up);
    assert_eq!(texts(&chunk), ["1"]);
    settle(chunk, Outcome::DeadLettered);
    let chunk = reading.chunk().await;
    assert_eq!((texts(&chunk), chunk.give_up), (vec!["2".to_owned()], false));
    settle(chunk, Outcome::Delivered);
    assert_eq!(reading.stop().await, Vec::<String>::new());
    assert_eq!(leases(&file).await[&shard].checkpoint, at(&sequences[2]));
}

/// The next chunk that holds this record; those before it are delivered.
async fn next_of(reading: &mut Reading, expect: &str) -> Chunk {
    loop {
        let chunk = reading.chunk().await;
        if texts(&chunk) == [expect] {
            return chunk;
        }
        settle(chunk, Outcome::Delivered);
    }
}

/// Guards what is refused for good on the way in: nothing is asked with a page's token and a stream's name at once, and a
/// stream of many pages is listed whole.
#[tokio::test]
async fn many_pages_of_shards_are_listed() {
    let fake = FakeKinesis::start(7, Plan::healthy()).await;
    fake.page_shards_max(2);
    let (_directory, file) = checkpoints();
    for shard in fake.open_shards() {
        fake.put_to(&shard, shard.clone());
    }
    let mut reading = Reading::start(&fake, &file, json!({})).await;
    let got: BTreeSet<String> = reading.deliver(7).await.into_iter().collect();
    assert_eq!(got, fake.open_shards().into_iter().collect());
    let lists = fake.calls().iter().filter(|call| call.operation == "ListShards").count();
    assert_eq!(lists, 4);
    reading.stop().await;
}
