//! The entries of a list: values and operators, as they are written.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::Mistake;
use super::wanted::{Bound, Network, Wanted, Wildcard, folded};
use crate::ocsf::nearest;

/// Every operator.
pub(super) const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists"];

const IGNORE_CASE: &str = "equals-ignore-case";

/// Reads one entry of a list; `None` means that the value may be absent.
pub(super) fn read(entry: &Value) -> Result<Option<Wanted>, Mistake> {
    match entry {
        Value::Array(_) => {
            Err(Mistake::new("a list in a list: an event's arrays are looked through, one list is enough"))
        }
        Value::Object(members) => {
            let (name, operand) = single(members)?;
            match (name, operand) {
                ("exists", Value::Bool(true)) => Ok(Some(Wanted::There)),
                ("exists", Value::Bool(false)) => Ok(None),
                ("exists", _) => Err(Mistake::new("`exists` takes true or false").under(name)),
                ("anything-but", operand) => anything_but(operand).map(Some),
                _ => operator(name, operand).map(Some),
            }
            .map_err(|mistake| if mistake.way.is_empty() { mistake.under(name) } else { mistake })
        }
        plain => Ok(Some(value(plain))),
    }
}

/// A key as TOML and EventBridge's JSON both take it.
pub(super) fn as_key(name: &str) -> String {
    if name.contains('-') { format!("\"{name}\"") } else { name.to_owned() }
}

fn single(members: &Map<String, Value>) -> Result<(&str, &Value), Mistake> {
    let mut all = members.iter();
    match (all.next(), all.next()) {
        (Some((name, operand)), None) if OPERATORS.contains(&name.as_str()) => Ok((name, operand)),
        (Some((name, _)), None) => {
            let hint = nearest(name, OPERATORS).map_or_else(
                || format!("; there are {}", OPERATORS.join(", ")),
                |known| format!("; did you mean `{known}`?"),
            );
            Err(Mistake::new(format!("`{name}` is no operator{hint}")).under(name))
        }
        (Some(_), Some((second, _))) => {
            let words = "two operators in one entry: several entries of a list are alternatives; what must begin and end \
                         somehow is a wildcard, `begin*end`";
            Err(Mistake::new(words).under(second))
        }
        (None, _) => Err(Mistake::new("an empty table: write a value or an operator")),
    }
}

fn value(plain: &Value) -> Wanted {
    match plain {
        Value::Null => Wanted::Null,
        Value::Bool(value) => Wanted::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Wanted::Integer(number.into()),
            (None, Some(number)) => Wanted::Integer(number.into()),
            (None, None) => Wanted::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Wanted::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => Wanted::OneOf(Vec::new()),
    }
}

/// The operators on texts and numbers.
fn operator(name: &str, operand: &Value) -> Result<Wanted, Mistake> {
    let text = || match operand {
        Value::String(text) => Ok(text.as_str()),
        other => Err(Mistake::new(format!("`{name}` takes a text, not {other}"))),
    };
    match name {
        "prefix" | "suffix" => {
            let (text, ignore_case) = match operand {
                Value::Object(members) => match members.get(IGNORE_CASE) {
                    Some(Value::String(text)) if members.len() == 1 => (text.as_str(), true),
                    _ => {
                        let words = format!("`{name}` takes a text, or {{ \"{IGNORE_CASE}\" = \"a text\" }}");
                        return Err(Mistake::new(words));
                    }
                },
                _ => (text()?, false),
            };
            Ok(match (name, ignore_case) {
                ("prefix", false) => Wanted::Prefix(text.to_owned()),
                ("prefix", true) => Wanted::PrefixIgnoringCase(folded(text)),
                (_, false) => Wanted::Suffix(text.to_owned()),
                (_, true) => Wanted::SuffixIgnoringCase(folded(text)),
            })
        }
        IGNORE_CASE => Ok(Wanted::EqualsIgnoringCase(folded(text()?))),
        "wildcard" => Wildcard::read(text()?).map(Wanted::Wildcard).map_err(Mistake::new),
        "cidr" => network(text()?).map(Wanted::Network),
        "numeric" => numeric(operand).map(Wanted::Numeric),
        other => Err(Mistake::new(format!("`{other}` cannot stand here"))),
    }
}

/// `anything-but` takes a text, a number, a list of either, or an operator on texts with one text or a list of them.
fn anything_but(operand: &Value) -> Result<Wanted, Mistake> {
    let plain = |plain: &Value| match plain {
        Value::String(_) | Value::Number(_) => Ok(value(plain)),
        other => Err(Mistake::new(format!("`anything-but` takes texts, numbers or an operator on texts, not {other}"))),
    };
    let these = match operand {
        Value::Array(list) if list.is_empty() => {
            return Err(Mistake::new("`anything-but` of an empty list holds always"));
        }
        Value::Array(list) => {
            let is_mixed = list.iter().any(Value::is_string) && list.iter().any(Value::is_number);
            if is_mixed {
                return Err(Mistake::new("`anything-but` takes a list of texts or a list of numbers, not both in one"));
            }
            list.iter().map(plain).collect::<Result<_, _>>()?
        }
        Value::Object(members) => {
            let (name, operand) = single(members)?;
            if !matches!(name, "prefix" | "suffix" | IGNORE_CASE | "wildcard") {
                let words = format!("`anything-but` takes prefix, suffix, {IGNORE_CASE} and wildcard, not `{name}`");
                return Err(Mistake::new(words).under(name).under("anything-but"));
            }
            let all = match operand {
                Value::Array(list) if !list.is_empty() => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            let all: Result<_, _> = all.iter().map(|one| operator(name, one)).collect();
            all.map_err(|mistake| mistake.under(name).under("anything-but"))?
        }
        one => vec![plain(one)?],
    };
    Ok(Wanted::AnythingBut(these))
}

fn network(text: &str) -> Result<Network, Mistake> {
    let broken = || Mistake::new(format!("`{text}` is no address range: write `10.0.0.0/8` or `2001:db8::/32`"));
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| broken())?;
    let bits = bits.map(|bits| bits.parse::<u32>().map_err(|_| broken())).transpose()?;
    Network::new(address, bits).ok_or_else(broken)
}

/// `["=", 5]`, or one or two bounds: `[">", 0, "<=", 5]`.
fn numeric(operand: &Value) -> Result<Vec<(Bound, f64)>, Mistake> {
    let usage = || Mistake::new("`numeric` takes a comparison or two: [\"=\", 5], [\">\", 0], [\">=\", 0, \"<\", 5]");
    let Value::Array(list) = operand else { return Err(usage()) };
    let mut bounds = Vec::new();
    for pair in list.chunks(2) {
        let [Value::String(sign), Value::Number(number)] = pair else { return Err(usage()) };
        let bound = Bound::of_sign(sign).ok_or_else(usage)?;
        bounds.push((bound, number.as_f64().ok_or_else(usage)?));
    }
    match bounds.as_slice() {
        [_] => Ok(bounds),
        [(Bound::Above | Bound::AtLeast, low), (Bound::Below | Bound::AtMost, high)]
        | [(Bound::Below | Bound::AtMost, high), (Bound::Above | Bound::AtLeast, low)] => {
            if low < high {
                Ok(bounds)
            } else {
                Err(Mistake::new(format!("no number is above {low} and below {high}")))
            }
        }
        _ => Err(usage()),
    }
}
