//! What a configuration says about a lane, and what the lane uses.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Oversize, SpillOptions, SpillSettings};
use crate::unit::{Size, Span};

/// How a sink's lane batches, retries and paces. Everything has a default; the sizes of a batch depend on the kind of
/// sink.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LaneOptions {
    /// The most entries that go into one request. Default: the sink's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_entries_max: Option<u32>,
    /// The most bytes that go into one request, encoded and before compression. An entry that is larger goes alone.
    /// Default: the sink's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_bytes_max: Option<Size>,
    /// How long the first entry of a batch waits for others to fill it. Default: the sink's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_age_max: Option<Span>,
    /// The most bytes that one event may have, encoded as the sink writes it and before compression. What becomes of a
    /// larger one, `oversize` says. Default: what the destination documents as its limit, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bytes_max: Option<Size>,
    /// What becomes of an event above `event_bytes_max`, or that the destination calls too large when it comes alone.
    /// `trim`: it is sent without `raw_data`; if that is not enough also without every `data`, and then without
    /// `unmapped`; `metadata.labels` (`tags` in ECS, `ocsf.metadata.labels` in CIM) says what is missing, as in
    /// `siemline.trimmed:raw_data,data`. If nothing helps it goes to the dead letters (reason `oversize`, or `too_large`
    /// where the destination said so), and so do raw events, which have no such parts. `dead_letter`: it goes there at
    /// once. The dead letter is the event as it was read. Default: `trim`.
    pub oversize: Oversize,
    /// The most requests that are under way to this destination at once. The lane finds the right number up to this one by
    /// itself: it begins with one, grows while answers come as fast as ever, shrinks by an eighth where they take more than
    /// 1.5 times as long as usual for batches of their size, by half where the destination throttles (429, 503) or fails, and
    /// goes back to one while it accepts nothing. Default: the sink's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_in_flight_max: Option<u32>,
    /// The most requests that start in a second, evenly spread; those that are sent again count too. Default: no such bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second_max: Option<u32>,
    /// The most bytes that are sent in a second, encoded and before compression, evenly spread; what is sent again counts
    /// too. A batch goes whole, and the next waits for as long as its bytes take. Default: no such bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second_max: Option<Size>,
    /// How long one request may take, until its answer is read, before it counts as failed and is sent again. Default: the
    /// sink's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Span>,
    /// The upper end of the first wait before a failed request is sent again. Each further wait may be twice as long, up
    /// to `retry_max`; the wait is drawn evenly from nothing to that upper end, so that several senders do not come back
    /// at once. Where the destination names a time (`Retry-After`), the longer of the two is waited. Default: `1s`.
    pub retry_first: Span,
    /// The longest upper end of a wait before a failed request is sent again. Retrying itself never ends. Default: `1m`.
    pub retry_max: Span,
    /// How often an entry may be answered "try again" while the destination accepts others. Then it is the entry that is
    /// at fault, and it goes to the dead letters (reason `entry_retry_max`). A destination that accepts nothing is down,
    /// and its entries are kept however long that takes. Default: 30.
    pub entry_retry_max: u32,
    /// How many entries may be refused in a row for one and the same reason, with none accepted between, before the lane
    /// takes the destination to be set up wrongly (a missing index, say), pauses and says so, instead of putting
    /// everything into the dead letters. Default: 100.
    pub refusals_in_a_row_max: u32,
    /// How often a paused lane tries one small batch to see whether the destination has been mended. Default: `30s`.
    pub pause_probe: Span,
    /// After how long without anything delivered or dead-lettered, although there is something to deliver, a lane says
    /// that it is stalled, and why: in the log and in its metrics. It changes nothing about what the lane does. Default:
    /// `2m`.
    pub stalled_after: Span,
    /// Where the lane keeps what its destination does not take. Without it, a destination that is down stops the reading for
    /// all sinks as soon as the queue and the memory budget are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spill: Option<SpillOptions>,
}

/// What a kind of sink takes where the configuration says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneDefaults {
    /// The most entries in a request.
    pub batch_entries_max: u32,
    /// The most bytes in a request, encoded, before compression.
    pub batch_bytes_max: Size,
    /// How long an unfilled batch waits.
    pub batch_age_max: Span,
    /// The most bytes of one event, encoded, before compression; `None` where the destination has no such limit.
    pub event_bytes_max: Option<Size>,
    /// The most requests at once.
    pub requests_in_flight_max: u32,
    /// How long one request may take.
    pub request_timeout: Span,
}

/// What a lane uses: the options over the sink's defaults, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneSettings {
    pub(super) batch_entries_max: NonZeroUsize,
    pub(super) batch_bytes_max: NonZeroUsize,
    pub(super) batch_age_max: Duration,
    pub(super) event_bytes_max: Option<NonZeroUsize>,
    pub(super) oversize: Oversize,
    pub(super) requests_in_flight_max: NonZeroUsize,
    pub(super) requests_per_second_max: Option<NonZeroU64>,
    pub(super) bytes_per_second_max: Option<NonZeroU64>,
    pub(super) request_timeout: Duration,
    pub(super) retry_first: Duration,
    pub(super) retry_max: Duration,
    pub(super) entry_retry_max: u32,
    pub(super) refusals_in_a_row_max: NonZeroUsize,
    pub(super) pause_probe: Duration,
    pub(super) stalled_after: Duration,
    pub(super) spill: Option<SpillSettings>,
}

/// Options that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// With nothing allowed, the lane would stand still.
    #[error("`{0}` is zero: nothing would ever be sent; write at least 1 (or leave it out for the default)")]
    Zero(&'static str),
    /// The spill could not hold anything.
    #[error("`bytes_max` of the spill is too small: write at least {min}")]
    SpillTooSmall {
        /// The least.
        min: Size,
    },
    /// A spill lies in one place.
    #[error("the spill names no place, or two: write `directory`, or `s3` with `bucket` and `prefix`, and not both")]
    SpillPlace,
    /// A bucket is not wiped by a restart.
    #[error("`directory_may_vanish` belongs to a spill in a `directory`: leave it out with `s3`")]
    SpillMayVanish,
    /// The first wait is longer than the longest.
    #[error("`retry_first` ({first}) is longer than `retry_max` ({max})")]
    Retry {
        /// `retry_first`.
        first: Span,
        /// `retry_max`.
        max: Span,
    },
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self {
            batch_entries_max: None,
            batch_bytes_max: None,
            batch_age_max: None,
            event_bytes_max: None,
            oversize: Oversize::Trim,
            requests_in_flight_max: None,
            requests_per_second_max: None,
            bytes_per_second_max: None,
            request_timeout: None,
            retry_first: Span::seconds(1),
            retry_max: Span::seconds(60),
            entry_retry_max: 30,
            refusals_in_a_row_max: 100,
            pause_probe: Span::seconds(30),
            stalled_after: Span::seconds(120),
            spill: None,
        }
    }
}

impl Default for LaneDefaults {
    /// What suits most HTTP destinations.
    fn default() -> Self {
        Self {
            batch_entries_max: 1000,
            batch_bytes_max: Size::mebibytes(4),
            batch_age_max: Span::seconds(1),
            event_bytes_max: None,
            requests_in_flight_max: 4,
            request_timeout: Span::seconds(60),
        }
    }
}

impl LaneOptions {
    /// The settings that these options mean for a sink with these defaults.
    ///
    /// # Errors
    ///
    /// When a bound is zero, or the waits contradict each other.
    pub fn settings(&self, defaults: LaneDefaults) -> Result<LaneSettings, OptionsError> {
        if self.retry_first > self.retry_max {
            return Err(OptionsError::Retry { first: self.retry_first, max: self.retry_max });
        }
        let batch_bytes_max = self.batch_bytes_max.unwrap_or(defaults.batch_bytes_max);
        let event_bytes_max = self.event_bytes_max.or(defaults.event_bytes_max);
        let in_flight_max = self.requests_in_flight_max.unwrap_or(defaults.requests_in_flight_max);
        let request_timeout = self.request_timeout.unwrap_or(defaults.request_timeout);
        Ok(LaneSettings {
            batch_entries_max: count(
                "batch_entries_max",
                self.batch_entries_max.unwrap_or(defaults.batch_entries_max),
            )?,
            batch_bytes_max: some_bytes("batch_bytes_max", batch_bytes_max)?,
            batch_age_max: self.batch_age_max.unwrap_or(defaults.batch_age_max).0,
            event_bytes_max: event_bytes_max.map(|bytes| some_bytes("event_bytes_max", bytes)).transpose()?,
            oversize: self.oversize,
            requests_in_flight_max: count("requests_in_flight_max", in_flight_max)?,
            requests_per_second_max: rate("requests_per_second_max", self.requests_per_second_max.map(u64::from))?,
            bytes_per_second_max: rate("bytes_per_second_max", self.bytes_per_second_max.map(|size| size.0))?,
            request_timeout: some_time("request_timeout", request_timeout)?,
            retry_first: some_time("retry_first", self.retry_first)?,
            retry_max: self.retry_max.0,
            entry_retry_max: self.entry_retry_max,
            refusals_in_a_row_max: count("refusals_in_a_row_max", self.refusals_in_a_row_max)?,
            pause_probe: some_time("pause_probe", self.pause_probe)?,
            stalled_after: some_time("stalled_after", self.stalled_after)?,
            spill: self.spill.as_ref().map(SpillOptions::settings).transpose()?,
        })
    }
}

impl LaneSettings {
    /// The lane's spill, if it has one.
    #[must_use]
    pub fn spill(&self) -> Option<&SpillSettings> {
        self.spill.as_ref()
    }
}

fn count(name: &'static str, number: u32) -> Result<NonZeroUsize, OptionsError> {
    let number = NonZeroU32::new(number).ok_or(OptionsError::Zero(name))?;
    Ok(NonZeroUsize::try_from(number).unwrap_or(NonZeroUsize::MAX))
}

fn rate(name: &'static str, per_second: Option<u64>) -> Result<Option<NonZeroU64>, OptionsError> {
    per_second.map(|number| NonZeroU64::new(number).ok_or(OptionsError::Zero(name))).transpose()
}

fn some_bytes(name: &'static str, size: Size) -> Result<NonZeroUsize, OptionsError> {
    NonZeroUsize::new(size.bytes()).ok_or(OptionsError::Zero(name))
}

fn some_time(name: &'static str, span: Span) -> Result<Duration, OptionsError> {
    if span.0.is_zero() { Err(OptionsError::Zero(name)) } else { Ok(span.0) }
}
