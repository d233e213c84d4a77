//! Elasticsearch and OpenSearch: the `_bulk` API.
//!
//! Events are created, never indexed over others: data streams take nothing else, and with an `_id` made of the event's
//! position and bytes a second sending of the same event is answered with 409, which counts as delivered. So a document
//! stands there once, as long as both sendings meet the same backing index; a rollover between them breaks that.
//!
//! Where an index of latest states is kept, a finding is written there too, under an id and a version of its own: then both
//! documents have to be there before the event counts as delivered, and an older state never takes the place of a newer one.
//!
//! The answer holds one verdict for each document, in the order of the request.
//!
//! The same calls keep dead letters in an index ([`LetterIndex`]).

mod address;
mod authorization;
mod check;
mod fields;
mod latest;
mod letter_options;
mod letters;
mod mappings;
mod names;
mod options;
mod permissions;
mod request;
mod response;
pub mod setup;
mod sink;
#[cfg(test)]
mod tests;

pub use letter_options::LetterIndexOptions;
pub use letters::{LetterIndex, LettersOfIndex, letter_steps};
pub use options::{AwsOptions, AwsService, ElasticOptions};
pub use permissions::permissions;
pub use sink::Elastic;
