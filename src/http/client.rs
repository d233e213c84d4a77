//! The client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::dns::Resolve;
use reqwest::header::{COOKIE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, Url};

use super::answer::{Answer, retry_after};
use super::build::build;
use super::cookies::Cookies;
use super::failure::failure;
use super::names::SystemNames;
use super::{Error, HttpOptions};
use crate::delivery;

/// How long a question may take: what `check` and `setup` ask. Batches are bounded by the lane's `request_timeout`.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Speaks HTTP/1.1 and HTTP/2 over connections that are used again until they are `connection_age_max` old. Cheap to clone;
/// clones share connections and cookies.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    /// `None` where cookies are not kept.
    cookies: Option<Arc<Cookies>>,
}

struct Shared {
    options: HttpOptions,
    names: Arc<dyn Resolve>,
    current: Mutex<Current>,
}

/// The connections in use.
struct Current {
    client: reqwest::Client,
    since: Instant,
}

impl Client {
    /// A client after these options. Reads the files and secrets that they name, and the system's certificates; connects to
    /// nothing.
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        Self::with_names(options, Arc::new(SystemNames))
    }

    /// The same, with names resolved in another way.
    pub(super) fn with_names(options: &HttpOptions, names: Arc<dyn Resolve>) -> Result<Self, Error> {
        let current = Current { client: build(options, &names)?, since: Instant::now() };
        let shared = Shared { options: options.clone(), names, current: Mutex::new(current) };
        Ok(Self { shared: Arc::new(shared), cookies: None })
    }

    /// The same client, which gives cookies back to the server that set them: a load balancer then keeps it at one node.
    #[must_use]
    pub fn keeping_cookies(self) -> Self {
        Self { cookies: Some(Arc::default()), ..self }
    }

    /// Begins the POST of a batch. The caller bounds it in time: the lane's `request_timeout`.
    pub fn post(&self, url: &Url) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins the request of a batch in another method. The caller bounds it in time.
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.shared.client(Instant::now()).request(method, url.clone());
        match self.cookies.as_ref().and_then(|cookies| cookies.header(url)) {
            Some(cookies) => request.header(COOKIE, cookies),
            None => request,
        }
    }

    /// Begins a question: a small request that has to be answered within 20 s.
    pub fn question(&self, method: Method, url: &Url) -> RequestBuilder {
        self.request(method, url).timeout(QUESTION_TIMEOUT)
    }

    /// Sends a request once and reads the answer, up to `response_bytes_max`. Dropping it midway closes the connection; the
    /// server may or may not have taken the request.
    ///
    /// # Errors
    ///
    /// Where no whole answer came: `connect`, `dns`, `timeout`, `cut`, `network`, all of them to be retried; `tls` and
    /// `proxy`, which pause where a person has to mend something; and `request` for a request that cannot be written, which
    /// pauses.
    pub async fn answer(&self, request: RequestBuilder) -> Result<Answer, delivery::Error> {
        let response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        if let Some(cookies) = &self.cookies {
            cookies.note(response.url(), response.headers());
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, Timestamp::now()));
        let (body, truncated) = self.read(response).await.map_err(failure)?;
        Ok(Answer { status, retry_after, body, truncated })
    }

    async fn read(&self, mut response: Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
        let response_bytes_max = self.shared.options.response_bytes_max.bytes();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await? {
            let room = response_bytes_max.saturating_sub(body.len());
            if part.len() > room {
                body.extend_from_slice(part.get(..room).unwrap_or_default());
                return Ok((body, true));
            }
            body.extend_from_slice(&part);
        }
        Ok((body, false))
    }
}

impl Shared {
    /// The client in use. When its connections are old, one with new connections takes its place: requests under way end on
    /// the old ones, which are closed behind them. Making it takes some milliseconds, most of them for the certificates.
    fn client(&self, now: Instant) -> reqwest::Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let age_max = self.options.connection_age_max.0;
        if !age_max.is_zero() && now.saturating_duration_since(current.since) >= age_max {
            match build(&self.options, &self.names) {
                Ok(client) => current.client = client,
                // A file that is just being replaced, say. What worked goes on working.
                Err(error) => tracing::warn!(error = %error, "cannot renew connections: the old ones stay in use"),
            }
            current.since = now;
        }
        current.client.clone()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
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
