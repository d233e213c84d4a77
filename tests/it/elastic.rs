//! The Elasticsearch sink against a strict `_bulk`: each fault is answered as the lane needs it.

use std::time::Duration;

use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Disposition, Error, Sink as _, Verdict, Verdicts};
use siemline::sink::elastic::setup::{self, Done, Server};
use siemline::sink::elastic::{Elastic, ElasticOptions};
use siemline::unit::Span;
use tokio::time::timeout;

use crate::events::{batch, block, uid};
use crate::fakes::bulk::{API_KEY, API_KEY_CREATE_ONLY, API_KEY_READ_ONLY, FakeBulk};
use crate::fakes::plan::{Fault, Plan};

/// A sink of these further options, whose API key is this one.
fn sink_with(url: &str, key: &str, more: &Value) -> Elastic {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, key).unwrap();
    let mut options = json!({ "endpoint": url, "api_key": { "file": path }, "format": "ocsf" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    Elastic::new(&serde_json::from_value::<ElasticOptions>(options).unwrap()).unwrap()
}

fn sink(url: &str) -> Elastic {
    sink_with(url, API_KEY, &json!({}))
}

async fn failure(sink: &Elastic, batch: &Batch) -> Error {
    sink.send(batch).await.expect_err("the request fails")
}

/// Guards the way of a batch from events to documents, and the request's path and query.
#[tokio::test]
async fn a_batch_is_created() {
    for level in [0, 1, 6] {
        let cluster = FakeBulk::start(Plan::healthy()).await;
        let more = json!({ "compression_level": level, "pipeline": "geo ip", "index": "logs-a.b-prod" });
        let sink = sink_with(&cluster.url, API_KEY, &more);
        assert_eq!(sink.send(&batch(&sink, 100)).await, Ok(Delivery::accepted()));
        let received = cluster.received();
        assert_eq!(received.len(), 100);
        let expected = json!({ "@timestamp": "2023-11-14T22:13:20.042Z", "class_uid": 2004, "n": 42 });
        assert_eq!(received[&uid(42)].document, expected);
        let expected = "/logs-a.b-prod/_bulk?filter_path=errors%2Citems.%2A.status%2Citems.%2A.error%2Citems.%2A.failure_store&pipeline=geo%20ip";
        assert_eq!(cluster.queries(), [expected]);
    }
}

/// Guards that raw events arrive as text, in the data stream that is named where none is.
#[tokio::test]
async fn raw_events_are_created() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    let sink = sink_with(&cluster.url, API_KEY, &json!({ "format": "raw" }));
    assert_eq!(sink.send(&batch(&sink, 2)).await, Ok(Delivery::accepted()));
    let document = &cluster.received()[&uid(1)].document;
    assert_eq!((&document["message"], &document["siemline"]["log_type"]), (&json!("line 1"), &json!("aws.guardduty")));
    assert!(cluster.queries()[0].starts_with("/logs-siemline.raw-default/_bulk?"), "{:?}", cluster.queries());
}

/// Guards that every fault becomes what the lane is to do about it, and that the next sending heals it: nothing is lost,
/// and what was taken before is answered as a duplicate.
#[tokio::test]
async fn faults_are_answered_and_healed() {
    let retry = |seconds: Option<u64>| Disposition::Retry { after: seconds.map(Duration::from_secs) };
    for (fault, disposition, code, duplicates) in [
        (Fault::throttled(None), retry(None), "http_429", 0),
        (Fault::throttled(Some(7)), retry(Some(7)), "http_429", 0),
        (Fault::unavailable(Some(2)), retry(Some(2)), "http_503", 0),
        (Fault::html(), Disposition::Pause, "http_200", 0),
        (Fault::CutBefore, retry(None), "cut", 0),
        (Fault::garbage(), retry(None), "http_502", 10),
        (Fault::Short, retry(None), "items_missing", 10),
        (Fault::CutMidway, retry(None), "cut", 10),
    ] {
        let cluster = FakeBulk::start(Plan::script([fault.clone()])).await;
        let sink = sink(&cluster.url);
        let batch = batch(&sink, 10);
        let error = failure(&sink, &batch).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{fault:?}: {error}");
        let healed = sink.send(&batch).await.unwrap();
        let expected = match duplicates {
            0 => Verdicts::AllAccepted,
            _ => Verdicts::Each(vec![Verdict::Duplicate; 10]),
        };
        assert_eq!(healed.verdicts, expected, "{fault:?}");
        assert_eq!((cluster.distinct(), cluster.duplicates()), (10, duplicates), "{fault:?}");
    }
}

/// Guards that a slow answer is waited for, and that giving up on one that never comes leaves a sink that works.
#[tokio::test]
async fn slow_answers_are_awaited_and_may_be_given_up() {
    let cluster = FakeBulk::start(Plan::script([Fault::Slow(Duration::from_millis(20)), Fault::Hang])).await;
    let sink = sink(&cluster.url);
    let batch = batch(&sink, 2);
    assert_eq!(sink.send(&batch).await, Ok(Delivery::accepted()));
    assert!(timeout(Duration::from_millis(200), sink.send(&batch)).await.is_err(), "it is never answered");
    let again = sink.send(&batch).await.unwrap();
    assert_eq!(again.verdicts, Verdicts::Each(vec![Verdict::Duplicate; 2]));
    assert_eq!(cluster.distinct(), 2);
}

/// Guards that only what was not taken is to be sent again, that what is refused is refused alone, and that the verdicts
/// say of each document what became of it.
#[tokio::test]
async fn each_document_has_its_own_verdict() {
    let plan = Plan::script([Fault::Partial]).refusing(|document| document["n"].as_u64() == Some(5));
    let cluster = FakeBulk::start(plan).await;
    let sink = sink(&cluster.url);
    let all = batch(&sink, 20);
    let Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) = sink.send(&all).await else { panic!("verdicts") };
    assert_eq!(verdicts.len(), 20);
    let received = cluster.received();
    let mut again = Vec::new();
    for ((n, verdict), frame) in (0..).zip(&verdicts).zip(all.frames()) {
        match verdict {
            Verdict::Accepted => assert!(received.contains_key(&uid(n)), "{n}"),
            Verdict::Retry(why) => {
                assert_eq!(why.code, "es_rejected_execution_exception");
                assert!(!received.contains_key(&uid(n)), "{n}");
                again.push(frame);
            }
            Verdict::Refused(why) => assert_eq!((n, why.code.as_ref()), (5, "document_parsing_exception")),
            Verdict::Duplicate => panic!("{n} was sent once"),
        }
    }
    assert!(!again.is_empty() && again.len() < 20, "the plan takes some and leaves some: {}", again.len());
    sink.send(&Batch::of_frames(again)).await.unwrap();
    assert_eq!((cluster.distinct(), cluster.duplicates()), (19, 0));
}

/// Guards that a body above the cluster's limit is split.
#[tokio::test]
async fn a_batch_too_large_is_split() {
    let cluster = FakeBulk::start(Plan::healthy().body_bytes_max(1500)).await;
    let sink = sink(&cluster.url);
    let all = batch(&sink, 20);
    assert!(all.body().len() > 1500);
    assert_eq!(failure(&sink, &all).await.disposition, Disposition::Split);
    assert_eq!(sink.send(&Batch::of_frames(all.frames().take(10))).await, Ok(Delivery::accepted()));
}

/// Guards that an answer longer than the bound is never held whole, and is no success.
#[tokio::test]
async fn answers_are_bounded() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    let sink = sink_with(&cluster.url, API_KEY, &json!({ "http": { "response_bytes_max": "256B" } }));
    let error = failure(&sink, &batch(&sink, 100)).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Split, "answer_too_long"));
    assert_eq!(sink.send(&batch(&sink, 2)).await.unwrap().verdicts, Verdicts::Each(vec![Verdict::Duplicate; 2]));
}

/// Guards that wrong credentials, a wrong path and nobody at home are told apart, and that no message holds the key.
#[tokio::test]
async fn wrong_settings_are_told_apart() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    let closed = FakeBulk::start(Plan::healthy()).await.url.clone();
    let retry = Disposition::Retry { after: None };
    for (url, key, disposition, code) in [
        (cluster.url.clone(), "wrong-EXAMPLE", Disposition::Pause, "security_exception"),
        (cluster.url.clone(), API_KEY_READ_ONLY, Disposition::Pause, "security_exception"),
        (closed, API_KEY, retry, "connect"),
    ] {
        let sink = sink_with(&url, key, &json!({}));
        let error = failure(&sink, &batch(&sink, 1)).await;
        assert_eq!((error.disposition, error.code.as_ref()), (disposition, code), "{error}");
        assert!(!format!("{error} {error:?} {sink:?}").contains(key), "{error:?} {sink:?}");
    }
    assert_eq!(cluster.distinct(), 0);
}

/// Guards that `check` takes a key that may do nothing but what is needed, and tells one that may not.
#[tokio::test]
async fn check_proves_the_privilege() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    for key in [API_KEY, API_KEY_CREATE_ONLY] {
        assert_eq!(sink_with(&cluster.url, key, &json!({})).check().await, Ok(()));
    }
    let error = sink_with(&cluster.url, API_KEY_READ_ONLY, &json!({})).check().await.unwrap_err();
    assert_eq!(error.code, "create_doc");
    let error = sink_with(&cluster.url, "wrong-EXAMPLE", &json!({})).check().await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "security_exception"));
    // Three questions of each key that may create, two of the one that may not, and one of the key that is none.
    assert_eq!((cluster.batches(), cluster.requests()), (0, 9));
}

/// Guards that a user of OpenSearch who may write and ask nothing is taken for what they are, and one who may not write, or
/// cannot be judged now, as well. The answers are those of OpenSearch 2.19.1 with its security plugin.
#[tokio::test]
async fn check_finds_out_what_may_be_written_where_nothing_may_be_asked() {
    let denied = |what: &str| {
        let reason =
            format!("no permissions for [{what}] and User [name=siemline, backend_roles=[], requestedTenant=null]");
        json!({ "error": { "type": "security_exception", "reason": reason }, "status": 403 })
    };
    let other = |kind: &str| json!({ "error": { "type": kind, "reason": "as it is" } });
    let written = denied("indices:data/write/index");
    for (status, answer, expected) in [
        (404, other("index_not_found_exception"), ""),
        (409, other("version_conflict_engine_exception"), ""),
        (403, written, "`indices:data/write/index` on `logs-siemline.ocsf-default`"),
        (401, json!("Unauthorized"), "the credentials are missing or wrong"),
        (503, other("process_cluster_event_timeout_exception"), "try again"),
    ] {
        let cluster = FakeBulk::start(Plan::healthy()).await;
        cluster.tell("GET /", 403, denied("cluster:monitor/main"));
        let unknown =
            json!({ "error": "no handler found for uri [/_security/user/_has_privileges] and method [POST]" });
        cluster.tell("POST /_security/user/_has_privileges", 400, unknown);
        let name = "logs-siemline.ocsf-default";
        cluster.tell(&format!("GET /_resolve/index/{name}"), 403, denied("indices:admin/resolve/index"));
        cluster.tell(&format!("PUT /{name}/_doc/siemline-check"), status, answer);
        let said = match sink_with(&cluster.url, API_KEY, &json!({})).check().await {
            Ok(()) => String::new(),
            Err(error) => error.words,
        };
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{status}: {said}");
        assert_eq!(cluster.distinct(), 0, "{status}");
    }
}

/// Guards that `check` says what a name stands for where nothing can be written to it, and what to do.
#[tokio::test]
async fn check_tells_what_is_wrong_with_a_name() {
    let named = |index: &str| json!({ "index": index });
    let resolved = |kind: &str, answer: Value| {
        let mut all = json!({ "indices": [], "aliases": [], "data_streams": [] });
        all[kind] = json!([answer]);
        all
    };
    let alias = resolved("aliases", json!({ "name": "logs", "indices": ["a", "b"] }));
    let of_alias = |more: Value| json!({ "a": { "aliases": { "logs": {} } }, "b": { "aliases": { "logs": more } } });
    let nothing = json!({ "indices": [], "aliases": [], "data_streams": [] });
    let default = "logs-siemline.ocsf-default";
    let (resolve, simulate) =
        (format!("GET /_resolve/index/{default}"), format!("POST /_index_template/_simulate_index/{default}"));
    for (more, told, expected) in [
        (
            named("logs"),
            vec![("GET /_resolve/index/logs", alias.clone()), ("GET /_alias/logs", of_alias(json!({})))],
            "write_index",
        ),
        (
            named("logs"),
            vec![
                ("GET /_resolve/index/logs", alias),
                ("GET /_alias/logs", of_alias(json!({ "is_write_index": true }))),
            ],
            "",
        ),
        (json!({}), vec![(resolve.as_str(), nothing.clone()), (simulate.as_str(), json!({}))], "no_index_template"),
        (json!({}), vec![(resolve.as_str(), nothing.clone()), (simulate.as_str(), json!({ "template": {} }))], ""),
        (named("own"), vec![("GET /_resolve/index/own", nothing)], ""),
        (json!({ "latest": "stream" }), vec![], "latest"),
        (
            json!({ "latest": "states" }),
            vec![("GET /_resolve/index/states", resolved("indices", json!({ "name": "states" })))],
            "",
        ),
    ] {
        let cluster = FakeBulk::start(Plan::healthy()).await;
        for (request, answer) in told {
            cluster.tell(request, 200, answer);
        }
        let code = match sink_with(&cluster.url, API_KEY, &more).check().await {
            Ok(()) => String::new(),
            Err(error) => error.code.into_owned(),
        };
        assert_eq!(code, expected, "{more}");
    }
}

/// Guards that setup puts everything where it belongs, that doing it again leaves the policy as it is, that a cluster without
/// policies gets the rest, and that it is said if it may not.
#[tokio::test]
async fn setup_installs_templates_and_lifecycle() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    let elastic = sink(&cluster.url);
    let options: ElasticOptions = serde_json::from_value(json!({ "endpoint": cluster.url })).unwrap();
    assert_eq!(setup::server(&elastic).await, Ok(Server::Elasticsearch));
    let steps = setup::steps(&options, Server::Elasticsearch, None).unwrap();
    assert_eq!(setup::install(&elastic, &steps).await, Ok(vec![Done::Installed; 3]));
    let installed = cluster.templates();
    for step in &steps {
        assert_eq!(installed[step.request().trim_start_matches("PUT ")], step.body);
    }
    let again = setup::steps(&options, Server::Elasticsearch, Some(Span::hours(1))).unwrap();
    assert_eq!(setup::install(&elastic, &again).await, Ok(vec![Done::Kept, Done::Installed, Done::Installed]));
    assert_eq!(cluster.templates(), installed);
    let error = setup::install(&sink_with(&cluster.url, API_KEY_CREATE_ONLY, &json!({})), &steps).await.unwrap_err();
    assert_eq!(error.code, "security_exception");

    for (version, expected) in [
        (json!({ "distribution": "opensearch", "number": "3.1.0" }), Server::OpenSearch),
        (json!({ "number": "8.11.0", "build_flavor": "serverless" }), Server::ElasticServerless),
    ] {
        cluster.tell("GET /", 200, json!({ "version": version }));
        assert_eq!(setup::server(&elastic).await, Ok(expected));
    }
    // As OpenSearch 2.19 answers without the plugin.
    let steps = setup::steps(&options, Server::OpenSearch, None).unwrap();
    let request = steps[0].request().replace("PUT", "GET");
    cluster.tell(&request, 400, json!({ "error": "no handler found for uri and method [GET]" }));
    assert_eq!(setup::install(&elastic, &steps).await, Ok(vec![Done::Unknown, Done::Installed, Done::Installed]));
}

/// Guards that a node which is down costs one request, and that the others take over.
#[tokio::test]
async fn nodes_take_over_from_each_other() {
    let (one, two) = (FakeBulk::start(Plan::healthy()).await, FakeBulk::start(Plan::script([Fault::Hang])).await);
    let closed = FakeBulk::start(Plan::healthy()).await.url.clone();
    let sink = sink_with(&closed, API_KEY, &json!({ "endpoints": [one.url, two.url] }));
    assert_eq!(sink.check().await, Ok(()), "the next node is asked");
    let all = batch(&sink, 3);
    let mut failures = 0;
    for _ in 0..6 {
        match timeout(Duration::from_millis(500), sink.send(&all)).await {
            // Given up: the node never answers.
            Err(_) => failures += 1,
            Ok(Err(error)) => panic!("the closed node rests since the check: {error}"),
            Ok(Ok(_)) => {}
        }
    }
    assert_eq!((failures, one.distinct(), two.distinct()), (1, 3, 3), "the one that hung rests too");
    assert!(one.batches() == 5 && two.batches() == 1, "{} {}", one.batches(), two.batches());
}

/// Guards that a bearer token is sent as such, and that no message holds it.
#[tokio::test]
async fn bearer_tokens_are_sent() {
    let cluster = FakeBulk::start(Plan::healthy()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "tokenEXAMPLE").unwrap();
    let options = json!({ "endpoint": cluster.url, "bearer_token": { "file": path }, "format": "ocsf" });
    let sink = Elastic::new(&serde_json::from_value(options).unwrap()).unwrap();
    let error = failure(&sink, &batch(&sink, 1)).await;
    // The fake takes keys only, and tells what it was shown.
    assert_eq!(cluster.last_authorization(), "Bearer tokenEXAMPLE");
    assert_eq!(error.disposition, Disposition::Pause);
    assert!(!format!("{error} {sink:?}").contains("tokenEXAMPLE"), "{error} {sink:?}");
}

/// A batch of words on findings: the id, when it was modified, and the number of the word.
fn words_on_findings(sink: &Elastic, words: &[(u64, u64, u32)]) -> Batch {
    let mut batch = Batch::default();
    for (finding, modified, number) in words {
        let mut block = block(1);
        block.ocsf = json!({ "class_uid": 2004, "n": number, "finding_info": {
            "uid": format!("F-{finding}"), "modified_time": modified,
        } })
        .to_string()
        .into_bytes();
        block.rows[0].ocsf = 0..block.ocsf.len();
        block.rows[0].id = u128::from(*number).to_be_bytes();
        batch.push(|out| sink.encode(block.event(0).unwrap(), out));
    }
    batch
}

/// Guards the latest states: in whatever order, and however often, words on findings come over faults, the newest stands in
/// the end, every word is in the stream once, and each index has the name that its event says.
#[tokio::test]
async fn the_newest_word_on_a_finding_stands() {
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
    let cluster = FakeBulk::start(Plan::dice(seed, 60, Fault::passing())).await;
    let more = json!({ "index": "logs-{log_type}", "latest": "latest-{severity}" });
    let sink = sink_with(&cluster.url, API_KEY, &more);
    let mut words: Vec<(u64, u64, u32)> = (0..60).map(|n| (u64::from(n % 7), 1000 + u64::from(n), n)).collect();
    dice.shuffle(&mut words);
    for part in words.chunks(9) {
        let all = words_on_findings(&sink, part);
        let mut left: Vec<&[u8]> = all.frames().collect();
        for _ in 0..200 {
            let Ok(delivery) = sink.send(&Batch::of_frames(left.iter().copied())).await else { continue };
            match delivery.verdicts {
                Verdicts::AllAccepted => left.clear(),
                Verdicts::Each(verdicts) => {
                    assert_eq!(verdicts.len(), left.len(), "one verdict an entry, seed {seed}");
                    let mut verdicts = verdicts.iter();
                    left.retain(|_| matches!(verdicts.next(), Some(Verdict::Retry(_)) | None));
                }
            }
            if left.is_empty() {
                break;
            }
        }
        assert!(left.is_empty(), "seed {seed}");
    }
    let received = cluster.received();
    assert_eq!(received.len(), 60, "seed {seed}");
    assert!(received.values().all(|arrival| arrival.index == "logs-aws.guardduty"), "seed {seed}");
    let latest = cluster.latest();
    let mut newest: Vec<u64> = latest.values().map(|(version, _, _)| *version).collect();
    newest.sort_unstable();
    assert_eq!(newest, [1053, 1054, 1055, 1056, 1057, 1058, 1059], "seed {seed}");
    assert!(latest.values().all(|(version, index, document)| {
        index == "latest-medium" && document["finding_info"]["modified_time"] == json!(version)
    }));
}

/// Guards that whatever a seeded run of faults does, sending what has no verdict until it has one brings all events in once,
/// and leaves exactly the refused ones out.
#[tokio::test]
async fn a_run_of_faults_loses_nothing() {
    let seed = fastrand::u64(..);
    let plan = Plan::dice(seed, 60, Fault::passing()).refusing(|document| document["n"].as_u64() == Some(17));
    let cluster = FakeBulk::start(plan).await;
    let sink = sink(&cluster.url);
    let all = batch(&sink, 40);
    let mut left: Vec<&[u8]> = all.frames().collect();
    let mut refused = 0;
    for _ in 0..200 {
        let Ok(delivery) = sink.send(&Batch::of_frames(left.iter().copied())).await else { continue };
        match delivery.verdicts {
            Verdicts::AllAccepted => left.clear(),
            Verdicts::Each(verdicts) => {
                refused += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
                let mut verdicts = verdicts.iter();
                left.retain(|_| matches!(verdicts.next(), Some(Verdict::Retry(_)) | None));
            }
        }
        if left.is_empty() {
            break;
        }
    }
    assert_eq!((left.len(), refused, cluster.distinct()), (0, 1, 39), "seed {seed}");
}
