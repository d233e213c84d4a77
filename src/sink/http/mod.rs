//! Any HTTP endpoint that takes events as NDJSON or as a JSON array: the inputs of Panther, Datadog, New Relic, Axiom,
//! Google `SecOps` and others.
//!
//! The answer is for the request as a whole. A destination of this kind knows no ids, so what is sent again after a lost
//! answer is there twice.

mod options;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use options::{BodyForm, HttpSinkOptions, VerifyBodyOptions, WriteMethod};
pub use sink::HttpSink;
