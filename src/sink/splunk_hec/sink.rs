//! The I/O of a Splunk HEC sink.

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};

use super::SplunkHecOptions;
use super::request::Framing;
use super::response::{judge, judge_health, judge_probe};
use crate::delivery::{Batch, Delivery, Error, EventView, Sink};
use crate::http::{self, Client, Compressor, HeaderValue, Method, Url};
use crate::sink;

/// A Splunk HTTP Event Collector.
#[derive(Debug)]
pub struct SplunkHec {
    client: Client,
    event: Url,
    health: Url,
    authorization: HeaderValue,
    compressor: Compressor,
    framing: Framing,
}

impl SplunkHec {
    /// A sink after these options. Reads the token and the CA file; connects to nothing.
    pub fn new(options: &SplunkHecOptions) -> Result<Self, sink::Error> {
        let token = options.token.resolve().map_err(|error| sink::Error::Secret { option: "token", error })?;
        let mut authorization =
            HeaderValue::try_from(format!("Splunk {}", token.expose())).map_err(|_| http::Error::Header("token"))?;
        authorization.set_sensitive(true);
        let collector = collector(http::endpoint(&options.endpoint)?);
        Ok(Self {
            client: Client::new(&options.http)?,
            event: below(&collector, "event"),
            health: below(&collector, "health"),
            authorization,
            compressor: Compressor::gzip(options.compression_level),
            framing: Framing::new(options),
        })
    }
}

impl Sink for SplunkHec {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let body = self.compressor.body(batch.body());
        let mut request = self
            .client
            .post(&self.event)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let answer = self.client.answer(request.body(body.bytes)).await?;
        judge(&answer, batch.len())
    }

    async fn check(&self) -> Result<(), Error> {
        let health = self.client.question(Method::GET, &self.health);
        judge_health(&self.client.answer(health).await?)?;
        // Health answers whatever the token is. An empty POST is refused either way, and the code tells whether the token
        // was. Whether the token may write to the index is told by the first event only.
        let probe = self.client.question(Method::POST, &self.event);
        let probe = probe.header(AUTHORIZATION, self.authorization.clone()).body("");
        judge_probe(&self.client.answer(probe).await?)
    }
}

/// The collector's base. People write the endpoint with the path or without.
fn collector(mut endpoint: Url) -> Url {
    let path = endpoint.path().trim_end_matches('/').to_owned();
    let base = path.strip_suffix("/1.0").unwrap_or(&path);
    let base = base.strip_suffix("/event").unwrap_or(base);
    let base = base.strip_suffix("/services/collector").unwrap_or(base);
    endpoint.set_path(&format!("{base}/services/collector"));
    endpoint
}

fn below(collector: &Url, segment: &str) -> Url {
    let mut url = collector.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(segment);
    }
    url
}
