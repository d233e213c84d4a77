//! The spills of the lanes that have one.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::run::Error;
use super::settings::Settings;
use crate::delivery::{self, DeadLetters, Lane, Sink, SpillSettings, Tasks};
use crate::normalize::NamesOfLogTypes;
use crate::shutdown::Shutdown;
use crate::spill::{self, Directory, Log, Spill};

/// The opened spills, by the names of their sinks.
#[derive(Default)]
pub struct Spills(HashMap<Arc<str>, Opened>);

/// A spill that is this process's own, and has no lane yet.
pub struct Opened {
    settings: SpillSettings,
    log: Log<Directory>,
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
        let mut spills = HashMap::new();
        for (name, sink) in &settings.sinks {
            let Some(settings) = sink.lane.spill() else { continue };
            let log = open(settings, sink.format.name()).await.map_err(|error| Error::Spill {
                name: Arc::clone(name),
                directory: settings.directory.display().to_string(),
                error,
            })?;
            if log.bytes() > 0 {
                let bytes = log.bytes();
                tracing::info!(sink = &**name, bytes, "the spill holds what an earlier process did not deliver");
            }
            spills.insert(Arc::clone(name), Opened { settings: settings.clone(), log });
        }
        Ok(Self(spills))
    }

    /// The spill of a lane, once.
    pub fn take(&mut self, name: &str) -> Option<Opened> {
        self.0.remove(name)
    }
}

async fn open(settings: &SpillSettings, form: &str) -> Result<Log<Directory>, spill::Error> {
    let directory = Directory::open(&settings.directory).await?;
    Log::open(directory, form, settings.bytes_max.get()).await
}

impl Opened {
    /// Runs the lane behind the spill: what is routed to the lane comes to the spill first.
    pub async fn beside<S: Sink, D: DeadLetters, T: Tasks>(
        self,
        mut lane: Lane<S, D, T>,
        names: Arc<NamesOfLogTypes>,
        shutdown: Shutdown,
    ) {
        let Self { settings, log } = self;
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
    }
}
