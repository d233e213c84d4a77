//! What services hand to Lambda functions: `{"Records": [..]}` of Kinesis, SNS and SQS, and `{"awslogs": {"data": ".."}}`.
//!
//! Source: AWS Lambda Developer Guide, the pages "Using Lambda with ..." of each service. The records of SQS are opened by
//! `sqs`. The records of S3 have the same shape; their list is opened too, and each notification is an event.

use super::document::{Document, Envelope};
use super::layer::Span;
use super::scan::{self, Members};

/// The services whose records are taken one by one.
const SOURCES: [&[u8]; 4] = [b"aws:kinesis", b"aws:sns", b"aws:sqs", b"aws:s3"];

/// What an event of Kinesis says beside its records where the function counts in windows ("Using tumbling windows").
const BESIDE: [&[u8]; 6] =
    [b"window", b"state", b"shardId", b"eventSourceARN", b"isFinalInvokeForWindow", b"isWindowTerminatedEarly"];

/// A function's event, or one record of it.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    records(document)
        .or_else(|| kinesis_record(document))
        .or_else(|| sns_record(document))
        .or_else(|| log_data(document))
}

fn records<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    let array = document.part("Records")?;
    if document.keys().filter(|key| !BESIDE.contains(key)).count() != 1 {
        return None;
    }
    scan::objects_in(array.bytes).filter(|count| *count > 0)?;
    let mut is_known = false;
    let start = scan::blanks(array.bytes, 1);
    let scanned = scan::each_member(array.bytes, start, |key, value| {
        if matches!(array.bytes.get(key), Some(b"eventSource" | b"EventSource")) {
            let source = array.bytes.get(value).and_then(scan::string_content);
            is_known |= source.is_some_and(|source| SOURCES.contains(&source));
        }
    });
    (scanned.is_ok() && is_known).then_some(Envelope::List(array))
}

fn kinesis_record<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    if scan::string_content(document.value("eventSource")?)? != b"aws:kinesis" {
        return None;
    }
    let mut members = Members::new();
    let kinesis = object(document, "kinesis", &mut members)?;
    let data = string(kinesis, &members, b"data")?;
    let arrival = members.value(kinesis.bytes, b"approximateArrivalTimestamp");
    let arrival_ms = arrival.and_then(|arrival| milliseconds(kinesis.bytes.get(arrival)?));
    Some(Envelope::Record { data, arrival_ms })
}

fn sns_record<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    if scan::string_content(document.value("EventSource")?)? != b"aws:sns" {
        return None;
    }
    document.part("Sns").filter(|inner| inner.bytes.starts_with(b"{")).map(Envelope::Object)
}

fn log_data<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    if document.members.all().len() != 1 {
        return None;
    }
    let mut members = Members::new();
    let logs = object(document, "awslogs", &mut members)?;
    let data = string(logs, &members, b"data").filter(|_| members.all().len() == 1)?;
    Some(Envelope::Record { data, arrival_ms: None })
}

/// A member that is an object, and its own members. One that has a key twice is none: opening it would lose one of the two.
fn object<'d>(document: &Document<'d>, key: &str, members: &mut Members) -> Option<Span<'d>> {
    let object = document.part(key).filter(|object| object.bytes.starts_with(b"{"))?;
    scan::object(object.bytes, 0, members).ok()?;
    (!members.repeat_a_key(object.bytes)).then_some(object)
}

fn string<'d>(object: Span<'d>, members: &Members, key: &[u8]) -> Option<Span<'d>> {
    let value = members.value(object.bytes, key)?;
    Some(object.part(value)).filter(|value| value.bytes.starts_with(b"\""))
}

/// Seconds since 1970 with a fraction, as they are written, in milliseconds.
fn milliseconds(seconds: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(seconds).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)
}
