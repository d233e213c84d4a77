//! Test doubles of a lane's neighbours: blocks of numbered events, a destination that fails by a seeded plan, and a store
//! of dead letters in memory. Compiled for tests only; other rooms' tests may use them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::{
    Batch, Block, DeadLetter, DeadLetters, DeadReason, Delivery, Disposition, Error, EventView, Ledger, Row, Sink,
    Verdict, Verdicts, What,
};
use crate::ack::{Position, Sequence};
use crate::budget::Charge;
use crate::record::Record;

/// A block of events that are their own numbers: one record each, `{"n":<number>}`. `lanes` says how many lanes each is
/// routed to.
pub(crate) fn block(shard: &str, numbers: &[u64], lanes: &[u16], charge: Charge) -> Arc<Block> {
    block_of(shard, numbers, lanes, charge, |number| format!("{{\"n\":{number}}}"))
}

/// The same with other documents. The number of an event stands in the member `n` of its document.
pub(crate) fn block_of(
    shard: &str,
    numbers: &[u64],
    lanes: &[u16],
    charge: Charge,
    document: impl Fn(u64) -> String,
) -> Arc<Block> {
    let shard: Arc<str> = shard.into();
    let (mut records, mut ocsf, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (at, number) in numbers.iter().enumerate() {
        let text = document(*number);
        let start = ocsf.len();
        ocsf.extend_from_slice(text.as_bytes());
        records.push(Record {
            data: Bytes::from(text),
            position: Position::new(Arc::clone(&shard), Sequence::from(*number)),
            arrival_ms: None,
            let_go: None,
            again: None,
        });
        rows.push(Row {
            record: u32::try_from(at).unwrap(),
            index: 0,
            ocsf: start..ocsf.len(),
            raw: 0..0,
            projected: [0..0, 0..0],
            log_type: "test.numbered".into(),
            severity_id: 1,
            time_ms: 0,
            account: 0..0,
            region: 0..0,
            id: [0; 16],
        });
    }
    Arc::new(Block {
        source: "memory".into(),
        records,
        ocsf,
        raw: Vec::new(),
        projected: Default::default(),
        names: Arc::default(),
        rows,
        charges: vec![charge],
        ledger: Ledger::new(lanes.iter().copied()),
    })
}

/// What a destination thinks of an event, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It takes it.
    Good,
    /// It refuses it.
    Poison,
    /// It says "try again", forever.
    Sour,
    /// It is too large, alone and in company.
    Giant,
}

/// How a destination behaves. The chances are in percent, drawn per request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub seed: u64,
    /// It answers for the request as a whole, not entry by entry.
    pub is_whole: bool,
    /// What it thinks of each event.
    pub nature: fn(u64) -> Nature,
    /// The longest time an answer takes.
    pub latency_max: Duration,
    /// A request fails, half of them after the entries were stored.
    pub fail: u8,
    /// It takes an hour to answer, after the entries were stored.
    pub stall: u8,
    /// Credentials are refused.
    pub pause: u8,
    /// The answer leaves entries out.
    pub short: u8,
    /// Some entries are answered "try again".
    pub busy: u8,
    /// The destination asks for a gentler pace.
    pub slow_down: u8,
    /// More bytes in one request are too many.
    pub bytes_max: usize,
    /// How many buckets the events fall into, by their number.
    pub buckets: u64,
}

/// A destination in memory.
#[derive(Debug)]
pub(crate) struct MemorySink {
    plan: Plan,
    rng: Mutex<fastrand::Rng>,
    /// How often each event was stored.
    pub stored: Mutex<BTreeMap<u64, u32>>,
    /// The sizes of all batches, in the order of sending.
    pub batches: Mutex<Vec<usize>>,
    in_flight: AtomicUsize,
    /// The most requests at once.
    pub in_flight_peak: AtomicUsize,
}

impl MemorySink {
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            rng: Mutex::new(fastrand::Rng::with_seed(plan.seed)),
            stored: Mutex::default(),
            batches: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            in_flight_peak: AtomicUsize::new(0),
        }
    }

    fn chance(&self, percent: u8) -> bool {
        self.rng.lock().unwrap().u8(0..100) < percent
    }

    fn up_to(&self, max: usize) -> usize {
        self.rng.lock().unwrap().usize(0..=max)
    }

    fn bucket_of(&self, number: u64) -> Vec<u8> {
        (number % self.plan.buckets.max(1)).to_string().into_bytes()
    }

    /// Stores an event, and says whether it was there already.
    fn store(&self, number: u64) -> bool {
        let mut stored = self.stored.lock().unwrap();
        let times = stored.entry(number).or_default();
        *times += 1;
        *times > 1
    }

    async fn answer(&self, numbers: &[u64], bytes: usize) -> Result<Delivery, Error> {
        let nature = self.plan.nature;
        let latency = self.up_to(usize::try_from(self.plan.latency_max.as_millis()).unwrap());
        tokio::time::sleep(Duration::from_millis(u64::try_from(latency).unwrap())).await;
        if self.chance(self.plan.pause) {
            return Err(error(Disposition::Pause, "http_401"));
        }
        if bytes > self.plan.bytes_max || numbers.iter().any(|number| nature(*number) == Nature::Giant) {
            return Err(error(Disposition::Split, "http_413"));
        }
        let (fails, stalls) = (self.chance(self.plan.fail), self.chance(self.plan.stall));
        if fails && self.chance(50) {
            let after = self.chance(30).then_some(Duration::from_secs(2));
            return Err(error(Disposition::Retry { after }, "http_503"));
        }
        let short = self.chance(self.plan.short);
        let busy = self.chance(self.plan.busy);
        let slow_down = self.chance(self.plan.slow_down).then_some(Duration::from_millis(300));
        let delivery = if self.plan.is_whole {
            if numbers.iter().any(|number| nature(*number) == Nature::Sour) {
                return Err(error(Disposition::Retry { after: None }, "http_500"));
            }
            if numbers.iter().any(|number| nature(*number) == Nature::Poison) {
                return Err(error(Disposition::Refuse, "http_400"));
            }
            for number in numbers {
                self.store(*number);
            }
            Delivery { slow_down, ..Delivery::accepted() }
        } else {
            let mut verdicts: Vec<Verdict> = numbers.iter().map(|number| self.verdict(*number, busy)).collect();
            if short {
                verdicts.truncate(self.up_to(verdicts.len()));
            }
            Delivery { verdicts: Verdicts::Each(verdicts), slow_down }
        };
        if stalls {
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        if fails { Err(error(Disposition::Retry { after: None }, "connection_cut")) } else { Ok(delivery) }
    }

    fn verdict(&self, number: u64, busy: bool) -> Verdict {
        match (self.plan.nature)(number) {
            Nature::Poison => Verdict::refused("mapper_parsing_exception", "cannot be indexed"),
            Nature::Sour => Verdict::retry("item_503", "shard not available"),
            Nature::Good | Nature::Giant if busy && self.chance(50) => Verdict::retry("item_429", "busy"),
            Nature::Good | Nature::Giant if self.store(number) => Verdict::Duplicate,
            Nature::Good | Nature::Giant => Verdict::Accepted,
        }
    }
}

/// Counts a request for as long as it is under way, however it ends.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Sink for MemorySink {
    fn encode(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(event.ocsf());
        out.push(b'\n');
    }

    fn bucket(&self, event: EventView<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bucket_of(number_in(event.ocsf())));
    }

    async fn send(&self, batch: &Batch) -> Result<Delivery, Error> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let _under_way = UnderWay(&self.in_flight);
        self.in_flight_peak.fetch_max(now, Ordering::Relaxed);
        self.batches.lock().unwrap().push(batch.len());
        assert!(!batch.is_empty(), "a batch without entries is never sent");
        assert_eq!(batch.frames().collect::<Vec<_>>().concat(), batch.body(), "the frames are the body");
        let numbers: Vec<u64> = batch.frames().map(number_in).collect();
        assert!(
            numbers.iter().all(|number| self.bucket_of(*number) == batch.bucket()),
            "one bucket a batch: {numbers:?}"
        );
        self.answer(&numbers, batch.body().len()).await
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A dead letter as it was kept, without its block: the block would hold on to its room in the memory budget.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub number: u64,
    pub reason: DeadReason,
    pub code: String,
    pub words: String,
    pub attempts: u32,
}

/// Dead letters in memory, kept after up to `latency_max`.
#[derive(Debug)]
pub(crate) struct MemoryDeadLetters {
    pub letters: Mutex<Vec<Kept>>,
    rng: Mutex<fastrand::Rng>,
    latency_max: Duration,
}

impl MemoryDeadLetters {
    pub fn new(seed: u64, latency_max: Duration) -> Self {
        Self { letters: Mutex::default(), rng: Mutex::new(fastrand::Rng::with_seed(seed)), latency_max }
    }
}

impl DeadLetters for MemoryDeadLetters {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        assert!(!letters.is_empty(), "nothing to keep");
        let share = self.rng.lock().unwrap().f64();
        tokio::time::sleep(self.latency_max.mul_f64(share)).await;
        self.letters.lock().unwrap().extend(letters.into_iter().map(Kept::from));
    }
}

impl From<DeadLetter> for Kept {
    fn from(letter: DeadLetter) -> Self {
        let What::Row(row) = letter.what else { panic!("a lane buries rows") };
        let number = number_in(letter.block.event(row).unwrap().ocsf());
        let DeadLetter { reason, code, words, attempts, .. } = letter;
        Self { number, reason, code: code.into_owned(), words, attempts }
    }
}

/// A failed request.
pub(crate) fn error(disposition: Disposition, code: &'static str) -> Error {
    Error { disposition, code: code.into(), words: format!("as planned: {code}") }
}

#[derive(serde::Deserialize)]
struct Numbered {
    n: u64,
}

fn number_in(frame: &[u8]) -> u64 {
    let text = std::str::from_utf8(frame).unwrap();
    let numbered: Numbered = serde_json::from_str(text).unwrap_or_else(|_| panic!("a broken frame: {text:?}"));
    numbered.n
}
