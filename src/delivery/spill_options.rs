//! What a configuration says about a lane's spill.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OptionsError;
use crate::unit::{Size, Span};

/// Where a lane keeps what its destination does not take, so that the reading goes on for the other sinks. What it holds
/// counts as settled for the checkpoint: it is not read again, but delivered from here, in order, when the destination is
/// back, also after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpillOptions {
    /// A directory for this lane of this process alone; it is made if it is not there, with files that only their owner can
    /// read, since they hold the original bytes. Choose one that a restart of the container does not wipe: what is in it
    /// would be lost to this sink.
    pub directory: PathBuf,
    /// Allows a directory that a restart of the container wipes. What the spill holds then is lost to this sink; without this,
    /// nothing is read. Default: `false`.
    #[serde(default)]
    pub directory_may_vanish: bool,
    /// The most that the spill may take on the disk (compressed). When it is full, it takes nothing more until something is
    /// delivered, and the reading stops as without a spill. Default: `10GiB`.
    #[serde(default = "bytes_max")]
    pub bytes_max: Size,
    /// How long anything waits for the destination before it is put into the spill; and how long the lane's queue must have
    /// been half full, or the memory budget used up, before what comes goes there too. Default: `10s`.
    #[serde(default = "after")]
    pub after: Span,
}

/// What a spill uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillSettings {
    /// Where.
    pub directory: PathBuf,
    /// Whether it may be gone after a restart.
    pub directory_may_vanish: bool,
    /// The most bytes.
    pub bytes_max: NonZeroU64,
    /// How long anything waits for the destination before.
    pub after: Duration,
}

/// With less, not even one part of a chunk would find room.
const BYTES_MIN: Size = Size::mebibytes(1);

const fn bytes_max() -> Size {
    Size::mebibytes(10 << 10)
}

const fn after() -> Span {
    Span::seconds(10)
}

impl SpillOptions {
    /// The settings that these options mean.
    ///
    /// # Errors
    ///
    /// When the bound is too small.
    pub(super) fn settings(&self) -> Result<SpillSettings, OptionsError> {
        let bytes_max = NonZeroU64::new(self.bytes_max.0).filter(|bytes| bytes.get() >= BYTES_MIN.0);
        let bytes_max = bytes_max.ok_or(OptionsError::SpillTooSmall { min: BYTES_MIN })?;
        Ok(SpillSettings {
            directory: self.directory.clone(),
            directory_may_vanish: self.directory_may_vanish,
            bytes_max,
            after: self.after.0,
        })
    }
}
