//! What was delivered, remembered for a while: so that the same thing from another position can be let go.
//!
//! Something enters only when the last lane has said that it is delivered, so that nothing is ever let go for the sake of
//! something that did not arrive. It is remembered with the id of the event it came with: an event that is read again has
//! the same id and is no duplicate of itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// What is remembered: the hash of whatever two events have in common.
pub type MemoryKey = [u8; 16];

/// A memory that workers ask and lanes fill.
#[derive(Debug)]
pub struct Memory {
    entries_max: usize,
    age_ms_max: i64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<MemoryKey, Entry>,
    /// When each entry was made, the oldest first; an entry that was made anew stands here several times.
    order: VecDeque<(MemoryKey, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: [u8; 16],
    at_ms: i64,
}

impl Memory {
    /// A memory of at most so many entries, none older than this. Where there is no room the oldest is forgotten: its
    /// duplicates then pass, which costs nothing but themselves.
    #[must_use]
    pub fn new(entries_max: usize, age_ms_max: i64) -> Self {
        Self { entries_max: entries_max.max(1), age_ms_max, inner: Mutex::default() }
    }

    /// Whether this was delivered already, by an event of another id.
    #[must_use]
    pub fn holds(&self, key: &MemoryKey, id: &[u8; 16], now_ms: i64) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.get(key).is_some_and(|entry| entry.id != *id && !self.is_old(entry.at_ms, now_ms))
    }

    /// Remembers that this was delivered. What is known already keeps the id it came with first, and becomes young again.
    pub fn enter(&self, key: MemoryKey, id: [u8; 16], now_ms: i64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { entries, order } = &mut *inner;
        let entry = entries.entry(key).or_insert(Entry { id, at_ms: now_ms });
        if self.is_old(entry.at_ms, now_ms) {
            entry.id = id;
        }
        entry.at_ms = now_ms;
        order.push_back((key, now_ms));
        while order.len() > self.entries_max || order.front().is_some_and(|(_, at_ms)| self.is_old(*at_ms, now_ms)) {
            let Some((key, at_ms)) = order.pop_front() else { break };
            if entries.get(&key).is_some_and(|entry| entry.at_ms == at_ms) {
                entries.remove(&key);
            }
        }
    }

    fn is_old(&self, at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(at_ms) > self.age_ms_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [u8; 16] = [1; 16];
    const TWO: [u8; 16] = [2; 16];

    /// Guards that only another event is a duplicate, and that what is too old is none.
    #[test]
    fn only_another_position_is_a_duplicate() {
        let memory = Memory::new(10, 1000);
        assert!(!memory.holds(&[9; 16], &ONE, 0));
        memory.enter([9; 16], ONE, 0);
        assert!(!memory.holds(&[9; 16], &ONE, 5), "a re-read");
        assert!(memory.holds(&[9; 16], &TWO, 5));
        memory.enter([9; 16], TWO, 900);
        assert!(!memory.holds(&[9; 16], &ONE, 901), "the first keeps its place");
        assert!(memory.holds(&[9; 16], &TWO, 1900), "and it is young again");
        assert!(!memory.holds(&[9; 16], &TWO, 1901));
        memory.enter([9; 16], TWO, 5000);
        assert!(memory.holds(&[9; 16], &ONE, 5000), "after its time another may be the first");
    }

    /// Guards the bound, whatever is entered how often.
    #[test]
    fn the_oldest_is_forgotten() {
        let memory = Memory::new(3, i64::MAX);
        for number in 0..5 {
            memory.enter([number; 16], ONE, number.into());
        }
        let held: Vec<u8> = (0..5).filter(|number| memory.holds(&[*number; 16], &TWO, 9)).collect();
        assert_eq!(held, [2, 3, 4]);
        for round in 0..1000 {
            memory.enter([7; 16], ONE, round);
        }
        let inner = memory.inner.lock().unwrap();
        assert!(inner.entries.len() <= 3 && inner.order.len() <= 3);
    }
}
