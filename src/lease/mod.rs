//! where the checkpoints stand. Floor 6.
