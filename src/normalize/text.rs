//! Lines of text: split into columns, which become a tape like that of a JSON object.
//!
//! A cell is kept letter by letter: what stands between two cells is separators and the quotes around a cell, nothing
//! else. Escapes within quotes are known, so that they do not end a cell, and kept as they are written.

mod cells;
#[cfg(test)]
mod tests;

use std::ops::Range;

use simd_json::{Node, StaticNode};

use self::cells::Cells;
use super::mapping::ast::Text;
use super::tape::end;

/// Cells of one line; what stands behind them is one more.
const CELLS_MAX: usize = 256;

/// How the lines of one log type become columns.
#[derive(Debug)]
pub(super) struct Layout {
    text: Text,
    columns: Vec<Column>,
    /// Names for cells that have no other, by the place of the cell, so that they are leaves like the others.
    numbered: Vec<String>,
}

/// What the cell at a place of the line is called.
#[derive(Clone, Debug)]
enum Column {
    One(String),
    /// `first:second`: one cell that holds two values with a colon between, an address and its port.
    Split {
        first: String,
        second: String,
    },
    /// `first second`: two cells that are one value, a date and its time.
    Joined {
        whole: String,
        first: String,
        second: String,
    },
}

/// What a cell is called on one line: by the layout, or by the record's header line.
#[derive(Clone, Copy, Debug)]
enum Name<'a> {
    One(&'a str),
    Split(&'a str, &'a str),
    Joined { whole: &'a str, first: &'a str, second: &'a str },
}

impl Layout {
    pub(super) fn new(text: Text) -> Self {
        let columns = text.columns.iter().map(|name| Column::named(name)).collect();
        let numbered = (1..=CELLS_MAX).map(|place| format!("column_{place}")).collect();
        Self { text, columns, numbered }
    }

    /// Whether this line names the columns of the record instead of holding an event.
    pub(super) fn is_header(&self, line: &str) -> bool {
        self.text.header_starts.iter().any(|starts| line.starts_with(starts.as_str()))
    }

    /// Whether the columns also come as the members of a JSON object.
    pub(super) fn takes_json(&self) -> bool {
        self.text.takes_json
    }

    /// Whether a cell says that there is nothing.
    pub(super) fn is_absent(&self, cell: &str) -> bool {
        cell.is_empty() || self.text.absent.iter().any(|absent| absent == cell)
    }

    /// What a cell is that says that there is nothing.
    pub(super) fn absent(&self) -> &str {
        self.text.absent.first().map_or("-", String::as_str)
    }

    /// The cells of a line with their columns' names, as on the tape; what is absent too.
    pub(super) fn cells<'a>(
        &'a self,
        line: &'a str,
        header: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut taken: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        self.each_cell(line, header, |name, place, cell| {
            let text = line.get(cell).unwrap_or_default();
            let name = name.filter(|name| !taken.contains(name)).unwrap_or_else(|| self.numbered(place));
            if !self.is_absent(text) {
                taken.push(name);
            }
            found.push((name, text));
        });
        found.into_iter()
    }

    /// Fills `nodes` with an object of column to cell. The record's header line names the columns where there is one that
    /// begins as this log type's do. A cell that nobody names, or that has the name of an earlier one, is called
    /// `column_<place>`.
    pub(super) fn split<'a>(&'a self, line: &'a str, header: Option<&'a str>, nodes: &mut Vec<Node<'a>>) {
        nodes.clear();
        nodes.push(Node::Object { len: 0, count: 0 });
        // A layout's own names are told apart when it is loaded.
        let may_repeat = header.is_some();
        self.each_cell(line, header, |name, place, cell| {
            let text = line.get(cell).unwrap_or_default();
            if self.is_absent(text) {
                return;
            }
            let is_taken = |name: &&str| {
                let is_it = |known: &Node<'_>| matches!(known, Node::String(known) if known == name);
                may_repeat && nodes.iter().skip(1).step_by(2).any(is_it)
            };
            let name = name.filter(|name| !is_taken(name)).unwrap_or_else(|| self.numbered(place));
            nodes.push(Node::String(name));
            nodes.push(Node::String(text));
        });
        let count = nodes.len().saturating_sub(1);
        if let Some(first) = nodes.first_mut() {
            *first = Node::Object { len: count / 2, count };
        }
        debug_assert_eq!(end(nodes, 0), nodes.len(), "the object spans the tape");
    }

    fn numbered(&self, place: usize) -> &str {
        self.numbered.get(place).map_or("column", String::as_str)
    }

    /// Gives each column of a line: its name, if it has one, the place of its cell and where it stands.
    fn each_cell<'a>(
        &'a self,
        line: &'a str,
        header: Option<&'a str>,
        mut take: impl FnMut(Option<&'a str>, usize, Range<usize>),
    ) {
        let mut names = match header.filter(|header| self.is_header(header)) {
            Some(header) => Names::Header { words: header.split_ascii_whitespace(), layout: self },
            None => Names::Layout(self.columns.iter()),
        };
        let is_absent = |cell: &Range<usize>| self.is_absent(line.get(cell.clone()).unwrap_or_default());
        let mut cells = Cells::new(line, self.text.split).enumerate();
        while let Some((place, cell)) = cells.next() {
            match names.next() {
                None => take(None, place, cell),
                Some(Name::One(name)) => take(Some(name), place, cell),
                Some(Name::Split(first, second)) => match halves(line, &cell) {
                    Some((left, right)) => {
                        take(Some(first), place, left);
                        take(Some(second), place, right);
                    }
                    None => take(Some(first), place, cell),
                },
                Some(Name::Joined { whole, first, second }) => match cells.next() {
                    Some((_, next)) if !is_absent(&cell) && !is_absent(&next) => {
                        take(Some(whole), place, cell.start..next.end);
                    }
                    Some((next_place, next)) => {
                        take(Some(first), place, cell);
                        take(Some(second), next_place, next);
                    }
                    None => take(Some(first), place, cell),
                },
            }
        }
    }

    /// Makes a null of every member of the JSON form that says what an absent cell does.
    pub(super) fn forget_absent(&self, nodes: &mut [Node<'_>]) {
        let mut key = 1;
        while key < nodes.len() {
            let value = key.saturating_add(1);
            let next = end(nodes, value);
            if let Some(node) = nodes.get_mut(value)
                && let Node::String(text) = node
                && self.text.absent.iter().any(|absent| absent == text)
            {
                *node = Node::Static(StaticNode::Null);
            }
            key = next;
        }
    }
}

impl Column {
    fn named(name: &str) -> Self {
        if let Some((first, second)) = name.split_once(' ') {
            return Self::Joined { whole: name.to_owned(), first: first.to_owned(), second: second.to_owned() };
        }
        match name.split_once(':') {
            Some((first, second)) => Self::Split { first: first.to_owned(), second: second.to_owned() },
            None => Self::One(name.to_owned()),
        }
    }

    fn name(&self) -> Name<'_> {
        match self {
            Self::One(name) => Name::One(name),
            Self::Split { first, second } => Name::Split(first, second),
            Self::Joined { whole, first, second } => Name::Joined { whole, first, second },
        }
    }
}

/// The names of a line's cells, in their order.
enum Names<'a> {
    Layout(std::slice::Iter<'a, Column>),
    Header { words: std::str::SplitAsciiWhitespace<'a>, layout: &'a Layout },
}

impl<'a> Iterator for Names<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        match self {
            Self::Layout(columns) => columns.next().map(Column::name),
            Self::Header { words, layout } => {
                // `#Fields:` is what such a line is, not what a column is called.
                let word = words.find(|word| !word.starts_with('#'))?;
                let joined = layout.columns.iter().find_map(|column| match column {
                    Column::Joined { first, second, .. } if first == word => Some((column, second)),
                    _ => None,
                });
                if let Some((column, second)) = joined
                    && words.clone().next() == Some(second.as_str())
                {
                    words.next();
                    return Some(column.name());
                }
                Some(Name::One(word))
            }
        }
    }
}

/// The text before and behind the last colon of a cell, where a port stands behind it.
fn halves(line: &str, cell: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let (left, right) = line.get(cell.clone())?.rsplit_once(':')?;
    let is_port = !right.is_empty() && right.len() <= 5 && right.bytes().all(|byte| byte.is_ascii_digit());
    let middle = cell.start.saturating_add(left.len());
    (is_port && !left.is_empty()).then(|| (cell.start..middle, middle.saturating_add(1)..cell.end))
}
