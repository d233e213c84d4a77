//! A pattern as it is written: a TOML table, or JSON in a string.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An EventBridge event pattern, as a table or as JSON in a string. Read, not yet compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct PatternOptions {
    value: Value,
    json: Option<String>,
}

impl PatternOptions {
    /// The pattern as a value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The JSON text, if it was written so.
    #[must_use]
    pub fn json(&self) -> Option<&str> {
        self.json.as_deref()
    }
}

impl<'de> Deserialize<'de> for PatternOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = PatternOptions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event pattern: a table, or JSON in a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(PatternOptions { value, json: Some(text.to_owned()) }),
            Ok(_) => Err(E::custom("the pattern is JSON, but no object: write `{ \"name\": [\"value\"] }`")),
            Err(error) => Err(E::custom(format!("the pattern is no JSON: {error} of the pattern"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
        Ok(PatternOptions { value, json: None })
    }
}

impl Serialize for PatternOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.json {
            Some(json) => serializer.serialize_str(json),
            None => self.value.serialize(serializer),
        }
    }
}

impl JsonSchema for PatternOptions {
    fn schema_name() -> Cow<'static, str> {
        "EventPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "string"] })
    }
}
