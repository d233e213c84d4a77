//! Every metric: name, unit, help, labels. Floor 0.
