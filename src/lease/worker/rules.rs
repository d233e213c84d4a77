//! The rules of sharing, and the times that follow from them.

use std::time::Duration;

use super::super::plan::Start;

/// The rules that all workers of an application share.
#[derive(Clone, Debug)]
pub struct Rules {
    /// After so long without a sign of life a lease is taken from its owner. KCL's default is 10 s.
    pub failover: Duration,
    /// How long an owner may take to hand a lease over. KCL's default is 30 s.
    pub hand_over_max: Duration,
    /// How often the stream is asked for its shards.
    pub sync_every: Duration,
    /// How long a finished lease is kept at least: a request to create it may still be on its way, and would find nothing.
    /// KCL looks every 5 min.
    pub finished_kept: Duration,
    /// Where the reading begins when there is no checkpoint.
    pub start: Start,
    /// The most leases that this worker has.
    pub leases_max: usize,
}

impl Rules {
    /// How often an owner writes: KCL renews three times in a failover time.
    pub(super) fn renew_every(&self) -> Duration {
        self.failover / 3
    }

    /// How often the table is read: what others see of a renewal is at most so old.
    pub(super) fn scan_every(&self) -> Duration {
        self.failover / 6
    }

    /// How long a free lease is left to those who have fewer than their share; afterwards anybody takes it.
    pub(super) fn left_to_the_poor(&self) -> Duration {
        self.failover / 16
    }

    /// How long to wait after a write failed.
    pub(super) fn retry_after(&self) -> Duration {
        self.failover / 40
    }
}
