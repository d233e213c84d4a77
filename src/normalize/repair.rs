//! Legal JSON that the fast parser refuses, and nearly legal JSON, rewritten into what it reads.
//!
//! Numbers beyond 64 bits become strings of the same digits, a lone surrogate escape becomes U+FFFD, a raw control
//! character in a string is escaped, a byte order mark is dropped, broken UTF-8 becomes U+FFFD, and a subtree below
//! [`DEPTH_MAX`] levels becomes a string of its text. Whatever else is wrong stays wrong, for the parser to refuse.

use super::json;
use super::tape::DEPTH_MAX;

/// One level is left for the object that a document which is no object is put into.
const DEPTH_KEPT: usize = DEPTH_MAX - 2;

/// Appends the rewritten document to `out`.
pub(super) fn repair(body: &[u8], out: &mut Vec<u8>) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let mut rest = text.as_ref();
    let mut depth = 0_usize;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => {
                let length = string_length(rest);
                push_string_token(out, rest.get(..length).unwrap_or(rest));
                length
            }
            b'{' | b'[' if depth >= DEPTH_KEPT => {
                let length = container_length(rest);
                json::push_string(out, rest.get(..length).unwrap_or(rest));
                length
            }
            b'-' | b'0'..=b'9' => {
                let length = number_length(rest);
                push_number_token(out, rest.get(..length).unwrap_or(rest));
                length
            }
            _ => {
                match first {
                    b'{' | b'[' => depth = depth.saturating_add(1),
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let length = rest.chars().next().map_or(1, char::len_utf8);
                out.extend_from_slice(rest.get(..length).unwrap_or(rest).as_bytes());
                length
            }
        };
        rest = rest.get(length.max(1)..).unwrap_or("");
    }
}

/// The length of the string token at the beginning of `text`, quotes included; the whole text if it never ends.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

/// The length of the container at the beginning of `text`; the whole text if it never ends.
fn container_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at = at.saturating_add(string_length(text.get(at..).unwrap_or("\"")));
                continue;
            }
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at.saturating_add(1);
                }
            }
            _ => {}
        }
        at = at.saturating_add(1);
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    text.bytes().position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).unwrap_or(text.len())
}

fn push_number_token(out: &mut Vec<u8>, token: &str) {
    let fits = if token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        token.parse::<f64>().is_ok_and(f64::is_finite)
    } else {
        token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok()
    };
    if fits {
        out.extend_from_slice(token.as_bytes());
    } else {
        json::push_string(out, token);
    }
}

/// Copies a string token, its escapes looked at one by one.
fn push_string_token(out: &mut Vec<u8>, token: &str) {
    let mut rest = token;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        match character {
            '\\' => {
                length = match unit(rest) {
                    Some(0xd800..=0xdbff) => {
                        if matches!(rest.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) {
                            out.extend_from_slice(rest.get(..12).unwrap_or("").as_bytes());
                            12
                        } else {
                            out.extend_from_slice(b"\\ufffd");
                            6
                        }
                    }
                    Some(0xdc00..=0xdfff) => {
                        out.extend_from_slice(b"\\ufffd");
                        6
                    }
                    _ => {
                        let length = 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
                        out.extend_from_slice(rest.get(..length).unwrap_or(rest).as_bytes());
                        length
                    }
                };
            }
            '\0'..='\u{1f}' => json::push_escaped(out, rest.get(..length).unwrap_or("")),
            _ => out.extend_from_slice(rest.get(..length).unwrap_or("").as_bytes()),
        }
        rest = rest.get(length..).unwrap_or("");
    }
}

/// The UTF-16 unit of the escape of four hexadecimal digits at the beginning of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
