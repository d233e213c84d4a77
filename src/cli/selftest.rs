//! `test`: the tests that the mappings hold.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::{End, INCOMPLETE};
use crate::normalize::mapping::ast::RuleName;
use crate::normalize::selftest::{self, Difference, Fault, FaultKind, Outcome, Report};
use crate::{config, telemetry};

/// Runs all tests; with `coverage`, says which rules none of them fired, and fails if there is one.
pub fn test(own: &[PathBuf], coverage: bool) -> Result<u8, End> {
    let loaded = config::loaded(own).map_err(End::usage)?;
    let compiled = config::compile(loaded.clone(), &config::NormalizeOptions::default()).map_err(End::usage)?;
    let summary = selftest::run(&loaded, &Arc::new(compiled));
    let paint = Paint { is_wanted: telemetry::colours(std::io::stdout().is_terminal()) };
    for report in &summary.reports {
        print_report(report, coverage, paint);
    }
    if coverage && !summary.common_unfired.is_empty() {
        println!("rules common to all log types");
        print_unfired(&summary.common_unfired, paint);
    }
    let outcomes = || summary.reports.iter().flat_map(|report| &report.tests);
    let failed = outcomes().filter(|outcome| !outcome.faults.is_empty()).count();
    let said = format!("{} passed, {failed} failed", outcomes().count() - failed);
    let all_well = summary.passed() && (!coverage || summary.is_covered());
    println!("{}", if all_well { paint.good(&said) } else { paint.bad(&said) });
    Ok(if all_well { 0 } else { INCOMPLETE })
}

fn print_report(report: &Report, coverage: bool, paint: Paint) {
    print!("{}: {} tests", report.log_type, report.tests.len());
    if coverage {
        print!(", {} of {} rules fired", report.rules - report.unfired.len(), report.rules);
    }
    println!();
    for outcome in &report.tests {
        print_outcome(outcome, paint);
    }
    if coverage {
        print_unfired(&report.unfired, paint);
    }
}

fn print_outcome(outcome: &Outcome, paint: Paint) {
    if outcome.faults.is_empty() && outcome.warnings.is_empty() {
        return;
    }
    println!("  {}:{}: {}", outcome.at.file, outcome.at.line, paint.strong(&outcome.name));
    for Fault { event, kind } in &outcome.faults {
        let event = event.map(|event| format!("event {event}: ")).unwrap_or_default();
        match kind {
            FaultKind::Words(words) => println!("    {event}{}", paint.bad(words)),
            FaultKind::Difference(Difference { path, expected, got }) => {
                println!("    {event}{}", paint.strong(path));
                println!("      {} {}", paint.good("expected"), paint.good(expected));
                println!("      {}      {}", paint.bad("got"), paint.bad(got));
            }
        }
    }
    for warning in &outcome.warnings {
        println!("    {} {warning}", paint.warning("warning:"));
    }
}

fn print_unfired(rules: &[RuleName], paint: Paint) {
    for rule in rules {
        println!("  {}:{}: {} {}", rule.at.file, rule.at.line, paint.warning("no test fires"), rule.label);
    }
}

/// Colours, where they are wanted (ECMA-48, SGR).
#[derive(Clone, Copy)]
struct Paint {
    is_wanted: bool,
}

impl Paint {
    fn good(self, words: &str) -> String {
        self.with("32", words)
    }

    fn bad(self, words: &str) -> String {
        self.with("31", words)
    }

    fn warning(self, words: &str) -> String {
        self.with("33", words)
    }

    fn strong(self, words: &str) -> String {
        self.with("1", words)
    }

    fn with(self, code: &str, words: &str) -> String {
        if self.is_wanted { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::Paint;

    /// Guards that what is written to a file or a pipe has no escape codes.
    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(Paint { is_wanted: false }.bad("x"), "x");
        assert_eq!(Paint { is_wanted: true }.bad("x"), "\x1b[31mx\x1b[0m");
    }
}
