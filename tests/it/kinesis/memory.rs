//! What is read has its room before it is asked for, also while the answer is taken in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use siemline::ack::Outcome;
use siemline::budget::Budget;
use siemline::record::Chunk;
use tokio::time::timeout;

use super::{PATIENCE, Reading, checkpoints, settle};
use crate::fakes::kinesis::FakeKinesis;
use crate::fakes::plan::Plan;

/// When nothing has come for so long, what is out is settled, as a batch that is not full is sent when it is old enough.
const LATE: Duration = Duration::from_millis(300);

/// Guards what an answer takes beside its records: its text, in base64. Room for both was taken, and only what the records
/// need is kept.
#[tokio::test]
async fn an_answer_has_room_while_it_is_taken_in() {
    const RECORDS: usize = 120;
    const RECORD_BYTES: usize = 50_000;
    let fake = FakeKinesis::start(1, Plan::healthy()).await;
    let (_directory, file) = checkpoints();
    for _ in 0..RECORDS {
        fake.put("key", vec![b'x'; RECORD_BYTES]);
    }
    let options = json!({ "chunk_bytes_max": "10MiB" });
    let mut reading = Reading::with_budget(&fake, &file, options, Budget::new(256 << 20)).await;
    let chunk = reading.chunk().await;
    assert_eq!(chunk.records.len(), RECORDS, "one answer");
    let records = RECORDS * RECORD_BYTES;
    let text = records / 3 * 4;
    let (used, peak) = (reading.budget.used(), reading.budget.peak());
    assert!(peak >= text + records, "{peak} for {records} bytes of records and their text");
    // The next call may be under way, and at the tip it takes room for little.
    assert!(used < peak / 2, "{used} of {peak} bytes are kept");
    settle(chunk, Outcome::Delivered);
    assert_eq!(reading.stop().await, Vec::<String>::new());
}

/// Guards backpressure where it is hardest: many shards, a memory that is small for them, records that are settled late, and
/// among them some that are larger than all of it. The bound holds, but for those few, and every shard is read to its end.
#[tokio::test]
async fn many_shards_live_on_little_memory() {
    const SHARDS: usize = 8;
    const RECORDS: usize = 24;
    const BYTES_MAX: usize = 4 << 20;
    for giant_bytes in [None, Some(3 << 20)] {
        let fake = FakeKinesis::start(SHARDS, Plan::healthy()).await;
        let (_directory, file) = checkpoints();
        let shards = fake.open_shards();
        for n in 0..RECORDS {
            for (place, shard) in shards.iter().enumerate() {
                let is_giant = n == RECORDS / 2 && place < 2;
                let bytes = giant_bytes.filter(|_| is_giant).unwrap_or(8000);
                fake.put_to(shard, vec![b'a' + u8::try_from(place).unwrap(); bytes]);
            }
        }
        let options = json!({ "chunk_bytes_max": "32KiB" });
        let mut reading = Reading::with_budget(&fake, &file, options, Budget::new(BYTES_MAX)).await;
        let mut came = Instant::now();
        let (mut got, mut out): (BTreeMap<String, usize>, Vec<_>) = (BTreeMap::new(), Vec::new());
        while got.values().sum::<usize>() < SHARDS * RECORDS {
            let Ok(chunk) = timeout(LATE, reading.chunks.recv()).await else {
                // A shard whose records are large may wait for all that it has out.
                assert!(came.elapsed() < PATIENCE, "nothing comes: {got:?}");
                out.drain(..).for_each(|chunk| settle(chunk, Outcome::Delivered));
                continue;
            };
            let chunk = chunk.expect("the source reads on");
            came = Instant::now();
            *got.entry(chunk.records[0].position.shard.to_string()).or_default() += chunk.records.len();
            out.push(chunk);
            let is_giant = |chunk: &Chunk| chunk.records.iter().any(|record| record.data.len() > 8000);
            if out.len() > 3 || out.iter().any(is_giant) {
                settle(out.remove(0), Outcome::Delivered);
            }
        }
        assert!(got.values().all(|records| *records == RECORDS) && got.len() == SHARDS, "{got:?}");
        // A giant's text, its records and the text of the one that is decoded: nobody else takes room beside it.
        let bound = BYTES_MAX + giant_bytes.map_or(0, |bytes| 2 * 4 * bytes);
        let peak = reading.budget.peak();
        assert!(peak <= bound, "{peak} of {bound}, giants {giant_bytes:?}");
        assert_eq!(fake.errors("ProvisionedThroughputExceededException"), 0);
        drop(out);
        reading.kill().await;
    }
}
