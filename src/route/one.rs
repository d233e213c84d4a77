//! One route, resolved.

use std::sync::Arc;

use super::pattern::{Pattern, PatternOptions, check_attributes};
use super::quota::Quota;
use super::{Error, Facts, RouteOptions, SeverityBound};
use crate::ocsf::Table;

/// One route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub name: Arc<str>,
    log_types: Vec<LogTypes>,
    severity: Option<SeverityBound>,
    accounts: Vec<String>,
    regions: Vec<String>,
    pub pattern: Option<Pattern>,
    pub raw_pattern: Option<Pattern>,
    /// Events whose hash is at most this are drawn; `None`: all are.
    sample: Option<u64>,
    /// What an event is counted under that the sample left out.
    pub sample_name: Arc<str>,
    quota: Option<Quota>,
    /// What an event is counted under that the budget left out.
    pub quota_name: Arc<str>,
    lanes: u64,
    overflow_lanes: u64,
    pub tags: Vec<Arc<str>>,
    pub suppress: bool,
}

#[derive(Clone, Debug)]
enum LogTypes {
    One(String),
    StartingWith(String),
}

impl Route {
    pub fn new(name: &str, options: &RouteOptions, sinks: &[&str]) -> Result<Self, Error> {
        if options.to.is_empty() != options.suppress {
            return Err(Error::Purpose(name.to_owned()));
        }
        let mistake = |option, words: &str| Error::Option { route: name.to_owned(), option, words: words.to_owned() };
        if options.suppress && !options.tags.is_empty() {
            return Err(mistake("tags", "`suppress` sends nothing that could carry tags: leave one of them out"));
        }
        if options.suppress && options.bytes_per_hour.is_some() {
            return Err(mistake("bytes_per_hour", "`suppress` sends nothing that a budget could count: leave one out"));
        }
        if options.bytes_per_hour.is_none() && !options.overflow_to.is_empty() {
            return Err(mistake("overflow_to", "`overflow_to` takes what is over `bytes_per_hour`, which is not set"));
        }
        if options.bytes_per_hour.is_some_and(|bytes| bytes.0 == 0) {
            return Err(mistake("bytes_per_hour", "a budget of nothing: use `suppress = true`"));
        }
        if options.tags.iter().any(|tag| tag.trim().is_empty()) {
            return Err(mistake("tags", "an empty tag"));
        }
        let sample = match options.sample {
            None => None,
            Some(share) => Some(threshold(share).ok_or_else(|| {
                mistake("sample", &format!("{share} is no share: write a number above 0 and up to 1, such as 0.1"))
            })?),
        };
        Ok(Self {
            name: name.into(),
            log_types: options.log_type.iter().map(|pattern| LogTypes::new(pattern)).collect(),
            severity: options.severity,
            accounts: options.account.clone(),
            regions: options.region.clone(),
            pattern: pattern(name, "pattern", options.pattern.as_ref(), Some(Table::v1_8()))?,
            raw_pattern: pattern(name, "raw_pattern", options.raw_pattern.as_ref(), None)?,
            sample,
            sample_name: format!("{name}.sample").into(),
            quota: options.bytes_per_hour.map(|bytes| Quota::new(bytes.0)),
            quota_name: format!("{name}.bytes_per_hour").into(),
            lanes: lanes(name, "to", &options.to, sinks)?,
            overflow_lanes: lanes(name, "overflow_to", &options.overflow_to, sinks)?,
            tags: options.tags.iter().map(|tag| tag.as_str().into()).collect(),
            suppress: options.suppress,
        })
    }

    /// Whether the event is what the route asks for, as far as that can be said without parsing it.
    pub fn matches(&self, event: Facts<'_>) -> bool {
        let one_of = |wanted: &[String], is: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == is);
        (self.log_types.is_empty() || self.log_types.iter().any(|wanted| wanted.matches(event.log_type)))
            && self.severity.is_none_or(|bound| bound.holds(event.severity_id))
            && one_of(&self.accounts, event.account)
            && one_of(&self.regions, event.region)
    }

    /// A log type that it asks for and that no event can have, where these are all there are.
    pub fn stray_log_type(&self, known: &[&str]) -> Option<String> {
        let stray = self.log_types.iter().find(|wanted| !known.iter().any(|known| wanted.matches(known)));
        stray.map(|stray| match stray {
            LogTypes::One(name) => name.clone(),
            LogTypes::StartingWith(start) => format!("{start}*"),
        })
    }

    /// Whether no route behind this one is asked when an event [matches](Self::matches) it, whatever its patterns say.
    pub fn ends_all(&self) -> bool {
        self.suppress && self.pattern.is_none() && self.raw_pattern.is_none() && self.sample.is_none()
    }

    /// Whether the event is in the sample. All routes draw by the same hash: what is in a sample is in every larger one.
    pub fn draws(&self, id: &[u8; 16]) -> bool {
        let hash = id.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        self.sample.is_none_or(|threshold| hash <= threshold)
    }

    /// The lanes that an event of so many bytes goes to now: those of `to`, or above the budget those of `overflow_to`.
    pub fn lanes_now(&self, now_ms: i64, bytes: usize) -> u64 {
        match &self.quota {
            Some(quota) if !quota.admits(now_ms, bytes) => self.overflow_lanes,
            _ => self.lanes,
        }
    }
}

/// The largest hash that a sample of this share draws.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of all hashes, to the precision of a float; the cast saturates"
)]
fn threshold(share: f64) -> Option<u64> {
    (share > 0.0 && share <= 1.0).then_some((share * u64::MAX as f64) as u64)
}

fn pattern(
    route: &str,
    option: &'static str,
    written: Option<&PatternOptions>,
    table: Option<&Table>,
) -> Result<Option<Pattern>, Error> {
    let Some(written) = written else { return Ok(None) };
    let compiled = Pattern::compile(written.value()).and_then(|pattern| match table {
        Some(table) => check_attributes(written.value(), table).map(|()| pattern),
        None => pattern.enveloped(),
    });
    compiled.map(Some).map_err(|mistake| Error::Pattern { route: route.to_owned(), option, mistake })
}

fn lanes(route: &str, option: &'static str, names: &[String], sinks: &[&str]) -> Result<u64, Error> {
    let mut lanes = 0;
    for sink in names {
        let Some(lane) = sinks.iter().position(|known| known == sink) else {
            let nearest = crate::ocsf::nearest(sink, sinks.iter().copied()).map(str::to_owned);
            return Err(Error::UnknownSink { route: route.to_owned(), option, sink: sink.clone(), nearest });
        };
        lanes |= bit(lane);
    }
    Ok(lanes)
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

/// The bit of a lane.
pub(super) const fn bit(lane: usize) -> u64 {
    1 << lane
}
