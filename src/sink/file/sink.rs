//! The file sink at work.

use std::io::ErrorKind;

use tokio::sync::Mutex;

use super::options::FileOptions;
use super::rotation::{Rotating, Rotation};
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::sink::Format;

/// Readable by the group, as logs are.
const MODE: u32 = 0o640;

/// Writes NDJSON files.
#[derive(Debug)]
pub struct FileSink {
    format: Format,
    file: Mutex<Rotating>,
}

impl FileSink {
    /// A sink after these options; the file is opened at the first batch.
    #[must_use]
    pub fn new(options: &FileOptions) -> Self {
        let rotation =
            Rotation { bytes_max: options.rotate_bytes_max.0, age_max: options.rotate_age_max.0, mode: MODE };
        Self { format: options.format, file: Mutex::new(Rotating::new(options.path.clone(), rotation)) }
    }

    async fn append(&self, lines: &[u8]) -> Result<(), Error> {
        let mut file = self.file.lock().await;
        file.append(lines).await.map_err(|error| Error {
            disposition: Disposition::Retry { after: None },
            code: "file".into(),
            words: format!("cannot write {}: {error}{}", file.path().display(), remedy(error.kind())),
        })
    }
}

impl Sink for FileSink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.format.push_line(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        self.append(batch.body()).await?;
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        self.append(&[]).await
    }
}

/// What a person can do about it, where there is something. The lane tries again meanwhile, and loses nothing.
pub(super) fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on its disk",
        ErrorKind::FileTooLarge => "; write a lower `rotate_bytes_max`, or let the process write larger files",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "; let the user of this process write there",
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "; name a file in `path`, in a directory"
        }
        _ => "",
    }
}
