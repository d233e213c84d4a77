//! Plans: mapping files compiled, so that an event costs one walk of its tape and one pass over the rules.

mod compile;
mod mappings;
mod needs;
mod target;
mod trie;

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::convert::Type;
use super::mapping::ast::{Compare, Constant, Cut, Keys, Kind, RuleId, RuleName, Step};
use super::text::Layout;
use crate::envelope::Field;

pub(super) use mappings::Passed;
pub use mappings::{Error, Mappings, NamesOfLogTypes};
pub(super) use needs::Needs;
pub(super) use trie::{Trie, equal};

/// Blocks, parts and targets within each other; deeper mappings do not compile. It bounds the recursion of a run.
pub(super) const DEPTH_MAX: usize = 64;

/// Members of one object that rules may write.
pub(super) const MEMBERS_MAX: u32 = 128;

/// One log type, compiled.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) log_type: Arc<str>,
    pub(super) keys: Keys,
    /// The bases that paths are relative to; 0 is the event's root.
    pub(super) scopes: Vec<Scope>,
    /// Slots of all scopes together.
    pub(super) slots: usize,
    pub(super) cases: Vec<Case>,
    pub(super) parses: Vec<Parse>,
    pub(super) ignores: Vec<Ignore>,
    pub(super) layout: Option<Layout>,
    /// Where the clocks stand that wrote times without a zone.
    pub(super) zone: TimeZone,
    pub(super) matches: Vec<Match>,
    pub(super) names: Vec<RuleName>,
    /// `"unmapped":`, the name of the member that holds what no rule took.
    pub(super) rest: Box<[u8]>,
}

/// A base and the paths from it.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) trie: Trie,
    /// Where the key of an `each` over an object is noted.
    pub(super) key_slot: usize,
    /// Steps from the event's root to its base.
    pub(super) depth: usize,
}

/// One way to recognise an event. Its paths are found in the detector's own tries.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) when: Conditions,
    /// How many conditions it has: the most wins.
    pub(super) weight: usize,
}

/// One class.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: RuleId,
    pub(super) when: Conditions,
    pub(super) object: Object,
    pub(super) class_uid: u32,
    /// `"class_uid":2004,...` and what else is the same for every event of the class; no comma at its ends.
    pub(super) head: Vec<u8>,
    /// `"type_uid":200401,"type_name":"Detection Finding: Create"` by `activity_id`.
    pub(super) activities: Vec<(i64, Vec<u8>)>,
    /// `"activity_id":0,"activity_name":"Unknown"` for events where no rule gave one; empty where the mapping always does.
    pub(super) activity_default: Vec<u8>,
    /// The `activity_id` that is constant, or 0.
    pub(super) activity: i64,
    /// `severity_id` and `time`, where they are constants.
    pub(super) severity: Option<i64>,
    pub(super) time: Option<i64>,
}

/// A string that holds JSON. Its paths begin at the root.
#[derive(Debug)]
pub(super) struct Parse {
    pub(super) id: RuleId,
    pub(super) path: Vec<Step>,
    pub(super) twin: Option<Vec<Step>>,
}

/// A subtree that may go.
#[derive(Debug)]
pub(super) struct Ignore {
    pub(super) id: RuleId,
    pub(super) path: Path,
}

/// A place in the source.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) place: Place,
    /// As it reads in the mapping, for those who ask.
    pub(super) label: Box<str>,
    /// Steps from the event's root.
    pub(super) depth: usize,
}

#[derive(Debug)]
pub(super) enum Place {
    /// A slot that the walk fills, and the steps below it that may lead to several values.
    Tape {
        slot: usize,
        tail: Box<[Step]>,
    },
    Envelope(Field),
    Text,
    LogType,
}

/// The members of one object of the output, in the order they are written.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Constant members, rendered; no comma at its ends.
    pub(super) fixed: Vec<u8>,
    /// The rules behind `fixed`, and their targets.
    pub(super) fixed_rules: Vec<(RuleId, Box<str>)>,
    pub(super) fixed_members: u128,
    pub(super) members: Vec<Member>,
    /// Blocks that write into this object. What an earlier one wrote stands.
    pub(super) blocks: Vec<Block>,
    pub(super) required: u128,
    pub(super) at_least_one: Vec<u128>,
    pub(super) just_one: Vec<u128>,
    /// Written although nothing in it came from the event: it is required, or it only has constants.
    pub(super) may_be_constant: bool,
}

/// One member of an object.
#[derive(Debug)]
pub(super) struct Member {
    /// Its place in the masks of its object.
    pub(super) bit: u128,
    /// `,"name":`, written without its comma at the beginning of an object.
    pub(super) prefix: Box<[u8]>,
    pub(super) needs: Needs,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A scalar, free JSON, or an object made by a part.
    Rule(Box<(Rule, Leaf)>),
    /// As `Rule`, as an array.
    Rules(Box<(Rule, Leaf)>),
    Object(Box<Object>),
    Array(Box<Array>),
}

/// An array of objects.
#[derive(Debug)]
pub(super) struct Array {
    /// Elements made by a rule (a part).
    pub(super) rule: Option<(Rule, Leaf)>,
    pub(super) blocks: Vec<Block>,
}

/// A sub-object or elements of an array.
#[derive(Debug)]
pub(super) struct Block {
    /// `None` for what the dotted targets of `[set]` make.
    pub(super) id: Option<RuleId>,
    pub(super) base: Option<Base>,
    pub(super) when: Conditions,
    pub(super) otherwise: bool,
    pub(super) object: Object,
}

/// Where a block's paths begin.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) path: Path,
    /// One base for each member of what stands at the path.
    pub(super) each: bool,
    pub(super) scope: usize,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: RuleId,
    pub(super) source: Source,
    pub(super) skip: Box<[String]>,
    pub(super) cut: Option<Cut>,
    pub(super) map: Option<Map>,
    pub(super) kind: Option<Kind>,
    pub(super) default: Option<Box<Fallback>>,
    pub(super) keep: bool,
    pub(super) distinct: bool,
    /// Whether a text is written as it is: no condition on it, no conversion.
    pub(super) is_plain: bool,
}

#[derive(Debug)]
pub(super) enum Fallback {
    Constant(Constant),
    Rule(Rule),
}

#[derive(Debug)]
pub(super) enum Source {
    First(Box<[Path]>),
    All(Box<[Path]>),
    Constant(Constant),
    Constants(Box<[Constant]>),
    Template(Box<[Piece]>),
    Cases(Box<[(Conditions, Rule)]>),
    Part(Box<Block>),
    Each(Box<Each>),
    Rest(Path),
    Uid(Box<[Path]>),
}

/// A rule for each member of a list.
#[derive(Debug)]
pub(super) struct Each {
    pub(super) base: Base,
    pub(super) only: Conditions,
    pub(super) rule: Rule,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(Box<str>),
    Path(Path),
}

#[derive(Debug)]
pub(super) enum Map {
    /// Sorted by word.
    Enum(Box<[(String, Constant)]>),
    Bands(Box<[(f64, bool, Constant)]>),
    Scale(f64),
}

/// What is known of an attribute that takes a value.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) takes: Type,
    pub(super) enumeration: Option<Enumeration>,
    pub(super) observable: Option<ObservableType>,
    /// The target from the class on, `[]` where arrays are: `evidences[].src_endpoint.ip`.
    pub(super) target: Box<str>,
    pub(super) role: Role,
    /// Whether what it takes counts as free-form.
    pub(super) is_free: bool,
}

/// The values of an enum.
#[derive(Debug, Default)]
pub(super) struct Enumeration {
    /// Number and caption (as a JSON string), sorted.
    pub(super) numbers: Vec<(i64, Box<[u8]>)>,
    /// The values of a textual enum.
    pub(super) texts: Vec<String>,
    /// `"severity":`, where the enum has a sibling that the engine writes.
    pub(super) sibling: Option<(u128, Box<[u8]>)>,
}

/// What kind of observable an attribute is.
#[derive(Debug)]
pub(super) struct ObservableType {
    /// `,{"name":"evidences[`, `].src_endpoint.ip","type_id":2,"type":"IP Address","value":`: the numbers of the array elements
    /// stand between them.
    pub(super) pieces: Box<[Box<[u8]>]>,
}

/// Attributes that the engine itself needs to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    None,
    Activity,
    Severity,
    Time,
    Account,
    Region,
}

/// All must hold.
#[derive(Debug, Default)]
pub(super) struct Conditions(pub(super) Box<[Condition]>);

#[derive(Debug)]
pub(super) enum Condition {
    Is { path: Path, wanted: Box<[Wanted]> },
    Any(Box<[Conditions]>),
    Same(Path, Path),
    Differ(Path, Path),
    Later(Path, Path),
}

#[derive(Debug)]
pub(super) enum Wanted {
    Equals(Constant),
    Text { prefix: Option<String>, suffix: Option<String>, contains: Option<String> },
    EqualsIgnoreCase(String),
    AnythingBut(Box<[Wanted]>),
    Numeric(Box<[(Compare, f64)]>),
    Exists(bool),
}

impl Enumeration {
    /// The caption of a number, as a JSON string.
    pub(super) fn caption(&self, number: i64) -> Option<&[u8]> {
        let at = self.numbers.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.numbers.get(at).map(|(_, caption)| &**caption)
    }

    /// Whether a textual enum has this value, given as a JSON string.
    pub(super) fn has_text(&self, json: &[u8]) -> bool {
        let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        self.texts.iter().any(|text| text.as_bytes() == inner)
    }
}
