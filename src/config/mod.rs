//! Configuration: options as written, settings as used. Floor 9.
//!
//! The option structs of the rooms are the one source of truth: their doc comments and defaults make the JSON Schema, the
//! reference and the example file ([`generate`]).

pub mod generate;
mod mappings;
mod options;
mod place;
mod settings;
#[cfg(test)]
mod tests;

pub use mappings::{compile, loaded, mappings};
pub use options::{
    DeadLetterOptions, EnrichOptions, LogFormat, LogOptions, NormalizeOptions, Options, SinkOptions, SourceOptions,
};
pub use place::{Mistake, Place};
pub use settings::{Settings, check_log_types, load, options, parse};
