//! Lines of text: split into columns, which become a tape like that of a JSON object.

use simd_json::Node;

use super::mapping::ast::{Split, Text};
use super::tape::end;

/// Columns of one line; what stands behind them is one more cell.
const COLUMNS_MAX: usize = 256;

/// How the lines of one log type become columns.
#[derive(Debug)]
pub(super) struct Layout {
    text: Text,
    /// Names for cells behind the last named column, so that they are leaves like the others.
    extra: Vec<String>,
}

impl Layout {
    pub(super) fn new(text: Text) -> Self {
        let extra = (text.columns.len()..=COLUMNS_MAX).map(|at| format!("column_{}", at.saturating_add(1))).collect();
        Self { text, extra }
    }

    /// Whether this line names the columns of the record instead of holding an event.
    pub(super) fn is_header(&self, line: &str) -> bool {
        self.text.header_starts.as_ref().is_some_and(|starts| line.starts_with(starts.as_str()))
    }

    /// Whether a cell says that there is nothing.
    pub(super) fn is_absent(&self, cell: &str) -> bool {
        cell.is_empty() || self.text.absent.iter().any(|absent| absent == cell)
    }

    /// What a cell is that says that there is nothing.
    pub(super) fn absent(&self) -> &str {
        self.text.absent.first().map_or("-", String::as_str)
    }

    /// The cells of a line with their columns' names. The record's header line names the columns where there is one that
    /// begins as this log type's do.
    pub(super) fn cells<'a>(
        &'a self,
        line: &'a str,
        header: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut named = header.filter(|header| self.is_header(header)).map(|header| Cells {
            rest: header,
            split: self.text.split,
            left: COLUMNS_MAX,
        });
        let mut columns = self.text.columns.iter();
        let mut extra = self.extra.iter();
        let cells = Cells { rest: line, split: self.text.split, left: COLUMNS_MAX };
        cells.filter_map(move |cell| {
            let name = match &mut named {
                Some(named) => named.next(),
                None => columns.next().map(String::as_str),
            };
            Some((name.or_else(|| extra.next().map(String::as_str))?, cell))
        })
    }

    /// Fills `nodes` with an object of column to cell.
    pub(super) fn split<'a>(&'a self, line: &'a str, header: Option<&'a str>, nodes: &mut Vec<Node<'a>>) {
        nodes.clear();
        nodes.push(Node::Object { len: 0, count: 0 });
        let mut len = 0_usize;
        for (name, cell) in self.cells(line, header).filter(|(_, cell)| !self.is_absent(cell)) {
            nodes.push(Node::String(name));
            nodes.push(Node::String(cell));
            len = len.saturating_add(1);
        }
        let count = nodes.len().saturating_sub(1);
        if let Some(first) = nodes.first_mut() {
            *first = Node::Object { len, count };
        }
        debug_assert_eq!(end(nodes, 0), nodes.len(), "the object spans the tape");
    }
}

/// The cells of a line, without their quotes.
struct Cells<'a> {
    rest: &'a str,
    split: Split,
    left: usize,
}

impl<'a> Iterator for Cells<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if matches!(self.split, Split::Space | Split::Quoted) {
            self.rest = self.rest.trim_matches(' ');
        }
        if self.rest.is_empty() {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Some(std::mem::take(&mut self.rest));
        }
        if self.split == Split::Quoted
            && let Some(close) = match self.rest.as_bytes().first() {
                Some(b'"') => Some('"'),
                Some(b'[') => Some(']'),
                _ => None,
            }
            && let Some(at) = self.rest.get(1..).and_then(|inner| inner.find(close))
        {
            let cell = self.rest.get(1..at.saturating_add(1));
            self.rest = self.rest.get(at.saturating_add(2)..).unwrap_or("");
            return cell;
        }
        let separator = match self.split {
            Split::Space | Split::Quoted => ' ',
            Split::Tab => '\t',
            Split::Comma => ',',
        };
        if let Some((cell, rest)) = self.rest.split_once(separator) {
            self.rest = rest;
            Some(cell)
        } else {
            Some(std::mem::take(&mut self.rest))
        }
    }
}
