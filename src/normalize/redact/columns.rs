//! Lines of text: values redacted by the names of their columns.

use super::Rule;
use super::leaf::Action;
use super::path::Step;
use crate::envelope::{Event, Field};
use crate::normalize::text::Layout;

/// The line without what is to be redacted; `None` where it holds nothing of it.
pub(super) fn redact(layout: &Layout, event: &Event<'_>, rules: &[Rule]) -> Option<Vec<u8>> {
    let line = String::from_utf8_lossy(event.body);
    let mut redacted = String::new();
    let mut copied = 0;
    for (name, cell) in layout.cells(&line, event.context.get(Field::Header)) {
        let Some(rule) = rules.iter().find(|rule| leads(&rule.steps, name)) else { continue };
        if layout.is_absent(cell) {
            continue;
        }
        // A cell is a part of its line, so the distance of the two is where it stands.
        let begin = cell.as_ptr().addr().saturating_sub(line.as_ptr().addr());
        redacted.push_str(line.get(copied..begin).unwrap_or_default());
        match &rule.action {
            Action::Drop => redacted.push_str(layout.absent()),
            action => redacted.push_str(&action.of_text(cell)),
        }
        copied = begin.saturating_add(cell.len());
    }
    if copied == 0 {
        return None;
    }
    redacted.push_str(line.get(copied..).unwrap_or_default());
    Some(redacted.into_bytes())
}

fn leads(steps: &[Step], column: &str) -> bool {
    match steps {
        [step] | [Step::Deep, step] => step.is(column),
        _ => false,
    }
}
