//! How a shard's records come: by asking for them, or by a subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::types::Record;
use tokio::time::{Instant, sleep_until, timeout};

use super::aggregate::RECORD_OVERHEAD_BYTES;
use super::pace::{Ask, answer_room};
use super::service::{From, Service};
use super::subscription::{Pushed, Subscription};
use super::trouble::Trouble;
use crate::budget::{Account, Charge};
use crate::lease::Shard;
use crate::metric::Reason;

/// How long the first words of a new subscription may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_mins(1);

/// Room for the next event of a subscription, at the least: there is more for a shard whose events were larger lately, up to
/// its share. What one brings beyond that is charged without waiting: it is pushed, and one event a shard bounds it.
const EVENT_BYTES: usize = 256 << 10;

/// How long a subscription may be kept and not be read. What lies unread on the connection takes the room of the other
/// subscriptions that share it.
pub const UNREAD_MAX: Duration = Duration::from_secs(5);

/// The way to the records of one shard.
#[derive(Debug)]
pub struct Feed {
    service: Service,
    shard: Arc<str>,
    way: Way,
    stage: Stage,
}

/// How the records come.
#[derive(Debug)]
enum Way {
    /// By calls for them, with an iterator where one is at hand.
    Polling {
        iterator: Option<String>,
        /// The iterator has failed once, and a second time it is given up.
        is_doubtful: bool,
    },
    /// By subscriptions of this consumer, each renewed after so long.
    FanOut {
        consumer_arn: Arc<str>,
        renewal: Duration,
        subscription: Option<Box<Subscription>>,
        /// The bytes of records in an event, lately.
        event_bytes: usize,
        /// The last event said that the shard was read to its tip.
        is_at_tip: bool,
    },
}

/// What one step brought.
#[derive(Debug)]
pub struct Brought {
    /// The records, in the shard's order.
    pub records: Vec<Record>,
    /// Room for them.
    pub charge: Charge,
    /// How far the reading is behind the newest record; `None` where nothing was said, as when a subscription ended.
    pub behind: Option<Duration>,
    /// When it was asked, in milliseconds since 1970: what was written before has come, or is behind.
    pub asked_ms: i64,
    /// A new subscription was made, and nothing else.
    pub is_new_subscription: bool,
    /// Where a subscription goes on.
    pub continuation: Option<String>,
    /// The shard is closed, and these are all of its records: the shards that came from it.
    pub end: Option<Vec<Shard>>,
}

/// What a feed is about, for the watchdog: it may wait for room while nobody asks it.
#[derive(Clone, Debug, Default)]
pub struct Stage(Arc<AtomicU8>);

impl Stage {
    fn waits_for_memory(&self, waits: bool) {
        self.0.store(u8::from(waits), Ordering::Relaxed);
    }

    /// Why the reading waits, as far as the feed knows.
    #[must_use]
    pub fn reason(&self) -> Reason {
        if self.0.load(Ordering::Relaxed) == 0 { Reason::Moving } else { Reason::MemoryFull }
    }
}

impl Feed {
    /// A feed by polling.
    #[must_use]
    pub fn polling(service: Service, shard: Arc<str>, stage: Stage) -> Self {
        Self { service, shard, way: Way::Polling { iterator: None, is_doubtful: false }, stage }
    }

    /// A feed by subscriptions of this consumer.
    #[must_use]
    pub fn fan_out(service: Service, shard: Arc<str>, stage: Stage, consumer_arn: Arc<str>, renewal: Duration) -> Self {
        let way = Way::FanOut { consumer_arn, renewal, subscription: None, event_bytes: 0, is_at_tip: false };
        Self { service, shard, way, stage }
    }

    /// Says whether the records come by asking for them.
    #[must_use]
    pub const fn is_polling(&self) -> bool {
        matches!(self.way, Way::Polling { .. })
    }

    /// Ends the subscription, if there is one.
    pub fn unsubscribe(&mut self) {
        if let Way::FanOut { subscription, .. } = &mut self.way {
            *subscription = None;
        }
    }

    /// Brings the next records, from `from` on where the feed does not know by itself how to go on. Room is taken before they
    /// are asked for.
    ///
    /// Dropping the future midway loses the feed; a new one is at no disadvantage.
    pub async fn next(mut self, ask: Ask, account: Arc<Account>, from: From) -> (Self, Result<Brought, Trouble>) {
        let result = match &self.way {
            Way::Polling { .. } => self.poll(ask, &account, &from).await,
            Way::FanOut { .. } => self.listen(ask, &account, &from).await,
        };
        self.stage.waits_for_memory(false);
        (self, result)
    }

    async fn poll(&mut self, ask: Ask, account: &Account, from: &From) -> Result<Brought, Trouble> {
        let Way::Polling { iterator: kept, is_doubtful } = &mut self.way else { return Err(other_way()) };
        sleep_until(ask.at).await;
        self.stage.waits_for_memory(true);
        let mut charge = account.admit(ask.room_bytes).await;
        charge.resize(ask.room_bytes.saturating_add(ask.more_bytes));
        self.stage.waits_for_memory(false);
        let asked_ms = now_ms();
        let iterator = match kept.take() {
            Some(iterator) => iterator,
            None => match self.service.iterator(&self.shard, from).await? {
                Some(iterator) => iterator,
                None => return Ok(Brought::end_of(charge, asked_ms)),
            },
        };
        let fetched = match self.service.records(&iterator, ask.records_max).await {
            Ok(fetched) => fetched,
            Err(trouble) => {
                // An iterator that the service cannot read may also come back as a bare 500.
                let is_doubted = matches!(trouble, Trouble::Disturbed(_));
                let is_known = matches!(trouble, Trouble::Throttled(_) | Trouble::Forbidden(_));
                if is_known || is_doubted && !*is_doubtful {
                    *kept = Some(iterator);
                }
                *is_doubtful = is_doubted;
                return Err(trouble);
            }
        };
        let was_doubtful = std::mem::take(is_doubtful);
        let end = match fetched.next_iterator {
            Some(iterator) => {
                *kept = Some(iterator);
                None
            }
            None if fetched.behind.is_some() && !fetched.children.is_empty() => Some(fetched.children),
            // The service tells the children with the end of a shard. Without them it is taken for the end only where the
            // stream says that the shard is closed: a broken answer must not end a shard that has records.
            None if fetched.behind.is_some() && is_closed(&self.service, &self.shard).await? => Some(Vec::new()),
            None => {
                *is_doubtful = true;
                *kept = Some(iterator).filter(|_| !was_doubtful);
                let words = format!("GetRecords on {}: neither an iterator nor the end of the shard", self.shard);
                return Err(Trouble::Garbage(words));
            }
        };
        charge.resize(cost(&fetched.records));
        let behind = Some(fetched.behind.unwrap_or_default());
        Ok(Brought { behind, end, ..Brought::of(fetched.records, charge, asked_ms) })
    }

    async fn listen(&mut self, ask: Ask, account: &Account, from: &From) -> Result<Brought, Trouble> {
        let Way::FanOut { consumer_arn, renewal, subscription: kept, event_bytes, is_at_tip } = &mut self.way else {
            return Err(other_way());
        };
        self.stage.waits_for_memory(true);
        let room_bytes = answer_room(*event_bytes).min(account.share_bytes()).max(EVENT_BYTES);
        let mut admitted = Box::pin(account.admit(room_bytes));
        let mut charge = if let Ok(charge) = timeout(UNREAD_MAX, &mut admitted).await {
            charge
        } else {
            *kept = None;
            admitted.await
        };
        self.stage.waits_for_memory(false);
        let Some(mut subscription) = kept.take() else {
            sleep_until(ask.at).await;
            let subscribing = self.service.subscribe(consumer_arn, &self.shard, from);
            let answer = timeout(SUBSCRIBE_TIMEOUT, subscribing).await;
            let no_answer = || Err(Trouble::Disturbed("SubscribeToShard: no answer".to_owned()));
            let subscription = match answer.unwrap_or_else(|_| no_answer()) {
                // It is the shard that is not there, or the consumer.
                Err(Trouble::Missing(words)) if is_listed(&self.service, &self.shard).await? => {
                    let remedy = "was it deregistered? A restart registers it anew";
                    return Err(Trouble::Disturbed(format!("{words} ({remedy})")));
                }
                answer => answer?,
            };
            *kept = Some(Box::new(subscription));
            return Ok(Brought { is_new_subscription: true, ..Brought::of(Vec::new(), charge, now_ms()) });
        };
        let renew_at = subscription.made_at() + *renewal;
        let pushed = tokio::select! {
            biased;
            pushed = subscription.next() => pushed?,
            () = sleep_until(renew_at) => None,
        };
        let asked_ms = now_ms();
        let Some(Pushed { records, continuation, behind, children }) = pushed else {
            charge.resize(0);
            // The service tells the end of a closed shard by an event. Where it does not, as some emulators, a shard at its tip
            // that is listed as closed is asked for its end.
            if *is_at_tip && is_closed(&self.service, &self.shard).await? {
                self.way = Way::Polling { iterator: None, is_doubtful: false };
            }
            return Ok(Brought::of(Vec::new(), charge, asked_ms));
        };
        charge.resize(cost(&records));
        *event_bytes = bytes(&records).max(*event_bytes / 2);
        let end = (!children.is_empty()).then_some(children);
        *is_at_tip = records.is_empty() && behind.is_zero();
        if end.is_none() && continuation.is_some() && Instant::now() < renew_at {
            *kept = Some(subscription);
        }
        let brought = Brought::of(records, charge, asked_ms);
        Ok(Brought { continuation, behind: Some(behind), end, ..brought })
    }
}

impl Brought {
    fn of(records: Vec<Record>, charge: Charge, asked_ms: i64) -> Self {
        Self { records, charge, behind: None, asked_ms, is_new_subscription: false, continuation: None, end: None }
    }

    fn end_of(charge: Charge, asked_ms: i64) -> Self {
        Self { end: Some(Vec::new()), ..Self::of(Vec::new(), charge, asked_ms) }
    }

    /// The bytes of the records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        bytes(&self.records)
    }
}

/// Says whether the stream lists the shard.
async fn is_listed(service: &Service, shard: &str) -> Result<bool, Trouble> {
    Ok(service.shards().await?.iter().any(|listed| listed.id == shard))
}

/// Says whether the stream lists the shard as closed.
async fn is_closed(service: &Service, shard: &str) -> Result<bool, Trouble> {
    let shards = service.shards().await?;
    match shards.iter().find(|listed| listed.id == shard) {
        Some(listed) => Ok(listed.is_closed),
        None => Err(Trouble::Missing(format!("shard {shard} is no longer listed"))),
    }
}

/// What records take in memory.
fn cost(records: &[Record]) -> usize {
    bytes(records).saturating_add(records.len().saturating_mul(RECORD_OVERHEAD_BYTES))
}

fn bytes(records: &[Record]) -> usize {
    records.iter().map(|record| record.data.as_ref().len()).sum()
}

fn other_way() -> Trouble {
    Trouble::Disturbed("the feed changed its way".to_owned())
}

/// The wall clock, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
