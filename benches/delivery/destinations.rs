//! Every kind of sink, and the fake that it delivers to.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_firehose::config::Credentials;
use flate2::read::GzDecoder;
use rdkafka::mocking::MockCluster;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use siemline::delivery::LaneSettings;
use siemline::pipeline::{AnySink, SinkSettings};
use siemline::sink::firehose::{Firehose, FirehoseOptions};
use siemline::sink::s3::{S3Options, S3Sink};
use siemline::{aws, sink};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::cpu::FAKE;
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::firehose::{FakeFirehose, STREAM};
use crate::fakes::hec::{ACK_TOKEN, FakeHec, TOKEN};
use crate::fakes::intake::{FakeIntake, KEY};
use crate::fakes::plan::Plan;
use crate::fakes::s3::{BUCKET, FakeS3};
use crate::fakes::sumo::FakeSumo;

/// Where it is measured.
pub struct Site {
    /// The fakes run here, on a thread of their own.
    fakes: Runtime,
    directory: TempDir,
}

/// A sink, its lane, and the fake behind it, which has taken nothing yet.
pub struct Running {
    pub sink: Arc<AnySink>,
    pub lane: LaneSettings,
    /// How many different events the destination has, where it can tell. It keeps the fake.
    pub arrived: Box<dyn Fn() -> Option<usize>>,
}

type Start = fn(&Site) -> Running;

/// A new kind of sink is one line here.
pub const DESTINATIONS: [(&str, Start); 13] = [
    ("splunk_hec", |site| hec(site, TOKEN, &json!({}))),
    ("splunk_hec_raw", |site| hec(site, TOKEN, &json!({ "mode": "raw", "format": "raw" }))),
    // How long it is waited for costs time on the wall only.
    ("splunk_hec_ack", |site| {
        hec(site, ACK_TOKEN, &json!({ "acknowledgement": true, "acknowledgement_interval": "50ms" }))
    }),
    ("elastic", |site| elastic(site, &json!({}))),
    ("elastic_level_6", |site| elastic(site, &json!({ "compression_level": 6 }))),
    ("sumo", sumo),
    ("kafka", kafka),
    ("firehose", |site| firehose(site, false)),
    ("firehose_packed", |site| firehose(site, true)),
    ("http", http),
    ("s3", s3),
    ("file", file),
    ("stdout", |_| running(SinkSettings::stdout(&options(json!({}))), || None)),
];

impl Site {
    pub fn new() -> Self {
        let fakes =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name(FAKE).enable_all().build();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self { fakes: fakes.expect("a runtime"), directory: directory.expect("a directory") }
    }

    /// A file with this in it, as options name a secret.
    pub fn secret(&self, name: &str, text: &str) -> Value {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        json!({ "file": path })
    }

    /// A place for a file or a directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn aws(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "bench");
        self.fakes.block_on(aws::loader(Some("eu-west-1")).credentials_provider(credentials).load())
    }
}

fn hec(site: &Site, token: &str, more: &Value) -> Running {
    let fake = site.fakes.block_on(FakeHec::start(Plan::healthy()));
    let given = with(json!({ "endpoint": fake.url, "token": site.secret("hec", token) }), more);
    running(SinkSettings::splunk_hec(&options(given)), move || Some(fake.distinct()))
}

fn elastic(site: &Site, more: &Value) -> Running {
    let fake = site.fakes.block_on(FakeBulk::start(Plan::healthy()));
    let given = json!({ "endpoint": fake.url, "api_key": site.secret("elastic", API_KEY), "format": "ocsf" });
    running(SinkSettings::elastic(&options(with(given, more))), move || Some(fake.distinct()))
}

fn sumo(site: &Site) -> Running {
    let fake = site.fakes.block_on(FakeSumo::start(Plan::healthy()));
    let given = json!({ "url": site.secret("sumo", &fake.url) });
    running(SinkSettings::sumo(&options(given)), move || Some(fake.distinct()))
}

fn http(site: &Site) -> Running {
    let fake = site.fakes.block_on(FakeIntake::start(Plan::healthy()));
    let given = json!({ "url": fake.url, "secret_headers": { KEY.0: site.secret("http", KEY.1) } });
    running(SinkSettings::http(&options(given)), move || Some(fake.distinct()))
}

/// Three brokers of librdkafka's own mock, which run on a thread of theirs. They count nothing: its reports do.
fn kafka(_: &Site) -> Running {
    let cluster = MockCluster::new(3).expect("a cluster");
    cluster.create_topic("security", 4, 3).expect("a topic");
    let servers = cluster.bootstrap_servers();
    let brokers: Vec<&str> = servers.split(',').collect();
    let given = json!({ "brokers": brokers, "topic": "security" });
    running(SinkSettings::kafka(&options(given)), move || {
        let _kept = &cluster;
        None
    })
}

fn firehose(site: &Site, pack: bool) -> Running {
    let fake = site.fakes.block_on(FakeFirehose::start(Plan::healthy()));
    let given: FirehoseOptions = options(json!({ "stream": STREAM, "endpoint_url": fake.url, "pack": pack }));
    let lane = given.lane.settings(given.lane_defaults()).expect("legal options");
    let sink = Firehose::new(&given).expect("a sink").configured(site.aws());
    let arrived = Box::new(move || Some(fake.lines().len()));
    Running { sink: Arc::new(AnySink::Firehose(Box::new(sink))), lane, arrived }
}

fn s3(site: &Site) -> Running {
    let fake = site.fakes.block_on(FakeS3::start(Plan::healthy()));
    let given = json!({ "bucket": BUCKET, "region": "eu-west-1", "endpoint_url": fake.url, "path_style": true });
    let given: S3Options = options(given);
    let lane = given.lane.settings(S3Options::LANE).expect("legal options");
    let config = site.aws();
    let sink = site.fakes.block_on(S3Sink::configured(&given, config)).expect("a sink");
    let lines = move || {
        let objects = fake.objects();
        objects.values().map(|object| BufReader::new(GzDecoder::new(&*object.body)).split(b'\n').count()).sum()
    };
    Running { sink: Arc::new(AnySink::S3(sink)), lane, arrived: Box::new(move || Some(lines())) }
}

/// A file on the disk that the project is built on.
fn file(site: &Site) -> Running {
    let path = site.path("events.ndjson");
    // What an earlier round wrote is gone with it.
    let _none_yet = std::fs::remove_file(&path);
    running(SinkSettings::file(&options(json!({ "path": path }))), move || {
        let file = std::fs::File::open(&path).expect("it was written");
        Some(BufReader::new(file).split(b'\n').count())
    })
}

fn running(settings: Result<SinkSettings, sink::Error>, arrived: impl Fn() -> Option<usize> + 'static) -> Running {
    let SinkSettings { sink, lane, .. } = settings.expect("a sink");
    Running { sink, lane, arrived: Box::new(arrived) }
}

pub fn options<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("legal options")
}

fn with(mut options: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("options") {
        options[name] = value.clone();
    }
    options
}
