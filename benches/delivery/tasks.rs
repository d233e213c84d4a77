//! What requests as tasks of their own bring on the cores that there are, by the clock on the wall.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use siemline::delivery::Here;
use siemline::pipeline::SinkSettings;
use tokio::runtime;

use crate::destinations::{Site, options};
use crate::load::{self, EVENTS, Load, Spawned};
use crate::quick;

const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 3 };

/// Delivers to destinations that answer at once, with requests on the lane's own task and on tasks of their own, in turn. Wall
/// time: it says nothing on a busy machine.
pub fn contest(site: &Site, load: &Load) {
    let token = site.secret("token", "token-EXAMPLE");
    let url = quick::start();
    let elastic = SinkSettings::elastic(&options(json!({ "endpoint": url, "format": "ocsf" })));
    let splunk_hec = SinkSettings::splunk_hec(&options(json!({ "endpoint": url, "token": token })));
    for (name, settings) in [("elastic", elastic), ("splunk_hec", splunk_hec)] {
        let [here, tasks] = by_the_wall(load, &settings.expect("a sink"));
        println!("{name:<18}{here:>10.0} events a second, with requests as tasks {tasks:>10.0} ({:.2}x)", tasks / here);
    }
}

fn by_the_wall(load: &Load, settings: &SinkSettings) -> [f64; 2] {
    let many = runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut minima = [f64::MAX; 2];
    for _ in 0..ROUNDS {
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
    minima.map(|seconds| EVENTS as f64 / seconds)
}
