//! Events per second and core through each sink: its encoder alone, a lane with a destination in memory, and a lane with a
//! fake over loopback that answers at once.
//!
//! The rounds interleave; the figure is the CPU time of the thread that encodes, batches, compresses, sends and judges. The
//! fake has threads of its own. Behind them, by the clock on the wall, what it brings that requests are tasks of their own.
//!
//!     cargo bench --bench delivery                  all sinks
//!     cargo bench --bench delivery -- elastic       the named ones

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a bench stops where something is wrong, and its figures are small"
)]

#[path = "../normalize/cpu_time.rs"]
mod cpu_time;
mod fake;
mod load;

use std::sync::Arc;
use std::time::Instant;

use load::{EVENTS, Load, Spawned};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use siemline::delivery::{Batch, Delivery, Error, EventView, Here, Sink};
use siemline::pipeline::{AnySink, SinkSettings};
use siemline::sink;
use tokio::runtime;

const ROUNDS: usize = 9;

/// A destination: its name, and its sink, given where the fake listens and a file with a token.
type Destination = (&'static str, fn(&str, &str) -> Result<SinkSettings, sink::Error>);

/// A new sink is one line here, and in `fake.rs` what its destination answers.
const DESTINATIONS: [Destination; 4] = [
    ("elastic", |url, _| SinkSettings::elastic(&options(json!({ "endpoint": url, "format": "ocsf" })))),
    ("elastic_level_6", |url, _| {
        SinkSettings::elastic(&options(json!({ "endpoint": url, "format": "ocsf", "compression_level": 6 })))
    }),
    ("splunk_hec", |url, token| {
        SinkSettings::splunk_hec(&options(json!({ "endpoint": url, "token": { "file": token } })))
    }),
    ("splunk_hec_raw", |url, token| {
        SinkSettings::splunk_hec(&options(json!({ "endpoint": url, "token": { "file": token }, "format": "raw" })))
    }),
];

fn options<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("legal options")
}

/// Encodes as another sink does, and sends nowhere.
struct Nowhere(Arc<AnySink>);

impl Sink for Nowhere {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.0.encode(event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.0.bucket(event, out);
    }

    async fn send(&self, _: &Batch) -> Result<Delivery, Error> {
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let token = directory.path().join("token");
    std::fs::write(&token, "token-EXAMPLE").expect("a file");
    let token = token.to_str().expect("a plain path");
    let load = Load::new();
    println!("{EVENTS} events of {} bytes as OCSF, {} raw, on average\n", load.ocsf_bytes(), load.raw_bytes());
    println!("{:<18}{:>12}{:>12}{:>12}   us per event, minimum of {ROUNDS} rounds", "", "encoder", "lane", "loopback");
    for (name, sink) in DESTINATIONS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let url = fake::start();
        let settings = sink(&url, token).expect("a sink");
        let mut minima = [f64::MAX; 3];
        for _ in 0..if cfg!(debug_assertions) { 1 } else { ROUNDS } {
            for (minimum, spent) in minima.iter_mut().zip(round(&load, &settings)) {
                *minimum = minimum.min(spent);
            }
        }
        let [encoder, lane, loopback] = minima;
        println!("{name:<18}{encoder:>12.2}{lane:>12.2}{loopback:>12.2}   {:.0} events a second", 1e6 / loopback);
        by_the_wall(&load, &settings);
    }
}

/// What one event costs, in microseconds: encoded, through a lane, over loopback.
fn round(load: &Load, settings: &SinkSettings) -> [f64; 3] {
    let alone = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let each = |spent: std::time::Duration| spent.as_secs_f64() * 1e6 / EVENTS as f64;
    let encoder = cpu_time::of(|| load.encode(&*settings.sink));
    let parcels = load.parcels();
    let lane = cpu_time::of(|| {
        alone.block_on(load::deliver(Nowhere(Arc::clone(&settings.sink)), settings.lane.clone(), Here, parcels));
    });
    let parcels = load.parcels();
    let loopback = cpu_time::of(|| {
        alone.block_on(load::deliver(Arc::clone(&settings.sink), settings.lane.clone(), Here, parcels));
    });
    [each(encoder), each(lane), each(loopback)]
}

/// What requests as tasks of their own bring on the cores that there are. Wall time: it says nothing on a busy machine.
fn by_the_wall(load: &Load, settings: &SinkSettings) {
    let many = runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut minima = [f64::MAX; 2];
    for _ in 0..if cfg!(debug_assertions) { 1 } else { 3 } {
        for (number, minimum) in minima.iter_mut().enumerate() {
            let (sink, lane, parcels) = (Arc::clone(&settings.sink), settings.lane.clone(), load.parcels());
            let begin = Instant::now();
            many.block_on(async {
                let delivered = match number {
                    0 => tokio::spawn(load::deliver(sink, lane, Here, parcels)),
                    _ => tokio::spawn(load::deliver(sink, lane, Spawned, parcels)),
                };
                delivered.await.expect("it is delivered");
            });
            *minimum = minimum.min(begin.elapsed().as_secs_f64());
        }
    }
    let [here, tasks] = minima.map(|seconds| EVENTS as f64 / seconds);
    println!(
        "{:<18}by the wall: {here:.0} events a second, with requests as tasks {tasks:.0} ({:.2}x)",
        "",
        tasks / here
    );
}
