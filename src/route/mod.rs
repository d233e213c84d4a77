//! Routes: which sinks an event goes to. Floor 4, pure.
//!
//! All routes that match apply, and their sinks add up; a matching route with `suppress` wins over all others. Without any
//! route every event goes to every sink.

mod options;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use options::{RouteOptions, SeverityBound};
pub use pattern::{Mistake as PatternMistake, Pattern, PatternOptions, check_attributes};

/// The name of the rule that filtered an event which no route wanted.
pub const NO_ROUTE: &str = "no_route";

/// What routes ask about an event.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'e> {
    /// The log type that its mapping names.
    pub log_type: &'e str,
    /// OCSF `severity_id`.
    pub severity_id: u8,
    /// The account, or an empty text.
    pub account: &'e str,
    /// The region, or an empty text.
    pub region: &'e str,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to these lanes: a bit for each, by number.
    Lanes(u64),
    /// The rule of this name said that it goes nowhere.
    Filtered(Arc<str>),
}

/// All routes, with the names of sinks resolved to numbers of lanes.
#[derive(Clone, Debug)]
pub struct Routes {
    list: Vec<Route>,
    all: u64,
    no_route: Arc<str>,
}

#[derive(Clone, Debug)]
struct Route {
    name: Arc<str>,
    log_types: Vec<LogTypes>,
    severity: Option<SeverityBound>,
    accounts: Vec<String>,
    regions: Vec<String>,
    lanes: u64,
    suppress: bool,
}

#[derive(Clone, Debug)]
enum LogTypes {
    One(String),
    StartingWith(String),
}

/// Routes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A route names a sink that is not configured.
    #[error("route `{route}` names the sink `{sink}`, which is not configured{}", did_you_mean(.nearest.as_deref()))]
    UnknownSink {
        /// The route.
        route: String,
        /// The name it uses.
        sink: String,
        /// The nearest configured name.
        nearest: Option<String>,
    },
    /// A route that neither delivers nor suppresses, or does both.
    #[error("route `{0}` needs either `to = [...]` or `suppress = true`")]
    Purpose(String),
    /// More sinks than a process has lanes.
    #[error("{0} sinks are configured, and one process drives 64 at the most: split them over two processes")]
    TooManySinks(usize),
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl Routes {
    /// Resolves routes against the names of the sinks, in the order of their lanes.
    ///
    /// # Errors
    ///
    /// When a route names a sink that is not there, or has no purpose.
    pub fn new<'a>(
        routes: impl IntoIterator<Item = (&'a str, &'a RouteOptions)>,
        sinks: &[&str],
    ) -> Result<Self, Error> {
        if sinks.len() > 64 {
            return Err(Error::TooManySinks(sinks.len()));
        }
        let all = sinks.iter().enumerate().fold(0, |all, (lane, _)| all | bit(lane));
        let routes = routes.into_iter().map(|(name, options)| Route::new(name, options, sinks));
        Ok(Self { list: routes.collect::<Result<_, _>>()?, all, no_route: NO_ROUTE.into() })
    }

    /// Decides on one event.
    #[must_use]
    pub fn decide(&self, event: Facts<'_>) -> Decision {
        if self.list.is_empty() {
            return Decision::Lanes(self.all);
        }
        let mut lanes = 0;
        for route in self.list.iter().filter(|route| route.matches(event)) {
            if route.suppress {
                return Decision::Filtered(Arc::clone(&route.name));
            }
            lanes |= route.lanes;
        }
        if lanes == 0 { Decision::Filtered(Arc::clone(&self.no_route)) } else { Decision::Lanes(lanes) }
    }
}

impl Route {
    fn new(name: &str, options: &RouteOptions, sinks: &[&str]) -> Result<Self, Error> {
        if options.to.is_empty() != options.suppress {
            return Err(Error::Purpose(name.to_owned()));
        }
        let mut lanes = 0;
        for sink in &options.to {
            let Some(lane) = sinks.iter().position(|known| known == sink) else {
                let nearest = crate::ocsf::nearest(sink, sinks.iter().copied()).map(str::to_owned);
                return Err(Error::UnknownSink { route: name.to_owned(), sink: sink.clone(), nearest });
            };
            lanes |= bit(lane);
        }
        Ok(Self {
            name: name.into(),
            log_types: options.log_type.iter().map(|pattern| LogTypes::new(pattern)).collect(),
            severity: options.severity,
            accounts: options.account.clone(),
            regions: options.region.clone(),
            lanes,
            suppress: options.suppress,
        })
    }

    fn matches(&self, event: Facts<'_>) -> bool {
        let one_of = |wanted: &[String], is: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == is);
        (self.log_types.is_empty() || self.log_types.iter().any(|wanted| wanted.matches(event.log_type)))
            && self.severity.is_none_or(|bound| bound.holds(event.severity_id))
            && one_of(&self.accounts, event.account)
            && one_of(&self.regions, event.region)
    }
}

impl LogTypes {
    fn new(pattern: &str) -> Self {
        match pattern.strip_suffix('*') {
            Some(start) => Self::StartingWith(start.to_owned()),
            None => Self::One(pattern.to_owned()),
        }
    }

    fn matches(&self, log_type: &str) -> bool {
        match self {
            Self::One(name) => name == log_type,
            Self::StartingWith(start) => log_type.starts_with(start.as_str()),
        }
    }
}

const fn bit(lane: usize) -> u64 {
    1 << lane
}
