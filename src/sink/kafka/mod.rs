//! Apache Kafka and what speaks its protocol, such as Amazon MSK, through librdkafka.
//!
//! The producer is idempotent and waits for all replicas in sync (`acks=all`). A batch is handed to librdkafka entry by entry,
//! and [`Sink::send`](crate::delivery::Sink::send) waits for a delivery report on each: the reports are the verdicts.
//!
//! This is the one sink that leaves repeating to its client: inside of one `send` librdkafka sends a message again under its
//! old sequence number, so that the broker can tell it from a new one, which the lane could not. It gives up before the lane's
//! `request_timeout` does, and nothing stays in its queue behind an answered `send`. What the lane sends again afterwards may
//! be there twice.
//!
//! The same client keeps dead letters in a topic ([`LetterTopic`]), and a consumer reads them there.
//!
//! librdkafka has threads of its own: one for each broker, one for itself, and one in which the crate hands on its reports.

mod letter_options;
mod letters;
mod options;
mod permissions;
mod producer;
mod reader;
mod request;
mod response;
mod settings;
mod sink;
#[cfg(test)]
mod tests;
mod token;

pub use letter_options::LetterTopicOptions;
pub use letters::LetterTopic;
pub use options::{Compression, KafkaOptions, Mechanism, SaslOptions, TlsOptions};
pub use permissions::{permissions, replay_permissions};
pub use reader::LettersOfTopic;
pub use sink::Kafka;
