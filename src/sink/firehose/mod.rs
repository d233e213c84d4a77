//! Amazon Data Firehose: `PutRecordBatch`.
//!
//! The answer holds one result for each record, in their order: only what failed is sent again. Firehose knows no record
//! twice: what was taken and whose answer got lost is there twice.

mod options;
mod permissions;
mod request;
mod response;
mod sink;
#[cfg(test)]
mod tests;

pub use options::FirehoseOptions;
pub use permissions::permissions;
pub use sink::Firehose;
