//! The HTTP client over real sockets: TLS of both sides, proxies, names, and words that say what to do.

use std::path::{Path, PathBuf};

use siemline::delivery::{Disposition, Error};
use siemline::http::{Answer, Client, Endpoints, HttpOptions, Method, Url};
use siemline::secret::SecretRef;
use tempfile::TempDir;

use crate::fakes::http::{Reply, Server};
use crate::fakes::proxy::FakeProxy;

const RETRY: Disposition = Disposition::Retry { after: None };

/// Straight to the server, whatever the environment of the tests says.
fn direct() -> HttpOptions {
    HttpOptions { proxy: Some("none".to_owned()), ..HttpOptions::default() }
}

async fn ask(options: &HttpOptions, url: &str) -> Result<Answer, Error> {
    let client = Client::new(options).unwrap();
    client.answer(client.question(Method::GET, &Url::parse(url).unwrap())).await
}

fn file(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server behind TLS that says "here", and the file of its certificate.
async fn tls_server(directory: &TempDir) -> (Server, PathBuf) {
    let server = Server::start_tls(|_| Reply::new(200, "here")).await;
    let ca_file = file(directory, "ca.pem", server.certificate().unwrap());
    (server, ca_file)
}

/// Guards that a certificate which does not verify pauses the lane and names the remedy, each in its way, and that the right
/// authority is all it takes.
#[tokio::test]
async fn certificates_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ca_file) = tls_server(&directory).await;
    let plain = Server::start(|_| Reply::new(200, "here")).await;
    let trusting = HttpOptions { ca_file: Some(ca_file), ..direct() };
    assert_eq!(ask(&trusting, &server.url()).await.unwrap().body, b"here");

    let by_address = server.url().replace("localhost", "127.0.0.1");
    let not_tls = plain.url().replace("http://", "https://");
    for (options, url, part) in [
        (&direct(), server.url(), "name its PEM file as `http.ca_file`"),
        (&trusting, by_address, "with a name that the certificate holds"),
        (&trusting, not_tls, "does not speak TLS"),
    ] {
        let error = ask(options, &url).await.unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "tls"), "{error}");
        assert!(error.words.contains(part), "{error}");
    }
}

/// Guards both sides of TLS: a server that asks for a certificate is told one, and says what is wrong without it. The key may
/// stand in a file of its own or beside the certificate.
#[tokio::test]
async fn a_client_shows_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["siemline.example.com".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other.example.com".to_owned()]).unwrap();
    let server = Server::start_mutual_tls(made.cert.der().clone(), |_| Reply::new(200, "welcome")).await;
    let ca_file = file(&directory, "ca.pem", server.certificate().unwrap());
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate_file = file(&directory, "client.pem", &certificate);
    let key_file = file(&directory, "client.key", &key);
    let both_file = file(&directory, "both.pem", &format!("{certificate}{key}"));
    let other_file =
        file(&directory, "other.pem", &format!("{}{}", other.cert.pem(), other.signing_key.serialize_pem()));

    let showing = |certificate: Option<&Path>, key: Option<&Path>| HttpOptions {
        ca_file: Some(ca_file.clone()),
        client_certificate_file: certificate.map(Path::to_owned),
        client_key_file: key.map(Path::to_owned),
        ..direct()
    };
    for options in [showing(Some(&certificate_file), Some(&key_file)), showing(Some(&both_file), None)] {
        assert_eq!(ask(&options, &server.url()).await.unwrap().body, b"welcome", "{options:?}");
    }
    for options in [showing(None, None), showing(Some(&other_file), None)] {
        let error = ask(&options, &server.url()).await.unwrap_err();
        assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "tls"), "{error}");
        assert!(error.words.contains("`http.client_certificate_file`"), "{error}");
    }
}

/// Guards the proxy: plain requests and tunnels go through it, with its password; what it refuses is told apart from what
/// the server refuses, with the remedy; and `none` goes around it.
#[tokio::test]
async fn requests_go_through_the_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ca_file) = tls_server(&directory).await;
    let plain = Server::start(|asked| Reply::new(200, asked.path)).await;
    let password = file(&directory, "password", "pass-EXAMPLE");
    // "siemline:pass-EXAMPLE" in base64.
    let credentials = "Basic c2llbWxpbmU6cGFzcy1FWEFNUExF";
    let through = |proxy: &FakeProxy, password: Option<&Path>| HttpOptions {
        ca_file: Some(ca_file.clone()),
        proxy: Some(proxy.url.clone()),
        proxy_username: password.map(|_| "siemline".to_owned()),
        proxy_password: password.map(|path| SecretRef { env: None, file: Some(path.to_owned()) }),
        ..HttpOptions::default()
    };

    let open = FakeProxy::start(plain.address(), None).await;
    let answer = ask(&through(&open, None), "http://siem.example.com/events").await.unwrap();
    assert_eq!((answer.body.as_slice(), open.connections()), (b"/events".as_slice(), 1));
    assert_eq!(open.places(), ["http://siem.example.com/events"]);

    let guarded = FakeProxy::start(server.address(), Some(credentials)).await;
    // The name is the proxy's to resolve; the certificate is still verified against it.
    let url = "https://localhost:8443/";
    assert_eq!(ask(&through(&guarded, Some(&password)), url).await.unwrap().body, b"here");
    assert_eq!(guarded.places(), ["localhost:8443"]);
    let error = ask(&through(&guarded, None), url).await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "proxy"), "{error}");
    assert!(error.words.contains("`http.proxy_password`"), "{error}");
    let error = ask(&through(&guarded, Some(&password)), "https://forbidden.example.com/").await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (RETRY, "proxy"), "{error}");
    // What a proxy says to a plain request is an answer like any other.
    let error = ask(&through(&guarded, None), "http://siem.example.com/").await.unwrap();
    assert_eq!(error.status, 407);

    let before = guarded.connections();
    assert!(ask(&HttpOptions { ca_file: Some(ca_file), ..direct() }, &server.url()).await.is_ok());
    assert_eq!(guarded.connections(), before);
}

/// Guards that a name which nobody knows is told by name, and is tried again: name servers come back.
#[tokio::test]
async fn names_that_do_not_resolve_are_told() {
    // A label of more than 63 letters is refused by the resolver itself, without a question to the network.
    let name = format!("{}.invalid", "n".repeat(70));
    let error = ask(&direct(), &format!("http://{name}/secret-path-EXAMPLE")).await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (RETRY, "dns"), "{error}");
    assert!(error.words.contains(&name) && !error.words.contains("EXAMPLE"), "{error}");
}

/// Guards that cookies come back to the node that set them, if the sink wants it so, and only then.
#[tokio::test]
async fn cookies_are_kept_where_asked_for() {
    let server = Server::start(|asked| Reply {
        cookie: Some("AWSALB=node-1; Path=/".to_owned()),
        ..Reply::new(200, asked.header("cookie").unwrap_or("none").to_owned())
    })
    .await;
    let url = Url::parse(&server.url()).unwrap();
    let plain = Client::new(&direct()).unwrap();
    let keeping = Client::new(&direct()).unwrap().keeping_cookies();
    for (client, second) in [(plain, "none"), (keeping, "AWSALB=node-1")] {
        for expected in ["none", second] {
            let answer = client.answer(client.post(&url)).await.unwrap();
            assert_eq!(answer.body, expected.as_bytes());
        }
    }
}

/// Guards that one of several endpoints which is gone costs one request, and that the others take its turns.
#[tokio::test]
async fn the_living_endpoints_take_all() {
    let (first, second) = (Server::start(|_| Reply::new(200, "")).await, Server::start(|_| Reply::new(200, "")).await);
    let gone = Server::start(|_| Reply::new(200, "")).await.url();
    let endpoints = Endpoints::parse([first.url().as_str(), &gone, &second.url()]).unwrap();
    let client = Client::new(&direct()).unwrap();
    let now = std::time::Instant::now();
    let mut codes = Vec::new();
    for _ in 0..6 {
        let turn = endpoints.turn(now).unwrap();
        let result = client.answer(client.post(turn.url)).await;
        endpoints.note(turn.number, &result, now);
        codes.push((turn.number, result.map_or_else(|error| error.code.into_owned(), |answer| answer.code())));
    }
    let seen: Vec<(usize, &str)> = codes.iter().map(|(number, code)| (*number, code.as_str())).collect();
    let ok = "http_200";
    assert_eq!(seen, [(0, ok), (1, "connect"), (2, ok), (0, ok), (2, ok), (0, ok)]);
}
