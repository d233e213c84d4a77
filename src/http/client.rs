//! The client.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::RETRY_AFTER;
use reqwest::{Certificate, Method, RequestBuilder, Response, Url, redirect};

use super::answer::{Answer, retry_after};
use super::{Error, HttpOptions};
use crate::delivery::{self, Disposition};

/// Idle connections are closed before the usual load balancer closes them (60 s), so that a request does not run into
/// a connection that is just being taken away.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// How long a question may take: what `check` and `setup` ask. Batches are bounded by the lane's `request_timeout`.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Speaks HTTP/1.1 and HTTP/2 over connections that are used again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    response_bytes_max: usize,
}

impl Client {
    /// A client after these options. Reads the CA file and the system's certificates.
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        // The second and later calls of one process find the provider installed, which is what is wanted.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("siemline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout.0)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(redirect::Policy::none())
            .referer(false);
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path).map_err(|error| Error::CaFile { path: path.clone(), error })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(Error::Certificates(path.clone()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let inner = builder.build().map_err(|error| Error::Tls(chain(error)))?;
        Ok(Self { inner, response_bytes_max: options.response_bytes_max.bytes() })
    }

    /// Begins the POST of a batch. The caller bounds it in time: the lane's `request_timeout`.
    pub fn post(&self, url: &Url) -> RequestBuilder {
        self.inner.request(Method::POST, url.clone())
    }

    /// Begins a question: a small request that has to be answered within 20 s.
    pub fn question(&self, method: Method, url: &Url) -> RequestBuilder {
        self.inner.request(method, url.clone()).timeout(QUESTION_TIMEOUT)
    }

    /// Sends a request once and reads the answer, up to `response_bytes_max`. Dropping it midway closes the connection; the
    /// server may or may not have taken the request.
    ///
    /// # Errors
    ///
    /// Where no whole answer came: `connect`, `timeout`, `cut`, `network`, all of them to be retried, and `request` for
    /// a request that cannot be written, which pauses.
    pub async fn answer(&self, request: RequestBuilder) -> Result<Answer, delivery::Error> {
        let response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, Timestamp::now()));
        let (body, truncated) = self.read(response).await.map_err(failure)?;
        Ok(Answer { status, retry_after, body, truncated })
    }

    async fn read(&self, mut response: Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await? {
            let room = self.response_bytes_max.saturating_sub(body.len());
            if part.len() > room {
                body.extend_from_slice(part.get(..room).unwrap_or_default());
                return Ok((body, true));
            }
            body.extend_from_slice(&part);
        }
        Ok((body, false))
    }
}

/// Reads an endpoint: http or https, a host, maybe a port and a path; no credentials, no query. Paths are appended to it
/// as segments, so a slash at its end is dropped.
pub fn endpoint(text: &str) -> Result<Url, Error> {
    // A text that is no URL is shown, unless it could hold a password.
    let shown = if text.contains('@') { "***" } else { text };
    let mut url = Url::parse(text).map_err(|_| Error::Url(shown.to_owned()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(if text.contains('@') { Error::Credentials } else { Error::Scheme(url.scheme().to_owned()) });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::Query(shown.to_owned()));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
    }
    Ok(url)
}

/// A request that came to no answer, without its URL.
fn failure(error: reqwest::Error) -> delivery::Error {
    let retry = Disposition::Retry { after: None };
    let (disposition, code, what) = if error.is_builder() {
        (Disposition::Pause, "request", "the request cannot be written")
    } else if error.is_connect() {
        (retry, "connect", "cannot connect")
    } else if error.is_timeout() {
        (retry, "timeout", "no whole answer in time")
    } else if error.is_body() || error.is_decode() || is_cut(&error) {
        (retry, "cut", "the connection was cut before the whole answer was there")
    } else {
        (retry, "network", "the request failed on its way")
    };
    delivery::Error { disposition, code: code.into(), words: format!("{what}: {}", chain(error)) }
}

/// Says whether the connection ended while an answer was awaited.
fn is_cut(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some() || error.to_string().contains("before message completed") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes, without the URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    super::words(words.as_bytes())
}
