//! Texts with fields of the event in braces, for the names of indexes, topics, categories and files.
//!
//! `{log_type}`, `{source}`, `{account}`, `{region}`, `{severity}` (a word), `{time:%Y-%m-%d}` (OCSF `time` in UTC, in the
//! directives of `strftime`), or the path of an OCSF attribute such as `{finding_info.uid}`. `{{` and `}}` are braces. Where
//! the event lacks the field, its place is taken by what follows `:-`, as in `{account:-unknown}`, or by [`ABSENT`].

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::delivery::EventView;
use crate::ocsf::{Table, nearest};

/// What stands for a field that the event lacks, where the template says nothing else.
pub const ABSENT: &str = "unknown";

/// What stands for all fields of an event whose text would be one too many.
pub const OTHER: &str = "other";

/// The words for OCSF's `severity_id`, from 0.
const SEVERITIES: [&str; 7] = ["unknown", "informational", "low", "medium", "high", "critical", "fatal"];

/// The fields that are no attributes.
const NAMES: [&str; 6] = ["account", "log_type", "region", "severity", "source", "time"];

/// A text with fields of the event in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { field: Field, absent: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    LogType,
    Source,
    Account,
    Region,
    Severity,
    Time(String),
    Path(Vec<String>),
}

/// A template that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A brace is open or closed alone.
    #[error(
        "`{0}` has a brace without its other half: a field stands in {{braces}}, and a brace itself is written twice"
    )]
    Brace(String),
    /// Neither one of our names nor an attribute.
    #[error("`{{{name}}}` is no field: {words}")]
    Field {
        /// What was written.
        name: String,
        /// What is wrong with it, and what was probably meant.
        words: String,
    },
    /// The directives of a time cannot be followed.
    #[error("`{{time:{format}}}`: {words}")]
    Time {
        /// The directives.
        format: String,
        /// What is wrong with them.
        words: String,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// With the field that is wrong.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let brace = || Mistake::Brace(text.to_owned());
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = after.strip_prefix("{{").or_else(|| after.strip_prefix("}}")) {
                plain.push_str(rest.get(at..=at).unwrap_or_default());
                rest = after;
                continue;
            }
            let (inner, after) = after.strip_prefix('{').and_then(|after| after.split_once('}')).ok_or_else(brace)?;
            if inner.contains('{') {
                return Err(brace());
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(field(inner)?);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The same for texts that are paths: a slash among the directives of a time divides levels, as one outside of braces
    /// does. It was written by who configured it, so `clean` does not see it.
    #[must_use]
    pub fn of_path(self) -> Self {
        let mut parts = Vec::new();
        for part in self.parts {
            match part {
                Part::Field { field: Field::Time(format), absent } => {
                    for (number, level) in format.split('/').enumerate() {
                        if number > 0 {
                            parts.push(Part::Text("/".to_owned()));
                        }
                        if !level.is_empty() {
                            parts.push(Part::Field { field: Field::Time(level.to_owned()), absent: absent.clone() });
                        }
                    }
                }
                other => parts.push(other),
            }
        }
        Self { parts }
    }

    /// The text where it has no fields.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What every text of it begins with: the template up to its first field.
    #[must_use]
    pub fn start(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text with `field` in the place of each run of fields: with `*`, the pattern that all its texts match.
    #[must_use]
    pub fn pattern(&self, field: &str) -> String {
        let (mut pattern, mut was_field) = (String::new(), false);
        for part in &self.parts {
            match part {
                Part::Text(text) => pattern.push_str(text),
                Part::Field { .. } if was_field => {}
                Part::Field { .. } => pattern.push_str(field),
            }
            was_field = matches!(part, Part::Field { .. });
        }
        pattern
    }

    /// Appends the text for this event. `clean` makes of each character of a field what may stand there; the template's own
    /// text is left as it was written.
    pub fn push(&self, event: EventView<'_>, clean: impl Fn(char) -> char, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { field, absent } => {
                    let start = out.len();
                    field.push(event, &clean, out);
                    if out.len() == start {
                        out.push_str(absent);
                    }
                }
            }
        }
    }

    /// The text with [`OTHER`] for every field but those of time.
    fn push_other(&self, event: EventView<'_>, clean: impl Fn(char) -> char, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { field: field @ Field::Time(_), .. } => field.push(event, &clean, out),
                Part::Field { .. } => out.push_str(OTHER),
            }
        }
    }
}

/// A template whose texts are bounded in number: what is one too many has [`OTHER`] for its fields, so that an event with odd
/// values cannot make a destination open an index or a topic for each.
#[derive(Debug)]
pub struct Bounded {
    template: Template,
    texts_max: usize,
    seen: Mutex<BTreeSet<Box<str>>>,
}

impl Bounded {
    /// A template of which at most so many different texts are made, those with [`OTHER`] not counted.
    #[must_use]
    pub fn new(template: Template, texts_max: usize) -> Self {
        Self { template, texts_max, seen: Mutex::default() }
    }

    /// The template.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Appends the text for this event, as [`Template::push`] does, as long as there are not too many.
    pub fn push(&self, event: EventView<'_>, clean: impl Fn(char) -> char, out: &mut String) {
        let start = out.len();
        self.template.push(event, &clean, out);
        let is_one_too_many = self.template.fixed().is_none() && !self.admits(out.get(start..).unwrap_or_default());
        if is_one_too_many {
            out.truncate(start);
            self.template.push_other(event, clean, out);
        }
    }

    fn admits(&self, text: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(text) || (seen.len() < self.texts_max && seen.insert(text.into()))
    }
}

/// Reads what stands in braces.
fn field(inner: &str) -> Result<Part, Mistake> {
    let (name, absent) = inner.split_once(":-").unwrap_or((inner, ABSENT));
    let field = match name {
        "log_type" => Field::LogType,
        "source" => Field::Source,
        "account" => Field::Account,
        "region" => Field::Region,
        "severity" => Field::Severity,
        _ => match name.strip_prefix("time:") {
            Some(format) => time(format)?,
            None => path(name)?,
        },
    };
    Ok(Part::Field { field, absent: absent.to_owned() })
}

fn time(format: &str) -> Result<Field, Mistake> {
    // Directives that cannot be followed show themselves with any time.
    match jiff::fmt::strtime::format(format, &Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC)) {
        Ok(_) => Ok(Field::Time(format.to_owned())),
        Err(error) => Err(Mistake::Time { format: format.to_owned(), words: error.to_string() }),
    }
}

/// The path of an attribute that some class of OCSF has. What stands in an array is no field: there may be many of it.
fn path(name: &str) -> Result<Field, Mistake> {
    let table = Table::v1_8();
    let profiles: Vec<&str> = table.profiles().iter().map(|profile| profile.name).collect();
    let mut fault = None;
    for class in table.classes() {
        match table.resolve(&class.shape, name, &profiles) {
            Ok(_) => return Ok(Field::Path(name.split('.').map(str::to_owned).collect())),
            // The fault that comes latest on the way is of the class that was meant.
            Err(error) if fault.as_ref().is_none_or(|(length, _)| error.at.len() > *length) => {
                fault = Some((error.at.len(), error.to_string()));
            }
            Err(_) => {}
        }
    }
    let words = match nearest(name, NAMES) {
        Some(near) => format!("did you mean {{{near}}}?"),
        None => fault.map(|(_, words)| words).unwrap_or_default(),
    };
    Err(Mistake::Field { name: name.to_owned(), words })
}

impl Field {
    fn push(&self, event: EventView<'_>, clean: impl Fn(char) -> char, out: &mut String) {
        let mut put = |text: &str| out.extend(text.chars().map(&clean));
        match self {
            Self::LogType => put(&event.row.log_type),
            Self::Source => put(event.source()),
            Self::Account => put(event.account()),
            Self::Region => put(event.region()),
            Self::Severity => put(SEVERITIES.get(usize::from(event.row.severity_id)).copied().unwrap_or(OTHER)),
            Self::Time(format) => {
                let time = Timestamp::from_millisecond(event.row.time_ms).unwrap_or_default();
                let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
                // It was followed before, with another time.
                put(&jiff::fmt::strtime::format(format, &zoned).unwrap_or_default());
            }
            Self::Path(names) => {
                let mut found = String::new();
                let mut reader = serde_json::Deserializer::from_slice(event.ocsf());
                // An event that we wrote ourselves parses; an early end after the value was found is no failure.
                let _read = Scalar { names, out: &mut found }.deserialize(&mut reader);
                put(&found);
            }
        }
    }
}

/// Reads the scalar below these names into a text; nothing for objects, arrays and null. What else the document holds is
/// skipped.
struct Scalar<'a> {
    names: &'a [String],
    out: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Scalar<'_> {
    fn is_end(&self) -> bool {
        self.names.is_empty()
    }

    fn put(self, value: impl fmt::Display) {
        use fmt::Write as _;
        if self.is_end() {
            // Writing to a string does not fail.
            let _written = write!(self.out, "{value}");
        }
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.names.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == first.as_str() {
                map.next_value_seed(Scalar { names: rest, out: self.out })?;
                // What stands behind it is of no interest: the reader is left where it is.
                return Err(A::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounded, Mistake, Template};
    use crate::sink::sample::block;

    const OCSF: &str =
        r#"{"class_uid":2004,"is_alert":true,"finding_info":{"title":"a \"b\"","uid":"F-1","types":["t"]},"x":1}"#;

    fn text(template: &str) -> String {
        let block = block(OCSF, b"");
        let mut out = String::new();
        Template::parse(template).unwrap().push(block.event(0).unwrap(), |c| if c == '"' { '_' } else { c }, &mut out);
        out
    }

    /// Guards what templates give: own fields, attributes of any scalar type, times, what stands for what is absent, braces.
    #[test]
    fn fields_become_text() {
        for (template, expected) in [
            ("", ""),
            ("main", "main"),
            ("logs-{log_type}", "logs-aws.guardduty"),
            ("{source}/{severity}", "findings/high"),
            ("{time:%Y/%m/%d/%H}", "2023/11/14/22"),
            ("{finding_info.uid}-{class_uid}-{is_alert}", "F-1-2004-true"),
            ("{finding_info.title}", "a _b_"),
            ("{account}", "unknown"),
            ("{region:-none}{finding_info.desc:-}", "none"),
            ("{finding_info.types}", "unknown"),
            ("{{{log_type}}}", "{aws.guardduty}"),
        ] {
            let known = Template::parse(template);
            if template == "{finding_info.types}" {
                assert!(matches!(known, Err(Mistake::Field { .. })), "an array holds many: {known:?}");
                continue;
            }
            assert_eq!(text(template), expected, "{template}");
        }
    }

    /// Guards that a path has the levels that its template was written with, in a time too, and none from an event.
    #[test]
    fn times_of_a_path_have_levels() {
        let block = block(r#"{"finding_info":{"uid":"a/b"}}"#, b"");
        for (template, expected) in [
            ("{time:%Y/%m/%d}/", "2023/11/14/"),
            ("{log_type}/{time:dt=%Y-%m-%d/h=%H}/", "aws.guardduty/dt=2023-11-14/h=22/"),
            ("{time:/%Y//%m/}", "/2023//11/"),
            ("{time:%D}", "11_14_23"),
            ("{time:%Y}/{finding_info.uid}", "2023/a_b"),
            ("a/b", "a/b"),
        ] {
            let mut out = String::new();
            let clean = |c| if c == '/' { '_' } else { c };
            Template::parse(template).unwrap().of_path().push(block.event(0).unwrap(), clean, &mut out);
            assert_eq!(out, expected, "{template}");
        }
    }

    /// Guards that a pattern matches what the template may become.
    #[test]
    fn fields_become_one_wildcard() {
        for (template, expected) in
            [("main", "main"), ("a-{log_type}", "a-*"), ("a{region}{account}b{time:%Y}", "a*b*"), ("{region}", "*")]
        {
            assert_eq!(Template::parse(template).unwrap().pattern("*"), expected);
        }
    }

    /// Guards that a wrong template is told with what was probably meant.
    #[test]
    fn mistakes_name_the_field() {
        for (template, words) in [
            ("{log_typ}", "did you mean {log_type}?"),
            ("{finding_info.uidd}", "did you mean \"uid\"?"),
            ("a{b", "brace"),
            ("a}b", "brace"),
            ("{a{b}", "brace"),
            ("{time:%Q%!}", "{time:"),
        ] {
            let mistake = Template::parse(template).unwrap_err().to_string();
            assert!(mistake.contains(words), "{template}: {mistake}");
        }
    }

    /// Guards the bound on the number of texts: what was seen stays, what is one too many shares one text.
    #[test]
    fn texts_are_bounded() {
        let bounded = Bounded::new(Template::parse("t-{finding_info.uid}-{time:%Y}").unwrap(), 2);
        let text = |uid: &str| {
            let block = block(&format!(r#"{{"finding_info":{{"uid":"{uid}"}}}}"#), b"");
            let mut out = String::new();
            bounded.push(block.event(0).unwrap(), |c| c, &mut out);
            out
        };
        let texts = ["a", "b", "c", "a", "d"].map(text);
        assert_eq!(texts, ["t-a-2023", "t-b-2023", "t-other-2023", "t-a-2023", "t-other-2023"]);
    }
}
