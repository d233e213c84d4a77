//! A gate in front of a server: closed, it refuses connections, and those that were open are cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};

/// A place of its own, whether the server behind it can be reached or not.
pub struct Gate {
    address: SocketAddr,
    behind: SocketAddr,
    state: Mutex<State>,
}

enum State {
    /// Connections are passed on. The task owns them all.
    Open(JoinHandle<()>),
    /// The port is bound, so that nobody else gets it, and nobody listens.
    Closed(TcpSocket),
    /// Between the two.
    Turning,
}

impl Gate {
    /// An open gate in front of this address.
    pub async fn open(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, behind, state: Mutex::new(State::Open(pass(listener, behind))) }
    }

    /// Where it stands.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts what is open, and refuses what comes.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        if let State::Open(task) = std::mem::replace(&mut *state, State::Turning) {
            task.abort();
            // Once the task is gone, so are its listener and its connections.
            let _aborted = task.await;
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        *state = State::Closed(socket);
    }

    /// Lets everybody through, as it does already where it is open.
    pub async fn reopen(&self) {
        let mut state = self.state.lock().await;
        *state = match std::mem::replace(&mut *state, State::Turning) {
            State::Closed(socket) => State::Open(pass(socket.listen(64).unwrap(), self.behind)),
            other => other,
        };
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let State::Open(task) = self.state.get_mut() {
            task.abort();
        }
    }
}

fn pass(listener: TcpListener, behind: SocketAddr) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                if let Ok(mut server) = TcpStream::connect(behind).await {
                    // How it ends is for the two ends to see.
                    let _ended = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    })
}
