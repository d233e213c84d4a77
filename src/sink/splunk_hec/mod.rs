//! Splunk's HTTP Event Collector (HEC): its event and raw endpoints, with and without indexer acknowledgement.
//!
//! HEC reads a body of stacked JSON objects one after the other and stops at the first it does not like. The objects
//! before that one are indexed; the number of it stands in the answer. So one poison event costs nobody else anything:
//! those before it are accepted, it alone is refused, those after it are sent again.
//!
//! With acknowledgement a batch is delivered when Splunk says that it is indexed. Splunk says so when it is asked, once for
//! each batch. The requests under way ask by turns, one for all that wait at that endpoint; nothing runs beside them.
//!
//! The facts about the protocol, measured on Splunk 10.4.3 unless said otherwise, stand where they are used:
//! `request.rs` (what may be written), `response.rs` (what each code means) and `channel.rs` (what an id is worth).

mod channel;
mod collector;
mod metadata;
mod options;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use options::{Mode, SplunkHecOptions};
pub use sink::{Canary, SplunkHec};
