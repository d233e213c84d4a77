//! The small notations inside a mapping's strings: paths, targets and templates.

use super::ast::{Base, Path, Piece, Segment, Step, Target};
use crate::envelope::Field;

/// What is wrong with a notation, to be completed with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// What is wrong.
    pub(super) words: String,
    /// What was written in place of a known name, and the names.
    pub(super) known: Option<(String, Vec<&'static str>)>,
}

impl Mistake {
    fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), known: None }
    }
}

/// The paths that begin with `@` and stand alone.
const SPECIAL: [&str; 4] = ["@key", "@value", "@text", "@log_type"];

/// Reads a path: `a.b[0]."c.d"`, `/a`, `^.a`, `.`, `@envelope.account`.
pub(super) fn path(text: &str) -> Result<Path, Mistake> {
    if text.starts_with('@') {
        return special(text);
    }
    let (base, rest) = base(text)?;
    Ok(Path::Event { base, steps: steps(rest, text)? })
}

fn special(text: &str) -> Result<Path, Mistake> {
    if let Some(name) = text.strip_prefix("@envelope.") {
        return Field::named(name).map(Path::Envelope).ok_or_else(|| Mistake {
            words: format!("no envelope tells `{name}`"),
            known: Some((name.to_owned(), Field::ALL.iter().map(|field| field.name()).collect())),
        });
    }
    match text {
        "@key" => Ok(Path::Key),
        "@value" => Ok(Path::Event { base: Base::Here, steps: Vec::new() }),
        "@text" => Ok(Path::Text),
        "@log_type" => Ok(Path::LogType),
        _ => Err(Mistake {
            words: format!("`{text}` is no path (a key that begins with `@` is written in quotes)"),
            known: Some((text.to_owned(), SPECIAL.to_vec())),
        }),
    }
}

/// Where the path begins, and the steps that are left to read.
fn base(text: &str) -> Result<(Base, &str), Mistake> {
    if text.is_empty() {
        return Err(Mistake::new("a path is empty; `.` is the base itself"));
    }
    if text == "." {
        return Ok((Base::Here, ""));
    }
    if let Some(rest) = text.strip_prefix('/') {
        return Ok((Base::Root, rest));
    }
    let mut rest = text;
    let mut count: u8 = 0;
    while let Some(after) = rest.strip_prefix('^') {
        count = count.checked_add(1).ok_or_else(|| Mistake::new("a path goes out by more than 255 bases"))?;
        rest = match after.strip_prefix('.') {
            Some(more) if !more.is_empty() => more,
            None if after.is_empty() => "",
            Some(_) | None => return Err(Mistake::new(format!("a name is missing behind `^` in `{text}`"))),
        };
    }
    Ok((if count == 0 { Base::Here } else { Base::Parent(count) }, rest))
}

/// The steps of a path; none if there is nothing to read.
fn steps(mut rest: &str, whole: &str) -> Result<Vec<Step>, Mistake> {
    let mut steps = Vec::new();
    let broken = |what: &str| Mistake::new(format!("{what} in the path `{whole}`"));
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']').ok_or_else(|| broken("a `[` is not closed"))?;
            steps.push(index_step(index).ok_or_else(|| broken(&format!("`[{index}]` is no index")))?);
            rest = after;
        } else {
            let (key, after) = key(rest, whole)?;
            steps.push(Step::Key(key));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with(['.', '[']) {
                return Err(broken("a name is missing"));
            }
            rest = after;
        } else if !rest.is_empty() && !rest.starts_with('[') {
            return Err(broken("a `.` is missing"));
        }
    }
    match steps.iter().position(|step| matches!(step, Step::From(_))) {
        Some(place) if place + 1 < steps.len() => Err(broken("`[n..]` is not the last step")),
        Some(_) | None => Ok(steps),
    }
}

fn index_step(index: &str) -> Option<Step> {
    if index.is_empty() {
        return Some(Step::Each);
    }
    if let Some(first) = index.strip_suffix("..") {
        return Some(Step::From(first.parse().ok()?));
    }
    Some(Step::Index(index.parse().ok()?))
}

/// One key, bare or in quotes, and what is left.
fn key<'t>(rest: &'t str, whole: &str) -> Result<(String, &'t str), Mistake> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() {
            return Err(Mistake::new(format!("a name is missing in the path `{whole}`")));
        }
        if key.contains([']', '"', '{', '}']) || key.contains(char::is_whitespace) {
            return Err(Mistake::new(format!("the key `{key}` needs quotes in the path `{whole}`")));
        }
        return Ok((key.to_owned(), after));
    };
    let mut key = String::new();
    let mut letters = quoted.char_indices();
    while let Some((offset, letter)) = letters.next() {
        match letter {
            '"' => return Ok((key, quoted.get(offset + 1..).unwrap_or_default())),
            '\\' => key.extend(letters.next().map(|(_, escaped)| escaped)),
            other => key.push(other),
        }
    }
    Err(Mistake::new(format!("a quote is not closed in the path `{whole}`")))
}

/// Reads a target: `finding_info.types[]`.
pub(super) fn target(text: &str) -> Result<Target, Mistake> {
    let mut segments = Vec::new();
    for written in text.split('.') {
        let (name, is_array) = match written.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (written, false),
        };
        // ECS has one name of its own kind: `@timestamp`.
        let letters = name.strip_prefix('@').unwrap_or(name);
        if letters.is_empty() || !letters.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(Mistake::new(format!("`{text}` is no target: names of small letters, dots between them")));
        }
        segments.push(Segment { name: name.to_owned(), is_array });
    }
    match segments.split_last() {
        Some((_, before)) if before.iter().any(|segment| segment.is_array) => Err(Mistake::new(format!(
            "only the last name of `{text}` may be an array; a block writes arrays of objects"
        ))),
        Some(_) | None => Ok(Target { segments }),
    }
}

/// A target as it is written.
pub(super) fn target_text(target: &Target) -> String {
    let mut text = String::new();
    for segment in &target.segments {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&segment.name);
        if segment.is_array {
            text.push_str("[]");
        }
    }
    text
}

/// Reads a template: text with `{path}` in it; `{{` is a brace.
pub(super) fn template(text: &str) -> Result<Vec<Piece>, Mistake> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        plain.push_str(before);
        if let Some(more) = after.strip_prefix('{') {
            plain.push('{');
            rest = more;
            continue;
        }
        let end = closing_brace(after).ok_or_else(|| {
            Mistake::new(format!("a `{{` is not closed in the template `{text}` (a brace is written `{{{{`)"))
        })?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Path(path(after.get(..end).unwrap_or_default())?));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    if !pieces.iter().any(|piece| matches!(piece, Piece::Path(_))) {
        return Err(Mistake::new(format!("the template `{text}` has no path in it; write it as a `value`")));
    }
    Ok(pieces)
}

/// Where the brace stands that closes a path: one outside quotes.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (offset, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(offset),
            _ => {}
        }
    }
    None
}
