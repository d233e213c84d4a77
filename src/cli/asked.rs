//! What the running process of a configuration says of itself, where it can be asked.

use std::fmt;

use crate::telemetry::admin::{self, Listen};
use crate::telemetry::{ShardStatus, Status};

/// The answer, or why there is none.
pub enum Asked {
    /// The configuration has no address to ask at.
    Off,
    /// Nobody could be asked, in words.
    InVain(String),
    /// It answered, at this address.
    Told(String, Box<Status>),
}

impl Asked {
    /// Asks the process that listens where the configuration says.
    pub async fn ask(listen: Option<Listen>) -> Self {
        let Some(listen) = listen else { return Self::Off };
        let address = admin::reachable(listen);
        match admin::ask(address).await {
            Ok(status) => Self::Told(address.to_string(), Box::new(status)),
            Err(error) => Self::InVain(error.to_string()),
        }
    }

    /// What it says of a shard.
    pub fn shard(&self, source: &str, shard: &str) -> Option<&ShardStatus> {
        match self {
            Self::Told(_, status) => status.sources.get(source)?.shards.get(shard),
            Self::Off | Self::InVain(_) => None,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(
                "why shards stand still is not known: set `listen` under `[admin]`, and the running process can be asked",
            ),
            Self::InVain(words) => write!(f, "why shards stand still is not known: could not ask the process: {words}"),
            Self::Told(address, status) if status.is_ready => {
                write!(f, "the process at {address} is ready, and says why its own shards stand still")
            }
            Self::Told(address, status) => {
                write!(f, "the process at {address} is not ready: {}", status.not_ready.join("; "))
            }
        }
    }
}
