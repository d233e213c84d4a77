//! A real process whose dead letters find no place.

use serde_json::{Value, json};

use super::get;
use super::process::House;
use crate::fakes::gate::Gate;
use crate::fakes::plan::Plan;
use crate::fakes::s3::{BUCKET, FakeS3};

/// Guards that letters which neither the store on the network nor the disk takes stop the reading, that readiness says why, that
/// each of the two alone is enough to go on, and that the one which is missing is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_no_place_takes_stop_the_reading() {
    let (house, s3) = (House::new().await, FakeS3::start(Plan::healthy()).await);
    let gate = Gate::open(s3.url.strip_prefix("http://").unwrap().parse().unwrap()).await;
    house.write_config("127.0.0.1:0");
    let store = format!(
        "[dead_letter.s3]\nbucket = \"{BUCKET}\"\nregion = \"eu-west-1\"\nendpoint_url = \"http://{}\"\npath_style = true\n",
        gate.address()
    );
    let config = std::fs::read_to_string(house.path("c.toml")).unwrap();
    std::fs::write(house.path("c.toml"), config + &store).unwrap();
    let running = house.start().await;
    let address = running.address.clone();
    house.until_ready_says(&address, "").await;

    gate.close().await;
    std::fs::write(house.path("blocked"), "a file where a directory should be").unwrap();
    let shard = house.kinesis.open_shards().remove(0);
    house.kinesis.put_to(&shard, b"\xff\xfe broken".to_vec());
    house.until_ready_says(&address, "dead letters cannot be kept, and reading stops: cannot write blocked/dl/").await;
    house.until_ready_says(&address, "; and s3 does not take them: PutObject on bucket").await;
    house.kinesis.put_to(&shard, json!({ "n": 1 }).to_string());
    let metrics = get(&address, "/metrics").await;
    assert_eq!(metrics.sum("siemline_dead_letters_stuck"), 1);
    assert_eq!(metrics.sum("siemline_dead_letter_store_failing"), 1);

    // The store alone is enough.
    gate.reopen().await;
    house.until_ready_says(&address, "").await;
    let until_kept = async |kept: u64| {
        house
            .until("the letter is kept", async || {
                get(&address, "/metrics").await.sum("siemline_dead_letters_kept_total") == kept
            })
            .await;
        get(&address, "/metrics").await
    };
    let metrics = until_kept(1).await;
    assert_eq!((s3.objects().len(), metrics.sum("siemline_dead_letters_fell_back_total")), (1, 0));
    assert_eq!(metrics.sum("siemline_dead_letter_store_failing"), 0);

    // And so is the file; what is wrong with the store is told, and is no reason not to be ready.
    std::fs::remove_file(house.path("blocked")).unwrap();
    gate.close().await;
    house.kinesis.put_to(&shard, b"\xff\xfe broken, too".to_vec());
    let metrics = until_kept(2).await;
    assert_eq!((s3.objects().len(), metrics.sum("siemline_dead_letters_fell_back_total")), (1, 1));
    assert_eq!(metrics.sum("siemline_dead_letter_store_failing"), 1);
    let status: Value = serde_json::from_str(&get(&address, "/status").await.body).unwrap();
    let told = "the store of dead letters takes none, the local file does: ";
    let is_told = |trouble: &Value| trouble.as_str().is_some_and(|trouble| trouble.starts_with(told));
    assert!(status["is_ready"] == true && status["troubles"].as_array().unwrap().iter().any(is_told), "{status:#}");
    assert_eq!(std::fs::read_to_string(house.path("blocked/dl/dead-letters.ndjson")).unwrap().lines().count(), 1);
    assert_eq!(running.terminate(&house).await, 0, "{}", house.log());
}
