//! What must hold of a mapping whatever its classes are: its parts, and rules that could never give anything.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Arm, Block, Body, Case, Fallback, Mapping, Rule, Set, Source, Target};
use super::cases::same_target;
use super::error::Error;
use super::load::Draft;
use super::notation::target_text;

/// The mistakes of this kind.
pub(super) fn errors(draft: &Draft) -> Vec<Error> {
    let mut errors = Vec::new();
    parts(draft, &mut errors);
    dead_cases(&draft.mapping, &mut errors);
    for body in bodies(&draft.mapping) {
        two_writers(body, &mut errors);
        dead_otherwise(&body.blocks, &mut errors);
        for_each_rule(body, &mut |rule| dead_arms(rule, &mut errors));
    }
    errors
}

/// The bodies of all cases and parts, each before the blocks in it.
fn bodies(mapping: &Mapping) -> Vec<&Body> {
    let mut found: Vec<&Body> = mapping.cases.iter().map(|case| &case.body).chain(mapping.parts.values()).collect();
    let mut next = 0;
    while let Some(body) = found.get(next) {
        let body: &Body = body;
        found.extend(body.blocks.iter().map(|block| &block.body));
        next += 1;
    }
    found
}

/// Calls back for every rule of a body, with those inside rules, but not for those of its blocks.
fn for_each_rule<'b>(body: &'b Body, call: &mut impl FnMut(&'b Rule)) {
    for Set { rule, .. } in &body.sets {
        with_inner(rule, call);
    }
}

fn with_inner<'r>(rule: &'r Rule, call: &mut impl FnMut(&'r Rule)) {
    call(rule);
    if let Source::Cases(arms) = &rule.source {
        for Arm { rule, .. } in arms {
            with_inner(rule, call);
        }
    }
    if let Source::Each { rule, .. } = &rule.source {
        with_inner(rule, call);
    }
    if let Some(Fallback::Rule(rule)) = rule.default.as_deref() {
        with_inner(rule, call);
    }
}

/// The names of the parts that a body uses, with the rules that use them.
fn used_parts(body: &Body) -> Vec<(&str, &Rule)> {
    let mut used = Vec::new();
    let mut bodies = vec![body];
    while let Some(body) = bodies.pop() {
        for_each_rule(body, &mut |rule| {
            if let Source::Part { name, .. } = &rule.source {
                used.push((name.as_str(), rule));
            }
        });
        bodies.extend(body.blocks.iter().map(|block| &block.body));
    }
    used
}

/// Parts that are not there, that use themselves, or that nobody uses.
fn parts(draft: &Draft, errors: &mut Vec<Error>) {
    let parts = &draft.mapping.parts;
    let names = || parts.keys().map(String::as_str);
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Body> = draft.mapping.cases.iter().map(|case| &case.body).collect();
    while let Some(body) = open.pop() {
        for (name, _) in used_parts(body) {
            if reached.insert(name) {
                open.extend(parts.get(name));
            }
        }
    }
    for body in draft.mapping.cases.iter().map(|case| &case.body).chain(parts.values()) {
        for (name, rule) in used_parts(body) {
            if !parts.contains_key(name) {
                errors.push(Error::new(&rule.at, format!("there is no part `{name}`")).meant(name, names()));
            }
        }
    }
    let cyclic: BTreeSet<&str> = names().filter(|name| uses_itself(name, parts)).collect();
    for (name, places) in &draft.parts {
        if cyclic.contains(name.as_str()) {
            errors.push(Error::new(&places.part, format!("the part `{name}` uses itself")));
        } else if !reached.contains(name.as_str()) {
            errors.push(Error::new(&places.part, format!("nobody uses the part `{name}`")));
        }
    }
}

fn uses_itself(name: &str, parts: &BTreeMap<String, Body>) -> bool {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Body> = parts.get(name).into_iter().collect();
    while let Some(body) = open.pop() {
        for (used, _) in used_parts(body) {
            if used == name {
                return true;
            }
            if seen.insert(used) {
                open.extend(parts.get(used));
            }
        }
    }
    false
}

/// Cases behind one that takes every event.
fn dead_cases(mapping: &Mapping, errors: &mut Vec<Error>) {
    let Some(last) = mapping.cases.iter().position(|case| case.when.0.is_empty()) else { return };
    for Case { class, at, .. } in mapping.cases.iter().skip(last + 1) {
        let words = format!("the case `{class}` is never tried: an earlier case has no `when`");
        errors.push(Error::new(at, words));
    }
}

/// Arms of `cases` behind one that always gives something, and a `default` behind such an arm.
fn dead_arms(rule: &Rule, errors: &mut Vec<Error>) {
    let Source::Cases(arms) = &rule.source else { return };
    let Some(last) = arms.iter().position(|arm| arm.when.0.is_empty() && always_gives(&arm.rule)) else { return };
    for arm in arms.iter().skip(last + 1) {
        errors.push(Error::new(
            &arm.rule.at,
            "this arm is never tried: an earlier one holds always and gives a constant",
        ));
    }
    if rule.default.is_some() {
        errors.push(Error::new(&rule.at, "the `default` is never used: an arm holds always and gives a constant"));
    }
}

/// Whether a rule gives something for every event.
pub(super) fn always_gives(rule: &Rule) -> bool {
    let inner = match &rule.source {
        Source::Value(_) | Source::Values(_) | Source::Uid(_) => true,
        Source::Cases(arms) => arms.iter().any(|arm| arm.when.0.is_empty() && always_gives(&arm.rule)),
        _ => false,
    };
    inner
        || match rule.default.as_deref() {
            Some(Fallback::Constant(_)) => true,
            Some(Fallback::Rule(rule)) => always_gives(rule),
            None => false,
        }
}

/// `otherwise` without an earlier block of the same target.
fn dead_otherwise(blocks: &[Block], errors: &mut Vec<Error>) {
    for (place, block) in blocks.iter().enumerate() {
        let earlier = blocks.iter().take(place).any(|earlier| earlier.target == block.target);
        if block.otherwise && !earlier {
            let words = format!("`otherwise`, but no earlier block writes `{}`", target_text(&block.target));
            errors.push(Error::new(&block.at, words));
        }
    }
}

/// Two rules of a body that write one attribute, and rules below a target that a part fills.
fn two_writers(body: &Body, errors: &mut Vec<Error>) {
    for (place, set) in body.sets.iter().enumerate() {
        for other in body.sets.iter().skip(place + 1) {
            let (first, second) = in_file_order(set, other);
            if same_target(&set.target, &other.target) {
                let words =
                    format!("`{}` has a rule already, in line {}", target_text(&second.target), first.rule.at.line);
                errors.push(Error::new(&second.rule.at, words));
                continue;
            }
            let (above, below) =
                if set.target.segments.len() < other.target.segments.len() { (set, other) } else { (other, set) };
            if is_below(&below.target, &above.target) {
                let words = format!(
                    "`{}` lies below `{}`, which {} fills in line {}",
                    target_text(&below.target),
                    target_text(&above.target),
                    if uses_part(&above.rule) { "a part" } else { "another rule" },
                    above.rule.at.line,
                );
                errors.push(Error::new(&below.rule.at, words));
            }
        }
        for block in &body.blocks {
            if same_target(&block.target, &set.target) || is_below(&block.target, &set.target) {
                let words = format!(
                    "`{}` is filled by the rule in line {} and takes no block",
                    target_text(&set.target),
                    set.rule.at.line,
                );
                errors.push(Error::new(&block.at, words));
            } else if ends_in_array(&block.target) && is_below(&set.target, &block.target) {
                let words = format!("`{}` lies below an array that blocks write", target_text(&set.target));
                errors.push(Error::new(&set.rule.at, words));
            }
        }
    }
}

fn in_file_order<'s>(left: &'s Set, right: &'s Set) -> (&'s Set, &'s Set) {
    let place = |set: &Set| (set.rule.at.line, set.rule.at.column);
    if place(left) <= place(right) { (left, right) } else { (right, left) }
}

fn ends_in_array(target: &Target) -> bool {
    super::rule::is_array(target)
}

/// Whether a target lies inside another.
fn is_below(inner: &Target, outer: &Target) -> bool {
    inner.segments.len() > outer.segments.len()
        && inner.segments.iter().zip(&outer.segments).all(|(inner, outer)| inner.name == outer.name)
}

fn uses_part(rule: &Rule) -> bool {
    let mut found = false;
    with_inner(rule, &mut |inner| found |= matches!(inner.source, Source::Part { .. }));
    found
}
