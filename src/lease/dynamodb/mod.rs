//! Leases in a table of DynamoDB, in the layout of the Kinesis Client Library (KCL) 2 and 3: several processes share a
//! stream, and an application on KCL may go on where siemline stopped, and the other way round.
//!
//! - [`item`]: a lease as the table holds it. Pure.
//! - [`keys`]: how the leases of several streams and applications are told apart in one table. Pure.
//! - [`request`]: a change as a condition and an update. Pure.
//! - [`table`]: the calls.

mod item;
mod keys;
mod request;
mod table;
#[cfg(test)]
mod tests;

pub use keys::{Keys, StreamIdentity};
pub use table::DynamoDbTable;
