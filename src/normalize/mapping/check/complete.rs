//! Whether the objects that a mapping writes can ever be whole: an object without a required attribute is dropped, so rules
//! that could never give it are dead, and a class without one could never win.

use std::collections::BTreeMap;

use super::super::ast::{At, Block, Body, Case, Fallback, Rule, Set, Source, Target};
use super::{Check, ENGINE_WRITTEN};
use crate::vocabulary::{Constraint, Shape};

/// What the rules of a body may give.
#[derive(Debug, Default)]
struct Given {
    /// Where the first rule stands that writes here.
    at: Option<At>,
    /// A value or an array stands here; an array's elements are looked at one by one elsewhere.
    is_whole: bool,
    /// What may stand below.
    below: BTreeMap<String, Given>,
}

impl Given {
    /// The place of a target below this one.
    fn place(&mut self, target: &Target, at: &At) -> &mut Self {
        let mut place = self;
        for segment in &target.segments {
            place = place.below.entry(segment.name.clone()).or_default();
            place.at.get_or_insert_with(|| at.clone());
        }
        place
    }

    /// What stands at a dotted path.
    fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |place, name| place.below.get(name))
    }
}

impl Check<'_> {
    /// A class, as the rules of a case write it.
    pub(super) fn complete_class(&mut self, case: &Case, shape: &Shape, at: &At) {
        let mut given = Given::default();
        self.collect(&case.body, &mut given, 0);
        for path in ENGINE_WRITTEN.iter().chain(&["activity_id"]) {
            let mut place = &mut given;
            for name in path.split('.') {
                place = place.below.entry(name.to_owned()).or_default();
            }
            place.is_whole = true;
        }
        self.complete(&given, shape, "", at);
    }

    /// An element of an array, as a body writes it.
    pub(super) fn complete_element(&mut self, body: &Body, shape: &Shape, path: &str, at: &At) {
        let mut given = Given::default();
        self.collect(body, &mut given, 0);
        self.complete(&given, shape, path, at);
    }

    /// Whether a body may give a target.
    pub(super) fn gives(&self, body: &Body, target: &Target) -> bool {
        let mut given = Given::default();
        self.collect(body, &mut given, 0);
        let names: Vec<&str> = target.segments.iter().map(|segment| segment.name.as_str()).collect();
        given.find(&names.join(".")).is_some()
    }

    /// Notes what a body may give. `depth` counts parts within parts: one that uses itself is told elsewhere.
    fn collect(&self, body: &Body, given: &mut Given, depth: usize) {
        for Set { target, rule } in &body.sets {
            let is_array = super::super::rule::is_array(target);
            let place = given.place(target, &rule.at);
            place.is_whole |= is_array;
            self.collect_rule(rule, place, depth);
        }
        for Block { target, body, at, .. } in &body.blocks {
            let place = given.place(target, at);
            if super::super::rule::is_array(target) {
                place.is_whole = true;
            } else {
                self.collect(body, place, depth);
            }
        }
    }

    fn collect_rule(&self, rule: &Rule, place: &mut Given, depth: usize) {
        match &rule.source {
            Source::Cases(arms) => {
                for arm in arms {
                    self.collect_rule(&arm.rule, place, depth);
                }
            }
            Source::Each { rule, .. } => self.collect_rule(rule, place, depth),
            Source::Part { name, .. } => match self.draft.mapping.parts.get(name) {
                Some(body) if depth <= self.draft.mapping.parts.len() => self.collect(body, place, depth + 1),
                Some(_) | None => place.is_whole = true,
            },
            _ => place.is_whole = true,
        }
        match rule.default.as_deref() {
            Some(Fallback::Rule(inner)) => self.collect_rule(inner, place, depth),
            Some(Fallback::Constant(_)) => place.is_whole = true,
            None => {}
        }
    }

    /// Reports what an object lacks, and what the objects in it lack. `path` is empty for a class.
    fn complete(&mut self, given: &Given, shape: &Shape, path: &str, at: &At) {
        if given.is_whole {
            return;
        }
        let who = if path.is_empty() { format!("the class `{}`", shape.name) } else { format!("`{path}`") };
        for attribute in &shape.attributes {
            if attribute.is_required(self.profiles) && !given.below.contains_key(attribute.name) {
                self.report(at, format!("{who} requires `{}`, and no rule gives it", attribute.name));
            }
        }
        for constraint in &shape.constraints {
            let (Constraint::AtLeastOne(names) | Constraint::JustOne(names)) = constraint;
            if !names.iter().any(|name| given.find(name).is_some()) {
                let names = names.join("`, `");
                self.report(at, format!("{who} requires one of `{names}`, and no rule gives any"));
            }
        }
        for (name, below) in &given.below {
            let Some(object) = shape.attribute(name).and_then(|attribute| self.table.object_of(attribute)) else {
                continue;
            };
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let place = below.at.as_ref().unwrap_or(at);
            self.complete(below, &object.shape, &inner, place);
        }
    }
}
