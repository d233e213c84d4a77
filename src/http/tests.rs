//! Guards what needs no server of a kind: URLs, waits, words, bodies, options, cookies, turns, addresses that change.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::SET_COOKIE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::answer::retry_after;
use super::cookies::Cookies;
use super::*;
use crate::delivery::Disposition;
use crate::secret::SecretRef;
use crate::unit::Span;

/// Guards that both forms of `Retry-After` are read, that nonsense is no wait, and that no server stops a lane for days.
#[test]
fn retry_after_is_seconds_or_a_date_and_bounded() {
    let now: Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
    for (value, seconds) in [
        ("0", Some(0)),
        ("7", Some(7)),
        (" 30 ", Some(30)),
        ("86400", Some(900)),
        ("99999999999999999999999", Some(900)),
        ("Wed, 01 May 2024 12:00:42 GMT", Some(42)),
        ("Wed, 01 May 2024 11:00:00 GMT", Some(0)),
        ("Thu, 02 May 2024 12:00:00 GMT", Some(900)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ] {
        assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
    }
}

/// Guards that an endpoint is a place and nothing else, and that a password in it is never shown.
#[test]
fn endpoints_are_places() {
    for (text, url) in [
        ("https://siem.example.com:8088", "https://siem.example.com:8088/"),
        ("http://127.0.0.1:9200/", "http://127.0.0.1:9200/"),
        ("https://proxy.example.com/splunk/", "https://proxy.example.com/splunk"),
    ] {
        assert_eq!(endpoint(text).unwrap().as_str(), url);
    }
    for (text, part) in [
        ("siem.example.com", "is no URL"),
        ("ftp://siem.example.com", "is not spoken here"),
        ("https://siem.example.com/?token=1", "has a query"),
        ("https://user:hunter2@siem.example.com", "secrets are given as references"),
        ("user:hunter2@siem.example.com", "secrets are given as references"),
        ("//user:hunter2@siem.example.com", "is no URL"),
    ] {
        let error = endpoint(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// Guards that foreign words are one short line.
#[test]
fn words_are_one_short_line() {
    assert_eq!(words(b"<html>\n  <h1>\x1b[31mno\x07</h1>\r\n"), "<html> <h1> [31mno </h1>");
    assert_eq!(words(b" \n"), "(empty)");
    assert_eq!(words(b"\xff!"), "\u{fffd}!");
    let long = words(&[b'x'; 10_000]);
    assert_eq!(long.len(), 404);
    assert!(long.ends_with(" ..."), "{long}");
}

/// Guards that what is compressed comes out again, time after time from one compressor, in what HTTP means by each word, and
/// that level 0 means plain.
#[test]
fn bodies_are_compressed_or_plain() {
    let plain = br#"{"event":{"a":"b"}}"#.repeat(500);
    for (compression, encoding) in
        [(Compression::Gzip, "gzip"), (Compression::Deflate, "deflate"), (Compression::Zstd, "zstd")]
    {
        for level in [1, 6, 12] {
            let compressor = Compressor::new(compression, CompressionLevel::try_from(level).unwrap());
            for _ in 0..3 {
                let body = compressor.body(&plain);
                assert_eq!(body.encoding, Some(encoding));
                assert!(body.bytes.len() < plain.len() / 10);
                assert_eq!(inflated(encoding, &body.bytes), plain, "{encoding} {level}");
            }
        }
        let body = Compressor::new(compression, CompressionLevel::NONE).body(&plain);
        assert_eq!(body, Body { bytes: plain.clone(), encoding: None });
    }
    let body = Compressor::new(Compression::None, CompressionLevel::default()).body(&plain);
    assert_eq!(body, Body { bytes: plain, encoding: None });
    assert!(CompressionLevel::try_from(13).is_err());
}

fn inflated(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn std::io::Read> = match encoding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        _ => Box::new(zstd::Decoder::new(bytes).unwrap()),
    };
    let mut plain = Vec::new();
    std::io::copy(&mut reader, &mut plain).unwrap();
    plain
}

/// Guards that what cannot be a proxy or an identity is told at the start, with the remedy and without the password.
#[test]
fn proxies_and_identities_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("password"), "hunter2").unwrap();
    std::fs::write(path("nothing.pem"), "nothing").unwrap();
    let password = || Some(SecretRef { env: None, file: Some(path("password")) });
    let user = || Some("u".to_owned());
    let with = |proxy: &str| HttpOptions { proxy: Some(proxy.to_owned()), ..HttpOptions::default() };
    for (options, part) in [
        (with("proxy.example.com:3128"), "`proxy.example.com:3128` is no proxy"),
        (with("socks5://proxy.example.com"), "`socks5://proxy.example.com` is no proxy"),
        (with("http://u:hunter2@proxy.example.com"), "no password stands in the proxy's URL"),
        (HttpOptions { proxy_username: user(), ..with("http://p.example.com") }, "belong together"),
        (
            HttpOptions { proxy_username: user(), proxy_password: password(), ..HttpOptions::default() },
            "belong together",
        ),
        (HttpOptions { client_key_file: Some(path("k")), ..HttpOptions::default() }, "needs `client_certificate_file`"),
        (HttpOptions { client_certificate_file: Some(path("c")), ..HttpOptions::default() }, "cannot read the client"),
        (
            HttpOptions { client_certificate_file: Some(path("nothing.pem")), ..HttpOptions::default() },
            "do not hold a certificate and its key",
        ),
    ] {
        let error = Client::new(&options).unwrap_err().to_string();
        assert!(error.contains(part), "{options:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for options in [
        with("none"),
        HttpOptions { proxy_username: user(), proxy_password: password(), ..with("https://p.example.com") },
    ] {
        assert!(Client::new(&options).is_ok(), "{options:?}");
    }
}

/// Guards that cookies go back to where they came from and nowhere else, are taken back, and are bounded.
#[test]
fn cookies_go_back_to_their_origin() {
    let url = |text: &str| Url::parse(text).unwrap();
    let (here, elsewhere) = (url("https://siem.example.com/a"), url("https://siem.example.com:8443/a"));
    let set = |cookies: &Cookies, values: &[&str]| {
        let headers = values.iter().map(|value| (SET_COOKIE, HeaderValue::from_str(value).unwrap()));
        cookies.note(&here, &headers.collect());
    };
    let sent = |cookies: &Cookies, url: &Url| cookies.header(url).map(|value| value.to_str().unwrap().to_owned());
    let cookies = Cookies::default();
    assert_eq!(sent(&cookies, &here), None);
    set(&cookies, &["AWSALB=one; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Path=/", "B=2; Max-Age=60", "no cookie", "=x"]);
    assert_eq!(sent(&cookies, &url("https://siem.example.com/other")).unwrap(), "AWSALB=one; B=2");
    assert_eq!(sent(&cookies, &elsewhere), None);
    set(&cookies, &["AWSALB=two", "B=; Max-Age=0"]);
    assert_eq!(sent(&cookies, &here).unwrap(), "AWSALB=two");
    assert!(!format!("{cookies:?}").contains("two"));
    for number in 0..100 {
        set(&cookies, &[&format!("c{number}={number}"), &format!("long={}", "x".repeat(5000))]);
    }
    let all = sent(&cookies, &here).unwrap();
    assert_eq!((all.matches('=').count(), all.contains("long")), (8, false), "{all}");
}

/// Guards the turns of several endpoints: round robin among those awake, rests that grow and end, and that none is given up.
#[test]
fn endpoints_take_turns() {
    assert!(matches!(Endpoints::parse([]), Err(Error::Endpoints(0))));
    assert!(matches!(Endpoints::parse(vec!["https://n.example.com"; 65]), Err(Error::Endpoints(65))));
    let endpoints =
        Endpoints::parse(["https://a.example.com", "https://b.example.com", "https://c.example.com"]).unwrap();
    let begin = Instant::now();
    let at = |seconds: u64| begin + Duration::from_secs(seconds);
    let turns = |seconds: u64, count: usize| {
        (0..count).map(|_| endpoints.turn(at(seconds)).unwrap().number).collect::<Vec<_>>()
    };
    let answered = |status: u16| Ok(Answer::new(status, ""));
    let lost = || Err(Answer::new(0, "").error(Disposition::Pause, "connect", String::new()));
    assert_eq!(turns(0, 4), [0, 1, 2, 0]);
    // A refusal is no failure of the endpoint; what fails while it rests is the same failure.
    endpoints.note(0, &answered(429), at(0));
    endpoints.note(1, &answered(503), at(0));
    endpoints.note(1, &lost(), at(1));
    assert_eq!((turns(1, 4), endpoints.resting(at(1))), (vec![2, 0, 2, 0], 1));
    assert_eq!(turns(5, 3), [1, 2, 0]);
    // The second failure in a row rests twice as long; the longest rest is a minute.
    endpoints.note(1, &lost(), at(5));
    assert_eq!((endpoints.resting(at(14)), endpoints.resting(at(15))), (1, 0));
    for _ in 0..40 {
        endpoints.note(1, &lost(), at(100));
        endpoints.note(1, &answered(200), at(90));
        endpoints.note(1, &lost(), at(100));
    }
    // Where all rest, the one that is awake first is tried.
    endpoints.note(2, &lost(), at(101));
    endpoints.note(0, &lost(), at(102));
    assert_eq!((turns(103, 2), endpoints.resting(at(103))), (vec![1, 1], 3));
    endpoints.note(1, &answered(200), at(104));
    assert_eq!(turns(104, 2), [1, 1]);
    let mut now = 1000;
    for _ in 0..100 {
        endpoints.note(0, &lost(), at(now));
        assert_eq!(endpoints.resting(at(now + 61)), 0, "no rest is longer than a minute");
        now += 61;
    }
}

/// Answers each connection's requests with this text, and keeps the connection.
async fn serve(listener: TcpListener, text: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut seen = Vec::new();
        let mut part = [0; 1024];
        // A request without a body ends with an empty line.
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            seen.extend_from_slice(&part[..length]);
            if seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    }
}

/// Every name stands for the address that was set last.
#[derive(Clone)]
struct Moving(Arc<Mutex<SocketAddr>>);

impl Resolve for Moving {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(*self.0.lock().unwrap()));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Guards that a name's new address is noticed under steady load: connections are used again up to their age, and no longer.
#[tokio::test]
async fn a_new_address_is_noticed() {
    for (age_max, seen) in [(Span::hours(1), "old"), (Span::seconds(0), "old"), (Span(Duration::from_nanos(1)), "new")]
    {
        let (old, new) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (first, second) = (old.local_addr().unwrap(), new.local_addr().unwrap());
        let address = Arc::new(Mutex::new(first));
        let options =
            HttpOptions { connection_age_max: age_max, proxy: Some("none".to_owned()), ..HttpOptions::default() };
        let client = Client::with_names(&options, Arc::new(Moving(Arc::clone(&address)))).unwrap();
        // A port that no address names: the resolver's is used.
        let url = Url::parse("http://siem.example.com/").unwrap();
        let ask = async {
            let answer = client.answer(client.question(Method::GET, &url)).await.unwrap();
            assert_eq!(answer.body, b"old");
            *address.lock().unwrap() = second;
            client.answer(client.question(Method::GET, &url)).await.unwrap().body
        };
        tokio::select! {
            body = ask => assert_eq!(body, seen.as_bytes(), "{age_max:?}"),
            () = serve(old, "old") => panic!("the server ended"),
            () = serve(new, "new") => panic!("the server ended"),
        }
    }
}

/// Guards that an unusable CA file is named, with the reason, before anything is sent.
#[test]
fn a_ca_file_holds_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let options = HttpOptions { ca_file: Some(path.clone()), ..HttpOptions::default() };
    assert!(matches!(Client::new(&options), Err(Error::CaFile { .. })));
    std::fs::write(&path, "no certificate").unwrap();
    assert!(matches!(Client::new(&options), Err(Error::Certificates(_))));
}
