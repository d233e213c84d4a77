//! CloudWatch Logs subscriptions: `{"messageType": .., "logGroup": .., "logStream": .., "logEvents": [..]}`.
//!
//! Source: CloudWatch Logs User Guide, "Subscription filters"; `PROTOCOLS` section 6. One log event is one event, however
//! many lines its message has.

use super::document::{self, Document};
use super::layer::{Layer, Span};
use super::lines::BYTE_ORDER_MARK;
use super::piece::{Oddity, Refusal};
use super::scan::{self, Members};
use super::store::{Place, Store};
use super::{Field, Form, carried};

/// A subscription's record.
pub(super) struct Subscription<'d> {
    document: Document<'d>,
    log_events: Span<'d>,
    is_control: bool,
}

/// The subscription's record, if the object is one. An unknown `messageType` makes it something else.
pub(super) fn recognise<'d>(document: &Document<'d>) -> Option<Subscription<'d>> {
    let log_events = document.part("logEvents").filter(|list| list.bytes.starts_with(b"["))?;
    scan::string_content(document.value("logGroup")?)?;
    scan::string_content(document.value("logStream")?)?;
    let is_control = match scan::string_content(document.value("messageType")?)? {
        b"DATA_MESSAGE" => false,
        b"CONTROL_MESSAGE" => true,
        _ => return None,
    };
    Some(Subscription { document: *document, log_events, is_control })
}

/// Takes in each log event. A control message only asks whether somebody listens.
pub(super) fn open(
    subscription: &Subscription<'_>,
    store: &mut Store,
    above: &mut [Layer],
    place: Place,
) -> Result<(), Refusal> {
    let (whole, list) = (subscription.document.span, subscription.log_events);
    if subscription.is_control {
        return store.filtered("cloudwatch_logs_control_message", whole, place);
    }
    let place = store.derive(place)?;
    for (key, field) in [("logGroup", Field::LogGroup), ("logStream", Field::LogStream), ("owner", Field::Owner)] {
        if let Some(value) = subscription.document.value(key) {
            store.tell(place, field, value)?;
        }
    }
    let mut members = Members::new();
    let Some(mut elements) = scan::Elements::of(list.bytes) else {
        return store.event(Form::Json, whole, place);
    };
    let mut is_empty = true;
    while let Some(element) = elements.next(&mut members) {
        is_empty = false;
        let Ok(range) = element else {
            // The list was scanned whole before, so this cannot be; but if it were, nothing should be lost.
            return store.event(Form::Text, list, place);
        };
        log_event(list.part(range), &members, store, above, place)?;
    }
    if is_empty { store.filtered("empty_list", whole, place) } else { Ok(()) }
}

fn log_event(
    span: Span<'_>,
    members: &Members,
    store: &mut Store,
    above: &mut [Layer],
    place: Place,
) -> Result<(), Refusal> {
    if !span.bytes.starts_with(b"{") {
        store.complain(Oddity::MessageMissing);
        return store.event(Form::Text, span, place);
    }
    let event = Document { span, members };
    if members.repeat_a_key(span.bytes) {
        store.complain(Oddity::DuplicateKey);
        return store.event(Form::Json, span, place);
    }
    let Some(message) = event.part("message") else {
        store.complain(Oddity::MessageMissing);
        return store.event(Form::Json, span, place);
    };
    let place = store.derive(place)?;
    for (key, field) in
        [("id", Field::LogEventId), ("timestamp", Field::LogEventTime), ("extractedFields", Field::Extracted)]
    {
        if let Some(value) = event.value(key) {
            store.tell(place, field, value)?;
        }
    }
    match scan::string_content(message.bytes) {
        Some(raw) => carried::unescaped(raw, message.layer, store, above, |text, store, above| {
            peeled_further(text, store, above, place)
        }),
        // Not what the service writes, but what some forwarders make of it: the message as JSON itself.
        None => peeled_further(message, store, above, place),
    }
}

/// Takes in a message: an object with all its envelopes, or a text whatever its lines are.
fn peeled_further(message: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let has_mark = message.bytes.starts_with(BYTE_ORDER_MARK);
    let start = scan::blanks(message.bytes, if has_mark { BYTE_ORDER_MARK.len() } else { 0 });
    if message.bytes.get(start) != Some(&b'{') {
        return store.event(Form::Text, message, place);
    }
    let mut members = Members::new();
    match scan::object(message.bytes, start, &mut members) {
        Ok(end) if scan::blanks(message.bytes, end) == message.bytes.len() => {
            if has_mark {
                store.complain(Oddity::ByteOrderMark);
            }
            document::take(Document { span: message.part(start..end), members: &members }, store, above, place)
        }
        _ => {
            store.complain(Oddity::BrokenJson);
            store.event(Form::Text, message, place)
        }
    }
}
