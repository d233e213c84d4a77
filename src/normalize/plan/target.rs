//! Attributes of the schema, as far as writing values asks for them.

use super::super::convert::Type;
use super::super::json::push_string;
use super::{Enumeration, Leaf, ObservableType, Role};
use crate::ocsf::{Attribute, AttributeType, Shape, Table};

/// The object of `name` and `value`: labels and tags, whose content counts as free-form.
const KEY_VALUE: &str = "key_value_object";

/// What a rule needs to know of the attribute it writes. `sibling` is the place of the enum's sibling in the masks, where
/// the engine writes it.
pub(super) fn leaf(
    table: &Table,
    shape: &Shape,
    attribute: &Attribute,
    target: &str,
    sibling: Option<(u128, Box<[u8]>)>,
) -> Leaf {
    let takes = takes(attribute);
    let is_scalar = !attribute.is_object() && takes != Type::Json;
    let observable = attribute.observable.filter(|_| is_scalar).and_then(|type_id| {
        let mut element = format!(",{{\"name\":\"{target}\",\"type_id\":{type_id},\"type\":").into_bytes();
        push_string(&mut element, table.observable_caption(type_id)?);
        element.extend_from_slice(b",\"value\":");
        Some(ObservableType { pieces: pieces(&element, target.matches("[]").count()) })
    });
    Leaf {
        takes,
        enumeration: attribute.enumeration.as_ref().map(|enumeration| self::enumeration(enumeration, takes, sibling)),
        observable,
        target: target.into(),
        role: role(target),
        is_free: takes == Type::Json || shape.name == KEY_VALUE || matches!(attribute.name, "labels" | "tags"),
    }
}

/// What an attribute takes.
pub(super) fn takes(attribute: &Attribute) -> Type {
    match (attribute.attribute_type, attribute.type_name) {
        (_, "mac_t") => Type::Mac,
        (_, "email_t") => Type::Email,
        (_, "uuid_t") => Type::Uuid,
        (AttributeType::Text { chars_max }, _) => Type::Text { max: chars_max.unwrap_or(usize::MAX) },
        (AttributeType::Ip, _) => Type::Ip,
        (AttributeType::Integer { min, max }, _) => Type::Integer { min, max },
        (AttributeType::Long, _) => Type::Integer { min: i64::MIN, max: i64::MAX },
        (AttributeType::Timestamp, _) => Type::Timestamp,
        (AttributeType::Date, _) => Type::Date,
        (AttributeType::Float, _) => Type::Float,
        (AttributeType::Boolean, _) => Type::Boolean,
        (AttributeType::Json | AttributeType::Object(_), _) => Type::Json,
    }
}

/// Cuts an element into what stands around its first `arrays` pairs of brackets, a bracket on either side of each cut.
fn pieces(element: &[u8], arrays: usize) -> Box<[Box<[u8]>]> {
    let mut pieces = Vec::new();
    let mut rest = element;
    for _ in 0..arrays {
        let Some(at) = memchr::memmem::find(rest, b"[]") else { break };
        let (piece, behind) = rest.split_at(at.saturating_add(1));
        pieces.push(piece.into());
        rest = behind;
    }
    pieces.push(rest.into());
    pieces.into()
}

fn enumeration(values: &crate::ocsf::Enumeration, takes: Type, sibling: Option<(u128, Box<[u8]>)>) -> Enumeration {
    let mut made = Enumeration { sibling, ..Enumeration::default() };
    for value in &values.values {
        match (takes, value.key.parse::<i64>()) {
            (Type::Integer { .. }, Ok(number)) => {
                let mut caption = Vec::new();
                push_string(&mut caption, &value.caption);
                made.numbers.push((number, caption.into()));
            }
            _ => made.texts.push(value.key.to_string()),
        }
    }
    made.numbers.sort_unstable_by_key(|(number, _)| *number);
    made
}

fn role(target: &str) -> Role {
    match target {
        "activity_id" => Role::Activity,
        "severity_id" => Role::Severity,
        "time" => Role::Time,
        "cloud.account.uid" => Role::Account,
        "cloud.region" => Role::Region,
        _ => Role::None,
    }
}
