//! The standard output sink at work.

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::options::StdoutOptions;
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::sink::Format;

/// Writes NDJSON to standard output.
#[derive(Debug)]
pub struct StdoutSink {
    format: Format,
    out: Mutex<tokio::io::Stdout>,
}

impl StdoutSink {
    /// A sink after these options.
    #[must_use]
    pub fn new(options: &StdoutOptions) -> Self {
        Self { format: options.format, out: Mutex::new(tokio::io::stdout()) }
    }
}

impl Sink for StdoutSink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.format.push_line(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let mut out = self.out.lock().await;
        let written = async {
            out.write_all(batch.body()).await?;
            out.flush().await
        };
        written.await.map_err(|error: std::io::Error| Error {
            disposition: Disposition::Pause,
            code: "stdout".into(),
            words: format!("cannot write to standard output: {error}"),
        })?;
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
