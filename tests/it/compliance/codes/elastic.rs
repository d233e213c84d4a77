//! Elasticsearch and OpenSearch: the statuses of a request, and those of a document in it.

use serde_json::{Value, json};

use super::super::web::elastic::{ElasticKind, IndexKind};
use super::Made::{Buried, Cut, Delivered, Duplicate, Pauses, SentAgain};
use super::{Row, hold, refused, taken};

/// Guards each status of a request as a whole, with the cluster's words.
#[tokio::test]
async fn every_status_is_answered() {
    let body = |status: u16| {
        json!({ "error": { "type": "some_exception", "reason": "as documented" }, "status": status }).to_string()
    };
    let no = |status, made, words| refused(status, body(status), made, words);
    hold::<ElasticKind>(vec![
        no(302, Pauses, "check the endpoint"),
        no(400, Buried, "some_exception: as documented"),
        no(401, Pauses, "the credentials are missing or wrong"),
        no(403, Pauses, "these credentials may not do this"),
        no(404, Pauses, "check the endpoint and the index"),
        no(405, Pauses, "check the endpoint"),
        no(406, Pauses, "check the endpoint"),
        taken(408, body(408), SentAgain, "some_exception"),
        no(413, Cut, "larger than the cluster takes"),
        no(429, SentAgain, "some_exception"),
        taken(500, body(500), SentAgain, "some_exception"),
        taken(502, body(502), SentAgain, "some_exception"),
        no(503, SentAgain, "some_exception"),
        taken(504, body(504), SentAgain, "some_exception"),
    ])
    .await;
}

/// The answer with this end of one document.
fn item(item: &Value) -> String {
    json!({ "errors": item.get("error").is_some(), "items": [{ "create": item }] }).to_string()
}

/// A document that failed.
fn failed(status: u16, kind: &str) -> String {
    item(&json!({ "status": status, "error": { "type": kind, "reason": "as documented" } }))
}

fn items() -> Vec<Row> {
    let no = |status, kind, made, words| refused(200, failed(status, kind), made, words);
    let store = |told: &str, status: u16| {
        let mut end = json!({ "status": status, "failure_store": told });
        if status >= 300 {
            end["error"] = json!({ "type": "document_parsing_exception", "reason": "as documented" });
        }
        item(&end)
    };
    vec![
        taken(200, item(&json!({ "status": 200 })), Delivered, ""),
        taken(200, item(&json!({ "status": 201 })), Delivered, ""),
        taken(200, store("used", 201), Delivered, ""),
        taken(200, store("not_applicable_or_unknown", 201), Delivered, ""),
        refused(200, store("not_enabled", 400), Buried, "document_parsing_exception: as documented"),
        refused(200, store("failed", 400), Buried, "document_parsing_exception: as documented"),
        taken(200, failed(409, "version_conflict_engine_exception"), Duplicate, ""),
        no(400, "document_parsing_exception", Buried, "document_parsing_exception: as documented"),
        no(404, "document_missing_exception", Buried, "as documented"),
        no(413, "circuit_breaking_exception", Buried, "as documented"),
        no(401, "security_exception", Pauses, "mend the credentials"),
        no(403, "security_exception", Pauses, "allow `create_doc` on the index"),
        no(403, "cluster_block_exception", Pauses, "make room on the disks of its nodes"),
        no(404, "index_not_found_exception", Pauses, "check `index` and `latest`"),
        no(400, "index_closed_exception", Pauses, "open the index"),
        no(400, "invalid_index_name_exception", Pauses, "check `index` and `latest`"),
        taken(200, failed(408, "timeout"), SentAgain, "as documented"),
        no(429, "es_rejected_execution_exception", SentAgain, "as documented"),
        no(500, "internal", SentAgain, "as documented"),
        no(502, "bad_gateway", SentAgain, "as documented"),
        no(503, "unavailable_shards_exception", SentAgain, "as documented"),
        no(504, "gateway_timeout", SentAgain, "as documented"),
    ]
}

/// Guards each status of a document, in a data stream and in an index, and each word on a failure store.
#[tokio::test]
async fn every_end_of_a_document_is_answered() {
    hold::<ElasticKind>(items()).await;
    hold::<IndexKind>(items()).await;
}
