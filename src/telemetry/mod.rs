//! logs and the registry of metrics. Floor 5.
