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

    /// Fills `nodes` with an object of column to cell. The record's header line names the columns where there is one that
    /// begins as this log type's do. A cell that nobody names, or that has the name of an earlier one, is called
    /// `column_<place>`.
    pub(super) fn split<'a>(&'a self, line: &'a str, header: Option<&'a str>, nodes: &mut Vec<Node<'a>>) {
        nodes.clear();
        nodes.push(Node::Object { len: 0, count: 0 });
        let mut names = match header.filter(|header| self.is_header(header)) {
            Some(header) => Names::Header { words: header.split_ascii_whitespace(), layout: self },
            None => Names::Layout(self.columns.iter()),
        };
        let mut cells = Cells::new(line, self.text.split).enumerate();
        let may_repeat = matches!(names, Names::Header { .. });
        let mut row = Row { layout: self, line, may_repeat, nodes };
        while let Some((place, cell)) = cells.next() {
            match names.next() {
                None => row.push(None, place, cell),
                Some(Name::One(name)) => row.push(Some(name), place, cell),
                Some(Name::Split(first, second)) => match row.halves(&cell) {
                    Some((left, right)) => {
                        row.push(Some(first), place, left);
                        row.push(Some(second), place, right);
                    }
                    None => row.push(Some(first), place, cell),
                },
                Some(Name::Joined { whole, first, second }) => match cells.next() {
                    Some((_, next)) if !row.is_absent(&cell) && !row.is_absent(&next) => {
                        row.push(Some(whole), place, cell.start..next.end);
                    }
                    Some((next_place, next)) => {
                        row.push(Some(first), place, cell);
                        row.push(Some(second), next_place, next);
                    }
                    None => row.push(Some(first), place, cell),
                },
            }
        }
        let count = nodes.len().saturating_sub(1);
        if let Some(first) = nodes.first_mut() {
            *first = Node::Object { len: count / 2, count };
        }
        debug_assert_eq!(end(nodes, 0), nodes.len(), "the object spans the tape");
    }

    /// The columns and cells of a line, and where each cell stands in it.
    pub(super) fn cells<'a>(&'a self, line: &'a str, header: Option<&'a str>) -> Vec<(&'a str, Range<usize>)> {
        let mut nodes = Vec::new();
        self.split(line, header, &mut nodes);
        let pairs = nodes.get(1..).unwrap_or_default().chunks_exact(2);
        let cells = pairs.filter_map(|pair| {
            let [Node::String(name), Node::String(cell)] = pair else { return None };
            // A cell is a part of its line, so the distance of the two is where it stands.
            let start = cell.as_ptr().addr().checked_sub(line.as_ptr().addr())?;
            Some((*name, start..start.saturating_add(cell.len())))
        });
        cells.collect()
    }

    /// What a cell is that says that there is nothing.
    pub(super) fn absent(&self) -> &str {
        self.text.absent.first().map_or("-", String::as_str)
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

/// The tape of a line under way.
struct Row<'n, 'a> {
    layout: &'a Layout,
    line: &'a str,
    /// Whether one name may be given twice; a layout's own are told apart when it is loaded.
    may_repeat: bool,
    nodes: &'n mut Vec<Node<'a>>,
}

impl<'a> Row<'_, 'a> {
    fn text(&self, cell: &Range<usize>) -> &'a str {
        self.line.get(cell.clone()).unwrap_or_default()
    }

    fn is_absent(&self, cell: &Range<usize>) -> bool {
        let text = self.text(cell);
        text.is_empty() || self.layout.text.absent.iter().any(|absent| absent == text)
    }

    /// The text before and behind the last colon of a cell, where a port stands behind it.
    fn halves(&self, cell: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
        let (left, right) = self.text(cell).rsplit_once(':')?;
        let is_port = !right.is_empty() && right.len() <= 5 && right.bytes().all(|byte| byte.is_ascii_digit());
        let middle = cell.start.saturating_add(left.len());
        (is_port && !left.is_empty()).then(|| (cell.start..middle, middle.saturating_add(1)..cell.end))
    }

    fn push(&mut self, name: Option<&'a str>, place: usize, cell: Range<usize>) {
        if self.is_absent(&cell) {
            return;
        }
        let is_taken = |name: &&str| {
            self.may_repeat
                && self
                    .nodes
                    .iter()
                    .skip(1)
                    .step_by(2)
                    .any(|known| matches!(known, Node::String(known) if known == name))
        };
        let numbered = self.layout.numbered.get(place).map_or("column", String::as_str);
        let name = name.filter(|name| !is_taken(name)).unwrap_or(numbered);
        self.nodes.push(Node::String(name));
        let text = self.text(&cell);
        self.nodes.push(Node::String(text));
    }
}
