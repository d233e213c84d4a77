//! What workers count, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts that workers keep, by name.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Records taken in.
    pub records: u64,
    /// Bytes of them, as they came.
    pub bytes: u64,
    /// Events found in them, the filtered and broken ones included; a record that is broken as a whole counts as one.
    pub events: u64,
    /// Normalized events by log type and OCSF `severity_id`.
    pub log_types: BTreeMap<Arc<str>, BTreeMap<u8, u64>>,
    /// Filtered events by the rule's name.
    pub filtered: BTreeMap<Arc<str>, u64>,
    /// Events that never came to a sink, by code.
    pub broken: BTreeMap<String, u64>,
    /// Complaints by code.
    pub complaints: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts one normalized event.
    pub fn count(&mut self, log_type: &Arc<str>, severity_id: u8) {
        self.events += 1;
        let severities = match self.log_types.get_mut(log_type) {
            Some(severities) => severities,
            None => self.log_types.entry(Arc::clone(log_type)).or_default(),
        };
        *severities.entry(severity_id).or_default() += 1;
    }

    /// Counts one event that a rule filtered before or after it was normalized.
    pub fn count_filtered(&mut self, rule: &Arc<str>) {
        match self.filtered.get_mut(rule) {
            Some(count) => *count += 1,
            None => *self.filtered.entry(Arc::clone(rule)).or_default() += 1,
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.events += other.events;
        for (log_type, severities) in other.log_types {
            let mine = self.log_types.entry(log_type).or_default();
            for (severity_id, count) in severities {
                *mine.entry(severity_id).or_default() += count;
            }
        }
        add(&mut self.filtered, other.filtered);
        add(&mut self.broken, other.broken);
        add(&mut self.complaints, other.complaints);
    }
}

fn add<K: Ord>(mine: &mut BTreeMap<K, u64>, other: BTreeMap<K, u64>) {
    for (key, count) in other {
        *mine.entry(key).or_default() += count;
    }
}
