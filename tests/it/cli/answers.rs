//! Guards the commands that ask and prepare: `check`, `setup`, `test`.

use serde_json::Value;

use super::{Ended, Home, findings};
use crate::fakes::bulk::{API_KEY, API_KEY_READ_ONLY, AWS_KEY, AWS_SECRET, FakeBulk};
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
        // A sink that promises less than it could says so behind it.
        let is_told =
            |told: &str| told.strip_prefix(line).is_some_and(|more| more.is_empty() || more.starts_with(": "));
        assert!(ended.out.lines().any(is_told), "{line} in {}", ended.out);
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
    for (more, name, requests) in [
        (&[][..], "flattened", ["PUT /_ilm/policy/", "PUT /_component_template/", "PUT /_index_template/"].as_slice()),
        (
            &["--retention", "90d"],
            "\"min_age\": \"90d\"",
            &["PUT /_ilm/", "PUT /_component_template/", "PUT /_index_template/"],
        ),
        (&["--opensearch"], "text", &["PUT /_plugins/_ism/", "PUT /_component_template/", "PUT /_index_template/"]),
        (&["--serverless"], "\"lifecycle\": {}", &["PUT /_component_template/", "PUT /_index_template/"]),
        (&["--opensearch", "--serverless"], "mappings", &["PUT /_index_template/"]),
    ] {
        let arguments: &'static [&'static str] =
            [&["setup", "elastic", "--config", "c.toml", "--dry-run"], more].concat().leak();
        let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, arguments).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let printed: Value = serde_json::from_str(&ended.out).unwrap();
        let names: Vec<&String> = printed.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), requests.len(), "{names:?}");
        assert!(names.iter().zip(requests).all(|(name, begin)| name.starts_with(begin)), "{names:?}");
        assert!(ended.out.contains(name), "{}", ended.out);
    }
    assert_eq!(bulk.requests(), 0, "a dry run asks nobody");
    let ended = check(&hec.url, &bulk.url, TOKEN, API_KEY, &["setup", "elastic", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(bulk.templates().len(), 3);
    assert_eq!(ended.out.lines().filter(|line| line.ends_with(": installed")).count(), 3, "{}", ended.out);
    let ended =
        check(&hec.url, &bulk.url, TOKEN, API_KEY, &["setup", "elastic", "--config", "c.toml", "--sink", "x"]).await;
    assert_eq!(ended.code, Some(64));
    assert!(ended.err.contains("no such elastic sink is configured"), "{}", ended.err);
}

/// Guards signatures of AWS over a socket: a cluster that works each of them out again answers a check, and takes compressed
/// batches, where the region and the credentials are the environment's, and refuses those of another key.
#[tokio::test]
async fn requests_are_signed_for_aws() {
    for (service, secret, code) in [("es", AWS_SECRET, 0), ("aoss", AWS_SECRET, 0), ("es", "wrongEXAMPLE", 1)] {
        let cluster = FakeBulk::start_signed(Plan::healthy(), service).await;
        let home = Home::new();
        home.write("in.ndjson", findings(0..50));
        home.write(
            "c.toml",
            format!(
                "[source.file.in]\npaths = [\"in.ndjson\"]\n\
                 [sink.elastic.lake]\nendpoint = \"{}\"\nformat = \"ocsf\"\n\
                 [sink.elastic.lake.aws]\nservice = \"{service}\"\n\
                 [dead_letter.file]\ndirectory = \"dl\"\n[pipeline]\nshutdown_grace = \"1s\"\n",
                cluster.url
            ),
        );
        let run = move |home: &Home, arguments: &[&str]| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_siemline"));
            command.args(arguments).current_dir(home.path("")).env_clear();
            command
                .env("AWS_ACCESS_KEY_ID", AWS_KEY)
                .env("AWS_SECRET_ACCESS_KEY", secret)
                .env("AWS_REGION", "eu-west-1");
            command.env("AWS_EC2_METADATA_DISABLED", "true");
            command.output().unwrap()
        };
        let (checked, ran) = tokio::task::spawn_blocking(move || {
            let checked = run(&home, CONNECT);
            (checked, (code == 0).then(|| run(&home, &["run", "--config", "c.toml"])))
        })
        .await
        .unwrap();
        assert_eq!(checked.status.code(), Some(code), "{service}: {checked:?}");
        assert!(!format!("{checked:?}{ran:?}").contains(secret), "a secret was told");
        let Some(ran) = ran else { continue };
        assert_eq!(ran.status.code(), Some(0), "{service}: {ran:?}");
        assert_eq!((cluster.distinct(), cluster.duplicates()), (50, 0), "{service}");
        assert!(cluster.signed_bodies() > 0);
    }
}

#[test]
fn the_embedded_mappings_pass_their_tests_and_fire_every_rule() {
    let ended = Home::new().siemline(&["test", "--coverage"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert!(ended.out.lines().last().unwrap().ends_with(" passed, 0 failed"), "{}", ended.out);
    assert!(!ended.out.contains("no test fires"), "{}", ended.out);
}
