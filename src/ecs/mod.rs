//! ECS, the Elastic Common Schema 8.17: the fields that projections write, and their neighbours. Floor 2, pure.
//!
//! The table (`table-8.17.txt`, in the form of [`vocabulary`](crate::vocabulary)) is written by hand after Elastic's field
//! reference: a field's type there is its type name here, so that the index template of `setup elastic` is made from it. An
//! ECS field that is an array here is one that the reference wants normalized to an array.

use std::sync::OnceLock;

#[cfg(test)]
mod tests;

use crate::vocabulary::{Class, Table};

/// The table of ECS 8.17, parsed at the first call.
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the table is embedded, and a test parses it")]
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("table-8.17.txt")).expect("the embedded table parses"))
}

/// The one class of the table: an event with all field sets.
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the table is embedded, and a test parses it")]
pub fn event() -> &'static Class {
    table().class("event").expect("the embedded table has its class")
}
