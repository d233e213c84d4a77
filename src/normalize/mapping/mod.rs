//! Mapping files: read, merged, checked.

pub mod ast;
