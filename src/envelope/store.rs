//! What has been found in the record so far: pieces, contexts and complaints, and what is left of the bounds.

use super::codec::{Bound, Decoders, Format, Tail};
use super::layer::{Layer, Span};
use super::piece::{Complaint, Oddity, Refusal};
use super::{Context, Field, Form, Limits, scan, unescape};

/// Lists longer than this are given back when the record after needs far less.
const KEPT_ENTRIES: usize = 4096;

/// What a context keeps of its buffer from record to record. The usual one is a few hundred bytes.
const KEPT_CONTEXT_BYTES: usize = 4096;

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// An event of this form.
    Event(Form),
    /// Nothing that is an event, by this rule.
    Filtered(&'static str),
    /// Something broken, by this code.
    Refused(&'static str),
}

/// One piece, as places instead of slices, because the layers still grow while the record is peeled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) what: What,
    pub(super) layer: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) context: Told,
}

/// The number of a context in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told(usize);

/// Where the peeling stands: what the envelopes around have told, how many they are, and how long the record is that this is
/// a part of, or the record within a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) context: Told,
    pub(super) depth: usize,
    pub(super) record_bytes: usize,
}

/// What had been found up to a moment, to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    slots: usize,
    complaints: usize,
}

/// The findings of one record, in lists that are reused.
#[derive(Debug)]
pub(super) struct Store {
    limits: Limits,
    decoders: Decoders,
    room: usize,
    slots: Vec<Slot>,
    contexts: Vec<Context>,
    contexts_used: usize,
    nothing_told: Context,
    complaints: Vec<Complaint>,
    scratch: Vec<u8>,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            decoders: Decoders::new(),
            room: limits.decompressed_bytes_max,
            slots: Vec::new(),
            contexts: vec![Context::default()],
            contexts_used: 1,
            nothing_told: Context::default(),
            complaints: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Forgets the last record, and gives memory back that only a giant one needed.
    pub(super) fn begin(&mut self, record_bytes: usize, arrival_ms: Option<i64>) -> Place {
        if self.contexts.len() > KEPT_ENTRIES && self.contexts_used < self.contexts.len() / 4 {
            self.contexts.truncate(KEPT_ENTRIES);
            self.contexts.shrink_to_fit();
        }
        if self.slots.capacity() > KEPT_ENTRIES && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(KEPT_ENTRIES);
            self.complaints.shrink_to(KEPT_ENTRIES);
        }
        for context in self.contexts.iter_mut().take(self.contexts_used) {
            context.shrink(KEPT_CONTEXT_BYTES);
        }
        self.slots.clear();
        self.complaints.clear();
        self.room = self.limits.decompressed_bytes_max;
        self.contexts_used = 1;
        if let Some(context) = self.contexts.first_mut() {
            context.clear();
            if let Some(arrival_ms) = arrival_ms {
                context.set(Field::Arrival, itoa::Buffer::new().format(arrival_ms));
            }
        }
        Place { context: Told(0), depth: 0, record_bytes }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    pub(super) fn context(&self, told: Told) -> &Context {
        self.contexts.get(told.0).unwrap_or(&self.nothing_told)
    }

    /// The most pieces that the record may have.
    pub(super) fn events_max(&self) -> usize {
        self.limits.events_per_record_max
    }

    /// Inflates into a layer, within what the record may still become. `None` where the input only looked compressed.
    pub(super) fn inflate(
        &mut self,
        format: Format,
        input: &[u8],
        out: &mut Layer,
        place: Place,
    ) -> Result<Option<Tail>, Refusal> {
        let bound = self.bound_of_layer(place.record_bytes);
        let before = out.written().len();
        let tail = self.decoders.inflate(format, input, out, bound)?;
        self.take(out.written().len().saturating_sub(before))?;
        Ok(tail)
    }

    /// The moment, to [come back](Self::rewind) to.
    pub(super) fn mark(&self) -> Mark {
        Mark { slots: self.slots.len(), complaints: self.complaints.len() }
    }

    /// Forgets the pieces and complaints since then. What they took of the bounds stays taken.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.slots.truncate(mark.slots);
        self.complaints.truncate(mark.complaints);
    }

    /// Takes bytes from what the record may become.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(room) = self.room.checked_sub(bytes) else {
            let bound = self.limits.decompressed_bytes_max;
            return Err(Refusal {
                code: "decompressed_bytes_max",
                words: format!("the record becomes more than {bound} bytes in memory"),
            });
        };
        self.room = room;
        Ok(())
    }

    /// The place inside one more envelope.
    pub(super) fn deeper(&self, place: Place) -> Result<Place, Refusal> {
        let bound = self.limits.depth_max.min(Limits::DEPTH_CEILING);
        if place.depth >= bound {
            return Err(Refusal { code: "depth_max", words: format!("more than {bound} envelopes in each other") });
        }
        Ok(Place { depth: place.depth + 1, ..place })
    }

    /// A context of its own for what is inside an envelope, with all that was told outside.
    pub(super) fn derive(&mut self, place: Place) -> Result<Place, Refusal> {
        if self.contexts.len() == self.contexts_used {
            self.contexts.push(Context::default());
        }
        let (used, free) = self.contexts.split_at_mut(self.contexts_used);
        let (Some(outer), Some(inner)) = (used.get(place.context.0), free.first_mut()) else {
            return Ok(place);
        };
        inner.copy_from(outer);
        let bytes = inner.text_bytes() + size_of::<Context>();
        let context = Told(self.contexts_used);
        self.contexts_used += 1;
        self.take(bytes)?;
        Ok(Place { context, ..place })
    }

    /// Notes what an envelope told, from a JSON value: the text of a string, any other value as it is written, and
    /// nothing for `null`.
    pub(super) fn tell(&mut self, place: Place, field: Field, value: &[u8]) -> Result<(), Refusal> {
        if value == b"null" {
            return Ok(());
        }
        let Some(raw) = scan::string_content(value) else {
            return self.tell_text(place, field, value);
        };
        if memchr::memchr(b'\\', raw).is_none() {
            return self.tell_text(place, field, raw);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.resize(raw.len(), 0);
        let unescaped = unescape::unescape(raw, &mut scratch);
        if unescaped.lone_surrogate {
            self.complain(Oddity::LoneSurrogate);
        }
        let outcome = self.tell_text(place, field, scratch.get(..unescaped.bytes).unwrap_or_default());
        scratch.truncate(KEPT_ENTRIES);
        scratch.shrink_to(KEPT_ENTRIES);
        self.scratch = scratch;
        outcome
    }

    /// Notes what an envelope told, from text.
    pub(super) fn tell_text(&mut self, place: Place, field: Field, text: &[u8]) -> Result<(), Refusal> {
        let lossy;
        let text = if let Ok(text) = std::str::from_utf8(text) {
            text
        } else {
            self.complain(Oddity::ContextNotUtf8);
            lossy = String::from_utf8_lossy(text);
            &lossy
        };
        self.take(text.len())?;
        if let Some(context) = self.contexts.get_mut(place.context.0) {
            context.set(field, text);
        }
        Ok(())
    }

    /// Takes in an event, or refuses it alone where it is not UTF-8.
    pub(super) fn event(&mut self, form: Form, body: Span<'_>, place: Place) -> Result<(), Refusal> {
        let is_utf8 = std::str::from_utf8(body.bytes).is_ok();
        let what = if is_utf8 { What::Event(form) } else { What::Refused("invalid_utf8") };
        self.push(what, body, place.context)
    }

    /// Takes in something that carries no event.
    pub(super) fn filtered(&mut self, rule: &'static str, body: Span<'_>, place: Place) -> Result<(), Refusal> {
        self.push(What::Filtered(rule), body, place.context)
    }

    /// Takes in something broken whose neighbours live.
    pub(super) fn refused(&mut self, code: &'static str, body: Span<'_>, place: Place) -> Result<(), Refusal> {
        self.push(What::Refused(code), body, place.context)
    }

    /// Notes something odd about the next piece.
    pub(super) fn complain(&mut self, oddity: Oddity) {
        let complaint = Complaint { index: u32::try_from(self.slots.len()).unwrap_or(u32::MAX), oddity };
        if self.complaints.last() != Some(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// The bytes that the lists hold on to.
    pub(super) fn held_bytes(&self) -> usize {
        let contexts: usize = self.contexts.iter().map(|context| size_of::<Context>() + context.held_bytes()).sum();
        contexts + self.slots.capacity() * size_of::<Slot>() + self.complaints.capacity() * size_of::<Complaint>()
    }

    /// The bound of one layer of decompressed bytes, and which of the two it comes from.
    fn bound_of_layer(&self, record_bytes: usize) -> Bound {
        let by_ratio = record_bytes.saturating_mul(self.limits.ratio_max).max(self.limits.ratio_free_bytes);
        if by_ratio < self.room {
            Bound { bytes_max: by_ratio, name: "ratio_max" }
        } else {
            Bound { bytes_max: self.room, name: "decompressed_bytes_max" }
        }
    }

    fn push(&mut self, what: What, body: Span<'_>, context: Told) -> Result<(), Refusal> {
        // The index of a piece is a u32.
        let bound = self.limits.events_per_record_max.min(1 << 31);
        if self.slots.len() >= bound {
            return Err(Refusal { code: "events_per_record_max", words: format!("more than {bound} events") });
        }
        let (layer, start, end) = (body.layer, body.start, body.start + body.bytes.len());
        self.slots.push(Slot { what, layer, start, end, context });
        Ok(())
    }
}
