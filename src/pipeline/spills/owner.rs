//! Who may write below a prefix: one process at a time, by an object that only conditional writes change.
//!
//! The object names its holder, and every renewal changes it. Nobody's clock is compared with another's: who wants a prefix that
//! another has watches the object, and takes it over when it has not changed for so long that the other must have seen its hold
//! end. S3 changes it for one of two at most.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::delivery::{Disposition, Error};
use crate::sink::s3::{Condition, Conditional, Got, Objects};
use crate::source::kinesis::host;
use crate::spill;

/// How often a hold is renewed, how long one lasts, and when it is over for others.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// How often it is renewed.
    pub renew_every: Duration,
    /// How long after the beginning of its last renewal the holder reads and writes.
    pub lasts: Duration,
    /// How long an object is watched without a change before it is taken over: well above `lasts`.
    pub over_after: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            renew_every: Duration::from_secs(5),
            lasts: Duration::from_secs(20),
            over_after: Duration::from_secs(30),
        }
    }
}

/// The largest object that is taken for an owner's.
const RECORD_BYTES_MAX: usize = 4096;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a call is tried that began a hold, or ends one.
const TRIES: u32 = 4;

/// What is waited between these.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// A hold on a prefix.
#[derive(Debug)]
pub struct Owner {
    objects: Arc<Objects>,
    key: String,
    tempo: Tempo,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    /// What stands there by our hand, and its tag.
    record: Record,
    tag: String,
    /// When the writing of it began.
    renewed_at: Instant,
    /// Why it could not be renewed last.
    failure: Option<String>,
    /// Who has it instead.
    lost_to: Option<String>,
}

/// What the object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Who, for people.
    holder: String,
    /// Who, for programs: a number drawn by the process for this hold.
    token: String,
    /// How many holds there were, this one included.
    generation: u64,
    /// Makes every renewal another object.
    renewals: u64,
    /// The holder has given it up.
    is_free: bool,
}

impl Owner {
    /// Takes the prefix, if nobody has it or who had it does not renew it any more.
    pub async fn take(objects: Arc<Objects>, prefix: &str, tempo: Tempo) -> Result<Self, spill::Error> {
        let key = format!("{prefix}owner");
        let mut record = Record {
            holder: format!("process {} on `{}`", std::process::id(), host()),
            token: format!("{:016x}", fastrand::u64(..)),
            generation: 1,
            renewals: 0,
            is_free: false,
        };
        let mut found = read(&objects, &key).await?;
        let (watched, since) = (found.clone(), Instant::now());
        if let Some((held, _)) = watched.as_ref().filter(|(held, _)| !held.is_free) {
            tracing::info!(
                holder = held.holder,
                seconds = tempo.over_after.as_secs(),
                "the spill was not given up: watching whether somebody still has it"
            );
            loop {
                sleep(tempo.renew_every.min(tempo.over_after.saturating_sub(since.elapsed()))).await;
                found = read(&objects, &key).await?;
                match &found {
                    Some((held, _)) if held.is_free => break,
                    None => break,
                    _ if found != watched => return Err(held_by(found)),
                    _ if since.elapsed() >= tempo.over_after => break,
                    Some(_) => {}
                }
            }
        }
        record.generation = found.as_ref().map_or(1, |(held, _)| held.generation.saturating_add(1));
        let condition = found.as_ref().map_or(Condition::Absent, |(_, tag)| Condition::Tag(tag));
        let renewed_at = Instant::now();
        let tag = match retried(|| objects.put_if(&key, record.to_bytes(), condition)).await? {
            Conditional::Written(tag) => tag,
            Conditional::Refused => match read(&objects, &key).await? {
                // The answer to the first try was lost.
                Some((found, tag)) if found.token == record.token => tag,
                other => return Err(held_by(other)),
            },
        };
        let state = State { record, tag, renewed_at, failure: None, lost_to: None };
        Ok(Self { objects, key, tempo, state: Mutex::new(state) })
    }

    /// The number of this hold: above that of all before.
    pub fn generation(&self) -> u64 {
        self.state().record.generation
    }

    /// Has a number above this one.
    pub async fn rise_above(&self, generation: u64) -> io::Result<()> {
        if self.generation() > generation {
            return Ok(());
        }
        self.state().record.generation = generation.saturating_add(1);
        self.change(false).await.map_err(failed)?;
        self.stands()
    }

    /// Says whether the prefix is this process's own now.
    pub fn stands(&self) -> io::Result<()> {
        let state = self.state();
        if let Some(holder) = &state.lost_to {
            return Err(io::Error::other(format!(
                "{holder} has taken the prefix over: stop one of the two, or give each a `prefix` of its own"
            )));
        }
        if state.renewed_at.elapsed() > self.tempo.lasts {
            let why = state.failure.as_deref().unwrap_or("there was no answer");
            return Err(io::Error::other(format!("the hold on the prefix cannot be renewed: {why}")));
        }
        Ok(())
    }

    /// Renews the hold until it is lost.
    pub async fn renew(self: Arc<Self>) {
        while self.state().lost_to.is_none() {
            sleep(self.tempo.renew_every).await;
            let renewed = self.change(false).await;
            self.state().failure = renewed.err().map(|error| error.to_string());
        }
    }

    /// Gives the prefix up, so that the next has it at once. Nothing may be written any more, and nobody renew it.
    pub async fn give_up(&self) {
        for _ in 0..TRIES {
            match self.change(true).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the spill cannot be given up"),
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    async fn change(&self, is_free: bool) -> Result<(), Error> {
        let (mut record, mut tag) = {
            let state = self.state();
            (state.record.clone(), state.tag.clone())
        };
        loop {
            record.renewals = record.renewals.saturating_add(1);
            record.is_free = is_free;
            let renewed_at = Instant::now();
            let written = self.objects.put_if(&self.key, record.to_bytes(), Condition::Tag(&tag));
            if let Conditional::Written(tag) = in_time(written).await? {
                let mut state = self.state();
                (state.record, state.tag, state.renewed_at) = (record, tag, renewed_at);
                return Ok(());
            }
            match look(&self.objects, &self.key).await? {
                // An answer was lost: it stands there by our own hand.
                Some((found, newer)) if found.token == record.token => {
                    (record.renewals, tag) = (found.renewals, newer);
                }
                other => {
                    let holder = other.map_or_else(|| "somebody".to_owned(), |(found, _)| found.holder);
                    self.state().lost_to = Some(holder);
                    return Ok(());
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn to_bytes(&self) -> Vec<u8> {
        // A struct of texts and numbers always is JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn held_by(found: Option<(Record, String)>) -> spill::Error {
    spill::Error::Held { holder: found.map_or_else(|| "another process".to_owned(), |(record, _)| record.holder) }
}

async fn read(objects: &Objects, key: &str) -> Result<Option<(Record, String)>, spill::Error> {
    Ok(retried(|| look(objects, key)).await?)
}

async fn look(objects: &Objects, key: &str) -> Result<Option<(Record, String)>, Error> {
    match in_time(objects.get_tagged(key, RECORD_BYTES_MAX)).await? {
        (Got::Nothing, _) => Ok(None),
        // Whatever it is, it can be told from another, and is taken over as one that is not renewed.
        (Got::TooLarge, tag) => Ok(Some((Record::unknown(), tag))),
        (Got::Object(bytes), tag) => {
            let record = serde_json::from_slice(&bytes).unwrap_or_else(|_| Record::unknown());
            Ok(Some((record, tag)))
        }
    }
}

impl Record {
    /// What stands for an object that is none of ours.
    fn unknown() -> Self {
        let holder = "whoever wrote the object `owner`".to_owned();
        Self { holder, token: String::new(), generation: 0, renewals: 0, is_free: false }
    }
}

/// Tries a call some times.
async fn retried<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> io::Result<T> {
    let mut tries = 0;
    loop {
        tries += 1;
        match in_time(call()).await {
            Ok(done) => return Ok(done),
            Err(error) if tries >= TRIES || !matches!(error.disposition, Disposition::Retry { .. }) => {
                return Err(failed(error));
            }
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // The SDK's futures are large.
    timeout(CALL_TIMEOUT, Box::pin(call)).await.unwrap_or_else(|_elapsed| Err(late(CALL_TIMEOUT)))
}

/// No answer within so long.
pub fn late(limit: Duration) -> Error {
    let words = format!("no answer within {} s", limit.as_secs());
    Error { disposition: Disposition::Retry { after: None }, code: "timeout".into(), words }
}

pub fn failed(error: Error) -> io::Error {
    io::Error::other(error)
}
