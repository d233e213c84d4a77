//! Reading rules: where a value comes from and what is done to it.

use super::ast::{Arm, At, Band, Conditions, Constant, Convert, Cut, Fallback, Kind, Map, Path, Rule, Source, Target};
use super::condition::constant_text;
use super::document::{Member, Node, Table, Value};
use super::notation;
use super::reader::{Reader, reads_many};

/// The keys that say where a value comes from; a rule has one of them.
const SOURCES: [&str; 9] = ["from", "first", "all", "value", "template", "cases", "part", "rest", "uid"];

/// The keys that change a value or say how it is read.
const CHANGES: [&str; 9] = ["skip", "before", "after", "capture", "enum", "bands", "scale", "as", "keep"];

/// The changes that want a leaf.
const LEAF_CHANGES: [&str; 7] = ["skip", "before", "after", "capture", "enum", "bands", "scale"];

/// The keys that make a rule one for each member of a list.
const EACH: [&str; 2] = ["each", "only"];

/// The sources whose value comes from the event and may be changed on its way.
const CHANGEABLE: [&str; 3] = ["from", "first", "all"];

/// The sources that may give nothing and have no other way to say what is written then.
const DEFAULTABLE: [&str; 4] = ["from", "first", "template", "cases"];

const KINDS: [(&str, Kind); 13] = [
    ("timestamp", Kind::Timestamp),
    ("utc", Kind::Utc),
    ("integer", Kind::Integer),
    ("float", Kind::Float),
    ("boolean", Kind::Boolean),
    ("string", Kind::String),
    ("ip", Kind::Ip),
    ("hostname", Kind::Hostname),
    ("lower", Kind::Lower),
    ("upper", Kind::Upper),
    ("basename", Kind::Basename),
    ("json", Kind::Json),
    ("count", Kind::Count),
];

impl Reader {
    /// The rule for a target. `label` is what people call it, `at` where its key stands.
    pub(super) fn rule(&mut self, node: &Node, at: &At, label: &str, target: &Target) -> Option<Rule> {
        self.rule_beside(node, at, label, target, &[])
    }

    /// A rule in a table that may hold these other keys too.
    fn rule_beside(&mut self, node: &Node, at: &At, label: &str, target: &Target, others: &[&str]) -> Option<Rule> {
        match &node.value {
            Value::Text(_) => {
                let id = self.number(label, at);
                let source = Source::First(vec![self.source_path(node, "a rule", target)?]);
                let convert = Convert::default();
                Some(Rule { id, at: at.clone(), source, convert, default: None, keep: false, distinct: false })
            }
            Value::Table(table) => self.rule_table(table, node, at, label, target, others),
            Value::Integer(_) | Value::Float(..) | Value::Boolean(_) => {
                self.report(&node.at, "a rule is a path or a table; a constant is written { value = .. }");
                None
            }
            Value::List(_) => {
                self.report(&node.at, "a rule is a path or a table; several paths are written { first = [..] }");
                None
            }
            Value::Datetime => {
                self.wrong_type(node, "a rule", "a path or a table");
                None
            }
        }
    }

    fn rule_table(
        &mut self,
        table: &Table,
        node: &Node,
        at: &At,
        label: &str,
        target: &Target,
        others: &[&str],
    ) -> Option<Rule> {
        let id = self.number(label, at);
        let reported = self.errors.len();
        let legal = SOURCES.iter().chain(&CHANGES).chain(&["default", "distinct"]).chain(&EACH).chain(others);
        let legal: Vec<&str> = legal.copied().collect();
        let source_key = self.source_key(table, node, &legal)?;
        self.known(table, "a rule", &legal);
        self.misplaced(table, source_key);
        let source = self.source(table, source_key, label, target);
        let convert = self.convert(table);
        let default = self.fallback(table, label, target);
        let keep = table.get("keep").and_then(|member| self.boolean(&member.node, "`keep`")).unwrap_or(false);
        let distinct = self.distinct_values(table, target);
        if let Some(only) = table.get("only").filter(|_| table.get("each").is_none()) {
            self.report(&only.at, "`only` chooses among the members of an `each`, and here is none");
        }
        let each = table.get("each").map(|each| self.each(table, each, target));
        if self.errors.len() > reported {
            return None;
        }
        let (at, source) = (at.clone(), source?);
        let Some(each) = each else { return Some(Rule { id, at, source, convert, default, keep, distinct }) };
        // What is written when no member gave anything is for the whole, all else for each member.
        let (each, only) = each?;
        let inner = Rule { id, at: at.clone(), source, convert, default: None, keep, distinct: false };
        let source = Source::Each { each, only, rule: Box::new(inner) };
        Some(Rule { id, at, source, convert: Convert::default(), default, keep: false, distinct })
    }

    fn distinct_values(&mut self, table: &Table, target: &Target) -> bool {
        let Some(member) = table.get("distinct") else { return false };
        if !is_array(target) {
            self.report(&member.at, "`distinct` is about several values, and the target is no array");
        }
        self.boolean(&member.node, "`distinct`").unwrap_or(false)
    }

    /// The list of an `each`, and which of its members count.
    fn each(&mut self, table: &Table, each: &Member, target: &Target) -> Option<(Path, Conditions)> {
        for key in ["rest", "uid"] {
            if let Some(member) = table.get(key) {
                self.report(&member.at, format!("`{key}` means nothing beside `each` in a rule"));
            }
        }
        let path = self.source_path(&each.node, "`each`", target)?;
        let only = match table.get("only") {
            Some(member) => self.conditions(&member.node, "`only`")?,
            None => Conditions::default(),
        };
        Some((path, only))
    }

    /// The one key that says where the value comes from.
    fn source_key(&mut self, table: &Table, node: &Node, legal: &[&str]) -> Option<&'static str> {
        let is_part = table.get("part").is_some();
        let mut found = None;
        for key in SOURCES {
            let Some(member) = table.get(key) else { continue };
            // Beside `part`, `from` says where the part's paths begin.
            if is_part && key == "from" {
                continue;
            }
            if let Some(earlier) = found {
                self.report(&member.at, format!("a rule has one source, and here are `{earlier}` and `{key}`"));
                return None;
            }
            found = Some(key);
        }
        if found.is_none() {
            let reported = self.errors.len();
            self.known(table, "a rule", legal);
            let is_slip = self.errors.iter().skip(reported).any(|error| error.nearest.is_some());
            if !is_slip {
                let is_dotted = self.errors.len() > reported && table.members.len() == self.errors.len() - reported;
                let hint = if is_dotted { "; a target with dots is written in quotes" } else { "" };
                self.errors.truncate(reported);
                self.report(&node.at, format!("a rule says where its value comes from: {}{hint}", SOURCES.join(", ")));
            }
        }
        found
    }

    /// Reports keys that mean nothing beside this source.
    fn misplaced(&mut self, table: &Table, source: &str) {
        for member in &table.members {
            let key = member.key.as_str();
            let changes = CHANGES.contains(&key) && !CHANGEABLE.contains(&source);
            let is_defaultable = DEFAULTABLE.contains(&source) || table.get("each").is_some();
            if changes || (key == "default" && !is_defaultable) {
                self.report(&member.at, format!("`{key}` means nothing beside `{source}`"));
            }
        }
    }

    fn source(&mut self, table: &Table, key: &str, label: &str, target: &Target) -> Option<Source> {
        let node = &table.get(key)?.node;
        let name = format!("`{key}`");
        match key {
            "from" => Some(Source::First(vec![self.source_path(node, &name, target)?])),
            "first" => Some(Source::First(self.source_paths(node, &name, target)?)),
            "all" => {
                let paths = self.source_paths(node, &name, target)?;
                if !is_array(target) {
                    self.report(&node.at, "`all` gives several values, and the target is no array");
                    return None;
                }
                Some(Source::All(paths))
            }
            "value" if matches!(node.value, Value::List(_)) => {
                if !is_array(target) {
                    self.report(&node.at, "`value` is a list, and the target is no array");
                    return None;
                }
                let nodes = self.list(node, &name)?;
                let values: Vec<Constant> = nodes.iter().filter_map(|node| self.constant(node, &name)).collect();
                (values.len() == nodes.len()).then_some(Source::Values(values))
            }
            "value" => self.constant(node, &name).map(Source::Value),
            "template" => {
                let text = self.text(node, &name)?;
                let pieces = notation::template(text);
                let pieces = self.noted(pieces, &node.at)?;
                if pieces.iter().any(|piece| matches!(piece, super::ast::Piece::Path(path) if reads_many(path))) {
                    self.report(&node.at, "a template wants paths to one value, and `[]` and `[n..]` give several");
                    return None;
                }
                Some(Source::Template(pieces))
            }
            "cases" => self.arms(node, label, target).map(Source::Cases),
            "part" => {
                let part = self.word(node, &name)?.to_owned();
                let from = table.get("from").map(|member| self.path(&member.node, "`from`"));
                Some(Source::Part { name: part, from: from.map_or(Some(None), |path| path.map(Some))? })
            }
            "rest" => self.path(node, &name).map(Source::Rest),
            _ => {
                let nodes = self.list(node, &name)?;
                let paths: Vec<Path> = nodes.iter().filter_map(|node| self.path(node, &name)).collect();
                (paths.len() == nodes.len()).then_some(Source::Uid(paths))
            }
        }
    }

    /// A path of `from` or `first`: several values need a target that takes several.
    fn source_path(&mut self, node: &Node, name: &str, target: &Target) -> Option<Path> {
        if is_array(target) { self.any_path(node, name) } else { self.path(node, name) }
    }

    fn source_paths(&mut self, node: &Node, name: &str, target: &Target) -> Option<Vec<Path>> {
        let nodes = self.list(node, name)?;
        let paths: Vec<Path> = nodes.iter().filter_map(|node| self.source_path(node, name, target)).collect();
        (paths.len() == nodes.len()).then_some(paths)
    }

    fn arms(&mut self, node: &Node, label: &str, target: &Target) -> Option<Vec<Arm>> {
        let nodes = self.list(node, "`cases`")?;
        let mut arms = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let Some(table) = self.table(node, "an arm of `cases`") else { continue };
            let when = match table.get("when") {
                Some(member) => self.conditions(&member.node, "`when`"),
                None => Some(Conditions::default()),
            };
            let label = format!("{label}, case {}", number + 1);
            let rule = self.rule_beside(node, &node.at, &label, target, &["when"]);
            if let (Some(when), Some(rule)) = (when, rule) {
                self.no_distinct(&rule);
                arms.push(Arm { when, rule });
            }
        }
        (arms.len() == nodes.len()).then_some(arms)
    }

    /// Reports a `distinct` that stands inside a rule, where it would only be about a part of the values.
    fn no_distinct(&mut self, rule: &Rule) {
        if rule.distinct {
            self.report(&rule.at, "`distinct` is about all values of the target: it stands in the outermost rule");
        }
    }

    fn fallback(&mut self, table: &Table, label: &str, target: &Target) -> Option<Box<Fallback>> {
        let member = table.get("default")?;
        let fallback = match &member.node.value {
            Value::Table(_) => {
                let rule = self.rule(&member.node, &member.at, &format!("{label}, default"), target)?;
                self.no_distinct(&rule);
                Fallback::Rule(rule)
            }
            _ => Fallback::Constant(self.constant(&member.node, "`default`")?),
        };
        Some(Box::new(fallback))
    }

    fn convert(&mut self, table: &Table) -> Convert {
        let mut convert = Convert::default();
        if let Some(member) = table.get("skip")
            && let Some(nodes) = self.list(&member.node, "`skip`")
        {
            convert.skip = nodes.iter().filter_map(|node| self.skip(node)).collect();
        }
        self.exclusive(table, &["before", "after", "capture"]);
        self.exclusive(table, &["enum", "bands", "scale"]);
        convert.cut = self.cut(table);
        convert.map = self.map(table);
        convert.kind = table.get("as").and_then(|member| self.choice(&member.node, "`as`", &KINDS));
        if convert.kind == Some(Kind::Count)
            && let Some(change) = table.members.iter().find(|member| LEAF_CHANGES.contains(&member.key.as_str()))
        {
            self.report(&change.at, format!("`{}` changes a leaf, and `as = \"count\"` counts members", change.key));
        }
        convert
    }

    /// A value of `skip`, as the text it is compared by. A float keeps its spelling: `0.0` skips `0.0`.
    fn skip(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Float(_, spelling) => Some(spelling.clone()),
            _ => self.constant(node, "`skip`").map(|constant| constant_text(&constant)),
        }
    }

    /// Reports all of these keys behind the first that is there.
    fn exclusive(&mut self, table: &Table, keys: &[&str]) {
        let mut found = table.members.iter().filter(|member| keys.contains(&member.key.as_str()));
        let Some(first) = found.next() else { return };
        for member in found {
            self.report(&member.at, format!("`{}` and `{}` exclude each other in a rule", first.key, member.key));
        }
    }

    fn cut(&mut self, table: &Table) -> Option<Cut> {
        if let Some(member) = table.get("before") {
            return self.word(&member.node, "`before`").map(|text| Cut::Before(text.to_owned()));
        }
        if let Some(member) = table.get("after") {
            return self.word(&member.node, "`after`").map(|text| Cut::After(text.to_owned()));
        }
        let node = &table.get("capture")?.node;
        let text = self.word(node, "`capture`")?;
        match regex::Regex::new(text) {
            Ok(regex) if regex.captures_len() == 2 => Some(Cut::Capture(regex)),
            Ok(_) => {
                self.report(&node.at, format!("the regular expression `{text}` must have exactly one group"));
                None
            }
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                self.report(&node.at, format!("`{text}` is no regular expression: {why}"));
                None
            }
        }
    }

    fn map(&mut self, table: &Table) -> Option<Map> {
        if let Some(member) = table.get("enum") {
            return self.lookup(&member.node).map(Map::Enum);
        }
        if let Some(member) = table.get("bands") {
            return self.bands(&member.node).map(Map::Bands);
        }
        let node = &table.get("scale")?.node;
        let factor = self.float(node, "`scale`")?;
        if factor == 0.0 {
            self.report(&node.at, "`scale` by zero loses the value");
            return None;
        }
        Some(Map::Scale(factor))
    }

    fn lookup(&mut self, node: &Node) -> Option<Vec<(String, Constant)>> {
        let table = self.table(node, "`enum`")?;
        if table.members.is_empty() {
            self.report(&node.at, "`enum` is empty");
            return None;
        }
        let mut words = Vec::new();
        for member in &table.members {
            match self.constant(&member.node, "a value of `enum`") {
                Some(value @ (Constant::Text(_) | Constant::Integer(_))) => words.push((member.key.clone(), value)),
                Some(_) => self.wrong_type(&member.node, "a value of `enum`", "a whole number or text"),
                None => {}
            }
        }
        (words.len() == table.members.len()).then_some(words)
    }

    fn bands(&mut self, node: &Node) -> Option<Vec<Band>> {
        let nodes = self.list(node, "`bands`")?;
        let mut bands: Vec<Band> = Vec::new();
        for node in nodes {
            let Some(band) = self.band(node) else { continue };
            let covered = |earlier: &Band| {
                earlier.from < band.from || (earlier.from <= band.from && (earlier.inclusive || !band.inclusive))
            };
            if bands.iter().any(covered) {
                self.report(&node.at, "this band never holds: an earlier one holds for all its values");
            }
            bands.push(band);
        }
        (bands.len() == nodes.len()).then_some(bands)
    }

    fn band(&mut self, node: &Node) -> Option<Band> {
        let table = self.table(node, "a band")?;
        self.known(table, "a band", &["at_least", "above", "value"]);
        let value = self.required(table, "value", "a band", &node.at);
        let value = value.and_then(|member| self.constant(&member.node, "a band's `value`"));
        let (bound, inclusive) = match (table.get("at_least"), table.get("above")) {
            (Some(bound), None) => (bound, true),
            (None, Some(bound)) => (bound, false),
            (Some(_), Some(_)) | (None, None) => {
                self.report(&node.at, "a band has one bound: `at_least` or `above`");
                return None;
            }
        };
        let from = self.float(&bound.node, "a band's bound")?;
        Some(Band { from, inclusive, value: value? })
    }
}

/// Whether a target takes several values.
pub(super) fn is_array(target: &Target) -> bool {
    target.segments.last().is_some_and(|segment| segment.is_array)
}
