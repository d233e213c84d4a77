//! From OCSF to other vocabularies, by mappings of the same engine.

use std::sync::Arc;

use simd_json::{Buffers as ParserBuffers, Node, Tape};

use super::explain::{Explanation, Record, Silent, Trace};
use super::normalizer::{Desk, parse};
use super::plan::Mappings;
use super::run::{Buffers, Input, Run};
use super::{BodyDigest, Projection};
use crate::envelope::Context;

/// Bytes the parser's buffers are made for at the beginning; they grow with the events.
const DOCUMENT_BYTES_USUAL: usize = 16 * 1024;

/// Levels of nesting that are read. The engine's own output stays below 128 (see `tape::DEPTH_MAX`).
const DEPTH_MAX: usize = 128;

/// The member that holds a document which cannot be read, as text.
const RAW: &str = "raw";

/// Turns OCSF documents into those of other vocabularies, with buffers of its own.
pub struct Projector {
    mappings: Arc<Mappings>,
    parser: ParserBuffers,
    body: Vec<u8>,
    tape: Tape<'static>,
    buffers: Buffers,
    context: Context,
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Projector").finish_non_exhaustive()
    }
}

impl Projector {
    /// A projector for one worker.
    #[must_use]
    pub fn new(mappings: Arc<Mappings>) -> Self {
        Self {
            mappings,
            parser: ParserBuffers::with_max_depth(DOCUMENT_BYTES_USUAL, DEPTH_MAX),
            body: Vec::new(),
            tape: Tape(Vec::new()),
            buffers: Buffers::default(),
            context: Context::default(),
        }
    }

    /// Appends one document in another vocabulary, without a line end in or behind it. `ocsf` is what a normalizer wrote,
    /// `log_type` what it recognised (`@log_type` of the projection). What the projection does not take of the event stands
    /// in the vocabulary's rest. Without a mapping for the projection the event stays what it is.
    pub fn project(&mut self, to: Projection, ocsf: &[u8], log_type: &str, out: &mut Vec<u8>) {
        self.project_traced(to, ocsf, log_type, out, &mut Silent);
    }

    /// As [`Self::project`], and tells which rule wrote what. For people; slower.
    pub fn project_explained(&mut self, to: Projection, ocsf: &[u8], log_type: &str, out: &mut Vec<u8>) -> Explanation {
        let mut record = Record::default();
        self.project_traced(to, ocsf, log_type, out, &mut record);
        Explanation { mapping: Some(Arc::from(to.name())), ..record.into_explanation() }
    }

    fn project_traced<T: Trace>(
        &mut self,
        to: Projection,
        ocsf: &[u8],
        log_type: &str,
        out: &mut Vec<u8>,
        trace: &mut T,
    ) {
        let Self { mappings, parser, body, tape, buffers, context } = self;
        let Some(Some(plan)) = mappings.projections.get(to.number()) else { return out.extend_from_slice(ocsf) };
        buffers.forget_event();
        let text;
        let mut nodes = std::mem::replace(tape, Tape(Vec::new())).reset();
        match parse(ocsf, body, parser, nodes) {
            Ok(parsed) if matches!(parsed.0.first(), Some(Node::Object { .. })) => nodes = parsed,
            // Nothing that the engine writes is refused here; what is, still goes out.
            _ => {
                text = String::from_utf8_lossy(ocsf);
                nodes = Tape(vec![Node::Object { len: 1, count: 2 }, Node::String(RAW), Node::String(&text)]);
            }
        }
        let mut desk = Desk { mappings, parser, buffers, embedded: &mut Vec::new(), last_text: &mut 0 };
        desk.begin(plan, &nodes.0, trace);
        let input = Input {
            plan,
            nodes: &nodes.0,
            context,
            text: None,
            text_node: None,
            log_type,
            digest: &BodyDigest::default(),
        };
        let mut run = Run::new(input, buffers, trace);
        if run.cases(out).is_none() {
            // No case takes it: all of it is the rest.
            out.push(b'{');
            out.extend_from_slice(&plan.rest);
            out.extend_from_slice(ocsf);
            out.push(b'}');
        }
        *tape = nodes.reset();
    }
}
