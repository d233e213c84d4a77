//! Firehose: the body of its HTTP requests (`{"requestId": .., "timestamp": .., "records": [{"data": ".."}]}`), and the event
//! of a transformation function (`{"invocationId": .., "deliveryStreamArn": .., "records": [{"recordId": .., "data": ".."}]}`).
//!
//! Source: Amazon Data Firehose Developer Guide, "HTTP endpoint delivery request and response specifications" and "Data
//! transformation"; `PROTOCOLS` section 5.

use super::document::{self, Document, Envelope};
use super::layer::{Layer, Span};
use super::piece::{Oddity, Refusal};
use super::store::{Place, Store};
use super::{Form, carried, scan};

/// The records of a request, if the object is one.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    let records = document.part("records").filter(|records| records.bytes.starts_with(b"["))?;
    let is_text = |key: &str| document.value(key).is_some_and(|value| value.starts_with(b"\""));
    let is_delivery =
        is_text("requestId") && document.value("timestamp").is_some() && document.members.all().len() == 3;
    let is_transformation = is_text("invocationId") && is_text("deliveryStreamArn");
    (is_delivery || is_transformation).then_some(Envelope::Firehose(records))
}

/// Takes in each record.
pub(super) fn open(records: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    document::each(records, store, |element, store| one(&element, store, above, place), place)
}

fn one(element: &Document<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let is_object = element.span.bytes.starts_with(b"{");
    let form = if is_object { Form::Json } else { Form::Text };
    let data = element.part("data").filter(|data| is_object && scan::string_content(data.bytes).is_some());
    let Some(data) = data else {
        store.complain(Oddity::DataMissing);
        return store.event(form, element.span, place);
    };
    if element.members.repeat_a_key(element.span.bytes) {
        store.complain(Oddity::DuplicateKey);
        return store.event(form, element.span, place);
    }
    let arrival = element.value("approximateArrivalTimestamp").and_then(|text| std::str::from_utf8(text).ok());
    let place = carried::arrived(arrival.and_then(|text| text.parse().ok()), store, place)?;
    carried::base64(data, element.span, store, above, place)
}
