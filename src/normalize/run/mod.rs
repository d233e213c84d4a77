//! A plan at work on one event: the walk, the rules, and what is put together at the end.

mod assemble;
mod condition;
mod copy;
mod object;
mod place;
mod rule;
mod value;
mod walk;

use std::ops::Range;

use simd_json::Node;

use super::explain::Trace;
use super::mapping::ast::RuleId;
use super::plan::Plan;
use super::tape::Open;
use crate::envelope::Context;

pub(super) use assemble::push_bare;
use copy::Copier;
pub(super) use walk::{fill, find};

/// A leaf nobody took.
pub(super) const LEFT: u16 = 0;
/// A leaf in a typed attribute.
pub(super) const TYPED: u16 = 1;
/// A leaf in a free-form attribute.
pub(super) const FREE: u16 = 2;
/// A leaf that may go, or that is kept at its twin.
pub(super) const GONE: u16 = 3;
/// A leaf that the first `rest` takes; the next one has the next number.
pub(super) const FIRST_REST: u16 = 16;

/// Elements of one array that blocks write; what is behind them stays in `unmapped`. An element's constants may be
/// many times the size of its source, so without a bound the output would have none.
pub(super) const ELEMENTS_MAX: u32 = 5_000;

/// Observables of one event; what is behind them is left out.
pub(super) const OBSERVABLES_MAX: usize = 5_000;

/// How often a case is run again because an object stood on a `rest` that had nothing left. Every run drops at least one
/// such object, and mappings nest them two or three deep at most.
pub(super) const RUNS_MAX: usize = 8;

/// Every buffer of a run, reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// What the walk found: the number of a node plus one for each path, 0 where there is none.
    pub(super) slots: Vec<u32>,
    /// What became of each node.
    pub(super) fate: Vec<u16>,
    /// What `fate` was before, so that a dropped object gives its leaves back.
    journal: Vec<(usize, u16)>,
    /// The output without what is put in at the end.
    scratch: Vec<u8>,
    /// Text under way.
    aux: Vec<u8>,
    splices: Vec<Splice>,
    /// The `"name":`s of the splices.
    names: Vec<u8>,
    /// The observables, rendered, each with a comma before it.
    observed: Vec<u8>,
    observed_count: usize,
    /// The numbers of the array elements that the output stands in.
    indices: Vec<u32>,
    /// Nodes that a path with several values led to; used as a stack.
    gathered: Vec<Gathered>,
    /// Numbers of an enum array and the node of each one's word; used as a stack.
    numbers: Vec<(i64, Option<usize>)>,
    /// Where the elements of an array stand that is made distinct.
    pieces: Vec<Range<usize>>,
    copier: Copier,
    /// The numbers of the splices, innermost first.
    order: Vec<usize>,
    /// The `rest`s, by node and rule, that turned out to have nothing left although an object stood on it.
    void: Vec<(usize, RuleId)>,
    pub(super) open: Vec<Open>,
}

impl Buffers {
    /// Forgets what became of the last event's nodes: the next one's have the same numbers.
    pub(super) fn forget_event(&mut self) {
        self.fate.clear();
        self.journal.clear();
    }
}

/// A member whose value is what is left below a node when all rules are through.
#[derive(Clone, Copy, Debug)]
struct Splice {
    /// Where in the scratch buffer it belongs.
    at: usize,
    /// Its `"name":` in `names`.
    name: (usize, usize),
    node: usize,
    rule: RuleId,
    /// Whether an object around it would not stand without it.
    is_needed: bool,
    has_leaves: bool,
}

/// A node that a path with several values led to.
#[derive(Clone, Copy, Debug)]
struct Gathered {
    node: usize,
    /// Whether it is a member of an object whose members an `each` goes over: its key stands before it.
    keyed: bool,
}

/// A point that the output can be taken back to.
#[derive(Clone, Copy, Debug)]
struct Mark {
    scratch: usize,
    journal: usize,
    splices: usize,
    observed: usize,
    observed_count: usize,
    trace: usize,
}

/// One event and the plan for it.
#[derive(Clone, Copy)]
pub(super) struct Input<'r, 'a> {
    pub(super) plan: &'r Plan,
    pub(super) nodes: &'r [Node<'a>],
    pub(super) context: &'r Context,
    /// The text of a line.
    pub(super) text: Option<&'r str>,
    /// The node of that text, where it is a leaf of the tape.
    pub(super) text_node: Option<usize>,
    pub(super) log_type: &'r str,
    pub(super) digest: &'r [u8; 32],
}

/// A plan at work on one event.
pub(super) struct Run<'r, 'a, T> {
    pub(super) plan: &'r Plan,
    pub(super) nodes: &'r [Node<'a>],
    pub(super) context: &'r Context,
    /// The text of a line.
    pub(super) text: Option<&'r str>,
    /// The node of that text, where it is a leaf of the tape.
    pub(super) text_node: Option<usize>,
    pub(super) log_type: &'r str,
    pub(super) digest: &'r [u8; 32],
    pub(super) buffers: &'r mut Buffers,
    pub(super) trace: &'r mut T,
    /// What the trace held before the run: what was told of the event as a whole is no part of a case.
    trace_before: usize,
    found: Found,
    /// What the last rule that gave a [word](rule::Gave::with_word) found the schema to have no number for.
    word: Option<rule::Word<'r>>,
}

/// What a run learnt of the attributes that the pipeline asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    activity: Option<i64>,
    severity: Option<i64>,
    time: Option<i64>,
    /// In the scratch buffer, without quotes.
    account: (usize, usize),
    region: (usize, usize),
}

/// What came out of a case.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) class_uid: u32,
    pub(super) severity_id: u8,
    pub(super) time_ms: i64,
    pub(super) account: Range<usize>,
    pub(super) region: Range<usize>,
}

impl<'r, 'a: 'r, T: Trace> Run<'r, 'a, T> {
    pub(super) fn new(event: Input<'r, 'a>, buffers: &'r mut Buffers, trace: &'r mut T) -> Self {
        let Input { plan, nodes, context, text, text_node, log_type, digest } = event;
        let trace_before = trace.mark();
        let found = Found::default();
        Self {
            plan,
            nodes,
            context,
            text,
            text_node,
            log_type,
            digest,
            buffers,
            trace,
            trace_before,
            found,
            word: None,
        }
    }

    /// Forgets the output, and which leaves went into it; keeps what was let go before.
    fn restart(&mut self) {
        self.undo(&Mark {
            scratch: 0,
            journal: 0,
            splices: 0,
            observed: 0,
            observed_count: 0,
            trace: self.trace_before,
        });
        self.buffers.indices.clear();
        self.buffers.gathered.clear();
        self.buffers.numbers.clear();
        self.found = Found::default();
    }

    fn mark(&self) -> Mark {
        let buffers = &self.buffers;
        Mark {
            scratch: buffers.scratch.len(),
            journal: buffers.journal.len(),
            splices: buffers.splices.len(),
            observed: buffers.observed.len(),
            observed_count: buffers.observed_count,
            trace: self.trace.mark(),
        }
    }

    fn undo(&mut self, mark: &Mark) {
        let buffers = &mut *self.buffers;
        buffers.scratch.truncate(mark.scratch);
        while buffers.journal.len() > mark.journal {
            if let Some((node, before)) = buffers.journal.pop()
                && let Some(fate) = buffers.fate.get_mut(node)
            {
                *fate = before;
            }
        }
        buffers.splices.truncate(mark.splices);
        let names = buffers.splices.last().map_or(0, |splice| splice.name.1);
        buffers.names.truncate(names);
        buffers.observed.truncate(mark.observed);
        buffers.observed_count = mark.observed_count;
        for place in [&mut self.found.account, &mut self.found.region] {
            if place.1 > mark.scratch {
                *place = (0, 0);
            }
        }
        self.trace.undo(mark.trace);
    }

    /// Notes that the output holds the leaf at `node`.
    fn take(&mut self, node: usize, fate: u16) {
        let buffers = &mut *self.buffers;
        if let Some(place) = buffers.fate.get_mut(node)
            && (*place == LEFT || (*place == FREE && fate == TYPED))
        {
            buffers.journal.push((node, *place));
            *place = fate;
        }
    }
}
