//! The spill on disk: segments that are appended to, read in order, and removed when all in them is settled.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use super::Error;
use super::disk::Disk;
use super::format::{Beginning, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, Place, Step, push_frame, step};
use crate::budget::{Budget, Charge};

/// The most bytes after which a new segment is begun. One segment is in memory while it is read.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

pub(super) const SEGMENT_SUFFIX: &str = ".spill";
pub(super) const DAMAGED_SUFFIX: &str = ".damaged";
const SETTLED_NAME: &str = "settled";

/// What is written and not settled, oldest first; and how far it was read.
///
/// Everything is read once in a process: entries are handed out in the order in which they were written, and settled in any.
/// What was handed out and not settled when the process ends is handed out again by the next.
#[derive(Debug)]
pub struct Log<D> {
    disk: D,
    /// The form of the events, for the headers of segments.
    label: String,
    bytes_max: u64,
    segment_bytes_max: u64,
    /// The oldest first; the last is the one that is written where there is a next index.
    segments: VecDeque<Segment>,
    /// The number of the next frame in the last segment, while that is written.
    next_index: Option<u32>,
    next_segment: u64,
    cursor: Cursor,
    /// Handed out and not settled.
    given: BTreeSet<Place>,
    /// The last that was handed out.
    given_last: Option<Place>,
    /// Up to here all was settled by an earlier process.
    settled_before: Place,
    /// What was last written of it.
    settled_written: Place,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    begun_ms: Option<i64>,
    /// How many of its entries are handed out and not settled.
    given: u32,
    /// Something in it cannot be read: it is put aside instead of removed.
    is_damaged: bool,
}

/// Where reading goes on, and what of the segment is in memory.
#[derive(Debug, Default)]
struct Cursor {
    segment: u64,
    offset: u64,
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    bytes: Vec<u8>,
    /// The offset of the first of them in the file.
    from: u64,
    _charge: Charge,
}

/// What reading on found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An entry, now handed out.
    Entry(Place, Vec<u8>),
    /// So many bytes that are lost, in the file of this name, which is kept.
    Damage(String, usize),
    /// There is no more.
    Drained,
}

impl<D: Disk> Log<D> {
    /// Opens what an earlier process left. `label` names the form in which the sink writes events; what was spilled in
    /// another one cannot be sent.
    ///
    /// # Errors
    ///
    /// When the disk fails; [`Error::Form`] when this sink, [`Error::Version`] when this version cannot use what it holds.
    pub async fn open(disk: D, label: &str, bytes_max: u64) -> Result<Self, Error> {
        let (mut segments, mut next_segment) = (Vec::new(), 1);
        for (name, bytes) in disk.list().await? {
            let stem = name.strip_suffix(DAMAGED_SUFFIX).unwrap_or(&name).strip_suffix(SEGMENT_SUFFIX);
            let Some(number) = stem.and_then(|stem| stem.parse::<u64>().ok()) else { continue };
            next_segment = next_segment.max(number.saturating_add(1));
            if name.ends_with(SEGMENT_SUFFIX) {
                segments.push(Segment { number, bytes, begun_ms: None, given: 0, is_damaged: false });
            }
        }
        segments.sort_unstable_by_key(|segment| segment.number);
        for segment in &mut segments {
            let header = disk.read(&name_of(segment.number), 0, whole(FILE_HEADER_BYTES)).await?;
            match FileHeader::read(&header) {
                Beginning::Whole(header) => {
                    segment.begun_ms = Some(header.begun_ms);
                    // Every entry has the OCSF document.
                    if header.label != label && label != "ocsf" {
                        return Err(Error::Form { held: header.label, wanted: label.to_owned() });
                    }
                }
                Beginning::OtherVersion(version) => return Err(Error::Version(version)),
                Beginning::Torn | Beginning::Damaged => {}
            }
        }
        let settled = disk.read(SETTLED_NAME, 0, 64).await;
        let settled = match settled {
            Ok(bytes) => Place::read(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::default(),
            Err(error) => return Err(error.into()),
        };
        next_segment = next_segment.max(settled.segment.saturating_add(1));
        Ok(Self {
            disk,
            label: label.to_owned(),
            bytes_max,
            segment_bytes_max: (bytes_max / 8).min(SEGMENT_BYTES_MAX),
            segments: segments.into(),
            next_index: None,
            next_segment,
            cursor: Cursor::default(),
            given: BTreeSet::new(),
            given_last: None,
            settled_before: settled,
            settled_written: settled,
        })
    }

    /// The bytes that it takes on the disk, without damaged segments that were put aside.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// When the oldest segment was begun, in milliseconds since 1970; `None` where there is none.
    pub(super) fn since_ms(&self) -> Option<i64> {
        self.segments.iter().find_map(|segment| segment.begun_ms)
    }

    /// Says whether so many bytes more may be written.
    pub(super) fn has_room(&self, bodies: &[Vec<u8>]) -> bool {
        let frames: u64 = bodies.iter().map(|body| whole(FRAME_HEADER_BYTES + body.len())).sum();
        self.bytes() + whole(FILE_HEADER_BYTES) + frames <= self.bytes_max
    }

    /// Says whether one body would find room if there were nothing else.
    pub(super) fn could_hold(&self, body: &[u8]) -> bool {
        whole(FILE_HEADER_BYTES + FRAME_HEADER_BYTES + body.len()) <= self.bytes_max
    }

    /// Says whether everything was handed out.
    pub(super) fn is_drained(&self) -> bool {
        self.segments.back().is_none_or(|last| {
            self.cursor.segment > last.number
                || (self.cursor.segment == last.number && self.cursor.offset >= last.bytes)
        })
    }

    /// Writes entries behind all others, and completes when the disk has them; their places. After an error none of them
    /// counts as written.
    pub(super) async fn append(&mut self, bodies: &[Vec<u8>], now_ms: i64) -> io::Result<Vec<Place>> {
        let is_full = self.segments.back().is_some_and(|last| last.bytes >= self.segment_bytes_max);
        let (number, offset, first) = match (self.next_index, self.segments.back()) {
            (Some(index), Some(last)) if !is_full => (last.number, last.bytes, index),
            _ => (self.next_segment, 0, 0),
        };
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        if offset == 0 {
            let header = FileHeader { segment: number, begun_ms: now_ms, label: self.label.clone() };
            bytes.extend_from_slice(&header.to_bytes());
        }
        for (index, body) in (first..).zip(bodies) {
            push_frame(number, index, body, &mut bytes).ok_or(io::ErrorKind::FileTooLarge)?;
            places.push(Place { segment: number, index });
        }
        // Should this fail midway, the next writing goes over what is left of it, or to another segment, and reading takes the
        // rest for torn.
        self.disk.write(&name_of(number), offset, &bytes).await?;
        if offset == 0 {
            self.segments.push_back(Segment { number, bytes: 0, begun_ms: Some(now_ms), given: 0, is_damaged: false });
            self.next_segment = number.saturating_add(1);
        }
        if let Some(last) = self.segments.back_mut() {
            last.bytes += whole(bytes.len());
        }
        self.next_index = Some(first.saturating_add(u32::try_from(bodies.len()).unwrap_or(u32::MAX)));
        Ok(places)
    }

    /// Takes entries that were written last, and of which nothing was handed out, for handed out: somebody has them already.
    pub(super) fn adopt(&mut self, places: &[Place]) {
        let Some(last) = self.segments.back_mut() else { return };
        last.given += u32::try_from(places.len()).unwrap_or(u32::MAX);
        self.cursor = Cursor { segment: last.number, offset: last.bytes, loaded: None };
        self.given.extend(places);
        self.given_last = places.last().copied().or(self.given_last);
    }

    /// Reads on.
    pub(super) async fn next(&mut self, budget: &Budget) -> io::Result<Found> {
        loop {
            let Some(at) = self.segments.iter().position(|segment| segment.number >= self.cursor.segment) else {
                return Ok(Found::Drained);
            };
            let is_written = self.next_index.is_some() && at + 1 == self.segments.len();
            let Some(segment) = self.segments.get_mut(at) else { return Ok(Found::Drained) };
            if segment.number > self.cursor.segment {
                self.cursor = Cursor { segment: segment.number, offset: 0, loaded: None };
            }
            let Some(loaded) = &self.cursor.loaded else {
                if self.cursor.offset >= segment.bytes && is_written {
                    return Ok(Found::Drained);
                }
                match load(&self.disk, segment, self.cursor.offset, budget).await {
                    Ok((loaded, is_whole)) => {
                        self.cursor.offset = self.cursor.offset.max(whole(FILE_HEADER_BYTES));
                        segment.is_damaged |= !is_whole;
                        self.cursor.loaded = Some(loaded);
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let lost = usize::try_from(segment.bytes).unwrap_or(usize::MAX);
                        let name = name_of(segment.number);
                        self.segments.remove(at);
                        self.next_index = self.next_index.filter(|_| !is_written);
                        return Ok(Found::Damage(name, lost));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            let begin = usize::try_from(self.cursor.offset - loaded.from).unwrap_or(usize::MAX);
            let (found, end) = step(segment.number, &loaded.bytes, begin);
            let offset = loaded.from + whole(end);
            match found {
                Step::Frame { index, body } => {
                    self.cursor.offset = offset;
                    let place = Place { segment: segment.number, index };
                    if place <= self.settled_before {
                        continue;
                    }
                    let body = loaded.bytes.get(body).unwrap_or_default().to_vec();
                    segment.given += 1;
                    self.given.insert(place);
                    self.given_last = Some(place);
                    return Ok(Found::Entry(place, body));
                }
                Step::Damage(lost) => {
                    self.cursor.offset = offset;
                    segment.is_damaged = true;
                    return Ok(Found::Damage(name_of(segment.number) + DAMAGED_SUFFIX, lost));
                }
                // More was written since it was loaded. What was loaded and has no whole frame at all is torn, and no more is
                // made of it by loading it again.
                Step::End if loaded.from + whole(loaded.bytes.len()) < segment.bytes && loaded.from < offset => {
                    self.cursor.loaded = None;
                }
                Step::End if is_written => {
                    self.cursor.loaded = None;
                    self.cursor.offset = segment.bytes;
                    return Ok(Found::Drained);
                }
                Step::End => {
                    self.cursor = Cursor { segment: segment.number.saturating_add(1), offset: 0, loaded: None };
                }
            }
        }
    }

    /// Takes note that an entry was delivered or buried.
    pub(super) fn settle(&mut self, place: Place) {
        if self.given.remove(&place)
            && let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == place.segment)
        {
            segment.given = segment.given.saturating_sub(1);
        }
    }

    /// Takes note that an entry cannot be read: it is lost, and its segment kept.
    pub(super) fn give_up(&mut self, place: Place) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == place.segment) {
            segment.is_damaged = true;
        }
        self.settle(place);
    }

    /// Removes what is wholly settled; puts aside what is damaged.
    pub(super) async fn sweep(&mut self) -> io::Result<()> {
        let is_drained = self.is_drained();
        if is_drained {
            self.cursor.loaded = None;
        }
        let (read_up_to, is_written) = (self.cursor.segment, self.next_index.is_some());
        let is_over = |segment: &Segment| segment.given == 0 && (segment.number < read_up_to || is_drained);
        let Some(at) = self.segments.iter().position(is_over) else { return Ok(()) };
        let Some(segment) = self.segments.get(at) else { return Ok(()) };
        let name = name_of(segment.number);
        if segment.is_damaged {
            self.disk.rename(&name, &(name.clone() + DAMAGED_SUFFIX)).await?;
        } else {
            self.disk.remove(&name).await?;
        }
        if is_written && at + 1 == self.segments.len() {
            self.next_index = None;
        }
        self.segments.remove(at);
        Ok(())
    }

    /// Says whether there is a segment to sweep.
    pub(super) fn wants_sweep(&self) -> bool {
        let is_drained = self.is_drained();
        self.segments.iter().any(|segment| segment.given == 0 && (segment.number < self.cursor.segment || is_drained))
    }

    /// Keeps how far everything is settled, if that has changed: without it, more comes twice after a restart.
    pub(super) async fn keep_settled(&mut self) -> io::Result<()> {
        let settled = match (self.given.first(), self.given_last) {
            (Some(Place { segment, index }), _) => match index.checked_sub(1) {
                Some(index) => Place { segment: *segment, index },
                None => Place { segment: segment.saturating_sub(1), index: u32::MAX },
            },
            (None, Some(last)) => last,
            (None, None) => return Ok(()),
        };
        if settled > self.settled_written {
            self.disk.replace(SETTLED_NAME, &settled.to_bytes()).await?;
            self.settled_written = settled;
        }
        Ok(())
    }
}

/// Reads a segment from an offset on, and says whether it begins as it should.
async fn load<D: Disk>(disk: &D, segment: &Segment, offset: u64, budget: &Budget) -> io::Result<(Loaded, bool)> {
    let from = offset.max(whole(FILE_HEADER_BYTES));
    let begins = offset > 0 || {
        let header = disk.read(&name_of(segment.number), 0, whole(FILE_HEADER_BYTES)).await?;
        match FileHeader::read(&header) {
            Beginning::Whole(header) => header.segment == segment.number,
            Beginning::Torn => true,
            Beginning::Damaged | Beginning::OtherVersion(_) => false,
        }
    };
    let bytes = disk.read(&name_of(segment.number), from, segment.bytes.max(from)).await?;
    let charge = budget.charge(bytes.len());
    Ok((Loaded { bytes, from, _charge: charge }, begins))
}

fn name_of(segment: u64) -> String {
    format!("{segment:020}{SEGMENT_SUFFIX}")
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
