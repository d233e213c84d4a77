//! The engine on the mappings that ship: every `[[test]]` of every mapping comes out as it says.

use std::sync::Arc;

use serde_json::Value;

use super::mapping::Sources;
use super::{Mappings, Normalizer};
use crate::envelope::{Limits, Peeler, Piece};
use crate::ocsf::Table;

pub(super) fn embedded() -> (Arc<Mappings>, Vec<super::mapping::ast::Mapping>) {
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
    let mut peeler = Peeler::new(Limits::default());
    let mut failures = Vec::new();
    for mapping in &all {
        for test in &mapping.tests {
            let mut outputs = Vec::new();
            let peeled = peeler.peel(test.input.as_bytes(), test.arrival_ms).expect("the record peels");
            for piece in peeled.pieces() {
                let Piece::Event(event) = piece else { continue };
                let mut out = Vec::new();
                normalizer.normalize(&event, &mut out);
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
                let uid = output.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
                let expect: Value =
                    serde_json::from_str(&expect.replace("${uid}", uid)).expect("expectations are JSON");
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
                if !a.contains_key(key) {
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
        _ if expect == found => {}
        _ => lines.push(format!("! {path}: {expect} but found {found}")),
    }
}
