//! A batch: one buffer, the ranges of the entries in it, and what they have in common.

use std::ops::Range;

/// Encoded entries, one after the other in one buffer, so that sending a part of them again is slicing.
#[derive(Debug, Default)]
pub struct Batch {
    bucket: Vec<u8>,
    body: Vec<u8>,
    frames: Vec<Range<usize>>,
}

impl Batch {
    /// A batch without entries yet, for those of one bucket.
    #[must_use]
    pub fn of_bucket(bucket: &[u8]) -> Self {
        Self { bucket: bucket.to_vec(), ..Self::default() }
    }

    /// A batch of frames as a sink encoded them, of the bucket without a name.
    pub fn of_frames<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut batch = Self::default();
        for frame in frames {
            batch.push(|out| out.extend_from_slice(frame));
        }
        batch
    }

    /// Appends one entry; `encode` writes its frame to the end of the buffer. Returns how many bytes the frame has.
    pub fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.body.len();
        encode(&mut self.body);
        self.frames.push(start..self.body.len());
        self.body.len().saturating_sub(start)
    }

    /// What [`Sink::bucket`](super::Sink::bucket) said of each of its entries.
    #[must_use]
    pub fn bucket(&self) -> &[u8] {
        &self.bucket
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Says whether there is no entry. Such a batch is never sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// All frames, back to back: the body of the request before compression.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The frames one by one.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.frames.iter().map(|range| self.body.get(range.clone()).unwrap_or_default())
    }

    /// Takes the last entry back.
    pub(super) fn pop(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.body.truncate(frame.start);
        }
    }

    /// A batch of some of the entries: of those that `pick` says yes to by their number.
    pub(super) fn slice(&self, mut pick: impl FnMut(usize) -> bool) -> Self {
        let frames = self.frames().enumerate().filter(|(number, _)| pick(*number)).map(|(_, frame)| frame);
        Self { bucket: self.bucket.clone(), ..Self::of_frames(frames) }
    }
}
