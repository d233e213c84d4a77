//! Where dead letters are kept: in a local file, or in a store on the network, and in the file where that does not take them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::letter_lines::written;
use super::letter_store::LetterStore;
use super::options::DeadLetterFileOptions;
use super::remote::Remote;
use super::run::now_ms;
use crate::delivery::{DeadLetter, DeadLetters, WrittenLetter};
use crate::envelope::Limits;
use crate::metric::{DeadLetterMeter, Hindrance};
use crate::sink::file::{Rotating, Rotation};

/// Readable by their owner only: dead letters hold the original bytes, which no redaction has seen. Reading them again
/// redacts them.
const MODE: u32 = 0o600;

/// A dead letter is put aside by size only.
const AGE_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// How long a disk that refused is left alone before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Keeps dead letters. While neither the store on the network nor the disk takes them, [`DeadLetters::keep`] does not return,
/// which stops the reading.
#[derive(Debug)]
pub struct DeadLetterStores {
    limits: Limits,
    remote: Option<Remote>,
    file: Mutex<Rotating>,
    meter: Arc<DeadLetterMeter>,
}

impl DeadLetterStores {
    /// The file of these options; nothing is opened before the first dead letter. `limits` are those the records were
    /// read with: a letter about one event peels its record again.
    #[must_use]
    pub fn new(options: &DeadLetterFileOptions, limits: Limits) -> Self {
        Self::named(options, limits, "dead-letters.ndjson")
    }

    /// A file beside that of a running process, for what fails again when it is sent again.
    #[must_use]
    pub fn again(options: &DeadLetterFileOptions, limits: Limits) -> Self {
        Self::named(options, limits, &format!("dead-letters.again-{}.ndjson", now_ms()))
    }

    /// The same with a store on the network before it, if there is one: the file has what that does not take.
    #[must_use]
    pub fn behind(self, store: Option<LetterStore>) -> Self {
        let meter = Arc::clone(&self.meter);
        Self { remote: store.map(|store| Remote::new(store, meter)), ..self }
    }

    /// What is counted while it works.
    #[must_use]
    pub fn meter(&self) -> Arc<DeadLetterMeter> {
        Arc::clone(&self.meter)
    }

    fn named(options: &DeadLetterFileOptions, limits: Limits, name: &str) -> Self {
        let rotation = Rotation { bytes_max: options.rotate_bytes_max.0, age_max: AGE_MAX, mode: MODE };
        let file = Mutex::new(Rotating::new(options.directory.join(name), rotation));
        Self { limits, remote: None, file, meter: Arc::default() }
    }

    /// Keeps letters in this store on the network, and in the file where it does not take them.
    async fn keep_by(&self, remote: Option<&Remote>, letters: &[WrittenLetter]) {
        if letters.is_empty() {
            return;
        }
        loop {
            if let Some(remote) = remote
                && remote.keep(letters).await
            {
                break;
            }
            let Err(mut words) = self.file(letters).await else {
                if self.remote.is_some() {
                    self.meter.fell_back.add_count(letters.len());
                }
                break;
            };
            if let Some(remote) = remote {
                // There is no other way out than that one of the two is mended.
                remote.wake();
                if let Some(why) = self.meter.store_hindrance() {
                    words = format!("{words}; and {} does not take them: {}", remote.kind(), why.words);
                }
            }
            tracing::error!(error = words, "cannot keep dead letters, reading stops until this is mended");
            self.meter.fails(Hindrance { code: "store_failed".into(), words, since_ms: now_ms() });
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        self.meter.keeps(letters.len());
    }

    /// Writes them to the file.
    async fn file(&self, letters: &[WrittenLetter]) -> Result<(), String> {
        let lines: Vec<&[u8]> = letters.iter().map(|letter| letter.line.as_slice()).collect();
        let mut file = self.file.lock().await;
        file.append(&lines.concat()).await.map_err(|error| format!("cannot write {}: {error}", file.path().display()))
    }
}

impl DeadLetters for DeadLetterStores {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        let letters = written(&letters, self.limits);
        let remote = self.remote.as_ref();
        let fits = |letter: &WrittenLetter| remote.is_none_or(|remote| remote.fits(letter));
        let (fitting, large): (Vec<_>, Vec<_>) = letters.into_iter().partition(fits);
        self.keep_by(remote, &fitting).await;
        if !large.is_empty() {
            tracing::warn!(
                letters = large.len(),
                "the store does not take letters as large as these, the local file does"
            );
        }
        self.keep_by(None, &large).await;
    }
}
