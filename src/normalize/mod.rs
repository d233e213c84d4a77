//! Normalization: from an event's bytes to OCSF bytes. Floor 3, pure.

pub mod mapping;
