//! The pipeline in a process of its own: its input is a pipe, its figures are its metrics.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siemline::{config, pipeline, shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::corpus;
use crate::destinations::Site;

/// What the child is told that is the pipeline.
pub const CHILD: &str = "child-that-is-the-pipeline";

/// How long the program may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of the clock that Linux counts a process's CPU time with.
const TICK: Duration = Duration::from_millis(10);

/// The destination beside the one that is watched.
#[derive(Clone, Copy)]
pub struct Other<'a> {
    pub url: &'a str,
    /// Whether it never answers.
    pub stalls: bool,
}

/// A program that can be run.
pub struct Pipeline {
    configuration: PathBuf,
    spill: PathBuf,
    admin: String,
    stalls: bool,
    has_other: bool,
    lines: Arc<Vec<Vec<u8>>>,
}

/// The program at work. It is killed when it is dropped.
pub struct Running<'a> {
    pipeline: &'a Pipeline,
    child: Child,
    wanted: watch::Sender<u64>,
    offered: Arc<AtomicU64>,
}

/// What the program says of itself.
pub struct Sample {
    pub at: Instant,
    /// Events at the watched destination.
    pub delivered: u64,
    /// Events at the other.
    pub delivered_to_other: u64,
    /// Events in the spill of the other.
    pub spilled: u64,
    /// What the program has spent.
    pub cpu: Duration,
}

/// The child: what `siemline run` does, on whatever disk. It is killed.
pub fn run(configuration: &str) {
    let settings = config::load(Path::new(configuration)).expect("a legal configuration");
    let mappings = Arc::new(config::mappings(&settings.normalize).expect("legal mappings"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (stop, shutdown) = shutdown::channel();
    let (_, result) = runtime.block_on(pipeline::run(settings.pipeline, mappings, &stop, shutdown, None));
    result.expect("it runs until it is killed");
}

impl Pipeline {
    /// A program that spills what waits for longer than `after`.
    pub fn new(site: &Site, watched: &str, other: Option<Other<'_>>, after: Duration) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let admin = free.local_addr().expect("it is bound").to_string();
        let token = site.secret("token", "token-EXAMPLE");
        let token = token["file"].as_str().expect("a path");
        let (spill, dead_letters) = (site.path("spill"), site.path("dead-letters").display().to_string());
        let mut text = format!(
            "[admin]\nlisten = \"{admin}\"\n[log]\nlevel = \"error\"\n[dead_letter.file]\ndirectory = \"{dead_letters}\"\n\
             [source.file.in]\npaths = [\"-\"]\nchunk_records_max = 250\nwindow_chunks_max = 1024\n\
             [sink.splunk_hec.watched]\nendpoint = \"{watched}\"\ntoken = {{ file = {token:?} }}\n"
        );
        if let Some(Other { url, .. }) = other {
            write!(
                text,
                "[sink.splunk_hec.other]\nendpoint = \"{url}\"\ntoken = {{ file = {token:?} }}\n\
                 [sink.splunk_hec.other.lane.spill]\ndirectory = \"{}\"\nafter = \"{}s\"\n",
                spill.display(),
                after.as_secs()
            )
            .expect("memory takes it");
        }
        let configuration = site.path("siemline.toml");
        std::fs::write(&configuration, text).expect("a file");
        let records = corpus::all().into_iter().find(|corpus| !corpus.is_gzip).expect("plain records").records;
        let lines = records.into_iter().map(|mut line| {
            line.push(b'\n');
            line
        });
        Self {
            configuration,
            spill,
            admin,
            stalls: other.is_some_and(|other| other.stalls),
            has_other: other.is_some(),
            lines: Arc::new(lines.collect()),
        }
    }

    /// Whether the other destination never answers.
    pub fn stalls(&self) -> bool {
        self.stalls
    }

    /// Runs it, with an empty spill. It is offered nothing yet.
    pub async fn start(&self) -> Running<'_> {
        // The first round finds none.
        let _none_yet = std::fs::remove_dir_all(&self.spill);
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.arg(CHILD).arg(&self.configuration);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program runs");
        let input = child.stdin.take().expect("a pipe");
        let (wanted, wants) = watch::channel(0);
        let offered = Arc::new(AtomicU64::new(0));
        tokio::spawn(feed(input, Arc::clone(&self.lines), wants, Arc::clone(&offered)));
        let begun = Instant::now();
        while TcpStream::connect(&self.admin).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "it listens");
            sleep(Duration::from_millis(20)).await;
        }
        Running { pipeline: self, child, wanted, offered }
    }
}

/// Writes lines into the program until it has had as many as are wanted, and when more are wanted, more; ends with the program.
async fn feed(
    mut input: ChildStdin,
    lines: Arc<Vec<Vec<u8>>>,
    mut wants: watch::Receiver<u64>,
    offered: Arc<AtomicU64>,
) {
    let mut lines = lines.iter().cycle();
    let mut written = 0;
    loop {
        let wanted = *wants.borrow_and_update();
        // In pieces: a write for each line would cost more than the program does.
        let count = (wanted - written).min(100);
        if count == 0 {
            if wants.changed().await.is_err() {
                return;
            }
            continue;
        }
        let piece: Vec<u8> = lines.by_ref().take(usize::try_from(count).expect("few")).flatten().copied().collect();
        if input.write_all(&piece).await.is_err() {
            return;
        }
        written += count;
        offered.store(written, Ordering::Relaxed);
    }
}

impl Running<'_> {
    /// Offers so many events in all.
    pub fn offer(&self, events: u64) {
        self.wanted.send_replace(events);
    }

    /// How many it has taken.
    pub fn offered(&self) -> u64 {
        self.offered.load(Ordering::Relaxed)
    }

    pub async fn sample(&mut self) -> Sample {
        assert!(self.child.try_wait().expect("it can be asked").is_none(), "the program runs");
        let metrics = self.metrics().await;
        let metric = |name: &str| {
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map_or(0, |value| value.parse().expect("a count"))
        };
        Sample {
            at: Instant::now(),
            delivered: metric(r#"siemline_lane_delivered_total{sink="watched"}"#),
            delivered_to_other: metric(r#"siemline_lane_delivered_total{sink="other"}"#),
            spilled: metric(r#"siemline_spill_written_total{sink="other"}"#),
            cpu: self.cpu(),
        }
    }

    /// Asserts that the round was what it was to be: the other destination had its share, or its spill.
    pub fn assert_as_planned(&self, first: &Sample, last: &Sample) {
        let events = last.delivered - first.delivered;
        assert!(events > 0, "something is delivered");
        let (to_other, spilled) = (last.delivered_to_other - first.delivered_to_other, last.spilled - first.spilled);
        let (share, nothing) = if self.pipeline.stalls { (spilled, to_other) } else { (to_other, spilled) };
        assert_eq!(nothing, 0, "{events} events, {to_other} to the other, {spilled} spilled");
        let has_share = !self.pipeline.has_other || share * 10 > events * 4;
        assert!(has_share, "{events} events, {to_other} to the other, {spilled} spilled");
    }

    async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.pipeline.admin).await.expect("it listens");
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.pipeline.admin);
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.take(1 << 20).read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    /// The CPU time of all its threads, those that have ended too.
    fn cpu(&self) -> Duration {
        let id = self.child.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("Linux tells a process's CPU time");
        // The name in brackets may hold anything; user and system time are the twelfth and thirteenth word behind it.
        let words = stat.rsplit(") ").next().expect("a state");
        let ticks: u32 = words.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("ticks")).sum();
        TICK * ticks
    }
}
