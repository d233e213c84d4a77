//! Streams as they are named: by name, or by ARN. Pure.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a stream or its ARN, well-formed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamName {
    text: String,
    arn: Option<Arn>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arn {
    region: String,
    account: String,
    name: String,
}

/// One stream or several, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams(Vec<StreamName>);

impl StreamName {
    /// Reads a name (1 to 128 letters, digits, `_`, `.` and `-`) or an ARN of any partition
    /// (`arn:aws-us-gov:kinesis:us-gov-west-1:111122223333:stream/findings`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text.starts_with("arn:") {
            return is_name(text).then(|| Self { text: text.to_owned(), arn: None });
        }
        let mut parts = text.splitn(6, ':').skip(1);
        let (partition, service) = (parts.next()?, parts.next()?);
        let (region, account) = (parts.next()?, parts.next()?);
        let name = parts.next()?.strip_prefix("stream/")?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_right = partition.starts_with("aws") && service == "kinesis" && !region.is_empty() && is_account;
        (is_right && is_name(name)).then(|| Self {
            text: text.to_owned(),
            arn: Some(Arn { region: region.to_owned(), account: account.to_owned(), name: name.to_owned() }),
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Says whether it is an ARN.
    #[must_use]
    pub const fn is_arn(&self) -> bool {
        self.arn.is_some()
    }

    /// The name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        self.arn.as_ref().map_or(&self.text, |arn| &arn.name)
    }

    /// The region, where it is an ARN.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.arn.as_ref().map(|arn| arn.region.as_str())
    }

    /// What tells it from other streams in the name of a file: `security`, or `111122223333-eu-west-1-security`.
    #[must_use]
    pub fn slug(&self) -> String {
        match &self.arn {
            Some(Arn { region, account, name }) => format!("{account}-{region}-{name}"),
            None => self.text.clone(),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(is_letter)
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Streams {
    /// All of them, at least one, in the order in which they are written.
    #[must_use]
    pub fn all(&self) -> &[StreamName] {
        &self.0
    }

    /// Says whether there is more than one.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl Serialize for Streams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one.as_str()),
            several => {
                let mut list = serializer.serialize_seq(Some(several.len()))?;
                for stream in several {
                    list.serialize_element(stream.as_str())?;
                }
                list.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Streams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Takes a text or a list of texts.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Streams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream's name or ARN, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Streams, E> {
        Ok(Streams(vec![stream(text)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Streams, A::Error> {
        let mut streams: Vec<StreamName> = Vec::new();
        while let Some(text) = list.next_element::<Cow<'de, str>>()? {
            let stream = stream::<A::Error>(&text)?;
            if streams.contains(&stream) {
                return Err(de::Error::custom(format!("`{stream}` stands there twice")));
            }
            streams.push(stream);
        }
        if streams.is_empty() {
            return Err(de::Error::custom("name at least one stream"));
        }
        Ok(Streams(streams))
    }
}

fn stream<E: de::Error>(text: &str) -> Result<StreamName, E> {
    StreamName::parse(text).ok_or_else(|| {
        let words = "write its name (letters, digits, `_`, `.`, `-`) or its ARN (`arn:aws:kinesis:<region>:<account>:stream/<name>`)";
        E::custom(format!("`{text}` is no stream: {words}"))
    })
}

impl JsonSchema for Streams {
    fn schema_name() -> Cow<'static, str> {
        "Streams".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "description": "A stream's name or ARN, or a list of them.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards what is taken for a stream, in every partition, and what is not.
    #[test]
    fn streams_are_named_right() {
        for (text, name, region, slug) in [
            ("security", "security", None, "security"),
            ("a.b_c-9", "a.b_c-9", None, "a.b_c-9"),
            (
                "arn:aws:kinesis:eu-west-1:111122223333:stream/security",
                "security",
                Some("eu-west-1"),
                "111122223333-eu-west-1-security",
            ),
            (
                "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/s",
                "s",
                Some("cn-north-1"),
                "111122223333-cn-north-1-s",
            ),
            (
                "arn:aws-us-gov:kinesis:us-gov-west-1:111122223333:stream/s",
                "s",
                Some("us-gov-west-1"),
                "111122223333-us-gov-west-1-s",
            ),
        ] {
            let stream = StreamName::parse(text).unwrap();
            assert_eq!((stream.name(), stream.region(), stream.slug().as_str()), (name, region, slug), "{text}");
            assert_eq!((stream.as_str(), stream.is_arn()), (text, region.is_some()));
        }
        for text in [
            "",
            "two words",
            "arn:aws:kinesis:eu-west-1:111122223333:security",
            "arn:aws:firehose:eu-west-1:111122223333:stream/security",
            "arn:aws:kinesis:eu-west-1:1111:stream/security",
            "arn:aws:kinesis::111122223333:stream/security",
            "arn:aws:kinesis:eu-west-1:111122223333:stream/security/consumer/x:1",
        ] {
            assert_eq!(StreamName::parse(text), None, "{text}");
        }
    }

    /// Guards the two ways to write it.
    #[test]
    fn one_or_several() {
        let read = |json: &str| serde_json::from_str::<Streams>(json).map_err(|error| error.to_string());
        assert_eq!(read("\"a\"").unwrap().all().len(), 1);
        let several = read(r#"["a", "b"]"#).unwrap();
        assert!(several.are_several());
        assert_eq!(serde_json::to_string(&several).unwrap(), r#"["a","b"]"#);
        assert!(read("[]").unwrap_err().contains("at least one"));
        assert!(read(r#"["a", "a"]"#).unwrap_err().contains("twice"));
        assert!(read("\"a b\"").unwrap_err().contains("is no stream"));
    }
}
