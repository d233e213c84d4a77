//! Where the cells of a line stand.

use std::ops::Range;

use super::super::mapping::ast::Split;
use super::CELLS_MAX;

/// The places of a line's cells, without the quotes around them.
pub(super) struct Cells<'a> {
    line: &'a str,
    at: usize,
    split: Split,
    left: usize,
}

impl<'a> Cells<'a> {
    pub(super) fn new(line: &'a str, split: Split) -> Self {
        Self { line, at: 0, split, left: CELLS_MAX }
    }

    fn separator(&self) -> u8 {
        match self.split {
            Split::Space | Split::Quoted | Split::Line => b' ',
            Split::Tab => b'\t',
            Split::Comma => b',',
        }
    }

    /// Whether a cell may end before this byte: it separates, or the line is at its end.
    fn ends_at(&self, at: usize) -> bool {
        self.line.as_bytes().get(at).is_none_or(|byte| *byte == self.separator())
    }

    /// Where the quotes or brackets that open at `open` close, if they do before a separator.
    fn close(&self, open: usize) -> Option<usize> {
        let bytes = self.line.as_bytes();
        let inside = open.saturating_add(1);
        match (self.split, bytes.get(open)?) {
            (Split::Quoted, b'"') => self.closing_quote(inside).or_else(|| self.first_before_separator(inside, b'"')),
            (Split::Comma, b'"') => self.closing_quote(inside),
            (Split::Quoted, b'[') => self.first_before_separator(inside, b']'),
            _ => None,
        }
    }

    fn first_before_separator(&self, from: usize, wanted: u8) -> Option<usize> {
        let bytes = self.line.as_bytes();
        memchr::memchr_iter(wanted, bytes.get(from..)?)
            .map(|found| from.saturating_add(found))
            .find(|found| self.ends_at(found.saturating_add(1)))
    }

    /// The quote that closes. One behind a backslash does not, nor one of a doubled pair; in lists with commas (RFC 4180)
    /// a backslash is a letter as any other. Some services escape nothing: a quote that no separator follows is taken for
    /// a letter, and between blanks a pair before a separator for one such and the closing one.
    fn closing_quote(&self, from: usize) -> Option<usize> {
        let bytes = self.line.as_bytes();
        let mut at = from;
        loop {
            at = at.saturating_add(memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?);
            let is_quote = bytes.get(at) == Some(&b'"');
            let next = at.saturating_add(1);
            let is_pair = bytes.get(next) == Some(&b'"');
            at = match self.split {
                Split::Quoted if !is_quote => next.saturating_add(1),
                Split::Quoted if is_pair && !self.ends_at(next.saturating_add(1)) => next.saturating_add(1),
                Split::Comma if is_quote && is_pair => next.saturating_add(1),
                _ if is_quote && self.ends_at(next) => return Some(at),
                _ => next,
            };
        }
    }
}

impl Iterator for Cells<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.line.as_bytes();
        let are_blanks = matches!(self.split, Split::Space | Split::Quoted);
        if are_blanks {
            while bytes.get(self.at) == Some(&b' ') {
                self.at = self.at.saturating_add(1);
            }
        }
        if self.at >= bytes.len() {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        let start = self.at;
        if self.left == 0 || self.split == Split::Line {
            self.at = bytes.len();
            return Some(start..bytes.len());
        }
        if let Some(close) = self.close(start) {
            self.at = close.saturating_add(2);
            return Some(start.saturating_add(1)..close);
        }
        let rest = bytes.get(start..).unwrap_or_default();
        let length = memchr::memchr(self.separator(), rest).unwrap_or(rest.len());
        let end = start.saturating_add(length);
        self.at = end.saturating_add(1);
        Some(start..end)
    }
}
