//! The options of leases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Span;

/// How the shards of a stream are shared out among processes, and where their checkpoints are kept.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseOptions {
    /// How leases are named in the table. `stream`: `account:stream:creation:shard`, as the Kinesis Client Library (KCL) names
    /// them where an application reads several streams; so, several streams share a table. `shard`: the shard's id alone, as
    /// KCL names them where an application reads one stream; choose it to go on from such an application, or beside it.
    pub keys: LeaseKeys,
    /// A name that stands before the keys, where several applications read the same stream with one table, for instance two
    /// that deliver to two destinations. Not for a table that an application on KCL uses.
    pub application: Option<String>,
    /// Whether the table is created where it is not there, with capacity on demand. Otherwise it is a mistake.
    pub create_table: bool,
    /// The region of the table. Default: the stream's.
    pub region: Option<String>,
    /// Another endpoint than the region's own: an emulator, a VPC endpoint.
    pub endpoint_url: Option<String>,
    /// After so long without a sign of life another process takes a shard over. A shorter one costs more writes: each lease is
    /// renewed three times in it, and the table read six times. It should be the same for all that share the table.
    pub failover: Span,
    /// How long a process may take to settle what it has read of a shard that is to be handed over to another one.
    pub hand_over_max: Span,
    /// The most shards that this process reads. Default: all that nobody else reads.
    pub leases_max: Option<usize>,
    /// Without `lease_table`: says that checkpoints in a local file are wanted although the file would not survive a restart
    /// here (a container without a mounted path, ECS, Kubernetes). Otherwise `run` refuses to begin.
    pub file_may_vanish: bool,
}

/// How leases are named in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKeys {
    /// `account:stream:creation:shard`.
    #[default]
    Stream,
    /// The shard's id alone.
    Shard,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self {
            keys: LeaseKeys::Stream,
            application: None,
            create_table: false,
            region: None,
            endpoint_url: None,
            failover: Span::seconds(10),
            hand_over_max: Span::seconds(30),
            leases_max: None,
            file_may_vanish: false,
        }
    }
}

impl LeaseOptions {
    /// What does not go together, or cannot be: the option, and the remedy.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let seconds = self.failover.0.as_secs();
        if !(1..=600).contains(&seconds) {
            return Some(("failover", "write 1s to 10m: a lease is renewed three times in it".to_owned()));
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        match self.application.as_deref() {
            Some(name) if name.is_empty() || !name.bytes().all(is_letter) => {
                Some(("application", format!("`{name}` is no name: write letters, digits, `_`, `.` and `-`")))
            }
            Some(_) if self.keys == LeaseKeys::Shard => {
                Some(("application", "a name stands before keys of streams only: leave out `keys`".to_owned()))
            }
            _ if self.leases_max == Some(0) => {
                Some(("leases_max", "nothing would be read: write 1 or more, or leave it out".to_owned()))
            }
            _ => None,
        }
    }
}
