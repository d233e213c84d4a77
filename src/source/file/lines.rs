//! Lines out of a byte stream that arrives in pieces.

use bytes::{Bytes, BytesMut};

/// Cuts plain bytes into lines; empty lines are passed over, `\r\n` counts as a line's end.
#[derive(Debug)]
pub struct Lines {
    buffer: BytesMut,
    searched: usize,
    line_bytes_max: usize,
}

impl Lines {
    /// Cuts lines, none longer than this: a longer one comes in pieces, so that nothing of it is lost.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, line_bytes_max: line_bytes_max.max(1) }
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<Bytes> {
        loop {
            let line = self.cut()?;
            let line = trim(&line);
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// What is left when the input has ended without a line's end.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        let line = trim(&self.buffer.split().freeze());
        (!line.is_empty()).then_some(line)
    }

    fn cut(&mut self) -> Option<Bytes> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let end = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at + 1);
        let end = match end {
            Some(end) if end <= self.line_bytes_max => end,
            _ if self.buffer.len() >= self.line_bytes_max => self.line_bytes_max,
            _ => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        self.searched = 0;
        Some(self.buffer.split_to(end).freeze())
    }
}

fn trim(line: &Bytes) -> Bytes {
    let trimmed = line.strip_suffix(b"\n").unwrap_or(line);
    let trimmed = trimmed.strip_suffix(b"\r").unwrap_or(trimmed);
    line.slice(..trimmed.len())
}
