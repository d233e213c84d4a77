//! The door of the pipeline, and the window of one shard in front of it.

use std::sync::Arc;

use tokio::sync::mpsc::{self, OwnedPermit};

use crate::ack::{ABANDONMENTS_MAX, Frontier, Position, Receipt, Settled, Settlements, Step};
use crate::budget::{Budget, Charge};
use crate::record::{Chunk, Record};

/// Where sources hand their chunks in. Cheap to clone; the pipeline drains when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Intake {
    chunks: mpsc::Sender<Chunk>,
    budget: Budget,
}

/// Room for one chunk, in the memory budget and in the queue; given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    charge: Charge,
    place: OwnedPermit<Chunk>,
}

/// The pipeline takes no more chunks: it is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline is going down")]
pub struct Closed;

impl Intake {
    /// A door to this queue, whose guard is this budget.
    #[must_use]
    pub fn new(chunks: mpsc::Sender<Chunk>, budget: Budget) -> Self {
        Self { chunks, budget }
    }

    /// The budget that everything handed in is charged to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Waits for room for a chunk of so many bytes. Dropping the future midway is safe: nothing is taken.
    ///
    /// # Errors
    ///
    /// When the pipeline is going down.
    pub async fn room(self, bytes: usize) -> Result<Room, Closed> {
        let charge = self.budget.admit(bytes).await;
        self.room_for(charge).await
    }

    /// Waits for room in the queue for a chunk that has its room in the memory budget. Dropping the future midway is safe: the
    /// memory is given back.
    ///
    /// # Errors
    ///
    /// When the pipeline is going down.
    pub async fn room_for(self, charge: Charge) -> Result<Room, Closed> {
        let place = self.chunks.reserve_owned().await.map_err(|_| Closed)?;
        Ok(Room { charge, place })
    }
}

impl Room {
    /// Hands on one record that is no part of a shard's order.
    pub(super) fn hand_on(self, source: Arc<str>, record: Record, receipt: Receipt, give_up: bool) {
        let Self { charge, place } = self;
        let _sender = place.send(Chunk { source, records: vec![record], receipt, give_up, charge });
    }
}

/// One shard's frontier with its receipts: the only way from a source to the intake.
#[derive(Debug)]
pub struct Window {
    source: Arc<str>,
    frontier: Frontier,
    settlements: Settlements,
}

impl Window {
    /// A window for one shard of a source. `settled` is where its checkpoint stands.
    #[must_use]
    pub fn new(source: Arc<str>, chunks_max: usize, settled: Option<Position>) -> Self {
        Self { source, frontier: Frontier::new(chunks_max, settled), settlements: Settlements::default() }
    }

    /// Says whether nothing is out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.frontier.is_idle()
    }

    /// Says whether no chunk may go out now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frontier.is_full()
    }

    /// Up to where everything is settled.
    #[must_use]
    pub fn settled(&self) -> Option<&Position> {
        self.frontier.settled()
    }

    /// How many records from the front of these make the next chunk: all of them, but a record that was abandoned before
    /// goes alone, so that the next abandonment names the culprit.
    #[must_use]
    pub fn chunk_len(&self, records: &[Record]) -> usize {
        match records.iter().position(|record| self.frontier.abandonments(&record.position) > 0) {
            Some(0) => 1,
            Some(at) => at,
            None => records.len(),
        }
    }

    /// Waits for room and hands a run of records on, as [`put`](Self::put) does. Dropping the future midway is safe: the
    /// records are then not handed on.
    ///
    /// # Errors
    ///
    /// When the pipeline is going down. The records then count as abandoned.
    pub async fn send(&mut self, records: Vec<Record>, intake: &Intake) -> Result<(), Closed> {
        let bytes = records.iter().map(|record| record.data.len()).sum();
        match intake.clone().room(bytes).await {
            Ok(room) => {
                self.put(records, room);
                Ok(())
            }
            Err(closed) => {
                drop(self.open(&records));
                Err(closed)
            }
        }
    }

    /// Hands a run of records on, in the shard's order. A record that was abandoned [`ABANDONMENTS_MAX`] times is marked to
    /// be given up. The caller has asked [`is_full`](Self::is_full) and [`chunk_len`](Self::chunk_len).
    pub fn put(&mut self, records: Vec<Record>, room: Room) {
        let give_up = records.iter().any(|record| self.frontier.abandonments(&record.position) >= ABANDONMENTS_MAX);
        let receipt = self.open(&records);
        let source = Arc::clone(&self.source);
        let _sender = room.place.send(Chunk { source, records, receipt, give_up, charge: room.charge });
    }

    fn open(&mut self, records: &[Record]) -> Receipt {
        self.settlements.receipt(self.frontier.open(records.iter().map(|record| record.position.clone()).collect()))
    }

    /// A chunk that has been settled meanwhile; `None` where nothing new is known.
    #[must_use]
    pub fn try_next_settled(&self) -> Option<Settled> {
        self.settlements.try_next()
    }

    /// Waits for a chunk to be settled. Dropping the future midway is safe.
    pub async fn next_settled(&self) -> Settled {
        self.settlements.next().await
    }

    /// Takes note of a settled chunk and says what it means.
    pub fn settle(&mut self, settled: Settled) -> Step {
        self.frontier.settle(settled)
    }
}
