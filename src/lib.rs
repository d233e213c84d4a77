//! siemline: AWS security records in, OCSF out, nothing lost.

pub mod ack;
pub mod aws;
pub mod budget;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod envelope;
pub mod http;
pub mod lease;
pub mod metric;
pub mod normalize;
pub mod ocsf;
pub mod pipeline;
pub mod record;
pub mod route;
pub mod secret;
pub mod shutdown;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod unit;
