//! Documents made smaller: an event that is larger than what a destination takes goes without its bulkiest parts, and says
//! so in a label.

use std::ops::Range;

use super::Projection;
use super::scan::{Broken, member, skip_space, string_end, value_end};

/// The label that a trimmed document bears, before the names of what it goes without.
const LABEL: &str = "siemline.trimmed:";

/// The attribute whose elements must have `data`: theirs stays, as an empty object.
const ENRICHMENTS: &[u8] = b"enrichments";

/// A part of a document that it can go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `raw_data`: the event as AWS wrote it, once more. In ECS it is `event.original`.
    RawData,
    /// Every attribute `data`: what an evidence, a resource or a call had beside the attributes of the schema.
    Data,
    /// `unmapped`: what no attribute of the schema took.
    Unmapped,
}

impl Part {
    /// All of them, in the order in which they go.
    pub const ALL: [Self; 3] = [Self::RawData, Self::Data, Self::Unmapped];

    /// The name of the attribute.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RawData => "raw_data",
            Self::Data => "data",
            Self::Unmapped => "unmapped",
        }
    }
}

/// A document without some of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The document, labelled.
    pub document: Vec<u8>,
    /// What it had and has no more, each once, in the order of [`Part::ALL`].
    pub dropped: Vec<Part>,
}

/// A document without these parts, labelled with what went: in `metadata.labels` of OCSF (`vocabulary` is `None`), in `tags`
/// of ECS, in `ocsf.metadata.labels` of CIM. `None` where it has none of them.
///
/// What stands within `unmapped` is foreign: an attribute `data` there goes with it and not before.
#[must_use]
pub fn trim(document: &[u8], vocabulary: Option<Projection>, parts: &[Part]) -> Option<Trimmed> {
    let root = skip_space(document, 0);
    let mut cuts = Vec::new();
    let at = match vocabulary {
        None => Some(root),
        // What the vocabulary did not take stands there as OCSF has it.
        Some(_) => member(document, root, "ocsf").map(|ocsf| ocsf.start),
    };
    if let Some(at) = at {
        let _broken = find(document, at, |name, depth| part_named(name, depth, parts), &mut cuts);
    }
    if vocabulary == Some(Projection::Ecs)
        && parts.contains(&Part::RawData)
        && let Some(event) = member(document, root, "event")
    {
        let is_original = |name: &[u8], depth| (depth == 1 && name == b"original").then_some(Part::RawData);
        let _broken = find(document, event.start, is_original, &mut cuts);
    }
    if cuts.is_empty() {
        return None;
    }
    cuts.sort_unstable_by_key(|cut| cut.place.start);
    let dropped: Vec<Part> = Part::ALL.into_iter().filter(|part| cuts.iter().any(|cut| cut.part == *part)).collect();
    let mut document = without(document, &cuts);
    let names: Vec<&str> = dropped.iter().map(|part| part.name()).collect();
    let path: &[&str] = match vocabulary {
        None => &["metadata", "labels"],
        Some(Projection::Ecs) => &["tags"],
        Some(Projection::Cim) => &["ocsf", "metadata", "labels"],
    };
    add_label(&mut document, path, &format!("{LABEL}{}", names.join(",")));
    Some(Trimmed { document, dropped })
}

/// What is taken out of a document.
struct Cut {
    part: Part,
    /// The member, from the quote of its key to the end of its value; only the value where something has to stand there.
    place: Range<usize>,
    /// An empty object comes in its place.
    leaves_object: bool,
}

/// An object or an array whose end has not been seen.
#[derive(Clone, Copy)]
struct Open {
    is_object: bool,
    /// Whether it is the list of enrichments or one of them.
    in_enrichments: bool,
}

fn part_named(name: &[u8], depth: usize, parts: &[Part]) -> Option<Part> {
    let part = parts.iter().copied().find(|part| part.name().as_bytes() == name)?;
    (part != Part::RawData || depth == 1).then_some(part)
}

/// Finds the members of the object that begins at `at`, and of whatever is in it, that `part_of` takes for a part by their
/// name and depth (1 for the object's own). What was found before something breaks stays found.
fn find(
    text: &[u8],
    at: usize,
    part_of: impl Fn(&[u8], usize) -> Option<Part>,
    cuts: &mut Vec<Cut>,
) -> Result<(), Broken> {
    let mut at = at;
    let mut open: Vec<Open> = Vec::new();
    loop {
        at = skip_space(text, at);
        let around = open.last().copied();
        match (text.get(at), around) {
            (Some(b'{' | b'['), _) => {
                let in_enrichments = around.is_some_and(|around| !around.is_object && around.in_enrichments);
                open.push(Open { is_object: text.get(at) == Some(&b'{'), in_enrichments });
                at = at.saturating_add(1);
            }
            (Some(b'}' | b']'), Some(_)) => {
                open.pop();
                at = at.saturating_add(1);
            }
            (Some(b','), Some(_)) => at = at.saturating_add(1),
            (Some(b'"'), Some(Open { is_object: true, in_enrichments })) => {
                let key = at;
                let key_end = string_end(text, key)?;
                let colon = skip_space(text, key_end);
                if text.get(colon) != Some(&b':') {
                    return Err(Broken);
                }
                let begin = skip_space(text, colon.saturating_add(1));
                let name = text.get(key.saturating_add(1)..key_end.saturating_sub(1)).unwrap_or_default();
                if let Some(part) = part_of(name, open.len()) {
                    let leaves_object = part == Part::Data && in_enrichments;
                    at = value_end(text, begin)?;
                    let place = if leaves_object { begin..at } else { key..at };
                    if !(leaves_object && text.get(place.clone()) == Some(b"{}")) {
                        cuts.push(Cut { part, place, leaves_object });
                    }
                } else if name == Part::Unmapped.name().as_bytes() {
                    at = value_end(text, begin)?;
                } else if text.get(begin) == Some(&b'[') {
                    open.push(Open { is_object: false, in_enrichments: name == ENRICHMENTS });
                    at = begin.saturating_add(1);
                } else if text.get(begin) == Some(&b'{') {
                    at = begin;
                } else {
                    at = value_end(text, begin)?;
                }
            }
            (Some(_), Some(_)) => at = value_end(text, at)?,
            (None, _) | (_, None) => return Err(Broken),
        }
        if open.is_empty() {
            return Ok(());
        }
    }
}

/// The text without what is cut, and without the commas that would then stand there twice. The cuts are in their order, and
/// none is in another.
fn without(text: &[u8], cuts: &[Cut]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for cut in cuts {
        out.extend_from_slice(text.get(at..cut.place.start).unwrap_or_default());
        at = cut.place.end;
        if cut.leaves_object {
            out.extend_from_slice(b"{}");
            continue;
        }
        let behind = skip_space(text, at);
        if text.get(behind) == Some(&b',') {
            at = behind.saturating_add(1);
            continue;
        }
        // It was the last: the comma before it goes.
        out.truncate(out.trim_ascii_end().len());
        if out.last() == Some(&b',') {
            out.pop();
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out
}

/// Adds a label, which needs no escapes, to the list at the end of this path, and makes what of the path is not there. What
/// stands on the path and is of another kind is left as it is.
fn add_label(document: &mut Vec<u8>, path: &[&str], label: &str) {
    let mut at = skip_space(document, 0);
    let mut names = path.iter();
    while let Some(name) = names.next() {
        if let Some(value) = member(document, at, name) {
            at = value.start;
            continue;
        }
        if document.get(at) != Some(&b'{') {
            return;
        }
        let inside = at.saturating_add(1);
        let mut value = format!("[\"{label}\"]");
        for name in names.rev() {
            value = format!("{{\"{name}\":{value}}}");
        }
        let comma = if document.get(skip_space(document, inside)) == Some(&b'}') { "" } else { "," };
        document.splice(inside..inside, format!("\"{name}\":{value}{comma}").into_bytes());
        return;
    }
    if document.get(at) == Some(&b'[') {
        let inside = at.saturating_add(1);
        let comma = if document.get(skip_space(document, inside)) == Some(&b']') { "" } else { "," };
        document.splice(inside..inside, format!("\"{label}\"{comma}").into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::ocsf;

    fn check(document: &str, vocabulary: Option<Projection>, parts: &[Part], expected: &str) {
        let trimmed = trim(document.as_bytes(), vocabulary, parts).unwrap();
        assert_eq!(String::from_utf8(trimmed.document).unwrap(), expected, "{document}");
    }

    /// Guards the bytes: what goes goes with one comma, nothing else changes, and the label says what went, at its place in
    /// each vocabulary.
    #[test]
    fn parts_go_and_a_label_comes() {
        let all = &Part::ALL;
        let ocsf = concat!(
            r#"{"metadata":{"version":"1.8.0"},"unmapped":{"data":1,"a":[{"raw_data":2}]},"resources":[{"uid":"r","data":"#,
            r#"{"unmapped":3}},{"data":[],"uid":"s"}],"api":{"request":{"data":"x,}\"{"},"response":{"code":1,"data":null}},"#,
            r#""enrichments":[{"name":"n","data":{"k":[1]},"value":"v"},{"data":{}}],"n":{"raw_data":"stays"},"raw_data":"r"}"#
        );
        check(
            ocsf,
            None,
            &all[..1],
            &ocsf
                .replace(r#","raw_data":"r"}"#, "}")
                .replace(r#"{"version""#, r#"{"labels":["siemline.trimmed:raw_data"],"version""#),
        );
        check(
            ocsf,
            None,
            &all[..2],
            concat!(
                r#"{"metadata":{"labels":["siemline.trimmed:raw_data,data"],"version":"1.8.0"},"#,
                r#""unmapped":{"data":1,"a":[{"raw_data":2}]},"resources":[{"uid":"r"},{"uid":"s"}],"#,
                r#""api":{"request":{},"response":{"code":1}},"#,
                r#""enrichments":[{"name":"n","data":{},"value":"v"},{"data":{}}],"n":{"raw_data":"stays"}}"#
            ),
        );
        check(
            ocsf,
            None,
            all,
            concat!(
                r#"{"metadata":{"labels":["siemline.trimmed:raw_data,data,unmapped"],"version":"1.8.0"},"#,
                r#""resources":[{"uid":"r"},{"uid":"s"}],"api":{"request":{},"response":{"code":1}},"#,
                r#""enrichments":[{"name":"n","data":{},"value":"v"},{"data":{}}],"n":{"raw_data":"stays"}}"#
            ),
        );
        let label = r#""siemline.trimmed:unmapped""#;
        check(r#"{"unmapped":1}"#, None, all, &format!(r#"{{"metadata":{{"labels":[{label}]}}}}"#));
        check(
            r#" { "metadata" : { "labels" : [ "a" ] } , "unmapped" : 1 } "#,
            None,
            all,
            &format!(r#" {{ "metadata" : {{ "labels" : [{label}, "a" ] }}  }} "#),
        );
        check(
            r#"{"metadata":{"labels":[]},"a":"\"","unmapped":1}"#,
            None,
            all,
            &format!(r#"{{"metadata":{{"labels":[{label}]}},"a":"\""}}"#),
        );
        check(
            r#"{"event":{"original":"o","kind":"alert"},"data":1,"tags":["t"],"ocsf":{"data":2,"unmapped":3}}"#,
            Some(Projection::Ecs),
            all,
            r#"{"event":{"kind":"alert"},"data":1,"tags":["siemline.trimmed:raw_data,data,unmapped","t"],"ocsf":{}}"#,
        );
        check(
            r#"{"tag":["alert"],"event":{"original":1},"ocsf":{"raw_data":"r","unmapped":3}}"#,
            Some(Projection::Cim),
            &all[..1],
            concat!(
                r#"{"tag":["alert"],"event":{"original":1},"#,
                r#""ocsf":{"metadata":{"labels":["siemline.trimmed:raw_data"]},"unmapped":3}}"#
            ),
        );
        check(r#"{"metadata":{"labels":"odd"},"raw_data":1}"#, None, all, r#"{"metadata":{"labels":"odd"}}"#);
    }

    /// Guards that what has nothing to go is nothing trimmed, and that broken text neither panics nor hangs.
    #[test]
    fn nothing_to_trim_is_none() {
        for document in
            ["", "{}", "[]", "7", r#"{"a":{"raw_data":1}}"#, r#"{"enrichments":[{"data":{}}]}"#, "{\"data\""]
        {
            assert_eq!(trim(document.as_bytes(), None, &Part::ALL), None, "{document}");
        }
        for vocabulary in Projection::ALL {
            assert_eq!(trim(br#"{"data":1,"raw_data":2,"ocsf":{"a":1}}"#, Some(vocabulary), &Part::ALL), None);
        }
        let document =
            r#"{"event":{"original":"o"},"ocsf":{"data":[{"a":"}"}],"b":1},"unmapped":{"a":[1,2]},"data":1}"#;
        for end in 0..document.len() {
            for vocabulary in [None, Some(Projection::Ecs), Some(Projection::Cim)] {
                let _ = trim(document.get(..end).unwrap().as_bytes(), vocabulary, &Part::ALL);
            }
        }
    }

    /// Guards random documents against a second way to the same: the tree, pruned.
    #[test]
    fn random_documents_are_pruned_as_their_trees_are() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..2000 {
            let tree = object(&mut rng, 0);
            let parts = Part::ALL.get(..rng.usize(1..=3)).unwrap();
            let mut expected = tree.clone();
            let mut dropped = Vec::new();
            prune(&mut expected, parts, true, false, &mut dropped);
            dropped.sort_unstable();
            dropped.dedup();
            let text = if rng.bool() { tree.to_string() } else { serde_json::to_string_pretty(&tree).unwrap() };
            let trimmed = trim(text.as_bytes(), None, parts);
            assert_eq!(trimmed.is_some(), !dropped.is_empty(), "seed {seed}: {text}");
            let Some(trimmed) = trimmed else { continue };
            let mut got: Value = serde_json::from_slice(&trimmed.document).unwrap_or_else(|error| {
                panic!("seed {seed}: {error}: {text}: {}", String::from_utf8_lossy(&trimmed.document))
            });
            got.as_object_mut().unwrap().remove("metadata");
            assert_eq!((got, trimmed.dropped), (expected, dropped), "seed {seed}: {text}");
        }
    }

    fn object(rng: &mut fastrand::Rng, depth: usize) -> Value {
        let names = ["raw_data", "data", "unmapped", "enrichments", "a\"b", "uid", ""];
        let members = (0..rng.usize(0..5)).map(|_| (names[rng.usize(..names.len())].to_owned(), value(rng, depth + 1)));
        Value::Object(members.collect())
    }

    fn value(rng: &mut fastrand::Rng, depth: usize) -> Value {
        match rng.usize(0..if depth > 4 { 3 } else { 6 }) {
            0 => Value::from(rng.i64(..)),
            1 => Value::from("},\"]{:[\\"),
            2 => Value::Null,
            3 => Value::Array((0..rng.usize(0..4)).map(|_| value(rng, depth + 1)).collect()),
            _ => object(rng, depth),
        }
    }

    fn prune(value: &mut Value, parts: &[Part], is_root: bool, is_enrichment: bool, dropped: &mut Vec<Part>) {
        let Value::Object(members) = value else {
            for element in value.as_array_mut().into_iter().flatten() {
                prune(element, parts, false, is_enrichment, dropped);
            }
            return;
        };
        for part in parts {
            if (*part == Part::RawData && !is_root) || !members.contains_key(part.name()) {
                continue;
            }
            if *part == Part::Data && is_enrichment {
                if members["data"] != Value::Object(serde_json::Map::new()) {
                    dropped.push(*part);
                }
                members["data"] = Value::Object(serde_json::Map::new());
                continue;
            }
            members.shift_remove(part.name());
            dropped.push(*part);
        }
        for (name, member) in members.iter_mut().filter(|(name, _)| *name != "unmapped") {
            prune(member, parts, false, name == "enrichments" && member.is_array(), dropped);
        }
    }

    /// Guards that no trimmed document misses what the schema wants of it: the table of OCSF requires none of the parts, but
    /// for `data` of an enrichment.
    #[test]
    fn what_goes_is_never_required() {
        let table = ocsf::Table::v1_8();
        let shapes = table.classes().iter().map(|class| &class.shape).chain(table.objects().iter().map(|o| &o.shape));
        let mut required = Vec::new();
        for shape in shapes {
            for part in Part::ALL {
                if shape.attribute(part.name()).is_some_and(|attribute| attribute.is_required::<&str>(&[])) {
                    required.push((shape.name, part));
                }
            }
        }
        assert_eq!(required, [("enrichment", Part::Data)]);
        for shape in table.objects().iter().map(|object| &object.shape).chain(table.classes().iter().map(|c| &c.shape))
        {
            for attribute in shape.attributes.iter().filter(|attribute| attribute.type_name == "enrichment") {
                assert!(attribute.name.as_bytes() == ENRICHMENTS && attribute.is_array, "{}", shape.name);
            }
        }
    }
}
