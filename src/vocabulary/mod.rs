//! Vocabularies: which names an event may use, and what each takes. Floor 1, pure.
//!
//! A vocabulary is one [`Table`], read from a compact text ([`Table::parse`]) that its room embeds: `ocsf`, `ecs`, `cim`.
//! Mapping files are checked against the table of the vocabulary that they write, and compiled with it; what the engine adds
//! by itself (siblings of enumerations, observables, tags, where the rest goes) is what the table has.
//!
//! - [`Table`], [`Class`], [`Object`], and what both have in common: a [`Shape`] of [`Attribute`]s.
//! - [`Table::resolve`]: a dotted path (`evidences[].src_endpoint.ip`) to its attribute, or why there is none.
//! - [`Table::faults`]: what of a finished document is not in the vocabulary, for tests; the data path never calls it.
//! - [`nearest`]: the legal name that someone probably meant.

mod conform;
mod nearest;
mod parse;
mod path;
mod table;
#[cfg(test)]
mod tests;

pub use nearest::nearest;
pub use parse::ParseError;
pub use path::{PathError, PathErrorKind};
pub use table::{
    Attribute, AttributeType, Class, Constraint, EnumValue, Enumeration, Object, ObjectId, Profile, Requirement, Shape,
    Table, TypeName,
};
