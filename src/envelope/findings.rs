//! Findings lists: `{"Findings": [..]}`, as the APIs of GuardDuty, Inspector, Macie and Security Hub answer, and as Security
//! Hub puts them into the `detail` of EventBridge.

use super::document::Document;
use super::layer::Span;
use super::scan;

/// What an answer of an API says beside the findings.
const BESIDE: [&[u8]; 4] = [b"NextToken", b"nextToken", b"ResponseMetadata", b"$metadata"];

/// The list of findings, if the object is such a list and nothing else.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Span<'d>> {
    let lists = || document.keys().filter(|key| matches!(*key, b"Findings" | b"findings"));
    let others = document.keys().filter(|key| !BESIDE.contains(key)).count();
    if others != 1 || lists().count() != 1 {
        return None;
    }
    let array = document.part("Findings").or_else(|| document.part("findings"))?;
    scan::objects_in(array.bytes).map(|_| array)
}
