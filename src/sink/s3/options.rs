//! What the configuration says about an S3 sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::aws::Access;
use crate::delivery::{LaneDefaults, LaneOptions};
use crate::http::{Compression, CompressionLevel};
use crate::sink::Format;
use crate::unit::{Size, Span};

/// Writes events as NDJSON objects to a bucket of S3. An object holds one batch: what waits for `batch_age_max`, or less
/// where it is full before. A batch that is sent again overwrites itself; events that are read again after a crash may stand
/// in two objects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Options {
    /// The bucket, or the ARN of an access point.
    pub bucket: String,
    /// What the keys of the objects begin with. `{fields}` of the event are filled in: `{log_type}`, `{account}`, `{region}`,
    /// `{severity}`, `{source}`, `{time:%Y}` (the time of the event), or an OCSF attribute. Each different text is an
    /// object of its own; of more than 64 at a time the oldest is written before it is full.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// What is written: `ocsf`, `ecs`, `cim`, or `raw`, the event as AWS wrote it.
    #[serde(default)]
    pub format: Format,
    /// How objects are compressed: `gzip`, `zstd` or `none`.
    #[serde(default)]
    pub compression: ArchiveCompression,
    /// How hard: 0 (not at all) to 12.
    #[serde(default)]
    pub compression_level: CompressionLevel,
    /// How S3 encrypts them: `bucket` (as the bucket says), `s3` (keys of S3) or `kms`.
    #[serde(default)]
    pub encryption: Encryption,
    /// The key of KMS, by its ARN. Default: the bucket's, or the one of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The storage class. Default: `STANDARD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
    /// The account that the bucket must belong to: of another's, S3 takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<String>,
    /// An object that is larger than this, compressed, goes in parts of this size: 5 MiB at the least.
    #[serde(default = "part_bytes")]
    pub part_bytes: Size,
    /// The region of the bucket. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint, a store that speaks S3.
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
    /// Batches, retries and pacing. The sink's own defaults: 100000 entries, 16MiB, 1m, 4 requests at once, 5m for a request.
    #[serde(default)]
    pub lane: LaneOptions,
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveCompression {
    /// With gzip: `.ndjson.gz`.
    #[default]
    Gzip,
    /// With Zstandard: `.ndjson.zst`.
    Zstd,
    /// Not at all: `.ndjson`.
    None,
}

/// How S3 encrypts objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// As the bucket says.
    #[default]
    Bucket,
    /// With keys of S3 (SSE-S3).
    S3,
    /// With a key of KMS (SSE-KMS).
    Kms,
}

/// The storage classes of S3 that an object can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// For what is read often.
    Standard,
    /// Cheaper to keep, dearer to read.
    StandardIa,
    /// The same in one zone.
    OnezoneIa,
    /// S3 moves objects by their use.
    IntelligentTiering,
    /// For archives that are read at once.
    GlacierIr,
    /// For archives that are read after minutes or hours.
    Glacier,
    /// For archives that are read after half a day.
    DeepArchive,
}

impl S3Options {
    /// What its lane takes where the options say nothing: few large objects.
    pub const LANE: LaneDefaults = LaneDefaults {
        batch_entries_max: 100_000,
        batch_bytes_max: Size::mebibytes(16),
        batch_age_max: Span::seconds(60),
        event_bytes_max: None,
        requests_in_flight_max: 4,
        request_timeout: Span::seconds(300),
    };

    /// The defaults, for this bucket.
    #[must_use]
    pub fn new(bucket: &str) -> Self {
        Self {
            bucket: bucket.to_owned(),
            prefix: prefix(),
            format: Format::default(),
            compression: ArchiveCompression::default(),
            compression_level: CompressionLevel::default(),
            encryption: Encryption::default(),
            kms_key: None,
            storage_class: None,
            bucket_owner: None,
            part_bytes: part_bytes(),
            region: None,
            endpoint_url: None,
            path_style: false,
            fips: false,
            dual_stack: false,
            assume_role: None,
            external_id: None,
            lane: LaneOptions::default(),
        }
    }

    /// How the bucket is accessed.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        Access {
            region: self.region.as_deref(),
            assume_role: self.assume_role.as_deref(),
            external_id: self.external_id.as_deref(),
            session: Some("s3"),
            use_fips: self.fips,
            use_dual_stack: self.dual_stack,
        }
    }

    /// What does not go together, or cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let is_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        let is_bucket = (3..=63).contains(&self.bucket.len()) && self.bucket.chars().all(is_named);
        if !is_bucket && !self.bucket.starts_with("arn:") {
            let words =
                "a bucket's name has 3 to 63 lowercase letters, digits, `.` and `-`; what follows belongs to `prefix`";
            return Some(("bucket", format!("`{}` is no bucket: {words}", self.bucket)));
        }
        if self.prefix.starts_with('/') {
            return Some(("prefix", "a key begins without a slash: leave it out".to_owned()));
        }
        if self.kms_key.is_some() && self.encryption != Encryption::Kms {
            return Some(("kms_key", "a key of KMS is used with `encryption = \"kms\"` only".to_owned()));
        }
        if self.part_bytes < Size::mebibytes(5) {
            return Some(("part_bytes", "S3 takes no part below 5MiB".to_owned()));
        }
        let is_account = |text: &String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !self.bucket_owner.as_ref().is_none_or(is_account) {
            return Some(("bucket_owner", "an account has 12 digits".to_owned()));
        }
        let is_role = |role: &String| role.starts_with("arn:") && role.contains(":role/");
        if !self.assume_role.as_ref().is_none_or(is_role) {
            return Some(("assume_role", "write the role as `arn:aws:iam::<account>:role/<name>`".to_owned()));
        }
        if self.external_id.is_some() && self.assume_role.is_none() {
            return Some(("external_id", "`external_id` belongs to a role: name it in `assume_role`".to_owned()));
        }
        None
    }
}

impl From<ArchiveCompression> for Compression {
    fn from(compression: ArchiveCompression) -> Self {
        match compression {
            ArchiveCompression::Gzip => Self::Gzip,
            ArchiveCompression::Zstd => Self::Zstd,
            ArchiveCompression::None => Self::None,
        }
    }
}

impl StorageClass {
    /// The name that S3 knows it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }
}

fn prefix() -> String {
    "siemline/{log_type}/year={time:%Y}/month={time:%m}/day={time:%d}/hour={time:%H}/".to_owned()
}

fn part_bytes() -> Size {
    Size::mebibytes(16)
}
