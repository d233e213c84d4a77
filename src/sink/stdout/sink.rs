//! The standard output sink at work.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt as _, Stdout};
use tokio::sync::Mutex;

use super::options::StdoutOptions;
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::sink::Format;

/// Writes NDJSON to standard output, or onto what stands in its place.
#[derive(Debug)]
pub struct StdoutSink<W = Stdout> {
    format: Format,
    out: Mutex<Lines<W>>,
}

/// Where lines go. It knows whether it stands in the middle of one: a batch whose future was dropped midway, since nobody
/// read, leaves its last line torn, and what is written next must not continue it.
#[derive(Debug)]
struct Lines<W> {
    out: W,
    is_midline: bool,
}

impl StdoutSink {
    /// A sink after these options.
    #[must_use]
    pub fn new(options: &StdoutOptions) -> Self {
        Self::onto(options, tokio::io::stdout())
    }
}

impl<W> StdoutSink<W> {
    /// The same onto something else: one end of a pipe.
    #[must_use]
    pub fn onto(options: &StdoutOptions, out: W) -> Self {
        Self { format: options.format, out: Mutex::new(Lines { out, is_midline: false }) }
    }
}

impl<W: AsyncWrite + Unpin> Lines<W> {
    /// Appends whole lines. Dropping the future midway leaves a torn one, which is ended before the next.
    async fn append(&mut self, mut lines: &[u8]) -> io::Result<()> {
        if self.is_midline {
            self.out.write_all(b"\n").await?;
            self.is_midline = false;
        }
        while !lines.is_empty() {
            // A write that is dropped has written nothing, so what is noted of the last one stays right.
            let written = self.out.write(lines).await?;
            let (taken, rest) = lines.split_at_checked(written).unwrap_or((lines, &[]));
            let Some(last) = taken.last() else { return Err(io::ErrorKind::WriteZero.into()) };
            self.is_midline = *last != b'\n';
            lines = rest;
        }
        self.out.flush().await
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> Sink for StdoutSink<W> {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.format.push_line(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        self.out.lock().await.append(batch.body()).await.map_err(|error| Error {
            disposition: Disposition::Pause,
            code: "stdout".into(),
            words: format!("cannot write to standard output: {error}: see to what reads it, or to where it goes"),
        })?;
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}
