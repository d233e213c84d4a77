//! CloudTrail: `{"Records": [..]}`, as log files and some forwarders write it; and digest files, which hold no event.
//!
//! S3 notifications and the events that SQS, SNS, Kinesis and DynamoDB hand to Lambda functions have the same shape and are
//! something else: only elements that carry CloudTrail's four required fields are opened (CloudTrail User Guide, "Record
//! contents"). An Insights event keeps the name and the source of the call in `insightDetails` (the same guide, "CloudTrail
//! record contents for Insights events"), and is one by that.

use super::document::{Document, Envelope};
use super::layer::Span;
use super::scan;

/// What every record has, what those of calls have besides, and what those of Insights have instead.
const KEYS: [&str; 5] = ["eventTime", "eventID", "eventSource", "eventName", "insightDetails"];

/// What every digest file says of itself (CloudTrail User Guide, "CloudTrail digest file structure").
const DIGEST: [&str; 4] = ["digestS3Bucket", "digestS3Object", "digestSignatureAlgorithm", "logFiles"];

/// A log file or a digest file, if the object is one.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    if DIGEST.iter().all(|key| document.value(key).is_some()) {
        return Some(Envelope::Nothing("cloudtrail_digest"));
    }
    records(document).map(Envelope::List)
}

/// The list of records, if the object is a CloudTrail log file. An empty list counts: it may be one.
fn records<'d>(document: &Document<'d>) -> Option<Span<'d>> {
    if document.members.all().len() != 1 {
        return None;
    }
    let array = document.part("Records")?;
    let count = scan::objects_in(array.bytes)?;
    (count == 0 || begins_with_a_record(array)).then_some(array)
}

fn begins_with_a_record(array: Span<'_>) -> bool {
    // A record has more members than an envelope, and so more than a list of members holds: all keys are looked at.
    let start = scan::blanks(array.bytes, 1);
    let mut found = [false; KEYS.len()];
    let scanned = scan::each_member(array.bytes, start, |key, _| {
        for (known, found) in KEYS.iter().zip(&mut found) {
            *found |= array.bytes.get(key.clone()) == Some(known.as_bytes());
        }
    });
    let [has_time, has_id, has_source, has_name, has_insight] = found;
    scanned.is_ok() && has_time && has_id && (has_source && has_name || has_insight)
}
