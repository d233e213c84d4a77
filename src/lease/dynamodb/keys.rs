//! How leases are told apart in one table.

use std::fmt;

/// A stream, as the keys of leases name it: two streams of one name, one after the other, are two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIdentity {
    /// The account it belongs to.
    pub account: String,
    /// Its name.
    pub name: String,
    /// When it was created, in seconds since 1970.
    pub created_s: i64,
}

/// How the keys of a stream's leases look.
///
/// KCL writes the shard's id alone where an application reads one stream, and `account:stream:creation:shard` where it reads
/// several. Its applications do not share a table. Siemline's may: each with a name, which stands before the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The shard's id: one stream and one application have the table to themselves.
    Shard,
    /// Stream and shard, as KCL writes them: `account:stream:creation:shard`.
    Stream(StreamIdentity),
    /// The application's name before them: `application:account:stream:creation:shard`.
    Application(String, StreamIdentity),
}

impl fmt::Display for StreamIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.account, self.name, self.created_s)
    }
}

impl Keys {
    /// What all keys of the stream begin with. The ids of shards begin with `shardId-` wherever Kinesis makes them.
    #[must_use]
    pub fn prefix(&self) -> String {
        match self {
            Self::Shard => "shardId-".to_owned(),
            Self::Stream(stream) => format!("{stream}:"),
            Self::Application(application, stream) => format!("{application}:{stream}:"),
        }
    }

    /// The key of a shard's lease.
    #[must_use]
    pub fn key(&self, shard: &str) -> String {
        match self {
            Self::Shard => shard.to_owned(),
            Self::Stream(_) | Self::Application(..) => format!("{}{shard}", self.prefix()),
        }
    }

    /// The shard that a key is of; none if it is of another stream, or no lease's.
    #[must_use]
    pub fn shard<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self {
            Self::Shard => key.starts_with("shardId-").then_some(key),
            Self::Stream(_) | Self::Application(..) => key.strip_prefix(&self.prefix()),
        }
    }

    /// The stream, which KCL writes beside the key where an application reads several.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamIdentity> {
        match self {
            Self::Shard => None,
            Self::Stream(stream) | Self::Application(_, stream) => Some(stream),
        }
    }
}
