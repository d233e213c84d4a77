//! Servers that are strict where the real ones are, and fail by plan.

pub mod acknowledgements;
pub mod aggregate;
pub mod bulk;
pub mod dynamodb;
pub mod event_stream;
pub mod expression;
pub mod fan_out;
pub mod firehose;
pub mod gate;
pub mod hec;
pub mod http;
pub mod intake;
pub mod kinesis;
pub mod plan;
pub mod proxy;
pub mod s3;
pub mod sasl_broker;
pub mod stream;
pub mod sts;
pub mod sumo;
