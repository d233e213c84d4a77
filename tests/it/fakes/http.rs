//! A small HTTP server on 127.0.0.1: what a fake needs to answer, to be slow, to cut a connection, and to go on answering.
//!
//! In the clear it speaks HTTP/1.1; behind TLS also HTTP/2, as client and server agree.

use std::future::pending;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use std::pin::Pin;

use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER, SET_COOKIE};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// No test sends more. A larger one is answered with 413, whatever the plan.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// A request, read and decompressed.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// The body after its compression was undone.
    pub body: Vec<u8>,
    /// The body as it came, compressed.
    pub wire: Bytes,
    /// The size of the body on the wire.
    pub wire_bytes: usize,
    /// Whether it came over HTTP/2.
    pub is_http2: bool,
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
    /// `Set-Cookie`, if it sets one.
    pub cookie: Option<String>,
    /// `ETag`, if it names one.
    pub e_tag: Option<Box<str>>,
    pub delay: Duration,
    pub ending: Ending,
    /// Pieces that follow the body, for as long as somebody sends them; their type.
    pub pieces: Option<(UnboundedReceiver<Piece>, &'static str)>,
}

/// A piece of an answer that goes on.
#[derive(Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing more: the connection is closed, or the stream on it is reset.
    Cut,
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
        Self {
            status,
            body: body.into(),
            retry_after_s: None,
            cookie: None,
            e_tag: None,
            delay: Duration::ZERO,
            ending: Ending::Whole,
            pieces: None,
        }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string())
    }
}

/// A running server. It stops when dropped, and with it all its connections.
pub struct Server {
    address: SocketAddr,
    /// In PEM, where it speaks TLS.
    certificate: Option<String>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts on a free port, on the runtime of the caller. `answer` is called for each request, for several at a time.
    pub async fn start(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, None, answer).await
    }

    /// The same behind TLS, with a certificate of its own for `localhost`.
    pub async fn start_tls(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen_tls(None, answer).await
    }

    /// The same behind TLS, for clients that show a certificate which this one vouches for: the client's own, say.
    pub async fn start_mutual_tls(
        authority: CertificateDer<'static>,
        answer: impl Fn(Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Self::listen_tls(Some(verifier.expect("there is a root")), answer).await
    }

    async fn listen_tls(
        clients: Option<Arc<dyn ClientCertVerifier>>,
        answer: impl Fn(Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider has them");
        let config = match clients {
            Some(clients) => config.with_client_cert_verifier(clients),
            None => config.with_no_client_auth(),
        };
        let mut config =
            config.with_single_cert(vec![made.cert.der().clone()], key).expect("key and certificate agree");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Some(made.cert.pem()), answer).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        certificate: Option<String>,
        answer: impl Fn(Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let answer = Arc::new(answer);
        let accepting = tokio::spawn(async move {
            // Dropping the set with this task stops the connections.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&answer)));
            }
        });
        Self { address, certificate, accepting }
    }

    pub fn url(&self) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to be trusted, in PEM.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}

/// Serves one connection. A client that went away, and an answer that was cut on purpose, end it with an error.
async fn connection<A>(stream: TcpStream, tls: Option<TlsAcceptor>, answer: Arc<A>)
where
    A: Fn(Asked) -> Reply + Send + Sync + 'static,
{
    let service = service_fn(move |request| serve(Arc::clone(&answer), request));
    match tls {
        None => {
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
        Some(tls) => {
            let Ok(stream) = tls.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = TokioIo::new(stream);
            if is_http2 {
                let _ended = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            } else {
                let _ended = http1::Builder::new().serve_connection(stream, service).await;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Body = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>;

async fn serve<A: Fn(Asked) -> Reply>(answer: Arc<A>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let mut reply = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let encoding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
            match inflated(encoding.unwrap_or_default(), &body) {
                Ok(plain) => answer(Asked {
                    method: head.method.to_string(),
                    path: head.uri.path().to_owned(),
                    query: head.uri.query().unwrap_or_default().to_owned(),
                    headers: head.headers,
                    body: plain,
                    wire_bytes: body.len(),
                    wire: body,
                    is_http2: head.version == Version::HTTP_2,
                }),
                Err(_) => Reply::new(400, "not compressed as it says"),
            }
        }
        Err(_) => Reply::new(413, "too large for any test"),
    };
    tokio::time::sleep(reply.delay).await;
    let cut = || io::Error::other("cut by plan");
    match (reply.ending, reply.pieces.take()) {
        (Ending::Never, _) => pending().await,
        (Ending::CutBefore, _) => Err(cut()),
        (_, Some((pieces, kind))) => Ok(flowing(reply.status, kind, pieces)),
        (Ending::Whole, None) => {
            let frames = vec![Ok(Frame::data(Bytes::from(reply.body.clone())))];
            Ok(response(&reply, frames))
        }
        (Ending::CutMidway, None) => {
            let half = Bytes::copy_from_slice(&reply.body[..reply.body.len() / 2]);
            let frames = vec![Ok(Frame::data(half)), Err(cut())];
            Ok(response(&reply, frames))
        }
    }
}

fn response(reply: &Reply, frames: Vec<Result<Frame<Bytes>, io::Error>>) -> Response<Body> {
    let mut response = Response::builder().status(reply.status).header(CONTENT_LENGTH, reply.body.len());
    if let Some(seconds) = reply.retry_after_s {
        response = response.header(RETRY_AFTER, seconds);
    }
    if let Some(cookie) = &reply.cookie {
        response = response.header(SET_COOKIE, cookie);
    }
    if let Some(e_tag) = &reply.e_tag {
        response = response.header(ETAG, &**e_tag);
    }
    let body: Body = StreamBody::new(Box::pin(stream::iter(frames)));
    response.body(body).expect("a status and some headers are a response")
}

/// An answer that goes on for as long as pieces of it come.
fn flowing(status: u16, kind: &str, pieces: UnboundedReceiver<Piece>) -> Response<Body> {
    let frames = stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match pieces.recv().await? {
            Piece::Bytes(bytes) => Some((Ok(Frame::data(Bytes::from(bytes))), Some(pieces))),
            Piece::Cut => Some((Err(io::Error::other("cut by plan")), None)),
        }
    });
    let body: Body = StreamBody::new(Box::pin(frames));
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(body).expect("a status and a header")
}

/// Undoes the compression that a request names; what is not known goes on as it came.
fn inflated(encoding: &[u8], bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut reader: Box<dyn Read> = match encoding {
        b"gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        // What HTTP calls deflate is zlib.
        b"deflate" => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        b"zstd" => Box::new(zstd::Decoder::new(bytes)?),
        _ => Box::new(bytes),
    };
    let most = u64::try_from(REQUEST_BYTES_MAX).expect("a size");
    io::copy(&mut reader.by_ref().take(most), &mut plain)?;
    Ok(plain)
}
