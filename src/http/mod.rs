//! The one place where HTTP clients are made: TLS, timeouts, proxies, bounded answers, gzip. Floor 5.
//!
//! A sink builds a request with [`Client::post`] and hands it to [`Client::answer`]. What comes back is an [`Answer`],
//! whatever its status, or a [`delivery::Error`](crate::delivery::Error) with [`Disposition::Retry`] where no whole answer
//! came: nothing here retries, and no redirect is followed, because a redirect would carry a token to a place that nobody
//! wrote into the configuration.
//!
//! [`Disposition::Retry`]: crate::delivery::Disposition::Retry

mod answer;
mod client;
mod gzip;
mod options;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use answer::{Answer, words};
pub use client::{Client, endpoint};
pub use gzip::{Body, Gzip};
pub use options::{CompressionLevel, HttpOptions};
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
    /// The TLS library refused: no root certificates on this machine, for one.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A secret or another header's value holds characters that no header may hold.
    #[error("the {0} holds characters that an HTTP header cannot carry: line breaks, for one")]
    Header(&'static str),
}
