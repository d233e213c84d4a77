//! Kinesis Data Streams, by polling or by enhanced fan-out.
//!
//! Every shard of a stream is read by a reader of its own, children after all their parents. The service's limits are
//! kept (`pace`), throttling, expired iterators and subscriptions that end are survived, aggregates of the Kinesis Producer
//! Library are taken apart (`aggregate`), and a checkpoint moves only over what is settled. Nothing is read that the memory
//! has no room for, and no shard's standing still takes anything from another ([`Account`](crate::budget::Account)); why it
//! stands still is said (`watch`).
//!
//! All facts about the service are in the doc comments of `aws-sdk-kinesis`, unless said otherwise.

mod absent;
mod aggregate;
mod consumer;
mod feed;
mod options;
mod pace;
mod permissions;
mod reader;
mod service;
mod shards;
mod source;
mod standing;
mod stream;
mod subscription;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;

pub use options::{KinesisOptions, Mode, StartAt};
pub use permissions::permissions;
pub(crate) use shards::host;
pub use source::{Error, KinesisSource, vanishing_files};
pub use standing::{Reset, ResetError, ShardStanding, State, Step, StreamStanding, plan_reset, standing};
pub use stream::{StreamName, Streams};
pub use trouble::Trouble;
