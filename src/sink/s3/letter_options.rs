//! What the configuration says about dead letters in a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArchiveCompression, Encryption, S3Options, StorageClass};

/// Dead letters as NDJSON objects in a bucket of S3, those that are buried together in one object. While S3 does not take them,
/// the local file does. Beside the file there is one store at most.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own, as it is written")]
pub struct LetterBucketOptions {
    /// The bucket, or the ARN of an access point.
    pub bucket: String,
    /// What the keys of the objects begin with, as it stands here. `year=/month=/day=/` of the last attempt and a name follow.
    /// Nothing else may lie below it.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Dead letters hold the originals, which no redaction has seen. Where there are redactions, `true` says that the bucket may
    /// have them all the same.
    #[serde(default)]
    pub unredacted: bool,
    /// How objects are compressed: `gzip`, `zstd` or `none`.
    #[serde(default)]
    pub compression: ArchiveCompression,
    /// How S3 encrypts them: `bucket` (as the bucket says), `s3` (keys of S3) or `kms`.
    #[serde(default)]
    pub encryption: Encryption,
    /// The key of KMS, by its ARN. Default: the bucket's, or the one of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The storage class. Default: `STANDARD`. `GLACIER` and `DEEP_ARCHIVE` are refused: nothing could be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
    /// The account that the bucket must belong to: of another's, S3 takes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<String>,
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
}

impl LetterBucketOptions {
    /// A sink with the same bucket and access, whose calls keep the letters.
    #[must_use]
    pub fn sink(&self) -> S3Options {
        S3Options {
            prefix: self.prefix.clone(),
            compression: self.compression,
            encryption: self.encryption,
            kms_key: self.kms_key.clone(),
            storage_class: self.storage_class,
            bucket_owner: self.bucket_owner.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            path_style: self.path_style,
            fips: self.fips,
            dual_stack: self.dual_stack,
            assume_role: self.assume_role.clone(),
            external_id: self.external_id.clone(),
            ..S3Options::new(&self.bucket)
        }
    }

    /// What does not go together, or cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/!-_.*'()=:@+,".contains(c);
        if !self.prefix.chars().all(is_plain) || self.prefix.len() > 900 {
            let words = "up to 900 letters, digits and signs without braces: no field of an event is filled in here";
            return Some(("prefix", words.to_owned()));
        }
        if matches!(self.storage_class, Some(StorageClass::Glacier | StorageClass::DeepArchive)) {
            let words = "what lies there can only be read after hours, and so not be replayed: `GLACIER_IR` can";
            return Some(("storage_class", words.to_owned()));
        }
        self.sink().mistake()
    }
}

fn prefix() -> String {
    "siemline-dead-letters/".to_owned()
}
