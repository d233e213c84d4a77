//! The I/O of a Splunk HEC sink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};

use super::channel::Name;
use super::collector::{Collector, Line, Patience};
use super::request::{Framing, bucket_of, canary, index_of, raw_url};
use super::response::{Taken, judge, judge_health, judge_probe, judge_taken};
use super::{Mode, SplunkHecOptions};
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink, Verdict, Verdicts};
use crate::http::{self, Client, Compressor, Endpoints, HeaderValue, Method, RequestBuilder, Url};
use crate::metric::SplunkHecMeter;
use crate::secret::SecretRef;
use crate::sink;

/// How often the log tells of possible duplicates, at most.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// How long a canary may take until it is accepted. The wait for its acknowledgement comes on top.
const CANARY_TIMEOUT: Duration = Duration::from_mins(1);

/// Splunk Cloud's names end so.
const CLOUD: &str = ".splunkcloud.com";

/// A Splunk HTTP Event Collector.
#[derive(Debug)]
pub struct SplunkHec {
    client: Client,
    endpoints: Endpoints,
    /// In the order of the endpoints.
    collectors: Vec<Collector>,
    /// The indexes that have a token of their own, and its number. The token without an index is number 0.
    tokens: BTreeMap<String, usize>,
    compressor: Compressor,
    framing: Framing,
    /// `None` without acknowledgement.
    patience: Option<Patience>,
    meter: Arc<SplunkHecMeter>,
    told: Mutex<Option<Instant>>,
}

/// A marked event that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The search that finds it.
    pub search: String,
    /// Whether Splunk said that it is indexed, and not only accepted.
    pub is_indexed: bool,
}

impl SplunkHec {
    /// A sink after these options. Reads the tokens and the client's files; connects to nothing.
    pub fn new(options: &SplunkHecOptions) -> Result<Self, sink::Error> {
        let wrong = |(option, words)| sink::Error::Option { option, words };
        let endpoints = match (&options.endpoint, options.endpoints.as_slice()) {
            (Some(endpoint), []) => Endpoints::parse([endpoint.as_str()])?,
            (None, several @ [_, ..]) => Endpoints::parse(several.iter().map(String::as_str))?,
            _ => return Err(wrong(("endpoint", "write one `endpoint`, or several `endpoints`".to_owned()))),
        };
        let mut headers = vec![authorization("token", &options.token)?];
        let mut tokens = BTreeMap::new();
        for (index, token) in &options.tokens {
            tokens.insert(index.clone(), headers.len());
            headers.push(authorization("tokens", token)?);
        }
        let client = Client::new(&options.http)?;
        let patience = patience(options).map_err(wrong)?;
        Ok(Self {
            collectors: endpoints.urls().iter().map(|url| Collector::new(url.clone(), &headers)).collect(),
            client: if patience.is_some() { client.keeping_cookies() } else { client },
            endpoints,
            tokens,
            compressor: Compressor::gzip(options.compression_level),
            framing: Framing::new(options).map_err(wrong)?,
            patience,
            meter: Arc::default(),
            told: Mutex::default(),
        })
    }

    /// What it measures of its own.
    #[must_use]
    pub fn meter(&self) -> Arc<SplunkHecMeter> {
        Arc::clone(&self.meter)
    }

    /// What "delivered" means here, for people who ask whether the sink is ready.
    #[must_use]
    pub fn promise(&self) -> String {
        let is_cloud = self.endpoints.urls().iter().any(|url| url.host_str().is_some_and(|host| host.ends_with(CLOUD)));
        let means = match (self.patience, is_cloud) {
            (Some(_), _) => "delivered means indexed",
            (None, true) => {
                "delivered means accepted: Splunk Cloud has indexer acknowledgement for Firehose only, so that this is the \
                 strongest word there"
            }
            (None, false) => "delivered means accepted; `acknowledgement = true` waits until it is indexed",
        };
        let index = "whether the token may write to its index only an event can tell: `--canary` sends one";
        format!("{means}; {index}")
    }

    /// Sends one marked event with each token, to its index, and waits until it counts as delivered.
    ///
    /// # Errors
    ///
    /// With what Splunk said, where it is not delivered.
    pub async fn canaries(&self) -> Result<Vec<Canary>, Error> {
        let own = self.framing.fixed_index().unwrap_or_default();
        let mut indexes = vec![own];
        if own.is_empty() || self.framing.has_many_indexes() {
            indexes.extend(self.tokens.keys().map(String::as_str));
        }
        let mut canaries = Vec::new();
        for index in indexes {
            canaries.push(self.canary(index).await?);
        }
        Ok(canaries)
    }

    async fn canary(&self, index: &str) -> Result<Canary, Error> {
        let uid = fastrand::u128(..).to_be_bytes();
        let mode = self.framing.mode();
        let mut batch = Batch::of_bucket(&bucket_of(index));
        let time_ms = jiff::Timestamp::now().as_millisecond();
        batch.push(|out| out.extend_from_slice(&canary(mode, uid, time_ms, index)));
        let timeout = CANARY_TIMEOUT.saturating_add(self.patience.map(|patience| patience.timeout).unwrap_or_default());
        let delivery = tokio::time::timeout(timeout, self.send(&batch)).await.map_err(|_| Error {
            disposition: Disposition::Retry { after: None },
            code: "timeout".into(),
            words: format!("no answer within {}", crate::unit::Span(timeout)),
        })??;
        if let Verdicts::Each(verdicts) = delivery.verdicts {
            let why = verdicts.into_iter().find_map(|verdict| match verdict {
                Verdict::Refused(why) | Verdict::Retry(why) => Some(why),
                Verdict::Accepted | Verdict::Duplicate => None,
            });
            if let Some(why) = why {
                return Err(Error { disposition: Disposition::Refuse, code: why.code, words: why.words });
            }
        }
        let index = if index.is_empty() { "*" } else { index };
        let uid = u128::from_be_bytes(uid);
        let search = match mode {
            Mode::Event => format!("index={index} siemline_uid::{uid:032x}"),
            Mode::Raw => format!("index={index} \"{uid:032x}\""),
        };
        Ok(Canary { search, is_indexed: self.patience.is_some() })
    }

    /// Sends a batch to one endpoint with one token.
    async fn post(&self, number: usize, collector: &Collector, line: &Line, batch: &Batch) -> Result<Delivery, Error> {
        if self.patience.is_some() {
            let opened = collector.open(&self.client).await;
            if let Err(error) = opened {
                self.endpoints.note(number, &Err(error.clone()), Instant::now());
                return Err(error);
            }
        }
        let body = self.compressor.body(batch.body());
        let name = line.name();
        let request = match self.framing.mode() {
            Mode::Event => self.client.post(&collector.event).header(CONTENT_TYPE, "application/json"),
            Mode::Raw => self.client.post(&raw_url(&collector.raw, batch.bucket())).header(CONTENT_TYPE, "text/plain"),
        };
        let mut request = self.named(request, line, &name);
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let answer = self.client.answer(request.body(body.bytes)).await;
        self.endpoints.note(number, &answer, Instant::now());
        let answer = answer?;
        let Some(patience) = self.patience else { return judge(&answer, batch.len()) };
        let (ack_id, slow_down) = match judge_taken(&answer, batch.len())? {
            Taken::Settled(delivery) => return Ok(delivery),
            Taken::Awaits { ack_id, slow_down } => (ack_id, slow_down),
        };
        match collector.indexed(line, &self.client, name, ack_id, patience).await {
            Ok(()) => Ok(Delivery { verdicts: Verdicts::AllAccepted, slow_down }),
            Err(error) => {
                self.meter.possible_duplicates.add_count(batch.len());
                self.tell(&error);
                Err(error)
            }
        }
    }

    /// Asks one endpoint about all tokens. The token comes first: where it is wrong, the rest does not matter.
    async fn check_collector(&self, collector: &Collector) -> Result<(), Error> {
        for line in &collector.lines {
            // Health answers whatever the token is. An empty POST is refused either way, and the code tells whether the token
            // was. Whether the token may write to the index is told by an event only.
            let probe = self.client.question(Method::POST, &collector.event);
            let probe = self.named(probe, line, &line.name());
            judge_probe(&self.client.answer(probe.body("")).await?)?;
            if self.patience.is_some() {
                collector.check_acknowledgement(line, &self.client).await?;
            }
        }
        let health = self.client.question(Method::GET, &collector.health);
        judge_health(&self.client.answer(health).await?)
    }

    /// The request with its token, and with the channel where there is to be an acknowledgement: a token that asks for one is
    /// then told by HEC where nobody would wait for it.
    fn named(&self, request: RequestBuilder, line: &Line, name: &Name) -> RequestBuilder {
        match self.patience {
            Some(_) => line.named(request, name),
            None => request.header(AUTHORIZATION, line.authorization.clone()),
        }
    }

    /// Tells the log of possible duplicates, once a minute at most.
    fn tell(&self, error: &Error) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| now.saturating_duration_since(at) < TELL_EVERY) {
            return;
        }
        *told = Some(now);
        drop(told);
        let entries = self.meter.possible_duplicates.get();
        tracing::warn!(code = &*error.code, error = %error, entries, "splunk took events and did not say that they are indexed");
    }
}

impl Sink for SplunkHec {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push(event, out);
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push_bucket(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let index = std::str::from_utf8(index_of(batch.bucket())).unwrap_or_default();
        let token = self.tokens.get(index).copied().unwrap_or_default();
        let turn = self.endpoints.turn(Instant::now()).map_or(0, |turn| turn.number);
        let collector = self.collectors.get(turn);
        let Some((collector, line)) = collector.and_then(|collector| Some((collector, collector.lines.get(token)?)))
        else {
            // There is a collector for each endpoint, with a line for each token.
            let words = "no endpoint".to_owned();
            return Err(Error { disposition: Disposition::Retry { after: None }, code: "connect".into(), words });
        };
        self.post(turn, collector, line, batch).await
    }

    async fn check(&self) -> Result<(), Error> {
        let mut first = Ok(());
        for collector in &self.collectors {
            if let Err(error) = self.check_collector(collector).await
                && first.is_ok()
            {
                let words = if self.collectors.len() > 1 {
                    format!("{}: {}", origin(&collector.event), error.words)
                } else {
                    error.words
                };
                first = Err(Error { words, ..error });
            }
        }
        first
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn authorization(option: &'static str, token: &SecretRef) -> Result<HeaderValue, sink::Error> {
    let token = token.resolve().map_err(|error| sink::Error::Secret { option, error })?;
    let header = HeaderValue::try_from(format!("Splunk {}", token.expose()));
    let mut header = header.map_err(|_| http::Error::Header("token"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn patience(options: &SplunkHecOptions) -> Result<Option<Patience>, (&'static str, String)> {
    if !options.acknowledgement {
        return Ok(None);
    }
    let (timeout, interval) = (options.acknowledgement_timeout, options.acknowledgement_interval);
    if interval.0.is_zero() || interval >= timeout {
        let words = format!("write more than nothing, and less than `acknowledgement_timeout` ({timeout})");
        return Err(("acknowledgement_interval", words));
    }
    if options.lane.request_timeout.is_some_and(|request| request <= timeout) {
        let words = format!("a request includes the wait for its acknowledgement: write more than {timeout}");
        return Err(("lane.request_timeout", words));
    }
    Ok(Some(Patience { timeout: timeout.0, interval: interval.0 }))
}
