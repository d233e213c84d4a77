//! One leaf to one value: what a conversion makes of it, and whether that fits the type of the target.

use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::super::json;
use super::super::mapping::ast::Kind;
use super::super::tape::Scalar;
use super::time;

/// Characters of a host name (RFC 1035, section 2.3.4).
const HOSTNAME_BYTES_MAX: usize = 253;

/// A value on its way into the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Value<'v> {
    Scalar(Scalar<'v>),
    Lower(&'v str),
    Upper(&'v str),
}

/// What a target takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Type {
    /// Text of at most so many characters.
    Text {
        max: usize,
    },
    Ip,
    Mac,
    Email,
    Uuid,
    Timestamp,
    /// A time as text.
    Date,
    Integer {
        min: i64,
        max: i64,
    },
    Float,
    Boolean,
    Json,
}

impl Type {
    /// The conversion that the type asks for where a rule names none.
    pub(in super::super) const fn kind(self) -> Kind {
        match self {
            // What fits is looked at when it is written.
            Self::Text { .. } | Self::Ip | Self::Mac | Self::Email | Self::Uuid => Kind::String,
            Self::Timestamp => Kind::Timestamp,
            Self::Date => Kind::Date,
            Self::Integer { .. } => Kind::Integer,
            Self::Float => Kind::Float,
            Self::Boolean => Kind::Boolean,
            Self::Json => Kind::Json,
        }
    }
}

/// What was written. Two machine words, like what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Fitted {
    fit: Fit,
    number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// No whole number.
    Plain,
    Number,
    /// A whole number that had a fraction.
    CutNumber,
}

impl Fitted {
    const PLAIN: Self = Self { fit: Fit::Plain, number: 0 };

    /// The number, where the target is a whole number or a time.
    pub(in super::super) fn number(self) -> Option<i64> {
        (self.fit != Fit::Plain).then_some(self.number)
    }

    /// Whether the output holds less than the value.
    pub(in super::super) fn is_cut(self) -> bool {
        self.fit == Fit::CutNumber
    }
}

/// Converts a leaf; `None` where it does not convert. The flag says that the result holds less than the leaf.
pub(in super::super) fn convert(scalar: Scalar<'_>, kind: Kind) -> Option<(Value<'_>, bool)> {
    convert_in(scalar, kind, &TimeZone::UTC)
}

/// As [`convert`]; a time that is written without a zone is one of this zone.
pub(in super::super) fn convert_in<'v>(scalar: Scalar<'v>, kind: Kind, zone: &TimeZone) -> Option<(Value<'v>, bool)> {
    let whole = |scalar| Some((Value::Scalar(scalar), false));
    match (kind, scalar) {
        (Kind::Integer | Kind::Date, Scalar::Integer(_))
        | (Kind::Float, Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_))
        | (Kind::Boolean, Scalar::Boolean(_))
        | (Kind::String | Kind::Json, _) => whole(scalar),
        (Kind::Timestamp | Kind::Date | Kind::Utc, scalar) => {
            let zone = if kind == Kind::Utc { &TimeZone::UTC } else { zone };
            let instant = match scalar {
                Scalar::Text(text) => time::parse(text, zone)?,
                Scalar::Integer(number) => time::from_integer(number),
                Scalar::Float(number) => time::from_float(number)?,
                Scalar::Unsigned(_) | Scalar::Boolean(_) => return None,
            };
            Some((Value::Scalar(Scalar::Integer(instant.ms)), instant.cut))
        }
        (Kind::Integer, Scalar::Text(text)) => {
            let text = text.trim();
            if let Ok(number) = text.parse() {
                return whole(Scalar::Integer(number));
            }
            cut_to_integer(finite(text)?)
        }
        (Kind::Integer, Scalar::Float(number)) => cut_to_integer(number),
        (Kind::Float, Scalar::Text(text)) => whole(Scalar::Float(finite(text.trim())?)),
        (Kind::Boolean, Scalar::Text(text)) => whole(Scalar::Boolean(is_true(text)?)),
        (Kind::Ip, Scalar::Text(text)) if text.parse::<IpAddr>().is_ok() => whole(scalar),
        (Kind::Hostname, Scalar::Text(text)) if is_hostname(text) => whole(scalar),
        (Kind::Lower, Scalar::Text(text)) => Some((Value::Lower(text), false)),
        (Kind::Upper, Scalar::Text(text)) => Some((Value::Upper(text), false)),
        (Kind::Basename, Scalar::Text(text)) => {
            let base = text.rsplit(['/', '\\']).next().filter(|base| !base.is_empty())?;
            Some((Value::Scalar(Scalar::Text(base)), base.len() < text.len()))
        }
        _ => None,
    }
}

/// Appends a value as the target's type has it; writes nothing and returns `None` where it does not fit.
pub(in super::super) fn fit(value: &Value<'_>, target: Type, out: &mut Vec<u8>) -> Option<Fitted> {
    match (target, value) {
        (Type::Integer { min, max }, Value::Scalar(scalar)) => {
            let (Value::Scalar(Scalar::Integer(number)), cut) = convert(*scalar, Kind::Integer)? else { return None };
            if !(min..=max).contains(&number) {
                return None;
            }
            json::push_i64(out, number);
            Some(Fitted { fit: if cut { Fit::CutNumber } else { Fit::Number }, number })
        }
        (_, Value::Scalar(Scalar::Text(text))) => fit_text(text, target, out).then_some(Fitted::PLAIN),
        (Type::Text { max }, value) => text_value(value, max, out).then_some(Fitted::PLAIN),
        (Type::Timestamp, Value::Scalar(Scalar::Integer(number))) => {
            json::push_i64(out, *number);
            Some(Fitted { fit: Fit::Number, number: *number })
        }
        (Type::Date, Value::Scalar(Scalar::Integer(number))) => {
            time::push(*number, out);
            Some(Fitted { fit: Fit::Number, number: *number })
        }
        (Type::Float, Value::Scalar(scalar @ (Scalar::Integer(_) | Scalar::Unsigned(_) | Scalar::Float(_))))
        | (Type::Boolean, Value::Scalar(scalar @ Scalar::Boolean(_)))
        | (Type::Json, Value::Scalar(scalar)) => {
            push_scalar(out, *scalar);
            Some(Fitted::PLAIN)
        }
        (Type::Json, value) => text_value(value, usize::MAX, out).then_some(Fitted::PLAIN),
        _ => None,
    }
}

/// Appends a text as the target's type has it; writes nothing and returns false where it does not fit.
pub(in super::super) fn fit_text(text: &str, target: Type, out: &mut Vec<u8>) -> bool {
    let fits = match target {
        // The count of characters is looked at only where the count of bytes leaves it open.
        Type::Text { max } => !text.is_empty() && (text.len() <= max || text.chars().count() <= max),
        Type::Json => !text.is_empty(),
        Type::Ip => text.parse::<IpAddr>().is_ok(),
        Type::Mac => is_mac(text),
        Type::Email => is_email(text),
        Type::Uuid => is_uuid(text),
        Type::Timestamp | Type::Date | Type::Integer { .. } | Type::Float | Type::Boolean => false,
    };
    if fits {
        json::push_string(out, text);
    }
    fits
}

/// `true` and `yes`, `false` and `no`, whatever the case of their letters.
fn is_true(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") {
        Some(false)
    } else {
        None
    }
}

/// A leaf as a number: numbers and numeric text.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "magnitudes are compared, not kept; there is no other spelling"
)]
pub(in super::super) fn number(scalar: Scalar<'_>) -> Option<f64> {
    match scalar {
        Scalar::Integer(number) => Some(number as f64),
        Scalar::Unsigned(number) => Some(number as f64),
        Scalar::Float(number) => Some(number),
        Scalar::Text(text) => finite(text.trim()),
        Scalar::Boolean(_) => None,
    }
}

/// Lends the text of a leaf.
pub(in super::super) fn with_text<R>(scalar: Scalar<'_>, read: impl FnOnce(&str) -> R) -> R {
    match scalar {
        Scalar::Text(text) => read(text),
        Scalar::Integer(number) => read(itoa::Buffer::new().format(number)),
        Scalar::Unsigned(number) => read(itoa::Buffer::new().format(number)),
        Scalar::Float(number) => read(zmij::Buffer::new().format(number)),
        Scalar::Boolean(true) => read("true"),
        Scalar::Boolean(false) => read("false"),
    }
}

/// Whether the text of a leaf is this text.
pub(in super::super) fn text_equals(scalar: Scalar<'_>, wanted: &str) -> bool {
    with_text(scalar, |text| text == wanted)
}

/// Appends a leaf as it is.
pub(in super::super) fn push_scalar(out: &mut Vec<u8>, scalar: Scalar<'_>) {
    match scalar {
        Scalar::Text(text) => json::push_string(out, text),
        Scalar::Integer(number) => json::push_i64(out, number),
        Scalar::Unsigned(number) => json::push_u64(out, number),
        Scalar::Float(number) => json::push_f64(out, number),
        Scalar::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
    }
}

/// Writes any value as text; false where there is none or it is too long.
fn text_value(value: &Value<'_>, max: usize, out: &mut Vec<u8>) -> bool {
    match *value {
        Value::Scalar(scalar) => with_text(scalar, |text| json::push_string(out, text)),
        Value::Lower(text) => return text_of_case(text, text.chars().flat_map(char::to_lowercase), max, out),
        Value::Upper(text) => return text_of_case(text, text.chars().flat_map(char::to_uppercase), max, out),
    }
    true
}

fn text_of_case(text: &str, characters: impl Iterator<Item = char>, max: usize, out: &mut Vec<u8>) -> bool {
    if text.is_empty() || (text.len() > max && text.chars().count() > max) {
        return false;
    }
    out.push(b'"');
    for character in characters {
        json::push_escaped(out, character.encode_utf8(&mut [0; 4]));
    }
    out.push(b'"');
    true
}

/// The whole part of a number, where 64 bits hold it.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
fn cut_to_integer<'v>(number: f64) -> Option<(Value<'v>, bool)> {
    let whole = number.trunc();
    // Beyond 2^63 a float is no longer an exact `i64`.
    (whole.abs() < 9_223_372_036_854_775_808.0).then_some(())?;
    #[expect(clippy::float_cmp, reason = "exactly equal or cut is the question")]
    let lossy = whole != number;
    Some((Value::Scalar(Scalar::Integer(whole as i64)), lossy))
}

fn finite(text: &str) -> Option<f64> {
    // Rust also reads `inf` and `nan`; a number begins with a digit, a sign or a point.
    text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')).then_some(())?;
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn is_hostname(text: &str) -> bool {
    (1..=HOSTNAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && text.parse::<IpAddr>().is_err()
}

/// Six pairs of hexadecimal digits with colons or hyphens between them.
fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at % 3 == 2 { matches!(byte, b':' | b'-') } else { byte.is_ascii_hexdigit() })
}

fn is_email(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&byte);
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((host, rest)) = domain.split_once('.') else { return false };
    let named = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    !local.is_empty() && local.bytes().all(allowed) && named(host) && named(rest)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}
