//! A pattern asked of an event.
//!
//! The pattern and the event are walked together, so that the work is bounded by the size of the one times the size of the
//! other, whatever the event: nothing is tried and taken back. The recursion is as deep as the pattern, and in nested arrays
//! as deep as the parser goes.

use super::{Pattern, Place, Test};
use crate::normalize::document::{Kind, View};

impl Pattern {
    /// Whether an event is as the pattern says.
    #[must_use]
    pub fn matches(&self, event: View<'_>) -> bool {
        self.alternatives.iter().any(|alternative| alternative.holds(event))
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
            leaf => {
                self.tests.iter().all(|test| test.holds(leaf)) && self.below.iter().all(|(_, place)| place.is_absence)
            }
        }
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
