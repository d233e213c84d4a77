//! What the process says about itself. Floor 5.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The environment variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "SIEMLINE_LOG";

/// Begins to log on standard error: text for people, or JSON lines for machines.
///
/// # Errors
///
/// When the level is none.
pub fn init(level: &str, json: bool) -> Result<(), ParseError> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_target(false).compact().init();
    }
    Ok(())
}
