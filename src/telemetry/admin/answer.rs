//! From a request's head to the answer. Pure.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Response, StatusCode};

use crate::telemetry::status::Status;
use crate::telemetry::{exposition, page};

/// The text format of Prometheus in the version that every scraper takes.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers a request. What the meters show is asked only where it is told. A server of HTTP leaves the body of the answer to
/// HEAD away by itself.
pub fn answer(method: &Method, path: &str, status: impl FnOnce() -> Status) -> Response<Full<Bytes>> {
    if !matches!(path, "/" | "/healthz" | "/readyz" | "/metrics" | "/status") {
        let words = "nothing is here: ask for /, /healthz, /readyz, /metrics or /status\n";
        return response(StatusCode::NOT_FOUND, TEXT, words.to_owned());
    }
    if *method != Method::GET && *method != Method::HEAD {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "ask with GET or HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/healthz" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => ready(&status()),
        "/metrics" => response(StatusCode::OK, EXPOSITION, exposition(&status())),
        "/status" => {
            let text = serde_json::to_string_pretty(&status()).unwrap_or_default();
            response(StatusCode::OK, "application/json", text + "\n")
        }
        _ => response(StatusCode::OK, "text/html; charset=utf-8", page(&status())),
    }
}

fn ready(status: &Status) -> Response<Full<Bytes>> {
    if status.is_ready {
        return response(StatusCode::OK, TEXT, "ready\n".to_owned());
    }
    let reasons: String = status.not_ready.iter().flat_map(|words| [words.as_str(), "\n"]).collect();
    response(StatusCode::SERVICE_UNAVAILABLE, TEXT, reasons)
}

fn response(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Should a name ever get through as markup, a browser still runs and loads nothing.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
