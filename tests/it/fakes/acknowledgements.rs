//! What indexers know of channels: ids from 0 for each channel at each indexer, and how far each is.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Acknowledgements {
    channels: BTreeMap<(usize, String), Channel>,
    /// How many ids were told to be indexed.
    pub told: usize,
}

#[derive(Debug, Default)]
struct Channel {
    next: u64,
    /// How many polls are told "not yet" before the id is indexed.
    open: BTreeMap<u64, u32>,
}

impl Acknowledgements {
    /// The id of a batch that this indexer took.
    pub fn hand_out(&mut self, node: usize, channel: &str, polls_in_vain: u32) -> u64 {
        let channel = self.channels.entry((node, channel.to_owned())).or_default();
        let id = channel.next;
        channel.next += 1;
        channel.open.insert(id, polls_in_vain);
        id
    }

    /// Says whether this indexer knows the id to be indexed. It says yes once.
    pub fn is_indexed(&mut self, node: usize, channel: &str, id: u64) -> bool {
        let Some(channel) = self.channels.get_mut(&(node, channel.to_owned())) else { return false };
        match channel.open.get_mut(&id) {
            None => false,
            Some(0) => {
                channel.open.remove(&id);
                self.told += 1;
                true
            }
            Some(polls_in_vain) => {
                *polls_in_vain = polls_in_vain.saturating_sub(1);
                false
            }
        }
    }
}

/// Says whether a text is a UUID.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}
