//! A spill in a bucket.

use std::collections::BTreeSet;

use super::House;
use crate::cli::{Ended, Home};
use crate::fakes::plan::{Fault, Plan};
use crate::fakes::s3::{BUCKET, FakeS3};

const EVENTS: u32 = 1000;

/// The size of what the spill holds there.
fn bytes_in(s3: &FakeS3) -> usize {
    let objects = s3.objects().into_iter().filter(|(key, _)| key.contains(".spill/"));
    objects.map(|(_, object)| object.body.len()).sum()
}

/// Runs the binary to its end, beside the fake.
fn siemline(home: &Home, arguments: &[&str]) -> Ended {
    tokio::task::block_in_place(|| home.siemline(arguments))
}

fn place(s3: &FakeS3) -> String {
    format!(
        "s3 = {{ bucket = \"{BUCKET}\", prefix = \"soc/\", region = \"eu-west-1\", endpoint_url = \"{}\", path_style = true }}",
        s3.url
    )
}

/// Guards law 1 with a spill in S3, which fails at random: the checkpoints pass what the destination that is down does not take;
/// a second process is refused; after a SIGKILL the next one takes over what the dead one held, delivers all of it from the
/// bucket alone, and gives the prefix up when it is asked to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_outlives_the_process() {
    let house = House::new(|_| Plan::healthy()).await;
    let s3 = FakeS3::start(Plan::dice(house.seed, 5, Fault::passing())).await;
    house.configure_place(&house.behind_gate(), "64MiB", &place(&s3));
    house.put(EVENTS);
    let mut running = house.start();
    running.until("all of the stream is settled", || house.is_settled()).await;
    assert_eq!((house.hec.distinct(), house.bulk.distinct()), (0, EVENTS as usize), "seed {}", house.seed);
    assert!(bytes_in(&s3) > 0);

    let (status, told) = house.start().ended().await;
    assert!(!status.success(), "{status}, {told}");
    assert!(told.contains("the spill of sink `soc` in s3://archive-example/soc/"), "{told}");
    assert!(told.contains("is alive: stop that one first"), "{told}");
    running.kill();

    house.gate.reopen().await;
    let mut running = house.start();
    running.until_told("the spill was not given up").await;
    running.until("the spill is empty", || bytes_in(&s3) == 0).await;
    let (status, told) = running.stop().await;
    assert!(status.success(), "{status}, {told}");
    house.assert_delivered(&BTreeSet::new());
    let owner = String::from_utf8(s3.objects()["soc/owner"].body.clone()).unwrap();
    assert!(owner.contains("\"is_free\":true"), "{owner}");
}

/// Guards `check --connect`, which leaves nothing in the bucket and says what lies there, and `iam`, which asks for what the
/// spill needs below its prefix alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_checked() {
    let s3 = FakeS3::start(Plan::healthy()).await;
    let config = |bucket: &str| {
        format!(
            "[source.file.in]\npaths = [\"-\"]\n[sink.stdout.soc]\n[sink.stdout.soc.lane.spill]\n{}\n",
            place(&s3).replace(BUCKET, bucket)
        )
    };
    let home = Home::new();
    home.write("c.toml", config(BUCKET));
    let ended = siemline(&home, &["check", "--config", "c.toml", "--connect"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("spill soc: ready, holds 0 bytes of 10GiB"), "{ended:?}");
    assert_eq!((s3.objects().len(), s3.uploads()), (0, (1, 0)), "nothing is left");
    let ended = siemline(&home, &["iam", "--config", "c.toml"]);
    for action in ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "/soc/*"] {
        assert!(ended.out.contains(action), "{action}: {ended:?}");
    }
    home.write("c.toml", config("another-bucket"));
    let ended = siemline(&home, &["check", "--config", "c.toml", "--connect"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("spill soc: NOT READY") && ended.out.contains("make the bucket"), "{ended:?}");
}
