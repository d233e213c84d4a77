//! The check of `observables[]`: each names a place of the event, has its type and repeats its value.

use serde_json::Value;

use super::{Check, Code, text_of};
use crate::vocabulary::{Attribute, Class};

/// One segment of an observable's name: `evidences`, `evidences[]` or `evidences[2]`.
struct Segment<'n> {
    name: &'n str,
    index: Option<usize>,
}

impl Check<'_> {
    pub(super) fn observables(&mut self, event: &Value, class: &Class) {
        let observables = event.get("observables").and_then(Value::as_array);
        for (index, observable) in observables.into_iter().flatten().enumerate() {
            if let Some(name) = observable.get("name").and_then(Value::as_str) {
                self.observable(event, class, observable, name, &format!("observables[{index}]"));
            }
        }
    }

    fn observable(&mut self, event: &Value, class: &Class, observable: &Value, name: &str, at: &str) {
        let segments: Option<Vec<_>> = name.split('.').map(segment).collect();
        let named = segments.ok_or_else(|| "is malformed".to_owned());
        let named = named.and_then(|segments| Ok((self.follow(class, &segments)?, segments)));
        let (attribute, segments) = match named {
            Ok(named) => named,
            Err(words) => return self.tell(Code::ObservableName, format!("{at}.name"), format!("{name:?} {words}")),
        };
        let type_id = observable.get("type_id").unwrap_or(&Value::Null);
        if let Some(want) = self.table.observable_of(attribute)
            && *type_id != want
            && *type_id != 99
        {
            self.tell(Code::ObservableType, format!("{at}.type_id"), format!("{name} is type {want}, got {type_id}"));
        }
        let values = values(event, &segments);
        if values.is_empty() {
            self.tell(Code::ObservableValue, format!("{at}.name"), format!("{name} is absent from the event"));
        } else if let Some(value) = observable.get("value").filter(|value| !value.is_null()) {
            let is_scalar = |found: &&&Value| !found.is_array() && !found.is_object();
            if !values.iter().filter(is_scalar).any(|found| text_of(found) == text_of(value)) {
                self.tell(Code::ObservableValue, format!("{at}.value"), format!("{value} is not the value of {name}"));
            }
        }
    }

    fn follow(&self, class: &Class, segments: &[Segment<'_>]) -> Result<&'static Attribute, String> {
        let table = self.table;
        let mut shape = table.class_by_uid(class.uid).map(|class| &class.shape);
        let mut found: Option<&'static Attribute> = None;
        for segment in segments {
            if let Some(attribute) = found {
                let object = table.object_of(attribute).ok_or_else(|| format!("ends at {}", attribute.name))?;
                shape = Some(&object.shape);
            }
            let attribute = shape.and_then(|shape| shape.attribute(segment.name));
            let attribute = attribute.filter(|attribute| attribute.is_in_force(&self.profiles));
            found = Some(attribute.ok_or_else(|| format!("has no {}", segment.name))?);
        }
        found.ok_or_else(|| "is empty".to_owned())
    }
}

fn segment(text: &str) -> Option<Segment<'_>> {
    let (name, index) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => match rest.strip_suffix(']')? {
            "" => (name, None),
            digits => (name, Some(digits.parse().ok()?)),
        },
    };
    let is_plain = !name.is_empty() && !name.contains(['[', ']']);
    is_plain.then_some(Segment { name, index })
}

/// Everything that stands at the named place; an array without an index means all of its elements.
fn values<'v>(event: &'v Value, segments: &[Segment<'_>]) -> Vec<&'v Value> {
    let mut values = vec![event];
    for segment in segments {
        let mut next = Vec::new();
        for value in values {
            match (value.get(segment.name), segment.index) {
                (Some(Value::Array(elements)), Some(index)) => next.extend(elements.get(index)),
                (Some(Value::Array(elements)), None) => next.extend(elements),
                (Some(Value::Null) | None, _) => {}
                (Some(value), _) => next.push(value),
            }
        }
        values = next;
    }
    values
}
