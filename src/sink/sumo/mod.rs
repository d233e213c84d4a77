//! Sumo Logic: the HTTP Logs source.
//!
//! A request is one text of messages, a line each, and what they have in common (category, name, host, fields) stands in its
//! headers; so batches are filled by these. The answer is for the request as a whole. A `200` may bring a complaint about
//! the headers in its body: the messages are taken then, what it complains about is not.

mod options;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use options::SumoOptions;
pub use sink::Sumo;
