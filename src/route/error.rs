//! What may be wrong with routes.

use super::PatternMistake;

/// Routes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A route names a sink that is not configured.
    #[error("route `{route}` names the sink `{sink}`, which is not configured{}", did_you_mean(.nearest.as_deref()))]
    UnknownSink {
        /// The route.
        route: String,
        /// The option that names it.
        option: &'static str,
        /// The name it uses.
        sink: String,
        /// The nearest configured name.
        nearest: Option<String>,
    },
    /// A route that neither delivers nor suppresses, or does both.
    #[error("route `{0}` needs either `to = [...]` or `suppress = true`")]
    Purpose(String),
    /// An option that is out of its bounds, or contradicts another.
    #[error("route `{route}`: {words}")]
    Option {
        /// The route.
        route: String,
        /// The option.
        option: &'static str,
        /// What is wrong, and the remedy.
        words: String,
    },
    /// A pattern that cannot be used.
    #[error("route `{route}`: {}", .mistake.words)]
    Pattern {
        /// The route.
        route: String,
        /// The option: `pattern` or `raw_pattern`.
        option: &'static str,
        /// Where in the pattern, and what is wrong with it.
        mistake: PatternMistake,
    },
    /// More sinks than a process has lanes.
    #[error("{0} sinks are configured, and one process drives 64 at the most: split them over two processes")]
    TooManySinks(usize),
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
