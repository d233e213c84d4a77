//! Places of spills by themselves: the contract, and who may have a prefix.

use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use siemline::aws;
use siemline::delivery::SpillBucketOptions;
use siemline::pipeline::{Bucket, Tempo};
use siemline::spill::{Directory, Disk, Error};

use super::contract;
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::s3::{BUCKET, FakeS3};

/// A hold that nobody else ends within a test, and that is not renewed in one.
const LONG: Tempo =
    Tempo { renew_every: Duration::from_mins(10), lasts: Duration::from_mins(10), over_after: Duration::from_mins(10) };

/// No wait takes longer, even on a busy machine: one that does hangs.
const PATIENCE: Duration = Duration::from_mins(1);

fn options(s3: &FakeS3) -> SpillBucketOptions {
    let text = format!(
        "bucket = \"{BUCKET}\"\nprefix = \"spill/\"\nregion = \"eu-west-1\"\nendpoint_url = \"{}\"\npath_style = true",
        s3.url
    );
    toml::from_str(&text).unwrap()
}

async fn open(s3: &FakeS3, tempo: Tempo) -> Result<Bucket, Error> {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = aws::loader(Some("eu-west-1")).credentials_provider(credentials).load().await;
    let options = options(s3);
    let opened = Bucket::open_with(&options, Some(config), tempo);
    tokio::time::timeout(PATIENCE, opened).await.expect("it hangs")
}

/// Guards that a directory and a bucket are places of a spill alike, the bucket also where calls fail and answers get lost.
#[tokio::test]
async fn directory_and_bucket_keep_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    contract::holds(&Directory::open(directory.path()).await.unwrap()).await;

    let well = || Fault::Slow(Duration::ZERO);
    let troubled = [Fault::CutMidway, well(), well(), well(), Fault::CutBefore, well(), well(), well()];
    let troubled = Plan::script(std::iter::repeat_n(troubled, 30).flatten());
    for plan in [Plan::healthy(), troubled] {
        let s3 = FakeS3::start(plan).await;
        let bucket = open(&s3, LONG).await.unwrap();
        contract::holds(&bucket).await;
        let left: Vec<String> = s3.objects().into_keys().collect();
        assert_eq!(left, ["spill/owner"]);
    }
}

/// Guards that a prefix has one holder: a second process is told who has it; what was given up is had at once; what a dead
/// process had is had when it was watched for so long, with all that lies there.
#[tokio::test]
async fn a_prefix_has_one_holder() {
    let s3 = FakeS3::start(Plan::healthy()).await;
    let first = open(&s3, Tempo { renew_every: Duration::from_millis(50), ..LONG }).await.unwrap();
    first.write("a.spill", 0, b"first").await.unwrap();
    let watching = Tempo { renew_every: Duration::from_millis(200), ..LONG };
    let error = open(&s3, watching).await.unwrap_err();
    assert!(matches!(error, Error::Held { .. }), "{error}");
    let words = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&words) && error.to_string().contains("`prefix` of its own"), "{error}");

    let hold = first.hold();
    drop(first);
    hold.give_up().await;
    let second = open(&s3, LONG).await.unwrap();
    assert_eq!(second.list().await.unwrap(), [("a.spill".to_owned(), 5)]);
    second.write("a.spill", 5, b" second").await.unwrap();
    // As if killed: nothing is given up.
    drop(second);
    let third = Tempo { renew_every: Duration::from_millis(50), over_after: Duration::from_millis(300), ..LONG };
    let third = open(&s3, third).await.unwrap();
    assert_eq!(third.read("a.spill", 0, 99).await.unwrap(), b"first second");
}

/// Guards that two never mix: a process whose hold has ended neither reads nor writes, and says what to do; and what of its
/// writes comes late changes nothing of its successor's.
#[tokio::test]
async fn who_lost_a_prefix_leaves_it_alone() {
    let s3 = FakeS3::start(Plan::healthy()).await;
    let short = Tempo { lasts: Duration::ZERO, ..LONG };
    let paused = open(&s3, short).await.unwrap();
    for refused in [paused.write("a", 0, b"x").await.unwrap_err(), paused.read("a", 0, 1).await.unwrap_err()] {
        assert!(refused.to_string().contains("cannot be renewed"), "{refused}");
    }
    drop(paused);

    let renewing = Duration::from_millis(50);
    let taken = open(&s3, Tempo { renew_every: renewing, over_after: renewing, ..LONG }).await.unwrap();
    taken.write("a", 0, b"of the second").await.unwrap();
    // A write of the first, whose generation was lower, that comes only now.
    s3.put("spill/a/00000000000000000000-0000000001-0000000009", b"late".to_vec());
    let owner = "{\"holder\":\"a third\",\"token\":\"t\",\"generation\":3,\"renewals\":0,\"is_free\":false}";
    s3.put("spill/owner", owner.into());
    let told = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Err(error) = taken.remove("nothing").await {
                return error.to_string();
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(told.starts_with("a third has taken the prefix over: stop one"), "{told}");
    let third = open(&s3, Tempo { renew_every: renewing, over_after: renewing, ..LONG }).await.unwrap();
    assert_eq!(third.read("a", 0, 99).await.unwrap(), b"of the second");
}

/// Guards that what somebody removed reads as damage, in its place, and costs nothing else.
#[tokio::test]
async fn a_missing_object_reads_as_damage() {
    let s3 = FakeS3::start(Plan::healthy()).await;
    let bucket = open(&s3, LONG).await.unwrap();
    for (offset, bytes) in [(0, b"one"), (3, b"two"), (6, b"end")] {
        bucket.write("a", offset, bytes).await.unwrap();
    }
    s3.remove("spill/a/00000000000000000003-0000000001-0000000002");
    assert_eq!(bucket.read("a", 1, 8).await.unwrap(), b"ne\0\0\0en");
    let hold = bucket.hold();
    drop(bucket);
    hold.give_up().await;
    let bucket = open(&s3, LONG).await.unwrap();
    assert_eq!(bucket.read("a", 0, 99).await.unwrap(), b"one\0\0\0end");
}
