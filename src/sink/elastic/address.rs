//! Where a cluster listens, and the paths below it. Pure.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::ElasticOptions;
use crate::http::{self, Url};
use crate::sink;

/// The nodes that these options name, one at least: `endpoint`, then `endpoints`; or the one that `cloud_id` tells of.
pub(super) fn urls(options: &ElasticOptions) -> Result<Vec<Url>, sink::Error> {
    let wrong = |option, words: &str| Err(sink::Error::Option { option, words: words.to_owned() });
    let written: Vec<&String> = options.endpoint.iter().chain(&options.endpoints).collect();
    match (&options.cloud_id, written.is_empty()) {
        (None, true) => wrong("endpoint", "nothing says where the cluster is: write `endpoint`, or `cloud_id`"),
        (Some(_), false) => wrong("cloud_id", "it says where the cluster is: leave `endpoint` and `endpoints` out"),
        (Some(cloud_id), true) => match cloud_endpoint(cloud_id) {
            Some(url) => Ok(vec![http::endpoint(&url)?]),
            None => {
                wrong("cloud_id", "it is none: copy it from the deployment's page, as `<name>:<letters and digits>`")
            }
        },
        (None, false) => written.into_iter().map(|text| http::endpoint(text).map_err(sink::Error::from)).collect(),
    }
}

/// What a Cloud id says: a name, a colon, and in base64 `<host>[:<port>]$<Elasticsearch's id>[:<port>]$<Kibana's id>`, as
/// Elastic's own clients read it.
fn cloud_endpoint(cloud_id: &str) -> Option<String> {
    let coded = cloud_id.trim().rsplit(':').next()?;
    let text = String::from_utf8(BASE64_STANDARD.decode(coded).ok()?).ok()?;
    let mut parts = text.split('$');
    let (host, id) = (parts.next()?, parts.next()?);
    let (host, port) = host.split_once(':').unwrap_or((host, "443"));
    let (id, port) = id.split_once(':').unwrap_or((id, port));
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
    };
    let is_right = is_name(host) && is_name(id) && port.parse::<u16>().is_ok();
    is_right.then(|| format!("https://{id}.{host}:{port}"))
}

/// A path below an endpoint.
pub(super) fn below<'a>(endpoint: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// A query, with everything percent-encoded but what RFC 3986 calls unreserved, which is how AWS wants it signed: what is
/// sent and what is signed are then the same text.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => query.push(char::from(byte)),
                _ => {
                    // Writing to a string does not fail.
                    let _written = write!(query, "%{byte:02X}");
                }
            }
        }
    }
    query
}
