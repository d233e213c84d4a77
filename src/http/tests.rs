//! Guards what no socket is needed for: URLs, waits, words, bodies, options.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::retry_after;
use super::*;

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

/// Guards that what is compressed comes out again, time after time from one compressor, and that level 0 means plain.
#[test]
fn bodies_are_gzip_or_plain() {
    let plain = br#"{"event":{"a":"b"}}"#.repeat(500);
    for level in [1, 6, 12] {
        let gzip = Gzip::new(CompressionLevel::try_from(level).unwrap());
        for _ in 0..3 {
            let body = gzip.body(&plain);
            assert_eq!(body.encoding, Some("gzip"));
            assert!(body.bytes.len() < plain.len() / 10);
            let mut out = vec![0; plain.len()];
            let length = libdeflater::Decompressor::new().gzip_decompress(&body.bytes, &mut out).unwrap();
            assert_eq!((length, &out), (plain.len(), &plain));
        }
    }
    let body = Gzip::new(CompressionLevel::NONE).body(&plain);
    assert_eq!(body, Body { bytes: plain, encoding: None });
    assert!(CompressionLevel::try_from(13).is_err());
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
