//! The server: connections in, answers out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::answer::answer;
use super::options::Listen;
use crate::telemetry::{Board, Status};

/// The most connections at once. Where they are taken, the oldest is closed: a client that holds them all would otherwise
/// keep the probes out that decide whether the process lives.
pub const CONNECTIONS_MAX: usize = 32;

/// How long a connection may take, its question and the reading of its answer included.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// The most bytes of a request's head; a browser with its cookies sends a few KiB.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long nothing is accepted after the system refused to: it is out of file descriptors, and would refuse at once again.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen} (`listen` under `[admin]`): {why}{remedy}")]
pub struct Error {
    listen: SocketAddr,
    why: io::Error,
    remedy: &'static str,
}

/// Takes the address.
///
/// # Errors
///
/// When somebody else has it, or it is none of this machine.
pub async fn bind(listen: Listen) -> Result<TcpListener, Error> {
    TcpListener::bind(listen.0).await.map_err(|why| {
        let remedy = match why.kind() {
            io::ErrorKind::AddrInUse => ": another process has it, maybe another copy: stop it, or choose another port",
            io::ErrorKind::AddrNotAvailable => ": it is no address of this machine: 0.0.0.0 stands for all of them",
            io::ErrorKind::PermissionDenied => ": ports below 1024 are for root: choose another port",
            _ => "",
        };
        Error { listen: listen.0, why, remedy }
    })
}

/// Answers until it is dropped, which is safe at any time. All connections are served here, nothing is spawned: an answer is
/// made in one go.
pub async fn serve(listener: TcpListener, board: Board, clock: fn() -> i64) -> Infallible {
    let mut connections = FuturesUnordered::new();
    let mut handles: VecDeque<AbortHandle> = VecDeque::with_capacity(CONNECTIONS_MAX);
    let status = || board.status(clock());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    handles.retain(|handle| !handle.is_aborted());
                    let (handle, registration) = AbortHandle::new_pair();
                    let done = handle.clone();
                    connections.push(Abortable::new(
                        async move {
                            connection(stream, &status).await;
                            // What has ended counts no more.
                            done.abort();
                        },
                        registration,
                    ));
                    handles.push_back(handle);
                    if handles.len() > CONNECTIONS_MAX
                        && let Some(oldest) = handles.pop_front()
                    {
                        oldest.abort();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection to the admin server");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
            Some(_ended) = connections.next() => {}
        }
    }
}

/// Serves one request. Whatever goes wrong is the client's loss: it asks again.
async fn connection(stream: TcpStream, status: &impl Fn() -> Status) {
    let service = service_fn(|request: Request<Incoming>| {
        let answered = answer(request.method(), request.uri().path(), status);
        async move { Ok::<_, Infallible>(answered) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIME_MAX)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_TIME_MAX, serving).await {
        tracing::debug!(%error, "a connection to the admin server failed");
    }
}
