//! Reading conditions: `when`, `[[match]]`, and what they want of a value.

use super::ast::{Compare, Condition, Conditions, Constant, Wanted};
use super::document::{Member, Node, Table, Value};
use super::reader::Reader;

const OPERATORS: [&str; 7] =
    ["prefix", "suffix", "contains", "equals-ignore-case", "anything-but", "numeric", "exists"];

impl Reader {
    /// The conditions of a table; `name` is what holds them.
    pub(super) fn conditions(&mut self, node: &Node, name: &str) -> Option<Conditions> {
        let table = self.table(node, name)?;
        if table.members.is_empty() {
            self.report(&node.at, format!("{name} is empty and would always hold"));
            return None;
        }
        self.conditions_of(table)
    }

    /// The conditions of a table that is not empty.
    pub(super) fn conditions_of(&mut self, table: &Table) -> Option<Conditions> {
        let read: Vec<Condition> = table.members.iter().filter_map(|member| self.condition(member)).collect();
        (read.len() == table.members.len()).then_some(Conditions(read))
    }

    fn condition(&mut self, member: &Member) -> Option<Condition> {
        let node = &member.node;
        match member.key.as_str() {
            "any" => {
                let nodes = self.list(node, "`any`")?;
                let tables: Vec<Conditions> =
                    nodes.iter().filter_map(|node| self.conditions(node, "a table of `any`")).collect();
                (tables.len() == nodes.len()).then_some(Condition::Any(tables))
            }
            key @ ("same" | "differ" | "later") => {
                let name = format!("`{key}`");
                let nodes = self.list(node, &name)?;
                let [left, right] = nodes else {
                    self.report(&node.at, format!("{name} wants two paths"));
                    return None;
                };
                let (left, right) = (self.path(left, &name), self.path(right, &name));
                let (left, right) = (left?, right?);
                Some(match key {
                    "same" => Condition::Same(left, right),
                    "differ" => Condition::Differ(left, right),
                    _ => Condition::Later(left, right),
                })
            }
            key => {
                let path = self.path_of(key, &member.at);
                let wanted = self.wanted_of(node);
                let path = path?;
                if super::reader::reads_many(&path) {
                    self.report(&member.at, "a condition wants a path to one value, and `[]` and `[n..]` give several");
                    return None;
                }
                Some(Condition::Is { path, wanted: wanted? })
            }
        }
    }

    /// What is wanted: a constant, an operator, or a list of them of which one must hold.
    fn wanted_of(&mut self, node: &Node) -> Option<Vec<Wanted>> {
        if !matches!(node.value, Value::List(_)) {
            return Some(vec![self.wanted(node)?]);
        }
        let nodes = self.list(node, "a condition")?;
        let wanted: Vec<Wanted> = nodes.iter().filter_map(|node| self.wanted(node)).collect();
        (wanted.len() == nodes.len()).then_some(wanted)
    }

    fn wanted(&mut self, node: &Node) -> Option<Wanted> {
        match &node.value {
            Value::Table(table) => self.operator(node, table),
            _ => self.constant(node, "a condition").map(Wanted::Equals),
        }
    }

    fn operator(&mut self, node: &Node, table: &Table) -> Option<Wanted> {
        let reported = self.errors.len();
        self.known(table, "a condition (a path with dots is written in quotes)", &OPERATORS);
        if self.errors.len() > reported {
            return None;
        }
        if let [only] = table.members.as_slice()
            && !matches!(only.key.as_str(), "prefix" | "suffix" | "contains")
        {
            return self.lone_operator(only);
        }
        let mut words = [None, None, None];
        for member in &table.members {
            let place = ["prefix", "suffix", "contains"].iter().position(|operator| *operator == member.key);
            let Some(slot) = place.and_then(|place| words.get_mut(place)) else {
                self.report(&member.at, format!("`{}` stands alone in its table", member.key));
                return None;
            };
            *slot = Some(self.word(&member.node, &format!("`{}`", member.key))?.to_owned());
        }
        let [prefix, suffix, contains] = words;
        if prefix.is_none() && suffix.is_none() && contains.is_none() {
            self.report(&node.at, "a condition names no operator");
            return None;
        }
        Some(Wanted::Text { prefix, suffix, contains })
    }

    fn lone_operator(&mut self, member: &Member) -> Option<Wanted> {
        let node = &member.node;
        match member.key.as_str() {
            "equals-ignore-case" => Some(Wanted::EqualsIgnoreCase(self.text(node, "`equals-ignore-case`")?.to_owned())),
            "anything-but" => self.wanted_of(node).map(Wanted::AnythingBut),
            "exists" => self.boolean(node, "`exists`").map(Wanted::Exists),
            _ => self.numeric(node),
        }
    }

    /// `[">", 0, "<=", 5]`
    fn numeric(&mut self, node: &Node) -> Option<Wanted> {
        const COMPARES: [(&str, Compare); 5] = [
            ("=", Compare::Equal),
            ("<", Compare::Less),
            ("<=", Compare::AtMost),
            (">", Compare::Greater),
            (">=", Compare::AtLeast),
        ];
        let nodes = self.list(node, "`numeric`")?;
        let mut pairs = Vec::new();
        for pair in nodes.chunks(2) {
            let [compare, bound] = pair else {
                self.report(&node.at, "`numeric` wants comparisons and numbers in turn: [\">\", 0, \"<=\", 5]");
                return None;
            };
            let compare = self.choice(compare, "`numeric`", &COMPARES);
            let bound = self.float(bound, "`numeric`");
            pairs.push((compare?, bound?));
        }
        Some(Wanted::Numeric(pairs))
    }
}

/// A constant as the text that sources are compared with.
pub(super) fn constant_text(constant: &Constant) -> String {
    match constant {
        Constant::Text(text) => text.clone(),
        Constant::Integer(number) => number.to_string(),
        Constant::Float(number) => number.to_string(),
        Constant::Boolean(truth) => truth.to_string(),
    }
}
