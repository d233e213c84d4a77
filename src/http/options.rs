//! What can be set about a client.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;
use crate::unit::{Size, Span};

/// How a sink speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// How long connecting may take, TLS included.
    pub connect_timeout: Span,
    /// How long connections are used before new ones are made, so that a change of a name's addresses and new nodes behind a
    /// balancer are noticed under steady load too. Certificate and key files are read again then. `0s`: for as long as they
    /// last.
    pub connection_age_max: Span,
    /// How much of an answer is read. What is longer is cut there.
    pub response_bytes_max: Size,
    /// The proxy: `http://proxy.example.com:3128`, or `https://` for one that is spoken to by TLS; `none` for none. Default:
    /// what the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), which is not looked at where this
    /// is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The user at the proxy. It needs `proxy` and `proxy_password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_username: Option<String>,
    /// The user's password at the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_password: Option<SecretRef>,
    /// A PEM file with certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate, and what links it to its authority, that this side shows to a server which asks for
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate, without a password. Default: it stands in `client_certificate_file` too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Span::seconds(10),
            connection_age_max: Span::seconds(300),
            response_bytes_max: Size::mebibytes(8),
            proxy: None,
            proxy_username: None,
            proxy_password: None,
            ca_file: None,
            client_certificate_file: None,
            client_key_file: None,
        }
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// With gzip, which every destination takes.
    #[default]
    Gzip,
    /// With what HTTP calls deflate: zlib.
    Deflate,
    /// With Zstandard: smaller than gzip at the same time, where the destination takes it.
    Zstd,
    /// Not at all.
    None,
}

/// How hard bodies are compressed: 0 sends them plain, 1 is fast, 12 is small. With gzip, level 1 compresses findings to a
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
