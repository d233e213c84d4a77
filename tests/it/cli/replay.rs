//! Guards `replay`: what could not be delivered is delivered after the fix, once, to the one sink that lacks it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Ended, Home, finding, ndjson, title};
use crate::fakes::bulk::{API_KEY, FakeBulk};
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::plan::Plan;

const EVENTS: u32 = 60;

/// Findings behind an EventBridge rule: what the envelope tells is to survive the dead letters.
fn enveloped(numbers: impl IntoIterator<Item = u32>) -> String {
    ndjson(numbers.into_iter().map(|number| {
        json!({
            "version": "0", "id": format!("00000000-0000-0000-0000-{number:012}"), "detail-type": "GuardDuty Finding",
            "source": "aws.guardduty", "account": "111122223333", "time": "2026-01-02T03:04:05Z", "region": "eu-west-1",
            "resources": [], "detail": finding(number),
        })
    }))
}

fn config(hec: &FakeHec, bulk: &FakeBulk, more: &str) -> String {
    format!(
        "[source.file.in]\npaths = [\"in/*.ndjson\"]\n\
         [sink.splunk_hec.soc]\nendpoint = \"{}\"\ntoken = {{ file = \"token\" }}\nformat = \"ocsf\"\n\
         [sink.elastic.lake]\nendpoint = \"{}\"\napi_key = {{ file = \"key\" }}\n\
         [dead_letter.file]\ndirectory = \"dl\"\n{more}",
        hec.url, bulk.url
    )
}

fn prepare(hec: &FakeHec, bulk: &FakeBulk) -> Home {
    let home = Home::new();
    home.write("in/1.ndjson", enveloped(0..EVENTS));
    home.write("token", TOKEN);
    home.write("key", API_KEY);
    home.write("c.toml", config(hec, bulk, ""));
    home
}

async fn siemline(home: Home, arguments: &'static [&'static str]) -> (Home, Ended) {
    tokio::task::spawn_blocking(move || {
        let ended = home.siemline(arguments);
        (home, ended)
    })
    .await
    .unwrap()
}

/// The files of dead letters, and their letters.
fn lying(home: &Home) -> Vec<(String, Vec<Value>)> {
    let mut names: Vec<String> = std::fs::read_dir(home.path("dl"))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names.into_iter().map(|name| (name.clone(), home.lines(&format!("dl/{name}")))).collect()
}

#[tokio::test]
async fn what_failed_is_delivered_once_after_the_fix() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let poison = ["Finding 8", "Finding 9"];
    let plan = Plan::healthy().refusing(move |event| {
        broken.load(Ordering::Relaxed) && title(event).is_some_and(|title| poison.contains(&title))
    });
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(plan).await);
    let (home, ended) = siemline(prepare(&hec, &bulk), &["run", "--config", "c.toml"]).await;
    assert_eq!((ended.code, ended.count("dead-lettered")), (Some(0), 2), "{ended:?}");
    let first = lying(&home);
    let [(name, letters)] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((name.as_str(), letters.len()), ("dead-letters.ndjson", 2));
    assert_eq!(letters[0]["envelope"]["detail_type"], "GuardDuty Finding");

    // Looking changes nothing.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--dry-run"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = ended.out.lines().find(|line| line.contains("lake")).unwrap();
    for words in ["2", "refused", "document_parsing_exception", "aws.guardduty"] {
        assert!(line.contains(words), "{words} in {}", ended.out);
    }
    assert_eq!(lying(&home), first);

    // Before the fix each fails again, whole, and lies in one place only.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("0 delivered, 0 let go by a rule, 2 dead letters once more"), "{}", ended.err);
    let second = lying(&home);
    let [(name, again)] = second.as_slice() else { panic!("{second:?}") };
    assert!(name.starts_with("dead-letters.again-"), "{name}");
    for key in ["original", "envelope", "shard", "sequence", "event_index", "source", "sink", "log_type", "what"] {
        let of = |letters: &[Value]| letters.iter().map(|letter| letter[key].to_string()).collect::<BTreeSet<_>>();
        assert_eq!(of(again), of(letters), "{key}");
    }

    // What is not meant stays.
    is_broken.store(false, Ordering::Relaxed);
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove", "--sink", "soc"]).await;
    assert_eq!((ended.code, lying(&home)), (Some(0), second), "{ended:?}");

    let sent_to_hec = hec.received();
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("2 delivered, 0 let go by a rule, 0 dead letters once more"), "{}", ended.err);
    assert_eq!((bulk.distinct(), bulk.duplicates()), (EVENTS as usize, 0), "the ids that they had");
    assert!(bulk.received().keys().eq(hec.received().keys()), "an event has one id wherever and whenever it goes");
    assert_eq!((hec.received().len(), hec.duplicates()), (sent_to_hec.len(), 0), "the other sink has it already");

    // Twice is harmless, and then they may go.
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--straight", "--remove"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((bulk.distinct(), bulk.duplicates()), (EVENTS as usize, 2));
    assert_eq!(lying(&home), [], "{}", ended.err);
    let (_home, ended) = siemline(home, &["replay", "--config", "c.toml"]).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.err.contains("there are no dead letters in dl"), "{}", ended.err);
}

#[tokio::test]
async fn a_record_that_was_too_much_is_read_after_the_bound_is_raised() {
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(Plan::healthy()).await);
    let home = prepare(&hec, &bulk);
    let several = json!({ "findings": (0..5).map(finding).collect::<Vec<_>>() });
    home.write("in/1.ndjson", ndjson([several]));
    home.write("c.toml", config(&hec, &bulk, "[normalize]\nevents_per_record_max = 4\n"));
    let (home, ended) = siemline(home, &["run", "--config", "c.toml"]).await;
    assert_eq!(ended.count("dead-lettered"), 1, "{ended:?}");
    let letters = home.dead_letters();
    assert_eq!((&letters[0]["what"], &letters[0]["code"]), (&"record".into(), &"events_per_record_max".into()));
    home.write("c.toml", config(&hec, &bulk, ""));
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert_eq!((ended.code, ended.count("delivered")), (Some(0), 5), "{ended:?}");
    assert_eq!((hec.received().len(), bulk.distinct()), (5, 5), "it had come to no sink: each gets it");
    assert_eq!(lying(&home), []);
}

#[tokio::test]
async fn routes_decide_again_unless_they_are_passed_over() {
    let plan = Plan::healthy().refusing(|event| title(event) == Some("Finding 3"));
    let (hec, bulk) = (FakeHec::start(Plan::healthy()).await, FakeBulk::start(plan).await);
    let (home, ended) = siemline(prepare(&hec, &bulk), &["run", "--config", "c.toml"]).await;
    assert_eq!(ended.count("dead-lettered"), 1, "{ended:?}");
    let mended = FakeBulk::start(Plan::healthy()).await;
    home.write("c.toml", config(&hec, &mended, "[route.all]\nseverity = \">= low\"\nto = [\"soc\"]\n"));
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove"]).await;
    assert_eq!((ended.code, mended.distinct(), ended.count("filtered")), (Some(0), 0, 1), "{ended:?}");
    assert_eq!(home.dead_letters().len(), 1, "what a rule lets go stays");
    let (home, ended) = siemline(home, &["replay", "--config", "c.toml", "--remove", "--straight"]).await;
    assert_eq!((ended.code, mended.distinct()), (Some(0), 1), "{ended:?}");
    assert_eq!(lying(&home), []);
    assert_eq!(hec.duplicates(), 0);
    let (_home, ended) = siemline(home, &["replay", "--config", "c.toml", "--sink", "nobody"]).await;
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.err.contains("there are lake, soc"), "{}", ended.err);
}
