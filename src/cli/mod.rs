//! the commands. Floor 10.
