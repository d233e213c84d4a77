//! A pattern asked of an event.
//!
//! The pattern and the event are walked together, so that the work is bounded by the size of the one times the size of the
//! other, whatever the event: nothing is tried and taken back. The recursion is as deep as the pattern, and in nested arrays
//! as deep as the parser goes.

use super::{Mistake, Pattern, Place, Test};
use crate::envelope::{Context, Field};
use crate::normalize::document::{Kind, View};

/// Where an EventBridge event has what its envelope is about.
const DETAIL: &str = "detail";

impl Pattern {
    /// Whether an event is as the pattern says.
    #[must_use]
    pub fn matches(&self, event: View<'_>) -> bool {
        self.alternatives.iter().any(|alternative| alternative.holds(event))
    }
}

/// The names of an EventBridge envelope that the event's context keeps.
fn told(name: &str) -> Option<Field> {
    match name {
        "source" => Some(Field::Source),
        "detail-type" => Some(Field::DetailType),
        "id" => Some(Field::Id),
        "time" => Some(Field::Time),
        "account" => Some(Field::Account),
        "region" => Some(Field::Region),
        "version" => Some(Field::Version),
        _ => None,
    }
}

impl Pattern {
    /// Whether an event is as the pattern says, given free of its envelopes. A pattern over an EventBridge event as a whole is
    /// asked of its body as `detail`, and of what the envelope told; one that came without such an envelope is not as it says.
    #[must_use]
    pub fn matches_peeled(&self, body: View<'_>, context: Option<&Context>) -> bool {
        if !self.is_enveloped {
            return self.matches(body);
        }
        let Some(context) = context.filter(|context| context.get(Field::DetailType).is_some()) else { return false };
        let holds = |(name, place): &(Box<str>, Place)| match told(name) {
            None => place.holds(body),
            Some(field) => match context.get(field) {
                Some(text) => place.holds_leaf(Kind::Text(text)),
                None => place.is_absence,
            },
        };
        self.alternatives.iter().any(|alternative| alternative.below.iter().all(holds))
    }

    /// Whether the pattern is over an EventBridge event as a whole: it asks for `detail` or `detail-type`.
    ///
    /// # Errors
    ///
    /// With what it asks for beside them that is not kept of an envelope.
    pub fn enveloped(mut self) -> Result<Self, Mistake> {
        let names = || self.alternatives.iter().flat_map(|alternative| &alternative.below).map(|(name, _)| &**name);
        if !names().any(|name| matches!(name, DETAIL | "detail-type")) {
            return Ok(self);
        }
        if let Some(name) = names().find(|name| *name != DETAIL && told(name).is_none()) {
            let words = format!(
                "a pattern over an EventBridge event asks for `detail`, `detail-type`, `source`, `account`, `region`, `id`, \
                 `time` or `version`: of an envelope's `{name}` nothing is kept"
            );
            return Err(Mistake::new(words).under(name));
        }
        self.is_enveloped = true;
        Ok(self)
    }
}

impl Place {
    /// Whether a value that is there is as this place asks.
    fn holds(&self, value: View<'_>) -> bool {
        match value.kind() {
            Kind::Array => self.holds_among(value.values()),
            Kind::Object => {
                self.tests.iter().all(|test| *test == Test::Absent)
                    && self.below.iter().all(|(name, place)| place.holds_among(value.named(name)))
            }
            leaf => self.holds_leaf(leaf),
        }
    }

    fn holds_leaf(&self, leaf: Kind<'_>) -> bool {
        self.tests.iter().all(|test| test.holds(leaf)) && self.below.iter().all(|(_, place)| place.is_absence)
    }

    /// Whether one of several values holds; where something must be absent, whether it is absent in all of them.
    fn holds_among<'d>(&self, mut values: impl Iterator<Item = View<'d>>) -> bool {
        if self.is_absence { values.all(|value| self.holds(value)) } else { values.any(|value| self.holds(value)) }
    }
}

impl Test {
    fn holds(&self, leaf: Kind<'_>) -> bool {
        match self {
            Self::Absent => false,
            Self::OneOf(these) => these.iter().any(|wanted| wanted.is(leaf)),
        }
    }
}
