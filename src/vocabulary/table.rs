//! The table and its look-ups.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{ParseError, parse};

/// The classes of one version of a vocabulary that we target, and every object that they reach.
#[derive(Debug)]
pub struct Table {
    pub(super) version: &'static str,
    pub(super) rest: &'static str,
    pub(super) categories: Vec<(u32, &'static str)>,
    pub(super) profiles: Vec<Profile>,
    pub(super) observables: Vec<(u32, &'static str)>,
    pub(super) types: HashMap<&'static str, TypeName>,
    pub(super) classes: Vec<Class>,
    pub(super) objects: Vec<Object>,
    pub(super) classes_by_name: HashMap<&'static str, usize>,
    pub(super) objects_by_name: HashMap<&'static str, usize>,
}

/// What an event may declare, so that some attributes become legal: a profile of OCSF, a data model of CIM.
#[derive(Debug)]
pub struct Profile {
    /// Its name in mappings and events.
    pub name: &'static str,
    /// The tags of events that declare it; OCSF has none.
    pub tags: Vec<&'static str>,
}

/// An event class.
#[derive(Debug)]
pub struct Class {
    /// `class_uid`.
    pub uid: u32,
    /// `category_uid`.
    pub category_uid: u32,
    /// `category_name`.
    pub category_name: &'static str,
    /// Name, caption and attributes.
    pub shape: Shape,
}

/// An object: the type of attributes that hold JSON objects.
#[derive(Debug)]
pub struct Object {
    /// The observable `type_id` that the object as a whole stands for (20 for an endpoint).
    pub observable: Option<u32>,
    /// Name, caption and attributes.
    pub shape: Shape,
}

/// What classes and objects have in common.
#[derive(Debug)]
pub struct Shape {
    /// The name in paths and mappings: `detection_finding`.
    pub name: &'static str,
    /// The name people read, `class_name` for a class: `Detection Finding`.
    pub caption: &'static str,
    /// Sorted by name.
    pub attributes: Vec<Attribute>,
    /// What must hold between attributes, beyond each one's own requirement.
    pub constraints: Vec<Constraint>,
    /// The profiles that apply to this shape. For a class: those that `metadata.profiles` may name.
    pub profiles: Vec<&'static str>,
    /// The OCSF version that deprecated it.
    pub deprecated: Option<&'static str>,
}

/// One attribute of a class or object.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// The key in the JSON object.
    pub name: &'static str,
    /// The name of the OCSF type (`hostname_t`) or, for objects, of the object (`network_endpoint`).
    pub type_name: &'static str,
    /// What values it takes.
    pub attribute_type: AttributeType,
    /// Whether it holds an array of that type.
    pub is_array: bool,
    /// How much the schema wants it.
    pub requirement: Requirement,
    /// The legal values, if they are enumerated.
    pub enumeration: Option<Enumeration>,
    /// For an enumerated id: the attribute that carries its caption, or the source's own word for 99.
    pub sibling: Option<&'static str>,
    /// The profiles that supply it: one of them must be declared. Empty: it is always there.
    pub profiles: Vec<&'static str>,
    /// Those of its profiles that require it, where others only allow it.
    pub required_by: Vec<&'static str>,
    /// The OCSF version that deprecated it.
    pub deprecated: Option<&'static str>,
    /// Values of the enumeration that are deprecated.
    pub deprecated_values: Vec<&'static str>,
    /// The observable `type_id` of its values: its own, else its scalar type's. For an object attribute only its own: the
    /// object's stands in [`Object::observable`], and [`Table::observable_of`] gives whichever applies.
    pub observable: Option<u32>,
}

/// What values an attribute takes, once the schema's type names are reduced to what a checker or converter decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeType {
    /// Text of any kind, at most so many characters.
    Text {
        /// The longest legal text, in Unicode characters.
        chars_max: Option<usize>,
    },
    /// Text that is an IPv4 or IPv6 address.
    Ip,
    /// `integer_t` (32 bits, signed or not) and what narrows it (`port_t`: 0 to 65535).
    Integer {
        /// The least legal value.
        min: i64,
        /// The greatest legal value.
        max: i64,
    },
    /// A 64-bit signed integer.
    Long,
    /// `timestamp_t`: milliseconds since 1970 in 64 signed bits.
    Timestamp,
    /// A point in time as text: RFC 3339 in UTC with milliseconds.
    Date,
    /// Any JSON number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Any JSON value.
    Json,
    /// A JSON object of this shape; see [`Table::object_at`].
    Object(ObjectId),
}

/// The place of an object in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectId(pub(super) usize);

/// A named scalar type of the schema.
#[derive(Debug, Clone)]
pub struct TypeName {
    /// `hostname_t`.
    pub name: &'static str,
    /// What values it takes.
    pub attribute_type: AttributeType,
    /// The pattern that its texts should match, in the syntax of the `regex` crate.
    pub pattern: Option<&'static str>,
    /// The observable `type_id` of its values.
    pub observable: Option<u32>,
}

/// How much the schema wants an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// An event without it is invalid (if its profile is declared, where one gates it).
    Required,
    /// Expected where the source knows it.
    Recommended,
    /// Nice to have.
    Optional,
}

/// A rule between attributes of one shape. Keys may be dotted paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// One or more of these must be there.
    AtLeastOne(Vec<&'static str>),
    /// Exactly one of these must be there.
    JustOne(Vec<&'static str>),
}

/// Enumerated values in order: numbers by size, words by alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enumeration {
    /// The values.
    pub values: Vec<EnumValue>,
}

/// One enumerated value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumValue {
    /// The value as text: `99`, `GET`. Whether it is a number or a string in JSON is for the attribute's type to say.
    pub key: Cow<'static, str>,
    /// What the sibling carries.
    pub caption: Cow<'static, str>,
}

impl Table {
    /// Reads a table from its text.
    ///
    /// # Errors
    ///
    /// With the first line that does not parse. The texts are embedded, and tests parse them.
    pub fn parse(text: &'static str) -> Result<Self, ParseError> {
        parse::parse(text)
    }

    /// The version of the vocabulary; of OCSF as `metadata.version` carries it.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// The member of a document that holds what no rule took: `unmapped` in OCSF.
    pub fn rest(&self) -> &'static str {
        self.rest
    }

    /// The class of this name (`detection_finding`).
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes_by_name.get(name).and_then(|&index| self.classes.get(index))
    }

    /// The class of this `class_uid`.
    pub fn class_by_uid(&self, uid: u32) -> Option<&Class> {
        self.classes.iter().find(|class| class.uid == uid)
    }

    /// All classes, by uid.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The object of this name (`network_endpoint`).
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects_by_name.get(name).and_then(|&index| self.objects.get(index))
    }

    /// The object at this place; `None` only for an id of another table.
    pub fn object_at(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0)
    }

    /// The object that the attribute holds; `None` if it holds scalars.
    pub fn object_of(&self, attribute: &Attribute) -> Option<&Object> {
        match attribute.attribute_type {
            AttributeType::Object(id) => self.object_at(id),
            _ => None,
        }
    }

    /// All objects, by name.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The scalar type of this name (`hostname_t`).
    pub fn type_named(&self, name: &str) -> Option<&TypeName> {
        self.types.get(name)
    }

    /// All scalar types, in no order.
    pub fn types(&self) -> impl Iterator<Item = &TypeName> {
        self.types.values()
    }

    /// The observable `type_id` that values of this attribute have: the attribute's own, its scalar type's or its object's.
    pub fn observable_of(&self, attribute: &Attribute) -> Option<u32> {
        attribute.observable.or_else(|| self.object_of(attribute)?.observable)
    }

    /// The caption of an observable `type_id`: what `observables[].type` carries.
    pub fn observable_caption(&self, type_id: u32) -> Option<&'static str> {
        self.observables.iter().find(|(id, _)| *id == type_id).map(|(_, caption)| *caption)
    }

    /// The caption of a category: what `category_name` carries.
    pub fn category_caption(&self, uid: u32) -> Option<&'static str> {
        self.categories.iter().find(|(id, _)| *id == uid).map(|(_, caption)| *caption)
    }

    /// All profiles, sorted by name.
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The profile of this name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

impl Shape {
    /// The attribute of this name, whether or not its profile is declared.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let index = self.attributes.binary_search_by(|attribute| attribute.name.cmp(name)).ok()?;
        self.attributes.get(index)
    }

    /// Whether the shape takes any key: the schema's plain `object`, the type of `unmapped` and `xattributes`.
    pub fn is_open(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Whether the profile applies to this shape.
    pub fn accepts_profile(&self, profile: &str) -> bool {
        self.profiles.contains(&profile)
    }
}

impl Attribute {
    /// Whether it is there when these profiles are declared.
    pub fn is_in_force<S: AsRef<str>>(&self, declared: &[S]) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|gate| declared.iter().any(|name| name.as_ref() == *gate))
    }

    /// Whether an event that declares these profiles is not valid without it.
    pub fn is_required<S: AsRef<str>>(&self, declared: &[S]) -> bool {
        let is_declared = |gate: &&str| declared.iter().any(|name| name.as_ref() == *gate);
        self.is_in_force(declared)
            && (self.requirement == Requirement::Required || self.required_by.iter().any(is_declared))
    }

    /// Whether it holds JSON objects.
    pub fn is_object(&self) -> bool {
        matches!(self.attribute_type, AttributeType::Object(_))
    }
}

impl Enumeration {
    /// The caption of a value given as text (`"99"`, `"GET"`); `None` if the value is not enumerated.
    pub fn caption(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|value| value.key == key).map(|value| &*value.caption)
    }

    /// The value as text whose caption this is; captions compare exactly.
    pub fn key_of(&self, caption: &str) -> Option<&str> {
        self.values.iter().find(|value| value.caption == caption).map(|value| &*value.key)
    }
}
