//! Files made of objects: which objects a file is, by their names alone. Pure.
//!
//! Every write is an object of a name of its own, and none is ever written over: `<file>/<offset>-<generation>-<sequence>`. The
//! generation counts the processes that held the prefix, the sequence the writes of one. A file is what its writes make of it one
//! after the other, each of which ends the file behind itself. So a write that failed for all that its process knows, and that
//! arrives late, can never stand in the place of a later one.

use std::collections::BTreeMap;

/// What one object holds of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins in the file.
    pub offset: u64,
    /// How much of it counts.
    pub bytes: u64,
    /// Its key.
    pub key: String,
}

/// The objects of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Those that it is made of, by their offsets; none overlaps another. What stands between two of them is lost.
    pub parts: Vec<Part>,
    /// Those that do not count, or may not be there.
    pub stale: Vec<String>,
}

/// How an object is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    file: String,
    offset: u64,
    generation: u64,
    sequence: u64,
}

/// The key of a write.
pub fn key_of(prefix: &str, file: &str, offset: u64, generation: u64, sequence: u64) -> String {
    format!("{prefix}{file}/{offset:020}-{generation:010}-{sequence:010}")
}

/// The files below a prefix, and the highest generation that wrote them, of the keys and sizes of all objects there. What has
/// other names is left alone.
pub fn files_of(prefix: &str, objects: impl IntoIterator<Item = (String, u64)>) -> (BTreeMap<String, File>, u64) {
    let mut named: Vec<(Name, String, u64)> =
        objects.into_iter().filter_map(|(key, bytes)| Some((Name::read(prefix, &key)?, key, bytes))).collect();
    named.sort_unstable_by_key(|(name, ..)| (name.generation, name.sequence));
    let generation = named.last().map_or(0, |(name, ..)| name.generation);
    let mut files = BTreeMap::<String, File>::new();
    for (name, key, bytes) in named {
        files.entry(name.file).or_default().write(Part { offset: name.offset, bytes, key });
    }
    (files, generation)
}

impl File {
    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.parts.last().map_or(0, |last| last.offset.saturating_add(last.bytes))
    }

    /// Takes note of a write, which ends the file.
    pub fn write(&mut self, part: Part) {
        while let Some(last) = self.parts.last_mut() {
            if last.offset < part.offset {
                last.bytes = last.bytes.min(part.offset - last.offset);
                break;
            }
            self.stale.extend(self.parts.pop().map(|last| last.key));
        }
        if part.bytes > 0 { self.parts.push(part) } else { self.stale.push(part.key) }
    }

    /// What of its parts stands between two offsets: each with the bounds in the file.
    pub fn between(&self, from: u64, to: u64) -> Vec<(Part, u64, u64)> {
        let spans = self.parts.iter().map(|part| {
            let end = part.offset.saturating_add(part.bytes);
            (part.clone(), part.offset.max(from), end.min(to))
        });
        spans.filter(|(_, begin, end)| begin < end).collect()
    }
}

impl Name {
    fn read(prefix: &str, key: &str) -> Option<Self> {
        let (file, numbers) = key.strip_prefix(prefix)?.split_once('/')?;
        let mut numbers = numbers.split('-').map(|digits| digits.parse::<u64>().ok());
        let name = Self {
            file: file.to_owned(),
            offset: numbers.next()??,
            generation: numbers.next()??,
            sequence: numbers.next()??,
        };
        // Only as it is written here: nothing else lies here by our hand.
        (key_of(prefix, file, name.offset, name.generation, name.sequence) == key).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, bytes: u64, key: &str) -> Part {
        Part { offset, bytes, key: key.to_owned() }
    }

    /// Guards that a file is what its writes make of it, in their order, whatever the order in which objects are listed: a write
    /// ends the file behind itself, an empty one at the beginning empties it, and a late one of an earlier process changes
    /// nothing.
    #[test]
    fn files_are_what_their_writes_make_of_them() {
        for (writes, bytes, stale) in [
            // Offset, size, generation, sequence.
            (vec![(0, 10, 1, 1), (10, 5, 1, 2)], 15, 0),
            (vec![(0, 10, 1, 1), (10, 5, 1, 2), (10, 7, 1, 3)], 17, 1),
            (vec![(0, 10, 1, 1), (10, 5, 1, 2), (0, 3, 1, 3)], 3, 2),
            (vec![(0, 10, 1, 1), (4, 2, 1, 2)], 6, 0),
            (vec![(0, 10, 1, 1), (0, 0, 1, 2)], 0, 2),
            (vec![(0, 4, 2, 1), (4, 4, 2, 2), (0, 90, 1, 99)], 8, 1),
            (vec![(20, 5, 1, 1)], 25, 0),
        ] {
            let key = |&(offset, _, generation, sequence): &(u64, u64, u64, u64)| {
                key_of("p/", "f", offset, generation, sequence)
            };
            let listed = writes.iter().rev().map(|write| (key(write), write.1));
            let (files, generation) = files_of("p/", listed);
            let file = &files["f"];
            assert_eq!((file.bytes(), file.stale.len()), (bytes, stale), "{writes:?}");
            assert_eq!(Some(generation), writes.iter().map(|write| write.2).max());
        }
    }

    /// Guards that only our own objects are taken for parts.
    #[test]
    fn other_objects_are_left_alone() {
        let ours = key_of("p/", "f", 0, 1, 2);
        for other in ["p/owner", "p/f/1-2-3", "q/f/00000000000000000000-0000000001-0000000002", "p/a/b/c", "p/f/"] {
            assert!(files_of("p/", [(other.to_owned(), 1)]).0.is_empty(), "{other}");
        }
        assert!(files_of("p/", [(format!("{ours}-4"), 1), (format!("p/x{}", &ours[1..]), 1)]).0.is_empty());
        assert_eq!(files_of("p/", [(ours, 1)]).0.len(), 1);
    }

    /// Guards reading across parts, and what is missing between them.
    #[test]
    fn spans_cover_what_was_asked_for() {
        let file = File { parts: vec![part(0, 10, "a"), part(10, 5, "b"), part(20, 5, "c")], stale: Vec::new() };
        let spans = |from, to| -> Vec<(u64, u64)> {
            file.between(from, to).into_iter().map(|(_, begin, end)| (begin, end)).collect()
        };
        assert_eq!(spans(0, 100), [(0, 10), (10, 15), (20, 25)]);
        assert_eq!(spans(4, 12), [(4, 10), (10, 12)]);
        assert!(spans(15, 20).is_empty());
        assert!(spans(25, 30).is_empty());
    }
}
