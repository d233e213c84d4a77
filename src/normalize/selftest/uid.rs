//! A second computation of `metadata.uid`, by the formula of the manual and not by the engine's code: the first 16 bytes, in
//! hex, of SHA-256 over the log type, 0x1f, the first of the paths that is there, 0x1f, and SHA-256 of the event's bytes.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::mapping::ast::{Base, Fallback, Keys, Mapping, Path, Rule, Source, Step};
use super::super::text::Layout;
use crate::envelope::{Event, Form};

/// Whether a text is what a `uid` rule of one of these mappings gives for this event.
pub(super) fn is_uid(text: &str, mappings: &[&Mapping], event: &Event<'_>) -> bool {
    mappings.iter().any(|mapping| {
        let value = document(mapping, event);
        let rules = mapping.cases.iter().flat_map(|case| &case.body.sets).map(|set| &set.rule);
        rules.flat_map(uid_paths).any(|paths| {
            let first = paths.iter().find_map(|path| leaf(path, &value, mapping.keys, event));
            uid(&mapping.log_type, &first.unwrap_or_default(), event.body) == text
        })
    })
}

/// The paths of the `uid` rules in a rule.
fn uid_paths(rule: &Rule) -> Vec<&[Path]> {
    let mut found: Vec<&[Path]> = match &rule.source {
        Source::Uid(paths) => vec![paths],
        Source::Cases(arms) => arms.iter().flat_map(|arm| uid_paths(&arm.rule)).collect(),
        _ => Vec::new(),
    };
    if let Some(Fallback::Rule(rule)) = rule.default.as_deref() {
        found.extend(uid_paths(rule));
    }
    found
}

fn uid(log_type: &str, first: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [log_type.as_bytes(), &[0x1f], first.as_bytes(), &[0x1f], &Sha256::digest(body)] {
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The event as a document: its JSON, or the columns of its line.
fn document(mapping: &Mapping, event: &Event<'_>) -> Value {
    match (event.form, &mapping.text) {
        (Form::Json, _) => serde_json::from_slice(event.body).unwrap_or_default(),
        (Form::Text, Some(text)) => {
            let layout = Layout::new(text.clone());
            let line = String::from_utf8_lossy(event.body);
            let mut nodes = Vec::new();
            layout.split(&line, event.context.get(crate::envelope::Field::Header), &mut nodes);
            let cells: Vec<&str> = nodes
                .iter()
                .filter_map(|node| match node {
                    simd_json::Node::String(text) => Some(*text),
                    _ => None,
                })
                .collect();
            let pairs = cells.chunks_exact(2).filter_map(|pair| match pair {
                [name, cell] => Some(((*name).to_owned(), Value::from(*cell))),
                _ => None,
            });
            Value::Object(pairs.collect())
        }
        (Form::Text, None) => Value::Null,
    }
}

/// The text of the leaf at a path, if there is one that is not empty.
fn leaf(path: &Path, value: &Value, keys: Keys, event: &Event<'_>) -> Option<String> {
    let found = match path {
        Path::Event { base: Base::Here | Base::Root, steps } => {
            let found = steps.iter().try_fold(value, |value, step| match step {
                Step::Key(key) => member(value, key, keys),
                Step::Index(index) => value.get(usize::try_from(*index).ok()?),
                Step::From(_) | Step::Each => None,
            })?;
            match found {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => found.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            }
        }
        Path::Envelope(field) => event.context.get(*field)?.to_owned(),
        Path::Event { .. } | Path::Key | Path::Text | Path::LogType => return None,
    };
    (!found.is_empty()).then_some(found)
}

/// The member of an object, with the first letter of the key in either case where the mapping says so.
fn member<'v>(value: &'v Value, key: &str, keys: Keys) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| {
        let initial = key.chars().next().filter(|_| keys == Keys::AnyInitial)?;
        let rest = key.get(initial.len_utf8()..)?;
        let swapped = if initial.is_lowercase() { initial.to_ascii_uppercase() } else { initial.to_ascii_lowercase() };
        object.get(&format!("{swapped}{rest}"))
    })
}
