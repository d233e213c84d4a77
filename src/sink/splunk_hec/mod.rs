//! Splunk's HTTP Event Collector (HEC): the event endpoint, without indexer acknowledgement.
//!
//! HEC reads a body of stacked JSON objects one after the other and stops at the first it does not like. The objects
//! before that one are indexed; the number of it stands in the answer. So one poison event costs nobody else anything:
//! those before it are accepted, it alone is refused, those after it are sent again.
//!
//! The facts about the protocol, measured on Splunk 10.4.3 unless said otherwise, stand where they are used:
//! `request.rs` (what may be written) and `response.rs` (what each code means).

mod options;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use options::SplunkHecOptions;
pub use sink::SplunkHec;
