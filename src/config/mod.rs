//! options as written, settings as used. Floor 9.
