//! The strict check of a finished event against the table: for tests and `siemline test`, never on the data path.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Attribute, AttributeType, Class, Constraint, Enumeration, Object, Requirement, Shape, Table};

mod observables;
#[cfg(test)]
mod tests;

/// One thing that is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `evidences[0].src_endpoint.ip`; empty for the event itself.
    pub path: String,
    /// What kind.
    pub code: Code,
    /// What was wanted or found.
    pub words: String,
}

/// Whether a problem makes the event invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The event is valid, but something about it is doubtful.
    Warning,
    /// The event is no valid OCSF.
    Error,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The event is no JSON object.
    NotObject,
    /// `metadata.version` is not there.
    VersionMissing,
    /// `metadata.version` is not the table's.
    VersionUnknown,
    /// `class_uid` is no class of the table.
    ClassUnknown,
    /// `metadata.profiles` names no profile of the schema.
    ProfileUnknown,
    /// `metadata.profiles` names a profile that the class does not accept.
    ProfileNotApplicable,
    /// The shape has no such attribute.
    UnknownAttribute,
    /// The attribute exists only under a profile that the event does not declare.
    ProfileOff,
    /// A required attribute is not there.
    RequiredMissing,
    /// An attribute that a declared profile requires is not there.
    ProfileRequiredMissing,
    /// The JSON type is not the attribute's.
    WrongType,
    /// A number outside its type's range.
    Range,
    /// A text beyond its type's length.
    MaxLen,
    /// A value outside the enumeration.
    EnumUnknown,
    /// An array of captions that does not go with its array of ids.
    EnumArraySibling,
    /// `type_uid` is not `class_uid * 100 + activity_id`.
    TypeUid,
    /// `category_uid` is not the class's.
    CategoryUid,
    /// A rule between attributes is broken.
    Constraint,
    /// `observables[].name` is no path of the class.
    ObservableName,
    /// `observables[].value` is not what the event has there.
    ObservableValue,
    /// `observables[].type_id` is not the attribute's.
    ObservableType,
    /// A class, object, attribute or enumerated value that the schema deprecated.
    Deprecated,
    /// A caption beside an id that is not the id's.
    SiblingCaption,
    /// The caption `Other` beside 99, where the source's own word belongs.
    SiblingOther,
    /// A text that does not match its type's pattern.
    Regex,
    /// A timestamp that looks like seconds, microseconds or nanoseconds.
    TimeUnit,
    /// An empty text, object or array.
    Empty,
    /// A null.
    Null,
    /// An `integer_t` outside 32 bits.
    Int32,
}

impl Code {
    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Deprecated
            | Self::SiblingCaption
            | Self::SiblingOther
            | Self::Regex
            | Self::TimeUnit
            | Self::Empty
            | Self::Null
            | Self::Int32 => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl Problem {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the event" } else { &self.path };
        write!(formatter, "{path}: {}", self.words)
    }
}

/// Checks an event against OCSF 1.8.0 and tells everything that is wrong with it, in the order of the event.
///
/// An event whose version or class is not ours gets that one problem: nothing else can be said about it.
pub fn validate(event: &Value) -> Vec<Problem> {
    let mut check = Check { table: Table::v1_8(), profiles: Vec::new(), problems: Vec::new() };
    check.event(event);
    check.problems
}

struct Check<'a> {
    table: &'static Table,
    /// What `metadata.profiles` declares.
    profiles: Vec<&'a str>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn tell(&mut self, code: Code, path: impl Into<String>, words: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), code, words: words.into() });
    }

    fn event(&mut self, event: &'a Value) {
        let Value::Object(members) = event else {
            return self.tell(Code::NotObject, "", "is no JSON object");
        };
        let metadata = members.get("metadata");
        match metadata.and_then(|metadata| metadata.get("version")) {
            None | Some(Value::Null) => return self.tell(Code::VersionMissing, "metadata.version", "is missing"),
            Some(version) if version.as_str() != Some(self.table.version()) => {
                return self.tell(Code::VersionUnknown, "metadata.version", format!("{version} is not ours"));
            }
            Some(_) => {}
        }
        let uid = members.get("class_uid").unwrap_or(&Value::Null);
        let class = uid.as_u64().and_then(|uid| self.table.class_by_uid(uid.try_into().ok()?));
        let Some(class) = class else {
            return self.tell(Code::ClassUnknown, "class_uid", format!("{uid} is no class of ours"));
        };
        self.declare_profiles(class, metadata.and_then(|metadata| metadata.get("profiles")));
        self.shape(members, &class.shape, None, "");
        self.class_numbers(members, class);
        self.observables(event, class);
    }

    fn declare_profiles(&mut self, class: &Class, declared: Option<&'a Value>) {
        let declared = declared.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for profile in declared {
            if self.table.profile(profile).is_none() {
                self.tell(Code::ProfileUnknown, "metadata.profiles", format!("no profile {profile:?}"));
            } else if !class.shape.accepts_profile(profile) {
                let words = format!("{profile} does not apply to {}", class.shape.name);
                self.tell(Code::ProfileNotApplicable, "metadata.profiles", words);
            }
            self.profiles.push(profile);
        }
    }

    fn class_numbers(&mut self, members: &Map<String, Value>, class: &Class) {
        let integer = |name: &str| members.get(name).and_then(Value::as_i64);
        if let (Some(activity), Some(found)) = (integer("activity_id"), integer("type_uid")) {
            let want = i64::from(class.uid).saturating_mul(100).saturating_add(activity);
            if found != want {
                self.tell(Code::TypeUid, "type_uid", format!("want {want}, got {found}"));
            }
        }
        if let Some(found) = present(members, "category_uid")
            && found.as_u64() != Some(class.category_uid.into())
        {
            self.tell(Code::CategoryUid, "category_uid", format!("want {}, got {found}", class.category_uid));
        }
        for (name, want) in [("class_name", class.shape.caption), ("category_name", class.category_name)] {
            if let Some(found) = present(members, name)
                && found.as_str() != Some(want)
            {
                self.tell(Code::SiblingCaption, name, format!("want {want:?}, got {found}"));
            }
        }
    }

    fn shape(&mut self, members: &Map<String, Value>, shape: &Shape, object: Option<&Object>, path: &str) {
        if let Some(since) = shape.deprecated {
            let kind = if object.is_some() { "object" } else { "class" };
            let at = if path.is_empty() { shape.name } else { path };
            self.tell(Code::Deprecated, at, format!("{kind} {} since {since}", shape.name));
        }
        if shape.is_open() {
            return;
        }
        if members.is_empty() {
            self.tell(Code::Empty, path, "empty object");
        }
        for (name, value) in members {
            self.member(members, name, value, shape, path);
        }
        for attribute in &shape.attributes {
            let is_required = attribute.requirement == Requirement::Required && attribute.is_in_force(&self.profiles);
            if is_required && present(members, attribute.name).is_none() {
                let gated = !attribute.profiles.is_empty();
                let code = if gated { Code::ProfileRequiredMissing } else { Code::RequiredMissing };
                self.tell(code, below(path, attribute.name), "is required and missing");
            }
        }
        for constraint in &shape.constraints {
            self.constraint(constraint, members, path);
        }
    }

    fn member(&mut self, members: &Map<String, Value>, name: &str, value: &Value, shape: &Shape, path: &str) {
        let at = below(path, name);
        let Some(attribute) = shape.attribute(name) else {
            return self.tell(Code::UnknownAttribute, at, format!("{} has no such attribute", shape.name));
        };
        if !attribute.is_in_force(&self.profiles) {
            return self.tell(Code::ProfileOff, at, format!("needs profile {}", attribute.profiles.join(" or ")));
        }
        if value.is_null() {
            return self.tell(Code::Null, at, "null");
        }
        if let Some(since) = attribute.deprecated {
            self.tell(Code::Deprecated, &at, format!("attribute since {since}"));
        }
        if attribute.is_array {
            let Value::Array(elements) = value else {
                return self.tell(Code::WrongType, at, format!("want an array, got {}", kind_of(value)));
            };
            if elements.is_empty() {
                self.tell(Code::Empty, &at, "empty array");
            }
            for (index, element) in elements.iter().enumerate() {
                let at = format!("{at}[{index}]");
                if element.is_null() {
                    self.tell(Code::WrongType, at, "null element");
                } else {
                    self.value(element, attribute, at);
                }
            }
        } else {
            self.value(value, attribute, at);
        }
        if let Some(enumeration) = &attribute.enumeration {
            self.enumerated(members, value, attribute, enumeration, path);
        }
    }

    fn value(&mut self, value: &Value, attribute: &Attribute, at: String) {
        let wrong = |want: &str| format!("want {want}, got {}", kind_of(value));
        match attribute.attribute_type {
            AttributeType::Object(_) => match (value, self.table.object_of(attribute)) {
                (Value::Object(members), Some(object)) => self.shape(members, &object.shape, Some(object), &at),
                _ => self.tell(Code::WrongType, at, wrong(attribute.type_name)),
            },
            AttributeType::Text { chars_max } => match value.as_str() {
                Some(text) => self.text(text, chars_max, attribute, at),
                None => self.tell(Code::WrongType, at, wrong(attribute.type_name)),
            },
            AttributeType::Ip => match value.as_str() {
                Some(text) => self.text(text, Some(40), attribute, at),
                None => self.tell(Code::WrongType, at, wrong(attribute.type_name)),
            },
            AttributeType::Integer { .. } | AttributeType::Long | AttributeType::Timestamp => {
                self.integer(value, attribute, at);
            }
            AttributeType::Float if !value.is_number() => self.tell(Code::WrongType, at, wrong("float_t")),
            AttributeType::Boolean if !value.is_boolean() => self.tell(Code::WrongType, at, wrong("boolean_t")),
            AttributeType::Float | AttributeType::Boolean | AttributeType::Json | AttributeType::Date => {}
        }
    }

    fn text(&mut self, text: &str, chars_max: Option<usize>, attribute: &Attribute, at: String) {
        if text.is_empty() {
            return self.tell(Code::Empty, at, "empty text");
        }
        let fits = match attribute.attribute_type {
            AttributeType::Ip => text.split('%').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()),
            _ => pattern_of(attribute.type_name).is_none_or(|pattern| pattern.is_match(text)),
        };
        if !fits {
            self.tell(Code::Regex, &at, format!("no {}: {:?}", attribute.type_name, shortened(text)));
        }
        if chars_max.is_some_and(|chars_max| text.chars().count() > chars_max) {
            self.tell(Code::MaxLen, at, format!("longer than {} allows", attribute.type_name));
        }
    }

    fn integer(&mut self, value: &Value, attribute: &Attribute, at: String) {
        if value.is_u64() && !value.is_i64() {
            return self.tell(Code::Range, at, format!("{value} exceeds 64 bits"));
        }
        let Some(number) = value.as_i64() else {
            let words = format!("want {}, got {}", attribute.type_name, kind_of(value));
            return self.tell(Code::WrongType, at, words);
        };
        match attribute.attribute_type {
            AttributeType::Integer { min, max } if !(min..=max).contains(&number) => {
                // Plain `integer_t` has no range in the schema: 32 bits is what it is taken for.
                let is_narrowed = attribute.type_name != "integer_t";
                let code = if is_narrowed { Code::Range } else { Code::Int32 };
                self.tell(code, at, format!("{number} is outside {min} to {max}"));
            }
            AttributeType::Timestamp if number != 0 && !(100_000_000_000..10_000_000_000_000).contains(&number) => {
                self.tell(Code::TimeUnit, at, format!("{number} does not look like milliseconds"));
            }
            _ => {}
        }
    }

    fn enumerated(
        &mut self,
        members: &Map<String, Value>,
        value: &Value,
        attribute: &Attribute,
        enumeration: &Enumeration,
        path: &str,
    ) {
        let sibling = attribute.sibling.and_then(|name| Some((below(path, name), present(members, name)?)));
        let at = below(path, attribute.name);
        if let (true, Value::Array(elements)) = (attribute.is_array, value) {
            let captions = sibling.and_then(|(at, captions)| Some((at, captions.as_array()?)));
            for (index, element) in elements.iter().enumerate() {
                let Some(caption) = self.caption(element, attribute, enumeration, format!("{at}[{index}]")) else {
                    continue;
                };
                if let Some((at, captions)) = &captions
                    && element != 99
                    && captions.get(index).and_then(Value::as_str) != Some(caption)
                {
                    self.tell(Code::EnumArraySibling, format!("{at}[{index}]"), format!("want {caption:?}"));
                }
            }
            return;
        }
        if !value.is_string() && !value.is_i64() && !value.is_u64() {
            return;
        }
        let Some(caption) = self.caption(value, attribute, enumeration, at) else { return };
        let Some((at, found)) = sibling else { return };
        if value == 99 {
            if found == caption {
                self.tell(Code::SiblingOther, at, "99 should carry the source's own value");
            }
        } else if found != caption {
            self.tell(Code::SiblingCaption, at, format!("want {caption:?}, got {found}"));
        }
    }

    /// The caption of one enumerated value, after telling what is wrong with the value itself.
    fn caption<'e>(
        &mut self,
        value: &Value,
        attribute: &Attribute,
        enumeration: &'e Enumeration,
        at: String,
    ) -> Option<&'e str> {
        let key = text_of(value);
        let Some(caption) = enumeration.caption(&key) else {
            self.tell(Code::EnumUnknown, at, format!("{value} is not enumerated"));
            return None;
        };
        if attribute.deprecated_values.contains(&key.as_str()) {
            self.tell(Code::Deprecated, at, format!("enumerated value {key}"));
        }
        Some(caption)
    }

    fn constraint(&mut self, constraint: &Constraint, members: &Map<String, Value>, path: &str) {
        let count = |keys: &[&str]| keys.iter().filter(|key| present_at(members, key)).count();
        match constraint {
            Constraint::AtLeastOne(keys) if count(keys) == 0 => {
                self.tell(Code::Constraint, path, format!("needs at least one of {}", keys.join(", ")));
            }
            Constraint::JustOne(keys) if count(keys) != 1 => {
                let words = format!("needs just one of {}, has {}", keys.join(", "), count(keys));
                self.tell(Code::Constraint, path, words);
            }
            _ => {}
        }
    }
}

/// The member, unless it is absent or null.
fn present<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// Whether something stands at a dotted key.
fn present_at(members: &Map<String, Value>, key: &str) -> bool {
    let mut names = key.split('.');
    let first = names.next().and_then(|name| present(members, name));
    let last = names.try_fold(first, |value, name| value.map(|value| value.get(name).filter(|value| !value.is_null())));
    last.flatten().is_some()
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A scalar as text, without the quotes of a string.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The compiled pattern of a scalar type; a test compiles them all.
fn pattern_of(type_name: &str) -> Option<&'static Regex> {
    static PATTERNS: OnceLock<Vec<(&'static str, Regex)>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        let types = Table::v1_8().types();
        types.filter_map(|scalar| Some((scalar.name, Regex::new(scalar.pattern?).ok()?))).collect()
    });
    patterns.iter().find(|(name, _)| *name == type_name).map(|(_, pattern)| pattern)
}
