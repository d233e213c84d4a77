//! Events for sinks: a block, and the batch that a lane would make of it.

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
