//! Whether what a rule gives fits the type of the attribute it writes.

use super::super::ast::{At, Constant, Kind, Map, Rule, Source};
use super::super::condition::constant_text;
use super::super::error::Error;
use super::Check;
use crate::ocsf::{Attribute, AttributeType};

impl Check<'_> {
    /// A rule that gives a scalar or free JSON.
    pub(super) fn value(&mut self, rule: &Rule, attribute: &Attribute, path: &str) {
        let takes = attribute.attribute_type;
        if rule.distinct && (attribute.observable.is_some() || attribute.sibling.is_some()) {
            let words = format!("`{path}` has siblings or observables, which go by the place: it takes no `distinct`");
            self.report(&rule.at, words);
        }
        let is_free = matches!(takes, AttributeType::Json | AttributeType::Object(_));
        match &rule.source {
            Source::Value(constant) => self.constant(constant, attribute, path, &rule.at),
            Source::Values(constants) => {
                for constant in constants {
                    self.constant(constant, attribute, path, &rule.at);
                }
            }
            Source::Rest(_) if !is_free || attribute.is_array => {
                let words = format!("`{path}` is {}: `rest` wants a json_t", attribute.type_name);
                self.report(&rule.at, words);
            }
            Source::Uid(_) if !matches!(takes, AttributeType::Text { .. } | AttributeType::Json) => {
                self.report(&rule.at, format!("`{path}` is {}: `uid` gives text", attribute.type_name));
            }
            _ => {}
        }
        match &rule.convert.map {
            Some(Map::Enum(words)) => {
                // What the look-up gave, `as` converts: `"true"` becomes true.
                let is_boolean = takes == AttributeType::Boolean && rule.convert.kind == Some(Kind::Boolean);
                let converts = |constant: &Constant| matches!(constant, Constant::Text(text) if reads_as_boolean(text));
                for (_, constant) in words {
                    if !(is_boolean && converts(constant)) {
                        self.constant(constant, attribute, path, &rule.at);
                    }
                }
            }
            Some(Map::Bands(bands)) => {
                for band in bands {
                    self.constant(&band.value, attribute, path, &rule.at);
                }
            }
            Some(Map::Scale(_)) if !is_number(takes) && !is_free => {
                self.report(&rule.at, format!("`{path}` is {}: `scale` gives a number", attribute.type_name));
            }
            Some(Map::Scale(_)) | None => {}
        }
        if let Some(kind) = rule.convert.kind
            && !kind_fits(kind, takes)
        {
            let words = format!("`{path}` is {}, which this `as` does not give", attribute.type_name);
            self.report(&rule.at, words);
        }
    }

    /// A constant, wherever in a rule it stands.
    pub(super) fn constant(&mut self, constant: &Constant, attribute: &Attribute, path: &str, at: &At) {
        if let Some(wanted) = misfit(constant, attribute.attribute_type) {
            let written = constant_text(constant);
            let mut error = Error::new(at, format!("`{path}` wants {wanted}, not `{written}`"));
            // Someone who writes a caption means its number.
            let number = attribute.enumeration.as_ref().and_then(|legal| legal.key_of(&written));
            error.nearest = number.map(str::to_owned);
            self.tell(error);
            return;
        }
        let Some(legal) = &attribute.enumeration else { return };
        let written = constant_text(constant);
        if legal.caption(&written).is_none() {
            let error = Error::new(at, format!("`{written}` is no value of `{path}`"));
            let error = match constant {
                Constant::Text(_) => error.meant(&written, legal.values.iter().map(|value| value.key.as_ref())),
                _ => error,
            };
            self.tell(error);
        } else if attribute.deprecated_values.contains(&written.as_str()) {
            self.report(at, format!("the value `{written}` of `{path}` is deprecated"));
        }
    }
}

/// What the type wants, if a constant is not that.
fn misfit(constant: &Constant, takes: AttributeType) -> Option<String> {
    let fits = match (takes, constant) {
        (AttributeType::Text { chars_max }, Constant::Text(text)) => {
            let fits = chars_max.is_none_or(|max| text.chars().count() <= max);
            return (!fits).then(|| format!("at most {} characters", chars_max.unwrap_or_default()));
        }
        (AttributeType::Ip, Constant::Text(text)) => text.parse::<std::net::IpAddr>().is_ok(),
        (AttributeType::Integer { min, max }, Constant::Integer(number)) => {
            return (!(min..=max).contains(number)).then(|| format!("a whole number from {min} to {max}"));
        }
        (
            AttributeType::Long | AttributeType::Timestamp | AttributeType::Date | AttributeType::Float,
            Constant::Integer(_),
        )
        | (AttributeType::Float, Constant::Float(_))
        | (AttributeType::Boolean, Constant::Boolean(_))
        | (AttributeType::Json, _) => true,
        _ => false,
    };
    let wanted = match takes {
        AttributeType::Text { .. } => "text",
        AttributeType::Ip => "an IP address",
        AttributeType::Integer { .. } | AttributeType::Long => "a whole number",
        AttributeType::Timestamp | AttributeType::Date => "milliseconds since 1970",
        AttributeType::Float => "a number",
        AttributeType::Boolean => "true or false",
        AttributeType::Json => "JSON",
        AttributeType::Object(_) => "an object",
    };
    (!fits).then(|| wanted.to_owned())
}

fn reads_as_boolean(text: &str) -> bool {
    ["true", "false", "yes", "no"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn is_number(takes: AttributeType) -> bool {
    match takes {
        AttributeType::Integer { .. } | AttributeType::Long | AttributeType::Timestamp | AttributeType::Float => true,
        AttributeType::Text { .. }
        | AttributeType::Ip
        | AttributeType::Date
        | AttributeType::Boolean
        | AttributeType::Json
        | AttributeType::Object(_) => false,
    }
}

/// Whether what a conversion gives is what the type takes.
fn kind_fits(kind: Kind, takes: AttributeType) -> bool {
    if takes == AttributeType::Json {
        return true;
    }
    match kind {
        Kind::Timestamp | Kind::Utc | Kind::Date => {
            matches!(takes, AttributeType::Timestamp | AttributeType::Date | AttributeType::Long)
        }
        Kind::Integer | Kind::Count => is_number(takes),
        Kind::Float => takes == AttributeType::Float,
        Kind::Boolean => takes == AttributeType::Boolean,
        Kind::Ip => matches!(takes, AttributeType::Ip | AttributeType::Text { .. }),
        Kind::String | Kind::Hostname | Kind::Lower | Kind::Upper | Kind::Basename => {
            matches!(takes, AttributeType::Text { .. })
        }
        Kind::Json => matches!(takes, AttributeType::Object(_)),
    }
}
