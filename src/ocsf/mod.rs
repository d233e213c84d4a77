//! the table of OCSF classes, objects and attributes that we target. Floor 2.
