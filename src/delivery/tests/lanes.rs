//! One lane against a destination that answers by script, in paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::ack::{Outcome, Receipt, Settled};
use crate::budget::Budget;
use crate::delivery::testing::{MemoryDeadLetters, block_of, error};
use crate::delivery::{
    Batch, DeadReason, Delivery, Disposition, Error, EventView, Here, Lane, LaneDefaults, LaneOptions, Parcel, Sink,
    Verdict, Verdicts, run,
};
use crate::metric::{EventMeter, LaneMeter};
use crate::unit::{Size, Span};

pub(super) type Answer = Result<Delivery, Error>;

/// A request as the destination saw it: when, since the beginning, and which events.
pub(super) type Request = (Duration, Vec<u64>);

type Script = dyn Fn(usize, &[u64]) -> (Duration, Answer) + Send + Sync;

/// A destination that answers by script: given how many requests came before, and the events.
pub(super) struct Scripted {
    answer: Box<Script>,
    requests: Mutex<Vec<Request>>,
    /// The frames it took a look at, in the order of sending.
    pub frames: Mutex<Vec<String>>,
    /// More in one request are too many.
    bytes_max: usize,
    start: Instant,
}

impl Sink for Scripted {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(event.ocsf());
    }

    async fn send(&self, batch: &Batch) -> Answer {
        let numbers: Vec<u64> = batch
            .frames()
            .map(|frame| serde_json::from_slice::<serde_json::Value>(frame).unwrap()["n"].as_u64().unwrap())
            .collect();
        if batch.body().len() > self.bytes_max {
            return Err(error(Disposition::Split, "http_413"));
        }
        self.frames.lock().unwrap().extend(batch.frames().map(|frame| String::from_utf8(frame.to_vec()).unwrap()));
        let before = {
            let mut requests = self.requests.lock().unwrap();
            requests.push((self.start.elapsed(), numbers.clone()));
            requests.len() - 1
        };
        let (latency, answer) = (self.answer)(before, &numbers);
        sleep(latency).await;
        answer
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A lane with its neighbours.
pub(super) struct Rig {
    pub sink: Arc<Scripted>,
    pub dead: Arc<MemoryDeadLetters>,
    pub meter: Arc<LaneMeter>,
    events: Arc<EventMeter>,
    budget: Budget,
    queue: mpsc::Sender<Parcel>,
    lane: JoinHandle<()>,
    settled: Arc<Mutex<Vec<Settled>>>,
}

pub(super) fn options() -> LaneOptions {
    LaneOptions {
        batch_entries_max: Some(10),
        batch_age_max: Some(Span::seconds(1)),
        requests_in_flight_max: Some(2),
        refusals_in_a_row_max: 5,
        entry_retry_max: 3,
        ..LaneOptions::default()
    }
}

impl Rig {
    pub fn new(
        options: &LaneOptions,
        answer: impl Fn(usize, &[u64]) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        Self::build(options, Duration::ZERO, usize::MAX, answer)
    }

    /// A destination that accepts all, and takes no more than so many bytes at once.
    pub fn narrow(options: &LaneOptions, bytes_max: usize) -> Self {
        Self::build(options, Duration::ZERO, bytes_max, |_, _| accept())
    }

    pub fn burying(
        options: &LaneOptions,
        burial: Duration,
        answer: impl Fn(usize, &[u64]) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        Self::build(options, burial, usize::MAX, answer)
    }

    fn build(
        options: &LaneOptions,
        burial: Duration,
        bytes_max: usize,
        answer: impl Fn(usize, &[u64]) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        let sink = Arc::new(Scripted {
            answer: Box::new(answer),
            requests: Mutex::default(),
            frames: Mutex::default(),
            bytes_max,
            start: Instant::now(),
        });
        let dead = Arc::new(MemoryDeadLetters::new(0, burial));
        let (meter, events) = (Arc::<LaneMeter>::default(), Arc::<EventMeter>::default());
        let budget = Budget::new(10_000);
        let (queue, parcels) = mpsc::channel(4);
        let lane = tokio::spawn(run(Lane {
            name: "scripted".into(),
            sink: Arc::clone(&sink),
            dead_letters: Arc::clone(&dead),
            tasks: Here,
            queue: parcels,
            settings: options.settings(LaneDefaults::default()).unwrap(),
            budget: budget.clone(),
            meter: Arc::clone(&meter),
            events: Arc::clone(&events),
            seed: 7,
            clock: || 1_700_000_000_000,
        }));
        Self { sink, dead, meter, events, budget, queue, lane, settled: Arc::default() }
    }

    /// Puts a chunk of these events into the queue; the chunk's number is its first event's.
    pub async fn put(&self, numbers: impl IntoIterator<Item = u64>) {
        self.put_documents(numbers, |number| format!("{{\"n\":{number}}}")).await;
    }

    /// The same with other documents.
    pub async fn put_documents(&self, numbers: impl IntoIterator<Item = u64>, document: impl Fn(u64) -> String) {
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let settled = Arc::clone(&self.settled);
        let receipt = Receipt::new(numbers[0], move |end| settled.lock().unwrap().push(end));
        let charge = self.budget.charge(numbers.len());
        let block = block_of("s", &numbers, &vec![1; numbers.len()], charge, document);
        let rows = (0..u32::try_from(numbers.len()).unwrap()).collect();
        self.queue.send(Parcel { block, rows, receipt }).await.unwrap();
    }

    /// Closes the queue, waits for the lane to end, and checks that nothing is left anywhere.
    pub async fn drain(self) -> Ended {
        drop(self.queue);
        self.lane.await.unwrap();
        let dead: Vec<(u64, DeadReason)> =
            self.dead.letters.lock().unwrap().iter().map(|letter| (letter.number, letter.reason)).collect();
        assert_eq!(self.budget.used(), 0, "all room was given back");
        let requests = std::mem::take(&mut *self.sink.requests.lock().unwrap());
        let outcomes = self.settled.lock().unwrap().iter().map(|settled| (settled.chunk, settled.outcome)).collect();
        let (meter, events) = (self.meter, self.events);
        let ended = meter.delivered.get() + meter.dead_lettered.get() + meter.abandoned.get();
        assert_eq!(meter.entries.get(), ended, "every entry ended");
        assert_eq!(meter.delivered.get(), events.delivered.get(), "an event has one entry here");
        assert_eq!(meter.dead_lettered.get(), events.dead_lettered.get());
        Ended { requests, dead, outcomes, meter }
    }
}

pub(super) struct Ended {
    pub requests: Vec<Request>,
    pub dead: Vec<(u64, DeadReason)>,
    pub outcomes: Vec<(u64, Outcome)>,
    pub meter: Arc<LaneMeter>,
}

impl Ended {
    pub fn sizes(&self) -> Vec<usize> {
        self.requests.iter().map(|(_, numbers)| numbers.len()).collect()
    }
}

pub(super) fn at_once(answer: Answer) -> (Duration, Answer) {
    (Duration::ZERO, answer)
}

pub(super) fn accept() -> (Duration, Answer) {
    at_once(Ok(Delivery::accepted()))
}

/// Answers entry by entry.
pub(super) fn each(numbers: &[u64], verdict: impl Fn(u64) -> Verdict) -> (Duration, Answer) {
    let verdicts = Verdicts::Each(numbers.iter().map(|number| verdict(*number)).collect());
    at_once(Ok(Delivery { verdicts, slow_down: None }))
}

/// Guards batching: by count over the borders of parcels, the rest by age, in the order of the queue, and one receipt's
/// word per chunk.
#[tokio::test(start_paused = true)]
async fn batches_by_count_then_by_age() {
    let rig = Rig::new(&options(), |_, _| accept());
    rig.put(0..7).await;
    rig.put(7..25).await;
    sleep(Duration::from_millis(1500)).await;
    rig.put(25..27).await;
    let ended = rig.drain().await;
    assert_eq!(ended.sizes(), [10, 10, 5, 2]);
    let sent: Vec<u64> = ended.requests.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
    assert_eq!(sent, (0..27).collect::<Vec<_>>());
    assert_eq!(ended.requests[1].0, Duration::ZERO);
    assert_eq!(ended.requests[2].0.as_secs(), 1, "it waited for others, no longer than the age");
    assert_eq!(ended.requests[3].0.as_millis() / 10, 150, "a closed queue waits for nobody");
    assert_eq!(ended.outcomes, [(0, Outcome::Delivered), (7, Outcome::Delivered), (25, Outcome::Delivered)]);
    assert_eq!(ended.meter.requests.get(), 4);
}

/// Guards batching by encoded bytes: no batch is larger, except an entry that alone is.
#[tokio::test(start_paused = true)]
async fn batches_by_bytes() {
    // A frame is 7 bytes with one digit, 8 with two.
    let options = LaneOptions { batch_bytes_max: Some(Size(16)), ..options() };
    let rig = Rig::new(&options, |_, _| accept());
    rig.put(8..13).await;
    rig.put([12_345_678_901]).await;
    rig.put([1]).await;
    let ended = rig.drain().await;
    let batches: Vec<&[u64]> = ended.requests.iter().map(|(_, numbers)| &**numbers).collect();
    assert_eq!(batches, [&[8, 9][..], &[10, 11], &[12], &[12_345_678_901], &[1]]);
}

/// Guards that nothing waits for itself: an intake without room makes a lane send what is not ripe.
#[tokio::test(start_paused = true)]
async fn pressure_flushes_what_is_not_ripe() {
    let options = LaneOptions { batch_age_max: Some(Span::seconds(3600)), ..options() };
    let rig = Rig::new(&options, |_, _| accept());
    rig.put(0..3).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.meter.requests.get(), 0, "nothing presses");
    let before = Instant::now();
    drop(rig.budget.admit(10_000).await);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(rig.drain().await.sizes(), [3]);
}

/// Guards the pause: no request but one small probe now and then, nothing lost and nothing buried, and full speed once the
/// destination was mended.
#[tokio::test(start_paused = true)]
async fn refused_credentials_pause_the_lane() {
    let start = Instant::now();
    let options = LaneOptions { batch_entries_max: Some(40), requests_in_flight_max: Some(1), ..options() };
    let rig = Rig::new(&options, move |_, _| {
        if start.elapsed() < Duration::from_secs(100) {
            at_once(Err(error(Disposition::Pause, "http_403")))
        } else {
            accept()
        }
    });
    rig.put(0..100).await;
    let ended = rig.drain().await;
    assert_eq!(ended.sizes()[..5], [40, 16, 16, 8, 16]);
    let times: Vec<u64> = ended.requests.iter().map(|(time, _)| time.as_secs()).collect();
    assert_eq!(times[..5], [0, 30, 60, 90, 120]);
    assert!(times.iter().all(|time| *time <= 121), "{times:?}");
    assert_eq!(ended.meter.pauses.get(), 1);
    assert_eq!((ended.dead.len(), ended.meter.delivered.get()), (0, 100));
}

/// Guards against a destination that is set up wrongly: it costs the first few entries, not all of them.
#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_pause_the_lane() {
    for is_whole in [false, true] {
        let start = Instant::now();
        let rig = Rig::new(&options(), move |_, numbers| {
            if start.elapsed() > Duration::from_mins(5) {
                accept()
            } else if is_whole {
                at_once(Err(error(Disposition::Refuse, "http_400")))
            } else {
                each(numbers, |_| Verdict::refused("index_not_found_exception", "no such index"))
            }
        });
        rig.put(0..30).await;
        rig.put(30..60).await;
        let ended = rig.drain().await;
        assert_eq!(ended.dead.len(), 5, "as many as `refusals_in_a_row_max`, whole: {is_whole}");
        assert_eq!(ended.meter.delivered.get(), 55);
        assert_eq!(ended.meter.pauses.get(), 1);
        assert_eq!(
            ended.outcomes,
            [(30, Outcome::Delivered), (0, Outcome::DeadLettered)].into_iter().rev().collect::<Vec<_>>(),
            "whole: {is_whole}"
        );
    }
}

/// Guards that a lane paused by refusals is freed by a good entry behind the bad ones, also one that came later.
#[tokio::test(start_paused = true)]
async fn a_good_entry_behind_bad_ones_ends_the_pause() {
    let rig = Rig::new(&options(), |_, numbers| {
        each(numbers, |number| if number < 12 { Verdict::refused("x", "never") } else { Verdict::Accepted })
    });
    rig.put(0..12).await;
    sleep(Duration::from_secs(200)).await;
    assert_eq!((rig.meter.pauses.get(), rig.meter.dead_lettered.get()), (1, 5));
    rig.put([12]).await;
    sleep(Duration::from_secs(200)).await;
    assert_eq!(rig.meter.delivered.get(), 1);
    assert_eq!(rig.meter.dead_lettered.get(), 10, "the next few are refused as the first were, and it pauses again");
    rig.put(13..15).await;
    let ended = rig.drain().await;
    assert_eq!((ended.meter.delivered.get(), ended.dead.len()), (3, 12));
}

/// Guards `request_timeout`: an answer that never comes is a failure like others.
#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_times_out() {
    let rig = Rig::new(&options(), |before, _| {
        let latency = if before == 0 { Duration::from_hours(10) } else { Duration::ZERO };
        (latency, Ok(Delivery::accepted()))
    });
    rig.put(0..3).await;
    let ended = rig.drain().await;
    assert_eq!(ended.sizes(), [3, 3]);
    assert!(ended.requests[1].0 >= Duration::from_mins(1));
    assert_eq!((ended.meter.failures.get(), ended.meter.retried.get()), (1, 3));
}

/// Guards splitting: what is too large goes in halves, and one entry that is too large alone costs only itself.
#[tokio::test(start_paused = true)]
async fn too_large_is_halved_to_the_culprit() {
    let rig = Rig::new(&options(), |_, numbers| {
        if numbers.contains(&6) { at_once(Err(error(Disposition::Split, "http_413"))) } else { accept() }
    });
    rig.put(0..10).await;
    let ended = rig.drain().await;
    assert_eq!(ended.dead, [(6, DeadReason::TooLarge)]);
    assert_eq!(ended.meter.delivered.get(), 9);
    assert_eq!(ended.meter.splits.get(), 4);
    assert_eq!(ended.outcomes, [(0, Outcome::DeadLettered)], "the worst of its entries");
}

/// Guards the bound on one entry: with others accepted it is buried after `entry_retry_max`; with nobody else accepted it
/// is kept for as long as it takes.
#[tokio::test(start_paused = true)]
async fn an_entry_alone_is_never_given_up() {
    let rig = Rig::new(&options(), |_, numbers| {
        each(numbers, |number| if number == 3 { Verdict::retry("item_503", "no shard") } else { Verdict::Accepted })
    });
    rig.put(0..5).await;
    sleep(Duration::from_hours(5)).await;
    assert_eq!((rig.meter.delivered.get(), rig.meter.dead_lettered.get()), (4, 0));
    assert!(rig.meter.retried.get() > 100, "it was tried again all the time");
    for number in 10..20 {
        rig.put([number]).await;
        sleep(Duration::from_mins(2)).await;
    }
    assert_eq!(rig.meter.dead_lettered.get(), 1);
    let letter = rig.dead.letters.lock().unwrap()[0].clone();
    assert_eq!((&*letter.code, &*letter.words), ("entry_retry_max", "item_503: no shard"));
    assert!(letter.attempts > 100);
    assert_eq!(rig.drain().await.dead, [(3, DeadReason::EntryRetryMax)]);
}

/// Guards the same for a request that fails as a whole whenever one entry is in it: the batch is halved until the culprit
/// is alone, and the neighbours get through.
#[tokio::test(start_paused = true)]
async fn a_batch_that_always_fails_is_halved_to_the_culprit() {
    let rig = Rig::new(&options(), |_, numbers| {
        if numbers.contains(&4) {
            at_once(Err(error(Disposition::Retry { after: None }, "http_500")))
        } else {
            accept()
        }
    });
    rig.put(0..10).await;
    for number in 10..300 {
        rig.put([number]).await;
        sleep(Duration::from_secs(20)).await;
    }
    let ended = rig.drain().await;
    assert_eq!(ended.dead, [(4, DeadReason::EntryRetryMax)]);
    assert_eq!(ended.meter.delivered.get(), 299);
}

/// Guards `Retry-After`: the whole lane keeps still for as long as it was asked to.
#[tokio::test(start_paused = true)]
async fn retry_after_holds_the_lane() {
    let after = Some(Duration::from_secs(90));
    let rig = Rig::new(&options(), move |before, _| {
        if before == 0 { at_once(Err(error(Disposition::Retry { after }, "http_429"))) } else { accept() }
    });
    rig.put(0..50).await;
    let ended = rig.drain().await;
    let times: Vec<u64> = ended.requests.iter().map(|(time, _)| time.as_secs()).collect();
    assert_eq!(times, [0, 90, 90, 90, 90, 90]);
    assert_eq!(ended.meter.delivered.get(), 50);
}

/// Guards that a dead destination is asked ever more rarely, by one request at a time.
#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_is_not_hammered() {
    let start = Instant::now();
    let rig = Rig::new(&options(), move |_, _| {
        if start.elapsed() < Duration::from_hours(6) {
            at_once(Err(error(Disposition::Retry { after: None }, "connect")))
        } else {
            accept()
        }
    });
    rig.put(0..50).await;
    let ended = rig.drain().await;
    assert_eq!((ended.meter.delivered.get(), ended.dead.len()), (50, 0));
    let failed = ended.meter.failures.get();
    assert!((360..1500).contains(&failed), "{failed} requests in six hours, with waits of half a minute on average");
}

/// Guards the bound of a lane that cannot send: it takes a window of batches and a little more, charges what it holds, and
/// then its queue is the backpressure.
#[tokio::test(start_paused = true)]
async fn a_lane_that_cannot_send_takes_no_more() {
    let rig = Rig::new(&options(), |_, _| at_once(Err(error(Disposition::Retry { after: None }, "connect"))));
    let mut put = 0;
    while timeout(Duration::from_hours(1), rig.put(put * 5..put * 5 + 5)).await.is_ok() {
        put += 1;
        assert!(put < 100, "no bound");
    }
    // Two batches of ten may be under way at first, three may be ready, one is being filled from one parcel.
    let taken = rig.meter.entries.get();
    assert!((30..=65).contains(&taken), "{taken} entries");
    assert_eq!(put * 5, taken + 4 * 5, "the rest is in the queue");
    assert!(rig.budget.used() > usize::try_from(put * 5 + 30 * 7).unwrap(), "blocks and encoded batches are charged");
    rig.lane.abort();
    assert!(rig.lane.await.unwrap_err().is_cancelled());
    assert_eq!((rig.meter.abandoned.get(), rig.budget.used()), (put * 5, 0));
}

/// Guards that what is dead-lettered counts as settled only once it is kept, while others go on; and that burials are
/// bounded.
#[tokio::test(start_paused = true)]
async fn a_slow_burial_holds_its_chunk_and_nothing_else() {
    let rig = Rig::burying(&options(), Duration::from_hours(100), |_, numbers| {
        each(
            numbers,
            |number| {
                if number.is_multiple_of(10) { Verdict::refused("x", "never") } else { Verdict::Accepted }
            },
        )
    });
    rig.put(0..10).await;
    rig.put(11..20).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.meter.delivered.get(), 18);
    assert_eq!(rig.meter.dead_lettered.get(), 0);
    assert_eq!(rig.settled.lock().unwrap().iter().map(|end| end.chunk).collect::<Vec<_>>(), [11]);
    for ten in 2..20 {
        rig.put(ten * 10..ten * 10 + 10).await;
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.meter.requests.get(), 17, "sixteen burials are under way: the lane waits for them");
    let ended = rig.drain().await;
    assert_eq!((ended.dead.len(), ended.meter.delivered.get()), (19, 180));
    assert!(ended.outcomes.contains(&(0, Outcome::DeadLettered)));
}

/// Guards that dropping a lane midway abandons exactly what it had not settled: under way, waiting, half taken, queued.
#[tokio::test(start_paused = true)]
async fn a_dropped_lane_abandons_what_is_open() {
    let rig = Rig::new(&options(), |before, _| {
        let latency = if before == 0 { Duration::ZERO } else { Duration::from_secs(50) };
        (latency, Ok(Delivery::accepted()))
    });
    rig.put(0..10).await;
    for ten in 1..8 {
        rig.put(ten * 10..ten * 10 + 10).await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.meter.delivered.get(), 10);
    rig.lane.abort();
    assert!(rig.lane.await.unwrap_err().is_cancelled());
    assert_eq!((rig.meter.entries.get(), rig.meter.abandoned.get()), (80, 70));
    assert_eq!((rig.events.delivered.get(), rig.events.abandoned.get()), (10, 70));
    let mut outcomes: Vec<_> = rig.settled.lock().unwrap().iter().map(|end| (end.chunk, end.outcome)).collect();
    outcomes.sort_unstable();
    let expected = |chunk| (chunk, if chunk == 0 { Outcome::Delivered } else { Outcome::Abandoned });
    assert_eq!(outcomes, (0..8).map(|ten| expected(ten * 10)).collect::<Vec<_>>());
    assert_eq!(rig.budget.used(), 0);
}
