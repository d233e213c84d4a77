//! One JSON object: opened where it is an envelope, an event where it is none.

use super::layer::{Layer, Span};
use super::piece::{Oddity, Refusal};
use super::scan::{self, Members};
use super::store::{Place, Store};
use super::{Form, carried, cloudtrail, cloudwatch_logs, eventbridge, findings, firehose, lambda, s3, sns, sqs};

/// An object that has been scanned whole, and its members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document<'d> {
    pub(super) span: Span<'d>,
    pub(super) members: &'d Members,
}

impl<'d> Document<'d> {
    /// The value of the member with this key, as it is written.
    pub(super) fn value(&self, key: &str) -> Option<&'d [u8]> {
        self.part(key).map(|part| part.bytes)
    }

    /// The value of the member with this key, and where it stands.
    pub(super) fn part(&self, key: &str) -> Option<Span<'d>> {
        self.members.value(self.span.bytes, key.as_bytes()).map(|range| self.span.part(range))
    }

    /// The keys, as they are written.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'d [u8]> {
        let bytes = self.span.bytes;
        self.members.all().iter().filter_map(move |(key, _)| bytes.get(key.clone()))
    }
}

/// The envelopes that an object may be, and what each needs to be opened.
pub(super) enum Envelope<'d> {
    CloudWatchLogs(cloudwatch_logs::Subscription<'d>),
    EventBridge(eventbridge::Wrapped<'d>),
    /// A list whose elements are opened, or are the events.
    List(Span<'d>),
    /// The records of a Firehose request: a list whose elements hold base64.
    Firehose(Span<'d>),
    /// An object around one that may be an envelope again.
    Object(Span<'d>),
    /// A JSON string that holds the event, or several.
    Text(Span<'d>),
    /// A JSON string that holds the base64 of a record, and when the transport took that in.
    Record {
        data: Span<'d>,
        arrival_ms: Option<i64>,
    },
    /// No event, by this rule.
    Nothing(&'static str),
}

/// Takes in an object, free of all its envelopes. `above` is where unescaped text goes.
pub(super) fn take(
    document: Document<'_>,
    store: &mut Store,
    above: &mut [Layer],
    place: Place,
) -> Result<(), Refusal> {
    let Some(envelope) = recognise(&document) else {
        return store.event(Form::Json, document.span, place);
    };
    if document.members.repeat_a_key(document.span.bytes) {
        // Opening it would lose one of the two.
        store.complain(Oddity::DuplicateKey);
        return store.event(Form::Json, document.span, place);
    }
    let place = store.deeper(place)?;
    match envelope {
        Envelope::CloudWatchLogs(subscription) => cloudwatch_logs::open(&subscription, store, above, place),
        Envelope::EventBridge(wrapped) => eventbridge::open(&wrapped, store, above, place),
        Envelope::List(array) => list(array, store, above, place),
        Envelope::Firehose(records) => firehose::open(records, store, above, place),
        Envelope::Object(object) => inner(object, store, above, place),
        Envelope::Text(text) => carried::text(text, store, above, place),
        Envelope::Record { data, arrival_ms } => {
            let place = carried::arrived(arrival_ms, store, place)?;
            carried::base64(data, document.span, store, above, place)
        }
        Envelope::Nothing(rule) => store.filtered(rule, document.span, place),
    }
}

/// Takes in an object that stands in another.
pub(super) fn inner(object: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let mut members = Members::new();
    if scan::object(object.bytes, 0, &mut members).is_err() {
        // It was scanned whole before, so this cannot be; but if it were, nothing should be lost.
        return store.event(Form::Text, object, place);
    }
    take(Document { span: object, members: &members }, store, above, place)
}

/// Takes in the elements of an array of objects, each an event of its own.
pub(super) fn list(array: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    each(array, store, |element, store| take(element, store, above, place), place)
}

/// Shows each element of an array, as a document; an empty array is filtered.
pub(super) fn each(
    array: Span<'_>,
    store: &mut Store,
    mut show: impl FnMut(Document<'_>, &mut Store) -> Result<(), Refusal>,
    place: Place,
) -> Result<(), Refusal> {
    let mut members = Members::new();
    let Some(mut elements) = scan::Elements::of(array.bytes) else {
        return store.event(Form::Text, array, place);
    };
    let mut is_empty = true;
    while let Some(element) = elements.next(&mut members) {
        is_empty = false;
        let Ok(range) = element else {
            // It was scanned whole before, so this cannot be; but if it were, nothing should be lost.
            return store.event(Form::Text, array, place);
        };
        show(Document { span: array.part(range), members: &members }, store)?;
    }
    if is_empty { store.filtered("empty_list", array, place) } else { Ok(()) }
}

fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    cloudwatch_logs::recognise(document)
        .map(Envelope::CloudWatchLogs)
        .or_else(|| eventbridge::recognise(document).map(Envelope::EventBridge))
        .or_else(|| cloudtrail::recognise(document))
        .or_else(|| findings::recognise(document).map(Envelope::List))
        .or_else(|| sns::recognise(document))
        .or_else(|| sqs::recognise(document))
        .or_else(|| lambda::recognise(document))
        .or_else(|| firehose::recognise(document))
        .or_else(|| s3::recognise(document))
}
