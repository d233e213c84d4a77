//! `test`: the tests that the mappings hold.

use std::path::Path;
use std::sync::Arc;

use super::{End, INCOMPLETE};
use crate::config;
use crate::normalize::Mappings;
use crate::normalize::mapping::ast::RuleName;
use crate::normalize::selftest::{self, Outcome, Report};
use crate::ocsf::Table;

/// Runs all tests; with `coverage`, says which rules none of them fired, and fails if there is one.
pub fn test(directory: Option<&Path>, coverage: bool) -> Result<u8, End> {
    let loaded = config::loaded(directory).map_err(End::usage)?;
    let compiled = Mappings::compile(loaded.log_types.clone(), loaded.base.clone(), Table::v1_8());
    let compiled = compiled.and_then(|mappings| mappings.with_projections(loaded.projections.clone()));
    let compiled = compiled.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        End::usage(lines.join("\n"))
    })?;
    let summary = selftest::run(&loaded, &Arc::new(compiled));
    for report in &summary.reports {
        print_report(report, coverage);
    }
    if coverage && !summary.common_unfired.is_empty() {
        println!("rules common to all log types");
        print_unfired(&summary.common_unfired);
    }
    let outcomes = || summary.reports.iter().flat_map(|report| &report.tests);
    let failed = outcomes().filter(|outcome| !outcome.faults.is_empty()).count();
    println!("{} passed, {failed} failed", outcomes().count() - failed);
    let all_well = summary.passed() && (!coverage || summary.is_covered());
    Ok(if all_well { 0 } else { INCOMPLETE })
}

fn print_report(report: &Report, coverage: bool) {
    print!("{}: {} tests", report.log_type, report.tests.len());
    if coverage {
        print!(", {} of {} rules fired", report.rules - report.unfired.len(), report.rules);
    }
    println!();
    for outcome in &report.tests {
        print_outcome(outcome);
    }
    if coverage {
        print_unfired(&report.unfired);
    }
}

fn print_outcome(outcome: &Outcome) {
    if outcome.faults.is_empty() && outcome.warnings.is_empty() {
        return;
    }
    println!("  {}:{}: {}", outcome.at.file, outcome.at.line, outcome.name);
    for fault in &outcome.faults {
        println!("    {fault}");
    }
    for warning in &outcome.warnings {
        println!("    warning: {warning}");
    }
}

fn print_unfired(rules: &[RuleName]) {
    for rule in rules {
        println!("  {}:{}: no test fires {}", rule.at.file, rule.at.line, rule.label);
    }
}
