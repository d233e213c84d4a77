//! One worker's bench: from an event to a row of a block, or to the rule that lets it go.

use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::duplicates::Keys;
use super::worker::Shared;
use crate::delivery::{Block, Row};
use crate::envelope::Event;
use crate::normalize::redact::Redacted;
use crate::normalize::{self, Accounts, Amend, BodyDigest, Complaint, Normalizer, Projection, Projector};
use crate::record::Record;
use crate::route::{Decision, Desk, Facts};

/// The rule that lets a dead letter go whose sink the routes do not name for it any more.
const NO_LONGER_ROUTED: &str = "no_longer_routed";

/// What one worker makes rows with. It shares nothing that it writes to.
pub struct Bench {
    normalizer: Normalizer,
    projector: Projector,
    desk: Desk,
}

impl Bench {
    /// A bench for one worker.
    pub fn new(shared: &Shared) -> Self {
        Self {
            normalizer: Normalizer::new(Arc::clone(&shared.mappings)),
            projector: Projector::new(Arc::clone(&shared.mappings)),
            desk: Desk::default(),
        }
    }

    /// Normalizes one event, decides where it goes, and adds its row, or counts what let it go.
    pub fn event(&mut self, shared: &Shared, place: Place<'_>, event: &Event<'_>, draft: &mut Draft) {
        let begin = draft.block.ocsf.len();
        let ocsf = &mut draft.block.ocsf;
        let digest = normalize::digest(event.body);
        let mut normalized = self.normalizer.normalize(event, &digest, ocsf);
        // Only now is it known what the event is. What was made of it is made again, of what is left of it.
        let redacted = shared.redactor.apply(&normalized.log_type, event);
        let (event, digest) = match &redacted {
            None => (*event, digest),
            Some(redacted) => {
                let event = redacted.event(event);
                let digest = normalize::digest(event.body);
                ocsf.truncate(begin);
                normalized = self.normalizer.normalize(&event, &digest, ocsf);
                (event, digest)
            }
        };
        let codes = normalized.complaints.iter().map(Complaint::code);
        let cut = redacted.as_ref().is_some_and(Redacted::is_cut).then_some("redaction_cut");
        for code in codes.chain(cut) {
            *draft.tally.complaints.entry(code).or_default() += 1;
        }
        draft.tally.count(&normalized.log_type, normalized.severity_id);
        if let Some(facts) = place.accounts.get(text_at(ocsf, &normalized.account)) {
            Amend::new(ocsf, begin, &mut normalized).account(facts);
        }

        let facts = Facts {
            log_type: &normalized.log_type,
            severity_id: normalized.severity_id,
            account: text_at(ocsf, &normalized.account),
            region: text_at(ocsf, &normalized.region),
            ocsf: ocsf.get(begin..).unwrap_or_default(),
            raw: event.body,
            form: event.form,
            context: Some(event.context),
            id: document_id(place.record, event.index, &digest),
            now_ms: place.now_ms,
        };
        let id = facts.id;
        let (lanes, tags, keys) = match self.decide(shared, place.record, facts) {
            Ok(way) => way,
            Err(rule) => {
                ocsf.truncate(begin);
                return draft.let_go(&rule);
            }
        };
        if !tags.is_empty() {
            Amend::new(ocsf, begin, &mut normalized).labels(tags.iter().map(|tag| &**tag));
        }
        let raw_begin = draft.block.raw.len();
        if shared.wants_raw {
            draft.block.raw.extend_from_slice(event.body);
        }
        let projected = self.project(shared, lanes, begin, &normalized.log_type, draft);
        let row = Row {
            record: place.number,
            index: event.index,
            ocsf: begin..draft.block.ocsf.len(),
            raw: raw_begin..draft.block.raw.len(),
            projected,
            log_type: normalized.log_type,
            severity_id: normalized.severity_id,
            time_ms: normalized.time_ms,
            account: normalized.account,
            region: normalized.region,
            id,
        };
        draft.add(row, lanes, keys);
    }

    /// Projects the document that begins at `begin` to each vocabulary that one of its lanes wants, once, and says where it
    /// stands there.
    fn project(
        &mut self,
        shared: &Shared,
        lanes: u64,
        begin: usize,
        log_type: &str,
        draft: &mut Draft,
    ) -> [Range<usize>; Projection::ALL.len()] {
        let Block { ocsf, projected, .. } = &mut draft.block;
        let document = ocsf.get(begin..).unwrap_or_default();
        let mut places = [const { 0..0 }; Projection::ALL.len()];
        let wanted = shared.projected_for.iter().map(|wanting| wanting & lanes != 0);
        let targets = Projection::ALL.into_iter().zip(wanted).zip(projected.iter_mut().zip(&mut places));
        for ((projection, _), (documents, place)) in targets.filter(|((_, is_wanted), _)| *is_wanted) {
            let start = documents.len();
            self.projector.project(projection, document, log_type, documents);
            *place = start..documents.len();
        }
        places
    }

    /// The lanes of an event, its tags, and what is to be remembered of it; or the rule that lets it go.
    fn decide(&mut self, shared: &Shared, record: &Record, event: Facts<'_>) -> Result<Way, Arc<str>> {
        let again = record.again.as_ref().and_then(|again| Some((again.sink.as_ref()?, again.straight)));
        let Some((sink, is_straight)) = again else { return self.route(shared, event) };
        let own = shared.sinks.iter().position(|name| name == sink).map_or(0, |lane| 1_u64 << lane);
        if is_straight && own != 0 {
            return Ok((own, Vec::new(), Keys::default()));
        }
        // The other sinks have it already.
        match self.route(shared, event)? {
            (lanes, tags, keys) if lanes & own != 0 => Ok((lanes & own, tags, keys)),
            _ => Err(Arc::from(NO_LONGER_ROUTED)),
        }
    }

    fn route(&mut self, shared: &Shared, event: Facts<'_>) -> Result<Way, Arc<str>> {
        let keys = match &shared.duplicates {
            Some(duplicates) => duplicates.ask(event.log_type, event.ocsf, &event.id, event.now_ms)?,
            None => Keys::default(),
        };
        match shared.routes.decide(event, &mut self.desk) {
            Decision::Lanes { lanes, tags } => Ok((lanes, tags, keys)),
            Decision::Filtered(rule) => Err(rule),
        }
    }
}

fn text_at<'d>(ocsf: &'d [u8], range: &Range<usize>) -> &'d str {
    ocsf.get(range.clone()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// What is the same for all events of a record, and for all of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its number in the chunk.
    pub number: u32,
    /// What is known of accounts.
    pub accounts: &'a Accounts,
    /// The time at which the chunk is worked on, in milliseconds since 1970.
    pub now_ms: i64,
}

/// The lanes of an event, a bit for each; its tags; what is to be remembered of it.
type Way = (u64, Vec<Arc<str>>, Keys);

/// A hash of position, index in the record and raw event bytes (by their digest).
fn document_id(record: &Record, index: u32, digest: &BodyDigest) -> [u8; 16] {
    let position = &record.position;
    let mut hash = Sha256::new();
    hash.update(position.shard.as_bytes());
    hash.update([0]);
    hash.update(position.sequence.as_str().as_bytes());
    hash.update([0]);
    hash.update(position.sub_sequence.to_be_bytes());
    hash.update(index.to_be_bytes());
    hash.update(digest);
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    id
}
