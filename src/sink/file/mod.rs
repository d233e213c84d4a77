//! NDJSON files, rotated by size and age, synced before anything is acknowledged.

mod options;
mod rotation;
mod sink;
#[cfg(test)]
mod tests;

pub use options::FileOptions;
pub use rotation::{Rotating, Rotation};
pub use sink::FileSink;
