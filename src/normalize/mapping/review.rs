//! What is worth knowing of a set of mappings that is right: who wins a tie, who never decides, and what is let go.

use std::fmt;

use super::ast::{At, Base, Keys, Mapping, Match, Origin, Path, Step};
use super::sources::Loaded;
use super::ties;

/// Something worth knowing, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub at: At,
    /// What.
    pub kind: Kind,
    /// In words.
    pub words: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A mapping of a user's own takes the place of a shipped one.
    Replaced,
    /// A match of a user's own and a shipped one have equally many conditions, and an event may meet both.
    Tie,
    /// A match that never decides: another log type's takes every event that meets it.
    Shadowed,
    /// Leaves that a mapping lets go.
    Ignored,
}

impl Kind {
    /// The word that people see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Tie => "tie",
            Self::Shadowed => "shadowed",
            Self::Ignored => "ignored",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.at.file, self.at.line, self.kind.name(), self.words)
    }
}

/// All notes on these mappings, kind by kind.
#[must_use]
pub fn notes(loaded: &Loaded) -> Vec<Note> {
    let mappings: Vec<&Mapping> = loaded.log_types.iter().collect();
    let mut notes = Vec::new();
    for mapping in &mappings {
        if let (Origin::Own { replaces_shipped: true }, Some(first)) = (mapping.origin, mapping.matches.first()) {
            let words = format!("takes the place of the shipped mapping of `{}`", mapping.log_type);
            notes.push(Note { at: At { line: 1, column: 1, ..first.at.clone() }, kind: Kind::Replaced, words });
        }
    }
    for tie in ties::won(&mappings) {
        let (own, (shipped, other)) = (tie.earlier.1, tie.later);
        let words = format!(
            "the shipped match of `{}` at {}:{} has as many conditions: an event that meets both is yours",
            shipped.log_type, other.at.file, other.at.line
        );
        notes.push(Note { at: own.at.clone(), kind: Kind::Tie, words });
    }
    for (place, mapping) in mappings.iter().enumerate() {
        for known in &mapping.matches {
            if let Some((other, winner)) = shadow(&mappings, place, mapping, known) {
                let words = format!(
                    "never decides: an event that meets it meets the match of `{}` at {}:{}, which goes before it",
                    other.log_type, winner.at.file, winner.at.line
                );
                notes.push(Note { at: known.at.clone(), kind: Kind::Shadowed, words });
            }
        }
    }
    for mapping in mappings.iter().chain([&&loaded.base]) {
        for ignore in &mapping.ignores {
            let at = usize::try_from(ignore.id.0).ok().and_then(|id| mapping.rules.get(id)).map(|rule| rule.at.clone());
            let words = format!("`{}` lets `{}` go: {}", mapping.log_type, path_text(&ignore.path), ignore.why);
            notes.extend(at.map(|at| Note { at, kind: Kind::Ignored, words }));
        }
    }
    notes
}

/// A match of another log type that takes every event that meets this one.
fn shadow<'m>(
    mappings: &[&'m Mapping],
    place: usize,
    mapping: &Mapping,
    known: &Match,
) -> Option<(&'m Mapping, &'m Match)> {
    mappings.iter().enumerate().filter(|(other, _)| *other != place).find_map(|(at, other)| {
        let is_same_form = other.text.is_some() == mapping.text.is_some();
        let keys = if other.keys == mapping.keys { other.keys } else { Keys::Exact };
        let mut found = other.matches.iter().filter(|_| is_same_form);
        found
            .find(|winner| {
                let (weight, against) = (winner.when.0.len(), known.when.0.len());
                let goes_before = weight > against || weight == against && at < place;
                goes_before && ties::implies(&known.when, &winner.when, keys)
            })
            .map(|winner| (*other, winner))
    })
}

fn path_text(path: &Path) -> String {
    let Path::Event { base: Base::Here | Base::Root | Base::Parent(_), steps } = path else { return String::new() };
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
            Step::From(index) => text.extend(["[", &index.to_string(), "..]"]),
            Step::Each => text.push_str("[]"),
        }
    }
    text
}
