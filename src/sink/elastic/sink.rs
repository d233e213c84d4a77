//! The I/O of an Elasticsearch or OpenSearch sink.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;

use super::address::{below, query, urls};
use super::authorization::{Authorization, service};
use super::check::check;
use super::options::{AwsService, ElasticOptions};
use super::request::Framing;
use super::response::{FILTER_PATH, Judged, judge};
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::http::{Answer, Client, Compressor, Endpoints, Method, RequestBuilder, Turn, Url};
use crate::metric::Counter;
use crate::sink;

/// How often the log tells of failure stores, at most.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// An Elasticsearch or OpenSearch cluster.
#[derive(Debug)]
pub struct Elastic {
    client: Client,
    endpoints: Endpoints,
    /// The query of a batch.
    query: String,
    authorization: Authorization,
    compressor: Compressor,
    pub(super) framing: Framing,
    /// Whether the index is one that `siemline setup elastic` makes a template for.
    pub(super) is_named_by_default: bool,
    /// Whether this is OpenSearch Serverless, which has few of the usual paths.
    pub(super) is_aoss: bool,
    failure_stored: Counter,
    told: Mutex<Option<Instant>>,
}

impl Elastic {
    /// A sink after these options. Reads the secrets and the client's files; connects to nothing.
    pub fn new(options: &ElasticOptions) -> Result<Self, sink::Error> {
        let urls = urls(options)?;
        let mut pairs = vec![("filter_path", FILTER_PATH)];
        pairs.extend(options.pipeline.iter().map(|pipeline| ("pipeline", pipeline.as_str())));
        let is_aoss = options.aws.as_ref().is_some_and(|aws| service(aws, urls.first()) == AwsService::Aoss);
        Ok(Self {
            client: Client::new(&options.http)?,
            query: query(&pairs),
            authorization: Authorization::new(options, &urls)?,
            endpoints: Endpoints::new(urls)?,
            compressor: Compressor::gzip(options.compression_level),
            framing: Framing::new(options)?,
            is_named_by_default: options.index.is_none(),
            is_aoss,
            failure_stored: Counter::default(),
            told: Mutex::default(),
        })
    }

    /// How many documents the cluster could not map and put into a failure store. They count as delivered.
    pub fn failure_stored(&self) -> u64 {
        self.failure_stored.get()
    }

    /// Asks the cluster at a path below the endpoint; the next node where one is not there. Used by `check` and by
    /// [`setup`](super::setup).
    pub(super) async fn ask(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Answer, Error> {
        self.ask_with(method, path, &[], body).await
    }

    /// The same, with a query.
    pub(super) async fn ask_with(
        &self,
        method: Method,
        path: &[&str],
        pairs: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let mut nodes_left = self.endpoints.urls().len();
        loop {
            let turn = self.turn()?;
            let mut url = below(turn.url, path.iter().copied());
            if !pairs.is_empty() {
                url.set_query(Some(&query(pairs)));
            }
            let body = body.map(Value::to_string).unwrap_or_default();
            let mut request = self.client.question(method.clone(), &url);
            if !body.is_empty() {
                request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
            }
            let request = self.authorization.authorize(request, &method, &url, body.as_bytes()).await?;
            let answer = self.asked(turn, request).await;
            nodes_left = nodes_left.saturating_sub(1);
            if answer.is_ok() || nodes_left == 0 {
                return answer;
            }
        }
    }

    fn turn(&self) -> Result<Turn<'_>, Error> {
        self.endpoints.turn(Instant::now()).ok_or_else(|| Error {
            disposition: Disposition::Pause,
            code: "endpoint".into(),
            words: "no endpoint is configured".into(),
        })
    }

    /// Sends a request to a node, and takes note of how the node did.
    async fn asked(&self, turn: Turn<'_>, request: RequestBuilder) -> Result<Answer, Error> {
        let mut under_way = UnderWay { endpoints: &self.endpoints, number: turn.number, is_over: false };
        let answer = self.client.answer(request).await;
        under_way.is_over = true;
        self.endpoints.note(turn.number, &answer, Instant::now());
        answer
    }

    /// The URL of a batch at a node.
    fn bulk(&self, node: &Url) -> Url {
        let mut url = below(node, self.framing.names.fixed().into_iter().chain(["_bulk"]));
        url.set_query(Some(&self.query));
        url
    }

    /// Counts what went to a failure store, and tells the log of it once a minute at most.
    fn note_failure_stored(&self, documents: usize, now: Instant) {
        if documents == 0 {
            return;
        }
        self.failure_stored.add_count(documents);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| now.saturating_duration_since(at) < TELL_EVERY) {
            return;
        }
        *told = Some(now);
        drop(told);
        let index = self.framing.names.pattern();
        tracing::warn!(
            index,
            documents = self.failure_stored(),
            "documents could not be mapped and are in the failure store"
        );
    }
}

/// A request to a node. One that is given up in the middle, because it took too long, is the node's failure.
struct UnderWay<'a> {
    endpoints: &'a Endpoints,
    number: usize,
    is_over: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let words = "given up before it was answered".to_owned();
        let error = Error { disposition: Disposition::Retry { after: None }, code: "timeout".into(), words };
        self.endpoints.note(self.number, &Err(error), Instant::now());
    }
}

impl Sink for Elastic {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let documents: Vec<usize> = batch.frames().map(|frame| self.framing.documents(frame)).collect();
        let body = self.compressor.body(batch.body());
        let turn = self.turn()?;
        let url = self.bulk(turn.url);
        let mut request = self.client.post(&url).header(CONTENT_TYPE, "application/x-ndjson");
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let request = self.authorization.authorize(request, &Method::POST, &url, &body.bytes).await?;
        let answer = self.asked(turn, request.body(body.bytes)).await?;
        let Judged { delivery, failure_stored } = judge(&answer, &documents)?;
        self.note_failure_stored(failure_stored, Instant::now());
        Ok(delivery)
    }

    async fn check(&self) -> Result<(), Error> {
        check(self).await
    }
}
