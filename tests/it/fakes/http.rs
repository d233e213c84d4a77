//! A small HTTP/1.1 server on 127.0.0.1: what a fake needs to answer, to be slow, and to cut a connection.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// No test sends more. A larger one is answered with 413, whatever the plan.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// A request, read and decompressed.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// The body after gzip was undone.
    pub body: Vec<u8>,
    /// The size of the body on the wire.
    pub wire_bytes: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What is answered.
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub retry_after_s: Option<u32>,
    pub delay: Duration,
    pub ending: Ending,
}

/// How far an answer gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// To its end.
    Whole,
    /// To the middle of the body, and then the connection is closed.
    CutMidway,
    /// Nowhere: the connection is closed without a word.
    CutBefore,
    /// Nowhere, and the connection stays open.
    Never,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), retry_after_s: None, delay: Duration::ZERO, ending: Ending::Whole }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string())
    }
}

/// A running server. It stops when dropped, and with it all its connections.
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts on a free port, on the runtime of the caller. `answer` is called for each request, for several at a time.
    pub async fn start(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let answer = Arc::new(answer);
        let accepting = tokio::spawn(async move {
            // Dropping the set with this task stops the connections.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request| serve(Arc::clone(&answer), request));
                // A client that went away, and an answer that was cut on purpose, end the connection with an error.
                connections.spawn(async move {
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, io::Error>>>>;

async fn serve<A: Fn(Asked) -> Reply>(answer: Arc<A>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let reply = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let gzip = head.headers.get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
            let plain = if gzip { gunzip(&body) } else { Ok(body.to_vec()) };
            match plain {
                Ok(plain) => answer(Asked {
                    method: head.method.to_string(),
                    path: head.uri.path().to_owned(),
                    query: head.uri.query().unwrap_or_default().to_owned(),
                    headers: head.headers,
                    body: plain,
                    wire_bytes: body.len(),
                }),
                Err(_) => Reply::new(400, "no gzip"),
            }
        }
        Err(_) => Reply::new(413, "too large for any test"),
    };
    tokio::time::sleep(reply.delay).await;
    let cut = || io::Error::other("cut by plan");
    match reply.ending {
        Ending::Never => pending().await,
        Ending::CutBefore => Err(cut()),
        Ending::Whole => Ok(response(&reply, vec![Ok(Frame::data(Bytes::from(reply.body.clone())))])),
        Ending::CutMidway => {
            let half = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
            Ok(response(&reply, vec![Ok(Frame::data(half)), Err(cut())]))
        }
    }
}

fn response(reply: &Reply, frames: Vec<Result<Frame<Bytes>, io::Error>>) -> Response<Body> {
    let mut response = Response::builder().status(reply.status).header(CONTENT_LENGTH, reply.body.len());
    if let Some(seconds) = reply.retry_after_s {
        response = response.header(RETRY_AFTER, seconds);
    }
    response.body(StreamBody::new(stream::iter(frames))).expect("a status and two headers are a response")
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, libdeflater::DecompressionError> {
    // The last four bytes of a gzip member are the size of what is in it.
    let size = bytes.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    let mut plain = vec![0; usize::try_from(size).unwrap().min(REQUEST_BYTES_MAX)];
    let length = libdeflater::Decompressor::new().gzip_decompress(bytes, &mut plain)?;
    plain.truncate(length);
    Ok(plain)
}
