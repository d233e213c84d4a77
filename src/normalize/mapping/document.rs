//! A TOML document in which every value knows its place, also inside inline tables.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::ast::{At, Constant};
use super::error::Error;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) at: At,
    /// What it is.
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number, and how it is spelled.
    Float(f64, String),
    /// True or false.
    Boolean(bool),
    /// A date or time, which no mapping uses.
    Datetime,
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Its members.
    pub(super) members: Vec<Member>,
}

/// One member of a table.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: At,
    /// Its value.
    pub(super) node: Node,
}

impl Table {
    /// The member of this key.
    pub(super) fn get(&self, key: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.key == key)
    }
}

impl Node {
    /// What it is called in an error.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(..) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// As a constant, if it is a scalar that a mapping may write.
    pub(super) fn constant(&self) -> Option<Constant> {
        match &self.value {
            Value::Text(text) => Some(Constant::Text(text.clone())),
            Value::Integer(number) => Some(Constant::Integer(*number)),
            Value::Float(number, _) => Some(Constant::Float(*number)),
            Value::Boolean(truth) => Some(Constant::Boolean(*truth)),
            Value::Datetime | Value::List(_) | Value::Table(_) => None,
        }
    }
}

/// Reads a document. All syntax errors are reported, and then no document is given: what recovery guesses behind a broken
/// line would only bring errors that are none.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Table, Vec<Error>> {
    let places = Places { file, text, lines: line_starts(text) };
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut errors: Vec<Error> = broken
        .iter()
        .map(|error| Error::new(&places.at(error.span().unwrap_or_default()), one_line(error.message())))
        .collect();
    let table = places.table(table.get_ref(), &mut errors);
    if errors.is_empty() { Ok(table) } else { Err(errors) }
}

/// The parser's message on one line.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

/// The offsets at which lines begin.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect()
}

/// Turns offsets into places.
struct Places<'t> {
    file: &'t Arc<str>,
    text: &'t str,
    lines: Vec<usize>,
}

impl Places<'_> {
    /// The place where a span begins. Columns count characters, from 1.
    fn at(&self, span: Range<usize>) -> At {
        let line = self.lines.partition_point(|&start| start <= span.start).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count()) + 1;
        let bounded = |number| u32::try_from(number).unwrap_or(u32::MAX);
        At { file: Arc::clone(self.file), line: bounded(line), column: bounded(column) }
    }

    fn table(&self, table: &DeTable<'_>, errors: &mut Vec<Error>) -> Table {
        let mut members: Vec<(usize, Member)> = table
            .iter()
            .map(|(key, value)| {
                let member =
                    Member { key: key.get_ref().to_string(), at: self.at(key.span()), node: self.node(value, errors) };
                (key.span().start, member)
            })
            .collect();
        members.sort_by_key(|(start, _)| *start);
        Table { members: members.into_iter().map(|(_, member)| member).collect() }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, errors: &mut Vec<Error>) -> Node {
        let at = self.at(value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => Value::Integer(integer(number, &at, errors)),
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(parsed) if parsed.is_finite() => Value::Float(parsed, number.as_str().to_owned()),
                Ok(_) | Err(_) => {
                    errors.push(Error::new(&at, format!("the number {} is out of range", number.as_str())));
                    Value::Float(0.0, String::new())
                }
            },
            DeValue::Boolean(truth) => Value::Boolean(*truth),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(nodes) => Value::List(nodes.iter().map(|node| self.node(node, errors)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table, errors)),
        };
        Node { at, value }
    }
}

fn integer(number: &DeInteger<'_>, at: &At, errors: &mut Vec<Error>) -> i64 {
    i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
        errors.push(Error::new(at, format!("the number {number} does not fit 64 bits")));
        0
    })
}
