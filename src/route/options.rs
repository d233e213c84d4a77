//! The options of a route.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::pattern::PatternOptions;
use crate::unit::Size;

/// Sends events that meet all of its conditions to some sinks. Routes are asked in the order of the file, and all that match
/// apply; one with `suppress` ends the asking. An event for which no sink was found is filtered, and counted as `no_route`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteOptions {
    /// One of these log types; `aws.*` means all that begin so.
    pub log_type: Vec<String>,
    /// A bound on the severity: `>= high`, `< medium`, `= critical`. From low to high: `unknown`, `informational`, `low`,
    /// `medium`, `high`, `critical`, `fatal`.
    pub severity: Option<SeverityBound>,
    /// One of these account ids.
    pub account: Vec<String>,
    /// One of these regions.
    pub region: Vec<String>,
    /// An EventBridge event pattern over the event as OCSF: a table, or JSON in a string.
    pub pattern: Option<PatternOptions>,
    /// An EventBridge event pattern over the event as AWS wrote it, free of its envelopes and redacted; or, if it asks for
    /// `detail` or `detail-type`, over the EventBridge event as a whole. A line of text is asked for as `raw`.
    pub raw_pattern: Option<PatternOptions>,
    /// The share of the events that the route is for, above 0 and up to 1: the route passes over the others, which are
    /// counted as `<route>.sample` if no other wants them. Drawn by a hash of the event: one that is read again is decided on
    /// alike.
    pub sample: Option<f64>,
    /// The most bytes of OCSF that go to the sinks in an hour of the clock. What is over it goes to `overflow_to`, or is
    /// counted as `<route>.bytes_per_hour` if no other route wants it.
    pub bytes_per_hour: Option<Size>,
    /// The names of the sinks that what is over `bytes_per_hour` goes to instead.
    pub overflow_to: Vec<String>,
    /// Texts that are added to `metadata.labels` of the event, for all sinks that it goes to.
    pub tags: Vec<String>,
    /// The names of the sinks.
    pub to: Vec<String>,
    /// No route behind this one is asked about events that match. One for which no sink was found before goes nowhere, and is
    /// counted as filtered under this route's name.
    pub suppress: bool,
}

/// A bound on the severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeverityBound {
    compare: Compare,
    severity_id: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
}

const COMPARISONS: [(&str, Compare); 5] = [
    (">=", Compare::AtLeast),
    ("<=", Compare::AtMost),
    (">", Compare::Above),
    ("<", Compare::Below),
    ("=", Compare::Equal),
];

/// The words in the order of OCSF's `severity_id`, from 0.
const SEVERITIES: [&str; 7] = ["unknown", "informational", "low", "medium", "high", "critical", "fatal"];

impl SeverityBound {
    /// Says whether an event of this OCSF `severity_id` meets the bound. 99 (other) meets none.
    #[must_use]
    pub fn holds(self, severity_id: u8) -> bool {
        usize::from(severity_id) < SEVERITIES.len()
            && match self.compare {
                Compare::AtLeast => severity_id >= self.severity_id,
                Compare::Above => severity_id > self.severity_id,
                Compare::AtMost => severity_id <= self.severity_id,
                Compare::Below => severity_id < self.severity_id,
                Compare::Equal => severity_id == self.severity_id,
            }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (word, compare) = COMPARISONS
            .iter()
            .find_map(|(sign, compare)| Some((text.strip_prefix(sign)?.trim_start(), *compare)))
            .unwrap_or((text, Compare::Equal));
        let severity_id = SEVERITIES.iter().position(|name| *name == word)?;
        Some(Self { compare, severity_id: u8::try_from(severity_id).ok()? })
    }
}

impl fmt::Display for SeverityBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, compare)| *compare == self.compare).map_or("=", |(sign, _)| sign);
        write!(f, "{sign} {}", SEVERITIES.get(usize::from(self.severity_id)).unwrap_or(&"unknown"))
    }
}

impl<'de> Deserialize<'de> for SeverityBound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let words = SEVERITIES.join(", ");
            serde::de::Error::custom(format!(
                "`{text}` is no bound on severities: write `>= high` or the like, with one of {words}"
            ))
        })
    }
}

impl Serialize for SeverityBound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for SeverityBound {
    fn schema_name() -> Cow<'static, str> {
        "SeverityBound".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(>=|<=|>|<|=)? *(unknown|informational|low|medium|high|critical|fatal)$"
        })
    }
}
