//! What the mappings by hand share: `serde_json` trees in, trees out, the way such programs are usually written.
//!
//! What an attribute takes is taken out of the tree, so that what is left of it is `unmapped`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use siemline::normalize::BodyDigest;

/// What an observable is: the number of its type, and its caption.
pub type Kind = (u32, &'static str);

pub const HOSTNAME: Kind = (1, "Hostname");
pub const IP_ADDRESS: Kind = (2, "IP Address");
pub const USER_NAME: Kind = (4, "User Name");
pub const RESOURCE_UID: Kind = (10, "Resource UID");
pub const PORT: Kind = (11, "Port");
pub const ACCOUNT_UID: Kind = (35, "Account Object: uid");

/// An object of the members that are there; nothing where none is.
pub fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Option<Value> {
    let mut made = Map::with_capacity(N);
    made.extend(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    (!made.is_empty()).then_some(Value::Object(made))
}

/// A list of the elements that are there; nothing where none is.
pub fn list(elements: impl IntoIterator<Item = Option<Value>>) -> Option<Value> {
    let made: Vec<Value> = elements.into_iter().flatten().collect();
    (!made.is_empty()).then_some(Value::Array(made))
}

/// The members of `more` on top of those of `made`.
pub fn extend(made: &mut Value, more: Option<Value>) {
    if let (Value::Object(made), Some(Value::Object(more))) = (made, more) {
        made.extend(more);
    }
}

/// A member that is always there.
#[expect(clippy::unnecessary_wraps, reason = "it stands among members that may not be there")]
pub fn of(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

/// What stands at `key` below `base`, taken out of the tree. A null is not there.
pub fn take(value: &mut Value, base: &str, key: &str) -> Option<Value> {
    value.pointer_mut(base)?.as_object_mut()?.remove(key).filter(|value| !value.is_null())
}

/// A copy of what stands there, for a leaf that two attributes hold.
pub fn copy(value: &Value, path: &str) -> Option<Value> {
    value.pointer(path).filter(|value| !value.is_null()).cloned()
}

pub fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

pub fn time(value: &Value, path: &str) -> Option<i64> {
    let text = value.pointer(path)?.as_str()?;
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

/// As [`time`], and takes it out of the tree.
pub fn take_time(value: &mut Value, base: &str, key: &str) -> Option<Value> {
    let text = take(value, base, key)?;
    of(text.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

/// Records `value` as an observable, and hands it on.
pub fn seen(observables: &mut Vec<Value>, kind: Kind, name: &str, value: Option<Value>) -> Option<Value> {
    let shown = match value.as_ref()? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    observables.push(json!({"name": name, "type_id": kind.0, "type": kind.1, "value": shown}));
    value
}

/// What the engine says of itself in every event.
pub fn transformations(log_type: &str) -> Value {
    json!([{"name": log_type, "product": {"name": "siemline", "version": env!("CARGO_PKG_VERSION")}}])
}

pub fn uid(log_type: &str, id: &str, digest: &BodyDigest) -> String {
    let mut hash = Sha256::new();
    hash.update(log_type);
    hash.update(b"\x1f");
    hash.update(id);
    hash.update(b"\x1f");
    hash.update(digest);
    let mut text = String::new();
    for byte in &hash.finalize()[..16] {
        write!(text, "{byte:02x}").expect("a string takes text");
    }
    text
}

/// A tree without its nulls and empty containers; nothing where nothing is left.
pub fn pruned(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(members) => {
            let left: Map<String, Value> =
                members.into_iter().filter_map(|(key, value)| Some((key, pruned(value)?))).collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(elements) => {
            let left: Vec<Value> = elements.into_iter().filter_map(pruned).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        leaf => Some(leaf),
    }
}

/// Writes the event, with its observables and what is left of the source.
pub fn write(mut made: Value, observables: Vec<Value>, rest: Value, out: &mut Vec<u8>) {
    extend(&mut made, object([("observables", list(observables.into_iter().map(Some))), ("unmapped", pruned(rest))]));
    serde_json::to_writer(out, &made).expect("a tree serialises");
}
