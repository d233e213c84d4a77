//! A proxy: tunnels by CONNECT, passes plain requests on, and asks for a password if it has one. Whatever place it is asked
//! for, there is one server behind it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A running proxy.
pub struct FakeProxy {
    /// Where it listens.
    pub url: String,
    connections: Arc<AtomicUsize>,
    places: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl FakeProxy {
    /// A proxy in front of this server, which asks for these basic credentials if there are some.
    pub async fn start(behind: SocketAddr, credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, places) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, list) = (Arc::clone(&connections), Arc::clone(&places));
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while serving.try_join_next().is_some() {}
                count.fetch_add(1, Ordering::Relaxed);
                serving.spawn(serve(stream, behind, credentials, Arc::clone(&list)));
            }
        });
        Self { url, connections, places, accepting }
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The places that it was asked for.
    pub fn places(&self) -> Vec<String> {
        self.places.lock().unwrap().clone()
    }
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    behind: SocketAddr,
    credentials: Option<&'static str>,
    places: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let Ok(1..) = client.read_buf(&mut head).await else { return };
        if head.len() > HEAD_BYTES_MAX {
            return;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace();
    let (method, place) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let shown = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    if shown.as_deref() != credentials {
        let _gone = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    places.lock().unwrap().push(place.to_owned());
    if place.contains("forbidden") {
        let _gone = client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let Ok(mut server) = TcpStream::connect(behind).await else { return };
    let begun = if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
    } else {
        // A server takes the form that proxies are asked in too.
        server.write_all(&head).await
    };
    if begun.is_ok() {
        let _ended = copy_bidirectional(&mut client, &mut server).await;
    }
}
