//! Guards the admin server against its clients: whatever they send or hold, a probe is answered.

use std::sync::Arc;

use siemline::budget::Budget;
use siemline::shutdown;
use siemline::telemetry::Board;
use siemline::telemetry::admin::{self, CONNECTIONS_MAX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, ask, get};

/// A server over meters that show nothing.
struct Served {
    address: String,
    serving: JoinHandle<()>,
    _stop: shutdown::Stop,
}

impl Served {
    async fn start() -> Self {
        let listener = admin::bind(admin::Listen::try_from("127.0.0.1:0".to_owned()).unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, shutdown) = shutdown::channel();
        let board = Board {
            started_ms: 0,
            sources: Vec::new(),
            lanes: Vec::new(),
            sinks: Vec::new(),
            events: Arc::default(),
            tally: Arc::default(),
            dead_letters: Arc::default(),
            budget: Budget::new(1 << 20),
            shutdown,
        };
        let serving = tokio::spawn(async move {
            let _never = admin::serve(listener, board, || 1_000).await;
        });
        Self { address, serving, _stop: stop }
    }

    async fn is_well(&self) {
        let answer = get(&self.address, "/healthz").await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "ok\n"));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Guards that idle, slow and greedy clients keep nobody out: with every place taken the oldest makes room.
#[tokio::test]
async fn whoever_holds_connections_keeps_nobody_out() {
    let served = Served::start().await;
    let mut held = Vec::new();
    for number in 0..CONNECTIONS_MAX + 8 {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        let begin: &[u8] = if number % 2 == 0 { b"GET /met" } else { b"" };
        stream.write_all(begin).await.unwrap();
        held.push(stream);
    }
    served.is_well().await;
    let mut bytes = Vec::new();
    let closed = timeout(PATIENCE, held[0].read_to_end(&mut bytes)).await.expect("the oldest was closed");
    assert!(closed.is_err() || bytes.is_empty(), "without an answer: {bytes:?}");
    // The youngest is served when it goes on.
    let last = held.last_mut().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(PATIENCE, last.read_to_end(&mut bytes)).await.expect("the youngest is served").unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
}

/// Guards the bounds of a request's head, and that no bytes whatever do harm.
#[tokio::test]
async fn no_bytes_do_harm() {
    let served = Served::start().await;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut requests: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
        b"POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        [b"GET /".to_vec(), vec![b'a'; 1 << 20], b" HTTP/1.1\r\n\r\n".to_vec()].concat(),
        [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 1 << 20], b"\r\n\r\n".to_vec()].concat(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(1 << 16), b"\r\n".to_vec()].concat(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ];
    requests.extend((0..64).map(|_| (0..random.usize(1..512)).map(|_| random.u8(..)).collect()));
    for request in requests {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        // A server that has seen enough closes the connection before it has read everything.
        let _cut = stream.write_all(&request).await;
        let _cut = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        assert!(read.is_ok(), "seed {seed}: the connection is closed after {shown:?}");
        assert!(answer.len() < 4096, "seed {seed}: {shown:?}");
    }
    served.is_well().await;
}

/// Guards what is answered to whom, and that an answer is whole, also to HEAD and to a second question on one connection.
#[tokio::test]
async fn get_and_head_are_answered_and_nothing_else() {
    let served = Served::start().await;
    for (path, kind) in [
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/status", "application/json"),
        ("/", "text/html; charset=utf-8"),
        ("/?from=here", "text/html; charset=utf-8"),
    ] {
        let whole = get(&served.address, path).await;
        let length = whole.header("content-length").unwrap().parse().unwrap();
        assert_eq!((whole.code, whole.header("content-type"), whole.body.len()), (200, Some(kind), length), "{path}");
        assert_eq!(whole.header("cache-control"), Some("no-store"));
        let head = ask(&served.address, "HEAD", path).await;
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), whole.header("content-length"), "{path}");
        let refused = ask(&served.address, "PUT", path).await;
        assert_eq!((refused.code, refused.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    assert_eq!(get(&served.address, "/metrics/").await.code, 404);
}
