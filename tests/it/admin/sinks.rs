//! What sinks measure of their own, on the way from the sink to the scraper.

use serde_json::{Value, json};

use super::get;
use super::process::House;
use crate::fakes::http::{Reply, Server};
use crate::fakes::kinesis::STREAM;

/// Guards that each kind of sink that measures something is asked by the process for just that: a Splunk that takes events and
/// never calls them indexed, a cluster that could not map a document and kept it, a Sumo that complained about a header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sinks_measure_of_their_own_is_told() {
    let house = House::new().await;
    let splunk = Server::start(|asked| match asked.path.as_str() {
        "/services/collector/ack" => Reply::json(200, &json!({ "acks": { "0": false } })),
        _ => Reply::json(200, &json!({ "text": "Success", "code": 0, "ackId": 0 })),
    })
    .await;
    let stored = json!({ "errors": false, "items": [{ "create": { "status": 201, "failure_store": "used" } }] });
    let elastic = Server::start(move |_| Reply::json(200, &stored)).await;
    let complaint = json!({ "status": 200, "code": "bad.http.header.fields", "message": "Field team is not known" });
    let sumo = Server::start(move |_| Reply::json(200, &complaint)).await;
    let text = format!(
        r#"
        [admin]
        listen = "127.0.0.1:0"
        [source.kinesis.findings]
        stream = "{STREAM}"
        region = "eu-west-1"
        endpoint_url = "{kinesis}"
        checkpoint_file = "checkpoints.json"
        idle_wait = "50ms"
        lease = {{ file_may_vanish = true }}
        [sink.splunk_hec.soc]
        endpoint = "{splunk}"
        token = {{ file = "secret" }}
        acknowledgement = true
        acknowledgement_interval = "20ms"
        acknowledgement_timeout = "200ms"
        lane = {{ batch_age_max = "10ms" }}
        [sink.elastic.search]
        endpoint = "{elastic}"
        api_key = {{ file = "secret" }}
        lane = {{ batch_age_max = "10ms" }}
        [sink.sumo.logic]
        url = {{ file = "url" }}
        name = "{name}{{log_type}}"
        lane = {{ batch_age_max = "10ms" }}
        [sink.file.archive]
        path = "archive.ndjson"
        [dead_letter.file]
        directory = "dl"
        [pipeline]
        shutdown_grace = "1s"
        "#,
        kinesis = house.kinesis.url,
        splunk = splunk.url(),
        elastic = elastic.url(),
        name = "n".repeat(2000),
    );
    std::fs::write(house.path("c.toml"), text).unwrap();
    std::fs::write(house.path("secret"), "c2VjcmV0OkVYQU1QTEU=").unwrap();
    std::fs::write(house.path("url"), format!("{}/receiver/v1/http/EXAMPLE", sumo.url())).unwrap();
    let shard = house.kinesis.open_shards().remove(0);
    house.kinesis.put_to(&shard, json!({ "n": 1 }).to_string());
    let running = house.start().await;
    let (soc, search, logic) = ("{sink=\"soc\"}", "{sink=\"search\"}", "{sink=\"logic\"}");
    for (metric, labels) in [
        ("siemline_splunk_hec_possible_duplicates_total", soc),
        ("siemline_elastic_failure_stored_total", search),
        ("siemline_sumo_complaints_total", logic),
        ("siemline_sumo_cut_values_total", logic),
    ] {
        house
            .until(&format!("{metric} is told"), async || {
                let metrics = get(&running.address, "/metrics").await;
                let told = metrics.metric(metric);
                assert!(told.iter().all(|(series, _)| *series == format!("{metric}{labels}")), "{told:?}");
                told.len() == 1 && metrics.sum(metric) > 0
            })
            .await;
    }
    let status: Value = serde_json::from_str(&get(&running.address, "/status").await.body).unwrap();
    assert_eq!(status["sinks"]["logic"], json!({ "sumo": { "complaints": 1, "cut_values": 1 } }), "{status:#}");
    assert_eq!(status["sinks"]["archive"], Value::Null, "a file has nothing of its own: {status:#}");
    let words = ["did not say that they are indexed", "are in the failure store", "complained about their headers"];
    assert!(words.iter().all(|words| house.log().contains(words)), "the log has the words: {}", house.log());
}
