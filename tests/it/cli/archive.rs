//! Guards the S3 sink: everything arrives once whatever happens on the way, and what stands in the way is told.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::Value;

use super::{Ended, Home, findings, title};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::s3::{BUCKET, FakeS3, error};

const EVENTS: u32 = 200;

fn config(s3: &FakeS3, more: &str) -> String {
    format!(
        "[source.file.in]\npaths = [\"in/*.ndjson\"]\n\
         [sink.s3.archive]\nbucket = \"{BUCKET}\"\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\npath_style = true\n\
         prefix = \"a/{{log_type}}/year={{time:%Y}}/\"\n{more}\n\
         [sink.s3.archive.lane]\nbatch_entries_max = 40\nretry_first = \"10ms\"\nretry_max = \"50ms\"\n\
         [dead_letter.file]\ndirectory = \"dl\"\n",
        s3.url
    )
}

async fn siemline(home: Home, arguments: &'static [&'static str]) -> (Home, Ended) {
    tokio::task::spawn_blocking(move || {
        let ended = home.siemline(arguments);
        (home, ended)
    })
    .await
    .unwrap()
}

/// How often each finding stands in the archive, by its title.
fn archived(s3: &FakeS3) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for object in s3.objects().into_values() {
        let mut plain = String::new();
        let bytes = object.body.as_slice();
        let read = if object.headers["content-type"] == "application/gzip" {
            flate2::read::GzDecoder::new(bytes).take(64 << 20).read_to_string(&mut plain)
        } else {
            bytes.take(64 << 20).read_to_string(&mut plain)
        };
        read.unwrap();
        for line in plain.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            *counts.entry(title(&event).unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test]
async fn every_event_stands_in_the_archive_once() {
    let slow_down = || Fault::Reject { status: 503, body: error("SlowDown"), retry_after_s: None };
    // What was taken and not confirmed is sent again, to its own place.
    let plan = Plan::script([slow_down(), Fault::CutMidway, Fault::CutBefore, slow_down()]);
    let s3 = FakeS3::start(plan).await;
    let home = Home::new();
    home.write("in/1.ndjson", findings(0..EVENTS));
    home.write("c.toml", config(&s3, "encryption = \"s3\"\nstorage_class = \"GLACIER_IR\""));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("delivered")), (Some(0), u64::from(EVENTS)), "{ended:?}");
    let archived = archived(&s3);
    assert_eq!(archived.len(), EVENTS as usize);
    assert!(archived.values().all(|count| *count == 1), "{archived:?}");
    assert!(home.dead_letters().is_empty());
    for (key, object) in s3.objects() {
        assert!(key.starts_with("a/aws.guardduty/year=") && key.ends_with(".ndjson.gz"), "{key}");
        assert_eq!(object.headers["x-amz-server-side-encryption"], "AES256");
        assert_eq!(object.headers["x-amz-storage-class"], "GLACIER_IR");
    }

    // The same input again finds everything there.
    let before = s3.objects();
    let (_home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("delivered")), (Some(0), u64::from(EVENTS)), "{ended:?}");
    assert!(s3.objects().keys().eq(before.keys()), "the same batches have the same names");
}

#[tokio::test]
async fn large_objects_go_in_parts() {
    let s3 = FakeS3::start(Plan::script([Fault::CutBefore])).await;
    let home = Home::new();
    let count = 6000;
    home.write("in/1.ndjson", findings(0..count));
    let more = "format = \"ocsf\"\ncompression = \"none\"\npart_bytes = \"5MiB\"\nencryption = \"kms\"";
    home.write("c.toml", config(&s3, more).replace("batch_entries_max = 40", "batch_bytes_max = \"64MiB\""));
    let (_home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("delivered")), (Some(0), u64::from(count)), "{ended:?}");
    assert_eq!(archived(&s3).len(), count as usize);
    let objects = s3.objects();
    assert!(objects.values().any(|object| object.body.len() > 5 << 20), "one is large");
    assert!(objects.values().all(|object| object.headers["x-amz-server-side-encryption"] == "aws:kms"));
    let (begun, open) = s3.uploads();
    assert!(begun > 0 && open == 0, "{begun} begun, {open} left open");
}

#[tokio::test]
async fn check_asks_and_leaves_nothing() {
    let s3 = FakeS3::start(Plan::healthy()).await;
    let home = Home::new();
    home.write("in/1.ndjson", findings(0..1));
    home.write("c.toml", config(&s3, ""));
    let (home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("sink archive: ready"), "{}", ended.out);
    assert_eq!((s3.objects().len(), s3.uploads()), (0, (1, 0)), "nothing is left");
    home.write("c.toml", config(&s3, "").replace(BUCKET, "another-bucket"));
    let (_home, ended) = siemline(home, &["check", "--connect", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("NOT READY") && ended.out.contains("make the bucket"), "{}", ended.out);
}
