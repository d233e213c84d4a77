//! The I/O of a Sumo Logic sink.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::SumoOptions;
use super::request::{BODY_BYTES_MAX, Metadata, headers, push};
use super::response::{judge, judge_probe};
use crate::delivery::{Batch, Delivery, Error, EventView, Sink};
use crate::http::{self, Client, Compressor, HeaderValue, RequestBuilder, Url};
use crate::metric::SumoMeter;
use crate::secret::SecretRef;
use crate::sink::{self, Format};

/// How often the log tells of complaints, at most.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// A Sumo Logic HTTP Logs source.
pub struct Sumo {
    client: Client,
    /// A secret: it is never shown.
    url: Url,
    token: Option<HeaderValue>,
    metadata: Metadata,
    format: Format,
    compressor: Compressor,
    meter: Arc<SumoMeter>,
    told: Mutex<Told>,
}

/// What the log has been told.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    cut_values: u64,
}

impl Sumo {
    /// A sink after these options. Reads the secrets and the client's files; connects to nothing.
    pub fn new(options: &SumoOptions) -> Result<Self, sink::Error> {
        let wrong = |(option, words)| sink::Error::Option { option, words };
        if options.lane.batch_bytes_max.is_some_and(|size| size.0 > BODY_BYTES_MAX) {
            let words = "Sumo takes 1 MB before compression at most: write `1MB` or less".to_owned();
            return Err(wrong(("lane.batch_bytes_max", words)));
        }
        let url = secret("url", &options.url)?;
        // What is wrong with it is told without showing it.
        let url = http::endpoint(&url).map_err(|_| {
            let words =
                "the secret holds no address of an HTTP source, such as https://<endpoint>/receiver/v1/http/<code>";
            wrong(("url", words.to_owned()))
        })?;
        let token = match &options.token {
            None => None,
            Some(token) => {
                let token = secret("token", token)?;
                let mut value = HeaderValue::try_from(token).map_err(|_| http::Error::Header("token"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            client: Client::new(&options.http)?.keeping_cookies(),
            url,
            token,
            metadata: Metadata::new(options).map_err(wrong)?,
            format: options.format,
            compressor: Compressor::new(options.compression, options.compression_level),
            meter: Arc::default(),
            told: Mutex::default(),
        })
    }

    /// What it measures of its own.
    #[must_use]
    pub fn meter(&self) -> Arc<SumoMeter> {
        Arc::clone(&self.meter)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("x-sumo-client", "siemline").header(CONTENT_TYPE, "text/plain; charset=utf-8");
        match &self.token {
            Some(token) => request.header("x-sumo-token", token.clone()),
            None => request,
        }
    }

    /// Tells the log of a complaint, and of values that were cut, once a minute at most.
    fn tell(&self, complaint: Option<&str>, now: Instant) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let cut_values = self.meter.cut_values.get();
        let is_early = told.at.is_some_and(|at| now.saturating_duration_since(at) < TELL_EVERY);
        if is_early || (complaint.is_none() && cut_values == told.cut_values) {
            return;
        }
        let more = cut_values.saturating_sub(told.cut_values);
        *told = Told { at: Some(now), cut_values };
        drop(told);
        let host = self.url.host_str().unwrap_or_default();
        if let Some(complaint) = complaint {
            let requests = self.meter.complaints.get();
            tracing::warn!(host, complaint, requests, "sumo took events and complained about their headers");
        }
        if more > 0 {
            tracing::warn!(host, values = more, "texts were too long for sumo's headers and were cut");
        }
    }
}

impl Sink for Sumo {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        push(self.format, event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.meter.cut_values.add_count(self.metadata.push_bucket(event, out));
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let body = self.compressor.body(batch.body());
        let mut request = self.authorized(self.client.post(&self.url));
        for (name, value) in headers(batch.bucket()) {
            request = request.header(name, value);
        }
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let complaint = judge(&self.client.answer(request.body(body.bytes)).await?)?;
        if complaint.is_some() {
            self.meter.complaints.add(1);
        }
        self.tell(complaint.as_deref(), Instant::now());
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        // Nothing in it, nothing stored; a wrong address or token is answered 401 all the same.
        let probe = self.client.question(http::Method::POST, &self.url);
        judge_probe(&self.client.answer(self.authorized(probe).body("")).await?)
    }
}

impl std::fmt::Debug for Sumo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sumo").field("url", &"***").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

fn secret(option: &'static str, reference: &SecretRef) -> Result<String, sink::Error> {
    let secret = reference.resolve().map_err(|error| sink::Error::Secret { option, error })?;
    Ok(secret.expose().to_owned())
}
