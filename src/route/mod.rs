//! which sinks an event goes to. Floor 4.
