//! One layer of bytes made from the layer below it: decompressed, or unescaped.

/// What a layer keeps for the next record however small the last one was. A usual Kinesis record fits many times.
const KEPT_BYTES: usize = 4 << 20;

/// A buffer whose length is a high-water mark, so that a reused one is not zeroed again for every record.
#[derive(Debug, Default)]
pub(super) struct Layer {
    bytes: Vec<u8>,
    used: usize,
}

impl Layer {
    /// The bytes written since [`Layer::clear`].
    pub(super) fn written(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Room for so many bytes behind what is written, and no more memory than that: for steps that grow by themselves.
    pub(super) fn room_exact(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.used.saturating_add(bytes);
        self.bytes.reserve_exact(end.saturating_sub(self.bytes.len()));
        self.room(bytes)
    }

    /// Room for so many bytes behind what is written. What is in it is left over from earlier.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.used.saturating_add(bytes);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.used..end).unwrap_or_default()
    }

    /// Counts so many bytes of the room as written.
    pub(super) fn commit(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes).min(self.bytes.len());
    }

    /// Forgets what was written behind here.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.used = self.used.min(bytes);
    }

    /// Forgets the bytes and keeps the buffer, unless the last record used so little of it that it was made for a giant.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES && self.used < self.bytes.capacity() / 4 {
            self.bytes.truncate(KEPT_BYTES);
            self.bytes.shrink_to_fit();
        }
        self.used = 0;
    }

    /// The bytes that the buffer holds on to.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// A part of a layer, and where it stands there. Layer 0 is the record itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'b> {
    /// The bytes.
    pub(super) bytes: &'b [u8],
    /// The number of the layer.
    pub(super) layer: usize,
    /// Where the bytes begin in it.
    pub(super) start: usize,
}

impl Span<'_> {
    /// A part of the part. An empty one where the range is outside.
    pub(super) fn part(self, range: std::ops::Range<usize>) -> Self {
        let start = self.start + range.start;
        Self { bytes: self.bytes.get(range).unwrap_or_default(), layer: self.layer, start }
    }
}
