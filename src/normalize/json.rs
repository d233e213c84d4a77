//! Writing JSON: strings escaped, numbers printed shortest.

/// How many bytes the escape scan looks at in one step.
const WORD_BYTES: usize = 8;

/// Appends `text` as a JSON string, quotes included.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    json_escape_simd::escape_into(text, out);
}

/// Appends the inside of a JSON string.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        let (clean, tail) = rest.split_at(at);
        out.extend_from_slice(clean);
        let Some((&byte, tail)) = tail.split_first() else { return };
        push_escape(out, byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

/// Whether a byte may not stand in a JSON string as it is.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Where the first byte stands that may not stand in a JSON string as it is.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (chunks, tail) = bytes.as_chunks::<WORD_BYTES>();
    let is_clean = !chunks.iter().any(|chunk| may_hold_special(*chunk))
        && match bytes.last_chunk::<WORD_BYTES>() {
            // The last word overlaps the ones before, which is cheaper than its bytes one by one.
            Some(last) => tail.is_empty() || !may_hold_special(*last),
            None => !tail.iter().any(|byte| is_special(*byte)),
        };
    if is_clean { None } else { bytes.iter().position(|byte| is_special(*byte)) }
}

/// Whether one of eight bytes is special, all at once: a byte below `n` borrows into its highest bit when `n` is taken
/// from it, and a byte equal to another is zero, so below 1, when they are combined by exclusive or. A borrow may reach
/// the byte behind, but only behind one that is special.
const fn may_hold_special(bytes: [u8; WORD_BYTES]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH != 0
}

#[cold]
fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: [u8; 16] = *b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 15] {
                out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a whole number.
pub(super) fn push_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a whole number beyond `i64`.
pub(super) fn push_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number, shortest digits that read back equal. A whole one keeps its `.0`. What is not finite is `null`,
/// which a tape never holds.
pub(super) fn push_f64(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(zmij::Buffer::new().format(number).as_bytes());
}

/// Appends a comma, unless an object or array has just been opened.
pub(super) fn push_comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[') | None) {
        out.push(b',');
    }
}

/// Appends bytes in lower-case hexadecimal.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
}
