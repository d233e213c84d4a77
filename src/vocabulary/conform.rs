//! Whether a finished document says nothing that its vocabulary does not have.

use serde_json::{Map, Value};

use super::table::{Attribute, AttributeType, Shape, Table};

impl Table {
    /// What of a document is not in the vocabulary: unknown names, values of another type, one value where the table has an
    /// array and the reverse, words that are not enumerated, required attributes that are not there. One line each.
    ///
    /// `declared` are the profiles of the document. For tests; OCSF has a stricter check of its own.
    pub fn faults<S: AsRef<str>>(&self, class: &Shape, document: &Value, declared: &[S]) -> Vec<String> {
        let mut check = Check { table: self, declared, faults: Vec::new() };
        match document {
            Value::Object(members) => check.shape(members, class, ""),
            _ => check.faults.push("the document is no object".to_owned()),
        }
        check.faults
    }
}

struct Check<'a, S> {
    table: &'a Table,
    declared: &'a [S],
    faults: Vec<String>,
}

impl<S: AsRef<str>> Check<'_, S> {
    fn shape(&mut self, members: &Map<String, Value>, shape: &Shape, path: &str) {
        let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, value) in members {
            if path.is_empty() && self.is_written_by_engine(name) {
                continue;
            }
            match shape.attribute(name).filter(|attribute| attribute.is_in_force(self.declared)) {
                Some(attribute) => self.attribute(attribute, value, &place(name)),
                None if shape.is_open() => {}
                None => self.faults.push(format!("{}: `{}` has no such attribute", place(name), shape.name)),
            }
        }
        for attribute in &shape.attributes {
            if attribute.is_required(self.declared) && !members.contains_key(attribute.name) {
                self.faults.push(format!("{}: is required and not there", place(attribute.name)));
            }
        }
    }

    fn is_written_by_engine(&self, name: &str) -> bool {
        name == self.table.rest() || (name == "tag" && self.table.profiles().iter().any(|known| !known.tags.is_empty()))
    }

    fn attribute(&mut self, attribute: &Attribute, value: &Value, path: &str) {
        match (attribute.is_array, value) {
            (true, Value::Array(elements)) => {
                for (number, element) in elements.iter().enumerate() {
                    self.value(attribute, element, &format!("{path}[{number}]"));
                }
            }
            (true, _) => self.faults.push(format!("{path}: wants an array")),
            (false, _) => self.value(attribute, value, path),
        }
    }

    fn value(&mut self, attribute: &Attribute, value: &Value, path: &str) {
        let fits = match attribute.attribute_type {
            AttributeType::Text { chars_max } => {
                value.as_str().is_some_and(|text| chars_max.is_none_or(|max| text.chars().count() <= max))
            }
            AttributeType::Ip => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
            AttributeType::Integer { min, max } => value.as_i64().is_some_and(|number| (min..=max).contains(&number)),
            AttributeType::Long | AttributeType::Timestamp => value.is_i64(),
            AttributeType::Date => {
                value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()) || value.is_i64()
            }
            AttributeType::Float => value.is_number(),
            AttributeType::Boolean => value.is_boolean(),
            AttributeType::Json => true,
            AttributeType::Object(_) => match (value, self.table.object_of(attribute)) {
                (Value::Object(members), Some(object)) => {
                    self.shape(members, &object.shape, path);
                    true
                }
                _ => false,
            },
        };
        if !fits {
            self.faults.push(format!("{path}: {value} is no {}", attribute.type_name));
        }
        let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if attribute.enumeration.as_ref().is_some_and(|legal| legal.caption(&written).is_none()) {
            self.faults.push(format!("{path}: {value} is not enumerated"));
        }
    }
}
