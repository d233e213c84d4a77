//! Guards the third law where it costs most: memory is bounded by what is in flight, not by what is read.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use super::{Home, finding};

const INPUT_BYTES: usize = 100 << 20;
const IN_FLIGHT_MIB: u64 = 16;

/// What the process may hold beyond what is in flight: the program, the mappings and their table, the runtime, and the
/// buffers of two workers (measured: 50 MiB, unoptimised). A run that holds on to what is settled already needs more.
const BESIDES_MIB: u64 = 75;

#[test]
#[cfg(target_os = "linux")]
fn a_long_run_needs_no_more_memory_than_a_short_one() {
    let home = Home::new();
    // Lines of about 64 KiB: unoptimised code is slow by the event, and what is guarded here are bytes.
    let mut big = finding(1);
    let padding: Vec<String> = (0..60).map(|number| format!("{number:0>1024}")).collect();
    big["service"]["additionalInfo"] = serde_json::json!({ "padding": padding });
    let line = format!("{big}\n");
    let mut file = BufWriter::new(File::create(home.path("in.ndjson")).unwrap());
    let lines = INPUT_BYTES.div_ceil(line.len());
    for _ in 0..lines {
        file.write_all(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    home.write(
        "c.toml",
        format!(
            "[source.file.in]\npaths = [\"in.ndjson\"]\n[sink.file.out]\npath = \"out.ndjson\"\n\
             [pipeline]\nworkers = 2\nin_flight_bytes_max = \"{IN_FLIGHT_MIB}MiB\"\n"
        ),
    );
    let ended = home.siemline(&["run", "--config", "c.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.count("delivered"), lines as u64);
    assert!(home.path("out.ndjson").metadata().unwrap().len() > INPUT_BYTES as u64 / 2, "the padding is kept");
    assert!(ended.peak_kib > 0, "the system did not tell");
    let bound = (4 * IN_FLIGHT_MIB + BESIDES_MIB) << 10;
    assert!(ended.peak_kib < bound, "{} KiB of at most {bound}:\n{}", ended.peak_kib, ended.err);
}
