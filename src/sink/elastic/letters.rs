//! Dead letters in an index: written as documents, read, and removed again.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Elastic;
use super::letter_options::LetterIndexOptions;
use super::response::{judge_bad_request, judge_status};
use super::setup::{self, KEYWORD_CHARS_MAX, Step};
use crate::delivery::{Batch, Disposition, Error, KeptLine, Sink as _, Verdict, Verdicts, WrittenLetter};
use crate::http::{Answer, Method};
use crate::sink;

/// The bytes of documents from which on another request is begun. One letter alone may be larger.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// How many documents are asked for at once, where they are small.
const PAGE_MAX: usize = 500;

/// The index where dead letters lie.
#[derive(Debug)]
pub struct LetterIndex {
    cluster: Elastic,
    index: String,
}

/// What lies in an index, page by page.
#[derive(Debug)]
pub struct LettersOfIndex {
    index: Arc<LetterIndex>,
    /// Until when letters were kept that are read; `None` before the beginning.
    began_ms: Option<i64>,
    /// The sort values of the last one.
    after: Option<Value>,
    /// How many are asked for at once.
    size: usize,
    /// The next letter alone is larger than an answer may be.
    is_too_large: bool,
    is_over: bool,
}

/// A document. All but the line is for people who look; none of its fields depends on what the letter holds, so that the index
/// never has more of them.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    dead_letter: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    /// When it was kept here. By it, and by the hash where it is the same, letters are read in one order.
    kept_ms: i64,
    hash: u64,
    #[serde(flatten)]
    told: Told<'a>,
    /// The letter itself.
    line: &'a str,
}

/// What of a line stands beside it, to be searched for.
#[derive(Default, Deserialize, Serialize)]
struct Told<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    words: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    shard: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    sink: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    log_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

/// How many shards could not be asked.
#[derive(Default, Deserialize)]
struct Shards {
    #[serde(default)]
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", default)]
    source: Value,
    #[serde(default)]
    sort: Value,
}

impl LetterIndex {
    /// A store after these options. Reads its secrets; connects to nothing.
    ///
    /// # Errors
    ///
    /// When an option is wrong, or a secret cannot be had.
    pub fn new(options: &LetterIndexOptions) -> Result<Self, sink::Error> {
        if let Some((option, words)) = options.mistake() {
            return Err(sink::Error::Option { option, words });
        }
        Ok(Self { cluster: Elastic::new(&options.sink())?, index: options.index.clone() })
    }

    /// Writes letters, and completes when the cluster has them. A document's id is made of its line alone: a letter that is
    /// written again is there already. Dropping the future midway is safe in the same sense.
    ///
    /// # Errors
    ///
    /// When the cluster does not take them all; some may be there.
    pub async fn keep(&self, letters: &[WrittenLetter]) -> Result<(), Error> {
        let mut batch = Batch::default();
        for letter in letters {
            if !batch.is_empty() && batch.body().len() + letter.line.len() > REQUEST_BYTES_MAX {
                self.send(&std::mem::take(&mut batch)).await?;
            }
            batch.push(|out| push_document(letter, now_ms(), out));
        }
        if batch.is_empty() { Ok(()) } else { self.send(&batch).await }
    }

    /// Asks whether letters could be written, and writes none.
    ///
    /// # Errors
    ///
    /// With what stands in the way, and the remedy.
    pub async fn check(&self) -> Result<(), Error> {
        self.cluster.check().await
    }

    /// Removes documents by what holds them, `<index>/<id>`, with one request. What is not there is removed.
    ///
    /// # Errors
    ///
    /// When the cluster refuses one; others may be gone.
    pub async fn remove<'a>(&self, holders: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let mut batch = Batch::default();
        for holder in holders {
            batch.push(|out| push_removal(holder, out));
        }
        self.send(&batch).await
    }

    async fn send(&self, batch: &Batch) -> Result<(), Error> {
        let Verdicts::Each(verdicts) = self.cluster.send(batch).await?.verdicts else { return Ok(()) };
        for verdict in verdicts {
            let (disposition, reason) = match verdict {
                Verdict::Accepted | Verdict::Duplicate => continue,
                Verdict::Retry(reason) => (Disposition::Retry { after: None }, reason),
                // Of a document that is to be removed: it is gone.
                Verdict::Refused(reason) if reason.code == "http_404" => continue,
                Verdict::Refused(reason) => (Disposition::Refuse, reason),
            };
            return Err(Error { disposition, code: reason.code, words: reason.words });
        }
        Ok(())
    }

    /// A page of letters that were kept before then, from behind the last one; with their lines, or only where they lie.
    async fn page(&self, before_ms: i64, after: Option<&Value>, size: usize, lines: bool) -> Result<Page, Error> {
        // An index that has no letter yet may not know the fields.
        let by = json!({ "order": "asc", "unmapped_type": "long" });
        let mut question = json!({
            "size": size,
            "query": { "range": { "dead_letter.kept_ms": { "lt": before_ms } } },
            "sort": [{ "dead_letter.kept_ms": by }, { "dead_letter.hash": by }],
            "_source": if lines { json!(["dead_letter.line"]) } else { json!(false) },
            "track_total_hits": false,
        });
        if let (Some(after), Some(question)) = (after, question.as_object_mut()) {
            question.insert("search_after".to_owned(), after.clone());
        }
        let answer = self.cluster.ask(Method::POST, &[&self.index, "_search"], Some(&question)).await?;
        page(&answer)
    }

    /// Whether there is such an index. Makes what was just written visible, where these credentials may: else it is after a
    /// second.
    async fn is_there(&self) -> Result<bool, Error> {
        let answer = self.cluster.ask(Method::POST, &[&self.index, "_refresh"], None).await?;
        Ok(!is_no_index(&answer))
    }
}

/// What a search found.
enum Page {
    Hits(Vec<Hit>),
    /// More than may be read at once.
    TooLarge,
}

impl LettersOfIndex {
    /// All that lies there when the first is asked for.
    #[must_use]
    pub fn new(index: Arc<LetterIndex>) -> Self {
        Self { index, began_ms: None, after: None, size: PAGE_MAX, is_too_large: false, is_over: false }
    }

    /// The next letters; `None` behind the last. After an error, or where the future is dropped midway, the same are asked for
    /// again.
    ///
    /// # Errors
    ///
    /// When the cluster refuses.
    pub async fn next(&mut self) -> Result<Option<Vec<KeptLine>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let began_ms = match self.began_ms {
            Some(began_ms) => began_ms,
            None if self.index.is_there().await? => *self.began_ms.insert(now_ms()),
            None => {
                self.is_over = true;
                return Ok(None);
            }
        };
        loop {
            match self.index.page(began_ms, self.after.as_ref(), self.size, !self.is_too_large).await? {
                Page::TooLarge if self.size > 1 => self.size = (self.size / 4).max(1),
                Page::TooLarge if !self.is_too_large => {
                    let remedy = "raise `http.response_bytes_max` of [dead_letter.elastic]";
                    tracing::warn!(remedy, "a dead letter is larger than an answer may be, and stays");
                    self.is_too_large = true;
                }
                Page::TooLarge => {
                    let words =
                        "not even the places of letters fit into `http.response_bytes_max`: raise it".to_owned();
                    return Err(Error { disposition: Disposition::Pause, code: "answer_too_long".into(), words });
                }
                Page::Hits(hits) => {
                    self.is_too_large = false;
                    self.is_over = hits.len() < self.size;
                    self.after = hits.last().map(|hit| hit.sort.clone());
                    return Ok(Some(hits.into_iter().map(Hit::line).collect()));
                }
            }
        }
    }
}

impl Hit {
    fn line(self) -> KeptLine {
        let line = self.source.pointer("/dead_letter/line").and_then(Value::as_str).unwrap_or_default();
        let holder = Arc::from(format!("{}/{}", self.index, self.id));
        KeptLine { holder, mark: 0, line: Bytes::copy_from_slice(line.as_bytes()) }
    }
}

/// What the index is to be told before the first letter comes: one index template. Without it the cluster guesses, and makes the
/// letters' text searchable, which costs room.
#[must_use]
pub fn letter_steps(options: &LetterIndexOptions) -> Vec<Step> {
    let keyword = json!({ "type": "keyword", "ignore_above": KEYWORD_CHARS_MAX });
    let mappings = json!({
        "dynamic": false,
        "properties": {
            "@timestamp": { "type": "date" },
            "dead_letter": { "properties": {
                "kept_ms": { "type": "long" },
                "hash": { "type": "long" },
                "reason": keyword,
                "code": keyword,
                "words": { "type": "text" },
                "sink": keyword,
                "log_type": keyword,
                "source": keyword,
                "shard": keyword,
                "line": { "type": "text", "index": false },
            } },
        },
    });
    vec![setup::index_template(&options.index, &mappings, "dead letters of siemline")]
}

/// The answer to a search. Pure.
fn page(answer: &Answer) -> Result<Page, Error> {
    match answer.status {
        200 if answer.truncated => Ok(Page::TooLarge),
        200 => match serde_json::from_slice::<Found>(&answer.body) {
            // What some shards did not give would be passed over.
            Ok(found) if found.timed_out || found.shards.failed > 0 => {
                let words = format!("{} shards of the index do not answer", found.shards.failed);
                Err(answer.error(answer.retry(), "shards_failed", words))
            }
            Ok(found) => Ok(Page::Hits(found.hits.hits)),
            Err(_) => {
                let words = format!("the answer to a search cannot be read: {}", answer.words());
                Err(answer.error(answer.retry(), "answer_unreadable", words))
            }
        },
        _ if is_no_index(answer) => Ok(Page::Hits(Vec::new())),
        400 => Err(judge_bad_request(answer)),
        status => Err(judge_status(answer, status)),
    }
}

fn is_no_index(answer: &Answer) -> bool {
    let kind = |body: &Value| body.pointer("/error/type").and_then(Value::as_str) == Some("index_not_found_exception");
    answer.status == 404 && serde_json::from_slice(&answer.body).is_ok_and(|body| kind(&body))
}

/// Appends a document and the action before it.
fn push_document(letter: &WrittenLetter, kept_ms: i64, out: &mut Vec<u8>) {
    let line = letter.line.strip_suffix(b"\n").unwrap_or(&letter.line);
    let digest = Sha256::digest(line);
    out.extend_from_slice(b"{\"create\":{\"_id\":\"");
    for byte in digest.iter().take(16) {
        // Writing to memory does not fail.
        let _written = write!(out, "{byte:02x}");
    }
    out.extend_from_slice(b"\"}}\n");
    let time = Timestamp::from_millisecond(letter.last_ms).unwrap_or_default();
    let document = Document {
        timestamp: format!("{time:.3}"),
        dead_letter: Fields {
            kept_ms,
            // A `long` has no more bits, and is none below zero.
            hash: digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)) >> 1,
            told: serde_json::from_slice(line).unwrap_or_default(),
            line: std::str::from_utf8(line).unwrap_or_default(),
        },
    };
    let written = serde_json::to_writer(&mut *out, &document);
    debug_assert!(written.is_ok(), "texts and numbers, written to memory");
    out.push(b'\n');
}

/// Appends the action that removes a document.
fn push_removal(holder: &str, out: &mut Vec<u8>) {
    let (index, id) = holder.rsplit_once('/').unwrap_or(("", holder));
    let written = serde_json::to_writer(&mut *out, &json!({ "delete": { "_index": index, "_id": id } }));
    debug_assert!(written.is_ok(), "texts, written to memory");
    out.push(b'\n');
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &str) -> WrittenLetter {
        WrittenLetter {
            line: format!("{}\n", line(text)).into_bytes(),
            source: "s".into(),
            shard: "1".into(),
            last_ms: 1_767_323_045_678,
        }
    }

    fn line(text: &str) -> Value {
        json!({
            "reason": "refused", "code": "hec_6", "words": "no \"good\"", "sink": "soc", "source": "s", "shard": "1",
            "log_type": "aws.guardduty", "envelope": { "account": "111122223333" }, "original": text,
        })
    }

    /// Guards that a letter has one id whenever it is written, that its text comes back as it was, and that no field of the
    /// document is made of what the letter holds.
    #[test]
    fn letters_become_documents() {
        let document = |letter: &WrittenLetter, ms| {
            let mut out = Vec::new();
            push_document(letter, ms, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (action, document) = text.trim_end().split_once('\n').unwrap();
            (action.to_owned(), serde_json::from_str::<Value>(document).unwrap())
        };
        let (action, one) = document(&letter("a"), 1);
        let (again, two) = document(&letter("a"), 2);
        assert_eq!((&action, &one["dead_letter"]["hash"]), (&again, &two["dead_letter"]["hash"]));
        assert_ne!(action, document(&letter("b"), 1).0);
        assert!(one["dead_letter"]["hash"].as_i64().is_some_and(|hash| hash > 0), "it is a `long`");
        assert_eq!(
            (&one["@timestamp"], &one["dead_letter"]["kept_ms"]),
            (&json!("2026-01-02T03:04:05.678Z"), &json!(1))
        );
        assert_eq!(one["dead_letter"]["line"], line("a").to_string());
        assert_eq!(one["dead_letter"]["words"], "no \"good\"");
        let steps = letter_steps(&toml::from_str("").unwrap());
        let known = &steps[0].body["template"]["mappings"]["properties"]["dead_letter"]["properties"];
        for name in one["dead_letter"].as_object().unwrap().keys() {
            assert!(known.get(name).is_some(), "{name} is in no mapping");
        }
        assert_eq!(
            one["dead_letter"].as_object().map(serde_json::Map::len),
            known.as_object().map(serde_json::Map::len)
        );
        assert_eq!(known["line"]["index"], false);
    }

    /// Guards what each answer to a search means: an index that was never made holds nothing, any other refusal is told.
    #[test]
    fn searches_are_judged() {
        let hit = json!({ "_index": "i", "_id": "1/2", "_source": { "dead_letter": { "line": "x" } }, "sort": [1, 2] });
        let found = Answer::new(200, json!({ "hits": { "hits": [hit] } }).to_string());
        let Page::Hits(hits) = page(&found).unwrap() else { panic!("it was read") };
        assert_eq!(
            hits.into_iter().map(Hit::line).collect::<Vec<_>>(),
            [KeptLine { holder: "i/1/2".into(), mark: 0, line: Bytes::from_static(b"x") }]
        );
        let none = Answer::new(404, r#"{"error":{"type":"index_not_found_exception","reason":"no"},"status":404}"#);
        assert!(matches!(page(&none), Ok(Page::Hits(hits)) if hits.is_empty()));
        assert!(matches!(page(&Answer { truncated: true, ..found }), Ok(Page::TooLarge)));
        for (status, body, disposition) in [
            (200, "{", Disposition::Retry { after: None }),
            (200, r#"{"_shards":{"failed":1},"hits":{"hits":[]}}"#, Disposition::Retry { after: None }),
            (200, r#"{"timed_out":true,"hits":{"hits":[]}}"#, Disposition::Retry { after: None }),
            (503, "", Disposition::Retry { after: None }),
            (404, "<html>", Disposition::Pause),
            (403, "{}", Disposition::Pause),
            (
                400,
                r#"{"error":{"type":"search_phase_execution_exception","reason":"no mapping"}}"#,
                Disposition::Refuse,
            ),
        ] {
            let Err(error) = page(&Answer::new(status, body)) else { panic!("{status} is an error") };
            assert_eq!(error.disposition, disposition, "{status} {body}");
        }
    }

    /// Guards that an index which cannot be is told at the start.
    #[test]
    fn mistakes_are_told() {
        for index in ["{log_type}", "A", "-x", ""] {
            let options = toml::from_str(&format!("endpoint = 'http://localhost:1'\nindex = '{index}'")).unwrap();
            let error = LetterIndex::new(&options).unwrap_err().to_string();
            assert!(error.starts_with("index: small letters"), "{index}: {error}");
        }
    }
}
