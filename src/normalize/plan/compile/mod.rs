//! From a mapping as it was read to a plan.

mod object;
mod rule;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::json::{push_comma, push_string};
use super::super::mapping::ast::{self, At, Keys, Segment, Step};
use super::super::text::Layout;
use super::{Case, Error, Ignore, Match, Parse, Plan, Scope, Trie};
use object::{items, prefix, push_fixed};
use rule::steps_of;

use crate::vocabulary::{Class, Shape, Table};

/// The bit of a member that no rule writes: what asks for it is never met.
const NEVER: u128 = 1 << 127;

/// What the engine writes into every class, so that no rule has to.
const ENGINE: [&str; 7] =
    ["class_uid", "category_uid", "type_uid", "activity_id", "observables", "unmapped", "class_name"];

/// The state of compiling one mapping.
pub(super) struct Compiler {
    table: &'static Table,
    keys: Keys,
    slots: usize,
    scopes: Vec<Scope>,
    /// The scopes around the rule that is compiled, the root first.
    stack: Vec<usize>,
    /// The key slots of the `each`es around it.
    each: Vec<usize>,
    depth: usize,
    profiles: Vec<String>,
    /// Which mapping of which version wrote the event: `"transformation_info_list":[..]`.
    transformation: Vec<u8>,
    parts: Arc<BTreeMap<String, ast::Body>>,
    /// Constants of the class that the engine must know.
    activity: Option<i64>,
    severity: Option<i64>,
    time: Option<i64>,
}

/// A rule or block on its way to the object it belongs to: what is left of its target.
#[derive(Clone, Copy)]
enum Item<'b> {
    Set(&'b [Segment], &'b ast::Rule),
    Block(&'b [Segment], &'b ast::Block),
    Need(&'b [Segment]),
}

/// The members of an object that is compiled, and their bits.
#[derive(Default)]
struct Bits {
    by_name: HashMap<String, u128>,
}

/// Where a rule's target stands.
struct Site<'s> {
    shape: &'static Shape,
    /// The target of the object, from the class on; empty for the class.
    path: &'s str,
    /// Whether constants may be rendered at once: not where what another block wrote stands.
    may_fold: bool,
}

type Fallible<T> = Result<T, Error>;

impl Compiler {
    pub(super) fn new(table: &'static Table, keys: Keys) -> Self {
        let mut compiler = Self {
            table,
            keys,
            slots: 0,
            scopes: Vec::new(),
            stack: Vec::new(),
            each: Vec::new(),
            depth: 0,
            profiles: Vec::new(),
            transformation: Vec::new(),
            parts: Arc::default(),
            activity: None,
            severity: None,
            time: None,
        };
        let root = compiler.begin_scope(keys);
        compiler.stack.push(root);
        compiler
    }

    /// Adds a scope; it is entered by [`Self::within`].
    pub(super) fn begin_scope(&mut self, keys: Keys) -> usize {
        let key_slot = self.slots;
        self.slots = self.slots.saturating_add(1);
        let trie = Trie::new(keys, &mut self.slots);
        self.scopes.push(Scope { trie, key_slot, depth: 0 });
        self.scopes.len().saturating_sub(1)
    }

    /// Compiles with this scope as the root.
    pub(super) fn at_root<R>(&mut self, scope: usize, compile: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.stack, vec![scope]);
        let made = compile(self);
        self.stack = before;
        made
    }

    fn within<R>(&mut self, scope: usize, compile: impl FnOnce(&mut Self) -> R) -> R {
        self.stack.push(scope);
        let made = compile(self);
        self.stack.pop();
        made
    }

    /// The slot of a path of keys from the root.
    pub(super) fn root_slot(&mut self, keys: &[&str]) -> usize {
        let steps: Vec<Step> = keys.iter().map(|key| Step::Key((*key).to_owned())).collect();
        self.slot(0, &steps).0
    }

    pub(super) fn into_detector(self) -> Plan {
        Plan {
            log_type: Arc::from("detector"),
            keys: self.keys,
            scopes: self.scopes,
            slots: self.slots,
            cases: Vec::new(),
            parses: Vec::new(),
            ignores: Vec::new(),
            layout: None,
            zone: TimeZone::UTC,
            matches: Vec::new(),
            names: Vec::new(),
            rest: Box::default(),
        }
    }

    pub(super) fn plan(mut self, mapping: ast::Mapping, matches: Vec<Match>) -> Result<Plan, Vec<Error>> {
        let mut errors = Vec::new();
        self.transformation = transformation(&mapping);
        self.parts = Arc::new(mapping.parts);
        let mut cases = Vec::new();
        for case in &mapping.cases {
            match self.case(case) {
                Ok(case) => cases.push(case),
                Err(error) => errors.push(error),
            }
        }
        let at = mapping.cases.first().map(|case| case.at.clone());
        let mut parses = Vec::new();
        for parse in mapping.parses {
            let twin = parse.twin.map(|twin| steps_of(&twin, at.as_ref())).transpose();
            match (steps_of(&parse.path, at.as_ref()), twin) {
                (Ok(path), Ok(twin)) => parses.push(Parse { id: parse.id, path, twin }),
                (Err(error), _) | (_, Err(error)) => errors.push(error),
            }
        }
        let mut ignores = Vec::new();
        for ignore in &mapping.ignores {
            match self.path(&ignore.path, at.as_ref()) {
                Ok(path) => ignores.push(Ignore { id: ignore.id, path }),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Plan {
            log_type: mapping.log_type,
            keys: self.keys,
            scopes: self.scopes,
            slots: self.slots,
            cases,
            parses,
            ignores,
            layout: mapping.text.map(Layout::new),
            zone: TimeZone::UTC,
            matches,
            names: mapping.rules,
            rest: prefix(self.table.rest()),
        })
    }

    fn case(&mut self, case: &ast::Case) -> Fallible<Case> {
        let Some(class) = self.table.class(&case.class) else {
            return Err(error(&case.at, format!("no class {:?}", case.class)));
        };
        self.profiles.clone_from(&case.profiles);
        (self.activity, self.severity, self.time) = (None, None, None);
        let when = self.conditions(&case.when, &case.at)?;
        let site = Site { shape: &class.shape, path: "", may_fold: true };
        let mut object = self.object(&site, items(&case.body), &mut Bits::default(), &case.at)?;
        object.may_be_constant = true;
        let mut head = self.head(class);
        let has_metadata = class.shape.attribute("metadata").is_none();
        let metadata =
            case.body.sets.iter().map(|set| &set.target).chain(case.body.blocks.iter().map(|block| &block.target));
        let is_metadata = |target: &ast::Target| target.segments.first().is_some_and(|first| first.name == "metadata");
        if !has_metadata && !metadata.into_iter().any(is_metadata) {
            head.extend_from_slice(b",\"metadata\":{");
            head.extend_from_slice(&self.metadata());
            head.push(b'}');
        }
        let mut activity_default = Vec::new();
        let mut activities = Vec::new();
        if let Some(attribute) = class.shape.attribute("activity_id") {
            for value in attribute.enumeration.iter().flat_map(|values| &values.values) {
                let Ok(number) = value.key.parse::<i64>() else { continue };
                let type_uid = i64::from(class.uid).saturating_mul(100).saturating_add(number);
                let mut fields = format!("\"type_uid\":{type_uid},\"type_name\":").into_bytes();
                push_string(&mut fields, &format!("{}: {}", class.shape.caption, value.caption));
                activities.push((number, fields));
                if number == 0 && self.activity.is_none() {
                    activity_default.extend_from_slice(b"\"activity_id\":0,\"activity_name\":");
                    push_string(&mut activity_default, &value.caption);
                }
            }
        }
        Ok(Case {
            id: case.id,
            when,
            object,
            class_uid: class.uid,
            head,
            activities,
            activity_default,
            activity: self.activity.unwrap_or(0),
            severity: self.severity,
            time: self.time,
        })
    }

    /// What every event of the class begins with, as far as the vocabulary has it: what OCSF calls the class, and the tags
    /// of what is declared.
    fn head(&self, class: &Class) -> Vec<u8> {
        let mut head = Vec::new();
        if class.shape.attribute("class_uid").is_some() {
            head = class_head(class);
        }
        let mut tags: Vec<&str> = Vec::new();
        for name in &self.profiles {
            tags.extend(self.table.profile(name).map(|profile| profile.tags.as_slice()).unwrap_or_default());
        }
        tags.sort_unstable();
        tags.dedup();
        if !tags.is_empty() {
            push_fixed(&mut head, "tag");
            head.push(b'[');
            for tag in tags {
                push_comma(&mut head);
                push_string(&mut head, tag);
            }
            head.push(b']');
        }
        head
    }

    /// `"version":"1.8.0","profiles":["cloud"],"transformation_info_list":[..]`
    fn metadata(&self) -> Vec<u8> {
        let mut out = b"\"version\":".to_vec();
        push_string(&mut out, self.table.version());
        if !self.profiles.is_empty() {
            out.extend_from_slice(b",\"profiles\":[");
            for profile in &self.profiles {
                push_comma(&mut out);
                push_string(&mut out, profile);
            }
            out.push(b']');
        }
        out.extend_from_slice(&self.transformation);
        out
    }
}

/// What says in the event which mapping wrote it, in which version of siemline, or in its own version if it has one: who
/// searches the events of a year can tell those apart that an update changed.
fn transformation(mapping: &ast::Mapping) -> Vec<u8> {
    let mut out = b",\"transformation_info_list\":[{\"name\":".to_vec();
    push_string(&mut out, &mapping.log_type);
    if let Some(version) = &mapping.version {
        out.extend_from_slice(b",\"uid\":");
        push_string(&mut out, &format!("{}@{version}", mapping.log_type));
    }
    out.extend_from_slice(b",\"product\":{\"name\":\"siemline\",\"version\":");
    push_string(&mut out, env!("CARGO_PKG_VERSION"));
    out.extend_from_slice(b"}}]");
    out
}

/// How many conditions there are, as the detector counts them.
pub(super) fn conditions_weight(conditions: &ast::Conditions) -> usize {
    conditions.0.len()
}

fn class_head(class: &Class) -> Vec<u8> {
    let mut head = format!("\"class_uid\":{},\"class_name\":", class.uid).into_bytes();
    push_string(&mut head, class.shape.caption);
    head.extend_from_slice(format!(",\"category_uid\":{},\"category_name\":", class.category_uid).as_bytes());
    push_string(&mut head, class.category_name);
    head
}

fn error(at: &At, problem: String) -> Error {
    Error { at: at.clone(), problem }
}

fn error_at(at: Option<&At>, problem: String) -> Error {
    let nowhere = || At { file: Arc::from(""), line: 0, column: 0 };
    Error { at: at.cloned().unwrap_or_else(nowhere), problem }
}
