//! One store of dead letters on the network, of any kind: the one place that knows them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::{Disposition, Error, KeptLine, WrittenLetter};
use crate::sink;
use crate::sink::elastic::{LetterIndex, LetterIndexOptions, LettersOfIndex};
use crate::sink::kafka::{LetterTopic, LetterTopicOptions, LettersOfTopic};
use crate::sink::s3::{LetterBucket, LetterBucketOptions, LettersOfBucket};
use crate::source::dead_letters::ReadLetters;

/// How often a call of a replay is tried: a person waits for it, and begins it anew where need be.
const TRIES: u32 = 5;

/// What is waited before the second try of a call. It doubles with every other.
const WAIT_FIRST: Duration = Duration::from_millis(250);

/// The most that is waited, also where the store asks for more.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How many documents are removed at once.
const REMOVE_MAX: usize = 1000;

/// A store that is ready to be used. Nothing has been connected yet.
#[derive(Clone, Debug)]
pub enum LetterStore {
    /// Documents of an index.
    Elastic(Arc<LetterIndex>),
    /// Records of a topic of Kafka.
    Kafka(Arc<LetterTopic>),
    /// Objects of S3.
    S3(Arc<LetterBucket>),
}

/// What lies in a store, part by part.
#[derive(Debug)]
pub struct LettersOfStore(Letters);

#[derive(Debug)]
enum Letters {
    Elastic(LettersOfIndex),
    Kafka(LettersOfTopic),
    S3(LettersOfBucket),
}

impl LetterStore {
    /// A store in Elasticsearch or OpenSearch.
    ///
    /// # Errors
    ///
    /// When an option is wrong.
    pub fn elastic(options: &LetterIndexOptions) -> Result<Self, sink::Error> {
        Ok(Self::Elastic(Arc::new(LetterIndex::new(options)?)))
    }

    /// A store in Kafka.
    ///
    /// # Errors
    ///
    /// When an option is wrong.
    pub fn kafka(options: &LetterTopicOptions) -> Result<Self, sink::Error> {
        Ok(Self::Kafka(Arc::new(LetterTopic::new(options)?)))
    }

    /// A store in S3.
    ///
    /// # Errors
    ///
    /// When an option is wrong.
    pub fn s3(options: &LetterBucketOptions) -> Result<Self, sink::Error> {
        Ok(Self::S3(Arc::new(LetterBucket::new(options)?)))
    }

    /// Its kind, as the configuration names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Elastic(_) => "elastic",
            Self::Kafka(_) => "kafka",
            Self::S3(_) => "s3",
        }
    }

    /// Says whether nothing can be removed from it: what was sent again lies there as before.
    #[must_use]
    pub const fn is_append_only(&self) -> bool {
        match self {
            Self::Kafka(_) => true,
            Self::Elastic(_) | Self::S3(_) => false,
        }
    }

    /// Says whether it has room for a letter of this size. The local file has what does not fit.
    pub(super) fn fits(&self, letter: &WrittenLetter) -> bool {
        match self {
            Self::Kafka(topic) => topic.fits(letter),
            Self::Elastic(_) | Self::S3(_) => true,
        }
    }

    /// Writes letters once, and completes when the store has them for good. Dropping the future midway is safe in the sense
    /// that they may be there twice.
    pub(super) async fn keep(&self, letters: &[WrittenLetter]) -> Result<(), Error> {
        match self {
            Self::Elastic(index) => index.keep(letters).await,
            Self::Kafka(topic) => topic.keep(letters).await,
            Self::S3(bucket) => bucket.keep(letters).await,
        }
    }

    /// Asks whether letters could be kept.
    ///
    /// # Errors
    ///
    /// With what stands in the way, and the remedy.
    pub async fn check(&self) -> Result<(), Error> {
        match self {
            Self::Elastic(index) => index.check().await,
            Self::Kafka(topic) => topic.check().await,
            Self::S3(bucket) => bucket.check().await,
        }
    }

    /// All that lies there when the first is asked for.
    #[must_use]
    pub fn letters(&self) -> LettersOfStore {
        LettersOfStore(match self {
            Self::Elastic(index) => Letters::Elastic(LettersOfIndex::new(Arc::clone(index))),
            Self::Kafka(topic) => Letters::Kafka(LettersOfTopic::new(Arc::clone(topic))),
            Self::S3(bucket) => Letters::S3(LettersOfBucket::new(Arc::clone(bucket))),
        })
    }

    /// Removes lines by what holds them and their marks. It may be begun anew at any time: what is not there is removed. Where
    /// the store [is append-only](Self::is_append_only), everything stays.
    ///
    /// # Errors
    ///
    /// With what holds the first of those that could not be removed, and why; all before it are.
    pub async fn remove(&self, lines: &BTreeMap<Arc<str>, BTreeSet<u64>>) -> Result<(), (Arc<str>, Error)> {
        let lines: Vec<(&Arc<str>, &BTreeSet<u64>)> = lines.iter().collect();
        let at_once = match self {
            Self::Elastic(_) => REMOVE_MAX,
            Self::Kafka(_) | Self::S3(_) => 1,
        };
        for lines in lines.chunks(at_once) {
            let Some((holder, marks)) = lines.first() else { continue };
            let mut tries = 0;
            loop {
                let removed = match self {
                    // A document is one letter.
                    Self::Elastic(index) => index.remove(lines.iter().map(|(holder, _)| &***holder)).await,
                    Self::Kafka(_) => Ok(()),
                    Self::S3(bucket) => bucket.remove(holder, marks).await,
                };
                let Err(error) = removed else { break };
                tries += 1;
                match wait(&error, tries, TRIES) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err((Arc::clone(*holder), error)),
                }
            }
        }
        Ok(())
    }
}

impl ReadLetters for LettersOfStore {
    async fn next(&mut self) -> Result<Option<Vec<KeptLine>>, Error> {
        let mut tries = 0;
        loop {
            let read = match &mut self.0 {
                Letters::Elastic(letters) => letters.next().await,
                Letters::Kafka(letters) => letters.next().await,
                Letters::S3(letters) => letters.next().await,
            };
            let error = match read {
                Ok(lines) => return Ok(lines),
                Err(error) => error,
            };
            tries += 1;
            match wait(&error, tries, TRIES) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

/// How long to wait before a call is tried again that was tried so often; `None` where it is not.
pub(super) fn wait(error: &Error, tries: u32, tries_max: u32) -> Option<Duration> {
    let Disposition::Retry { after } = error.disposition else { return None };
    let doubled = WAIT_FIRST.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    (tries < tries_max).then(|| after.unwrap_or(doubled).min(WAIT_MAX))
}
