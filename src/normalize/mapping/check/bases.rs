//! Whether paths reach anything: `^` has a base to go out to, and `@key` an `each` to stand in.

use super::super::ast::{At, Base, Block, Condition, Conditions, Path, Piece, Rule, Source};
use super::Check;

impl Check<'_> {
    /// The paths of a block itself, which begin outside it.
    pub(super) fn reach_block(&mut self, block: &Block) {
        for path in block.from.iter().chain(&block.each) {
            self.reach(path, &block.at);
        }
    }

    /// Goes below a block's base, or a part's.
    pub(super) fn enter(&mut self, has_base: bool, has_each: bool) {
        self.bases += usize::from(has_base);
        self.eaches += usize::from(has_each);
    }

    /// Comes back from there.
    pub(super) fn leave(&mut self, has_base: bool, has_each: bool) {
        self.bases -= usize::from(has_base);
        self.eaches -= usize::from(has_each);
    }

    /// The paths of a rule, without those of the rules in it.
    pub(super) fn reach_rule(&mut self, rule: &Rule) {
        let paths: Vec<&Path> = match &rule.source {
            Source::First(paths) | Source::All(paths) | Source::Uid(paths) => paths.iter().collect(),
            Source::Template(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Path(path) => Some(path),
                    Piece::Text(_) => None,
                })
                .collect(),
            Source::Part { from, .. } => from.iter().collect(),
            Source::Rest(path) => vec![path],
            Source::Each { each, .. } => vec![each],
            Source::Value(_) | Source::Values(_) | Source::Cases(_) => Vec::new(),
        };
        for path in paths {
            self.reach(path, &rule.at);
        }
    }

    /// The paths of conditions.
    pub(super) fn reach_conditions(&mut self, conditions: &Conditions, at: &At) {
        for condition in &conditions.0 {
            match condition {
                Condition::Is { path, .. } => self.reach(path, at),
                Condition::Any(tables) => tables.iter().for_each(|table| self.reach_conditions(table, at)),
                Condition::Same(left, right) | Condition::Differ(left, right) | Condition::Later(left, right) => {
                    self.reach(left, at);
                    self.reach(right, at);
                }
            }
        }
    }

    fn reach(&mut self, path: &Path, at: &At) {
        match path {
            Path::Event { base: Base::Parent(out), .. } if usize::from(*out) > self.bases => {
                let words = format!("`^` goes out by {out}, and only {} `from` or `each` stand around it", self.bases);
                self.report(at, words);
            }
            Path::Key if self.eaches == 0 => self.report(at, "`@key` stands in no `each`"),
            Path::Event { .. } | Path::Key | Path::Envelope(_) | Path::Text | Path::LogType => {}
        }
    }
}
