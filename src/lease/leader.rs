//! Whether a leader of KCL 3 rules the table. Pure.

use std::time::Duration;

use super::worker::News;

/// The lock that a leader of KCL 3 holds in the table: that of Amazon's lock client for DynamoDB
/// (`DynamoDBLockBasedLeaderDecider`). Its owner renews the version, by default every 30 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The worker that leads.
    pub owner: String,
    /// Changes with every heartbeat.
    pub version: String,
    /// How long the lock lasts after a heartbeat, by default 2 min.
    pub lasts: Duration,
}

/// What is known of a leader. It is judged as a lease's owner is: by the observer's clock since its version last changed.
#[derive(Debug, Default)]
pub(super) struct Reign {
    seen: Option<(Leader, Duration)>,
    is_told: bool,
}

impl Reign {
    /// Takes note of the lock, or that there is none; says what is new about it.
    pub(super) fn look(&mut self, leader: Option<&Leader>, now: Duration) -> Option<News> {
        match (leader, &self.seen) {
            (Some(leader), Some((seen, _))) if seen == leader => {}
            (leader, _) => self.seen = leader.map(|leader| (leader.clone(), now)),
        }
        let rules = self.rules(now);
        let was_told = std::mem::replace(&mut self.is_told, rules);
        match (&self.seen, was_told, rules) {
            (Some((leader, _)), false, true) => Some(News::Ruled(leader.owner.clone())),
            (_, true, false) => Some(News::Free),
            _ => None,
        }
    }

    /// Says whether a leader assigns the leases, as far as can be told: one that was seen for the first time is taken to live
    /// until its lock has run out.
    pub(super) fn rules(&self, now: Duration) -> bool {
        self.seen.as_ref().is_some_and(|(leader, since)| now.saturating_sub(*since) < leader.lasts)
    }
}
