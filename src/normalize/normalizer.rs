//! One worker's normalizer: the order of the steps, and the buffers they share.

use std::borrow::Cow;
use std::sync::Arc;

use simd_json::{Buffers as ParserBuffers, INPUT_PADDING, Node, Tape, fill_tape_padded};

use super::detect::{self, Ocsf};
use super::embed::Embedded;
use super::explain::{Explanation, Leaves, Record, Silent, Trace};
use super::json::push_string;
use super::pass::pass;
use super::plan::{Mappings, Plan};
use super::repair::repair;
use super::run::{Buffers, FREE, GONE, Input, LEFT, Outcome, Run, TYPED, fill, push_bare};
use super::tape::{DEPTH_MAX, each_leaf, node_of};
use super::text::Layout;
use super::{BodyDigest, CLOCK_AHEAD_MAX, Complaint, Complaints, Normalized};
use crate::envelope::{Context, Event, Field, Form, members_of};

/// Bytes the parser's buffers are made for at the beginning; they grow with the events.
pub(super) const BODY_BYTES_USUAL: usize = 16 * 1024;

/// The name of the member that holds what is no object.
pub(super) const RAW: &str = "raw";

/// Turns events into OCSF documents, one after the other, with buffers of its own.
pub struct Normalizer {
    mappings: Arc<Mappings>,
    parser: ParserBuffers,
    body: Vec<u8>,
    repaired: Vec<u8>,
    repaired_body: Vec<u8>,
    inner: Vec<u8>,
    tape: Tape<'static>,
    inner_tape: Tape<'static>,
    buffers: Buffers,
    embedded: Vec<Embedded>,
    last_text: usize,
}

impl std::fmt::Debug for Normalizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Normalizer")
            .field("mappings", &self.mappings.log_types().count())
            .finish_non_exhaustive()
    }
}

/// Where the parts of one event are put; everything but the tape, whose lifetime is that of the event.
pub(super) struct Desk<'d> {
    pub(super) mappings: &'d Mappings,
    pub(super) parser: &'d mut ParserBuffers,
    pub(super) buffers: &'d mut Buffers,
    pub(super) embedded: &'d mut Vec<Embedded>,
    /// The plan that took the last line of text. The next one is most often its, too.
    pub(super) last_text: &'d mut usize,
}

/// The event as the plans see it.
struct Subject<'e> {
    body: &'e [u8],
    context: &'e Context,
    digest: &'e BodyDigest,
    text: Option<&'e str>,
}

impl Normalizer {
    /// A normalizer for one worker.
    #[must_use]
    pub fn new(mappings: Arc<Mappings>) -> Self {
        Self {
            mappings,
            parser: ParserBuffers::with_max_depth(BODY_BYTES_USUAL, DEPTH_MAX),
            body: Vec::new(),
            repaired: Vec::new(),
            repaired_body: Vec::new(),
            inner: Vec::new(),
            tape: Tape(Vec::new()),
            inner_tape: Tape(Vec::new()),
            buffers: Buffers::default(),
            embedded: Vec::new(),
            last_text: 0,
        }
    }

    /// Appends one OCSF document to `out`, without a line end in or behind it. Whatever the event is, one comes out: at
    /// the worst a base event with everything in `unmapped`. `digest` is [`digest`](super::digest) of the event's body.
    pub fn normalize(&mut self, event: &Event<'_>, digest: &BodyDigest, out: &mut Vec<u8>) -> Normalized {
        self.normalize_traced(event, digest, out, &mut Silent).0
    }

    /// As [`Self::normalize`], and tells which rule wrote what. For people; slower.
    pub fn normalize_explained(
        &mut self,
        event: &Event<'_>,
        digest: &BodyDigest,
        out: &mut Vec<u8>,
    ) -> (Normalized, Explanation) {
        let mut record = Record::default();
        let (normalized, mapping, leaves) = self.normalize_traced(event, digest, out, &mut record);
        let explanation = Explanation { mapping, leaves, ..record.into_explanation() };
        (normalized, explanation)
    }

    fn normalize_traced<T: Trace>(
        &mut self,
        event: &Event<'_>,
        digest: &BodyDigest,
        out: &mut Vec<u8>,
        trace: &mut T,
    ) -> (Normalized, Option<Arc<str>>, Leaves) {
        let Self {
            mappings,
            parser,
            body,
            repaired,
            repaired_body,
            inner,
            tape,
            inner_tape,
            buffers,
            embedded,
            last_text,
        } = self;
        buffers.forget_event();
        let begin = out.len();
        let mut complaints = Complaints::default();
        let text: Cow<'_, str> = match event.form {
            Form::Json => Cow::Borrowed(""),
            Form::Text => String::from_utf8_lossy(event.body),
        };
        let mut nodes = std::mem::replace(tape, Tape(Vec::new())).reset();
        let mut inner_nodes = std::mem::replace(inner_tape, Tape(Vec::new())).reset();
        let mut desk = Desk { mappings, parser, buffers, embedded, last_text };
        let mut subject = Subject { body: event.body, context: event.context, digest, text: None };
        let refused;
        let made = if event.form == Form::Text {
            subject.text = Some(&text);
            desk.text(&subject, &mut nodes, out, trace, &mut complaints)
        } else if let Ok(parsed) = parse(event.body, body, desk.parser, nodes) {
            nodes = parsed;
            desk.json(&subject, &mut nodes, inner, &mut inner_nodes, out, trace, &mut complaints)
        } else {
            repaired.clear();
            repair(event.body, repaired);
            if let Ok(parsed) = parse(repaired, repaired_body, desk.parser, Tape(Vec::new())) {
                nodes = parsed;
                complaints.add(Complaint::JsonRepaired);
                subject.body = repaired;
                desk.json(&subject, &mut nodes, inner, &mut inner_nodes, out, trace, &mut complaints)
            } else {
                complaints.add(Complaint::JsonUnreadable);
                refused = String::from_utf8_lossy(event.body);
                subject.text = Some(&refused);
                nodes = Tape(Vec::new());
                desk.raw(&subject, &mut nodes, out, trace)
            }
        };
        *tape = nodes.reset();
        *inner_tape = inner_nodes.reset();
        // What came as OCSF has no mapping, and what it says of its own source stands.
        if mappings.keeps_raw && made.mapping.is_some() {
            keep_raw(event.body, begin, out);
        }
        let Made { log_type, outcome, mapping, leaves } = made;
        let Outcome { class_uid, severity_id, time_ms, account, region } = outcome;
        if is_in_future(time_ms, event.context) {
            complaints.add(Complaint::TimeInFuture);
        }
        let normalized = Normalized { log_type, class_uid, severity_id, time_ms, account, region, complaints };
        (normalized, mapping, leaves)
    }
}

/// What came out of one event.
struct Made {
    log_type: Arc<str>,
    outcome: Outcome,
    mapping: Option<Arc<str>>,
    leaves: Leaves,
}

/// Parses `text` in `buffer`, where strings are unescaped in place.
pub(super) fn parse<'b>(
    text: &[u8],
    buffer: &'b mut Vec<u8>,
    parser: &mut ParserBuffers,
    tape: Tape<'_>,
) -> Result<Tape<'b>, ()> {
    buffer.clear();
    buffer.extend_from_slice(text);
    buffer.resize(text.len().saturating_add(INPUT_PADDING), 0);
    let mut tape = tape.reset();
    fill_tape_padded(buffer, text.len(), parser, &mut tape).map_err(|_| ())?;
    Ok(tape)
}

impl<'d> Desk<'d> {
    /// A JSON document on its tape.
    #[expect(clippy::too_many_arguments, reason = "the lent buffers of one event")]
    fn json<'a, T: Trace>(
        &mut self,
        subject: &Subject<'a>,
        tape: &mut Tape<'a>,
        inner: &'a mut Vec<u8>,
        inner_tape: &mut Tape<'a>,
        out: &mut Vec<u8>,
        trace: &mut T,
        complaints: &mut Complaints,
    ) -> Made {
        wrap(&mut tape.0);
        let mappings = self.mappings;
        let (plan, ocsf) = {
            let mut run = Run::new(subject.input(&mappings.detector, &tape.0, ""), self.buffers, trace);
            detect::look(&mut run);
            let ocsf = detect::is_ocsf(&mappings.ocsf, &run);
            let plan = detect::best(mappings, &mut run, |plan| plan.layout.as_ref().is_none_or(Layout::takes_json));
            (plan.and_then(|(plan, _)| mappings.plans.get(plan)), ocsf)
        };
        if let Some(ocsf) = ocsf {
            return self.pass(subject, &ocsf, out);
        }
        let Some(plan) = plan else { return self.map(&mappings.base, subject, &tape.0, out, trace, complaints) };
        if let Some(layout) = &plan.layout {
            layout.forget_absent(&mut tape.0);
        }
        self.embed(plan, tape, inner, inner_tape, trace);
        self.map(plan, subject, &tape.0, out, trace, complaints)
    }

    /// A line of text: the columns of the mapping that recognises them, or a base event.
    fn text<'a, T: Trace>(
        &mut self,
        subject: &Subject<'a>,
        tape: &mut Tape<'a>,
        out: &mut Vec<u8>,
        trace: &mut T,
        complaints: &mut Complaints,
    ) -> Made
    where
        'd: 'a,
    {
        let mappings = self.mappings;
        let line = subject.text.unwrap_or_default();
        let header = subject.context.get(Field::Header);
        let mut best: Option<(usize, usize)> = None;
        let likely = mappings.plans.get(*self.last_text);
        for plan in likely.into_iter().chain(&mappings.plans) {
            let Some(layout) = &plan.layout else { continue };
            // What cannot win needs no look. Two matches that hold never have equally many conditions.
            let weight_max = plan.matches.iter().map(|known| known.weight).max();
            if best.map(|(_, weight)| weight) >= weight_max {
                continue;
            }
            layout.split(line, header, &mut tape.0);
            let mut run = Run::new(subject.input(&mappings.detector, &tape.0, ""), self.buffers, trace);
            detect::look(&mut run);
            if let Some((plan, weight)) = detect::best(mappings, &mut run, |known| std::ptr::eq(known, plan))
                && best.is_none_or(|(_, known)| weight > known)
            {
                best = Some((plan, weight));
            }
        }
        if let Some((plan, _)) = best {
            *self.last_text = plan;
        }
        let best = best.and_then(|(plan, _)| mappings.plans.get(plan));
        let Some((plan, layout)) = best.and_then(|plan| Some((plan, plan.layout.as_ref()?))) else {
            return self.raw(subject, tape, out, trace);
        };
        layout.split(line, header, &mut tape.0);
        self.map(plan, subject, &tape.0, out, trace, complaints)
    }

    /// A base event of a text that is nothing else.
    fn raw<'a, T: Trace>(
        &mut self,
        subject: &Subject<'a>,
        tape: &mut Tape<'a>,
        out: &mut Vec<u8>,
        trace: &mut T,
    ) -> Made {
        tape.0.clear();
        tape.0.push(Node::Object { len: 1, count: 2 });
        tape.0.push(Node::String(RAW));
        tape.0.push(Node::String(subject.text.unwrap_or_default()));
        let mut complaints = Complaints::default();
        self.map(&self.mappings.base, subject, &tape.0, out, trace, &mut complaints)
    }

    /// An event that already is OCSF.
    fn pass(&self, subject: &Subject<'_>, ocsf: &Ocsf<'_>, out: &mut Vec<u8>) -> Made {
        let log_type = &self.mappings.passed;
        let outcome = pass(subject.body, ocsf, log_type, subject.context, subject.digest, out);
        Made { log_type: Arc::clone(log_type), outcome, mapping: None, leaves: Leaves::default() }
    }

    /// Runs a plan, and where it gives nothing the base mapping's, and where that gives nothing what is in no file.
    fn map<'a, T: Trace>(
        &mut self,
        plan: &Plan,
        subject: &Subject<'a>,
        nodes: &[Node<'a>],
        out: &mut Vec<u8>,
        trace: &mut T,
        complaints: &mut Complaints,
    ) -> Made {
        let mappings = self.mappings;
        let base = &mappings.base;
        let is_base = std::ptr::eq(plan, base);
        self.begin(plan, nodes, trace);
        let before = trace.mark();
        let made = Run::new(subject.input(plan, nodes, &plan.log_type), self.buffers, trace).cases(out);
        let (outcome, from) = if let Some(outcome) = made {
            (outcome, plan)
        } else {
            if !is_base {
                complaints.add(Complaint::NoCase);
            }
            trace.undo(before);
            self.begin_scope(base, nodes);
            let mut run = Run::new(subject.input(base, nodes, &plan.log_type), self.buffers, trace);
            let made = run.cases(out).or_else(|| run.last_resort(out));
            let made = made.unwrap_or_else(|| push_bare(out, mappings.version, &String::from_utf8_lossy(subject.body)));
            (made, base)
        };
        let leaves = if T::LISTENS { self.count(nodes) } else { Leaves::default() };
        let mapping = Some(Arc::clone(&from.log_type));
        Made { log_type: Arc::clone(&plan.log_type), outcome, mapping, leaves }
    }

    /// Finds the nodes of every path from the root, and lets go what may go.
    pub(super) fn begin<T: Trace>(&mut self, plan: &Plan, nodes: &[Node<'_>], trace: &mut T) {
        self.begin_scope(plan, nodes);
        let buffers = &mut *self.buffers;
        for ignore in &plan.ignores {
            let super::plan::Place::Tape { slot, .. } = ignore.path.place else { continue };
            let Some(node) = buffers.slots.get(slot).copied().and_then(node_of) else { continue };
            let fate = &mut buffers.fate;
            each_leaf(nodes, node, &mut buffers.open, |leaf| {
                if let Some(fate) = fate.get_mut(leaf) {
                    *fate = GONE;
                }
            });
            trace.fired(ignore.id);
        }
    }

    fn begin_scope(&mut self, plan: &Plan, nodes: &[Node<'_>]) {
        let buffers = &mut *self.buffers;
        buffers.slots.resize(plan.slots.max(buffers.slots.len()), 0);
        buffers.fate.resize(nodes.len(), LEFT);
        if let Some(root) = plan.scopes.first() {
            fill(&root.trie, nodes, 0, &mut buffers.slots);
        }
    }

    fn count(&mut self, nodes: &[Node<'_>]) -> Leaves {
        let mut leaves = Leaves::default();
        let buffers = &mut *self.buffers;
        let fate = &buffers.fate;
        each_leaf(nodes, 0, &mut buffers.open, |leaf| {
            let place = match fate.get(leaf).copied().unwrap_or(LEFT) {
                LEFT => &mut leaves.unmapped,
                TYPED => &mut leaves.typed,
                GONE => &mut leaves.ignored,
                FREE.. => &mut leaves.free_form,
            };
            *place = place.saturating_add(1);
        });
        leaves
    }
}

impl<'e> Subject<'e> {
    fn input<'r>(&'r self, plan: &'r Plan, nodes: &'r [Node<'e>], log_type: &'r str) -> Input<'r, 'e> {
        // The text of an event that no mapping splits is a leaf of its own.
        let is_raw = matches!(nodes, [Node::Object { len: 1, .. }, Node::String(RAW), Node::String(_)]);
        Input {
            plan,
            nodes,
            context: self.context,
            text: self.text,
            text_node: (is_raw && self.text.is_some()).then_some(2),
            log_type,
            digest: self.digest,
        }
    }
}

/// Puts what an event was made of into the document that begins in `out` at `begin`, unless its mapping did. A byte that is no
/// UTF-8 is the replacement character there, for JSON has no other text.
fn keep_raw(body: &[u8], begin: usize, out: &mut Vec<u8>) {
    let document = out.get(begin..).unwrap_or_default();
    let mut stands = false;
    members_of(document, |key, _| stands |= document.get(key) == Some(b"raw_data"));
    if stands || body.is_empty() || out.last() != Some(&b'}') {
        return;
    }
    out.pop();
    out.extend_from_slice(b",\"raw_data\":");
    push_string(out, &String::from_utf8_lossy(body));
    out.push(b'}');
}

/// Whether an event tells a time that its record's arrival says cannot have come yet.
fn is_in_future(time_ms: i64, context: &Context) -> bool {
    let arrival_ms = context.get(Field::Arrival).and_then(|text| text.parse::<i64>().ok());
    let ahead_ms = i64::try_from(CLOCK_AHEAD_MAX.as_millis()).unwrap_or(i64::MAX);
    arrival_ms.is_some_and(|arrival_ms| time_ms > arrival_ms.saturating_add(ahead_ms))
}

/// A document that is no object becomes the member of one.
pub(super) fn wrap(nodes: &mut Vec<Node<'_>>) {
    if !matches!(nodes.first(), Some(Node::Object { .. })) {
        let count = nodes.len().saturating_add(1);
        nodes.splice(0..0, [Node::Object { len: 1, count }, Node::String(RAW)]);
    }
}
