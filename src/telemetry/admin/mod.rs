//! The admin server: health, readiness, metrics and status over HTTP/1.1, and the question of another process for them.
//!
//! | path | what it tells |
//! |---|---|
//! | `/healthz` | 200 as long as the process answers |
//! | `/readyz` | 200 while it can do its work, 503 with the reasons in words while it cannot |
//! | `/metrics` | all metrics, in the text format of Prometheus |
//! | `/status` | the same as JSON ([`Status`](super::Status)) |
//! | `/` | the same as a page for people |
//!
//! It takes nothing but GET and HEAD, reads no body, keeps no connection, and changes nothing: whoever can reach it sees the
//! names of the configuration and numbers, never an event and never a secret. Clients cannot hurt: connections, the time of
//! each, and the bytes of a request's head have bounds, and where all connections are taken the oldest makes room.

mod answer;
mod ask;
mod options;
mod server;
#[cfg(test)]
mod tests;

pub use ask::{AskError, ask, reachable};
pub use options::{AdminOptions, Listen};
pub use server::{CONNECTION_TIME_MAX, CONNECTIONS_MAX, Error, bind, serve};
