//! Several endpoints of one destination.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;

use super::{Answer, Error};
use crate::delivery;

/// The most endpoints that one sink may have.
const ENDPOINTS_MAX: usize = 64;

/// How long an endpoint rests after its first failure in a row. Each further one doubles it, up to [`REST_MAX`].
const REST_FIRST: Duration = Duration::from_secs(5);

/// The longest rest: an endpoint that is back is found within a minute, and one that is gone costs one request a minute.
const REST_MAX: Duration = Duration::from_mins(1);

/// The endpoints of one destination, which all take the same. They take turns; one that failed rests a while, and where all
/// rest, the one whose rest ends first is tried. The time is given.
#[derive(Debug)]
pub struct Endpoints {
    urls: Vec<Url>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: usize,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Failures in a row.
    failures: u32,
    rests_until: Option<Instant>,
}

/// The endpoint whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Its number, from 0, in the order of the configuration.
    pub number: usize,
    /// Where it listens.
    pub url: &'a Url,
}

impl Endpoints {
    /// The endpoints that these texts name, each as [`endpoint`](super::endpoint) reads it.
    ///
    /// # Errors
    ///
    /// Where one is wrong, where there is none, and where there are more than 64.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::new(texts.into_iter().map(super::endpoint).collect::<Result<_, _>>()?)
    }

    /// These endpoints.
    ///
    /// # Errors
    ///
    /// Where there is none, and where there are more than 64.
    pub fn new(urls: Vec<Url>) -> Result<Self, Error> {
        if urls.is_empty() || urls.len() > ENDPOINTS_MAX {
            return Err(Error::Endpoints(urls.len()));
        }
        let nodes = vec![Node::default(); urls.len()];
        Ok(Self { urls, state: Mutex::new(State { next: 0, nodes }) })
    }

    /// All of them, in the order of the configuration.
    #[must_use]
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// The one whose turn it is. `None` never: there is at least one.
    #[must_use]
    pub fn turn(&self, now: Instant) -> Option<Turn<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = |node: &Node| node.rests_until.filter(|until| *until > now);
        let count = self.urls.len();
        let turns = (0..count).map(|step| (state.next + step) % count);
        // Of equal ones the first: the next in turn among those awake, which rest until no time.
        let number = turns.min_by_key(|number| state.nodes.get(*number).and_then(rests))?;
        state.next = (number + 1) % count;
        drop(state);
        Some(Turn { number, url: self.urls.get(number)? })
    }

    /// Takes note of what became of a request to one of them: no whole answer, or a status of 500 and above, is a failure.
    pub fn note(&self, number: usize, result: &Result<Answer, delivery::Error>, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(node) = state.nodes.get_mut(number) else { return };
        if matches!(result, Ok(answer) if answer.status < 500) {
            *node = Node::default();
            return;
        }
        // Several requests may have been under way to it: what fails while it rests is the same failure.
        if node.rests_until.is_some_and(|until| until > now) {
            return;
        }
        let rest = REST_FIRST.saturating_mul(1_u32.checked_shl(node.failures).unwrap_or(u32::MAX)).min(REST_MAX);
        node.failures = node.failures.saturating_add(1);
        node.rests_until = now.checked_add(rest);
    }

    /// How many rest.
    #[must_use]
    pub fn resting(&self, now: Instant) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.nodes.iter().filter(|node| node.rests_until.is_some_and(|until| until > now)).count()
    }
}
