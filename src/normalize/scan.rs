//! Where JSON values stand in text, without parsing them: for those who change a document in a few places and leave the
//! rest of it as it is written. Never recursive; whatever the text is, a scan ends at its end.

use std::ops::Range;

/// What may follow from a broken structure: nothing more can be told of the text from this byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The first byte at or behind `at` that is no white space.
pub(super) fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at.saturating_add(rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count())
}

/// Where the string that begins at `at` ends, its quotes included.
pub(super) fn string_end(text: &[u8], at: usize) -> Result<usize, Broken> {
    let mut at = at.saturating_add(1);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let step = memchr::memchr2(b'"', b'\\', rest).ok_or(Broken)?;
        at = at.saturating_add(step);
        if text.get(at) == Some(&b'"') {
            return Ok(at.saturating_add(1));
        }
        at = at.saturating_add(2);
    }
}

/// Where the value that begins at `at` ends.
pub(super) fn value_end(text: &[u8], at: usize) -> Result<usize, Broken> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text.get(at) {
            None => return Err(Broken),
            Some(b'"') => at = string_end(text, at)?,
            Some(b'{' | b'[') => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(1);
            }
            Some(b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(Broken)?;
                at = at.saturating_add(1);
            }
            Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') if depth > 0 => at = at.saturating_add(1),
            Some(_) => {
                let word = text.get(at..).unwrap_or_default().iter().take_while(|byte| is_word(**byte)).count();
                if word == 0 {
                    return Err(Broken);
                }
                at = at.saturating_add(word);
            }
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

/// A byte that numbers, `true`, `false` and `null` are made of, and what a lenient reader takes beside them.
const fn is_word(byte: u8) -> bool {
    !matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':') && !byte.is_ascii_whitespace()
}

/// The value of an object's first member of this name, which is written without escapes. `object` is where the object begins.
pub(super) fn member(text: &[u8], object: usize, name: &str) -> Option<Range<usize>> {
    if text.get(object) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(text, object.saturating_add(1));
    while text.get(at) == Some(&b'"') {
        let key = at..string_end(text, at).ok()?;
        let colon = skip_space(text, key.end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let begin = skip_space(text, colon.saturating_add(1));
        let end = value_end(text, begin).ok()?;
        if text.get(key.start.saturating_add(1)..key.end.saturating_sub(1)) == Some(name.as_bytes()) {
            return Some(begin..end);
        }
        at = skip_space(text, end);
        if text.get(at) != Some(&b',') {
            return None;
        }
        at = skip_space(text, at.saturating_add(1));
    }
    None
}
