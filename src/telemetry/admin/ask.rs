//! The other side: a running process is asked for its status.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::options::Listen;
use crate::telemetry::Status;

/// How long the whole question may take.
const ASK_TIME_MAX: Duration = Duration::from_secs(5);

/// The most bytes of an answer that are read: a status of 50,000 shards.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Why the process could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, most likely because no process runs.
    #[error("nobody answers at {0}: {1}")]
    Connect(SocketAddr, io::Error),
    /// Somebody listens who does not answer as siemline would.
    #[error("what answers at {0} is no siemline of this version: {1}")]
    Stranger(SocketAddr, String),
    /// It takes too long.
    #[error("no answer from {0} within {1:?}")]
    Timeout(SocketAddr, Duration),
}

/// Where a process that listens there can be asked from the same machine.
#[must_use]
pub fn reachable(listen: Listen) -> SocketAddr {
    let ip = match listen.0.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.0.port())
}

/// Asks the process that listens at this address for its status. Dropping the future midway is safe.
///
/// # Errors
///
/// When nobody answers, or somebody else does.
pub async fn ask(address: SocketAddr) -> Result<Status, AskError> {
    match timeout(ASK_TIME_MAX, ask_unbounded(address)).await {
        Ok(asked) => asked,
        Err(_) => Err(AskError::Timeout(address, ASK_TIME_MAX)),
    }
}

async fn ask_unbounded(address: SocketAddr) -> Result<Status, AskError> {
    let stranger = |words: &dyn std::fmt::Display| AskError::Stranger(address, words.to_string());
    let stream = TcpStream::connect(address).await.map_err(|error| AskError::Connect(address, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| stranger(&error))?;
    let request = Request::get("/status").header(HOST, address.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| stranger(&error))?;
    let answering = async {
        let answer = sender.send_request(request).await.map_err(|error| stranger(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(stranger(&answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| stranger(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| stranger(&error))
    };
    tokio::pin!(connection);
    tokio::pin!(answering);
    // The connection's future carries the bytes, and ends with the answer or before it.
    tokio::select! {
        biased;
        answer = &mut answering => return answer,
        _ended = &mut connection => {}
    }
    answering.await
}
