//! A strict S3 with one bucket, addressed by path: objects whole or in parts, on conditions, lists, reading in ranges, removing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};

use super::http::{Asked, Reply, Server};
use super::plan::{Plan, after, before};

/// The one bucket that there is.
pub const BUCKET: &str = "archive-example";

/// The smallest part but the last, as S3 has it.
const PART_BYTES_MIN: usize = 5 << 20;

/// An object as it stands there.
#[derive(Clone, Debug)]
pub struct Object {
    pub body: Vec<u8>,
    /// How often it was written.
    pub times: u32,
    /// The headers that say how it is to be kept.
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    /// Uploads under way, by id: their key, headers and parts.
    uploads: BTreeMap<String, Upload>,
    uploads_begun: u32,
}

struct Upload {
    key: String,
    headers: BTreeMap<String, String>,
    parts: BTreeMap<u32, Vec<u8>>,
}

/// A running service.
pub struct FakeS3 {
    pub url: String,
    state: Arc<Mutex<State>>,
    _server: Server,
}

impl FakeS3 {
    pub async fn start(plan: Plan) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let plan = Mutex::new(plan);
        let server =
            Server::start(move |asked| answer(&mut shared.lock().unwrap(), &mut plan.lock().unwrap(), &asked)).await;
        Self { url: server.url(), state, _server: server }
    }

    /// What stands there, by key.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.state.lock().unwrap().objects.clone()
    }

    /// Puts an object there, as somebody else does.
    pub fn put(&self, key: &str, body: Vec<u8>) {
        put(&mut self.state.lock().unwrap(), key, body, BTreeMap::new());
    }

    /// Removes an object, as somebody else does.
    pub fn remove(&self, key: &str) {
        self.state.lock().unwrap().objects.remove(key).unwrap();
    }

    /// Uploads in parts: how many were begun, and how many are still open.
    pub fn uploads(&self) -> (u32, usize) {
        let state = self.state.lock().unwrap();
        (state.uploads_begun, state.uploads.len())
    }
}

/// An error as S3 writes it.
pub fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>by plan</Message></Error>")
}

fn answer(state: &mut State, plan: &mut Plan, asked: &Asked) -> Reply {
    if !asked.header("authorization").is_some_and(|signed| signed.contains("Credential=AKIDEXAMPLE/")) {
        return Reply::new(403, error("AccessDenied"));
    }
    let Some(path) = asked.path.strip_prefix('/') else { return Reply::new(400, error("InvalidURI")) };
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket != BUCKET {
        return Reply::new(404, error("NoSuchBucket"));
    }
    if asked.method == "PUT" && asked.body.len() > plan.body_bytes_max {
        return Reply::new(400, error("EntityTooLarge"));
    }
    let fault = plan.next();
    if let Some(reply) = before(fault.as_ref()) {
        return reply;
    }
    after(fault.as_ref(), honest(state, asked, &decoded(key)))
}

fn honest(state: &mut State, asked: &Asked, key: &str) -> Reply {
    let query: BTreeMap<String, String> = asked
        .query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let upload = query.get("uploadId");
    match (asked.method.as_str(), upload) {
        ("POST", None) if query.contains_key("uploads") => {
            state.uploads_begun += 1;
            let id = format!("upload-{}", state.uploads_begun);
            let upload = Upload { key: key.to_owned(), headers: kept(asked), parts: BTreeMap::new() };
            state.uploads.insert(id.clone(), upload);
            Reply::new(
                200,
                format!(
                    "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                ),
            )
        }
        ("PUT", Some(id)) => {
            let Some(upload) = state.uploads.get_mut(id).filter(|upload| upload.key == key) else {
                return Reply::new(404, error("NoSuchUpload"));
            };
            if !is_sound(asked) {
                return Reply::new(400, error("BadDigest"));
            }
            upload.parts.insert(query["partNumber"].parse().unwrap(), asked.body.clone());
            stored(asked)
        }
        ("POST", Some(id)) => {
            let Some(upload) = state.uploads.remove(id) else { return Reply::new(404, error("NoSuchUpload")) };
            let last = upload.parts.keys().next_back().copied().unwrap_or_default();
            if upload.parts.iter().any(|(number, part)| *number != last && part.len() < PART_BYTES_MIN) {
                return Reply::new(400, error("EntityTooSmall"));
            }
            let named = String::from_utf8_lossy(&asked.body).matches("<PartNumber>").count();
            if named != upload.parts.len() || usize::try_from(last).unwrap() != named {
                return Reply::new(400, error("InvalidPart"));
            }
            put(state, key, upload.parts.into_values().collect::<Vec<_>>().concat(), upload.headers);
            Reply::new(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
        }
        ("DELETE", Some(id)) => match state.uploads.remove(id) {
            Some(_) => Reply::new(204, ""),
            None => Reply::new(404, error("NoSuchUpload")),
        },
        ("PUT", None) if key.len() > 1024 => Reply::new(400, error("KeyTooLongError")),
        ("PUT", None) if !is_sound(asked) => Reply::new(400, error("BadDigest")),
        ("PUT", None) if asked.header("if-none-match").is_some_and(|tag| tag != "*") => {
            Reply::new(501, error("NotImplemented"))
        }
        ("PUT", None) if !meets(state, asked, key) => {
            let is_gone = asked.header("if-match").is_some() && !state.objects.contains_key(key);
            if is_gone { Reply::new(404, error("NoSuchKey")) } else { Reply::new(412, error("PreconditionFailed")) }
        }
        ("PUT", None) => {
            put(state, key, asked.body.clone(), kept(asked));
            stored(asked)
        }
        ("GET", None) if query.contains_key("list-type") => list(state, &query),
        ("GET", None) => match state.objects.get(key) {
            Some(object) => part_of(object, asked.header("range")),
            None => Reply::new(404, error("NoSuchKey")),
        },
        ("DELETE", None) => {
            state.objects.remove(key);
            Reply::new(204, "")
        }
        _ => Reply::new(405, error("MethodNotAllowed")),
    }
}

/// Whether an object may be written where the request names conditions.
fn meets(state: &State, asked: &Asked, key: &str) -> bool {
    let tag = state.objects.get(key).map(|object| tag_of(&object.body));
    (asked.header("if-none-match").is_none() || tag.is_none())
        && asked.header("if-match").is_none_or(|wanted| tag.as_deref() == Some(wanted))
}

/// An object, or the part of it that was asked for.
fn part_of(object: &Object, range: Option<&str>) -> Reply {
    let (status, body) = match range {
        None => (200, object.body.clone()),
        Some(range) => {
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            if from > to || from >= object.body.len() {
                return Reply::new(416, error("InvalidRange"));
            }
            (206, object.body[from..object.body.len().min(to + 1)].to_vec())
        }
    };
    Reply { e_tag: Some(tag_of(&object.body).into()), ..Reply::new(status, body) }
}

/// A list in pages of two, so that every reader has to turn them.
fn list(state: &State, query: &BTreeMap<String, String>) -> Reply {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let behind = query.get("continuation-token").map_or("", String::as_str);
    let mut keys = state.objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > behind);
    let page: Vec<&String> = keys.by_ref().take(2).collect();
    let more = keys.next().is_some();
    let mut contents = String::new();
    for key in &page {
        let bytes = state.objects[*key].body.len();
        write!(contents, "<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>").unwrap();
    }
    let token = page
        .last()
        .filter(|_| more)
        .map_or_else(String::new, |key| format!("<NextContinuationToken>{key}</NextContinuationToken>"));
    Reply::new(200, format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{contents}{token}</ListBucketResult>"))
}

fn put(state: &mut State, key: &str, body: Vec<u8>, headers: BTreeMap<String, String>) {
    let times = state.objects.get(key).map_or(0, |object| object.times) + 1;
    state.objects.insert(key.to_owned(), Object { body, times, headers });
}

/// The answer to bytes that stand there now: their tag, and nothing else.
fn stored(asked: &Asked) -> Reply {
    Reply { e_tag: Some(tag_of(&asked.body).into()), ..Reply::new(200, "") }
}

/// The tag of an object with these bytes.
fn tag_of(body: &[u8]) -> String {
    let digits = Md5::digest(body).iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    format!("\"{digits}\"")
}

/// The headers that say how an object is to be kept.
fn kept(asked: &Asked) -> BTreeMap<String, String> {
    let names = ["content-type", "x-amz-storage-class", "x-amz-server-side-encryption"];
    let names = names.into_iter().chain(["x-amz-server-side-encryption-aws-kms-key-id", "x-amz-expected-bucket-owner"]);
    names.filter_map(|name| Some((name.to_owned(), asked.header(name)?.to_owned()))).collect()
}

/// Whether the body is what its checksum says. One without any is none: the SDK adds it by itself.
fn is_sound(asked: &Asked) -> bool {
    let mut crc = flate2::Crc::new();
    crc.update(&asked.body);
    let sum = BASE64_STANDARD.encode(crc.sum().to_be_bytes());
    asked.header("x-amz-checksum-crc32") == Some(&sum)
}

/// Undoes percent encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
