//! What a leaf may be.

use std::net::IpAddr;

use crate::normalize::document::Kind;

/// One thing that a leaf may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// Anything at all, `null` too.
    There,
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Prefix(String),
    /// In lower case, as the other texts that are compared ignoring case.
    PrefixIgnoringCase(String),
    Suffix(String),
    SuffixIgnoringCase(String),
    EqualsIgnoringCase(String),
    Wildcard(Wildcard),
    Network(Network),
    /// All must hold.
    Numeric(Vec<(Bound, f64)>),
    OneOf(Vec<Wanted>),
    AnythingBut(Vec<Wanted>),
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Equal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

/// A text with `*` for any run of characters: what stands before, between and behind the stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    first: String,
    /// Empty where there is no star.
    rest: Vec<String>,
}

/// A text as the operators that ignore case compare it.
pub(super) fn folded(text: &str) -> String {
    lower(text).collect()
}

impl Wanted {
    /// Whether a leaf is this.
    pub fn is(&self, leaf: Kind<'_>) -> bool {
        let text = |holds: &dyn Fn(&str) -> bool| matches!(leaf, Kind::Text(text) if holds(text));
        match self {
            Self::There => true,
            Self::Null => leaf == Kind::Null,
            Self::Boolean(value) => leaf == Kind::Boolean(*value),
            Self::Integer(number) => match leaf {
                Kind::Integer(leaf) => leaf == *number,
                Kind::Float(_) => leaf == Kind::Float(float(*number)),
                _ => false,
            },
            Self::Float(number) => as_float(leaf) == Some(*number),
            Self::Text(wanted) => leaf == Kind::Text(wanted),
            Self::Prefix(prefix) => text(&|text| text.starts_with(prefix.as_str())),
            Self::PrefixIgnoringCase(prefix) => text(&|text| begins(lower(text), prefix.chars())),
            Self::Suffix(suffix) => text(&|text| text.ends_with(suffix.as_str())),
            Self::SuffixIgnoringCase(suffix) => text(&|text| begins(lower(text).rev(), suffix.chars().rev())),
            Self::EqualsIgnoringCase(wanted) => text(&|text| lower(text).eq(wanted.chars())),
            Self::Wildcard(wildcard) => text(&|text| wildcard.matches(text)),
            Self::Network(network) => text(&|text| text.parse().is_ok_and(|address| network.holds(address))),
            Self::Numeric(bounds) => {
                as_float(leaf).is_some_and(|number| bounds.iter().all(|(bound, limit)| bound.holds(number, *limit)))
            }
            Self::OneOf(these) => these.iter().any(|wanted| wanted.is(leaf)),
            Self::AnythingBut(these) => !these.iter().any(|wanted| wanted.is(leaf)),
        }
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "numbers are compared as JSON readers read them"
)]
fn float(number: i128) -> f64 {
    number as f64
}

fn as_float(leaf: Kind<'_>) -> Option<f64> {
    match leaf {
        Kind::Integer(number) => Some(float(number)),
        Kind::Float(number) => Some(number),
        _ => None,
    }
}

fn lower(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn begins(text: impl Iterator<Item = char>, mut with: impl Iterator<Item = char>) -> bool {
    let mut text = text;
    with.all(|wanted| text.next() == Some(wanted))
}

impl Bound {
    pub fn of_sign(sign: &str) -> Option<Self> {
        match sign {
            "=" => Some(Self::Equal),
            "<" => Some(Self::Below),
            "<=" => Some(Self::AtMost),
            ">" => Some(Self::Above),
            ">=" => Some(Self::AtLeast),
            _ => None,
        }
    }

    #[expect(clippy::float_cmp, reason = "exactly equal is what `=` asks")]
    fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Equal => number == limit,
            Self::Below => number < limit,
            Self::AtMost => number <= limit,
            Self::Above => number > limit,
            Self::AtLeast => number >= limit,
        }
    }
}

impl Network {
    /// A range of so many leading bits; without a number, the one address. `None` for more bits than the family has.
    pub fn new(address: IpAddr, bits: Option<u32>) -> Option<Self> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl Wildcard {
    /// Reads a wildcard; `\*` and `\\` stand for the character itself.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let (mut characters, mut after_star) = (text.chars(), false);
        while let Some(character) = characters.next() {
            let plain = match character {
                '*' if after_star => {
                    return Err(format!("two stars in a row in the wildcard `{text}`: one says the same"));
                }
                '*' => {
                    parts.push(String::new());
                    after_star = true;
                    continue;
                }
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => return Err(format!("in the wildcard `{text}` a `\\` stands before neither `*` nor `\\`")),
                },
                other => other,
            };
            after_star = false;
            if let Some(part) = parts.last_mut() {
                part.push(plain);
            }
        }
        let first = parts.remove(0);
        Ok(Self { first, rest: parts })
    }

    /// Each part as far left as it goes, the last one at the end: with no more than stars that finds a match if there is one.
    fn matches(&self, text: &str) -> bool {
        let Some((last, between)) = self.rest.split_last() else { return text == self.first };
        let Some(mut left) = text.strip_prefix(self.first.as_str()) else { return false };
        for part in between {
            let Some((_, after)) = left.split_once(part.as_str()) else { return false };
            left = after;
        }
        left.ends_with(last.as_str())
    }
}
