//! What an envelope carries: bytes as a transport hands them over, or text.
//!
//! The record itself is such bytes, and so is what base64 holds in a Lambda event or a Firehose request, and a user record
//! of an aggregate. A record within a record is poison for itself alone: it is refused as one piece, and its neighbours live.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::codec::{Format, Tail};
use super::kpl::{self, Found};
use super::layer::{Layer, Span};
use super::lines::{self, BYTE_ORDER_MARK};
use super::piece::{Oddity, Refusal};
use super::scan;
use super::store::{Place, Store};
use super::{Field, Form, unescape};

/// Padded or not: some forwarders leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Takes in a record: undoes its compression and aggregation, as often as there is some.
pub(super) fn record(bytes: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    if let Some(format) = Format::of(bytes.bytes) {
        let inside = store.deeper(place)?;
        let (here, above) = above.split_first_mut().ok_or_else(too_deep)?;
        let start = here.written().len();
        if let Some(tail) = store.inflate(format, bytes.bytes, here, place)? {
            if tail == Tail::Zeros {
                store.complain(Oddity::TrailingZeros);
            }
            let inflated = here.written().get(start..).unwrap_or_default();
            record(Span { bytes: inflated, layer: bytes.layer + 1, start }, store, above, inside)?;
            return match tail {
                Tail::Bytes(behind) => store.refused("trailing_bytes", bytes.part(behind..bytes.bytes.len()), inside),
                Tail::Empty | Tail::Zeros => Ok(()),
            };
        }
    }
    match kpl::read(bytes.bytes, store.events_max()) {
        Found::Plain => lines::take(bytes, store, above, place),
        Found::Broken(_) => store.refused("broken_aggregate", bytes, place),
        Found::Aggregate(records) if records.is_empty() => store.filtered("empty_aggregate", bytes, place),
        Found::Aggregate(records) => {
            let inside = store.deeper(place)?;
            records.into_iter().try_for_each(|user| inner_record(bytes.part(user.data), store, above, inside))
        }
    }
}

/// Takes in a record that stands in another. Whatever it is, it gives at least one piece.
fn inner_record(bytes: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let place = Place { record_bytes: bytes.bytes.len(), ..place };
    let mark = store.mark();
    match record(bytes, store, above, place) {
        Ok(()) if store.mark() == mark => store.refused("empty_record", bytes, place),
        Err(refusal) if !refusal.is_of_the_whole() => {
            store.rewind(mark);
            store.refused(refusal.code, bytes, place)
        }
        other => other,
    }
}

/// Takes in the record whose base64 a JSON string holds. Where it is none, `whole` is the event.
pub(super) fn base64(
    string: Span<'_>,
    whole: Span<'_>,
    store: &mut Store,
    above: &mut [Layer],
    place: Place,
) -> Result<(), Refusal> {
    let (here, above) = above.split_first_mut().ok_or_else(too_deep)?;
    let raw = scan::string_content(string.bytes).unwrap_or_default();
    let start = here.written().len();
    let room = here.room(base64::decoded_len_estimate(raw.len()));
    let decoded = if memchr::memchr(b'\\', raw).is_none() {
        BASE64.decode_slice(raw, room)
    } else {
        // Some writers of JSON escape the slash, which is a letter of base64.
        let mut unescaped = vec![0; raw.len()];
        let length = unescape::unescape(raw, &mut unescaped).bytes;
        BASE64.decode_slice(unescaped.get(..length).unwrap_or_default(), room)
    };
    let Ok(length) = decoded else {
        store.complain(Oddity::BrokenBase64);
        return store.event(Form::Json, whole, place);
    };
    store.take(length)?;
    here.commit(length);
    let bytes = here.written().get(start..).unwrap_or_default();
    inner_record(Span { bytes, layer: string.layer + 1, start }, store, above, place)
}

/// Takes in the text that a JSON string holds: the documents in it, or one text event whatever its lines are.
pub(super) fn text(string: Span<'_>, store: &mut Store, above: &mut [Layer], place: Place) -> Result<(), Refusal> {
    let raw = scan::string_content(string.bytes).unwrap_or_default();
    unescaped(raw, string.layer, store, above, |text, store, above| {
        let mark = if text.bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        match text.bytes.get(scan::blanks(text.bytes, mark)) {
            Some(b'{' | b'[') => lines::take(text, store, above, place),
            _ => store.event(Form::Text, text, place),
        }
    })
}

/// Unescapes a JSON string, given without its quotes, into the layer above, and shows it.
pub(super) fn unescaped(
    raw: &[u8],
    layer: usize,
    store: &mut Store,
    above: &mut [Layer],
    show: impl FnOnce(Span<'_>, &mut Store, &mut [Layer]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let (here, above) = above.split_first_mut().ok_or_else(too_deep)?;
    store.take(raw.len())?;
    let unescaped = unescape::unescape(raw, here.room(raw.len()));
    if unescaped.lone_surrogate {
        store.complain(Oddity::LoneSurrogate);
    }
    let start = here.written().len();
    here.commit(unescaped.bytes);
    let bytes = here.written().get(start..).unwrap_or_default();
    show(Span { bytes, layer: layer + 1, start }, store, above)
}

/// The place inside an envelope that says when the transport took in what it carries.
pub(super) fn arrived(arrival_ms: Option<i64>, store: &mut Store, place: Place) -> Result<Place, Refusal> {
    let Some(arrival_ms) = arrival_ms else { return Ok(place) };
    let place = store.derive(place)?;
    store.tell_text(place, Field::Arrival, itoa::Buffer::new().format(arrival_ms).as_bytes())?;
    Ok(place)
}

/// There are as many layers as envelopes are allowed, so the depth runs out before.
fn too_deep() -> Refusal {
    Refusal { code: "depth_max", words: "too many envelopes in each other".to_owned() }
}
