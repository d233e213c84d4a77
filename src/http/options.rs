//! What can be set about a client.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::{Size, Span};

/// How a sink speaks HTTP. Proxies are taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// How long connecting may take, TLS included.
    pub connect_timeout: Span,
    /// How much of an answer is read. What is longer is cut there.
    pub response_bytes_max: Size,
    /// A PEM file with certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { connect_timeout: Span::seconds(10), response_bytes_max: Size::mebibytes(8), ca_file: None }
    }
}

/// How hard bodies are compressed with gzip: 0 sends them plain, 1 is fast, 12 is small. Level 1 compresses findings to a
/// sixth at a quarter of a millisecond per 100 kB; level 6 to an eighth at more than twice the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "u8")]
pub struct CompressionLevel(#[schemars(range(max = 12))] u8);

impl CompressionLevel {
    /// Bodies go plain.
    pub const NONE: Self = Self(0);

    /// The level, 0 to 12.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for CompressionLevel {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for CompressionLevel {
    type Error = String;

    fn try_from(level: u8) -> Result<Self, String> {
        if level <= 12 { Ok(Self(level)) } else { Err(format!("{level} is no compression level: write 0 to 12")) }
    }
}
