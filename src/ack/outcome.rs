//! What became of an event.

/// How a share in a chunk ended. The order is the order of badness: of several outcomes the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Every destination that it was meant for has it.
    Delivered,
    /// Every destination has it, or a spill holds it for one, synced: it is delivered from there.
    Spilled,
    /// A named rule said that it goes nowhere.
    Filtered,
    /// It lies in the dead letters, whole, with the reason.
    DeadLettered,
    /// Nobody spoke for it: it is to be read again.
    Abandoned,
}

impl Outcome {
    /// Says whether the position behind this outcome may be passed by a checkpoint.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Abandoned)
    }

    /// The outcome as a number, a worse one larger: what atomics keep.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Spilled => 1,
            Self::Filtered => 2,
            Self::DeadLettered => 3,
            Self::Abandoned => 4,
        }
    }

    /// The outcome of a number; of an unknown one the worst.
    pub(crate) const fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Delivered,
            1 => Self::Spilled,
            2 => Self::Filtered,
            3 => Self::DeadLettered,
            _ => Self::Abandoned,
        }
    }
}
