//! The one place where HTTP clients are made: TLS, timeouts, proxies, names, cookies, bounded answers, compression, several
//! endpoints of one destination. Floor 5.
//!
//! A sink builds a request with [`Client::post`] and hands it to [`Client::answer`]. What comes back is an [`Answer`],
//! whatever its status, or a [`delivery::Error`](crate::delivery::Error) with [`Disposition::Retry`] where no whole answer
//! came: nothing here retries, and no redirect is followed, because a redirect would carry a token to a place that nobody
//! wrote into the configuration.
//!
//! [`Disposition::Retry`]: crate::delivery::Disposition::Retry

mod answer;
mod build;
mod client;
mod compress;
mod cookies;
mod endpoints;
mod failure;
mod names;
mod options;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use answer::{Answer, words};
pub use client::{Client, endpoint};
pub use compress::{Body, Compressor};
pub use endpoints::{Endpoints, Turn};
pub use options::{Compression, CompressionLevel, HttpOptions};
pub use reqwest::header::HeaderValue;
pub use reqwest::{Method, RequestBuilder, Url};

/// A client that cannot be made of what the configuration says. None of these shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL.
    #[error("`{0}` is no URL: write one such as https://siem.example.com:8088")]
    Url(String),
    /// The endpoint has a scheme other than http and https.
    #[error("`{0}:` is not spoken here: the endpoint starts with https:// or http://")]
    Scheme(String),
    /// The endpoint holds a user name or a password. It is not shown, because of the password.
    #[error("the endpoint holds a user name or a password: secrets are given as references, beside the endpoint")]
    Credentials,
    /// The endpoint has a query or a fragment.
    #[error("the endpoint `{0}` has a query or a fragment: write scheme, host, port and path only")]
    Query(String),
    /// The CA file cannot be read.
    #[error("cannot read the CA file {path}: {error}")]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The CA file holds no certificate.
    #[error("the CA file {0} holds no certificate in PEM form")]
    Certificates(PathBuf),
    /// The file with the client's certificate or key cannot be read.
    #[error("cannot read the client certificate's file {path}: {error}")]
    IdentityFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The files hold no certificate and key, or not in PEM.
    #[error("{certificates} and {key} do not hold a certificate and its key in PEM form, the key without a password")]
    Identity {
        /// The file with the certificates.
        certificates: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A key without a certificate.
    #[error("`client_key_file` ({0}) needs `client_certificate_file` beside it")]
    KeyAlone(PathBuf),
    /// The proxy is no URL.
    #[error("`{0}` is no proxy: write one such as http://proxy.example.com:3128, or `none`")]
    Proxy(String),
    /// The proxy's user or password is missing or stands in its URL.
    #[error(
        "`proxy`, `proxy_username` and `proxy_password` belong together, and no password stands in the proxy's URL"
    )]
    ProxyCredentials,
    /// The proxy's password cannot be had.
    #[error("proxy_password: {0}")]
    ProxyPassword(crate::secret::Error),
    /// No endpoint, or too many.
    #[error("{0} endpoints are written: one at least, and 64 at most")]
    Endpoints(usize),
    /// The TLS library refused: no root certificates on this machine, for one.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A secret or another header's value holds characters that no header may hold.
    #[error("the {0} holds characters that an HTTP header cannot carry: line breaks, for one")]
    Header(&'static str),
}
