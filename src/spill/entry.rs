//! A parcel as bytes, and back: everything that a sink or a dead letter asks of its events. Pure.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::ack::{Position, Sequence};
use crate::budget::Budget;
use crate::delivery::{Block, Ledger, Row};
use crate::normalize::{NamesOfLogTypes, Projection};
use crate::record::Record;

/// Speed counts: what is spilled is read once more, and text as repetitive as this shrinks at any level.
const ZSTD_LEVEL: i32 = 1;

/// Why an entry cannot be read although its checksum is right: another version of siemline wrote it, or this one is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry ends before its last part")]
pub(super) struct Broken;

/// Writes these rows of a block, with the records that they came from, and compresses them. `None` for what is too large for
/// one entry.
pub(super) fn encode(block: &Block, rows: &[u32]) -> Option<Vec<u8>> {
    let mut numbers: Vec<u32> = rows.iter().filter_map(|row| Some(block.row(*row)?.record)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut out = Writer(Vec::new());
    out.text(&block.source)?;
    out.count(numbers.len())?;
    for record in numbers.iter().filter_map(|number| block.record(*number)) {
        out.text(&record.position.shard)?;
        out.text(record.position.sequence.as_str())?;
        out.0.extend_from_slice(&record.position.sub_sequence.to_le_bytes());
        out.0.push(u8::from(record.arrival_ms.is_some()));
        out.0.extend_from_slice(&record.arrival_ms.unwrap_or_default().to_le_bytes());
        out.bytes(&record.data)?;
    }
    out.count(rows.len())?;
    for number in rows {
        let (row, event) = (block.row(*number)?, block.event(*number)?);
        out.count(numbers.binary_search(&row.record).ok()?)?;
        out.0.extend_from_slice(&row.index.to_le_bytes());
        out.bytes(event.ocsf())?;
        out.bytes(event.raw())?;
        for projection in Projection::ALL {
            out.bytes(event.projected(projection))?;
        }
        out.text(&row.log_type)?;
        out.0.push(row.severity_id);
        out.0.extend_from_slice(&row.time_ms.to_le_bytes());
        out.part(&row.account, &row.ocsf)?;
        out.part(&row.region, &row.ocsf)?;
        out.0.extend_from_slice(&row.id);
    }
    let plain = u32::try_from(out.0.len()).ok()?;
    let mut body = plain.to_le_bytes().to_vec();
    body.extend_from_slice(&zstd::bulk::compress(&out.0, ZSTD_LEVEL).ok()?);
    Some(body)
}

/// Reads an entry: a block whose every row is to go to the lane. What it takes in memory is charged without waiting. Its
/// ledger is empty: the events were counted when they were spilled.
pub(super) fn decode(body: &[u8], names: &Arc<NamesOfLogTypes>, budget: &Budget) -> Result<Block, Broken> {
    let mut head = Reader(body);
    let plain = head.count()?;
    // The checksum was right, so the length is the one that was written: it bounds what becomes of the rest.
    let plain = zstd::bulk::decompress(head.0, plain).map_err(|_| Broken)?;
    let mut read = Reader(&plain);
    let mut block = Block {
        source: read.text()?.into(),
        records: Vec::new(),
        ocsf: Vec::new(),
        raw: Vec::new(),
        projected: Default::default(),
        names: Arc::clone(names),
        rows: Vec::new(),
        charges: Vec::new(),
        ledger: Ledger::default(),
    };
    for _ in 0..read.count()? {
        let (shard, sequence) = (read.text()?, Sequence::new(read.text()?));
        let sub_sequence = read.eight()?;
        let has_arrived = read.take(1)? == [1];
        let arrival_ms = i64::from_le_bytes(read.array()?);
        let position = Position { shard: shard.into(), sequence, sub_sequence };
        block.records.push(Record {
            data: Bytes::copy_from_slice(read.bytes()?),
            position,
            arrival_ms: has_arrived.then_some(arrival_ms),
            let_go: None,
            // Dead letters that are sent again are not spilled.
            again: None,
        });
    }
    for _ in 0..read.count()? {
        let record = read.four()?;
        if block.record(record).is_none() {
            return Err(Broken);
        }
        let index = read.four()?;
        let ocsf = append(&mut block.ocsf, read.bytes()?);
        let raw = append(&mut block.raw, read.bytes()?);
        let mut projected: [Range<usize>; Projection::ALL.len()] = Default::default();
        for (range, documents) in projected.iter_mut().zip(&mut block.projected) {
            *range = append(documents, read.bytes()?);
        }
        let log_type = read.text()?.into();
        let severity_id = read.take(1)?.first().copied().ok_or(Broken)?;
        let time_ms = i64::from_le_bytes(read.array()?);
        let (account, region) = (read.part(&ocsf)?, read.part(&ocsf)?);
        let id = read.array()?;
        block.rows.push(Row {
            record,
            index,
            ocsf,
            raw,
            projected,
            log_type,
            severity_id,
            time_ms,
            account,
            region,
            id,
        });
    }
    if !read.0.is_empty() {
        return Err(Broken);
    }
    block.charges.push(budget.charge(plain.len()));
    Ok(block)
}

fn append(documents: &mut Vec<u8>, document: &[u8]) -> Range<usize> {
    let begin = documents.len();
    documents.extend_from_slice(document);
    begin..documents.len()
}

struct Writer(Vec<u8>);

impl Writer {
    fn count(&mut self, count: usize) -> Option<()> {
        self.0.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
        Some(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.count(bytes.len())?;
        self.0.extend_from_slice(bytes);
        Some(())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.bytes(text.as_bytes())
    }

    /// A part of the OCSF document, from its beginning; an empty one where it is none of it.
    fn part(&mut self, part: &Range<usize>, of: &Range<usize>) -> Option<()> {
        let is_part = !part.is_empty() && of.start <= part.start && part.end <= of.end;
        let part = if is_part { part.start - of.start..part.end - of.start } else { 0..0 };
        self.count(part.start)?;
        self.count(part.end)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken)
    }

    fn four(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    fn eight(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.four()?).map_err(|_| Broken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let count = self.count()?;
        self.take(count)
    }

    fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken)
    }

    fn part(&mut self, of: &Range<usize>) -> Result<Range<usize>, Broken> {
        let (start, end) = (self.count()?, self.count()?);
        if start > end || end > of.len() {
            return Err(Broken);
        }
        Ok(of.start + start..of.start + end)
    }
}
