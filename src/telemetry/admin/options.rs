//! What can be set about the admin server.

use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Health, readiness, metrics and status over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminOptions {
    /// Where to answer, as an address with a port: `127.0.0.1:9600` for this machine alone, `0.0.0.0:9600` where probes and
    /// scrapers come from elsewhere, as on Kubernetes. Off unless written. It answers `/healthz`, `/readyz`, `/metrics`
    /// (Prometheus), `/status` (JSON) and `/` (a page), to whoever can reach it: no event and no secret is among it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<Listen>,
}

/// An address with a port. With the port 0 the system chooses one, and the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(pub SocketAddr);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is no address with a port: write one such as 127.0.0.1:9600, or [::1]:9600 for IPv6")
        })
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
