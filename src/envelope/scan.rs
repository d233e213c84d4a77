//! A structural scan of JSON over its bytes: where values begin and end, and nothing about what they mean.
//!
//! Strict about structure (quotes, colons, commas, brackets), lenient about the rest: a number is any run of the characters
//! that numbers are written with, and escapes in strings are not looked at. Never recursive: what is open is one bit a level.

use std::ops::Range;

/// A byte of one in each byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
const LOWS: u64 = ONES * 0x7F;

/// The most members of an object that are looked at for an envelope. The envelopes have a dozen at most.
const MEMBERS_MAX: usize = 24;

/// The structure breaks at this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
}

/// The members of an object: key (between its quotes, still escaped) and value, as ranges of the object.
#[derive(Clone, Debug)]
pub(super) struct Members {
    list: [(Range<usize>, Range<usize>); MEMBERS_MAX],
    count: usize,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { list: [const { (0..0, 0..0) }; MEMBERS_MAX], count: 0 }
    }

    /// The members, or none where there are more of them than an envelope has.
    pub(super) fn all(&self) -> &[(Range<usize>, Range<usize>)] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// The value of the first member with this key.
    pub(super) fn value(&self, bytes: &[u8], key: &[u8]) -> Option<Range<usize>> {
        let is_named = |(name, _): &&(Range<usize>, _)| name.len() == key.len() && bytes.get(name.clone()) == Some(key);
        self.all().iter().find(is_named).map(|(_, value)| value.clone())
    }

    /// Says whether a key stands there twice.
    pub(super) fn repeat_a_key(&self, bytes: &[u8]) -> bool {
        let key = |(name, _): &(Range<usize>, _)| bytes.get(name.clone());
        let all = self.all();
        all.iter()
            .enumerate()
            .any(|(number, member)| all.iter().skip(number + 1).any(|later| key(later) == key(member)))
    }

    fn push(&mut self, key: Range<usize>, value: Range<usize>) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = (key, value);
        }
        self.count = self.count.saturating_add(1);
    }
}

/// Scans the object that begins here. Gives its end, and its members, counted from where the object begins.
pub(super) fn object(bytes: &[u8], at: usize, members: &mut Members) -> Result<usize, Broken> {
    members.count = 0;
    each_member(bytes, at, |key, value| members.push(key.start - at..key.end - at, value.start - at..value.end - at))
}

/// Shows each member of an object, key (between its quotes) and value, as far as it is whole. For those who know already
/// that it is, and only look for a place in it.
pub(crate) fn members_of(object: &[u8], show: impl FnMut(Range<usize>, Range<usize>)) {
    // What breaks was said to whoever parsed it.
    let _ = each_member(object, 0, show);
}

/// Scans the object that begins here, and shows each member: key (between its quotes) and value. Gives its end.
pub(super) fn each_member(
    bytes: &[u8],
    at: usize,
    mut show: impl FnMut(Range<usize>, Range<usize>),
) -> Result<usize, Broken> {
    let mut at = blanks(bytes, expect(bytes, at, b'{')?);
    if bytes.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        let key_end = string(bytes, at)?;
        let start = colon(bytes, key_end)?;
        let end = value(bytes, start)?;
        show(at + 1..key_end - 1, start..end);
        at = blanks(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = blanks(bytes, at + 1),
            Some(b'}') => return Ok(at + 1),
            _ => return Err(Broken { at }),
        }
    }
}

/// The elements of an array, one after the other.
#[derive(Debug)]
pub(super) struct Elements<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Elements<'b> {
    /// The elements of the array that these bytes are; `None` where they are no array.
    pub(super) fn of(bytes: &'b [u8]) -> Option<Self> {
        let at = expect(bytes, 0, b'[').ok()?;
        Some(Self { bytes, at })
    }

    /// The next element, and its members where it is an object. `None` behind the last.
    pub(super) fn next(&mut self, members: &mut Members) -> Option<Result<Range<usize>, Broken>> {
        let at = blanks(self.bytes, self.at);
        let start = match self.bytes.get(at) {
            Some(b']') => return None,
            Some(b',') => blanks(self.bytes, at + 1),
            _ => at,
        };
        let end = match self.bytes.get(start) {
            Some(b'{') => object(self.bytes, start, members),
            _ => value(self.bytes, start),
        };
        Some(end.map(|end| {
            self.at = end;
            start..end
        }))
    }
}

/// How many elements an array of objects has; `None` where something else is among them.
pub(super) fn objects_in(array: &[u8]) -> Option<usize> {
    let mut at = blanks(array, expect(array, 0, b'[').ok()?);
    let mut count = 0;
    while array.get(at) == Some(&b'{') {
        count += 1;
        at = blanks(array, value(array, at).ok()?);
        if array.get(at) == Some(&b',') {
            at = blanks(array, at + 1);
        }
    }
    (array.get(at) == Some(&b']')).then_some(count)
}

/// Scans the value that begins here, however deep. Gives its end.
pub(super) fn value(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let mut open = Open::default();
    let mut at = at;
    loop {
        at = match bytes.get(at) {
            Some(b'"') => string(bytes, at)?,
            Some(b'{') => {
                let inside = blanks(bytes, at + 1);
                if bytes.get(inside) == Some(&b'}') {
                    inside + 1
                } else {
                    open.push(true);
                    at = colon(bytes, string(bytes, inside)?)?;
                    continue;
                }
            }
            Some(b'[') => {
                let inside = blanks(bytes, at + 1);
                if bytes.get(inside) == Some(&b']') {
                    inside + 1
                } else {
                    open.push(false);
                    at = inside;
                    continue;
                }
            }
            _ => scalar(bytes, at)?,
        };
        loop {
            let Some(in_object) = open.last() else { return Ok(at) };
            at = blanks(bytes, at);
            match (bytes.get(at), in_object) {
                (Some(b','), true) => {
                    at = colon(bytes, string(bytes, blanks(bytes, at + 1))?)?;
                    break;
                }
                (Some(b','), false) => {
                    at = blanks(bytes, at + 1);
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(Broken { at }),
            }
        }
    }
}

/// The first byte from here on that JSON does not take for blank.
pub(super) fn blanks(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// What stands between the quotes of a JSON string; `None` where the value is no string.
pub(super) fn string_content(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Scans the string whose opening quote stands here. A line end inside is no string: it is a line that was cut.
///
/// Only quotes are looked for, and whether one is escaped is seen by looking back: JSON within JSON is full of escapes, and
/// to stop at each backslash too took twice the time. A vector search for the next quote was slower as well, because the
/// quotes stand near to each other.
fn string(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let mut at = expect(bytes, at, b'"')?;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let mut hits = bytes_equal(word, b'"') | bytes_equal(word, b'\n');
        while hits != 0 {
            if let Some(end) = end_of_string(bytes, at + place_of(hits))? {
                return Ok(end);
            }
            hits &= hits - 1;
        }
        at += chunk.len();
    }
    while at < bytes.len() {
        if let Some(end) = end_of_string(bytes, at)? {
            return Ok(end);
        }
        at += 1;
    }
    Err(Broken { at: bytes.len() })
}

/// Gives where the string ends if its closing quote stands here.
fn end_of_string(bytes: &[u8], at: usize) -> Result<Option<usize>, Broken> {
    match bytes.get(at) {
        Some(b'"') if is_escaped(bytes, at) => Ok(None),
        Some(b'"') => Ok(Some(at + 1)),
        Some(b'\n') => Err(Broken { at }),
        _ => Ok(None),
    }
}

/// Says whether an odd number of backslashes stands before this byte.
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    match before {
        [.., b'\\', b'\\'] => !before.iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2),
        [.., last] => *last == b'\\',
        [] => false,
    }
}

/// Scans a number or one of the three words.
fn scalar(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = match rest.first() {
        Some(b't') if rest.starts_with(b"true") => 4,
        Some(b'f') if rest.starts_with(b"false") => 5,
        Some(b'n') if rest.starts_with(b"null") => 4,
        Some(b'-' | b'0'..=b'9') => {
            let is_numeric = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            rest.iter().position(|byte| !is_numeric(byte)).unwrap_or(rest.len())
        }
        _ => return Err(Broken { at: at.min(bytes.len()) }),
    };
    Ok(at + length)
}

/// The value behind the colon that follows a key.
fn colon(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    Ok(blanks(bytes, expect(bytes, blanks(bytes, at), b':')?))
}

fn expect(bytes: &[u8], at: usize, byte: u8) -> Result<usize, Broken> {
    if bytes.get(at) == Some(&byte) { Ok(at + 1) } else { Err(Broken { at: at.min(bytes.len()) }) }
}

/// Sets the high bit of each byte of the word that equals this one, and no other bit.
pub(super) fn bytes_equal(word: u64, byte: u8) -> u64 {
    let differing = word ^ (ONES * u64::from(byte));
    !(((differing & LOWS) + LOWS) | differing | LOWS)
}

/// The number of the lowest byte whose high bit is set; 8 if none is.
pub(super) fn place_of(hits: u64) -> usize {
    usize::try_from(hits.trailing_zeros() / 8).unwrap_or(8)
}

/// What is open: one bit a level, set for an object. The upper 64 levels need no memory of their own.
#[derive(Default)]
struct Open {
    depth: usize,
    top: u64,
    below: Vec<u64>,
}

impl Open {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.top >>= 1;
        if self.depth.is_multiple_of(64)
            && let Some(top) = self.below.pop()
        {
            self.top = top;
        }
    }

    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.top & 1 == 1)
    }
}
