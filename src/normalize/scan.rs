//! Where JSON values stand in text, without parsing them: for those who change a document in a few places and leave the
//! rest of it as it is written. Never recursive; whatever the text is, a scan ends at its end.

use std::ops::Range;

/// What may follow from a broken structure: nothing more can be told of the text from this byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What stands in a document at the end of some names, as JSON; `None` where nothing does. Names are those without escapes,
/// and of several equal ones the first counts.
#[must_use]
pub fn value_at<'d>(document: &'d [u8], path: &[&str]) -> Option<&'d [u8]> {
    let root = skip_space(document, 0);
    let place = path.iter().try_fold(root..document.len(), |around, name| member(document, around.start, name))?;
    document.get(place)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that values are found among any others, and that a broken document gives nothing.
    #[test]
    fn values_are_found() {
        let document =
            br#" { "a" : [ {"b":1} , "}" ] , "c\"" : null , "b" : { "x" : -1.5e3 , "y" : "\\\" {" } , "z":true } "#;
        let text = |path: &[&str]| value_at(document, path).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(text(&["b", "x"]).as_deref(), Some("-1.5e3"));
        assert_eq!(text(&["b", "y"]).as_deref(), Some(r#""\\\" {""#));
        assert_eq!(text(&["a"]).as_deref(), Some(r#"[ {"b":1} , "}" ]"#));
        assert_eq!(text(&["z"]).as_deref(), Some("true"));
        for path in [&["x"][..], &["a", "b"], &["b", "x", "y"], &["z", "a"]] {
            assert_eq!(text(path), None, "{path:?}");
        }
        for end in 0..document.len() {
            let _ = value_at(document.get(..end).unwrap(), &["q"]);
        }
        for broken in ["", "{", "{\"a\"", "{\"a\":", "{\"a\":}", "{a:1}", "[1]", "{\"a\":\"", "{\"a\":]}", "{\"a\" 1}"]
        {
            assert_eq!(value_at(broken.as_bytes(), &["a"]), None, "{broken}");
        }
    }
}
