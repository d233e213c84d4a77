//! Patterns over normalized events name OCSF attributes: those that no class has are mistakes, not patterns that never hold.

use serde_json::Value;

use super::Mistake;
use crate::ocsf::{AttributeType, Shape, Table, nearest};

/// Checks the names in a pattern that compiles against the table of OCSF.
///
/// # Errors
///
/// With the first name that no event can have: where, and the nearest legal one.
pub fn check_attributes(pattern: &Value, table: &Table) -> Result<(), Mistake> {
    let classes: Vec<&Shape> = table.classes().iter().map(|class| &class.shape).collect();
    check(pattern, &classes, table)
}

fn check(pattern: &Value, shapes: &[&Shape], table: &Table) -> Result<(), Mistake> {
    let Value::Object(members) = pattern else { return Ok(()) };
    for (name, value) in members {
        let checked = match (name.as_str(), value) {
            ("$or", Value::Array(patterns)) => patterns.iter().enumerate().try_for_each(|(number, pattern)| {
                check(pattern, shapes, table).map_err(|mistake| mistake.under(&number.to_string()))
            }),
            _ => attribute(name, value, shapes, table),
        };
        checked.map_err(|mistake| mistake.under(name))?;
    }
    Ok(())
}

fn attribute(name: &str, value: &Value, shapes: &[&Shape], table: &Table) -> Result<(), Mistake> {
    let attributes: Vec<_> = shapes.iter().filter_map(|shape| shape.attribute(name)).collect();
    if attributes.is_empty() {
        let legal = shapes.iter().flat_map(|shape| shape.attributes.iter().map(|attribute| attribute.name));
        let hint = if name.contains('.') {
            format!("; what lies within each other is written within each other: {name} = [...] without quotes in TOML")
        } else {
            nearest(name, legal).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
        };
        return Err(Mistake::new(format!(
            "no event has the attribute `{name}`{hint} (a pattern over the event as AWS wrote it is a `raw_pattern`)"
        )));
    }
    if attributes.iter().any(|attribute| attribute.attribute_type == AttributeType::Json) {
        return Ok(());
    }
    let below: Vec<_> =
        attributes.iter().filter_map(|attribute| table.object_of(attribute)).map(|object| &object.shape).collect();
    if below.iter().any(|shape| shape.is_open()) {
        return Ok(());
    }
    match value {
        Value::Object(_) if below.is_empty() => {
            Err(Mistake::new(format!("`{name}` holds a value and no attributes: write a list of what it may be")))
        }
        Value::Object(_) => check(value, &below, table),
        _ if below.len() == attributes.len() => {
            let some = below.first().and_then(|shape| shape.attributes.first()).map_or("...", |some| some.name);
            Err(Mistake::new(format!(
                "`{name}` holds attributes and no value, and only values are compared: name one, such as `{name}.{some}`"
            )))
        }
        _ => Ok(()),
    }
}
