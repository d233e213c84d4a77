//! A mapping as written, parsed and merged but not yet compiled: the seam between `load` and `plan`.
//!
//! Every rule, case arm and block has a [`RuleId`], unique in its mapping and equal in all copies that merging makes, so
//! that coverage and `--why` can name the line it stands on.

mod condition;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use condition::{Compare, Condition, Conditions, Wanted};
pub use value::{Band, Constant, Convert, Cut, Kind, Map};

use super::super::Projection;
use crate::envelope::Field;

/// A place in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, as it was named when loaded.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// The number of a rule in its mapping, from 0; an index into [`Mapping::rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// What a rule is called when people ask.
#[derive(Clone, Debug)]
pub struct RuleName {
    /// The target it writes, or what it is (`case account_change`, `block evidences[]`).
    pub label: String,
    /// Where it stands.
    pub at: At,
}

/// One log type's mapping, with `common.toml` and the common `[set]` merged into every case.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// `aws.guardduty`; for a projection the vocabulary's name.
    pub log_type: Arc<str>,
    /// The vocabulary that it writes from OCSF events; `None` for a log type's mapping, which writes OCSF.
    pub projection: Option<Projection>,
    /// What SIEMs call the log type.
    pub names: SiemNames,
    /// The version that the file gives itself; a shipped mapping has siemline's.
    pub version: Option<String>,
    /// How keys of the source are compared.
    pub keys: Keys,
    /// What recognises an event: one is enough.
    pub matches: Vec<Match>,
    /// The cases, in the order they are tried; at least one.
    pub cases: Vec<Case>,
    /// The parts, by name.
    pub parts: BTreeMap<String, Body>,
    /// Strings that hold JSON.
    pub parses: Vec<Parse>,
    /// Leaves that may go.
    pub ignores: Vec<Ignore>,
    /// Lines of text, if the log type is one.
    pub text: Option<Text>,
    /// The `[[test]]` cases.
    pub tests: Vec<Test>,
    /// Whose mapping it is.
    pub origin: Origin,
    /// The names of all rules, by [`RuleId`].
    pub rules: Vec<RuleName>,
}

/// What SIEMs call a log type in its raw form, so that their own knowledge of it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiemNames {
    /// The sourcetype of the Splunk Add-on for AWS.
    pub sourcetype: Option<String>,
    /// The data set of Elastic's AWS integration (`aws.cloudtrail`).
    pub dataset: Option<String>,
}

/// Whose a mapping is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// It ships in the binary.
    #[default]
    Shipped,
    /// It is a user's own. It wins a tie with a shipped one.
    Own {
        /// Whether it took the place of a shipped mapping of its log type.
        replaces_shipped: bool,
    },
}

/// How keys of the source are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Keys {
    /// Letter by letter.
    #[default]
    Exact,
    /// The case of the first letter does not matter: `severity` and `Severity`.
    AnyInitial,
}

/// One way to recognise an event.
#[derive(Clone, Debug)]
pub struct Match {
    /// What must hold.
    pub when: Conditions,
    /// Where it stands.
    pub at: At,
}

/// One OCSF class of a log type.
#[derive(Clone, Debug)]
pub struct Case {
    /// The class's name: `detection_finding`.
    pub class: String,
    /// The profiles, in the order they are written to `metadata.profiles`.
    pub profiles: Vec<String>,
    /// What must hold.
    pub when: Conditions,
    /// What is written.
    pub body: Body,
    /// For coverage.
    pub id: RuleId,
    /// Where it stands.
    pub at: At,
}

/// Rules and blocks that write one object.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// For parts: targets without which the part gives nothing.
    pub needs: Vec<Target>,
    /// The rules.
    pub sets: Vec<Set>,
    /// The blocks, in file order.
    pub blocks: Vec<Block>,
}

/// One line of a `[set]`.
#[derive(Clone, Debug)]
pub struct Set {
    /// Where the value goes.
    pub target: Target,
    /// Where it comes from.
    pub rule: Rule,
}

/// A dotted OCSF path, relative to the object that is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The names, and whether `[]` follows each.
    pub segments: Vec<Segment>,
}

/// One name of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The attribute's name.
    pub name: String,
    /// Whether it is written `name[]`.
    pub is_array: bool,
}

/// Where a value comes from and what is done to it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// For coverage and `--why`.
    pub id: RuleId,
    /// Where it stands.
    pub at: At,
    /// Where the value comes from.
    pub source: Source,
    /// What is done to it.
    pub convert: Convert,
    /// What is written when nothing came out.
    pub default: Option<Box<Fallback>>,
    /// Read without consuming.
    pub keep: bool,
    /// For arrays: each value once, in the order of their JSON texts.
    pub distinct: bool,
}

/// What is written when a rule's source gave nothing.
#[derive(Clone, Debug)]
pub enum Fallback {
    /// A constant.
    Constant(Constant),
    /// Another rule.
    Rule(Rule),
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The first of these paths that gives a value (`from` is a list of one).
    First(Vec<Path>),
    /// All of them, in order (array targets).
    All(Vec<Path>),
    /// A constant.
    Value(Constant),
    /// Several constants (array targets).
    Values(Vec<Constant>),
    /// Text with paths in it: all or nothing.
    Template(Vec<Piece>),
    /// The first arm that holds and gives something.
    Cases(Vec<Arm>),
    /// A named part, perhaps below a path.
    Part {
        /// The part's name.
        name: String,
        /// Where its paths begin.
        from: Option<Path>,
    },
    /// A rule for each member of a list that fulfils something: all that give a value for an array, else the first.
    Each {
        /// The list.
        each: Path,
        /// What must hold of a member, relative to it.
        only: Conditions,
        /// The rule, relative to the member.
        rule: Box<Rule>,
    },
    /// The leaves below this path that no rule took.
    Rest(Path),
    /// A hash of the log type, the first of these that is there, and the event's bytes.
    Uid(Vec<Path>),
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// The value at a path.
    Path(Path),
}

/// One arm of `cases`.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What must hold.
    pub when: Conditions,
    /// What then gives the value.
    pub rule: Rule,
}

/// A path into the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Into the event.
    Event {
        /// Where it begins.
        base: Base,
        /// The steps from there; none is the base itself.
        steps: Vec<Step>,
    },
    /// The key of the member an `each` over an object stands on. (`@value` is `Event` with base `Here` and no steps.)
    Key,
    /// What the envelopes told.
    Envelope(Field),
    /// The text of a line.
    Text,
    /// The mapping's name.
    LogType,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The block's `from`, or the element of its `each`.
    Here,
    /// The event's root.
    Root,
    /// So many bases further out; at least 1.
    Parent(u8),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An element of an array.
    Index(u32),
    /// All elements from this one on (`[1..]`); only the last step.
    From(u32),
    /// Every element (`[]`).
    Each,
}

/// A sub-object, or elements of an array of objects.
#[derive(Clone, Debug)]
pub struct Block {
    /// What is written; ends in `[]` for an array.
    pub target: Target,
    /// Where paths begin.
    pub from: Option<Path>,
    /// One element for each member of this, relative to `from`.
    pub each: Option<Path>,
    /// What must hold, relative to the element.
    pub when: Conditions,
    /// Only if the earlier blocks of the same target gave nothing.
    pub otherwise: bool,
    /// What is written.
    pub body: Body,
    /// For coverage.
    pub id: RuleId,
    /// Where it stands.
    pub at: At,
}

/// A string that holds JSON.
#[derive(Clone, Debug)]
pub struct Parse {
    /// Where the string stands, from the root.
    pub path: Path,
    /// Leaves found equal below this are consumed: they are kept there.
    pub twin: Option<Path>,
    /// For coverage.
    pub id: RuleId,
}

/// A leaf that may go.
#[derive(Clone, Debug)]
pub struct Ignore {
    /// Which, from the root; a subtree goes whole.
    pub path: Path,
    /// Why.
    pub why: String,
    /// For coverage.
    pub id: RuleId,
}

/// How lines of text become columns.
#[derive(Clone, Debug)]
pub struct Text {
    /// What separates cells.
    pub split: Split,
    /// The default order of columns. `a:b` is a cell with two values, `a b` are two cells with one.
    pub columns: Vec<String>,
    /// Cells that mean nothing.
    pub absent: Vec<String>,
    /// How header lines may begin, if the log type has them.
    pub header_starts: Vec<String>,
    /// Whether the columns also come as the members of a JSON object.
    pub takes_json: bool,
}

impl Text {
    /// Takes another order of columns, as a user has configured it: names with blanks between. `${name}` is `name`, and
    /// dashes and underscores are as the mapping writes them. What the mapping reads as two cells with one value, it reads
    /// so in any order.
    ///
    /// # Errors
    ///
    /// Where there is no name, or one twice.
    pub fn reorder(&mut self, columns: &str) -> Result<(), String> {
        let (from, to) = if self.columns.iter().any(|name| name.contains('-')) { ("_", "-") } else { ("-", "_") };
        let mut names: Vec<String> = Vec::new();
        for word in columns.split(|character: char| character.is_whitespace() || character == ',') {
            let name = word.trim_start_matches("${").trim_end_matches('}').replace(from, to);
            if !name.is_empty() && names.contains(&name) {
                return Err(format!("has the column `{name}` twice"));
            }
            let joined = names.last().map(|last| format!("{last} {name}"));
            match joined.filter(|joined| self.columns.contains(joined)) {
                Some(joined) => {
                    names.pop();
                    names.push(joined);
                }
                None if name.is_empty() => {}
                None => names.push(name),
            }
        }
        if names.is_empty() {
            return Err("has no columns".to_owned());
        }
        self.columns = names;
        Ok(())
    }
}

/// What separates cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// One or more blanks.
    Space,
    /// A tab.
    Tab,
    /// A comma, but `"..."` is one cell (RFC 4180).
    Comma,
    /// Blanks, but `"..."` and `[...]` are one cell.
    Quoted,
    /// Nothing: the whole text is one cell, whatever its lines are.
    Line,
}

/// One `[[test]]`.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name, unique in the mapping.
    pub name: String,
    /// A record as a transport hands it over, in any envelope.
    pub input: String,
    /// The complete events; one JSON document each.
    pub expect: Vec<String>,
    /// When the transport took the record in.
    pub arrival_ms: Option<i64>,
    /// Where it stands.
    pub at: At,
}
