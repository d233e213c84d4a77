//! intake, workers, lanes, dead letters, drain. Floor 8.
