//! What reading any part of a mapping file needs: typed access to values, errors collected, rules numbered.

use super::ast::{At, Constant, Path, RuleId, RuleName, Step, Target};
use super::document::{Member, Node, Table, Value};
use super::error::Error;
use super::notation::{self, Mistake};

/// Collects what reading one mapping brings up. A reading that fails reports why and gives nothing, so that all mistakes
/// of a file come out at once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The mistakes so far.
    pub(super) errors: Vec<Error>,
    /// The rules so far, by number.
    pub(super) rules: Vec<RuleName>,
}

impl Reader {
    /// Reports a mistake.
    pub(super) fn report(&mut self, at: &At, words: impl Into<String>) {
        self.errors.push(Error::new(at, words));
    }

    /// Gives a rule its number and name.
    pub(super) fn number(&mut self, label: impl Into<String>, at: &At) -> RuleId {
        // A file of four billion rules does not fit the bound on its size, so the number never saturates.
        let id = RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
        self.rules.push(RuleName { label: label.into(), at: at.clone() });
        id
    }

    /// Reports every key of a table that is none of these.
    pub(super) fn known(&mut self, table: &Table, owner: &str, legal: &[&str]) {
        for member in &table.members {
            if !legal.contains(&member.key.as_str()) {
                let error = Error::new(&member.at, format!("unknown key `{}` in {owner}", member.key));
                self.errors.push(error.meant(&member.key, legal.iter().copied()));
            }
        }
    }

    /// Reports that a value is of the wrong TOML type.
    pub(super) fn wrong_type(&mut self, node: &Node, name: &str, wanted: &str) {
        self.report(&node.at, format!("{name} wants {wanted}, not {}", node.kind()));
    }

    /// A table.
    pub(super) fn table<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n Table> {
        match &node.value {
            Value::Table(table) => Some(table),
            _ => self.refuse(node, name, "a table"),
        }
    }

    /// A list that is not empty.
    pub(super) fn list<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                self.report(&node.at, format!("{name} is an empty list"));
                None
            }
            Value::List(nodes) => Some(nodes),
            _ => self.refuse(node, name, "a list"),
        }
    }

    /// The tables of `[[name]]`; none if there is no such key.
    pub(super) fn tables<'n>(&mut self, table: &'n Table, key: &str, name: &str) -> Vec<(&'n At, &'n Table)> {
        let Some(member) = table.get(key) else { return Vec::new() };
        let Value::List(nodes) = &member.node.value else {
            self.wrong_type(&member.node, name, "a list of tables");
            return Vec::new();
        };
        nodes.iter().filter_map(|node| Some((&node.at, self.table(node, name)?))).collect()
    }

    /// Text.
    pub(super) fn text<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => self.refuse(node, name, "text"),
        }
    }

    /// Text that is not empty.
    pub(super) fn word<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        let text = self.text(node, name)?;
        if text.is_empty() {
            self.report(&node.at, format!("{name} is empty"));
            return None;
        }
        Some(text)
    }

    /// A list of texts.
    pub(super) fn words<'n>(&mut self, node: &'n Node, name: &str) -> Option<Vec<&'n str>> {
        let nodes = self.list(node, name)?;
        let words: Vec<&str> = nodes.iter().filter_map(|node| self.text(node, name)).collect();
        (words.len() == nodes.len()).then_some(words)
    }

    /// True or false.
    pub(super) fn boolean(&mut self, node: &Node, name: &str) -> Option<bool> {
        match node.value {
            Value::Boolean(truth) => Some(truth),
            _ => self.refuse(node, name, "true or false"),
        }
    }

    /// A number, whole or not.
    #[expect(
        clippy::cast_precision_loss,
        clippy::as_conversions,
        reason = "bounds and factors are small; beyond 2^53 they round"
    )]
    pub(super) fn float(&mut self, node: &Node, name: &str) -> Option<f64> {
        match node.value {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number, _) => Some(number),
            _ => self.refuse(node, name, "a number"),
        }
    }

    /// A whole number.
    pub(super) fn integer(&mut self, node: &Node, name: &str) -> Option<i64> {
        match node.value {
            Value::Integer(number) => Some(number),
            _ => self.refuse(node, name, "a whole number"),
        }
    }

    /// A constant.
    pub(super) fn constant(&mut self, node: &Node, name: &str) -> Option<Constant> {
        let constant = node.constant();
        if constant.is_none() {
            self.wrong_type(node, name, "text, a number or a boolean");
        }
        constant
    }

    /// One of a closed set of words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let written = self.text(node, name)?;
        let found = choices.iter().find(|(word, _)| *word == written).map(|(_, value)| *value);
        if found.is_none() {
            let error = Error::new(&node.at, format!("{name} knows no `{written}`"));
            self.errors.push(error.meant(written, choices.iter().map(|(word, _)| *word)));
        }
        found
    }

    /// A path to one value.
    pub(super) fn path(&mut self, node: &Node, name: &str) -> Option<Path> {
        let path = self.any_path(node, name)?;
        if reads_many(&path) {
            self.report(&node.at, format!("{name} wants a path to one value, and `[]` and `[n..]` give several"));
            return None;
        }
        Some(path)
    }

    /// A path to one value or several.
    pub(super) fn any_path(&mut self, node: &Node, name: &str) -> Option<Path> {
        let text = self.text(node, name)?;
        self.path_of(text, &node.at)
    }

    /// A path that is already at hand as text (a key, a list's member).
    pub(super) fn path_of(&mut self, text: &str, at: &At) -> Option<Path> {
        let read = notation::path(text);
        self.noted(read, at)
    }

    /// The target that a key names.
    pub(super) fn target(&mut self, text: &str, at: &At) -> Option<Target> {
        let read = notation::target(text);
        self.noted(read, at)
    }

    /// What a notation gave, or nothing and a report.
    pub(super) fn noted<T>(&mut self, read: Result<T, Mistake>, at: &At) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(Mistake { words, known }) => {
                let error = Error::new(at, words);
                self.errors.push(match known {
                    Some((written, names)) => error.meant(&written, names),
                    None => error,
                });
                None
            }
        }
    }

    /// The member of a table that must be there.
    pub(super) fn required<'n>(&mut self, table: &'n Table, key: &str, owner: &str, at: &At) -> Option<&'n Member> {
        let member = table.get(key);
        if member.is_none() {
            self.report(at, format!("{owner} has no `{key}`"));
        }
        member
    }

    fn refuse<T>(&mut self, node: &Node, name: &str, wanted: &str) -> Option<T> {
        self.wrong_type(node, name, wanted);
        None
    }
}

/// Whether a path gives several values.
pub(super) fn reads_many(path: &Path) -> bool {
    let Path::Event { steps, .. } = path else { return false };
    steps.iter().any(|step| matches!(step, Step::Each | Step::From(_)))
}
