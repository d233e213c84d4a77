//! One worker's bench: from an event to a row of a block, or to the rule that lets it go.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::worker::Shared;
use crate::delivery::Row;
use crate::envelope::Event;
use crate::normalize::{self, Accounts, Amend, BodyDigest, Normalizer};
use crate::record::Record;
use crate::route::{Decision, Desk, Facts};

/// What one worker makes rows with. It shares nothing that it writes to.
pub struct Bench {
    normalizer: Normalizer,
    desk: Desk,
}

impl Bench {
    /// A bench for one worker.
    pub fn new(shared: &Shared) -> Self {
        Self { normalizer: Normalizer::new(Arc::clone(&shared.mappings)), desk: Desk::default() }
    }

    /// Normalizes one event, decides where it goes, and adds its row, or counts what let it go.
    pub fn event(&mut self, shared: &Shared, place: Place<'_>, event: &Event<'_>, draft: &mut Draft) {
        let ocsf_start = draft.block.ocsf.len();
        let mut digest = normalize::digest(event.body);
        let mut normalized = self.normalizer.normalize(event, &digest, &mut draft.block.ocsf);
        // Only now is it known what the event is. What is made of it is made again, of what is left of it.
        let redacted = shared.redactor.apply(&normalized.log_type, event);
        let event = &redacted.as_ref().map_or(*event, |redacted| redacted.event(event));
        if let Some(redacted) = &redacted {
            draft.block.ocsf.truncate(ocsf_start);
            digest = normalize::digest(event.body);
            normalized = self.normalizer.normalize(event, &digest, &mut draft.block.ocsf);
            if redacted.is_cut() {
                *draft.tally.complaints.entry("redaction_cut").or_default() += 1;
            }
        }
        for complaint in normalized.complaints.iter() {
            *draft.tally.complaints.entry(complaint.code()).or_default() += 1;
        }
        draft.tally.count(&normalized.log_type, normalized.severity_id);
        let text =
            |range| draft.block.ocsf.get(range).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        if let Some(facts) = place.accounts.get(text(normalized.account.clone())) {
            Amend::new(&mut draft.block.ocsf, ocsf_start, &mut normalized).account(facts);
        }
        let id = document_id(place.record, event.index, &digest);
        let text =
            |range| draft.block.ocsf.get(range).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let facts = Facts {
            log_type: &normalized.log_type,
            severity_id: normalized.severity_id,
            account: text(normalized.account.clone()),
            region: text(normalized.region.clone()),
            ocsf: draft.block.ocsf.get(ocsf_start..).unwrap_or_default(),
            raw: event.body,
            form: event.form,
            id,
            now_ms: place.now_ms,
        };
        let (lanes, tags) = match shared.routes.decide(facts, &mut self.desk) {
            Decision::Lanes { lanes, tags } => (lanes, tags),
            Decision::Filtered(rule) => {
                draft.block.ocsf.truncate(ocsf_start);
                return draft.let_go(&rule);
            }
        };
        if !tags.is_empty() {
            Amend::new(&mut draft.block.ocsf, ocsf_start, &mut normalized).labels(tags.iter().map(|tag| &**tag));
        }
        let raw_start = draft.block.raw.len();
        if shared.wants_raw {
            draft.block.raw.extend_from_slice(event.body);
        }
        let row = Row {
            record: place.number,
            index: event.index,
            ocsf: ocsf_start..draft.block.ocsf.len(),
            raw: raw_start..draft.block.raw.len(),
            log_type: normalized.log_type,
            severity_id: normalized.severity_id,
            time_ms: normalized.time_ms,
            account: normalized.account,
            region: normalized.region,
            id,
        };
        draft.add(row, lanes);
    }
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
