//! The hermetic suite: bytes over sockets, against servers that live in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test that meets what it does not expect has failed; clippy knows this of test functions only"
)]

mod admin;
mod cli;
mod compliance;
mod crash;
mod elastic;
mod events;
mod fakes;
mod firehose;
mod house;
mod http;
mod http_sink;
mod kafka;
mod kinesis;
mod lanes;
mod leases;
mod spill;
mod splunk_hec;
mod sumo;
mod takeover;
