//! The memory budget: `in_flight_bytes_max` over records, arenas and every lane's queues and batches. Floor 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

/// How often an account that waits for its own bytes presses the lanes.
const PRESS_EVERY: Duration = Duration::from_secs(1);

/// A bound on the bytes in flight, shared by all who hold some.
///
/// Only the intake waits for room ([`Budget::admit`]): what is made from admitted records is charged without waiting
/// ([`Budget::charge`]), so that nothing waits for itself. An item larger than the whole budget is admitted alone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    waiting: AtomicUsize,
    /// How many accounts there are.
    accounts: AtomicUsize,
    /// Held by the intake whose turn it is: without turns, a large item would wait forever behind a stream of small ones.
    turn: Mutex<()>,
    freed: Notify,
    pressure: Notify,
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: usize,
    held: Option<Arc<Held>>,
    /// Set when the bytes are the account's no more.
    has_left: AtomicBool,
}

/// The part of a budget that one reader may use: a shard's. What stands still with one reader then never takes the room of
/// the others.
///
/// All accounts together may hold half of the budget, each as much as any other; the other half is for what is made of their
/// records. An account that holds nothing is always let through to the budget, so that one item above its share is admitted.
#[derive(Debug)]
pub struct Account {
    budget: Budget,
    held: Arc<Held>,
}

/// What is charged to one account.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let (used, peak, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let (turn, freed, pressure) = (Mutex::new(()), Notify::new(), Notify::new());
        Self(Arc::new(Inner { bytes_max, used, peak, waiting, accounts: AtomicUsize::new(0), turn, freed, pressure }))
    }

    /// Waits until there is room for so many bytes, or until nothing else is in flight, and takes them. While somebody
    /// waits, lanes are told to flush what is not ripe ([`Budget::pressure`]). Those who wait are admitted in the order in
    /// which they came. Dropping the future midway is safe; the place in the order is then lost.
    pub async fn admit(&self, bytes: usize) -> Charge {
        let _turn = self.0.turn.lock().await;
        if let Some(charge) = self.try_admit(bytes) {
            return charge;
        }
        let _waiting = Waiting::new(&self.0);
        loop {
            let freed = self.0.freed.notified();
            if let Some(charge) = self.try_admit(bytes) {
                return charge;
            }
            self.0.pressure.notify_waiters();
            freed.await;
        }
    }

    /// Takes bytes without waiting: for what is made out of something admitted.
    #[must_use]
    pub fn charge(&self, bytes: usize) -> Charge {
        self.take(bytes);
        Charge { budget: self.clone(), bytes, held: None, has_left: AtomicBool::new(false) }
    }

    /// Opens an account, and so makes the shares of the others smaller. What is charged to it outlives it.
    #[must_use]
    pub fn account(&self) -> Account {
        self.0.accounts.fetch_add(1, Ordering::AcqRel);
        Account { budget: self.clone(), held: Arc::default() }
    }

    /// Completes when an intake waits for room: at once if one does already. Dropping the future midway is safe.
    pub async fn pressure(&self) {
        let pressure = self.0.pressure.notified();
        if !self.is_pressed() {
            pressure.await;
        }
    }

    /// Says whether an intake waits for room now.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.0.waiting.load(Ordering::Acquire) > 0
    }

    /// The bytes in flight now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    /// The bytes that may be in flight.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// The most bytes that were ever in flight.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) {
        let used = self.0.used.fetch_add(bytes, Ordering::AcqRel) + bytes;
        self.0.peak.fetch_max(used, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        self.0.freed.notify_waiters();
    }

    fn try_admit(&self, bytes: usize) -> Option<Charge> {
        let fits = |used: usize| (used == 0 || used + bytes <= self.0.bytes_max).then_some(used + bytes);
        let before = self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        self.0.peak.fetch_max(before + bytes, Ordering::Relaxed);
        Some(Charge { budget: self.clone(), bytes, held: None, has_left: AtomicBool::new(false) })
    }
}

impl Account {
    /// How many bytes it may hold now.
    #[must_use]
    pub fn share_bytes(&self) -> usize {
        self.budget.0.bytes_max / 2 / self.budget.0.accounts.load(Ordering::Acquire).max(1)
    }

    /// How many bytes are charged to it now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.held.bytes.load(Ordering::Acquire)
    }

    /// Waits until the account has room for so many bytes, or holds nothing, and then as [`Budget::admit`]. Lanes are pressed
    /// now and then, since the account's bytes may lie in a batch that is not ripe; not all the while, or one that stands
    /// still would have all lanes send each event alone. One task at a time waits. Dropping the future midway is safe.
    pub async fn admit(&self, bytes: usize) -> Charge {
        if !self.has_room(bytes) {
            self.room(bytes).await;
        }
        let mut charge = self.budget.admit(bytes).await;
        self.held.bytes.fetch_add(bytes, Ordering::AcqRel);
        charge.held = Some(Arc::clone(&self.held));
        charge
    }

    fn has_room(&self, bytes: usize) -> bool {
        let used = self.used();
        used == 0 || used.saturating_add(bytes) <= self.share_bytes()
    }

    async fn room(&self, bytes: usize) {
        loop {
            let freed = self.held.freed.notified();
            if self.has_room(bytes) {
                return;
            }
            self.budget.0.pressure.notify_waiters();
            let _freed = tokio::time::timeout(PRESS_EVERY, freed).await;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.0.accounts.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Held {
    fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.freed.notify_waiters();
    }
}

impl Charge {
    /// The budget that the bytes are taken from.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Takes more, without waiting, or gives some back, so that the charge is of so many bytes.
    pub fn resize(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            let more = bytes - self.bytes;
            self.budget.take(more);
            if let Some(held) = self.account() {
                held.take(more);
            }
        } else {
            self.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Makes a charge of so many bytes out of a part of this one. Where this one has fewer, the rest is taken without
    /// waiting.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let part = bytes.min(self.bytes);
        self.bytes -= part;
        let held = self.account().cloned();
        let mut split = Self { budget: self.budget.clone(), bytes: part, held, has_left: AtomicBool::new(false) };
        split.resize(bytes);
        split
    }

    /// Gives the bytes back to the account, and keeps them taken of the budget: for what stays in memory although its reader
    /// has nothing to wait for any more.
    pub fn leave_account(&self) {
        if let Some(held) = &self.held
            && !self.has_left.swap(true, Ordering::AcqRel)
        {
            held.give_back(self.bytes);
        }
    }

    fn account(&self) -> Option<&Arc<Held>> {
        self.held.as_ref().filter(|_| !self.has_left.load(Ordering::Acquire))
    }

    fn give_back(&self, bytes: usize) {
        self.budget.give_back(bytes);
        if let Some(held) = self.account() {
            held.give_back(bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// Counts one waiting intake for as long as it lives.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.waiting.fetch_add(1, Ordering::AcqRel);
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Guards the bound and its two exceptions: what is made from admitted records is charged at once, and an item above
    /// the whole budget is admitted alone.
    #[tokio::test]
    async fn admits_up_to_the_bound_and_a_giant_alone() {
        let budget = Budget::new(100);
        let first = budget.admit(60).await;
        let mut second = pin!(budget.admit(50));
        assert!(poll(second.as_mut()).is_pending());
        let derived = budget.charge(500);
        assert_eq!((budget.used(), budget.peak()), (560, 560));
        drop(first);
        assert!(poll(second.as_mut()).is_pending(), "what was derived still counts");
        drop(derived);
        let Poll::Ready(second) = poll(second.as_mut()) else { panic!("there is room") };
        let mut giant = pin!(budget.admit(1000));
        assert!(poll(giant.as_mut()).is_pending(), "not beside others");
        drop(second);
        let Poll::Ready(giant) = poll(giant.as_mut()) else { panic!("alone") };
        assert_eq!(budget.used(), 1000);
        drop(giant);
        assert_eq!((budget.used(), budget.peak()), (0, 1000));
    }

    /// Guards that a charge which shrinks lets others in, and that the sum is right after growing.
    #[tokio::test]
    async fn a_charge_grows_and_shrinks() {
        let budget = Budget::new(100);
        let mut charge = budget.charge(10);
        charge.resize(90);
        assert_eq!(budget.used(), 90);
        let mut waiting = pin!(budget.admit(50));
        assert!(poll(waiting.as_mut()).is_pending());
        charge.resize(50);
        let Poll::Ready(admitted) = poll(waiting.as_mut()) else { panic!("there is room") };
        assert_eq!(budget.used(), 100);
        drop((charge, admitted));
        assert_eq!((budget.used(), budget.peak()), (0, 100));
    }

    /// Guards against starvation: a large item is not overtaken by small ones that would still fit.
    #[tokio::test]
    async fn admits_in_the_order_of_asking() {
        let budget = Budget::new(100);
        let half = budget.admit(50).await;
        let mut large = pin!(budget.admit(80));
        assert!(poll(large.as_mut()).is_pending());
        let mut small = pin!(budget.admit(10));
        assert!(poll(small.as_mut()).is_pending(), "it fits, but it is not its turn");
        drop(half);
        assert!(poll(small.as_mut()).is_pending());
        let Poll::Ready(_large) = poll(large.as_mut()) else { panic!("its turn, and room") };
        assert!(poll(small.as_mut()).is_ready());
    }

    /// Guards that an intake which gives up neither keeps its turn nor keeps the budget pressed.
    #[tokio::test]
    async fn giving_up_passes_the_turn_on() {
        let budget = Budget::new(100);
        let _half = budget.admit(50).await;
        {
            let mut large = pin!(budget.admit(80));
            assert!(poll(large.as_mut()).is_pending());
            assert!(budget.is_pressed());
        }
        assert!(poll(pin!(budget.admit(10))).is_ready());
    }

    /// Guards that no pressure is missed: neither that which begins while a lane waits for it, nor that which was there
    /// before the lane looked.
    #[tokio::test]
    async fn pressure_is_seen_before_and_after() {
        let budget = Budget::new(100);
        let mut early = pin!(budget.pressure());
        assert!(poll(early.as_mut()).is_pending());
        let held = budget.admit(100).await;
        assert!(poll(early.as_mut()).is_pending(), "a full budget alone presses nobody");
        let mut waiting = pin!(budget.admit(1));
        assert!(poll(waiting.as_mut()).is_pending());
        assert!(poll(early.as_mut()).is_ready());
        assert!(poll(pin!(budget.pressure())).is_ready(), "still pressed");
        drop(held);
        assert!(poll(waiting.as_mut()).is_ready());
        assert!(poll(pin!(budget.pressure())).is_pending(), "no longer pressed");
    }

    /// Guards that a reader whose records stay out never takes the room of another: each has its share, and nothing is lost
    /// count of when a charge is cut in parts.
    #[tokio::test]
    async fn each_account_has_its_share() {
        let budget = Budget::new(100);
        let (stuck, healthy) = (budget.account(), budget.account());
        assert_eq!(stuck.share_bytes(), 25);
        let mut held = stuck.admit(20).await;
        let part = held.split(5);
        assert_eq!((stuck.used(), budget.used()), (20, 20));
        let mut pressed = pin!(budget.pressure());
        assert!(poll(pressed.as_mut()).is_pending());
        let mut more = pin!(stuck.admit(6));
        assert!(poll(more.as_mut()).is_pending(), "its share is used up, though the budget is not");
        assert!(poll(pressed.as_mut()).is_ready(), "its bytes may lie in a batch that is not ripe");
        assert!(poll(pin!(budget.pressure())).is_pending(), "once, and not all the while");
        assert!(poll(pin!(healthy.admit(25))).is_ready());
        drop(part);
        assert!(poll(more.as_mut()).is_ready(), "15 and 6 are within 25");
        held.resize(70);
        assert_eq!(stuck.used(), 70, "what is made is charged without waiting");
        drop(held);
        assert_eq!((stuck.used(), budget.used()), (0, 0));
        let mut lone = healthy.admit(60).await;
        assert_eq!(lone.split(90).bytes, 90, "an item above the share, alone");
        let third = budget.account();
        assert_eq!(healthy.share_bytes(), 16);
        drop(third);
        assert_eq!(healthy.share_bytes(), 25, "an account that is closed leaves its share");
    }
}
