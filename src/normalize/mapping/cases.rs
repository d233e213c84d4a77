//! Reading the cases of a mapping, and merging what all of them share into each.

use super::ast::{At, Body, Case, Conditions, Set, Target};
use super::document::{Table, Value};
use super::load::{CasePlaces, Head};
use super::notation::{self, target_text};
use super::reader::Reader;

impl Reader {
    /// The cases as written: one for `class`, or the `[[case]]`s.
    pub(super) fn cases(&mut self, file: &Table, head: &Head) -> Vec<(Case, CasePlaces)> {
        let tables = self.tables(file, "case", "`[[case]]`");
        match (&head.class, tables.is_empty()) {
            (Some((class, at)), true) => {
                let id = self.number(format!("case {class}"), at);
                let (profiles, places) = self.distinct(head.profiles.clone());
                let body = Body::default();
                let case =
                    Case { class: class.clone(), profiles, when: Conditions::default(), body, id, at: at.clone() };
                vec![(case, CasePlaces { class: at.clone(), profiles: places })]
            }
            (Some((_, at)), false) => {
                self.report(at, "`class` and `[[case]]` exclude each other: every case has a class of its own");
                Vec::new()
            }
            (None, true) => {
                if file.get("case").is_none() {
                    self.report(&head.at, "the mapping has no `class` and no `[[case]]`");
                }
                Vec::new()
            }
            (None, false) => tables.into_iter().filter_map(|(at, table)| self.case(at, table, head)).collect(),
        }
    }

    fn case(&mut self, at: &At, table: &Table, head: &Head) -> Option<(Case, CasePlaces)> {
        self.known(table, "`[[case]]`", &["class", "when", "profiles", "set", "block"]);
        let member = self.required(table, "class", "`[[case]]`", at)?;
        let class = self.word(&member.node, "`class`")?.to_owned();
        let id = self.number(format!("case {class}"), at);
        let when = match table.get("when") {
            Some(member) => self.conditions(&member.node, "`when`").unwrap_or_default(),
            None => Conditions::default(),
        };
        let mut profiles = head.profiles.clone();
        profiles.extend(self.profiles(table));
        let (profiles, places) = self.distinct(profiles);
        let body = self.body(table, "");
        let case = Case { class, profiles, when, body, id, at: at.clone() };
        Some((case, CasePlaces { class: member.node.at.clone(), profiles: places }))
    }

    /// Reports profiles that are named twice.
    fn distinct(&mut self, profiles: Vec<(String, At)>) -> (Vec<String>, Vec<At>) {
        for (place, (name, at)) in profiles.iter().enumerate() {
            if profiles.iter().take(place).any(|(earlier, _)| earlier == name) {
                self.report(at, format!("the profile `{name}` is named twice"));
            }
        }
        profiles.into_iter().unzip()
    }

    /// Merges the `[set]` and the blocks at the top into every case: a case's rule for the same target replaces the
    /// common one. What is common stands before the case's own, so that `rest`s and blocks keep the order of the file.
    pub(super) fn merge_shared(&mut self, cases: &mut [Case], shared: &Body) {
        for set in &shared.sets {
            if !cases.is_empty() && cases.iter().all(|case| has(&case.body, &set.target)) {
                let words = format!("every case replaces the rule for `{}`", target_text(&set.target));
                self.report(&set.rule.at, words);
            }
        }
        for Case { body, .. } in cases {
            // Only a case's own rules replace: two rules for one target at the top are two, and told as such.
            let mut sets: Vec<Set> = shared.sets.iter().filter(|set| !has(body, &set.target)).cloned().collect();
            sets.append(&mut body.sets);
            body.sets = sets;
            let mut blocks = shared.blocks.clone();
            blocks.append(&mut body.blocks);
            body.blocks = blocks;
        }
    }

    /// Merges the rules of `common.toml` into every case that has none for the same target. A rule that no case wants is
    /// not read, so that it has no number and coverage does not ask for it.
    pub(super) fn merge_common(&mut self, cases: &mut [Case], common: &Table) {
        let Some(member) = common.get("set") else { return };
        let Value::Table(set) = &member.node.value else { return };
        for member in &set.members {
            let Ok(target) = notation::target(&member.key) else { continue };
            if cases.iter().all(|case| has(&case.body, &target)) {
                continue;
            }
            let Some(set) = self.set(member, "") else { continue };
            for case in cases.iter_mut().filter(|case| !has(&case.body, &target)) {
                case.body.sets.push(Set { target: set.target.clone(), rule: set.rule.clone() });
            }
        }
    }
}

/// Whether a body has a rule for this target. `x[]` and `x` are one target here: to have both is an error elsewhere.
fn has(body: &Body, target: &Target) -> bool {
    body.sets.iter().any(|set| same_target(&set.target, target))
}

/// Whether two targets name the same attribute.
pub(super) fn same_target(left: &Target, right: &Target) -> bool {
    left.segments.len() == right.segments.len()
        && left.segments.iter().zip(&right.segments).all(|(left, right)| left.name == right.name)
}
