//! Guards the commands that ask and prepare: `check`, `setup`, `test`.

use serde_json::Value;

use super::{Ended, Home};
use crate::fakes::bulk::{API_KEY, API_KEY_READ_ONLY, FakeBulk};
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::plan::Plan;

fn config(hec: &str, bulk: &str) -> String {
    format!(
        "[source.file.in]\npaths = [\"in.ndjson\"]\n\
         [sink.splunk_hec.soc]\nendpoint = \"{hec}\"\ntoken = {{ file = \"token\" }}\n\
         [sink.elastic.lake]\nendpoint = \"{bulk}\"\napi_key = {{ file = \"key\" }}\n\
         [sink.file.copy]\npath = \"out/copy.ndjson\"\n"
    )
}

async fn check(hec: &str, bulk: &str, token: &str, key: &str, arguments: &'static [&'static str]) -> Ended {
    let home = Home::new();
    home.write("in.ndjson", "{}\n");
    home.write("token", token);
    home.write("key", key);
    home.write("c.toml", config(hec, bulk));
    tokio::task::spawn_blocking(move || home.siemline(arguments)).await.unwrap()
}

const CONNECT: &[&str] = &["check", "--config", "c.toml", "--connect"];

#[tokio::test]
async fn check_without_connect_asks_nobody() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, &["check", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("c.toml: 1 sources, 3 sinks, "), "{}", ended.out);
    assert_eq!((hec.requests(), bulk.requests()), (0, 0));
}

#[tokio::test]
async fn check_asks_every_sink_and_sends_none_an_event() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, CONNECT).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in ["source in: ready, 1 files", "sink soc: ready", "sink lake: ready", "sink copy: ready"] {
        assert!(ended.out.lines().any(|told| told == line), "{line} in {}", ended.out);
    }
    assert_eq!((hec.distinct(), bulk.distinct()), (0, 0));
    assert!(hec.requests() > 0 && bulk.requests() > 0);
}

/// Guards that a canary is sent where there is such a thing, that its search names it, and that nobody else gets an event.
#[tokio::test]
async fn check_sends_a_canary_when_it_is_asked_to() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let arguments = &["check", "--config", "c.toml", "--canary"];
    let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("sink soc: delivered means accepted"), "{}", ended.out);
    let received = hec.received();
    let (uid, _) = received.first_key_value().expect("one canary");
    let line = format!("sink soc: canary accepted: search for it by `index=* siemline_uid::{uid}`");
    assert!(ended.out.lines().any(|told| told == line), "{line} in {}", ended.out);
    assert_eq!((received.len(), bulk.distinct()), (1, 0));
}

#[tokio::test]
async fn check_tells_a_bad_credential_and_a_closed_door_and_still_asks_the_others() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let closed = FakeHec::start(Plan::healthy()).await.url.clone();
    let wrong = "00000000-0000-4000-8000-00WRONGEXAMPLE";
    for (hec, bulk, token, key, not_ready, words) in [
        (&hec.url, &bulk.url, wrong, API_KEY, "soc", "Invalid token"),
        (&hec.url, &bulk.url, TOKEN, API_KEY_READ_ONLY, "lake", "create_doc"),
        (&closed, &bulk.url, TOKEN, API_KEY, "soc", "connect"),
        (&hec.url, &closed, TOKEN, API_KEY, "lake", "connect"),
    ] {
        let ended = check(hec, bulk, token, key, CONNECT).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let lines: Vec<&str> = ended.out.lines().filter(|line| line.contains("NOT READY")).collect();
        let [line] = lines.as_slice() else { panic!("one is not ready: {}", ended.out) };
        assert!(line.starts_with(&format!("sink {not_ready}: NOT READY: ")), "{line}");
        assert!(line.to_lowercase().contains(&words.to_lowercase()), "{words}: {line}");
        assert!(!format!("{ended:?}").contains(token) && !format!("{ended:?}").contains(key), "a secret was told");
        assert!(ended.out.contains("sink copy: ready"));
    }
}

#[tokio::test]
async fn setup_prints_with_dry_run_and_installs_without() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    for (more, name) in [(&[][..], "flattened"), (&["--opensearch"], "text")] {
        let arguments: &'static [&'static str] =
            [&["setup", "elastic", "--config", "c.toml", "--dry-run"], more].concat().leak();
        let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, arguments).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let printed: Value = serde_json::from_str(&ended.out).unwrap();
        let names: Vec<&String> = printed.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 2);
        assert!(names[0].starts_with("PUT /_component_template/") && names[1].starts_with("PUT /_index_template/"));
        assert!(ended.out.contains(name), "{}", ended.out);
    }
    assert_eq!(bulk.requests(), 0, "a dry run asks nobody");
    let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, &["setup", "elastic", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(bulk.templates().len(), 2);
    let ended =
        check(&hec.url, &bulk.url, TOKEN, API_KEY, &["setup", "elastic", "--config", "c.toml", "--sink", "x"]).await;
    assert_eq!(ended.code, Some(64));
    assert!(ended.err.contains("no such elastic sink is configured"), "{}", ended.err);
}

#[test]
fn the_embedded_mappings_pass_their_tests_and_fire_every_rule() {
    let ended = Home::new().siemline(&["test", "--coverage"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert!(ended.out.lines().last().unwrap().ends_with(" passed, 0 failed"), "{}", ended.out);
    assert!(!ended.out.contains("no test fires"), "{}", ended.out);
}
