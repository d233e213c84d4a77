//! One event for the tests of the sinks.

use std::sync::Arc;

use crate::delivery::{Block, Ledger, Row};
use crate::normalize::SiemNames;

/// A block with one event, `aws.guardduty`, of 1700000000.123 s, with the id 000102..0f. In another vocabulary it is
/// `{"ecs":1}` or `{"cim":1}`.
pub fn block(ocsf: &str, raw: &[u8]) -> Block {
    let row = Row {
        record: 0,
        index: 0,
        ocsf: 0..ocsf.len(),
        raw: 0..raw.len(),
        projected: [0..9, 0..9],
        log_type: Arc::from("aws.guardduty"),
        severity_id: 4,
        time_ms: 1_700_000_000_123,
        account: 0..0,
        region: 0..0,
        id: std::array::from_fn(|index| u8::try_from(index).unwrap()),
    };
    let names = SiemNames { sourcetype: Some("aws:findings".into()), dataset: Some("aws.findings".into()) };
    Block {
        source: Arc::from("findings"),
        records: Vec::new(),
        ocsf: ocsf.as_bytes().to_vec(),
        raw: raw.to_vec(),
        projected: [br#"{"ecs":1}"#.to_vec(), br#"{"cim":1}"#.to_vec()],
        names: Arc::new([(Arc::from("aws.guardduty"), names)].into_iter().collect()),
        rows: vec![row],
        charges: Vec::new(),
        ledger: Ledger::default(),
    }
}
