//! where records come from. Floor 7.
