//! The spills of the lanes that have one.

mod bucket;
mod owner;
mod parts;
mod place;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::run::Error;
use super::settings::Settings;
use crate::delivery::{self, DeadLetters, Lane, Sink, SpillPlace, SpillSettings, Tasks};
use crate::normalize::NamesOfLogTypes;
use crate::shutdown::Shutdown;
use crate::spill::{self, Directory, Log, Spill};

pub use bucket::{Bucket, BucketHold, bucket_mistake, bucket_permissions};
pub use owner::Tempo;
use place::Place;

/// The opened spills, by the names of their sinks.
#[derive(Default)]
pub struct Spills(HashMap<Arc<str>, Opened>);

/// A spill that is this process's own, and has no lane yet.
pub struct Opened {
    settings: SpillSettings,
    log: Log<Place>,
    hold: Option<BucketHold>,
}

impl Spills {
    /// Opens and locks the spill of every lane that has one. Where dead letters are sent again, none is opened: the spills
    /// belong to the process that runs beside, and the letters lie on the disk already.
    ///
    /// # Errors
    ///
    /// With the first that cannot be had.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        if settings.replays() {
            return Ok(Self::default());
        }
        let opening = settings.sinks.iter().filter_map(|(name, sink)| {
            let settings = sink.lane.spill()?;
            Some(async move { (name, settings, open(settings, sink.format.name()).await) })
        });
        let (mut spills, mut failure) = (HashMap::new(), None);
        // Each may have to watch for a while whether another process has it.
        for (name, settings, opened) in join_all(opening).await {
            match opened {
                Ok((log, hold)) => {
                    let bytes = log.bytes();
                    if bytes > 0 {
                        tracing::info!(
                            sink = &**name,
                            bytes,
                            "the spill holds what an earlier process did not deliver"
                        );
                    }
                    spills.insert(Arc::clone(name), Opened { settings: settings.clone(), log, hold });
                }
                Err(error) => {
                    let place = settings.place.to_string();
                    failure.get_or_insert(Error::Spill { name: Arc::clone(name), place, error });
                }
            }
        }
        let Some(failure) = failure else { return Ok(Self(spills)) };
        for Opened { log, hold, .. } in spills.into_values() {
            drop(log);
            give_up(hold).await;
        }
        Err(failure)
    }

    /// The spill of a lane, once.
    pub fn take(&mut self, name: &str) -> Option<Opened> {
        self.0.remove(name)
    }
}

async fn open(settings: &SpillSettings, form: &str) -> Result<(Log<Place>, Option<BucketHold>), spill::Error> {
    let (place, hold) = match &settings.place {
        SpillPlace::Directory { path, .. } => (Place::Directory(Directory::open(path).await?), None),
        SpillPlace::S3(options) => {
            let bucket = Bucket::open(options).await?;
            let hold = bucket.hold();
            (Place::Bucket(Box::new(bucket)), Some(hold))
        }
    };
    match Log::open(place, form, settings.bytes_max.get()).await {
        Ok(log) => Ok((log, hold)),
        Err(error) => {
            give_up(hold).await;
            Err(error)
        }
    }
}

async fn give_up(hold: Option<BucketHold>) {
    if let Some(hold) = hold {
        hold.give_up().await;
    }
}

impl Opened {
    /// Runs the lane behind the spill: what is routed to the lane comes to the spill first.
    pub async fn beside<S: Sink, D: DeadLetters, T: Tasks>(
        self,
        mut lane: Lane<S, D, T>,
        names: Arc<NamesOfLogTypes>,
        shutdown: Shutdown,
    ) {
        let Self { settings, log, hold } = self;
        // The spill is the queue: what waits in the lane's own could not be put on the disk.
        let (parcels, queue) = mpsc::channel(1);
        let spill = Spill {
            name: Arc::clone(&lane.name),
            log,
            bytes_max: settings.bytes_max.get(),
            after: settings.after,
            queue: std::mem::replace(&mut lane.queue, queue),
            lane: parcels,
            budget: lane.budget.clone(),
            meter: Arc::clone(&lane.meter),
            events: Arc::clone(&lane.events),
            names,
            shutdown,
            clock: lane.clock,
        };
        spill::run(spill, delivery::run(lane)).await;
        give_up(hold).await;
    }
}
