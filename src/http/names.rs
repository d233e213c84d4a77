//! Looking up names.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks the system for a name's addresses, each time a connection is made.
#[derive(Debug)]
pub(super) struct SystemNames;

/// A name without addresses.
#[derive(Debug, thiserror::Error)]
#[error("the name `{name}` cannot be resolved: {error}")]
pub(super) struct NameError {
    name: String,
    error: io::Error,
}

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str().to_owned();
            // The port is the caller's to fill in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found =
                found.map(Iterator::collect::<Vec<SocketAddr>>).and_then(|addresses| match addresses.as_slice() {
                    [] => Err(io::Error::other("it has no address")),
                    _ => Ok(addresses),
                });
            let addresses = found.map_err(|error| NameError { name, error })?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
