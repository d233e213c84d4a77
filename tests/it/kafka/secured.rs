//! How a Kafka sink secures its connection, and what it says where it may not come in.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use siemline::delivery::{Disposition, Sink as _};
use siemline::sink::kafka::Kafka;
use tempfile::TempDir;

use super::{RETRY, failure, sink_to};
use crate::events::batch;
use crate::fakes::http::{Reply, Server};
use crate::fakes::sasl_broker::SaslBroker;

const PASSWORD: &str = "s3cr3t-EXAMPLE";

/// A directory with a file `secret` in it.
fn secret(text: &str) -> (TempDir, Value) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, text).unwrap();
    (directory, json!({ "file": path }))
}

fn sink_with(broker: &SaslBroker, sasl: &Value) -> Kafka {
    sink_to(&broker.address, &json!({ "sasl": sasl }))
}

/// Guards what each mechanism tells the broker, that a refusal pauses at once with the broker's words and the remedy, at every
/// sending anew, and that no message shows the password.
#[tokio::test]
async fn refused_credentials_pause_the_lane() {
    let (_directory, password) = secret(PASSWORD);
    for (mechanism, first) in [
        ("PLAIN", format!("\0siemline\0{PASSWORD}")),
        ("SCRAM-SHA-256", "n,,n=siemline,r=".to_owned()),
        ("SCRAM-SHA-512", "n,,n=siemline,r=".to_owned()),
    ] {
        let broker = SaslBroker::start(mechanism).await;
        let sink = sink_with(&broker, &json!({ "mechanism": mechanism, "username": "siemline", "password": password }));
        for _ in 0..2 {
            let error = failure(&sink, &batch(&sink, 3)).await;
            assert_eq!(
                (error.disposition, error.code.as_ref()),
                (Disposition::Pause, "kafka_authentication"),
                "{error}"
            );
            assert!(error.words.contains("told by the broker") && error.words.contains("under `sasl`"), "{error}");
            assert!(!format!("{error:?} {sink:?}").contains(PASSWORD), "{error:?}");
        }
        let error = sink.check().await.unwrap_err();
        assert_eq!(error.disposition, Disposition::Pause, "{error}");
        let heard = broker.heard();
        assert!(heard.len() >= 3 && heard.iter().all(|heard| heard.starts_with(&first)), "{mechanism}: {heard:?}");
    }
}

/// Guards that a mechanism which the listener does not speak pauses too.
#[tokio::test]
async fn an_unknown_mechanism_pauses_the_lane() {
    let (_directory, password) = secret(PASSWORD);
    let broker = SaslBroker::start("GSSAPI").await;
    let sink = sink_with(&broker, &json!({ "mechanism": "PLAIN", "username": "siemline", "password": password }));
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!(error.disposition, Disposition::Pause, "{error}");
    assert!(error.words.contains("GSSAPI"), "the broker's own mechanisms are told: {error}");
    assert_eq!(broker.heard(), Vec::<String>::new());
}

/// Guards that a token that is given is sent as it is, and read anew for a new producer.
#[tokio::test]
async fn given_tokens_are_sent() {
    let (directory, token) = secret("first.EXAMPLE");
    let broker = SaslBroker::start("OAUTHBEARER").await;
    let sink = sink_with(&broker, &json!({ "mechanism": "OAUTHBEARER", "token": token }));
    failure(&sink, &batch(&sink, 1)).await;
    std::fs::write(directory.path().join("secret"), "second.EXAMPLE").unwrap();
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!(error.disposition, Disposition::Pause, "{error}");
    let heard = broker.heard();
    for token in ["first.EXAMPLE", "second.EXAMPLE"] {
        let expected = format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}");
        assert!(heard.contains(&expected), "{heard:?}");
    }
}

/// Guards that a token is fetched for client credentials, and that an endpoint which refuses them pauses the lane with its
/// words and without the secret.
#[tokio::test]
async fn tokens_are_fetched() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let endpoint = Server::start(move |request| {
        let authorization = request.header("authorization").unwrap_or_default().to_owned();
        seen.lock().unwrap().push((
            request.method.clone(),
            authorization.clone(),
            String::from_utf8(request.body.clone()).unwrap(),
        ));
        // `siemline:s3cr3t-EXAMPLE`
        if authorization == "Basic c2llbWxpbmU6czNjcjN0LUVYQU1QTEU=" {
            Reply::json(200, &json!({ "access_token": "fetched.EXAMPLE", "token_type": "Bearer", "expires_in": 300 }))
        } else {
            Reply::json(401, &json!({ "error": "invalid_client" }))
        }
    })
    .await;
    let broker = SaslBroker::start("OAUTHBEARER").await;
    let (_directory, secret_file) = secret(PASSWORD);
    let sasl = json!({
        "mechanism": "OAUTHBEARER", "token_endpoint": format!("{}/oauth2/token", endpoint.url()), "client_id": "siemline",
        "client_secret": secret_file, "scope": "kafka write",
    });
    let sink = sink_with(&broker, &sasl);
    failure(&sink, &batch(&sink, 1)).await;
    assert!(
        broker.heard().contains(&"n,,\u{1}auth=Bearer fetched.EXAMPLE\u{1}\u{1}".to_owned()),
        "{:?}",
        broker.heard()
    );
    let (method, _, form) = asked.lock().unwrap()[0].clone();
    assert_eq!((method.as_str(), form.as_str()), ("POST", "grant_type=client_credentials&scope=kafka+write"));

    let (_directory, wrong) = secret("wrong-EXAMPLE");
    let mut sasl = sasl;
    sasl["client_secret"] = wrong;
    let sink = sink_with(&broker, &sasl);
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "kafka_authentication"), "{error}");
    assert!(error.words.contains("invalid_client") && !error.words.contains("wrong-EXAMPLE"), "{error}");
}

/// Guards that a certificate that is not trusted pauses the lane, that the CA file is what is trusted, and that a listener which
/// speaks TLS is told from one that does not.
#[tokio::test]
async fn certificates_are_verified() {
    // It speaks no Kafka behind its TLS: a handshake that succeeds ends in a connection that is cut.
    let server = Server::start_tls(|_| Reply::new(400, "")).await;
    let address = server.url().replace("https://", "");
    let brief = json!({ "request_timeout": "4s" });

    let sink = sink_to(&address, &json!({ "tls": {}, "lane": brief }));
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "kafka_ssl"), "{error}");
    assert!(error.words.contains("verif") && error.words.contains("`ca_file`"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, server.certificate().unwrap()).unwrap();
    let sink = sink_to(&address, &json!({ "tls": { "ca_file": ca_file }, "lane": brief }));
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!(error.disposition, RETRY, "the certificate is trusted, and the connection cut: {error}");

    let sink = sink_to(&address, &json!({ "lane": brief }));
    let error = failure(&sink, &batch(&sink, 1)).await;
    assert_eq!(error.disposition, RETRY, "{error}");
    assert!(error.words.contains("check `tls`"), "{error}");
}
