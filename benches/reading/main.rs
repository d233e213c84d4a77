//! The reading path alone: a stream that is served from memory, the source as the pipeline runs it, and somebody who settles
//! every chunk at once. Beside it, in the same rounds, what it takes to decompress the same records, which is the first thing
//! that a worker does to them.
//!
//! The figure is the CPU time of the reader's thread, on which everything of the source runs: its HTTP client, TLS, the SDK's
//! parsing, the readers and the checkpoints. The stream is served by another thread. Before the clock runs, one round is held
//! against what was served, record by record.
//!
//! The shards stand at their first answers, so that the service's limits (2 MiB a second and shard) cost no waiting. Records
//! are some 4 MiB an answer and shard.
//!
//!     cargo bench --bench reading                        all ways and records
//!     cargo bench --bench reading -- fan-out             the ways of this name
//!     cargo bench --bench reading -- profile polling     for a profiler: many rounds, nothing beside them

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a bench stops where something is wrong, and its figures are small"
)]

mod corpus;
#[path = "../normalize/cpu_time.rs"]
mod cpu_time;
#[path = "../../tests/it/fakes/event_stream.rs"]
#[expect(dead_code, reason = "nothing goes wrong here on purpose")]
mod event_stream;
#[path = "../../tests/it/fakes/http.rs"]
#[expect(dead_code, reason = "nothing goes wrong here on purpose")]
mod http;
#[path = "../normalize/random.rs"]
mod random;
mod reader;
mod served;

use std::time::Duration;

use corpus::Corpus;
use libdeflater::Decompressor;
use reader::Way;
use served::{SHARDS, Served};
use tokio::runtime::Runtime;

const ROUNDS: usize = 7;

/// Rounds for a profiler.
const PROFILE_ROUNDS: usize = 30;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (modes, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| *word == "profile");
    let is_named = |name: &str| names.is_empty() || names.iter().any(|word| name.contains(word.as_str()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ways: Vec<Way> = Way::ALL.into_iter().filter(|way| is_named(way.name())).collect();
    assert!(!ways.is_empty(), "no way of these names: {names:?}");
    for corpus in &corpus::all() {
        let served: Vec<Served> = ways.iter().map(|way| Served::start(corpus, way.has_tls())).collect();
        let ways: Vec<(Way, &Served)> = ways.iter().copied().zip(&served).collect();
        for (way, served) in &ways {
            reader::assert_whole(&runtime, *way, served, corpus);
        }
        if !modes.is_empty() {
            for (way, served) in &ways {
                (0..PROFILE_ROUNDS).for_each(|_| reader::read(&runtime, *way, served, corpus, |_| {}));
            }
        } else if cfg!(debug_assertions) {
            println!("{}: read as it was served; an unoptimised build tells nothing about time", corpus.name);
        } else {
            contest(&runtime, corpus, &ways);
        }
    }
}

/// Every way in turn, and decompressing beside them, round by round; prints the table.
fn contest(runtime: &Runtime, corpus: &Corpus, ways: &[(Way, &Served)]) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    let mut inflating = Vec::new();
    let mut plain_bytes = 0;
    for _ in 0..ROUNDS {
        for ((way, served), times) in ways.iter().zip(&mut times) {
            times.push(cpu_time::of(|| reader::read(runtime, *way, served, corpus, |_| {})));
        }
        inflating.push(cpu_time::of(|| plain_bytes = inflate(corpus)));
    }
    let bytes = corpus.bytes() * SHARDS;
    let records = corpus.records.len() * SHARDS;
    println!("\n{}: {records} records, mean {} bytes, {} plain", corpus.name, bytes / records, plain_bytes / records);
    println!("{:<36}{:>10}{:>10}{:>14}{:>14}", "", "min ms", "median", "MB/s a core", "plain MB/s");
    let reference = minimum_and_median(inflating).0;
    for ((way, _), times) in ways.iter().zip(times) {
        let (min, median) = minimum_and_median(times);
        row(way.name(), min, median, bytes, plain_bytes);
        if corpus.is_gzip {
            println!("{:<36}{:>10.2}", "  ratio to decompressing", min / reference);
        }
    }
    if corpus.is_gzip {
        row("decompressing the same", reference, reference, bytes, plain_bytes);
    }
}

fn row(name: &str, min_ms: f64, median_ms: f64, bytes: usize, plain_bytes: usize) {
    let speed = |bytes: usize| bytes as f64 / 1e3 / min_ms;
    println!("{name:<36}{min_ms:>10.1}{median_ms:>10.1}{:>14.0}{:>14.0}", speed(bytes), speed(plain_bytes));
}

fn minimum_and_median(mut rounds: Vec<Duration>) -> (f64, f64) {
    rounds.sort_unstable();
    (rounds[0].as_secs_f64() * 1e3, rounds[rounds.len() / 2].as_secs_f64() * 1e3)
}

/// Decompresses what one round reads, as a worker does it: one decompressor, one buffer. Gives back the plain bytes.
fn inflate(corpus: &Corpus) -> usize {
    if !corpus.is_gzip {
        return corpus.bytes() * SHARDS;
    }
    let (mut decompressor, mut plain, mut bytes) = (Decompressor::new(), Vec::new(), 0);
    for record in (0..SHARDS).flat_map(|_| &corpus.records) {
        // The last four bytes of a gzip member are the size of what is in it.
        let size = u32::from_le_bytes(*record.last_chunk().expect("a gzip member has a trailer"));
        plain.resize(size as usize, 0);
        bytes += decompressor.gzip_decompress(record, &mut plain).expect("a gzip member");
        std::hint::black_box(&plain);
    }
    bytes
}
