//! The I/O of an Elasticsearch or OpenSearch sink.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ElasticOptions;
use super::request::Framing;
use super::response::{FILTER_PATH, judge, judge_status};
use crate::delivery::{Batch, Delivery, Disposition, Error, EventView, Sink};
use crate::http::{self, Answer, Client, Compressor, HeaderValue, Method, RequestBuilder, Url};
use crate::sink;

/// An Elasticsearch or OpenSearch cluster.
#[derive(Debug)]
pub struct Elastic {
    client: Client,
    endpoint: Url,
    bulk: Url,
    index: String,
    authorization: Option<HeaderValue>,
    compressor: Compressor,
    framing: Framing,
}

#[derive(Deserialize)]
struct Privileges {
    has_all_requested: bool,
}

impl Elastic {
    /// A sink after these options. Reads the secrets and the CA file; connects to nothing.
    pub fn new(options: &ElasticOptions) -> Result<Self, sink::Error> {
        let endpoint = http::endpoint(&options.endpoint)?;
        if options.index.as_ref().is_some_and(String::is_empty) || options.namespace.is_empty() {
            return Err(sink::Error::Option {
                option: if options.namespace.is_empty() { "namespace" } else { "index" },
                words: "it is empty: name one, or leave it out".into(),
            });
        }
        let index = options.stream();
        let mut bulk = below(&endpoint, &[&index, "_bulk"]);
        bulk.query_pairs_mut().append_pair("filter_path", FILTER_PATH);
        if let Some(pipeline) = &options.pipeline {
            bulk.query_pairs_mut().append_pair("pipeline", pipeline);
        }
        Ok(Self {
            client: Client::new(&options.http)?,
            bulk,
            endpoint,
            index,
            authorization: authorization(options)?,
            compressor: Compressor::gzip(options.compression_level),
            framing: Framing {
                format: options.format,
                namespace: options.is_by_log_type().then(|| options.namespace.clone()),
            },
        })
    }

    /// Asks the cluster at a path below the endpoint. Used by `check` and by [`setup`](super::setup).
    pub(super) async fn ask(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Answer, Error> {
        let mut request = self.client.question(method, &below(&self.endpoint, path));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.client.answer(self.authorized(request)).await
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        }
    }
}

impl Sink for Elastic {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.framing.push(event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let body = self.compressor.body(batch.body());
        let mut request = self.authorized(self.client.post(&self.bulk)).header(CONTENT_TYPE, "application/x-ndjson");
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let answer = self.client.answer(request.body(body.bytes)).await?;
        judge(&answer, batch.len())
    }

    async fn check(&self) -> Result<(), Error> {
        let root = self.ask(Method::GET, &[], None).await?;
        // A key that may do nothing but create documents is answered 403 here, and is a good key all the same.
        if !matches!(root.status, 200 | 403) {
            return Err(judge_status(&root, root.status));
        }
        let mut names = vec![self.index.clone()];
        names.extend(self.framing.namespace.iter().map(|namespace| format!("logs-aws.*-{namespace}")));
        let question = json!({ "index": [{ "names": names, "privileges": ["create_doc"] }] });
        let answer = self.ask(Method::POST, &["_security", "user", "_has_privileges"], Some(&question)).await?;
        match serde_json::from_slice::<Privileges>(&answer.body) {
            Ok(Privileges { has_all_requested: true }) if answer.status == 200 => Ok(()),
            Ok(Privileges { has_all_requested: false }) if answer.status == 200 => Err(Error {
                disposition: Disposition::Pause,
                code: "create_doc".into(),
                words: format!(
                    "these credentials may not create documents in `{}`: grant `create_doc`",
                    names.join("`, `")
                ),
            }),
            // OpenSearch, and Elasticsearch without security, do not know the question. What the root said stands.
            _ if answer.is_passing() || answer.status == 401 => Err(judge_status(&answer, answer.status)),
            _ if root.status == 403 => Err(judge_status(&root, root.status)),
            _ => Ok(()),
        }
    }
}

fn authorization(options: &ElasticOptions) -> Result<Option<HeaderValue>, sink::Error> {
    let secret = |option, error| sink::Error::Secret { option, error };
    let (option, text) = match (&options.api_key, &options.username, &options.password) {
        (None, None, None) => return Ok(None),
        (Some(key), None, None) => {
            let key = key.resolve().map_err(|error| secret("api_key", error))?;
            ("api_key", format!("ApiKey {}", key.expose()))
        }
        (None, Some(user), Some(password)) => {
            let password = password.resolve().map_err(|error| secret("password", error))?;
            ("password", format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose()))))
        }
        (Some(_), _, _) => {
            let words = "write either `api_key`, or `username` and `password`".to_owned();
            return Err(sink::Error::Option { option: "api_key", words });
        }
        (None, _, _) => {
            let words = "`username` and `password` belong together: one of them is missing".to_owned();
            return Err(sink::Error::Option { option: "password", words });
        }
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| http::Error::Header(option))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn below(endpoint: &Url, path: &[&str]) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}
