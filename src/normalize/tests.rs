//! The engine on the mappings that ship: every `[[test]]` of every mapping comes out as it says.

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::mapping::Sources;
use super::mapping::ast::Mapping;
use super::{Mappings, Normalized, Normalizer, digest};
use crate::envelope::{Limits, Peeler, Piece};
use crate::ocsf::Table;

/// The shipped mappings, compiled once for all tests, and as they were read.
pub(super) fn embedded() -> (Arc<Mappings>, Vec<Mapping>) {
    static EMBEDDED: LazyLock<(Arc<Mappings>, Vec<Mapping>)> = LazyLock::new(compile_embedded);
    EMBEDDED.clone()
}

fn compile_embedded() -> (Arc<Mappings>, Vec<Mapping>) {
    let loaded = Sources::embedded().load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let all = loaded.log_types.iter().chain([&loaded.base]).cloned().collect();
    let mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8());
    (Arc::new(mappings.unwrap_or_else(|errors| panic!("{errors:#?}"))), all)
}

/// Guards the whole of `docs/mappings.md` as far as the shipped mappings use it.
#[test]
fn every_test_of_every_mapping_comes_out() {
    let (mappings, all) = embedded();
    let mut normalizer = Normalizer::new(mappings);
    let mut envelopes = Peeler::new(Limits::default());
    let mut failures = Vec::new();
    for mapping in &all {
        for test in &mapping.tests {
            let mut outputs = Vec::new();
            let peeled = envelopes.peel(test.input.as_bytes(), test.arrival_ms).expect("the record peels");
            for piece in peeled.pieces() {
                let Piece::Event(event) = piece else { continue };
                let mut out = Vec::new();
                normalizer.normalize(&event, &digest(event.body), &mut out);
                outputs.push(out);
            }
            let name = format!("{} / {}", mapping.log_type, test.name);
            if outputs.len() != test.expect.len() {
                failures.push(format!("{name}: {} events instead of {}", outputs.len(), test.expect.len()));
            }
            for (output, expect) in outputs.iter().zip(&test.expect) {
                let Ok(output) = serde_json::from_slice::<Value>(output) else {
                    failures.push(format!("{name}: no JSON: {}", String::from_utf8_lossy(output)));
                    continue;
                };
                let expect: Value = serde_json::from_str(expect).expect("expectations are JSON");
                let mut lines = Vec::new();
                compare("", &expect, &output, &mut lines);
                if !lines.is_empty() {
                    failures.push(format!("{name}:\n  {}", lines.join("\n  ")));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Guards the buffers that go from event to event: whatever was normalized before, an event comes out as from a new
/// normalizer. The wide event has a leaf at every node that the others may have let go.
#[test]
fn an_event_comes_out_the_same_whatever_came_before() {
    let (mappings, all) = embedded();
    let mut records: Vec<String> =
        all.iter().flat_map(|mapping| &mapping.tests).map(|test| test.input.clone()).collect();
    let wide: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    records.push(format!("{{\"wide\":[{}]}}", wide.join(",")));
    let mut peeler = Peeler::new(Limits::default());
    let mut normalize = |normalizer: &mut Normalizer, record: &str| {
        let mut out = Vec::new();
        let peeled = peeler.peel(record.as_bytes(), Some(0)).expect("the record peels");
        for piece in peeled.pieces() {
            if let Piece::Event(event) = piece {
                normalizer.normalize(&event, &digest(event.body), &mut out);
            }
        }
        String::from_utf8(out).expect("JSON is UTF-8")
    };
    let fresh: Vec<String> =
        records.iter().map(|record| normalize(&mut Normalizer::new(Arc::clone(&mappings)), record)).collect();
    let mut used = Normalizer::new(mappings);
    let last = records.len() - 1;
    for before in 0..last {
        for after in [last, before + 1] {
            normalize(&mut used, &records[before]);
            assert_eq!(normalize(&mut used, &records[after]), fresh[after], "record {after} after record {before}");
        }
    }
}

/// Guards that events from before and after an update can be told apart: each names its mapping, and siemline's version or
/// the mapping's own.
#[test]
fn an_event_names_the_mapping_that_wrote_it() {
    let own = "[mapping]\nlog_type = \"acme.x\"\nversion = \"7\"\nclass = \"base_event\"\nprofiles = [\"cloud\"]\n[[match]]\nacme = 1\n\
               [set]\ntime = \"t\"\nseverity_id = { value = 1 }\n\"metadata.product.name\" = { value = \"P\" }\n";
    let sources = Sources::embedded().with_directory(vec![("own.toml".to_owned(), own.to_owned())]);
    let loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).expect("it compiles");
    let (mut normalizer, mut peeler) = (Normalizer::new(Arc::new(mappings)), Peeler::new(Limits::default()));
    let product = serde_json::json!({ "name": "siemline", "version": env!("CARGO_PKG_VERSION") });
    for (record, expect) in [
        (
            r#"{"acme":1,"t":1700000000}"#,
            serde_json::json!({ "name": "acme.x", "uid": "acme.x@7", "product": product }),
        ),
        (r#"{"other":1}"#, serde_json::json!({ "name": "base", "product": product })),
    ] {
        let peeled = peeler.peel(record.as_bytes(), Some(1_700_000_000_000)).expect("the record peels");
        for piece in peeled.pieces() {
            let Piece::Event(event) = piece else { panic!("an event") };
            let mut out = Vec::new();
            normalizer.normalize(&event, &digest(event.body), &mut out);
            let output: Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!(output["metadata"]["transformation_info_list"], serde_json::json!([expect]));
            assert_eq!(crate::ocsf::validate(&output), []);
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Tells where two documents differ; observables are a set.
fn compare(path: &str, expect: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expect, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => compare(&format!("{path}.{key}"), value, other, lines),
                    None => lines.push(format!("- {path}.{key} = {value}")),
                }
            }
            for (key, value) in b {
                // Which mapping wrote it stands in every event alike, and has a test of its own.
                if !a.contains_key(key) && key != "transformation_info_list" {
                    lines.push(format!("+ {path}.{key} = {value}"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if path == ".observables" => {
            for value in a.iter().filter(|value| !b.contains(value)) {
                lines.push(format!("- {path} {value}"));
            }
            for value in b.iter().filter(|value| !a.contains(value)) {
                lines.push(format!("+ {path} {value}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{number}]"), a, b, lines);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        // Whether it is the right hash, the tests of the test runner hold.
        (Value::String(a), Value::String(b)) if a == "${uid}" && b.len() == 32 && is_hexadecimal(b) => {}
        _ if expect == found => {}
        _ => lines.push(format!("! {path}: {expect} but found {found}")),
    }
}

mod generated;
mod laws;
mod lists;
mod pass;
mod raw_data;
mod ways;
mod words;
