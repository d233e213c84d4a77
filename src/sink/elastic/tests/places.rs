//! Guards where documents go: nodes, URLs, names, latest states, and what AWS is to allow.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ACTION, framing, options};
use crate::aws::permission::Home;
use crate::delivery::Block;
use crate::http::Url;
use crate::sink::elastic::address::{below, query, urls};
use crate::sink::elastic::request::Framing;
use crate::sink::elastic::{ElasticOptions, permissions};
use crate::sink::sample;

/// Guards where the nodes are, however they are told.
#[test]
fn nodes_are_told_in_one_way() {
    let urls_of = |more: &Value| urls(&serde_json::from_value::<ElasticOptions>(more.clone()).unwrap());
    let cloud_id = |text: &str| format!("siem:{}", BASE64_STANDARD.encode(text));
    for (more, expected) in [
        (json!({ "endpoint": "https://a:9200/" }), vec!["https://a:9200/"]),
        (json!({ "endpoint": "https://a", "endpoints": ["https://b/es"] }), vec!["https://a/", "https://b/es"]),
        (json!({ "endpoints": ["http://b"] }), vec!["http://b/"]),
        (json!({ "cloud_id": cloud_id("eu.aws.found.io$abc123$def456") }), vec!["https://abc123.eu.aws.found.io/"]),
        (json!({ "cloud_id": cloud_id("eu.aws.found.io:9243$abc$") }), vec!["https://abc.eu.aws.found.io:9243/"]),
        (json!({ "cloud_id": cloud_id("eu.aws.found.io:9243$abc:9244$x") }), vec!["https://abc.eu.aws.found.io:9244/"]),
        (json!({ "cloud_id": cloud_id("found.io$abc") }), vec!["https://abc.found.io/"]),
    ] {
        let urls = urls_of(&more).unwrap();
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), expected, "{more}");
    }
    for (more, words) in [
        (json!({}), "nothing says where the cluster is"),
        (json!({ "cloud_id": "a:b", "endpoint": "https://a" }), "leave `endpoint`"),
        (json!({ "cloud_id": "no" }), "it is none"),
        (json!({ "cloud_id": cloud_id("host") }), "it is none"),
        (json!({ "cloud_id": cloud_id("$abc$") }), "it is none"),
        (json!({ "cloud_id": cloud_id("evil.example/x?$abc$") }), "it is none"),
        (json!({ "cloud_id": cloud_id("found.io:0x$abc$") }), "it is none"),
        (json!({ "endpoints": ["ftp://a"] }), "ftp"),
    ] {
        let error = urls_of(&more).unwrap_err().to_string();
        assert!(error.contains(words), "{more}: {error}");
    }
}

/// Guards that a URL needs no second reading: what is signed is what is sent.
#[test]
fn urls_are_encoded_strictly() {
    let url = below(&Url::parse("https://a/es").unwrap(), ["logs-a b", "_bulk"]);
    assert_eq!(url.as_str(), "https://a/es/logs-a%20b/_bulk");
    assert_eq!(query(&[("filter_path", "a,items.*.b"), ("p", "x y+z")]), "filter_path=a%2Citems.%2A.b&p=x%20y%2Bz");
}

fn action(framing: &Framing, block: &Block) -> Value {
    let mut out = Vec::new();
    framing.push(block.event(0).unwrap(), &mut out);
    serde_json::from_slice(out.split(|byte| *byte == b'\n').next().unwrap()).unwrap()
}

/// Guards names with fields: legal whatever the event says, and bounded in number.
#[test]
fn names_with_fields_are_clean_and_bounded() {
    let uid = |uid: &str| sample::block(&json!({ "finding_info": { "uid": uid } }).to_string(), b"");
    let framing = framing(&json!({ "index": "logs-a-{finding_info.uid}", "indexes_max": 3, "document_ids": false }));
    let long = "x".repeat(400);
    for (value, expected) in [
        ("Eu-West 1/*?\"<>|,#:\\\u{fc}\n", "logs-a-eu-west_1_____________"),
        (long.as_str(), &format!("logs-a-{}", "x".repeat(248))),
        ("third", "logs-a-third"),
        ("fourth", "logs-a-other"),
        ("third", "logs-a-third"),
    ] {
        assert_eq!(action(&framing, &uid(value)), json!({ "create": { "_index": expected } }));
    }
}

/// Guards that names which no cluster takes are refused before anything is sent.
#[test]
fn names_with_fields_are_checked() {
    for (more, words) in [
        (json!({ "index": "{account}-logs" }), "it begins with a letter"),
        (json!({ "index": "_{account}" }), "it begins with a letter"),
        (json!({ "index": "Logs-{account}" }), "`L` may not stand"),
        (json!({ "index": "logs-{acount}" }), "did you mean {account}?"),
        (json!({ "latest": "" }), "latest: it is empty"),
        (json!({ "latest": "a", "document_ids": false }), "it needs ids of ours"),
        (json!({ "latest": "a", "index": "a" }), "an index of its own"),
    ] {
        let error = Framing::new(&options(&more)).unwrap_err().to_string();
        assert!(error.contains(words), "{more}: {error}");
    }
}

/// Guards the second pair of lines: a finding's id and version, and the same document.
#[test]
fn findings_have_a_latest_state() {
    let framing = framing(&json!({ "format": "ocsf", "latest": "latest-{log_type}" }));
    let lines = |ocsf: Value, time_ms: i64| {
        let mut block = sample::block(&ocsf.to_string(), b"");
        block.rows[0].time_ms = time_ms;
        let mut out = Vec::new();
        framing.push(block.event(0).unwrap(), &mut out);
        let lines: Vec<String> = String::from_utf8(out.clone()).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(framing.documents(&out), lines.len() / 2);
        lines
    };
    let id_of = |lines: &[String]| serde_json::from_str::<Value>(&lines[2]).unwrap()["index"]["_id"].clone();
    let with_time = lines(json!({ "finding_info": { "uid": "F-1", "modified_time": 1_700_000_000_999_i64 } }), 5);
    assert_eq!((with_time.len(), &with_time[0], &with_time[1]), (4, &ACTION.to_owned(), &with_time[3]));
    let action: Value = serde_json::from_str(&with_time[2]).unwrap();
    let expected = json!({ "index": {
        "_id": id_of(&with_time), "_index": "latest-aws.guardduty",
        "version": 1_700_000_000_999_i64, "version_type": "external_gte",
    } });
    assert_eq!(action, expected);
    let hash: [u8; 16] = Sha256::digest(b"F-1")[..16].try_into().unwrap();
    let hash = format!("{:032x}", u128::from_be_bytes(hash));
    assert_eq!(id_of(&with_time), hash);
    for (ocsf, time_ms, version) in [
        (json!({ "finding_info": { "uid": "F-1" } }), 7, 7),
        (json!({ "finding_info": { "uid": "F-1", "modified_time": null } }), -7, 0),
        (json!({ "finding_info": { "uid": "F-1", "modified_time": "soon" } }), 8, 8),
    ] {
        let lines = lines(ocsf, time_ms);
        let action: Value = serde_json::from_str(&lines[2]).unwrap();
        assert_eq!((&action["index"]["version"], id_of(&lines)), (&json!(version), json!(hash)));
    }
    for ocsf in [
        json!({}),
        json!({ "finding_info": {} }),
        json!({ "finding_info": { "uid": "" } }),
        json!({ "finding_info": 5 }),
    ] {
        assert_eq!(lines(ocsf, 5).len(), 2);
    }
}

/// Guards what AWS is to allow: the domain or the collection of the endpoint, and nothing where AWS does not sign.
#[test]
fn permissions_name_the_domain() {
    let allowed = |more: &Value| {
        let policies = permissions(&options(more), &Home::new(None, Some("111122223333"))).policies(&Home::default());
        policies.iter().map(|policy| policy.document["Statement"].to_string()).collect::<String>()
    };
    assert_eq!(allowed(&json!({})), "");
    for (host, action, resource) in [
        (
            "search-siem-logs-abc123.eu-west-1.es.amazonaws.com",
            "es:ESHttpPost",
            "arn:aws:es:eu-west-1:111122223333:domain/siem-logs/*",
        ),
        (
            "vpc-siem-abc123.us-gov-west-1.es.amazonaws.com",
            "es:ESHttpPut",
            "arn:aws-us-gov:es:us-gov-west-1:111122223333:domain/siem/*",
        ),
        (
            "abc123.eu-west-1.aoss.amazonaws.com",
            "aoss:APIAccessAll",
            "arn:aws:aoss:eu-west-1:111122223333:collection/abc123",
        ),
        ("os.example.com", "es:ESHttpGet", "arn:aws:es:*:111122223333:domain/*/*"),
    ] {
        let text = allowed(&json!({ "endpoint": format!("https://{host}"), "aws": {} }));
        assert!(text.contains(action) && text.contains(&format!("\"{resource}\"")), "{host}: {text}");
    }
}
