//! Mapping files: read, merged, checked. Pure: the texts come in, the rim reads the directory.
//!
//! `document` gives every value of a file its place, `notation` reads the small languages inside strings, `reader` with
//! `condition`, `rule`, `body`, `cases` and `load` turns a file into the parsed [`ast::Mapping`], `structure` checks what holds of every
//! mapping, `ties` what holds between two,
//! `check` what OCSF allows, `sources` is the set of files, and `review` notes what is worth knowing of one that is right. `docs/mappings.md` is the manual of the format.

pub mod ast;
mod body;
mod cases;
mod check;
mod condition;
mod document;
mod error;
mod load;
mod notation;
mod reader;
mod review;
mod rule;
mod sources;
mod structure;
mod ties;

#[cfg(test)]
mod tests;

pub use error::{Error, Errors};
pub use review::{Kind as NoteKind, Note, notes};
pub use sources::{Loaded, Sources};
