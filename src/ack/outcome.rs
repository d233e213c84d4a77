//! What became of an event.

/// How a share in a chunk ended. The order is the order of badness: of several outcomes the worst wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Every destination that it was meant for has it.
    Delivered,
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
}
