//! A store on the network before the local file: tried with patience, but not for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::letter_store::{LetterStore, wait};
use super::run::now_ms;
use crate::delivery::{Error, WrittenLetter};
use crate::metric::{DeadLetterMeter, Hindrance};

/// How often letters are tried before the file has them. Burials wait for it, and behind them the reading.
const TRIES: u32 = 3;

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a store that did not take letters is left alone.
const REST_FIRST: Duration = Duration::from_secs(30);

/// The most it is left alone, after many such times one after the other.
const REST_MAX: Duration = Duration::from_mins(10);

/// A store and how it gets on. Letters wait for it with whoever buries them: there is no queue of their own.
#[derive(Debug)]
pub struct Remote {
    store: LetterStore,
    meter: Arc<DeadLetterMeter>,
    state: Mutex<State>,
}

/// How a store gets on.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It takes what it is given.
    Works,
    /// It did not take letters, and is asked again, once, from this time on. If it refuses, it rests for so long.
    Rests { until: Instant, next: Duration },
}

impl Remote {
    /// This store.
    pub fn new(store: LetterStore, meter: Arc<DeadLetterMeter>) -> Self {
        Self { store, meter, state: Mutex::new(State::Works) }
    }

    /// Its kind.
    pub const fn kind(&self) -> &'static str {
        self.store.kind()
    }

    /// Says whether it has room for a letter of this size.
    pub fn fits(&self, letter: &WrittenLetter) -> bool {
        self.store.fits(letter)
    }

    /// Keeps letters, and says whether the store has them for good. Where it has not, some of them may be there. Dropping the
    /// future midway is safe in the same sense.
    pub async fn keep(&self, letters: &[WrittenLetter]) -> bool {
        let tries_max = match *self.state() {
            State::Works => TRIES,
            State::Rests { until, .. } if Instant::now() < until => return false,
            State::Rests { .. } => 1,
        };
        match self.try_to_keep(letters, tries_max).await {
            Ok(()) => self.works(),
            Err(words) => self.fails(words),
        }
    }

    /// Has it asked again at once, since there is no other place.
    pub fn wake(&self) {
        if let State::Rests { until, .. } = &mut *self.state() {
            *until = Instant::now();
        }
    }

    async fn try_to_keep(&self, letters: &[WrittenLetter], tries_max: u32) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let error = match tokio::time::timeout(TRY_TIMEOUT, self.store.keep(letters)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_elapsed) => {
                    let words = format!("no answer within {} s", TRY_TIMEOUT.as_secs());
                    // What took so long once is not waited for again.
                    return Err(Error {
                        disposition: crate::delivery::Disposition::Pause,
                        code: "timeout".into(),
                        words,
                    });
                }
            };
            tries += 1;
            match wait(&error, tries, tries_max) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    fn works(&self) -> bool {
        let before = std::mem::replace(&mut *self.state(), State::Works);
        if let State::Rests { .. } = before {
            tracing::info!(store = self.kind(), "the store takes dead letters again");
            self.meter.store_works();
        }
        true
    }

    fn fails(&self, error: Error) -> bool {
        let mut state = self.state();
        let rest = match *state {
            State::Works => REST_FIRST,
            // Others failed at the same time, and have said so.
            State::Rests { until, .. } if Instant::now() < until => return false,
            State::Rests { next, .. } => next,
        };
        let next = rest.saturating_mul(2).min(REST_MAX);
        *state = State::Rests { until: Instant::now() + rest, next };
        drop(state);
        tracing::warn!(store = self.kind(), %error, ?rest, "the store does not take dead letters, the local file does");
        let Error { code, words, .. } = error;
        self.meter.store_fails(Hindrance { code: code.into_owned(), words, since_ms: now_ms() });
        false
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
