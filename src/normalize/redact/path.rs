//! Where what is to be redacted stands.

use crate::envelope::Field;
use crate::ocsf::nearest;

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// In the event.
    Event(Vec<Step>),
    /// In what the envelopes told.
    Envelope(Field),
}

/// One step into an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of this name, in lower case.
    Name(Box<str>),
    /// Any member.
    Any,
    /// Any number of members, within each other.
    Deep,
}

impl Step {
    /// A step to a member of this name.
    pub fn name(name: &str) -> Self {
        Self::Name(name.to_ascii_lowercase().into())
    }

    /// Whether a member of this name is meant.
    pub fn is(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Self::Any | Self::Deep => true,
        }
    }
}

impl Path {
    /// Reads a path: `a.b`, `a[].b`, `a.*.b`, `**.b`, `"a.b".c`, `@envelope.log_stream`.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("@envelope.") {
            return Field::named(name).map(Self::Envelope).ok_or_else(|| {
                let nearest = nearest(name, Field::ALL.iter().map(|field| field.name()));
                let hint = nearest.map_or_else(String::new, |known| format!("; did you mean `@envelope.{known}`?"));
                format!("no envelope tells `{name}`{hint}")
            });
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, after) = step(rest, text)?;
            steps.push(step);
            rest = after.strip_prefix("[]").or_else(|| after.strip_prefix("[*]")).unwrap_or(after);
            match rest.strip_prefix('.') {
                Some(more) => rest = more,
                None if rest.is_empty() => break,
                None if rest.starts_with('[') => {
                    return Err(format!(
                        "`{text}`: all elements of an array are redacted, none by its number: write `[]`"
                    ));
                }
                None => return Err(format!("`{text}`: a `.` is missing before `{rest}`")),
            }
        }
        if steps.last() == Some(&Step::Deep) {
            return Err(format!("`{text}`: behind `**` a name is missing"));
        }
        if steps.windows(2).any(|pair| pair == [Step::Deep, Step::Deep]) {
            return Err(format!("`{text}`: two `**` in a row say what one says"));
        }
        Ok(Self::Event(steps))
    }
}

fn step<'t>(rest: &'t str, whole: &str) -> Result<(Step, &'t str), String> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (name, after) = quoted.split_once('"').ok_or_else(|| format!("`{whole}`: a quote is not closed"))?;
        return Ok((Step::name(name), after));
    }
    let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
    match name {
        "" => Err(format!("`{whole}`: a name is missing")),
        "*" => Ok((Step::Any, after)),
        "**" => Ok((Step::Deep, after)),
        _ if name.starts_with('@') => {
            Err(format!("`{whole}`: there is `@envelope.<name>`, and a name that begins with `@` is written in quotes"))
        }
        _ if name.contains(['*', '"']) => {
            Err(format!("`{whole}`: `*` and quotes stand for a whole name or stand in quotes"))
        }
        _ => Ok((Step::name(name), after)),
    }
}

/// Where what a path leads to stands again, if what stands at `one` stands at `other` too.
pub(super) fn mirrored(steps: &[Step], one: &[Step], other: &[Step]) -> Option<Vec<Step>> {
    let leads = |(step, place): (&Step, &Step)| match (step, place) {
        // `**` finds the other place by itself.
        (Step::Deep, _) => false,
        (step, Step::Name(name)) => step.is(name),
        (step, place) => step == place,
    };
    let below = steps.get(one.len()..).unwrap_or_default();
    steps.iter().zip(one).all(leads).then(|| [other, below].concat())
}
