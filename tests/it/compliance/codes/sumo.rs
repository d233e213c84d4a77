//! Sumo Logic: the statuses of an HTTP source.

use super::super::web::intakes::SumoKind;
use super::Made::{Buried, Cut, Delivered, Pauses, SentAgain};
use super::{hold, refused, taken};

/// Guards each status that Sumo is documented to answer, and those of what may stand before it.
#[tokio::test]
async fn every_status_is_answered() {
    let complaint = r#"{"status":200,"id":"ID-EXAMPLE","code":"bad.http.header.fields","message":"no such field"}"#;
    let unauthorized = r#"{"status":401,"code":"unauthorized","message":"Invalid URL token"}"#;
    let address = "copy it again from the HTTP source";
    hold::<SumoKind>(vec![
        taken(200, "", Delivered, ""),
        taken(200, complaint, Delivered, ""),
        refused(200, "<html>sign in</html>", Pauses, "check the address and the proxy"),
        refused(302, "", Pauses, "copy its address again"),
        refused(400, "", Buried, "http_400"),
        refused(401, unauthorized, Pauses, address),
        refused(403, "", Pauses, address),
        refused(404, "", Pauses, "check the address"),
        refused(405, "", Pauses, "check the address"),
        refused(407, "", Pauses, "`http.proxy_password`"),
        taken(408, "", SentAgain, "http_408"),
        refused(413, "", Cut, "larger than Sumo takes"),
        refused(415, "", Pauses, "set `compression = \"gzip\"`"),
        refused(429, "", SentAgain, "raise it in Sumo, or send less by routes"),
        taken(500, "", SentAgain, "http_500"),
        taken(502, "", SentAgain, "http_502"),
        refused(503, "", SentAgain, "http_503"),
        taken(504, "", SentAgain, "http_504"),
    ])
    .await;
}
