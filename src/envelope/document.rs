//! One JSON object: opened where it is an envelope, an event where it is none.

use super::layer::{Layer, Span};
use super::piece::{Oddity, Refusal};
use super::scan::{self, Members};
use super::store::{Place, Store};
use super::{Form, cloudtrail, cloudwatch_logs, eventbridge, findings};

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
enum Envelope<'d> {
    CloudWatchLogs(cloudwatch_logs::Subscription<'d>),
    EventBridge(eventbridge::Wrapped<'d>),
    /// A list whose elements are the events: of CloudTrail or of a findings API.
    List(Span<'d>),
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
    }
}

/// Takes in the elements of an array of objects, each an event of its own.
pub(super) fn list(array: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
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
        take(Document { span: array.part(range), members: &members }, store, above, place)?;
    }
    if is_empty { store.filtered("empty_list", array, place) } else { Ok(()) }
}

fn recognise<'d>(document: &Document<'d>) -> Option<Envelope<'d>> {
    cloudwatch_logs::recognise(document)
        .map(Envelope::CloudWatchLogs)
        .or_else(|| eventbridge::recognise(document).map(Envelope::EventBridge))
        .or_else(|| cloudtrail::recognise(document).map(Envelope::List))
        .or_else(|| findings::recognise(document).map(Envelope::List))
}
