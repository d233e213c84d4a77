//! Redaction: values that must not leave the machine are taken out of the event as it was written, before anything is made of
//! it. Whatever comes later (OCSF, its projections, observables, labels, `raw_data`, the raw format) is made of what is left.
//!
//! The event's bytes are rewritten where a path leads and copied where none does, so that numbers of any size, spellings and
//! the order of keys stay as they were. Its paths are those of the source event, free of its envelopes:
//!
//! - Names are compared ignoring the case of ASCII letters: AWS spells one field both ways. `"a.b"` in quotes is one name.
//! - Arrays are looked through; `a[].b` and `a.b` say the same. `*` is any one name, `**` any number of them, none included.
//! - A string that holds JSON is looked into as if its content stood there, to any depth; where a mapping knows that such a
//!   string repeats what stands beside it (`[[parse]]` with `twin`), both are redacted.
//! - In a line of text the names are those of its columns; `@envelope.<name>` is what the envelopes told.
//!
//! Where the structure breaks behind which a path may lead on (a document cut off), the rest is masked: redaction fails
//! closed. What no path names is not touched, wherever else the same value may stand.

mod columns;
mod leaf;
mod options;
mod path;
mod rewrite;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use leaf::Action;
pub use options::{RedactAction, RedactOptions};
use path::{Path, Step};
use rewrite::Rewriter;

use super::mapping::ast;
use super::plan::Mappings;
use crate::envelope::{Context, Event, Field, Form};
use crate::ocsf::nearest;

/// What is to be redacted, read and valid, not yet set beside the mappings.
#[derive(Clone, Debug, Default)]
pub struct Redactions(Vec<Redaction>);

#[derive(Clone, Debug)]
struct Redaction {
    name: String,
    log_types: Vec<String>,
    paths: Vec<Path>,
    action: Action,
}

/// What is to be redacted of each log type. Shared by all workers.
#[derive(Debug, Default)]
pub struct Redactor {
    mappings: Option<Arc<Mappings>>,
    log_types: HashMap<Arc<str>, Rules>,
}

/// What is to be redacted of one log type.
#[derive(Clone, Debug, Default)]
struct Rules {
    paths: Vec<Rule>,
    envelope: Vec<(Field, Action)>,
}

/// One path, and what happens to what it leads to.
#[derive(Clone, Debug)]
struct Rule {
    steps: Vec<Step>,
    action: Action,
}

/// An event without what was to be redacted.
#[derive(Debug)]
pub struct Redacted {
    body: Vec<u8>,
    context: Option<Context>,
    is_cut: bool,
}

/// Redactions that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("redact `{name}`: {words}")]
pub struct Error {
    /// Which.
    pub name: String,
    /// The option.
    pub option: &'static str,
    /// What is wrong, and the remedy.
    pub words: String,
}

impl Redactions {
    /// Reads what is written; of several that name one place, the first holds. Fetches the keys.
    ///
    /// # Errors
    ///
    /// With the first mistake.
    pub fn new<'o>(written: impl IntoIterator<Item = (&'o str, &'o RedactOptions)>) -> Result<Self, Error> {
        let read = written.into_iter().map(|(name, options)| {
            let mistake = |option, words: String| Error { name: name.to_owned(), option, words };
            if options.paths.is_empty() {
                return Err(mistake("paths", "no path: name what is to be redacted".to_owned()));
            }
            let paths = options.paths.iter().map(|path| Path::read(path)).collect::<Result<_, _>>();
            let action = Action::new(options).map_err(|words| mistake("key", words))?;
            let paths = paths.map_err(|words| mistake("paths", words))?;
            Ok(Redaction { name: name.to_owned(), log_types: options.log_type.clone(), paths, action })
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Whether there is nothing to redact.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Redactor {
    /// Sets redactions beside the mappings.
    ///
    /// # Errors
    ///
    /// When one names a log type that there is not: it would redact nothing, unnoticed.
    pub fn new(redactions: &Redactions, mappings: &Arc<Mappings>) -> Result<Self, Error> {
        let mut log_types: HashMap<Arc<str>, Rules> = HashMap::new();
        let known = mappings.known_log_types();
        for redaction in &redactions.0 {
            let is_meant = |log_type: &str| {
                redaction.log_types.is_empty() || redaction.log_types.iter().any(|wanted| matches(wanted, log_type))
            };
            let stray = redaction.log_types.iter().find(|wanted| !known.iter().any(|known| matches(wanted, known)));
            if let Some(stray) = stray {
                let nearest = nearest(stray, known.iter().copied());
                let hint = nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
                let words = format!("no mapping has the log type `{stray}`{hint}");
                return Err(Error { name: redaction.name.clone(), option: "log_type", words });
            }
            for log_type in known.iter().filter(|known| is_meant(known)) {
                log_types.entry(Arc::from(*log_type)).or_default().add(redaction, &mappings.twins(log_type));
            }
        }
        Ok(Self { mappings: Some(Arc::clone(mappings)), log_types })
    }

    /// The event without what is to be redacted of its log type; `None` where it holds nothing of it.
    #[must_use]
    pub fn apply(&self, log_type: &str, event: &Event<'_>) -> Option<Redacted> {
        let rules = self.log_types.get(log_type)?;
        let layout = self.mappings.as_ref().and_then(|mappings| mappings.layout(log_type));
        let mut rewriter = Rewriter::new(&rules.paths);
        let body = match (event.form, layout) {
            (Form::Text, Some(layout)) => columns::redact(layout, event, &rules.paths),
            (Form::Text, None) => rewriter.text(event.body),
            (Form::Json, _) => rewriter.document(event.body),
        };
        let context = rules.told(event.context, &mut rewriter);
        if body.is_none() && context.is_none() {
            return None;
        }
        let body = body.unwrap_or_else(|| event.body.to_vec());
        Some(Redacted { body, context, is_cut: rewriter.is_cut() })
    }
}

impl Rules {
    /// Adds a redaction's paths; a path that leads into one of two places which hold the same leads into the other too.
    fn add(&mut self, redaction: &Redaction, twins: &[(Vec<Step>, Vec<Step>)]) {
        for path in &redaction.paths {
            let action = redaction.action.clone();
            match path {
                Path::Envelope(field) => self.envelope.push((*field, action)),
                Path::Event(steps) => {
                    for (one, other) in twins.iter().flat_map(|(one, other)| [(one, other), (other, one)]) {
                        if let Some(steps) = path::mirrored(steps, one, other) {
                            self.paths.push(Rule { steps, action: action.clone() });
                        }
                    }
                    self.paths.push(Rule { steps: steps.clone(), action });
                }
            }
        }
    }

    /// What the envelopes told, without what is to be redacted; `None` where they told nothing of it.
    fn told(&self, context: &Context, rewriter: &mut Rewriter<'_>) -> Option<Context> {
        let mut changed: Option<Context> = None;
        // What CloudWatch Logs extracted of a line has the line's columns.
        if let Some(extracted) = context.get(Field::Extracted).and_then(|json| rewriter.document(json.as_bytes())) {
            let extracted = String::from_utf8_lossy(&extracted);
            changed.get_or_insert_with(|| context.clone()).set(Field::Extracted, &extracted);
        }
        for (field, action) in &self.envelope {
            if let Some(told) = context.get(*field) {
                changed.get_or_insert_with(|| context.clone()).set(*field, &action.of_text(told));
            }
        }
        changed
    }
}

impl Redacted {
    /// The event as it may be shown to everybody.
    #[must_use]
    pub fn event<'r>(&'r self, original: &Event<'r>) -> Event<'r> {
        Event {
            index: original.index,
            body: &self.body,
            form: original.form,
            context: self.context.as_ref().unwrap_or(original.context),
        }
    }

    /// Whether the rest of it had to be masked because its structure breaks.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// Whether a log type as it is asked for, `aws.*` too, is this one.
fn matches(wanted: &str, log_type: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => log_type.starts_with(start),
        None => wanted == log_type,
    }
}

impl Mappings {
    /// The places of a log type that hold the same: a string that holds JSON, and where the same stands beside it.
    fn twins(&self, log_type: &str) -> Vec<(Vec<Step>, Vec<Step>)> {
        let steps = |steps: &[ast::Step]| {
            let names = steps.iter().filter_map(|step| match step {
                ast::Step::Key(name) => Some(Step::name(name)),
                ast::Step::Index(_) | ast::Step::From(_) | ast::Step::Each => None,
            });
            names.collect::<Vec<_>>()
        };
        let plan = self.plans.iter().find(|plan| &*plan.log_type == log_type);
        let parses = plan.map_or(&[][..], |plan| &plan.parses);
        parses.iter().filter_map(|parse| Some((steps(&parse.path), steps(parse.twin.as_ref()?)))).collect()
    }

    fn layout(&self, log_type: &str) -> Option<&super::text::Layout> {
        self.plans.iter().find(|plan| &*plan.log_type == log_type)?.layout.as_ref()
    }
}
