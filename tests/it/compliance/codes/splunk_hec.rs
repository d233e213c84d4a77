//! Splunk HEC: the codes 0 to 27, and the statuses of what may stand before it.

use serde_json::json;

use super::super::web::hec::{HecKind, RawKind};
use super::Made::{Buried, Cut, Delivered, DeliveredSlower, Pauses, SentAgain};
use super::{Row, codes, hold, refused, taken};

/// The codes of Splunk's documentation, each with its status there.
fn table() -> Vec<Row> {
    let token = "the token is missing, wrong or disabled";
    let body = |code: u32| json!({ "text": "as documented", "code": code }).to_string();
    let no = |status, code, made, words| refused(status, body(code), made, words);
    let yes = |code, made| taken(200, body(code), made, "");
    let at_fault = |code: u32| json!({ "text": "no", "code": code, "invalid-event-number": 0 }).to_string();
    vec![
        yes(0, Delivered),
        no(403, 1, Pauses, token),
        no(401, 2, Pauses, token),
        no(401, 3, Pauses, token),
        no(403, 4, Pauses, token),
        no(400, 5, Pauses, "does a proxy drop the body?"),
        refused(400, at_fault(6), Buried, "hec_6: no"),
        no(400, 6, Buried, "which event is at fault is not told"),
        refused(400, at_fault(7), Buried, "the index does not exist, or the token does not allow it"),
        no(400, 7, Buried, "the index does not exist, or the token does not allow it"),
        no(500, 8, SentAgain, "hec_8"),
        no(503, 9, SentAgain, "hec_9"),
        no(400, 10, Pauses, "set `acknowledgement = true`"),
        no(400, 11, Pauses, "does a proxy change its header?"),
        refused(400, at_fault(12), Buried, "hec_12: no"),
        refused(400, at_fault(13), Buried, "hec_13: no"),
        no(400, 14, Pauses, "leave `acknowledgement` out"),
        refused(400, at_fault(15), Buried, "hec_15: no"),
        no(400, 16, Pauses, "write the token as `token`"),
        yes(17, Delivered),
        no(503, 18, SentAgain, "hec_18"),
        no(503, 19, SentAgain, "hec_19"),
        no(503, 20, SentAgain, "hec_20"),
        no(400, 21, Pauses, token),
        no(400, 22, Pauses, token),
        no(503, 23, SentAgain, "hec_23"),
        yes(24, DeliveredSlower),
        yes(25, DeliveredSlower),
        no(429, 26, SentAgain, "hec_26"),
        no(429, 27, SentAgain, "hec_27"),
    ]
}

/// Guards that each code which HEC is documented to answer was answered, and became what it is to become, at both endpoints.
#[tokio::test]
async fn every_code_is_answered() {
    assert_eq!(codes(&table()), (0..=27).collect::<Vec<u64>>(), "none is left out");
    hold::<HecKind>(table()).await;
    hold::<RawKind>(table()).await;
}

/// Guards the same for statuses without HEC's body.
#[tokio::test]
async fn every_status_is_answered() {
    let html = "<html>as by a proxy</html>";
    let endpoint = "check the endpoint";
    hold::<HecKind>(vec![
        refused(302, "", Pauses, endpoint),
        refused(401, html, Pauses, "the token is missing"),
        refused(403, html, Pauses, "the token is missing"),
        refused(404, r#"{"text":"The requested URL was not found on this server.","code":404}"#, Pauses, endpoint),
        refused(405, r#"{"text":"Method Not Allowed","code":404}"#, Pauses, endpoint),
        taken(408, html, SentAgain, "http_408"),
        refused(413, html, Cut, "larger than the endpoint takes"),
        refused(415, html, Pauses, endpoint),
        refused(429, html, SentAgain, "http_429"),
        taken(500, html, SentAgain, "http_500"),
        taken(502, html, SentAgain, "http_502"),
        refused(503, html, SentAgain, "http_503"),
        taken(504, html, SentAgain, "http_504"),
    ])
    .await;
}
