//! A mapping against the table of the vocabulary it writes: whatever could only turn out at run time as a dropped object or an invalid event, and
//! can be known before, is told here.

mod bases;
mod complete;
mod fit;
#[cfg(test)]
mod tests;

use super::ast::{At, Block, Body, Case, Fallback, Rule, Set, Source, Target};
use super::error::Error;
use super::load::{CasePlaces, Draft};
use super::notation::target_text;
use crate::vocabulary::{Attribute, PathError, PathErrorKind, Shape, Table};

/// What the engine writes into every OCSF event, never a mapping.
const ENGINE_WRITTEN: [&str; 11] = [
    "class_uid",
    "class_name",
    "category_uid",
    "category_name",
    "type_uid",
    "type_name",
    "metadata.version",
    "metadata.profiles",
    "metadata.transformation_info_list",
    "observables",
    "unmapped",
];

/// The mistakes of this kind, for every case and every use of a part.
pub(super) fn errors(draft: &Draft, table: &Table) -> Vec<Error> {
    let mut errors = Vec::new();
    for (case, places) in draft.mapping.cases.iter().zip(&draft.cases) {
        let mut check =
            Check { table, draft, profiles: &case.profiles, open: Vec::new(), bases: 0, eaches: 0, errors: Vec::new() };
        for known in &draft.mapping.matches {
            check.reach_conditions(&known.when, &known.at);
        }
        check.case(case, places);
        errors.append(&mut check.errors);
    }
    // A rule that merging or a part copied is wrong once, not once for each copy.
    let mut told: Vec<Error> = Vec::new();
    for error in errors {
        if !told.contains(&error) {
            told.push(error);
        }
    }
    told
}

fn is_ocsf(draft: &Draft) -> bool {
    draft.mapping.projection.is_none()
}

/// The check of one case.
struct Check<'a> {
    table: &'a Table,
    draft: &'a Draft,
    /// The profiles of the case.
    profiles: &'a [String],
    /// The parts that are being checked, so that one that uses itself is not followed for ever.
    open: Vec<&'a str>,
    /// How many `from`s and `each`s of blocks and parts stand around what is checked: one for a block with both.
    bases: usize,
    /// How many `each`s.
    eaches: usize,
    errors: Vec<Error>,
}

impl<'a> Check<'a> {
    /// Reports a mistake. A rule of `common.toml` is only wrong in some mapping, so that is named too.
    fn report(&mut self, at: &At, words: impl Into<String>) {
        self.tell(Error::new(at, words));
    }

    fn tell(&mut self, mut error: Error) {
        if error.at.file != self.draft.at.file {
            error.words = format!("{}, in the mapping of {}", error.words, self.draft.mapping.log_type);
        }
        self.errors.push(error);
    }

    fn case(&mut self, case: &'a Case, places: &CasePlaces) {
        let Some(class) = self.table.class(&case.class) else {
            let names = self.table.classes().iter().map(|class| class.shape.name);
            let error = Error::new(&places.class, format!("there is no class `{}`", case.class));
            self.tell(error.meant(&case.class, names));
            return;
        };
        if let Some(since) = class.shape.deprecated {
            self.report(&places.class, format!("the class `{}` is deprecated since OCSF {since}", case.class));
        }
        for (profile, at) in case.profiles.iter().zip(&places.profiles) {
            if self.table.profile(profile).is_none() {
                let error = Error::new(at, format!("there is no profile `{profile}`"));
                self.tell(error.meant(profile, self.table.profiles().iter().map(|profile| profile.name)));
            } else if !class.shape.accepts_profile(profile) {
                self.report(at, format!("the profile `{profile}` does not apply to the class `{}`", case.class));
            }
        }
        self.reach_conditions(&case.when, &case.at);
        self.body(&case.body, &class.shape, "");
        self.complete_class(case, &class.shape, &places.class);
    }

    /// A body that writes an object (or class) of this shape. `prefix` is the path that leads there, with its last dot.
    fn body(&mut self, body: &'a Body, shape: &'a Shape, prefix: &str) {
        for Set { target, rule } in &body.sets {
            let Some(attribute) = self.attribute(target, shape, prefix, &rule.at) else { continue };
            let path = format!("{prefix}{}", target_text(target));
            self.rule(rule, attribute, &path);
            self.sibling(body, target, shape, &rule.at);
        }
        for block in &body.blocks {
            self.block(block, shape, prefix);
        }
    }

    /// The attribute that a target names.
    fn attribute(&mut self, target: &Target, shape: &'a Shape, prefix: &str, at: &At) -> Option<&'a Attribute> {
        let text = target_text(target);
        match self.table.resolve(shape, &text, self.profiles) {
            Ok(attribute) => {
                let plain = format!("{prefix}{text}").replace("[]", "");
                if is_ocsf(self.draft) && ENGINE_WRITTEN.contains(&plain.as_str()) {
                    self.report(at, format!("`{plain}` is written by the engine, never by a mapping"));
                    return None;
                }
                Some(attribute)
            }
            Err(PathError { at: place, kind }) => {
                let error = path_error(at, &format!("{prefix}{place}"), kind);
                self.tell(error);
                None
            }
        }
    }

    /// A sibling that is set beside its id: the engine writes it.
    fn sibling(&mut self, body: &Body, target: &Target, shape: &'a Shape, at: &At) {
        let Some((last, above)) = target.segments.split_last() else { return };
        let Some(parent) = self.object(shape, above) else { return };
        let owns = |id: &Attribute| id.enumeration.is_some() && id.sibling == Some(last.name.as_str());
        let Some(id) = parent.attributes.iter().find(|id| owns(id)) else { return };
        let is_set = body.sets.iter().any(|set| {
            set.target.segments.split_last().is_some_and(|(name, beside)| name.name == id.name && beside == above)
        });
        if is_set {
            self.report(at, format!("`{}` is written by the engine beside `{}`, which has a rule", last.name, id.name));
        }
    }

    /// The object at the end of these names.
    fn object(&self, shape: &'a Shape, names: &[super::ast::Segment]) -> Option<&'a Shape> {
        let mut shape = shape;
        for segment in names {
            shape = &self.table.object_of(shape.attribute(&segment.name)?)?.shape;
        }
        Some(shape)
    }

    fn block(&mut self, block: &'a Block, shape: &'a Shape, prefix: &str) {
        self.reach_block(block);
        let Some(attribute) = self.attribute(&block.target, shape, prefix, &block.at) else { return };
        let path = format!("{prefix}{}", target_text(&block.target));
        match self.table.object_of(attribute) {
            Some(object) if object.shape.is_open() => {
                self.report(&block.at, format!("`{path}` takes any keys and is written whole, by a rule"));
            }
            Some(object) => {
                let (has_each, has_base) = (block.each.is_some(), block.each.is_some() || block.from.is_some());
                self.enter(has_base, has_each);
                self.reach_conditions(&block.when, &block.at);
                self.body(&block.body, &object.shape, &format!("{path}."));
                self.leave(has_base, has_each);
                if attribute.is_array {
                    self.complete_element(&block.body, &object.shape, &path, &block.at);
                }
            }
            None => {
                self.report(&block.at, format!("`{path}` is {} and takes no block", attribute.type_name));
            }
        }
    }

    /// A rule, with those inside it, against the attribute it writes.
    fn rule(&mut self, rule: &'a Rule, attribute: &'a Attribute, path: &str) {
        self.reach_rule(rule);
        let object = self.table.object_of(attribute).map(|object| &object.shape);
        match (&rule.source, object.filter(|shape| !shape.is_open())) {
            (Source::Each { only, rule: inner, .. }, _) => {
                self.enter(true, true);
                self.reach_conditions(only, &inner.at);
                self.rule(inner, attribute, path);
                self.leave(true, true);
            }
            (Source::Cases(arms), _) => {
                for arm in arms {
                    self.reach_conditions(&arm.when, &arm.rule.at);
                    self.rule(&arm.rule, attribute, path);
                }
            }
            (Source::Part { name, from }, Some(shape)) => {
                self.enter(from.is_some(), false);
                self.part(name, shape, attribute, path, &rule.at);
                self.leave(from.is_some(), false);
            }
            (Source::Part { .. }, None) => {
                self.report(&rule.at, format!("`{path}` is {} and takes no part", attribute.type_name));
            }
            (_, Some(shape)) => {
                let words =
                    format!("`{path}` is an object ({}): a part or a block fills it, or rules below it", shape.name);
                self.report(&rule.at, words);
            }
            (_, None) => self.value(rule, attribute, path),
        }
        match rule.default.as_deref() {
            Some(Fallback::Rule(inner)) => self.rule(inner, attribute, path),
            Some(Fallback::Constant(constant)) => self.constant(constant, attribute, path, &rule.at),
            None => {}
        }
    }

    /// A part, as one that writes this shape.
    fn part(&mut self, name: &'a str, shape: &'a Shape, attribute: &Attribute, path: &str, at: &At) {
        let Some(body) = self.draft.mapping.parts.get(name) else { return };
        if self.open.contains(&name) {
            return;
        }
        self.open.push(name);
        self.body(body, shape, &format!("{path}."));
        let places = self.draft.parts.get(name).map(|part| part.needs.as_slice()).unwrap_or_default();
        for (need, place) in body.needs.iter().zip(places) {
            if self.attribute(need, shape, &format!("{path}."), place).is_some() && !self.gives(body, need) {
                self.report(
                    place,
                    format!("the part `{name}` needs `{}`, and no rule of it gives that", target_text(need)),
                );
            }
        }
        if attribute.is_array {
            self.complete_element(body, shape, path, at);
        }
        self.open.pop();
    }
}

/// The mistake in a path, in the words of a mapping.
fn path_error(at: &At, place: &str, kind: PathErrorKind) -> Error {
    let words = match kind {
        PathErrorKind::UnknownAttribute { name, shape, nearest } => {
            let error = Error::new(at, format!("`{shape}` has no attribute `{name}`"));
            return Error { nearest: nearest.map(str::to_owned), ..error };
        }
        PathErrorKind::NotAnObject { type_name } => format!("`{place}` is {type_name} and has nothing below it"),
        PathErrorKind::OpenObject => format!("`{place}` takes any keys and is written whole"),
        PathErrorKind::ArrayMissing { .. } => format!("`{place}` is an array: write `{place}[]`"),
        PathErrorKind::ArrayUnexpected { .. } => {
            format!("`{place}` is no array: write `{}`", place.strip_suffix("[]").unwrap_or(place))
        }
        PathErrorKind::ProfileMissing { needs } => {
            format!("`{place}` needs the profile `{}`, which is not declared", needs.join("` or `"))
        }
        PathErrorKind::Deprecated { since } => format!("`{place}` is deprecated since OCSF {since}"),
    };
    Error::new(at, words)
}
