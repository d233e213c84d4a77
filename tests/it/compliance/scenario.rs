//! The scenarios that every destination goes through, and what each has to come to.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fakes::plan::Fault;

/// So many events go through each scenario, numbered from 0.
pub const EVENTS: u32 = 40;

/// So many go into one request. One request is under way at a time, so that a script says which events meet which fault.
pub const BATCH: u32 = 10;

/// The event that is refused, where one is.
pub const POISON: u32 = 15;

/// The event that is too large, where one is.
pub const GIANT: u32 = 17;

/// So many refusals in a row pause a lane.
pub const REFUSALS_MAX: u32 = 20;

/// The largest request that a destination takes, where it has such a bound: five large events, not ten.
pub const BODY_BYTES_MAX: usize = 8000;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everything is accepted.
    AllAccepted,
    /// One event in the middle of a batch is refused for good.
    OneRefused,
    /// Everything is refused, until somebody mends the destination.
    AllRefused,
    /// Everything of the first batch is taken, and the answer leaves some out.
    ShortAnswer,
    /// The destination asks to go slower, and names no time.
    Throttled,
    /// The destination asks to come back in a second.
    ThrottledForASecond,
    /// Every batch is larger than the destination takes; half of one is not.
    TooLarge,
    /// One event alone is larger than the destination takes.
    OneTooLarge,
    /// The credentials are refused twice, and good again.
    UnauthorisedThenRestored,
    /// The first batch is taken, and never answered.
    TimeoutAfterTaken,
    /// The connection is cut before the first batch is taken.
    CutBefore,
    /// The connection is cut in the answer to the first batch, which is taken.
    CutAfter,
    /// The first batch is taken, and something without meaning is answered.
    Garbage,
    /// Every answer takes its time.
    Slow,
    /// The lane is dropped while its second batch, which is taken, awaits its answer.
    Shutdown,
    /// The destination goes away with its second batch, which is taken, not yet answered; nobody is there; it comes back.
    Restart,
    /// Nobody is there at first.
    Refused,
    /// Everything is read and sent twice.
    Twice,
    /// The first batch is taken, and answered with success and nothing else.
    EmptySuccess,
    /// The destination has moved.
    Redirect,
    /// A balancer answers for a destination that is not there.
    BalancerPage,
    /// A proxy answers with a page to sign in, and success.
    SignInPage,
}

/// What is to come of a scenario at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It is played, and comes to this.
    Played(Expected),
    /// It has no meaning there, because.
    Meaningless(&'static str),
}

/// What a scenario comes to. Every event that is not in the dead letters arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How many events lie in the dead letters.
    pub buried: u32,
    /// With which code.
    pub code: &'static str,
    /// How many events the destination is given once more, each time counted.
    pub duplicates: RangeInclusive<u32>,
    /// How often the lane pauses.
    pub pauses: u64,
    /// How long it takes at least.
    pub lasts: Duration,
}

impl Scenario {
    pub const ALL: [Self; 22] = [
        Self::AllAccepted,
        Self::OneRefused,
        Self::AllRefused,
        Self::ShortAnswer,
        Self::Throttled,
        Self::ThrottledForASecond,
        Self::TooLarge,
        Self::OneTooLarge,
        Self::UnauthorisedThenRestored,
        Self::TimeoutAfterTaken,
        Self::CutBefore,
        Self::CutAfter,
        Self::Garbage,
        Self::Slow,
        Self::Shutdown,
        Self::Restart,
        Self::Refused,
        Self::Twice,
        Self::EmptySuccess,
        Self::Redirect,
        Self::BalancerPage,
        Self::SignInPage,
    ];

    /// The faults that the first requests meet at a destination behind HTTP, of which this is how it refuses credentials.
    pub fn script(self, unauthorised: Fault) -> Vec<Fault> {
        let reject = |status, body: &str| Fault::Reject { status, body: body.to_owned(), retry_after_s: None };
        let none = || Fault::Slow(Duration::ZERO);
        match self {
            Self::AllAccepted
            | Self::OneRefused
            | Self::AllRefused
            | Self::TooLarge
            | Self::OneTooLarge
            | Self::Refused
            | Self::Twice => Vec::new(),
            Self::ShortAnswer => vec![Fault::Short],
            Self::Throttled => vec![Fault::throttled(None)],
            Self::ThrottledForASecond => vec![Fault::throttled(Some(1))],
            Self::UnauthorisedThenRestored => vec![unauthorised.clone(), unauthorised],
            Self::TimeoutAfterTaken => vec![Fault::Hang],
            Self::CutBefore => vec![Fault::CutBefore],
            Self::CutAfter => vec![Fault::CutMidway],
            Self::Garbage => vec![Fault::garbage()],
            Self::Slow => vec![Fault::Slow(Duration::from_millis(50)); 4],
            Self::Shutdown | Self::Restart => vec![none(), Fault::Hang],
            Self::EmptySuccess => vec![Fault::empty_success("")],
            Self::Redirect => vec![reject(302, "")],
            Self::BalancerPage => vec![reject(502, "<html><h1>502 Bad Gateway</h1></html>")],
            Self::SignInPage => vec![Fault::html()],
        }
    }

    /// The document of an event. Nothing in it can be trimmed.
    pub fn document(self, n: u32) -> String {
        let bytes = match self {
            Self::TooLarge => 1000,
            Self::OneTooLarge if n == GIANT => 20_000,
            _ => 0,
        };
        let text = "x".repeat(bytes);
        format!(r#"{{"class_uid":2004,"n":{n},"finding_info":{{"uid":"finding-{n}"}},"text":"{text}"}}"#)
    }

    /// How long the lane waits for an answer: long, but where one never comes.
    pub fn request_timeout(self) -> &'static str {
        if self == Self::TimeoutAfterTaken { "3s" } else { "60s" }
    }

    /// What it comes to at most destinations behind HTTP; a refusal has this code.
    pub fn usual(self, refusal: &'static str) -> Expected {
        match self {
            Self::AllAccepted
            | Self::Throttled
            | Self::TooLarge
            | Self::CutBefore
            | Self::Slow
            | Self::Refused
            | Self::BalancerPage => Expected::arrives(),
            Self::ThrottledForASecond => Expected { lasts: Duration::from_secs(1), ..Expected::arrives() },
            Self::OneRefused => Expected::buries(1, refusal),
            Self::AllRefused => Expected::buries(REFUSALS_MAX, refusal).pausing(),
            Self::OneTooLarge => Expected::buries(1, "too_large"),
            Self::UnauthorisedThenRestored | Self::Redirect | Self::SignInPage => Expected::arrives().pausing(),
            Self::ShortAnswer
            | Self::TimeoutAfterTaken
            | Self::CutAfter
            | Self::Garbage
            | Self::Shutdown
            | Self::Restart
            | Self::EmptySuccess => Expected::repeats(BATCH),
            Self::Twice => Expected::repeats(EVENTS),
        }
    }
}

impl Expected {
    /// Everything arrives, once.
    pub fn arrives() -> Self {
        Self { buried: 0, code: "", duplicates: 0..=0, pauses: 0, lasts: Duration::ZERO }
    }

    /// Everything arrives, and so many once more.
    pub fn repeats(times: u32) -> Self {
        Self { duplicates: times..=times, ..Self::arrives() }
    }

    /// So many lie in the dead letters, the others arrive.
    pub fn buries(count: u32, code: &'static str) -> Self {
        Self { buried: count, code, ..Self::arrives() }
    }

    /// The same after a pause.
    #[must_use]
    pub fn pausing(self) -> Self {
        Self { pauses: 1, ..self }
    }
}
