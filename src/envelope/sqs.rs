//! SQS: a message as `ReceiveMessage` answers it (`{"Body": "..", "ReceiptHandle": ..}`), and as a Lambda function gets it
//! (`{"body": "..", "receiptHandle": .., "eventSource": "aws:sqs"}`).
//!
//! Source: Amazon SQS API Reference, `Message`; AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".

use super::document::{Document, Envelope};
use super::scan;

/// What an answer of `ReceiveMessage` says beside the messages.
const BESIDE: [&[u8]; 2] = [b"ResponseMetadata", b"$metadata"];

/// A message, or the list of them that is an answer.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    let body = [("Body", "ReceiptHandle", "MessageId"), ("body", "receiptHandle", "messageId")];
    let body = body.into_iter().find_map(|(body, handle, id)| {
        scan::string_content(document.value(handle)?)?;
        scan::string_content(document.value(id)?)?;
        document.part(body).filter(|body| body.bytes.starts_with(b"\""))
    });
    body.map(Envelope::Text).or_else(|| messages(document))
}

fn messages<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    let array = document.part("Messages")?;
    if document.keys().filter(|key| !BESIDE.contains(key)).count() != 1 || scan::objects_in(array.bytes)? == 0 {
        return None;
    }
    let mut is_message = false;
    let start = scan::blanks(array.bytes, 1);
    scan::each_member(array.bytes, start, |key, _| is_message |= array.bytes.get(key) == Some(b"ReceiptHandle"))
        .ok()?;
    is_message.then_some(Envelope::List(array))
}
