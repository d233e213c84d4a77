//! The vocabularies that OCSF is projected to.

use crate::vocabulary::Table;
use crate::{cim, ecs};

/// A vocabulary that OCSF events are projected to, by a mapping of the same engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Projection {
    /// Elastic Common Schema.
    Ecs,
    /// Splunk's Common Information Model.
    Cim,
}

impl Projection {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ecs, Self::Cim];

    /// The name in mapping files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Cim => "cim",
        }
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn number(self) -> usize {
        match self {
            Self::Ecs => 0,
            Self::Cim => 1,
        }
    }

    /// What it may say.
    #[must_use]
    pub fn table(self) -> &'static Table {
        match self {
            Self::Ecs => ecs::table(),
            Self::Cim => cim::table(),
        }
    }
}
