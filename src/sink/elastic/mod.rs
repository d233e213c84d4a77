//! Elasticsearch and OpenSearch: the `_bulk` API.
//!
//! Events are created, never indexed over others: data streams take nothing else, and with an `_id` made of the event's
//! position and bytes a second sending of the same event is answered with 409, which counts as delivered. So a document
//! stands there once, as long as both sendings meet the same backing index; a rollover between them breaks that.
//!
//! The answer holds one verdict for each document, in the order of the request.

mod fields;
mod options;
mod request;
mod response;
pub mod setup;
mod sink;
#[cfg(test)]
mod tests;

pub use options::ElasticOptions;
pub use sink::Elastic;
