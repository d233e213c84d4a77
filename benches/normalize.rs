//! Parse, map and serialise.

fn main() {}
