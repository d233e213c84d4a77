//! Logs.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The environment variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "SIEMLINE_LOG";

/// A level that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no log level: write `error`, `warn`, `info`, `debug` or `trace`, or a filter such as \
     `info,siemline::source=debug`"
)]
pub struct Error(String);

/// Begins to log on standard error: text for people, or JSON lines for machines.
///
/// # Errors
///
/// When the level is none.
pub fn init(level: &str, json: bool) -> Result<(), Error> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| level.to_owned());
    let colours = colours(io::stderr().is_terminal());
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&level)?).with_writer(io::stderr).with_ansi(colours);
    if json {
        builder.json().init();
    } else {
        builder.with_target(false).compact().init();
    }
    Ok(())
}

/// Says whether this is a level or a filter, as [`init`] takes it.
///
/// # Errors
///
/// When it is none.
pub fn check(level: &str) -> Result<(), Error> {
    filter(level).map(|_| ())
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let error = || Error(level.to_owned());
    // A word alone is taken for the name of a module, so that a level spelled wrongly would silence everything.
    let is_known = |part: &str| part.contains("siemline") || part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if !level.split(',').all(|part| is_known(part.trim())) {
        return Err(error());
    }
    EnvFilter::try_new(level).map_err(|_| error())
}

/// Whether what is written to a place, a terminal or not, is to have colours.
#[must_use]
pub fn colours(is_terminal: bool) -> bool {
    wants_colours(is_terminal, std::env::var_os("NO_COLOR").as_deref())
}

/// Colours are for a terminal whose owner has not declined them (<https://no-color.org>): in a file, or in what collects the
/// logs of a container, they are noise between a field's name and its value.
fn wants_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that no escape codes reach a log that is not read on a terminal.
    #[test]
    fn colours_are_for_terminals() {
        let cases = [(true, None, true), (true, Some(""), true), (true, Some("1"), false), (false, None, false)];
        for (is_terminal, no_color, expected) in cases {
            assert_eq!(wants_colours(is_terminal, no_color.map(OsStr::new)), expected, "{is_terminal} {no_color:?}");
        }
    }
}
