//! S3's test of a notification: `{"Service": "Amazon S3", "Event": "s3:TestEvent", ..}`, which carries no event.
//!
//! Source: Amazon S3 User Guide, "Event message structure". The notifications themselves are events.

use super::document::{Document, Envelope};
use super::scan;

/// The test, if the object is one.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    let is = |key: &str, word: &[u8]| document.value(key).and_then(scan::string_content) == Some(word);
    (is("Event", b"s3:TestEvent") && is("Service", b"Amazon S3")).then_some(Envelope::Nothing("s3_test_event"))
}
