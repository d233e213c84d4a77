//! What is delivered, and the lane that does it.

use std::fmt::Write as _;
use std::sync::Arc;

use siemline::ack::Receipt;
use siemline::budget::Budget;
use siemline::delivery::{
    Batch, Block, DeadLetter, DeadLetters, Lane, LaneSettings, Ledger, Parcel, Row, Sink, Tasks, run,
};
use siemline::metric::{EventMeter, LaneMeter};
use tokio::sync::mpsc;

/// Events in a block.
const BLOCK_EVENTS: usize = 500;

/// Blocks.
const BLOCKS: usize = 24;

/// Events in all.
pub const EVENTS: usize = BLOCK_EVENTS * BLOCKS;

/// Events as they are delivered.
pub struct Load {
    blocks: Vec<(Vec<u8>, Vec<u8>, Vec<Row>)>,
}

impl Load {
    /// The same events each time.
    pub fn new() -> Self {
        let mut rng = fastrand::Rng::with_seed(7);
        Self { blocks: (0..BLOCKS).map(|block| events(block * BLOCK_EVENTS, &mut rng)).collect() }
    }

    /// Bytes of an OCSF document, on average.
    pub fn ocsf_bytes(&self) -> usize {
        self.blocks.iter().map(|(ocsf, _, _)| ocsf.len()).sum::<usize>() / EVENTS
    }

    /// Bytes of an event as AWS wrote it, on average.
    pub fn raw_bytes(&self) -> usize {
        self.blocks.iter().map(|(_, raw, _)| raw.len()).sum::<usize>() / EVENTS
    }

    /// Encodes all of it, a block a batch. The bytes that were written.
    pub fn encode(&self, sink: &impl Sink) -> usize {
        let mut bytes = 0;
        for Parcel { block, rows, receipt } in self.parcels() {
            let mut batch = Batch::default();
            for event in rows.into_iter().filter_map(|row| block.event(row)) {
                batch.push(|out| sink.encode(event, out));
            }
            bytes += std::hint::black_box(batch).body().len();
            receipt.settle(siemline::ack::Outcome::Delivered);
        }
        bytes
    }

    /// All of it, for one lane.
    pub fn parcels(&self) -> Vec<Parcel> {
        self.blocks.iter().map(parcel).collect()
    }
}

/// Keeps none: there are none.
struct None;

impl DeadLetters for None {
    async fn keep(&self, letters: Vec<DeadLetter>) {
        assert!(letters.is_empty(), "{}: {}", letters[0].code, letters[0].words);
    }
}

/// Requests as tasks of their own, as the pipeline runs them.
pub struct Spawned;

impl Tasks for Spawned {
    fn run<F>(&self, request: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = tokio::spawn(request);
        async move { task.await.expect("requests do not fail") }
    }
}

/// Delivers all parcels through a lane.
pub async fn deliver(sink: impl Sink, settings: LaneSettings, tasks: impl Tasks, parcels: Vec<Parcel>) {
    let meter = Arc::new(LaneMeter::default());
    let (sender, queue) = mpsc::channel(parcels.len());
    for parcel in parcels {
        sender.try_send(parcel).expect("there is room");
    }
    drop(sender);
    run(Lane {
        name: Arc::from("bench"),
        sink,
        dead_letters: None,
        tasks,
        queue,
        settings,
        budget: Budget::new(1 << 30),
        meter: Arc::clone(&meter),
        events: Arc::new(EventMeter::default()),
        seed: 1,
        clock: || 0,
    })
    .await;
    assert_eq!(meter.delivered.get(), EVENTS as u64);
    assert_eq!(meter.failures.get(), 0);
}

fn parcel((ocsf, raw, rows): &(Vec<u8>, Vec<u8>, Vec<Row>)) -> Parcel {
    let block = Block {
        source: Arc::from("bench"),
        records: Vec::new(),
        ocsf: ocsf.clone(),
        raw: raw.clone(),
        projected: Default::default(),
        names: Arc::default(),
        rows: rows.clone(),
        charges: Vec::new(),
        ledger: Ledger::new(rows.iter().map(|_| 1)),
    };
    let numbers = (0_u32..).zip(rows).map(|(number, _)| number).collect();
    Parcel { block: Arc::new(block), rows: numbers, receipt: Receipt::new(1, |_| {}) }
}

/// Detections of about the size that those of GuardDuty have. Strict fakes know them by their numbers, from `first` on.
fn events(first: usize, rng: &mut fastrand::Rng) -> (Vec<u8>, Vec<u8>, Vec<Row>) {
    let (mut ocsf, mut raw, mut rows) = (String::new(), String::new(), Vec::new());
    for index in 0..BLOCK_EVENTS {
        let (ocsf_begin, raw_begin) = (ocsf.len(), raw.len());
        let account = 111_122_223_333_u64 + rng.u64(0..40);
        let _written = write!(
            ocsf,
            r#"{{"n":{},"activity_id":1,"category_uid":2,"class_uid":2004,"cloud":{{"account":{{"uid":"{account}"}},"provider":"AWS","region":"eu-west-1"}},"severity_id":4,"time":{},"finding_info":{{"uid":"{:032x}","title":"An instance asks for a name that belongs to a pool of miners","types":["CryptoCurrency:EC2/BitcoinTool.B!DNS"]}},"evidences":["#,
            first + index,
            1_700_000_000_000_u64 + rng.u64(0..1_000_000_000),
            rng.u128(..)
        );
        for evidence in 0..8 {
            let comma = if evidence == 0 { "" } else { "," };
            let _written = write!(
                ocsf,
                r#"{comma}{{"src_endpoint":{{"ip":"10.{}.{}.{}","port":{},"instance_uid":"i-{:017x}"}},"dst_endpoint":{{"ip":"198.51.100.{}","port":443,"location":{{"country":"DE","city":"Example"}}}},"data":{{"localPortDetails":{{"portName":"Unknown"}},"blocked":false,"probe":"{:016x}"}}}}"#,
                rng.u8(..),
                rng.u8(..),
                rng.u8(..),
                rng.u16(1024..),
                rng.u64(..),
                rng.u8(..),
                rng.u64(..)
            );
        }
        ocsf.push_str("]}");
        let _written = write!(raw, r#"{{"schemaVersion":"2.0","accountId":"{account}","detail":"#);
        raw.push_str(&ocsf[ocsf_begin..]);
        raw.push('}');
        rows.push(Row {
            record: 0,
            index: u32::try_from(index).expect("few events"),
            ocsf: ocsf_begin..ocsf.len(),
            raw: raw_begin..raw.len(),
            projected: [0..0, 0..0],
            log_type: Arc::from("aws.guardduty"),
            severity_id: 4,
            time_ms: 1_700_000_000_000,
            account: 0..0,
            region: 0..0,
            id: rng.u128(..).to_be_bytes(),
        });
    }
    (ocsf.into_bytes(), raw.into_bytes(), rows)
}
