//! Kinesis Data Streams, by polling.
//!
//! Every shard of the stream is read by a reader of its own, children after all their parents. The service's limits are
//! kept (five calls a second and 2 MiB a second a shard), throttling and expired iterators are survived, and a checkpoint
//! moves only over what is settled. All facts about the service are in the doc comments of `aws-sdk-kinesis`.

mod options;
mod reader;
mod service;
mod source;

pub use options::{KinesisOptions, StartAt};
pub use service::{Fetched, Service, Trouble};
pub use source::{Error, KinesisSource};
