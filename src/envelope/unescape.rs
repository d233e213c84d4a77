//! JSON strings, unescaped.

use super::scan::{bytes_equal, place_of};

/// What unescaping gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unescaped {
    /// How many bytes were written.
    pub(super) bytes: usize,
    /// Half of a surrogate pair became U+FFFD.
    pub(super) lone_surrogate: bool,
}

/// Writes the text of a JSON string, given without its quotes, into `out`, which must be as long as `raw`: unescaping
/// never makes text longer. An escape that JSON does not know is kept as it is written.
pub(super) fn unescape(raw: &[u8], out: &mut [u8]) -> Unescaped {
    debug_assert!(out.len() >= raw.len(), "unescaping needs as much room as it has input");
    let (mut from, mut to, mut lone_surrogate) = (0, 0, false);
    loop {
        // Eight bytes at a time, copied before they are looked at: what stands behind a backslash is overwritten.
        if let (Some(chunk), Some(room)) = (chunk_at(raw, from), room_at(out, to)) {
            *room = *chunk;
            let clean = place_of(bytes_equal(u64::from_le_bytes(*chunk), b'\\'));
            from += clean;
            to += clean;
            if clean == chunk.len() {
                continue;
            }
        }
        let (Some(&byte), Some(room)) = (raw.get(from), out.get_mut(to)) else { break };
        if byte != b'\\' {
            *room = byte;
            (from, to) = (from + 1, to + 1);
        } else if let Some(plain) = raw.get(from + 1).and_then(|&code| of_two_bytes(code)) {
            *room = plain;
            (from, to) = (from + 2, to + 1);
        } else {
            let escape = Escape::at(raw, from);
            lone_surrogate |= escape.lone_surrogate;
            from += escape.read;
            to += put(out, to, escape.text.get(..escape.bytes).unwrap_or_default());
        }
    }
    Unescaped { bytes: to, lone_surrogate }
}

fn chunk_at(raw: &[u8], at: usize) -> Option<&[u8; 8]> {
    raw.get(at..)?.first_chunk()
}

fn room_at(out: &mut [u8], at: usize) -> Option<&mut [u8; 8]> {
    out.get_mut(at..)?.first_chunk_mut()
}

fn put(out: &mut [u8], at: usize, text: &[u8]) -> usize {
    if let Some(room) = out.get_mut(at..at + text.len()) {
        room.copy_from_slice(text);
    }
    text.len()
}

/// What an escape of a backslash and this byte stands for.
fn of_two_bytes(code: u8) -> Option<u8> {
    match code {
        b'"' | b'\\' | b'/' => Some(code),
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'b' => Some(8),
        b'f' => Some(12),
        _ => None,
    }
}

/// A longer escape, read, or the backslash alone where it is none.
struct Escape {
    read: usize,
    text: [u8; 4],
    bytes: usize,
    lone_surrogate: bool,
}

impl Escape {
    fn at(raw: &[u8], at: usize) -> Self {
        let Some(unit) = unit_at(raw, at) else {
            return Self { read: 1, text: [b'\\', 0, 0, 0], bytes: 1, lone_surrogate: false };
        };
        let low = unit_at(raw, at + 6).filter(|low| (0xDC00..0xE000).contains(low));
        let (read, character) = match (unit, low) {
            (0xD800..0xDC00, Some(low)) => (12, char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))),
            _ => (6, char::from_u32(unit)),
        };
        let lone_surrogate = character.is_none();
        let mut text = [0; 4];
        let bytes = character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut text).len();
        Self { read, text, bytes, lone_surrogate }
    }
}

/// The UTF-16 unit of an escape of four hexadecimal digits that stands here.
fn unit_at(raw: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = raw.get(at..at + 6)? else { return None };
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}
