//! Guards the stores of dead letters on the network: letters lie there, come from there again, and lie in the local file where
//! the store takes none.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Ended, Home, finding, json_lines, ndjson};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::gate::Gate;
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::s3::{BUCKET, FakeS3, error};

/// A destination that refuses everything until it is mended.
pub struct Lake {
    pub bulk: FakeBulk,
    is_broken: Arc<AtomicBool>,
}

impl Lake {
    pub async fn broken() -> Self {
        let is_broken = Arc::new(AtomicBool::new(true));
        let broken = Arc::clone(&is_broken);
        let bulk = FakeBulk::start(Plan::healthy().refusing(move |_| broken.load(Ordering::Relaxed))).await;
        Self { bulk, is_broken }
    }

    pub fn mend(&self) {
        self.is_broken.store(false, Ordering::Relaxed);
    }
}

/// Three findings and an event that no mapping knows.
fn input() -> String {
    ndjson((0..3).map(finding).chain([json!({ "hello": "there" })]))
}

pub fn config(lake: &Lake, store: &str) -> String {
    format!(
        "[source.file.in]\npaths = [\"in/*.ndjson\"]\n\
         [sink.elastic.lake]\nendpoint = \"{}\"\napi_key = {{ file = \"key\" }}\n\
         [dead_letter.file]\ndirectory = \"dl\"\n{store}",
        lake.bulk.url
    )
}

fn in_s3(url: &str, more: &str) -> String {
    format!(
        "[dead_letter.s3]\nbucket = \"{BUCKET}\"\nprefix = \"letters/\"\nregion = \"eu-west-1\"\nendpoint_url = \"{url}\"\n\
         path_style = true\n{more}\n"
    )
}

pub fn prepare(lake: &Lake, store: &str) -> Home {
    let home = Home::new();
    home.write("in/1.ndjson", input());
    home.write("key", API_KEY);
    home.write("c.toml", config(lake, store));
    home
}

pub async fn siemline(home: Home, arguments: &'static [&'static str]) -> (Home, Ended) {
    tokio::task::spawn_blocking(move || {
        let ended = home.siemline(arguments);
        (home, ended)
    })
    .await
    .unwrap()
}

/// The letters in a bucket.
fn lying(s3: &FakeS3) -> Vec<Value> {
    let mut letters = Vec::new();
    for (key, object) in s3.objects() {
        assert!(key.starts_with("letters/year=2") && key.ends_with(".ndjson.gz"), "{key}");
        let mut plain = String::new();
        flate2::read::GzDecoder::new(object.body.as_slice()).take(1 << 20).read_to_string(&mut plain).unwrap();
        letters.extend(json_lines(&plain));
    }
    letters
}

#[tokio::test]
async fn letters_lie_in_s3_and_come_from_there() {
    let lake = Lake::broken().await;
    // What was taken and not confirmed is written once more, to its own place.
    let slow_down = Fault::Reject { status: 503, body: error("SlowDown"), retry_after_s: None };
    let s3 = FakeS3::start(Plan::script([slow_down, Fault::CutMidway])).await;
    let (home, ended) = siemline(prepare(&lake, &in_s3(&s3.url, "")), &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 4), "{ended:?}");
    let first = lying(&s3);
    assert_eq!(first.len(), 4, "{first:?}");
    assert!(first.iter().all(|letter| letter["v"] == 2 && letter["sink"] == "lake" && letter["reason"] == "refused"));
    assert!(home.dead_letters().is_empty(), "the file is for what the store does not take");

    // Looking changes nothing, and asks no file to be there.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--dry-run"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("4  would be sent again"), "{}", ended.out);
    assert_eq!(lying(&s3), first);

    // Before the fix each fails again, whole, and lies there once.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("0 delivered, 0 let go by a rule, 4 dead letters once more"), "{}", ended.err);
    let second = lying(&s3);
    for key in ["original", "shard", "sequence", "sub_sequence", "event_index", "source", "sink", "log_type", "what"] {
        let of = |letters: &[Value]| letters.iter().map(|letter| letter[key].to_string()).collect::<BTreeSet<_>>();
        assert_eq!((of(&second), second.len()), (of(&first), 4), "{key}");
    }

    // An object goes when nothing is left in it; what is left stays.
    lake.mend();
    let only_findings = ["replay", "--config", "c.toml", "--from", "s3", "--log-type", "aws.guardduty", "--remove"];
    let (home, ended) = siemline(home, Box::leak(Box::new(only_findings))).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("replayed 3 dead letters"), "{}", ended.err);
    let left = lying(&s3);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0]["original"].as_str().unwrap().contains("hello"), "{left:?}");
    assert_eq!(lake.bulk.distinct(), 3);

    // Without --remove it stays, and sending it twice makes nothing twice.
    for _ in 0..2 {
        let (_home, ended) = siemline(prepare(&lake, &in_s3(&s3.url, "")), &["replay", "--config", "c.toml"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.err.contains("replayed 1 dead letters"), "{}", ended.err);
    }
    assert_eq!((lake.bulk.distinct(), lake.bulk.duplicates(), lying(&s3).len()), (4, 1, 1));
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert_eq!((ended.code, s3.objects().len()), (Some(0), 0), "{ended:?}");
    let (_home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "s3"]).await;
    assert!(ended.code == Some(0) && ended.err.contains("replayed 0 dead letters"), "{ended:?}");
}

#[tokio::test]
async fn the_file_has_what_the_store_does_not_take() {
    let (lake, s3) = (Lake::broken().await, FakeS3::start(Plan::healthy()).await);
    let gate = Gate::open(s3.url.strip_prefix("http://").unwrap().parse().unwrap()).await;
    gate.close().await;
    let store = in_s3(&format!("http://{}", gate.address()), "compression = \"zstd\"");
    let (home, ended) = siemline(prepare(&lake, &store), &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 4), "{ended:?}");
    assert!(ended.err.contains("the store does not take dead letters, the local file does"), "{}", ended.err);
    assert_eq!((home.dead_letters().len(), s3.objects().len()), (4, 0));

    // A store that cannot be read is told, and costs nothing.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "s3", "--remove"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("cannot read the store of dead letters: ListObjectsV2"), "{}", ended.err);
    assert_eq!(home.dead_letters().len(), 4);

    // File and store are read together.
    gate.reopen().await;
    std::fs::remove_file(home.path("in/1.ndjson")).unwrap();
    home.write("in/2.ndjson", ndjson([finding(7)]));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, s3.objects().len(), home.dead_letters().len()), (Some(0), 1, 4), "{ended:?}");
    lake.mend();
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert!(ended.code == Some(0) && ended.err.contains("replayed 5 dead letters"), "{ended:?}");
    assert_eq!((lake.bulk.distinct(), lake.bulk.duplicates()), (5, 0));
    assert_eq!((s3.objects().len(), home.dead_letters().len()), (0, 0));
}

#[tokio::test]
async fn a_store_is_checked_and_allowed_what_it_needs() {
    let (lake, s3) = (Lake::broken().await, FakeS3::start(Plan::healthy()).await);
    let home = prepare(&lake, &in_s3(&s3.url, "encryption = \"kms\""));
    let (home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("dead letters s3: ready"), "{}", ended.out);
    assert_eq!((s3.objects().len(), s3.uploads()), (0, (1, 0)), "nothing is left");

    let (home, ended) = siemline(home, &["iam", "--config", "c.toml"]).await;
    assert!(ended.out.contains(&format!("arn:aws:s3:::{BUCKET}/letters/*")), "{}", ended.out);
    assert!(ended.out.contains("kms:GenerateDataKey") && !ended.out.contains("s3:DeleteObject"), "{}", ended.out);
    let (home, ended) = siemline(home, &["iam", "--config", "c.toml", "--replay"]).await;
    for action in ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"] {
        assert!(ended.out.contains(action), "{action} in {}", ended.out);
    }

    home.write("c.toml", config(&lake, &in_s3(&s3.url, "")).replace(BUCKET, "another-bucket"));
    let (home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("dead letters s3: NOT READY") && ended.out.contains("make the bucket"), "{}", ended.out);

    home.write("c.toml", config(&lake, ""));
    let (_home, ended) = siemline(home, &["replay", "--config", "c.toml", "--from", "s3"]).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.err.contains("there is no [dead_letter.s3] in the configuration"), "{}", ended.err);
}
