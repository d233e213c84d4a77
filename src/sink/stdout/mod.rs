//! NDJSON on standard output: for pipes and for looking.

mod options;
mod sink;
#[cfg(test)]
mod tests;

pub use options::StdoutOptions;
pub use sink::StdoutSink;
