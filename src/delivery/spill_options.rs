//! What a configuration says about a lane's spill.

use std::fmt;
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
///
/// It lies in a `directory` or in `s3`, exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpillOptions {
    /// A directory for this lane of this process alone; it is made if it is not there, with files that only their owner can
    /// read, since they hold the original bytes. Choose one that a restart of the container does not wipe: what is in it
    /// would be lost to this sink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A bucket, for containers without a disk that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Box<SpillBucketOptions>>,
    /// Allows a directory that a restart of the container wipes. What the spill holds then is lost to this sink; without this,
    /// nothing is read. Default: `false`.
    #[serde(default)]
    pub directory_may_vanish: bool,
    /// The most that the spill may take, compressed. When it is full, it takes nothing more until something is
    /// delivered, and the reading stops as without a spill. Default: `10GiB`.
    #[serde(default = "bytes_max")]
    pub bytes_max: Size,
    /// How long anything waits for the destination before it is put into the spill; and how long the lane's queue must have
    /// been half full, or the memory budget used up, before what comes goes there too. Default: `10s`.
    #[serde(default = "after")]
    pub after: Span,
}

/// A spill in a bucket of S3. Every write is an object of its own, and no process but one at a time writes below the prefix.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, as it is written")]
pub struct SpillBucketOptions {
    /// The bucket, or the ARN of an access point.
    pub bucket: String,
    /// What the keys of the objects begin with, as it stands here, and it ends with `/`: for this lane of this process alone. A
    /// process that holds it renews an object `owner` below it; a second one ends with an error, and what one that was killed
    /// held is taken over half a minute later.
    pub prefix: String,
    /// A spill holds the originals, which no redaction has seen. Where there are redactions, `true` says that the bucket may
    /// have them all the same.
    #[serde(default)]
    pub unredacted: bool,
    /// The key of KMS that objects are encrypted with, by its ARN. Default: as the bucket says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The account that the bucket must belong to: of another's, S3 takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<String>,
    /// The region of the bucket. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint, a store that speaks S3, conditional writes included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Whether the bucket stands in the path instead of the host's name, as most emulators want it.
    #[serde(default)]
    pub path_style: bool,
    /// Whether to use the endpoints with FIPS 140 validated cryptography.
    #[serde(default)]
    pub fips: bool,
    /// Whether to use the endpoints that can be reached by IPv4 and IPv6.
    #[serde(default)]
    pub dual_stack: bool,
    /// The role to assume, by its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<String>,
    /// What the role asks for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// What a spill uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillSettings {
    /// Where.
    pub place: SpillPlace,
    /// The most bytes.
    pub bytes_max: NonZeroU64,
    /// How long anything waits for the destination before.
    pub after: Duration,
}

/// Where a spill lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpillPlace {
    /// On a disk.
    Directory {
        /// Where.
        path: PathBuf,
        /// Whether it may be gone after a restart.
        may_vanish: bool,
    },
    /// In a bucket.
    S3(Box<SpillBucketOptions>),
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
    /// When the bound is too small, or the place is none or two.
    pub(super) fn settings(&self) -> Result<SpillSettings, OptionsError> {
        let bytes_max = NonZeroU64::new(self.bytes_max.0).filter(|bytes| bytes.get() >= BYTES_MIN.0);
        let bytes_max = bytes_max.ok_or(OptionsError::SpillTooSmall { min: BYTES_MIN })?;
        let may_vanish = self.directory_may_vanish;
        let place = match (&self.directory, &self.s3) {
            (Some(path), None) => SpillPlace::Directory { path: path.clone(), may_vanish },
            (None, Some(_)) if may_vanish => return Err(OptionsError::SpillMayVanish),
            (None, Some(bucket)) => SpillPlace::S3(bucket.clone()),
            (None, None) | (Some(_), Some(_)) => return Err(OptionsError::SpillPlace),
        };
        Ok(SpillSettings { place, bytes_max, after: self.after.0 })
    }
}

impl fmt::Display for SpillPlace {
    /// As a person finds it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, .. } => path.display().fmt(f),
            Self::S3(options) => write!(f, "s3://{}/{}", options.bucket, options.prefix),
        }
    }
}
