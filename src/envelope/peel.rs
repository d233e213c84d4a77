//! Peeling: from a record's bytes to its pieces.

use super::codec::{Bound, Decoders, Format, Tail};
use super::layer::{Layer, Span};
use super::piece::{Complaint, Oddity, Piece, Refusal};
use super::store::{Place, Slot, Store, What};
use super::{Event, Limits, lines};

/// Undoes the envelopes of records, one record at a time, in buffers that are reused.
///
/// One per worker. In the steady state it allocates nothing per event. After a giant record its buffers shrink again, once
/// two ordinary ones have followed.
#[derive(Debug)]
pub struct Peeler {
    limits: Limits,
    decoders: Decoders,
    /// The layers over the record: as many as envelopes are allowed, since each envelope needs one at most.
    layers: Vec<Layer>,
    store: Store,
    /// What stood behind compressed data: the layer, and where.
    tails: Vec<(usize, usize)>,
}

/// The pieces of one record, and what was odd about it. Borrows the record and the peeler's buffers.
#[derive(Clone, Copy, Debug)]
pub struct Peeled<'p> {
    record: &'p [u8],
    layers: &'p [Layer],
    store: &'p Store,
}

impl Peeler {
    /// A peeler with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut layers = Vec::new();
        layers.resize_with(limits.depth_max.min(Limits::DEPTH_CEILING), Layer::default);
        Self { limits, decoders: Decoders::new(), layers, store: Store::new(limits), tails: Vec::new() }
    }

    /// Peels a record, until no envelope matches any more. `arrival_ms` is when the transport took it in.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the record as a whole must be dead-lettered: it breaks a bound, its compression is broken, or
    /// there is nothing in it.
    pub fn peel<'p>(&'p mut self, record: &'p [u8], arrival_ms: Option<i64>) -> Result<Peeled<'p>, Refusal> {
        self.layers.iter_mut().for_each(Layer::clear);
        self.tails.clear();
        let place = self.store.begin(arrival_ms);
        let (compressions, place) = self.decompress(record, place)?;
        let (below, above) = self.layers.split_at_mut(compressions);
        let bytes = below.last().map_or(record, Layer::written);
        lines::take(Span { bytes, layer: compressions, start: 0 }, &mut self.store, above, place)?;
        for (layer, start) in self.tails.drain(..) {
            let bytes = layer_bytes(record, below, layer).get(start..).unwrap_or_default();
            self.store.refused("trailing_bytes", Span { bytes, layer, start }, place)?;
        }
        if self.store.slots().is_empty() {
            let words = if record.is_empty() { "the record is empty" } else { "there is nothing in the record" };
            return Err(Refusal { code: "empty_record", words: words.to_owned() });
        }
        Ok(Peeled { record, layers: &self.layers, store: &self.store })
    }

    /// The bytes that the peeler's buffers hold on to between records.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.layers.iter().map(Layer::held_bytes).sum::<usize>() + self.store.held_bytes()
    }

    /// Undoes compression as often as there is some. Gives how often that was.
    fn decompress(&mut self, record: &[u8], place: Place) -> Result<(usize, Place), Refusal> {
        let mut place = place;
        let mut compressions = 0;
        loop {
            let (below, above) = self.layers.split_at_mut(compressions);
            let input = below.last().map_or(record, Layer::written);
            let Some(format) = Format::of(input) else { return Ok((compressions, place)) };
            let inside = self.store.deeper(place)?;
            let Some(out) = above.first_mut() else { return Ok((compressions, place)) };
            let bound = self.limits.of_layer(record.len(), self.store.room());
            let Some(tail) = self.decoders.inflate(format, input, out, bound)? else {
                return Ok((compressions, place));
            };
            self.store.take(out.written().len())?;
            match tail {
                Tail::Empty => {}
                Tail::Zeros => self.store.complain(Oddity::TrailingZeros),
                Tail::Bytes(start) => self.tails.push((compressions, start)),
            }
            place = inside;
            compressions += 1;
        }
    }
}

impl<'p> Peeled<'p> {
    /// The pieces, in the order of the record; at least one.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Piece<'p>> + use<'p> {
        let peeled = *self;
        let numbered = peeled.store.slots().iter().enumerate();
        numbered.map(move |(number, slot)| peeled.piece(slot, u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// What was odd and survived, in the order of the pieces.
    #[must_use]
    pub fn complaints(&self) -> &'p [Complaint] {
        self.store.complaints()
    }

    fn piece(&self, slot: &'p Slot, index: u32) -> Piece<'p> {
        let body = layer_bytes(self.record, self.layers, slot.layer).get(slot.start..slot.end).unwrap_or_default();
        match slot.what {
            What::Event(form) => Piece::Event(Event { index, body, form, context: self.store.context(slot.context) }),
            What::Filtered(rule) => Piece::Filtered { index, rule },
            What::Refused(code) => Piece::Refused { index, code, body },
        }
    }
}

impl Limits {
    /// The bound of one layer of decompressed bytes, and which of the two it comes from.
    fn of_layer(&self, record_bytes: usize, room: usize) -> Bound {
        let by_ratio = record_bytes.saturating_mul(self.ratio_max).max(self.ratio_free_bytes);
        if by_ratio < room {
            Bound { bytes_max: by_ratio, name: "ratio_max" }
        } else {
            Bound { bytes_max: room, name: "decompressed_bytes_max" }
        }
    }
}

/// The bytes of a layer by its number: 0 is the record itself.
fn layer_bytes<'p>(record: &'p [u8], layers: &'p [Layer], number: usize) -> &'p [u8] {
    match number.checked_sub(1) {
        None => record,
        Some(place) => layers.get(place).map_or(&[], Layer::written),
    }
}
