//! Durations and sizes as people write them in a configuration: text with a unit. Floor 0, pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written `500ms`, `30s`, `5m`, `2h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes, written `900kB`, `1MB` (powers of 1000), `64KiB`, `8MiB` or `1GiB` (powers of 1024), or `512B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text that is no duration or no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: write a whole number and a unit, such as {example}")]
pub struct Error {
    text: String,
    what: &'static str,
    example: &'static str,
}

const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_hours(hours))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Reads a text such as `30s`.
    ///
    /// # Errors
    ///
    /// When it is no whole number with a unit, or overflows.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let error = || Error { text: text.to_owned(), what: "duration", example: "`500ms`, `30s`, `5m`, `2h` or `7d`" };
        quantity(text, &SPANS).map(Self::milliseconds).ok_or_else(error)
    }
}

impl Size {
    /// So many mebibytes.
    #[must_use]
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// Reads a text such as `8MiB`.
    ///
    /// # Errors
    ///
    /// When it is no whole number with a unit, or overflows.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let error = || Error { text: text.to_owned(), what: "size", example: "`512B`, `900kB`, `8MiB` or `1GiB`" };
        quantity(text, &SIZES).map(Self).ok_or_else(error)
    }

    /// The size as memory is counted here; the largest there is where it does not fit.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn spell(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    match units.iter().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor)) {
        Some((name, factor)) => write!(f, "{}{name}", amount / factor),
        None => f.write_str(zero),
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        spell(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &SPANS, "0s")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        spell(f, self.0, &SIZES, "0B")
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$", "description": "A length of time: `500ms`, `30s`, `5m`, `2h`, `7d`." })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)$", "description": "A number of bytes: `512B`, `900kB`, `8MiB`, `1GiB`." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that what is written is what is meant, and that it is spelled back the same way.
    #[test]
    fn spans_and_sizes_read_and_spell() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.0, Duration::from_millis(milliseconds));
            assert_eq!(span.to_string(), text);
        }
        for (text, bytes) in [("512B", 512), ("900kB", 900_000), ("8MiB", 8 << 20), ("1GiB", 1 << 30)] {
            let size = Size::parse(text).unwrap();
            assert_eq!(size.0, bytes);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!(Span::parse("5 m"), Ok(Span::seconds(300)));
    }

    /// Guards that a bare number, a fraction, a wrong unit and an overflow are refused with the remedy.
    #[test]
    fn what_has_no_unit_is_refused() {
        for text in ["", "5", "1.5s", "5 parsecs", "-1s", "99999999999999999999d", "18446744073709551615d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Size::parse("8").unwrap_err().to_string(),
            "`8` is no size: write a whole number and a unit, such as `512B`, `900kB`, `8MiB` or `1GiB`"
        );
    }
}
