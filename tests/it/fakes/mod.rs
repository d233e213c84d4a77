//! Servers that are strict where the real ones are, and fail by plan.

pub mod bulk;
pub mod dynamodb;
pub mod expression;
pub mod hec;
pub mod http;
pub mod kinesis;
pub mod plan;
pub mod stream;
