//! Reading one mapping file, with `common.toml` and its tests, into a [`Mapping`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Projection;
use super::ast::{
    At, Base, Body, Case, Ignore, Keys, Mapping, Match, Origin, Parse, Path, SiemNames, Split, Test, Text,
};
use super::document::{Member, Node, Table, Value};
use super::error::Error;
use super::reader::Reader;

/// A mapping that was read, and the places that the check needs beside those in the mapping.
#[derive(Debug)]
pub(super) struct Draft {
    /// The mapping.
    pub(super) mapping: Mapping,
    /// Where `log_type` stands.
    pub(super) at: At,
    /// Where the class and the profiles of each case stand.
    pub(super) cases: Vec<CasePlaces>,
    /// Where each part stands, and its `needs`.
    pub(super) parts: BTreeMap<String, PartPlaces>,
}

/// Where the names of a case stand.
#[derive(Clone, Debug)]
pub(super) struct CasePlaces {
    /// Its class.
    pub(super) class: At,
    /// Its profiles, in the order of [`Case::profiles`].
    pub(super) profiles: Vec<At>,
}

/// Where the names of a part stand.
#[derive(Clone, Debug)]
pub(super) struct PartPlaces {
    /// The part itself.
    pub(super) part: At,
    /// Its `needs`, in the order of [`Body::needs`].
    pub(super) needs: Vec<At>,
}

/// The log type that a file says it maps, without reading the rest of it.
pub(super) fn log_type(file: &Table) -> Option<&str> {
    head_text(file, "log_type")
}

/// The vocabulary that a file says it projects to, without reading the rest of it.
pub(super) fn projection(file: &Table) -> Option<&str> {
    head_text(file, "projection")
}

fn head_text<'f>(file: &'f Table, key: &str) -> Option<&'f str> {
    match &file.get("mapping")?.node.value {
        Value::Table(head) => match &head.get(key)?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Reads a file with the rules of `common.toml` and the tests of the file beside it. Gives all mistakes, or the mapping.
pub(super) fn draft(name: &Arc<str>, file: &Table, common: &Table, tests: Option<&Table>) -> Result<Draft, Vec<Error>> {
    let mut reader = Reader::default();
    let draft = reader.file(name, file, common, tests);
    match draft {
        Some(draft) if reader.errors.is_empty() => Ok(draft),
        Some(_) | None => Err(reader.errors),
    }
}

/// Reads `common.toml` alone, for its own mistakes.
pub(super) fn common_errors(common: &Table) -> Vec<Error> {
    let mut reader = Reader::default();
    reader.known(common, "common.toml", &["set"]);
    let _ = reader.body(common, "");
    reader.errors
}

/// What `[mapping]` says.
pub(super) struct Head {
    log_type: Arc<str>,
    projection: Option<Projection>,
    names: SiemNames,
    version: Option<String>,
    /// Where `log_type` stands.
    pub(super) at: At,
    /// The class of a mapping without `[[case]]`, and its place.
    pub(super) class: Option<(String, At)>,
    /// The profiles of all cases, and their places.
    pub(super) profiles: Vec<(String, At)>,
    keys: Keys,
    ignores: Vec<Ignore>,
}

impl Reader {
    fn file(&mut self, name: &Arc<str>, file: &Table, common: &Table, tests: Option<&Table>) -> Option<Draft> {
        let top = At { file: Arc::clone(name), line: 1, column: 1 };
        let legal = ["mapping", "match", "set", "block", "part", "case", "parse", "text", "test"];
        self.known(file, "a mapping file", &legal);
        let head = self.required(file, "mapping", "the file", &top).and_then(|member| self.head(member));
        let matches = self.matches(file);
        let text = file.get("text").and_then(|member| self.text_form(member));
        let parses = self.parses(file);
        let shared = self.body(file, "");
        let (parts, part_places) = self.parts(file);
        let head = head?;
        let own_cases = self.cases(file, &head);
        let (mut cases, case_places): (Vec<Case>, Vec<CasePlaces>) = own_cases.into_iter().unzip();
        self.merge_shared(&mut cases, &shared);
        self.merge_common(&mut cases, common);
        let mut found = Vec::new();
        self.tests(file, &mut found);
        if let Some(beside) = tests {
            self.known(beside, "a file of tests", &["test"]);
            self.tests(beside, &mut found);
        }
        let mapping = Mapping {
            log_type: head.log_type,
            projection: head.projection,
            names: head.names,
            version: head.version,
            keys: head.keys,
            matches,
            cases,
            parts,
            parses,
            ignores: head.ignores,
            text,
            tests: found,
            origin: Origin::default(),
            rules: std::mem::take(&mut self.rules),
        };
        Some(Draft { mapping, at: head.at, cases: case_places, parts: part_places })
    }

    fn head(&mut self, member: &Member) -> Option<Head> {
        let table = self.table(&member.node, "`[mapping]`")?;
        let legal =
            ["log_type", "version", "projection", "sourcetype", "dataset", "class", "profiles", "keys", "ignore"];
        self.known(table, "`[mapping]`", &legal);
        let class = table.get("class").and_then(|member| {
            let class = self.word(&member.node, "`class`")?;
            Some((class.to_owned(), member.node.at.clone()))
        });
        let profiles = self.profiles(table);
        let version = table.get("version").and_then(|member| self.word(&member.node, "`version`")).map(str::to_owned);
        let keys = table.get("keys").and_then(|member| {
            self.choice(&member.node, "`keys`", &[("exact", Keys::Exact), ("any_initial", Keys::AnyInitial)])
        });
        let ignores = self.ignores(table);
        if let Some(member) = table.get("projection") {
            return self.projection_head(table, member, version, class, profiles, ignores);
        }
        let mut name = |key: &str| {
            let member = table.get(key)?;
            self.word(&member.node, &format!("`{key}`")).map(str::to_owned)
        };
        let names = SiemNames { sourcetype: name("sourcetype"), dataset: name("dataset") };
        let member = self.required(table, "log_type", "`[mapping]`", &member.at)?;
        let log_type = self.word(&member.node, "`log_type`")?;
        let lawful = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
        if !log_type.bytes().all(lawful) {
            self.report(&member.node.at, "`log_type` is made of small letters, digits, `_` and `.`");
            return None;
        }
        let at = member.node.at.clone();
        let keys = keys.unwrap_or_default();
        Some(Head { log_type: log_type.into(), projection: None, names, version, at, class, profiles, keys, ignores })
    }

    /// The head of a projection, which reads OCSF and is no log type.
    fn projection_head(
        &mut self,
        table: &Table,
        member: &Member,
        version: Option<String>,
        class: Option<(String, At)>,
        profiles: Vec<(String, At)>,
        ignores: Vec<Ignore>,
    ) -> Option<Head> {
        let choices = Projection::ALL.map(|projection| (projection.name(), projection));
        let projection = self.choice(&member.node, "`projection`", &choices)?;
        for key in ["log_type", "sourcetype", "dataset", "keys"] {
            if let Some(member) = table.get(key) {
                self.report(&member.at, format!("`{key}` belongs to a log type, and this is a projection"));
            }
        }
        Some(Head {
            log_type: projection.name().into(),
            projection: Some(projection),
            names: SiemNames::default(),
            version,
            at: member.node.at.clone(),
            class,
            profiles,
            keys: Keys::Exact,
            ignores,
        })
    }

    /// The profiles a table names, and their places.
    pub(super) fn profiles(&mut self, table: &Table) -> Vec<(String, At)> {
        let Some(member) = table.get("profiles") else { return Vec::new() };
        let Some(nodes) = self.list(&member.node, "`profiles`") else { return Vec::new() };
        nodes.iter().filter_map(|node| Some((self.word(node, "a profile")?.to_owned(), node.at.clone()))).collect()
    }

    fn ignores(&mut self, table: &Table) -> Vec<Ignore> {
        let Some(member) = table.get("ignore") else { return Vec::new() };
        let Some(nodes) = self.list(&member.node, "`ignore`") else { return Vec::new() };
        let mut ignores = Vec::new();
        for node in nodes {
            let Some(table) = self.table(node, "a member of `ignore`") else { continue };
            self.known(table, "a member of `ignore`", &["path", "why"]);
            let path = self.required(table, "path", "a member of `ignore`", &node.at);
            let why = self.required(table, "why", "a member of `ignore`", &node.at);
            let (Some(path), Some(why)) = (path, why) else { continue };
            let (read, why) = (self.any_path(&path.node, "`path`"), self.word(&why.node, "`why`"));
            if let (Some(read), Some(why)) = (read.and_then(|read| self.rooted(read, &path.node.at)), why) {
                let id = self.number(format!("ignore {}", written(&path.node)), &path.node.at);
                ignores.push(Ignore { path: read, why: why.to_owned(), id });
            }
        }
        ignores
    }

    fn matches(&mut self, file: &Table) -> Vec<Match> {
        let tables = self.tables(file, "match", "`[[match]]`");
        let mut matches = Vec::new();
        for (at, table) in tables {
            if table.members.is_empty() {
                self.report(at, "`[[match]]` is empty and would take every event");
            } else if let Some(when) = self.conditions_of(table) {
                matches.push(Match { when, at: at.clone() });
            }
        }
        matches
    }

    fn parses(&mut self, file: &Table) -> Vec<Parse> {
        let tables = self.tables(file, "parse", "`[[parse]]`");
        let mut parses = Vec::new();
        for (at, table) in tables {
            self.known(table, "`[[parse]]`", &["path", "twin"]);
            let Some(member) = self.required(table, "path", "`[[parse]]`", at) else { continue };
            let path = self.root_path(&member.node, "`path`");
            let twin = table.get("twin").and_then(|member| self.root_path(&member.node, "`twin`"));
            let id = self.number(format!("parse {}", written(&member.node)), &member.node.at);
            if let Some(path) = path {
                parses.push(Parse { path, twin, id });
            }
        }
        parses
    }

    /// A path to one value, which has no base but the event's root.
    fn root_path(&mut self, node: &Node, name: &str) -> Option<Path> {
        let path = self.path(node, name)?;
        self.rooted(path, &node.at)
    }

    fn rooted(&mut self, path: Path, at: &At) -> Option<Path> {
        match path {
            Path::Event { base: Base::Here | Base::Root, steps } if !steps.is_empty() => {
                Some(Path::Event { base: Base::Root, steps })
            }
            _ => {
                self.report(at, "this path begins at the event's root and names something in it");
                None
            }
        }
    }

    fn text_form(&mut self, member: &Member) -> Option<Text> {
        const SPLITS: [(&str, Split); 5] = [
            ("space", Split::Space),
            ("tab", Split::Tab),
            ("comma", Split::Comma),
            ("quoted", Split::Quoted),
            ("line", Split::Line),
        ];
        let table = self.table(&member.node, "`[text]`")?;
        self.known(table, "`[text]`", &["split", "columns", "absent", "header", "json"]);
        let split = self.required(table, "split", "`[text]`", &member.at);
        let split = split.and_then(|member| self.choice(&member.node, "`split`", &SPLITS));
        let columns = table.get("columns").and_then(|member| self.words(&member.node, "`columns`"));
        let columns: Vec<String> = columns.unwrap_or_default().into_iter().map(str::to_owned).collect();
        let names: Vec<&str> = columns.iter().flat_map(|name| name.split([' ', ':'])).collect();
        let repeated = names.iter().enumerate().find(|(place, name)| names.iter().take(*place).any(|c| c == *name));
        if let (Some((_, name)), Some(member)) = (repeated, table.get("columns")) {
            self.report(&member.node.at, format!("`columns` names `{name}` twice"));
        }
        let absent = table.get("absent").and_then(|member| self.words(&member.node, "`absent`"));
        let header_starts = table.get("header").and_then(|member| {
            let header = self.table(&member.node, "`header`")?;
            self.known(header, "`header`", &["starts"]);
            let starts = self.required(header, "starts", "`header`", &member.node.at)?;
            match starts.node.value {
                Value::Text(_) => self.word(&starts.node, "`starts`").map(|word| vec![word]),
                _ => self.words(&starts.node, "`starts`"),
            }
        });
        let takes_json = table.get("json").and_then(|member| self.boolean(&member.node, "`json`")).unwrap_or(false);
        if columns.is_empty() && header_starts.is_none() {
            self.report(&member.at, "`[text]` names no columns: it wants `columns` or `header`");
        }
        let absent = absent.unwrap_or_default().into_iter().map(str::to_owned).collect();
        let header_starts = header_starts.unwrap_or_default().into_iter().map(str::to_owned).collect();
        Some(Text { split: split?, columns, absent, header_starts, takes_json })
    }

    fn parts(&mut self, file: &Table) -> (BTreeMap<String, Body>, BTreeMap<String, PartPlaces>) {
        let mut parts = BTreeMap::new();
        let mut places = BTreeMap::new();
        let table = file.get("part").and_then(|member| self.table(&member.node, "`part`"));
        for member in table.map(|table| table.members.as_slice()).unwrap_or_default() {
            let Some(table) = self.table(&member.node, "a part") else { continue };
            self.known(table, "a part", &["needs", "set", "block"]);
            let reported = self.errors.len();
            let mut body = self.body(table, &format!("part {}: ", member.key));
            if self.errors.len() == reported && body.sets.is_empty() && body.blocks.is_empty() {
                self.report(&member.at, format!("the part `{}` writes nothing", member.key));
            }
            let mut needs_at = Vec::new();
            if let Some(needs) = table.get("needs")
                && let Some(nodes) = self.list(&needs.node, "`needs`")
            {
                for node in nodes {
                    let text = self.text(node, "a member of `needs`");
                    if let Some(target) = text.and_then(|text| self.target(text, &node.at)) {
                        body.needs.push(target);
                        needs_at.push(node.at.clone());
                    }
                }
            }
            parts.insert(member.key.clone(), body);
            places.insert(member.key.clone(), PartPlaces { part: member.at.clone(), needs: needs_at });
        }
        (parts, places)
    }

    fn tests(&mut self, file: &Table, tests: &mut Vec<Test>) {
        for (at, table) in self.tables(file, "test", "`[[test]]`") {
            self.known(table, "`[[test]]`", &["name", "input", "expect", "arrival"]);
            let name = self.required(table, "name", "`[[test]]`", at);
            let input = self.required(table, "input", "`[[test]]`", at);
            let expect = self.required(table, "expect", "`[[test]]`", at);
            let arrival_ms = table.get("arrival").and_then(|member| self.integer(&member.node, "`arrival`"));
            let (Some(name), Some(input), Some(expect)) = (name, input, expect) else { continue };
            let (text, input) = (self.word(&name.node, "`name`"), self.word(&input.node, "`input`"));
            let expect = match &expect.node.value {
                Value::List(_) => self.words(&expect.node, "`expect`"),
                _ => self.word(&expect.node, "`expect`").map(|text| vec![text]),
            };
            let (Some(text), Some(input), Some(expect)) = (text, input, expect) else { continue };
            if tests.iter().any(|test| test.name == text) {
                self.report(&name.node.at, format!("a second test is named `{text}`"));
            }
            let expect = expect.into_iter().map(str::to_owned).collect();
            tests.push(Test { name: text.to_owned(), input: input.to_owned(), expect, arrival_ms, at: at.clone() });
        }
    }
}

/// A node's text, for the name of a rule.
fn written(node: &Node) -> &str {
    match &node.value {
        Value::Text(text) => text,
        _ => "",
    }
}
