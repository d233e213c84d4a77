//! CIM, Splunk's Common Information Model 6.0: the fields of the data models that AWS events belong to. Floor 2, pure.
//!
//! The table (`table-6.0.txt`, in the form of [`vocabulary`](crate::vocabulary)) is written by hand after Splunk's manual
//! and the lists with which Splunk tests add-ons for compatibility. A data model is a profile: it has tags, makes fields
//! legal, and requires some of them. Splunk's own convention for a required field that an event has no value for is
//! `unknown`. What Splunk requires and no AWS log holds (the counts of the sections of a DNS message) is optional here.

use std::sync::OnceLock;

#[cfg(test)]
mod tests;

use crate::vocabulary::{Class, Table};

/// The table of CIM 6.0, parsed at the first call.
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the table is embedded, and a test parses it")]
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("table-6.0.txt")).expect("the embedded table parses"))
}

/// The one class of the table: an event with the fields of all models.
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the table is embedded, and a test parses it")]
pub fn event() -> &'static Class {
    table().class("event").expect("the embedded table has its class")
}
