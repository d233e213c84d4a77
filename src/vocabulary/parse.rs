//! The reader of the compact table.
//!
//! One fact a line; the first word says which. Lines indented by two spaces belong to the class or object above them.
//!
//! ```text
//! version 1.8.0
//! rest NAME                   the member that holds what no rule took, which no mapping writes
//! category UID CAPTION
//! profile NAME [TAG TAG]      the tags of events that declare it, in a vocabulary that has them
//! observable TYPE_ID CAPTION
//! type NAME BASE [max_len=N] [range=MIN,MAX] [observable=ID] [regex=TO THE END OF THE LINE]
//! enum NAME KEY=CAPTION|KEY=CAPTION
//! class NAME UID CATEGORY_UID [profiles=A,B] [at_least_one=A,B] [just_one=A,B] [deprecated=V] caption=TO THE END
//!   -NAME                     an attribute of base_event that this class does not have
//!   NAME TYPE[] REQUIREMENT   [enum=NAME] [sibling=NAME] [deprecated=V] [profiles=A,B] [deprecated_values=A,B] [observable=ID]
//!                             [required_by=A,B]: what only some of its profiles require
//!   NAME OBJECT{}[] ...       the same for an object; [] means array
//! object NAME ...             as class, and [observable=ID]
//! ```
//!
//! A class has every attribute of the first class (`base_event`), unless it says otherwise. The enumerations of `class_uid`,
//! `category_uid` and `type_uid` are derived from the class line and the enumeration of `activity_id`, where a class has them.

use std::collections::HashMap;

use super::table::{
    Attribute, AttributeType, Class, Constraint, EnumValue, Enumeration, Object, ObjectId, Profile, Requirement, Shape,
    Table, TypeName,
};

/// A line of the table that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What was not understood.
    pub what: &'static str,
}

/// The widest value of `integer_t` that we take: 32 bits, signed or unsigned, as the schema leaves it open.
const INTEGER_MIN: i64 = -(1 << 31);
const INTEGER_MAX: i64 = (1 << 32) - 1;

pub(super) fn parse(text: &'static str) -> Result<Table, ParseError> {
    let mut reader = Reader::new(text);
    for (index, line) in text.lines().enumerate() {
        reader.line(line).map_err(|what| ParseError { line: index + 1, what })?;
    }
    Ok(reader.finish())
}

type Parsed<T = ()> = Result<T, &'static str>;

struct Reader {
    table: Table,
    enums: HashMap<&'static str, Enumeration>,
    /// Whether indented lines belong to the last object rather than to the last class.
    in_object: bool,
}

impl Reader {
    /// Objects are named before they are read (an object may hold itself), so their places are fixed first.
    fn new(text: &'static str) -> Self {
        let names = text.lines().filter_map(|line| line.strip_prefix("object ")?.split(' ').next());
        let objects_by_name = names.enumerate().map(|(index, name)| (name, index)).collect();
        let table = Table {
            version: "",
            rest: "",
            categories: Vec::new(),
            profiles: Vec::new(),
            observables: Vec::new(),
            types: HashMap::new(),
            classes: Vec::new(),
            objects: Vec::new(),
            classes_by_name: HashMap::new(),
            objects_by_name,
        };
        Self { table, enums: HashMap::new(), in_object: false }
    }

    fn line(&mut self, line: &'static str) -> Parsed {
        if let Some(line) = line.strip_prefix("  ") {
            return self.attribute_line(line);
        }
        let (kind, rest) = line.split_once(' ').ok_or("one word alone")?;
        match kind {
            "version" => self.table.version = rest,
            "category" => self.table.categories.push(numbered(rest)?),
            "rest" => self.table.rest = rest,
            "profile" => {
                let mut words = rest.split(' ');
                let name = words.next().ok_or("no profile name")?;
                self.table.profiles.push(Profile { name, tags: words.collect() });
            }
            "observable" => self.table.observables.push(numbered(rest)?),
            "type" => self.type_line(rest)?,
            "enum" => self.enum_line(rest)?,
            "class" => self.class_line(rest)?,
            "object" => self.object_line(rest)?,
            _ => return Err("unknown kind of line"),
        }
        Ok(())
    }

    fn type_line(&mut self, rest: &'static str) -> Parsed {
        let (facts, pattern) = rest.split_once(" regex=").map_or((rest, None), |(facts, regex)| (facts, Some(regex)));
        let mut words = facts.split(' ');
        let name = words.next().ok_or("no type name")?;
        let base = words.next().ok_or("no base type")?;
        let (mut chars_max, mut range, mut observable) = (None, (INTEGER_MIN, INTEGER_MAX), None);
        for word in words {
            match word.split_once('=').ok_or("a fact without a value")? {
                ("max_len", value) => chars_max = Some(number(value)?),
                ("observable", value) => observable = Some(number(value)?),
                ("range", value) => {
                    let (min, max) = value.split_once(',').ok_or("a range is MIN,MAX")?;
                    range = (number(min)?, number(max)?);
                }
                _ => return Err("unknown fact of a type"),
            }
        }
        let attribute_type = match (name, base) {
            ("ip_t", _) | (_, "ip_t") => AttributeType::Ip,
            (_, "date_t") => AttributeType::Date,
            ("timestamp_t", _) => AttributeType::Timestamp,
            (_, "string_t") => AttributeType::Text { chars_max },
            (_, "integer_t") => AttributeType::Integer { min: range.0, max: range.1 },
            (_, "long_t") => AttributeType::Long,
            (_, "float_t") => AttributeType::Float,
            (_, "boolean_t") => AttributeType::Boolean,
            (_, "json_t") => AttributeType::Json,
            _ => return Err("unknown base type"),
        };
        self.table.types.insert(name, TypeName { name, attribute_type, pattern, observable });
        Ok(())
    }

    fn enum_line(&mut self, rest: &'static str) -> Parsed {
        let (name, values) = rest.split_once(' ').ok_or("an enumeration without values")?;
        let values = values.split('|').map(|pair| {
            let (key, caption) = pair.split_once('=').ok_or("an enumerated value is KEY=CAPTION")?;
            Ok(EnumValue { key: key.into(), caption: caption.into() })
        });
        self.enums.insert(name, Enumeration { values: values.collect::<Parsed<_>>()? });
        Ok(())
    }

    fn class_line(&mut self, rest: &'static str) -> Parsed {
        self.finish_class();
        let (facts, mut shape) = shape_line(rest)?;
        let mut words = facts.split(' ').skip(1);
        let uid = number(words.next().ok_or("no class uid")?)?;
        let category_uid = number(words.next().ok_or("no category uid")?)?;
        for word in words {
            shape_fact(&mut shape, word)?;
        }
        let category_name = self.table.category_caption(category_uid).ok_or("unknown category")?;
        // What the schema gives every event stands once, in the first class.
        shape.attributes = self.table.classes.first().map(|base| base.shape.attributes.clone()).unwrap_or_default();
        self.table.classes_by_name.insert(shape.name, self.table.classes.len());
        self.table.classes.push(Class { uid, category_uid, category_name, shape });
        Ok(())
    }

    fn object_line(&mut self, rest: &'static str) -> Parsed {
        self.finish_class();
        self.in_object = true;
        let (facts, mut shape) = shape_line(rest)?;
        let mut observable = None;
        for word in facts.split(' ').skip(1) {
            match word.split_once('=') {
                Some(("observable", value)) => observable = Some(number(value)?),
                _ => shape_fact(&mut shape, word)?,
            }
        }
        self.table.objects.push(Object { observable, shape });
        Ok(())
    }

    fn attribute_line(&mut self, line: &'static str) -> Parsed {
        let attribute = if line.starts_with('-') { None } else { Some(self.attribute(line)?) };
        let name = attribute.as_ref().map_or_else(|| line.trim_start_matches('-'), |attribute| attribute.name);
        let object = self.table.objects.last_mut().filter(|_| self.in_object).map(|object| &mut object.shape);
        let shape = object.or_else(|| self.table.classes.last_mut().map(|class| &mut class.shape));
        let attributes = &mut shape.ok_or("an attribute before any class or object")?.attributes;
        match attributes.binary_search_by(|attribute| attribute.name.cmp(name)) {
            Ok(index) => {
                attributes.remove(index);
                attributes.splice(index..index, attribute);
            }
            Err(index) => {
                attributes.insert(index, attribute.ok_or("base_event has no such attribute to leave out")?);
            }
        }
        Ok(())
    }

    fn attribute(&self, line: &'static str) -> Parsed<Attribute> {
        let mut words = line.split(' ');
        let name = words.next().ok_or("no attribute name")?;
        let kind = words.next().ok_or("no attribute type")?;
        let (kind, is_array) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
        let (type_name, attribute_type, type_observable) = if let Some(object) = kind.strip_suffix("{}") {
            let id = *self.table.objects_by_name.get(object).ok_or("unknown object")?;
            (object, AttributeType::Object(ObjectId(id)), None)
        } else {
            let scalar = self.table.types.get(kind).ok_or("unknown type")?;
            (kind, scalar.attribute_type, scalar.observable)
        };
        let requirement = match words.next() {
            Some("required") => Requirement::Required,
            Some("recommended") => Requirement::Recommended,
            Some("optional") => Requirement::Optional,
            _ => return Err("unknown requirement"),
        };
        let mut attribute = Attribute {
            name,
            type_name,
            attribute_type,
            is_array,
            requirement,
            enumeration: None,
            sibling: None,
            profiles: Vec::new(),
            required_by: Vec::new(),
            deprecated: None,
            deprecated_values: Vec::new(),
            observable: type_observable,
        };
        for word in words {
            match word.split_once('=').ok_or("a fact without a value")? {
                ("enum", value) => {
                    attribute.enumeration = Some(self.enums.get(value).ok_or("unknown enumeration")?.clone());
                }
                ("sibling", value) => attribute.sibling = Some(value),
                ("deprecated", value) => attribute.deprecated = Some(value),
                ("profiles", value) => attribute.profiles = value.split(',').collect(),
                ("required_by", value) => attribute.required_by = value.split(',').collect(),
                ("deprecated_values", value) => attribute.deprecated_values = value.split(',').collect(),
                ("observable", value) => attribute.observable = Some(number(value)?),
                _ => return Err("unknown fact of an attribute"),
            }
        }
        Ok(attribute)
    }

    /// Gives the last class the enumerations that follow from its own line.
    fn finish_class(&mut self) {
        let Some(class) = self.table.classes.last_mut().filter(|_| !self.in_object) else { return };
        let one =
            |key: u32, caption: &'static str| vec![EnumValue { key: key.to_string().into(), caption: caption.into() }];
        let caption = class.shape.caption;
        let activities = class.shape.attribute("activity_id").and_then(|attribute| attribute.enumeration.clone());
        let types = activities.iter().flat_map(|activities| &activities.values).filter_map(|activity| {
            let key = class.uid * 100 + activity.key.parse::<u32>().ok()?;
            Some(EnumValue { key: key.to_string().into(), caption: format!("{caption}: {}", activity.caption).into() })
        });
        let types: Vec<_> = types.collect();
        let derived = [
            ("class_uid", one(class.uid, caption)),
            ("category_uid", one(class.category_uid, class.category_name)),
            ("type_uid", types),
        ];
        for (name, values) in derived {
            if let Some(attribute) = class.shape.attributes.iter_mut().find(|attribute| attribute.name == name) {
                attribute.enumeration = Some(Enumeration { values });
            }
        }
    }

    fn finish(mut self) -> Table {
        self.finish_class();
        self.table
    }
}

/// The facts before the caption (the first is the name), and a shape with the name and the caption.
fn shape_line(rest: &'static str) -> Parsed<(&'static str, Shape)> {
    let (facts, caption) = rest.split_once(" caption=").ok_or("no caption")?;
    let name = facts.split(' ').next().unwrap_or(facts);
    let (attributes, constraints, profiles) = (Vec::new(), Vec::new(), Vec::new());
    Ok((facts, Shape { name, caption, attributes, constraints, profiles, deprecated: None }))
}

fn shape_fact(shape: &mut Shape, word: &'static str) -> Parsed {
    match word.split_once('=').ok_or("a fact without a value")? {
        ("profiles", value) => shape.profiles = value.split(',').collect(),
        ("at_least_one", value) => shape.constraints.push(Constraint::AtLeastOne(value.split(',').collect())),
        ("just_one", value) => shape.constraints.push(Constraint::JustOne(value.split(',').collect())),
        ("deprecated", value) => shape.deprecated = Some(value),
        _ => return Err("unknown fact of a class or object"),
    }
    Ok(())
}

fn numbered(rest: &'static str) -> Parsed<(u32, &'static str)> {
    let (id, caption) = rest.split_once(' ').ok_or("a number without a caption")?;
    Ok((number(id)?, caption))
}

fn number<N: std::str::FromStr>(text: &str) -> Parsed<N> {
    text.parse().map_err(|_| "not a number")
}
