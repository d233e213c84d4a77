//! The table of all sinks.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use siemline::delivery::{Batch, Delivery, Error, EventView, Here, Sink};
use siemline::pipeline::AnySink;
use tokio::runtime::{self, Runtime};

use crate::destinations::{DESTINATIONS, Running, Site};
use crate::load::{self, EVENTS, Load};
use crate::{CHILD, cpu, cpu_time};

const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 9 };

/// Prints the rows of the sinks whose names begin with one of these, or all.
pub fn print(names: &[String], site: &Site, load: &Load) {
    println!("{EVENTS} events of {} bytes as OCSF, {} raw, on average", load.ocsf_bytes(), load.raw_bytes());
    println!("Events a second and core, by the minimum of {ROUNDS} rounds\n");
    println!(
        "{:<18}{:>12}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "", "encoder", "MB/s", "lane", "delivered", "us an event", "of encoder", "(fake's us)"
    );
    for (name, _) in DESTINATIONS {
        if !names.is_empty() && !names.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            continue;
        }
        if name == "stdout" {
            print!("{}", row_of_a_child());
        } else {
            print!("{}", row(name, site, load));
        }
    }
}

/// Measures one sink. Its row.
pub fn row(name: &str, site: &Site, load: &Load) -> String {
    let (_, start) = DESTINATIONS.into_iter().find(|(other, _)| *other == name).expect("a destination");
    let alone = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut best = Round { encoder: Duration::MAX, lane: Duration::MAX, delivered: Duration::MAX, ..Round::default() };
    for _ in 0..ROUNDS {
        let round = round(load, &alone, &start(site));
        best.encoder = best.encoder.min(round.encoder);
        best.lane = best.lane.min(round.lane);
        if round.delivered < best.delivered {
            (best.delivered, best.fake) = (round.delivered, round.fake);
        }
        best.bytes = round.bytes;
    }
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / EVENTS as f64;
    let rate = |spent: Duration| EVENTS as f64 / spent.as_secs_f64();
    format!(
        "{name:<18}{:>12.0}{:>10.0}{:>12.0}{:>12.0}{:>12.2}{:>12.3}{:>12.2}\n",
        rate(best.encoder),
        best.bytes as f64 / 1e6 / best.encoder.as_secs_f64(),
        rate(best.lane),
        rate(best.delivered),
        each(best.delivered),
        best.encoder.as_secs_f64() / best.delivered.as_secs_f64(),
        each(best.fake)
    )
}

/// The row of the sink that writes to standard output, which is taken by the table: a child has its own, a pipe that is read
/// here. It writes its row to standard error.
fn row_of_a_child() -> String {
    let program = std::env::current_exe().expect("it runs");
    let child = Command::new(program).arg(CHILD).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("a child");
    let out = child.stdout.take().expect("a pipe");
    let lines = std::thread::spawn(move || BufReader::new(out).split(b'\n').count());
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(lines.join().expect("it only reads"), ROUNDS * EVENTS, "each event is one line");
    String::from_utf8(ended.stderr).expect("a row")
}

#[derive(Default)]
struct Round {
    encoder: Duration,
    lane: Duration,
    delivered: Duration,
    fake: Duration,
    /// What the encoder wrote.
    bytes: usize,
}

fn round(load: &Load, alone: &Runtime, running: &Running) -> Round {
    let Running { sink, lane, arrived } = running;
    let mut bytes = 0;
    let encoder = cpu_time::of(|| bytes = load.encode(&**sink));
    let parcels = load.parcels();
    let in_memory = cpu_time::of(|| {
        alone.block_on(load::deliver(Nowhere(Arc::clone(sink)), lane.clone(), Here, parcels));
    });
    let parcels = load.parcels();
    let spent = cpu::of(|| alone.block_on(load::deliver(Arc::clone(sink), lane.clone(), Here, parcels)));
    assert!(arrived().is_none_or(|arrived| arrived == EVENTS), "{:?} of {EVENTS} arrived", arrived());
    Round { encoder, lane: in_memory, delivered: spent.ours, fake: spent.fakes, bytes }
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
