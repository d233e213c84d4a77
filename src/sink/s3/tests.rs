//! Guards what needs no server: keys and bodies of objects, options, permissions, and what each failure means.

use std::io::Read as _;
use std::time::Duration;

use super::request::Packing;
use super::response::{Said, judge};
use super::{S3Options, S3Sink, permissions};
use crate::aws::permission::Home;
use crate::delivery::{Batch, Disposition, Sink as _};
use crate::sink::sample::block;

fn options(text: &str) -> S3Options {
    toml::from_str(&format!("bucket = 'archive'\n{text}")).unwrap()
}

/// A batch of the event in these blocks, with the given ids.
fn batch(packing: &Packing, ocsf: &str, ids: &[u8]) -> Batch {
    let mut bucket = Vec::new();
    packing.push_prefix(block(ocsf, b"").event(0).unwrap(), &mut bucket);
    let mut batch = Batch::of_bucket(&bucket);
    for id in ids {
        let mut block = block(ocsf, b"");
        block.rows[0].id = [*id; 16];
        batch.push(|out| packing.push(block.event(0).unwrap(), out));
    }
    batch
}

/// Guards keys and bodies: the prefix tells the time of the event, each form ends as it should, and what comes out is lines
/// without ids.
#[test]
fn batches_become_objects() {
    for (written, ending, kind) in [
        ("", ".ndjson.gz", "application/gzip"),
        ("compression = 'zstd'", ".ndjson.zst", "application/zstd"),
        ("compression = 'none'", ".ndjson", "application/x-ndjson"),
    ] {
        let packing = Packing::new(&options(written)).unwrap();
        let object = packing.object(&batch(&packing, r#"{"class_uid":2004}"#, &[1, 2]));
        let start = "siemline/aws.guardduty/year=2023/month=11/day=14/hour=22/";
        assert!(object.key.starts_with(start) && object.key.ends_with(ending), "{}", object.key);
        assert_eq!((object.key.len(), object.content_type), (start.len() + 32 + ending.len(), kind));
        let mut plain = String::new();
        let bytes = object.body.as_slice();
        let read = match ending {
            ".ndjson.gz" => flate2::read::GzDecoder::new(bytes).take(1000).read_to_string(&mut plain),
            ".ndjson.zst" => zstd::Decoder::new(bytes).unwrap().take(1000).read_to_string(&mut plain),
            _ => bytes.take(1000).read_to_string(&mut plain),
        };
        read.unwrap();
        assert_eq!(plain, "{\"class_uid\":2004}\n{\"class_uid\":2004}\n");
    }
}

/// Guards that a batch sent again takes its own place, and that equal lines of different events take two.
#[test]
fn names_are_of_the_events() {
    let packing = Packing::new(&options("")).unwrap();
    let key = |ids: &[u8]| packing.object(&batch(&packing, "{}", ids)).key;
    assert_eq!(key(&[1, 2]), key(&[1, 2]));
    assert_ne!(key(&[1]), key(&[2]));
    assert_ne!(key(&[1, 2]), key(&[2, 1]));
}

/// Guards that what an event holds can neither break a key nor make it longer than S3 takes.
#[test]
fn keys_are_clean() {
    let packing = Packing::new(&options("prefix = 'ü/{finding_info.title}/'")).unwrap();
    for (title, expected) in [("a/b c\\nü", "ü/a_b_c__/"), ("..", "ü/../")] {
        let ocsf = format!(r#"{{"finding_info":{{"title":"{title}"}}}}"#);
        assert_eq!(std::str::from_utf8(batch(&packing, &ocsf, &[1]).bucket()).unwrap(), expected);
    }
    let packing = Packing::new(&options("prefix = '{time:%Y/%m/%d}/'")).unwrap();
    let levels = batch(&packing, "{}", &[1]);
    assert_eq!(std::str::from_utf8(levels.bucket()).unwrap(), "2023/11/14/", "the levels of a time are its author's");
    let packing = Packing::new(&options("prefix = '{finding_info.title}ü'")).unwrap();
    let ocsf = format!(r#"{{"finding_info":{{"title":"{}"}}}}"#, "x".repeat(959));
    let key = packing.object(&batch(&packing, &ocsf, &[1])).key;
    assert!(key.starts_with(&"x".repeat(959)) && !key.contains('\u{fffd}') && key.len() <= 1024, "{}", key.len());
}

/// Guards that a configuration which contradicts itself is told at the start.
#[test]
fn mistakes_are_told() {
    for (written, part) in [
        ("bucket = 'a/b'", "what follows belongs to `prefix`"),
        ("bucket = 'archive'\nprefix = '/x'", "begins without a slash"),
        ("bucket = 'archive'\nprefix = '{log_typ}'", "did you mean {log_type}?"),
        ("bucket = 'archive'\nkms_key = 'k'", "`encryption = \"kms\"` only"),
        ("bucket = 'archive'\npart_bytes = '1MiB'", "no part below 5MiB"),
        ("bucket = 'archive'\nbucket_owner = '1'", "12 digits"),
        ("bucket = 'archive'\nassume_role = 'me'", "arn:aws:iam::<account>:role/<name>"),
        ("bucket = 'archive'\nexternal_id = 'x'", "belongs to a role"),
    ] {
        let error = S3Sink::new(&toml::from_str(written).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{written}: {error}");
    }
    for bucket in ["archive-1.x", "arn:aws:s3:eu-west-1:111122223333:accesspoint/archive"] {
        S3Sink::new(&toml::from_str(&format!("bucket = '{bucket}'")).unwrap()).unwrap();
    }
}

/// Guards what each failure asks of the lane. No event is ever buried for one, but where it alone is too large.
#[test]
fn failures_are_judged() {
    let retry = Disposition::Retry { after: None };
    for (status, code, disposition, part) in [
        (Some(503), "SlowDown", retry, ""),
        (Some(500), "InternalError", retry, ""),
        (Some(503), "", retry, ""),
        (Some(400), "RequestTimeout", retry, ""),
        (Some(400), "BadDigest", retry, ""),
        (Some(404), "NoSuchUpload", retry, ""),
        (Some(429), "", retry, ""),
        (None, "", retry, ""),
        (Some(400), "EntityTooLarge", Disposition::Split, ""),
        (Some(413), "", Disposition::Split, ""),
        (Some(404), "NoSuchBucket", Disposition::Pause, "make the bucket"),
        (Some(301), "PermanentRedirect", Disposition::Pause, "`region`"),
        (Some(403), "AccessDenied", Disposition::Pause, "allow s3:PutObject"),
        (Some(403), "", Disposition::Pause, "siemline iam"),
        (Some(403), "SignatureDoesNotMatch", Disposition::Pause, "secret key"),
        (Some(403), "RequestTimeTooSkewed", Disposition::Pause, "clock"),
        (Some(400), "ExpiredToken", Disposition::Pause, "renew"),
        (Some(400), "KMS.DisabledException", Disposition::Pause, "kms:GenerateDataKey"),
        (Some(400), "KMS.ThrottlingException", retry, ""),
        (Some(200), "", Disposition::Pause, "proxies"),
        (Some(400), "InvalidRequest", Disposition::Pause, "does not pass by waiting"),
    ] {
        let said = Said { status, code: code.to_owned(), words: "said".to_owned(), ..Said::default() };
        let error = judge(&said, "archive", "PutObject");
        assert_eq!(error.disposition, disposition, "{status:?} {code}");
        assert!(error.words.starts_with("PutObject on bucket `archive`: said"), "{}", error.words);
        assert!(error.words.contains(part), "{part} in {}", error.words);
    }
    let said = Said { status: Some(503), retry_after: Some(Duration::from_secs(7)), ..Said::default() };
    let error = judge(&said, "archive", "PutObject");
    assert_eq!(error.disposition, Disposition::Retry { after: Some(Duration::from_secs(7)) });
    let said = Said { lacks_credentials: true, ..Said::default() };
    assert_eq!(judge(&said, "archive", "PutObject").disposition, Disposition::Pause);
}

/// Guards that no more is asked for than to write below the prefix, and to use the one key.
#[test]
fn permissions_are_narrow() {
    let policy = |written: &str| {
        let permissions = permissions(&options(written), &Home::new(Some("eu-west-1"), Some("111122223333")));
        permissions.policies(&Home::default()).iter().map(|policy| policy.document.to_string()).collect::<String>()
    };
    let plain = policy("");
    assert!(plain.contains("arn:aws:s3:::archive/siemline/*") && plain.contains("s3:PutObject"), "{plain}");
    assert!(!plain.contains("kms") && !plain.contains("GetObject"), "{plain}");
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1";
    let with_key = policy(&format!("encryption = 'kms'\nkms_key = '{key}'"));
    assert!(with_key.contains(&format!("\"{key}\"")) && !with_key.contains("key/*"), "{with_key}");
    assert!(policy("assume_role = 'arn:aws:iam::444455556666:role/w'").contains("sts:AssumeRole"));
}

/// Guards that events of one key, and only those, share an object.
#[test]
fn buckets_are_prefixes() {
    let sink = S3Sink::new(&options("prefix = '{severity}/'")).unwrap();
    let mut bucket = Vec::new();
    sink.bucket(block("{}", b"").event(0).unwrap(), &mut bucket);
    assert_eq!(bucket, b"high/");
}
