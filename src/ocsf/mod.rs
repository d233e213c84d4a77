//! OCSF 1.8.0: its table, and the strict check of a finished event. Floor 2, pure.
//!
//! The table is one text file, `table-1.8.0.txt`, embedded and parsed once ([`Table::v1_8`]). `table.py` writes it from a
//! reduced OCSF schema; it is run by hand for a new version and never by the build.
//!
//! [`validate`] is for tests and `siemline test`; the data path never calls it.

use std::sync::OnceLock;

#[cfg(test)]
mod tests;
mod validate;

pub use validate::{Code, Problem, Severity, validate};

pub use crate::vocabulary::{
    Attribute, AttributeType, Class, Constraint, EnumValue, Enumeration, Object, ObjectId, ParseError, PathError,
    PathErrorKind, Requirement, Shape, Table, TypeName, nearest,
};

impl Table {
    /// The table of OCSF 1.8.0, parsed at the first call.
    #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the table is embedded, and a test parses it")]
    pub fn v1_8() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(include_str!("table-1.8.0.txt")).expect("the embedded table parses"))
    }
}
