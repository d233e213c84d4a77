//! One channel: which batches wait for their acknowledgement, and whether its ids can be believed. No I/O, no clock.
//!
//! Each indexer counts the ids of a channel from 0 and knows its own only. So an id that comes a second time means that
//! another indexer answers (a balancer without affinity), or the same one after a restart; what is told of ids from then on
//! could be about somebody else's batch. The channel is then left for a new one, and all that waited in it is sent again.
//!
//! One gap stays. Between the moment in which the other indexer hands out an id that is waited for, and the moment in which an
//! answer of its is read here, a poll may tell of its batch. All answers from 0 to that id have to be under way then, so only
//! ids below the number of requests under way can be mistaken: the first few of a channel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How many ids are remembered beside those below which all have come. Requests overtake each other by their number only, and
/// an answer that got lost leaves a gap.
const SEEN_MAX: usize = 4096;

/// A channel of one endpoint and token.
#[derive(Debug)]
pub(super) struct Channel {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    name: Arc<str>,
    /// Counts the names.
    generation: u64,
    seen: Seen,
    pending: BTreeMap<u64, oneshot::Sender<Told>>,
    /// How often the channel was left since an acknowledgement came.
    left_in_a_row: u32,
}

/// The ids that have come.
#[derive(Debug, Default)]
struct Seen {
    /// All below have come, or are too old to matter.
    below: u64,
    above: BTreeSet<u64>,
}

/// The channel as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub text: Arc<str>,
    generation: u64,
}

/// What became of a batch that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Splunk has indexed it.
    Indexed,
    /// The channel was left: nobody can say.
    Left,
}

/// The id cannot be waited for: the channel was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WasLeft {
    /// How often in a row, with no acknowledgement between.
    pub in_a_row: u32,
}

/// A batch that waits. When it is dropped, it is not asked for any more.
#[derive(Debug)]
pub(super) struct Pending<'a> {
    channel: &'a Channel,
    name: Name,
    id: u64,
    /// Says what became of it. An end without a word is [`Told::Left`].
    pub told: oneshot::Receiver<Told>,
}

impl Channel {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                name: fresh_name(),
                generation: 0,
                seen: Seen::default(),
                pending: BTreeMap::new(),
                left_in_a_row: 0,
            }),
        }
    }

    /// The name to send and to ask with.
    pub fn name(&self) -> Name {
        self.lock().current()
    }

    /// Takes note of the id of a batch that was sent under this name.
    ///
    /// # Errors
    ///
    /// Where the channel was left meanwhile, and where the id has come before: then it is left now.
    pub fn wait_for(&self, name: Name, id: u64) -> Result<Pending<'_>, WasLeft> {
        let mut state = self.lock();
        if state.generation != name.generation {
            return Err(WasLeft { in_a_row: state.left_in_a_row });
        }
        if !state.seen.insert(id) {
            state.leave();
            return Err(WasLeft { in_a_row: state.left_in_a_row });
        }
        let (tell, told) = oneshot::channel();
        state.pending.insert(id, tell);
        drop(state);
        Ok(Pending { channel: self, name, id, told })
    }

    /// What to ask for: all ids that are waited for.
    pub fn question(&self) -> (Name, Vec<u64>) {
        let state = self.lock();
        (state.current(), state.pending.keys().copied().collect())
    }

    /// Takes note of what a poll under this name told: it is handed to those who wait before anything else is done, since
    /// Splunk tells it once.
    pub fn tell(&self, name: &Name, indexed: &BTreeSet<u64>) {
        let mut state = self.lock();
        if state.generation != name.generation {
            return;
        }
        for id in indexed {
            if let Some(tell) = state.pending.remove(id) {
                // Whoever waited may have gone.
                let _gone = tell.send(Told::Indexed);
                state.left_in_a_row = 0;
            }
        }
    }

    /// How often it was left since an acknowledgement came.
    pub fn left_in_a_row(&self) -> u32 {
        self.lock().left_in_a_row
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current(&self) -> Name {
        Name { text: Arc::clone(&self.name), generation: self.generation }
    }

    fn leave(&mut self) {
        self.name = fresh_name();
        self.generation += 1;
        self.seen = Seen::default();
        self.left_in_a_row = self.left_in_a_row.saturating_add(1);
        for (_, tell) in std::mem::take(&mut self.pending) {
            let _gone = tell.send(Told::Left);
        }
    }
}

impl Seen {
    /// Says whether the id is new.
    fn insert(&mut self, id: u64) -> bool {
        if id < self.below || !self.above.insert(id) {
            return false;
        }
        if self.above.len() > SEEN_MAX
            && let Some(oldest) = self.above.first()
        {
            self.below = *oldest;
        }
        while self.above.remove(&self.below) {
            self.below = self.below.saturating_add(1);
        }
        true
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        if state.generation == self.name.generation {
            state.pending.remove(&self.id);
        }
    }
}

/// A random UUID, as Splunk asks for.
fn fresh_name() -> Arc<str> {
    // Version 4, variant 1 (RFC 9562, section 5.4).
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Channel, SEEN_MAX, Seen, Told, WasLeft};

    /// Guards that those who wait are told, each once, and that what is not waited for is not asked for.
    #[test]
    fn acknowledgements_reach_who_waits() {
        let channel = Channel::new();
        let name = channel.name();
        let mut first = channel.wait_for(name.clone(), 0).unwrap();
        let mut second = channel.wait_for(name.clone(), 1).unwrap();
        let third = channel.wait_for(name.clone(), 2).unwrap();
        assert_eq!(channel.question(), (name.clone(), vec![0, 1, 2]));
        drop(third);
        channel.tell(&name, &BTreeSet::from([1, 2, 77]));
        assert_eq!(channel.question(), (name, vec![0]));
        assert_eq!(second.told.try_recv(), Ok(Told::Indexed));
        assert!(first.told.try_recv().is_err());
    }

    /// Guards that an id which comes twice ends the belief in the channel: nothing that waits there is delivered, whatever
    /// is said about it later, and the next batches go to a new one.
    #[test]
    fn a_repeated_id_leaves_the_channel() {
        let channel = Channel::new();
        let name = channel.name();
        let mut first = channel.wait_for(name.clone(), 0).unwrap();
        assert_eq!(channel.wait_for(name.clone(), 0).unwrap_err(), WasLeft { in_a_row: 1 });
        assert_eq!(first.told.try_recv(), Ok(Told::Left));
        assert_eq!(channel.wait_for(name.clone(), 1).unwrap_err(), WasLeft { in_a_row: 1 }, "sent under the old name");
        let renewed = channel.name();
        assert_ne!(renewed.text, name.text);
        let mut again = channel.wait_for(renewed.clone(), 0).unwrap();
        drop(first);
        channel.tell(&name, &BTreeSet::from([0]));
        assert!(again.told.try_recv().is_err(), "an answer about the old channel");
        assert_eq!(channel.left_in_a_row(), 1);
        channel.tell(&renewed, &BTreeSet::from([0]));
        assert_eq!((again.told.try_recv(), channel.left_in_a_row()), (Ok(Told::Indexed), 0));
    }

    /// Guards that ids are known again in any order, with gaps, and that remembering them is bounded.
    #[test]
    fn seen_ids_are_bounded() {
        let mut seen = Seen::default();
        assert!([2, 0, 3, 1].into_iter().all(|id| seen.insert(id)));
        assert_eq!((seen.below, seen.above.len()), (4, 0));
        assert!([0, 3].into_iter().all(|id| !seen.insert(id)));
        // 4 got lost.
        for id in 5..100_000 {
            assert!(seen.insert(id) && seen.above.len() <= SEEN_MAX, "{id}");
        }
        assert!(!seen.insert(99_999) && !seen.insert(5));
    }

    /// Guards that names are UUIDs of version 4, and differ.
    #[test]
    fn names_are_random_uuids() {
        let names: BTreeSet<_> = (0..50).map(|_| super::fresh_name()).collect();
        assert_eq!(names.len(), 50);
        for name in names {
            let groups: Vec<&str> = name.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{name}");
            assert!(groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b']), "{name}");
        }
    }
}
