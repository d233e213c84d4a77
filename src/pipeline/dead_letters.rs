//! Dead letters, kept in a local file.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::options::DeadLetterFileOptions;
use super::run::now_ms;
use crate::delivery::{DeadLetter, DeadLetters, Original, What};
use crate::envelope::{Event, Field, Form, Limits, Peeler, Piece};
use crate::metric::{DeadLetterMeter, Hindrance};
use crate::record::{KnownEvent, Record};
use crate::sink::file::{Rotating, Rotation};

/// Readable by their owner only: dead letters hold the original bytes, which no redaction has seen. Reading them again
/// redacts them; a store that is not on this machine would have to redact first.
const MODE: u32 = 0o600;

/// A dead letter is put aside by size only.
const AGE_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// How long a store that refused is left alone before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Writes dead letters as NDJSON. While the disk refuses, [`DeadLetters::keep`] does not return, which stops the reading.
#[derive(Debug)]
pub struct DeadLetterFile {
    limits: Limits,
    file: Mutex<Rotating>,
    meter: Arc<DeadLetterMeter>,
}

impl DeadLetterFile {
    /// A store after these options; nothing is opened before the first dead letter. `limits` are those the records were
    /// read with: a letter about one event peels its record again.
    #[must_use]
    pub fn new(options: &DeadLetterFileOptions, limits: Limits) -> Self {
        let rotation = Rotation { bytes_max: options.rotate_bytes_max.0, age_max: AGE_MAX, mode: MODE };
        let path = options.directory.join("dead-letters.ndjson");
        Self { limits, file: Mutex::new(Rotating::new(path, rotation)), meter: Arc::default() }
    }

    /// A store beside that of a running process, for what fails again when it is sent again.
    #[must_use]
    pub fn again(options: &DeadLetterFileOptions, limits: Limits) -> Self {
        let rotation = Rotation { bytes_max: options.rotate_bytes_max.0, age_max: AGE_MAX, mode: MODE };
        let path = options.directory.join(format!("dead-letters.again-{}.ndjson", now_ms()));
        Self { limits, file: Mutex::new(Rotating::new(path, rotation)), meter: Arc::default() }
    }

    /// What is counted while it works.
    #[must_use]
    pub fn meter(&self) -> Arc<DeadLetterMeter> {
        Arc::clone(&self.meter)
    }

    fn lines(&self, letters: &[DeadLetter]) -> Vec<u8> {
        let (mut peeler, mut lines) = (Peeler::new(self.limits), Vec::new());
        for letter in letters {
            write_line(letter, &mut peeler, &mut lines);
        }
        lines
    }
}

impl DeadLetters for DeadLetterFile {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        let lines = self.lines(&letters);
        let mut file = self.file.lock().await;
        while let Err(error) = file.append(&lines).await {
            let path = file.path().display();
            tracing::error!(%path, %error, "cannot keep dead letters, reading stops until this is mended");
            let words = format!("cannot write {path}: {error}");
            self.meter.fails(Hindrance { code: "store_failed".into(), words, since_ms: now_ms() });
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        self.meter.keeps(letters.len());
    }
}

/// Writes one letter with the bytes it is about: the event as it stood in its envelopes, or the whole record.
fn write_line(letter: &DeadLetter, peeler: &mut Peeler, lines: &mut Vec<u8>) {
    let (record, index) = letter.place();
    let Some(record) = letter.block.record(record) else {
        return letter.write_line(&Original::Record(&[]), lines);
    };
    let index = match letter.what {
        What::Record(_) => None,
        What::Row(_) | What::Piece { .. } => index,
    };
    if let Some((KnownEvent { is_text, envelope, .. }, _)) = known(record).zip(index) {
        let envelope = envelope.iter().map(|(name, value)| (&**name, &**value)).collect();
        return letter.write_line(&Original::Event { body: &record.data, is_text: *is_text, envelope }, lines);
    }
    let peeled = index.and_then(|index| Some((index, peeler.peel(&record.data, record.arrival_ms).ok()?)));
    let piece = peeled.as_ref().and_then(|(index, peeled)| {
        peeled.pieces().find_map(|piece| match piece {
            Piece::Event(event) if event.index == *index => Some(original(&event)),
            Piece::Refused { index: at, body, .. } if at == *index => Some(Original::Piece(body)),
            _ => None,
        })
    });
    letter.write_line(&piece.unwrap_or(Original::Record(&record.data)), lines);
}

/// What is known of a record that is one event, sent again.
fn known(record: &Record) -> Option<&KnownEvent> {
    record.again.as_ref()?.event.as_ref()
}

fn original<'p>(event: &Event<'p>) -> Original<'p> {
    let told = |field: Field| Some((field.name(), event.context.get(field)?));
    let envelope = Field::ALL.into_iter().filter_map(told).collect();
    Original::Event { body: event.body, is_text: event.form == Form::Text, envelope }
}
