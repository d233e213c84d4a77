//! The I/O of an HTTP sink.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName};

use super::response::{Success, judge, judge_check};
use super::{BodyForm, HttpSinkOptions, WriteMethod};
use crate::delivery::{Batch, Delivery, Error, EventView, Sink};
use crate::http::{self, Client, Compressor, HeaderValue, Method, Url};
use crate::secret::SecretRef;
use crate::sink::{self, Format};

/// Headers that the client writes itself.
const OWN_HEADERS: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST];

/// An HTTP endpoint that takes events.
pub struct HttpSink {
    client: Client,
    method: Method,
    /// Maybe a secret: it is never shown.
    url: Url,
    check_url: Option<Url>,
    headers: HeaderMap,
    content_type: HeaderValue,
    body: BodyForm,
    format: Format,
    success: Success,
    compressor: Compressor,
}

impl HttpSink {
    /// A sink after these options. Reads the secrets and the client's files; connects to nothing.
    pub fn new(options: &HttpSinkOptions) -> Result<Self, sink::Error> {
        let client = Client::new(&options.http)?;
        let content_type = options.content_type.as_deref().unwrap_or(options.body.content_type());
        if let Some(verify) = &options.verify_body
            && !(verify.pointer.is_empty() || verify.pointer.starts_with('/'))
        {
            return Err(wrong("verify_body", "`pointer` is a JSON pointer such as `/failed`: it begins with a slash"));
        }
        Ok(Self {
            client: if options.cookies { client.keeping_cookies() } else { client },
            method: match options.method {
                WriteMethod::Post => Method::POST,
                WriteMethod::Put => Method::PUT,
            },
            url: target(options)?,
            check_url: options.check_url.as_deref().map(|text| place("check_url", text)).transpose()?,
            headers: headers(options)?,
            content_type: HeaderValue::try_from(content_type).map_err(|_| http::Error::Header("content_type"))?,
            body: options.body,
            format: options.format,
            success: Success { statuses: options.success.clone(), verify: options.verify_body.clone() },
            compressor: Compressor::new(options.compression, options.compression_level),
        })
    }
}

impl Sink for HttpSink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        self.body.push(self.format, event, out);
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let body = self.compressor.body(&self.body.body(batch));
        let request = self.client.request(self.method.clone(), &self.url).headers(self.headers.clone());
        let mut request = request.header(CONTENT_TYPE, self.content_type.clone());
        if let Some(encoding) = body.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        judge(&self.client.answer(request.body(body.bytes)).await?, &self.success)?;
        Ok(Delivery::accepted())
    }

    async fn check(&self) -> Result<(), Error> {
        let question = match &self.check_url {
            Some(url) => self.client.question(Method::GET, url),
            None => self.client.question(Method::HEAD, &self.url),
        };
        let answer = self.client.answer(question.headers(self.headers.clone())).await?;
        judge_check(&answer, &self.success, self.check_url.is_some())
    }
}

impl std::fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("url", &"***").field("success", &self.success).finish_non_exhaustive()
    }
}

fn target(options: &HttpSinkOptions) -> Result<Url, sink::Error> {
    match (&options.url, &options.secret_url) {
        (Some(url), None) => place("url", url),
        (None, Some(url)) => {
            let url = url.resolve().map_err(|error| sink::Error::Secret { option: "secret_url", error })?;
            // What is wrong with it is told without showing it.
            place("secret_url", url.expose())
        }
        _ => Err(wrong("url", "write either `url` or `secret_url`")),
    }
}

/// Reads an address, its query included. It is not shown in a message: a query may hold a key.
fn place(option: &'static str, text: &str) -> Result<Url, sink::Error> {
    let url = Url::parse(text).map_err(|_| wrong(option, "this is no URL such as https://siem.example.com/ingest"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(option, "it starts with https:// or http://, and names a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(http::Error::Credentials.into());
    }
    if url.fragment().is_some() {
        return Err(wrong(option, "what follows `#` is never sent: leave it out"));
    }
    Ok(url)
}

fn headers(options: &HttpSinkOptions) -> Result<HeaderMap, sink::Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let value = HeaderValue::try_from(value).map_err(|_| http::Error::Header("headers"))?;
        put(&mut headers, "headers", name, value)?;
    }
    for (name, reference) in &options.secret_headers {
        put(&mut headers, "secret_headers", name, secret_value("secret_headers", reference, str::to_owned)?)?;
    }
    let authorization = match (&options.bearer_token, &options.username, &options.password) {
        (None, None, None) => return Ok(headers),
        (Some(token), None, None) => secret_value("bearer_token", token, |token| format!("Bearer {token}"))?,
        (None, Some(user), Some(password)) => secret_value("password", password, |password| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        })?,
        (Some(_), _, _) => {
            return Err(wrong("bearer_token", "write either `bearer_token`, or `username` and `password`"));
        }
        (None, _, _) => {
            return Err(wrong("password", "`username` and `password` belong together: one of them is missing"));
        }
    };
    put(&mut headers, "bearer_token", AUTHORIZATION.as_str(), authorization)?;
    Ok(headers)
}

fn put(headers: &mut HeaderMap, option: &'static str, name: &str, value: HeaderValue) -> Result<(), sink::Error> {
    let name = HeaderName::try_from(name).map_err(|_| wrong(option, &format!("`{name}` is no name of a header")))?;
    if OWN_HEADERS.contains(&name) {
        return Err(wrong(option, &format!("`{name}` is written by siemline: see `content_type` and `compression`")));
    }
    if headers.contains_key(&name) {
        return Err(wrong(option, &format!("`{name}` is written twice")));
    }
    headers.insert(name, value);
    Ok(())
}

fn secret_value(
    option: &'static str,
    reference: &SecretRef,
    text: impl FnOnce(&str) -> String,
) -> Result<HeaderValue, sink::Error> {
    let secret = reference.resolve().map_err(|error| sink::Error::Secret { option, error })?;
    let mut value = HeaderValue::try_from(text(secret.expose())).map_err(|_| http::Error::Header(option))?;
    value.set_sensitive(true);
    Ok(value)
}

fn wrong(option: &'static str, words: &str) -> sink::Error {
    sink::Error::Option { option, words: words.to_owned() }
}
