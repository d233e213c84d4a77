//! What goes wrong, and when: by a script, or by dice with a seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::http::{Ending, Reply};

/// What happens to one request that is in order. Requests that are not are answered as the real server would.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing of it is taken, and this is answered.
    Reject { status: u16, body: String, retry_after_s: Option<u32> },
    /// All of it is taken, and this is answered all the same.
    Lie { status: u16, body: String },
    /// All of it is taken, and answered late.
    Slow(Duration),
    /// All of it is taken, and never answered.
    Hang,
    /// Nothing of it is taken, and the connection is closed without a word.
    CutBefore,
    /// All of it is taken, and the connection is closed in the middle of the answer.
    CutMidway,
    /// `_bulk`: about half of the documents are taken, the others are answered 429. HEC, which knows no such thing, answers
    /// 503 and takes none.
    Partial,
    /// `_bulk`: all of it is taken, and the answer leaves out the last documents. HEC answers without a code.
    Short,
    /// HEC: all of it is taken, and answered "queue near capacity". `_bulk` answers as ever.
    NearCapacity,
}

impl Fault {
    /// 429.
    pub fn throttled(retry_after_s: Option<u32>) -> Self {
        Self::Reject { status: 429, body: "slow down".to_owned(), retry_after_s }
    }

    /// 503.
    pub fn unavailable(retry_after_s: Option<u32>) -> Self {
        Self::Reject { status: 503, body: "<html>no healthy upstream</html>".to_owned(), retry_after_s }
    }

    /// A page to sign in, as a proxy answers.
    pub fn html() -> Self {
        Self::Reject { status: 200, body: "<html><form>sign in</form></html>".to_owned(), retry_after_s: None }
    }

    /// It was taken, and then the answer got lost behind a broken gateway.
    pub fn garbage() -> Self {
        Self::Lie { status: 502, body: "\0\u{1}\u{fffd}garbage".to_owned() }
    }

    /// An answer that says success and says nothing.
    pub fn empty_success(body: &str) -> Self {
        Self::Lie { status: 200, body: body.to_owned() }
    }

    /// All faults that a lane gets over by itself, without a pause and within moments.
    pub fn passing() -> Vec<Self> {
        vec![
            Self::throttled(None),
            Self::throttled(Some(1)),
            Self::unavailable(None),
            Self::unavailable(Some(1)),
            Self::garbage(),
            Self::Slow(Duration::from_millis(50)),
            Self::CutBefore,
            Self::CutMidway,
            Self::Partial,
            Self::Short,
            Self::NearCapacity,
        ]
    }
}

/// Says whether an event is refused for good. It is asked with the event or document as it was sent.
pub type Refuses = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// How a fake behaves.
#[derive(Clone)]
pub struct Plan {
    script: VecDeque<Fault>,
    dice: fastrand::Rng,
    percent: u32,
    faults: Vec<Fault>,
    met: Arc<AtomicUsize>,
    /// Which events are refused for good.
    pub refuses: Refuses,
    /// The largest body, decompressed. Larger ones are answered with 413.
    pub body_bytes_max: usize,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn healthy() -> Self {
        Self::script([])
    }

    /// The first requests meet these faults, one each; what comes later meets none.
    pub fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            script: faults.into_iter().collect(),
            dice: fastrand::Rng::with_seed(0),
            percent: 0,
            faults: Vec::new(),
            met: Arc::default(),
            refuses: Arc::new(|_| false),
            body_bytes_max: usize::MAX,
        }
    }

    /// So many of a hundred requests meet one of these faults. The order of requests decides who meets which, so a seed
    /// repeats a run only as far as the client repeats its own.
    pub fn dice(seed: u64, percent: u32, faults: Vec<Fault>) -> Self {
        Self { dice: fastrand::Rng::with_seed(seed), percent, faults, ..Self::healthy() }
    }

    /// Refuses these events for good.
    #[must_use]
    pub fn refusing(self, refuses: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        Self { refuses: Arc::new(refuses), ..self }
    }

    /// Answers larger bodies with 413.
    #[must_use]
    pub fn body_bytes_max(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// What the next request meets.
    pub fn next(&mut self) -> Option<Fault> {
        if let Some(fault) = self.script.pop_front() {
            self.met.fetch_add(1, Ordering::Relaxed);
            return Some(fault);
        }
        if self.faults.is_empty() || self.dice.u32(0..100) >= self.percent {
            return None;
        }
        Some(self.faults[self.dice.usize(0..self.faults.len())].clone())
    }

    /// How many faults of the script have landed so far, also once the plan is a fake's.
    pub fn met(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.met)
    }

    /// Heads or tails.
    pub fn toss(&mut self) -> bool {
        self.dice.bool()
    }
}

/// The answer of a request that was taken whole, after the fault: `honest` is what a server in good health would say.
pub fn after(fault: Option<&Fault>, honest: Reply) -> Reply {
    match fault {
        Some(Fault::Lie { status, body }) => Reply::new(*status, body.as_str()),
        Some(Fault::Slow(delay)) => Reply { delay: *delay, ..honest },
        Some(Fault::Hang) => Reply { ending: Ending::Never, ..honest },
        Some(Fault::CutMidway) => Reply { ending: Ending::CutMidway, ..honest },
        _ => honest,
    }
}

/// The answer of a request of which nothing is taken; `None` if the fault lets it be taken.
pub fn before(fault: Option<&Fault>) -> Option<Reply> {
    match fault {
        Some(Fault::Reject { status, body, retry_after_s }) => {
            Some(Reply { retry_after_s: *retry_after_s, ..Reply::new(*status, body.as_str()) })
        }
        Some(Fault::CutBefore) => Some(Reply { ending: Ending::CutBefore, ..Reply::new(200, "") }),
        _ => None,
    }
}
