//! Routes: which sinks an event goes to. Floor 4, pure.
//!
//! Routes are asked in the order of the file. Every one that matches applies: its sinks and its tags add up. One with
//! `suppress` ends the asking: what stands behind it is not asked. An event that no sink was found for by then is filtered,
//! and counted under the name of what held it back: the suppressing route, `<route>.sample`, `<route>.bytes_per_hour`, or
//! [`NO_ROUTE`]. Without any route every event goes to every sink.
//!
//! What costs nothing is asked first: an event is parsed again, once, only where a route with a `pattern` (its OCSF) or a
//! `raw_pattern` (as AWS wrote it) is met by all else that it asks.

mod error;
mod one;
mod options;
mod pattern;
mod quota;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::Error;
use one::Route;
pub use options::{RouteOptions, SeverityBound};
pub use pattern::{Mistake as PatternMistake, PatternOptions};

use crate::envelope::{Context, Form};
use crate::normalize::document::{Reader, View};

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
    /// The event as OCSF.
    pub ocsf: &'e [u8],
    /// The event as AWS wrote it, free of its envelopes; redacted, where it is redacted.
    pub raw: &'e [u8],
    /// What that is.
    pub form: Form,
    /// What its envelopes told; `None` where there is nothing to tell.
    pub context: Option<&'e Context>,
    /// A hash of the event that is the same when it is read again: what samples are drawn by.
    pub id: [u8; 16],
    /// The time, in milliseconds since 1970: what byte budgets are counted by.
    pub now_ms: i64,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to some lanes.
    Lanes {
        /// A bit for each, by number.
        lanes: u64,
        /// The tags of the routes that it took, each once.
        tags: Vec<Arc<str>>,
    },
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

/// What one worker needs to decide: buffers that are reused from event to event.
#[derive(Debug, Default)]
pub struct Desk {
    reader: Reader,
    met: Vec<bool>,
}

impl Routes {
    /// Resolves routes, in the order of the file, against the names of the sinks, in the order of their lanes.
    ///
    /// # Errors
    ///
    /// With the first mistake: which route and option, and the remedy.
    pub fn new<'a>(
        routes: impl IntoIterator<Item = (&'a str, &'a RouteOptions)>,
        sinks: &[&str],
    ) -> Result<Self, Error> {
        if sinks.len() > 64 {
            return Err(Error::TooManySinks(sinks.len()));
        }
        let all = sinks.iter().enumerate().fold(0, |all, (lane, _)| all | one::bit(lane));
        let routes = routes.into_iter().map(|(name, options)| Route::new(name, options, sinks));
        Ok(Self { list: routes.collect::<Result<_, _>>()?, all, no_route: NO_ROUTE.into() })
    }

    /// Checks the log types that routes ask for against those that there are.
    ///
    /// # Errors
    ///
    /// With the first one that no event can have: its route would never match.
    pub fn check_log_types(&self, known: &[&str]) -> Result<(), Error> {
        for route in &self.list {
            if let Some(stray) = route.stray_log_type(known) {
                let nearest = crate::ocsf::nearest(&stray, known.iter().copied());
                let hint = nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
                let words = format!("no mapping has the log type `{stray}`{hint}");
                return Err(Error::Option { route: route.name.as_ref().to_owned(), option: "log_type", words });
            }
        }
        Ok(())
    }

    /// Decides on one event. Byte budgets take note of it.
    #[must_use]
    pub fn decide(&self, event: Facts<'_>, desk: &mut Desk) -> Decision {
        if self.list.is_empty() {
            return Decision::Lanes { lanes: self.all, tags: Vec::new() };
        }
        self.meet(event, desk);
        let (mut lanes, mut tags) = (0, Vec::new());
        let mut held_back = None;
        for (route, _) in self.list.iter().zip(&desk.met).filter(|(_, met)| **met) {
            if !route.draws(&event.id) {
                held_back = held_back.or(Some(&route.sample_name));
                continue;
            }
            if route.suppress {
                held_back = Some(&route.name);
                break;
            }
            match route.lanes_now(event.now_ms, event.ocsf.len()) {
                0 => held_back = held_back.or(Some(&route.quota_name)),
                more => {
                    lanes |= more;
                    route.tags.iter().for_each(|tag| {
                        if !tags.contains(tag) {
                            tags.push(Arc::clone(tag));
                        }
                    });
                }
            }
        }
        if lanes == 0 {
            Decision::Filtered(Arc::clone(held_back.unwrap_or(&self.no_route)))
        } else {
            Decision::Lanes { lanes, tags }
        }
    }

    /// Which routes the event meets, by all that they ask: first what it is known by, then each kind of pattern at once.
    fn meet(&self, event: Facts<'_>, desk: &mut Desk) {
        let Desk { reader, met } = desk;
        met.clear();
        let (mut is_read, mut is_read_raw) = (false, false);
        for route in &self.list {
            let holds = route.matches(event);
            met.push(holds);
            is_read |= holds && route.pattern.is_some();
            is_read_raw |= holds && route.raw_pattern.is_some();
            if holds && route.ends_all() {
                break;
            }
        }
        let mut ask = |form, body, holds: &dyn Fn(&Route, View<'_>) -> bool| {
            reader.read(form, body, |view| {
                for (route, met) in self.list.iter().zip(met.iter_mut()).filter(|(_, met)| **met) {
                    *met = holds(route, view);
                }
            });
        };
        if is_read {
            ask(Form::Json, event.ocsf, &|route, view| {
                route.pattern.as_ref().is_none_or(|pattern| pattern.matches(view))
            });
        }
        if is_read_raw {
            ask(event.form, event.raw, &|route, view| {
                route.raw_pattern.as_ref().is_none_or(|pattern| pattern.matches_peeled(view, event.context))
            });
        }
    }
}
