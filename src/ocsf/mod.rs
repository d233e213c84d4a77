//! The OCSF table that we target: classes, objects, attributes, types, enumerations. Floor 2, pure.
//!
//! The table is one text file, `table-1.8.0.txt`, embedded and parsed once ([`Table::v1_8`]). `table.py` writes it from a
//! reduced OCSF schema; it is run by hand for a new version and never by the build.
//!
//! - [`Table`], [`Class`], [`Object`], and what both have in common: a [`Shape`] of [`Attribute`]s.
//! - [`Table::resolve`]: a dotted path (`evidences[].src_endpoint.ip`) to its attribute, or why there is none.
//! - [`validate`]: the strict check of a finished event, for tests and `siemline test`; the data path never calls it.
//! - [`nearest`]: the legal name that someone probably meant.

mod nearest;
mod parse;
mod path;
mod table;
#[cfg(test)]
mod tests;
mod validate;

pub use nearest::nearest;
pub use parse::ParseError;
pub use path::{PathError, PathErrorKind};
pub use table::{
    Attribute, AttributeType, Class, Constraint, EnumValue, Enumeration, Object, ObjectId, Requirement, Shape, Table,
    TypeName,
};
pub use validate::{Code, Problem, Severity, validate};
