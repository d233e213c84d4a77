//! All mappings together, and the detector that tells which one an event is for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::Projection;
use super::super::mapping::ast::{self, At, Keys, RuleName, SiemNames};
use super::compile::{Compiler, conditions_weight};
use super::{Match, Plan};
use crate::vocabulary::Table;

/// Why a mapping does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}:{}: {problem}", at.file, at.line, at.column)]
pub struct Error {
    /// Where it stands.
    pub at: At,
    /// What is wrong.
    pub problem: String,
}

/// Every mapping, compiled. Made once at start, and shared by all workers.
#[derive(Debug)]
pub struct Mappings {
    pub(in super::super) plans: Vec<Plan>,
    /// The last resort, whose cases ask for nothing.
    pub(in super::super) base: Plan,
    /// The paths of all matches: scope 0 with keys as they are, scope 1 with any initial.
    pub(in super::super) detector: Plan,
    pub(in super::super) ocsf: Passed,
    pub(in super::super) version: &'static str,
    /// The log type of events that came as OCSF.
    pub(in super::super) passed: Arc<str>,
    /// The plans of the projections that there are, by their numbers.
    pub(in super::super) projections: [Option<Plan>; Projection::ALL.len()],
    siem_names: Arc<NamesOfLogTypes>,
    /// Whether every mapped event carries its source as `raw_data`.
    pub(in super::super) keeps_raw: bool,
}

/// What SIEMs call the log types, by log type.
#[derive(Clone, Debug, Default)]
pub struct NamesOfLogTypes(BTreeMap<Arc<str>, SiemNames>);

impl NamesOfLogTypes {
    /// What SIEMs call a log type in its raw form; `None` for one that has no mapping of its own.
    #[must_use]
    pub fn get(&self, log_type: &str) -> Option<&SiemNames> {
        self.0.get(log_type)
    }

    /// All log types, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SiemNames)> {
        self.0.iter().map(|(log_type, names)| (&**log_type, names))
    }
}

impl FromIterator<(Arc<str>, SiemNames)> for NamesOfLogTypes {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, SiemNames)>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

/// The slots of the detector by which an event that already is OCSF is known.
#[derive(Debug)]
pub(in super::super) struct Passed {
    pub(in super::super) class_uid: usize,
    pub(in super::super) category_uid: usize,
    pub(in super::super) version: usize,
    pub(in super::super) time: usize,
    pub(in super::super) time_dt: usize,
    pub(in super::super) finding: usize,
    pub(in super::super) severity: usize,
    pub(in super::super) account: usize,
    pub(in super::super) region: usize,
}

impl Mappings {
    /// Compiles checked mappings. `base` takes every event that no other mapping recognises or completes.
    ///
    /// # Errors
    ///
    /// All places that cannot be compiled. A mapping that passed its check has none.
    pub fn compile(mappings: Vec<ast::Mapping>, base: ast::Mapping, table: &'static Table) -> Result<Self, Vec<Error>> {
        let mut errors = Vec::new();
        let mut detector = Compiler::new(table, Keys::Exact);
        detector.begin_scope(Keys::AnyInitial);
        let mut plans = Vec::new();
        let mut siem_names = BTreeMap::new();
        for mapping in mappings {
            siem_names.insert(Arc::clone(&mapping.log_type), mapping.names.clone());
            let mut matches = Vec::new();
            for known in &mapping.matches {
                let scope = usize::from(mapping.keys == Keys::AnyInitial);
                match detector.at_root(scope, |compiler| compiler.conditions(&known.when, &known.at)) {
                    Ok(when) => matches.push(Match { weight: conditions_weight(&known.when), when }),
                    Err(error) => errors.push(error),
                }
            }
            match Compiler::new(table, mapping.keys).plan(mapping, matches) {
                Ok(plan) => plans.push(plan),
                Err(mut found) => errors.append(&mut found),
            }
        }
        let ocsf = Passed {
            class_uid: detector.root_slot(&["class_uid"]),
            category_uid: detector.root_slot(&["category_uid"]),
            version: detector.root_slot(&["metadata", "version"]),
            time: detector.root_slot(&["time"]),
            time_dt: detector.root_slot(&["time_dt"]),
            finding: detector.root_slot(&["finding_info", "uid"]),
            severity: detector.root_slot(&["severity_id"]),
            account: detector.root_slot(&["cloud", "account", "uid"]),
            region: detector.root_slot(&["cloud", "region"]),
        };
        let base = match Compiler::new(table, base.keys).plan(base, Vec::new()) {
            Ok(base) => Some(base),
            Err(mut found) => {
                errors.append(&mut found);
                None
            }
        };
        match base {
            Some(base) if errors.is_empty() => Ok(Self {
                plans,
                base,
                detector: detector.into_detector(),
                ocsf,
                version: table.version(),
                passed: Arc::from("ocsf"),
                keeps_raw: false,
                projections: [const { None }; Projection::ALL.len()],
                siem_names: Arc::new(NamesOfLogTypes(siem_names)),
            }),
            _ => Err(errors),
        }
    }

    /// The same mappings, with these projections.
    ///
    /// # Errors
    ///
    /// As [`Mappings::compile`].
    pub fn with_projections(mut self, projections: Vec<ast::Mapping>) -> Result<Self, Vec<Error>> {
        let mut errors = Vec::new();
        for mapping in projections {
            let Some(projection) = mapping.projection else { continue };
            match Compiler::new(projection.table(), mapping.keys).plan(mapping, Vec::new()) {
                Ok(plan) => {
                    if let Some(place) = self.projections.get_mut(projection.number()) {
                        *place = Some(plan);
                    }
                }
                Err(mut found) => errors.append(&mut found),
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// What SIEMs call the log types.
    #[must_use]
    pub fn siem_names(&self) -> &Arc<NamesOfLogTypes> {
        &self.siem_names
    }

    /// Sets where the clocks stand that wrote times without a zone: the name of a zone of the IANA database, such as
    /// `Europe/Berlin`. Without it they are in UTC.
    ///
    /// # Errors
    ///
    /// With the reason, where there is no zone of that name.
    pub fn set_zone(&mut self, name: &str) -> Result<(), String> {
        let zone = TimeZone::get(name).map_err(|error| error.to_string())?;
        for plan in self.plans.iter_mut().chain([&mut self.base]) {
            plan.zone = zone.clone();
        }
        Ok(())
    }

    /// Has every event that is mapped carry what it was made of, as `raw_data`.
    pub fn keep_raw(&mut self) {
        self.keeps_raw = true;
    }

    /// The log types, the base mapping's last.
    pub fn log_types(&self) -> impl Iterator<Item = &Arc<str>> {
        self.plans.iter().chain([&self.base]).map(|plan| &plan.log_type)
    }

    /// Every log type that an event may turn out to have: those of the mappings, and that of events that came as OCSF.
    #[must_use]
    pub fn known_log_types(&self) -> Vec<&str> {
        self.log_types().chain([&self.passed]).map(|log_type| &**log_type).collect()
    }

    /// The names of a log type's rules, by [`ast::RuleId`]; empty for a log type that is not there.
    pub fn rules(&self, log_type: &str) -> &[RuleName] {
        let projections = self.projections.iter().flatten();
        let plan = self.plans.iter().chain([&self.base]).chain(projections).find(|plan| &*plan.log_type == log_type);
        plan.map_or(&[], |plan| &plan.names)
    }
}
