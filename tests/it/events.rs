//! Events for sinks: a block, and the batch that a lane would make of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use siemline::delivery::{Batch, Block, Ledger, Row, Sink};

/// A block of so many events. Event `n` is `{"class_uid":2004,"n":n}` and has the id `n`, so that [`uid`] names it.
pub fn block(events: u32) -> Block {
    block_of(events, |n| format!(r#"{{"class_uid":2004,"n":{n}}}"#))
}

/// The same with other documents.
pub fn block_of(events: u32, document: impl Fn(u32) -> String) -> Block {
    let mut block = Block {
        source: Arc::from("findings"),
        records: Vec::new(),
        ocsf: Vec::new(),
        raw: Vec::new(),
        projected: Default::default(),
        names: Arc::default(),
        rows: Vec::new(),
        charges: Vec::new(),
        ledger: Ledger::default(),
    };
    for n in 0..events {
        let (ocsf, raw) = (block.ocsf.len(), block.raw.len());
        block.ocsf.extend_from_slice(document(n).as_bytes());
        block.raw.extend_from_slice(format!("line {n}").as_bytes());
        block.rows.push(Row {
            record: 0,
            index: n,
            ocsf: ocsf..block.ocsf.len(),
            raw: raw..block.raw.len(),
            projected: [0..0, 0..0],
            log_type: Arc::from("aws.guardduty"),
            severity_id: 3,
            time_ms: 1_700_000_000_000 + i64::from(n),
            account: 0..0,
            region: 0..0,
            id: u128::from(n).to_be_bytes(),
        });
    }
    block
}

/// The name that event `n` has at a destination.
pub fn uid(n: u32) -> String {
    format!("{n:032x}")
}

/// The events of a block as a sink encodes them.
pub fn batch(sink: &impl Sink, events: u32) -> Batch {
    let block = block(events);
    let mut batch = Batch::default();
    for row in 0..events {
        batch.push(|out| sink.encode(block.event(row).unwrap(), out));
    }
    batch
}

/// The batches that a lane would fill with the events of a block: one for each bucket. Every second event is CloudTrail's.
pub fn batches(sink: &impl Sink, events: u32) -> Vec<Batch> {
    let mut block = block(events);
    for row in block.rows.iter_mut().skip(1).step_by(2) {
        row.log_type = "aws.cloudtrail".into();
    }
    let mut batches: BTreeMap<Vec<u8>, Batch> = BTreeMap::new();
    for row in 0..events {
        let (event, mut bucket) = (block.event(row).unwrap(), Vec::new());
        sink.bucket(event, &mut bucket);
        let batch = batches.entry(bucket).or_insert_with_key(|bucket| Batch::of_bucket(bucket));
        batch.push(|out| sink.encode(event, out));
    }
    batches.into_values().collect()
}
