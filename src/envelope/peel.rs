//! Peeling: from a record's bytes to its pieces.

use super::layer::{Layer, Span};
use super::piece::{Complaint, Piece, Refusal};
use super::store::{Slot, Store, What};
use super::{Event, Limits, carried};

/// Undoes the envelopes of records, one record at a time, in buffers that are reused.
///
/// One per worker. In the steady state it allocates nothing per event. After a giant record its buffers shrink again, once
/// two ordinary ones have followed.
#[derive(Debug)]
pub struct Peeler {
    /// The layers over the record: as many as envelopes are allowed, since each envelope needs one at most.
    layers: Vec<Layer>,
    store: Store,
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
        Self { layers, store: Store::new(limits) }
    }

    /// Peels a record, until no envelope matches any more. `arrival_ms` is when the transport took it in.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the record as a whole must be dead-lettered: it breaks a bound, its compression is broken, or
    /// there is nothing in it.
    pub fn peel<'p>(&'p mut self, record: &'p [u8], arrival_ms: Option<i64>) -> Result<Peeled<'p>, Refusal> {
        self.layers.iter_mut().for_each(Layer::clear);
        let place = self.store.begin(record.len(), arrival_ms);
        let whole = Span { bytes: record, layer: 0, start: 0 };
        carried::record(whole, &mut self.store, &mut self.layers, place)?;
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

/// The bytes of a layer by its number: 0 is the record itself.
fn layer_bytes<'p>(record: &'p [u8], layers: &'p [Layer], number: usize) -> &'p [u8] {
    match number.checked_sub(1) {
        None => record,
        Some(place) => layers.get(place).map_or(&[], Layer::written),
    }
}
