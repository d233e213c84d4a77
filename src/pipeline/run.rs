//! From start to drain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dead_letters::DeadLetterStores;
use super::duplicates::Duplicates;
use super::letter_store::LetterStore;
use super::settings::{Settings, SourceSettings};
use super::spills::Spills;
use super::summary::{SinkSummary, StandingStill, Summary};
use super::tasks::Spawned;
use super::worker::{Shared, Worker};
use crate::budget::Budget;
use crate::delivery::{self, Lane};
use crate::metric::{EventMeter, LaneMeter, SinkMeter, SourceMeter, Tally};
use crate::normalize::Mappings;
use crate::normalize::redact::{self, Redactor};
use crate::record::Chunk;
use crate::shutdown::{Shutdown, Stop};
use crate::source::dead_letters::DeadLetterSource;
use crate::source::file::{FileSource, Progress};
use crate::source::kinesis::KinesisSource;
use crate::source::{Intake, Source};
use crate::spill;
use crate::telemetry::{Board, admin};

/// What ends a run badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source cannot begin or cannot go on.
    #[error("source `{name}`: {error}")]
    Source {
        /// Which.
        name: Arc<str>,
        /// Why, and the remedy.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A redaction that would redact nothing.
    #[error(transparent)]
    Redact(#[from] redact::Error),
    /// A lane's spill cannot begin.
    #[error("the spill of sink `{name}` in {place}: {error}")]
    Spill {
        /// The sink.
        name: Arc<str>,
        /// Where.
        place: String,
        /// Why, and the remedy.
        error: spill::Error,
    },
    /// A lane ended before its time: a fault of ours. What it held is read again next time.
    #[error("a lane failed: {0}")]
    Lane(tokio::task::JoinError),
    /// A worker cannot be started.
    #[error("cannot start a worker thread: {0}")]
    Thread(std::io::Error),
    /// The admin server cannot have its address.
    #[error(transparent)]
    Admin(#[from] admin::Error),
}

/// Runs until every source has ended, or until `stop` asks for it, and drains.
///
/// The summary tells what was done, also when a source failed: what it had read is then delivered all the same.
///
/// # Errors
///
/// With the first source that failed for good.
pub async fn run(
    settings: Settings,
    mappings: Arc<Mappings>,
    stop: &Stop,
    shutdown: Shutdown,
    progress: Option<Box<dyn Progress>>,
) -> (Summary, Result<(), Error>) {
    let (started, started_ms) = (Instant::now(), now_ms());
    // Before anything is read: who cannot be watched as was wanted is not to run unwatched.
    let listener = match listen(&settings).await {
        Ok(listener) => listener,
        Err(error) => return (Summary::default(), Err(error)),
    };
    // Before anything is read, too: what a lane cannot spill would stop the reading later.
    let opened = tokio::select! {
        biased;
        opened = Spills::open(&settings) => opened,
        // Nothing was begun; watching whether another process has one may take a while.
        () = shutdown.requested() => return (Summary::default(), Ok(())),
    };
    let spills = match opened {
        Ok(spills) => spills,
        Err(error) => return (Summary::default(), Err(error)),
    };
    let mut house = match House::build(&settings, mappings, spills, &shutdown) {
        Ok(house) => house,
        Err(error) => return (Summary::default(), Err(error)),
    };
    let mut sources = match house.start_sources(&settings, &shutdown, progress) {
        Ok(sources) => sources,
        Err(error) => return (Summary::default(), Err(error)),
    };
    if let Some(listener) = listener {
        house.watchers.spawn(watch(listener, house.board(started_ms, &shutdown)));
    }
    let result = house.supervise(&mut sources, stop, &shutdown, settings.options.shutdown_grace.0).await;
    (house.summary(started.elapsed()), result)
}

/// Everything that runs behind the intake.
struct House {
    shared: Arc<Shared>,
    intake: Option<Intake>,
    lanes: JoinSet<()>,
    meters: Vec<(Arc<str>, Arc<LaneMeter>)>,
    /// What sinks measure of their own, by name.
    sinks: Vec<(Arc<str>, SinkMeter)>,
    /// The meters of the sources, by name.
    sources: Vec<(Arc<str>, Arc<SourceMeter>)>,
    /// What keeps files current that are read again on change, and the admin server; it ends with the house.
    watchers: JoinSet<()>,
}

type Sources = JoinSet<Result<(), Error>>;

impl House {
    fn build(
        settings: &Settings,
        mappings: Arc<Mappings>,
        mut spills: Spills,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let redactor = Redactor::new(&settings.redactions, &mappings)?;
        let budget = Budget::new(settings.options.in_flight_bytes_max.bytes());
        let events = Arc::new(EventMeter::default());
        let file = if settings.replays() { DeadLetterStores::again } else { DeadLetterStores::new };
        // What fails again lies in an append-only store already: written there once more, it would be twice as many each time.
        let store = settings.letter_store.clone().filter(|store| !(settings.replays() && store.is_append_only()));
        let dead_letters = file(&settings.dead_letters, settings.limits).behind(store);
        let dead_letters = Arc::new(dead_letters);
        let (mut lanes, mut senders, mut meters) = (JoinSet::new(), Vec::new(), Vec::new());
        for (name, settings_of_sink) in &settings.sinks {
            let (parcels, queue) = mpsc::channel(settings.options.lane_parcels_max.max(1));
            let meter = Arc::new(LaneMeter::default());
            let lane = Lane {
                name: Arc::clone(name),
                sink: Arc::clone(&settings_of_sink.sink),
                dead_letters: Arc::clone(&dead_letters),
                tasks: Spawned,
                queue,
                settings: settings_of_sink.lane.clone(),
                budget: budget.clone(),
                meter: Arc::clone(&meter),
                events: Arc::clone(&events),
                seed: fastrand::u64(..),
                clock: now_ms,
            };
            match spills.take(name) {
                None => lanes.spawn(delivery::run(lane)),
                Some(spill) => lanes.spawn(spill.beside(lane, Arc::clone(mappings.siem_names()), shutdown.clone())),
            };
            senders.push(parcels);
            meters.push((Arc::clone(name), meter));
        }
        let (accounts, keep_current) = settings.accounts.clone().watch();
        let mut watchers = JoinSet::new();
        watchers.spawn(keep_current);
        let (chunks, queue) = mpsc::channel::<Chunk>(settings.options.intake_chunks_max.max(1));
        let shared = Arc::new(Shared {
            chunks: Mutex::new(queue),
            redactor,
            duplicates: Duplicates::new(&settings.deduplicate),
            mappings,
            limits: settings.limits,
            wants_raw: settings.wants_raw(),
            projected_for: settings.projected_for(),
            routes: settings.routes.clone(),
            sinks: settings.sinks.iter().map(|(name, _)| Arc::clone(name)).collect(),
            accounts,
            dead_letters,
            budget: budget.clone(),
            events,
            tally: Arc::new(Mutex::new(Tally::default())),
            clock: now_ms,
        });
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for number in 0..settings.options.workers.unwrap_or_else(cores).max(1) {
            let worker = Worker::new(Arc::clone(&shared), senders.clone(), Handle::current());
            let thread = std::thread::Builder::new().name(format!("normalize-{number}"));
            thread.spawn(move || worker.run()).map_err(Error::Thread)?;
        }
        let intake = Some(Intake::new(chunks, budget));
        let sinks = settings.sinks.iter();
        let sinks = sinks.filter_map(|(name, sink)| Some((Arc::clone(name), sink.sink.meter()?))).collect();
        Ok(Self { shared, intake, lanes, meters, sinks, sources: Vec::new(), watchers })
    }

    /// Starts the sources, and gives up the house's own hold on the intake: when the sources let go, the workers end.
    fn start_sources(
        &mut self,
        settings: &Settings,
        shutdown: &Shutdown,
        mut progress: Option<Box<dyn Progress>>,
    ) -> Result<Sources, Error> {
        let mut tasks = JoinSet::new();
        let Some(intake) = self.intake.take() else { return Ok(tasks) };
        for (name, source) in &settings.sources {
            match source {
                SourceSettings::Kinesis(options) => {
                    let source = KinesisSource::new(name, options.as_ref().clone());
                    let meter = self.meter(name, source.meter());
                    spawn(&mut tasks, name, source, meter, &intake, shutdown);
                }
                SourceSettings::File(options) => {
                    let source = FileSource::open(name, options.clone(), progress.take());
                    let source = source.map_err(|error| failed(name, error))?;
                    let meter = self.meter(name, Arc::default());
                    meter.opened(name);
                    spawn(&mut tasks, name, source, meter, &intake, shutdown);
                }
                SourceSettings::DeadLetters(replay) => {
                    let store = settings.letter_store.as_ref().filter(|_| replay.reads_store);
                    let store = store.map(LetterStore::letters);
                    let source = DeadLetterSource::new(replay.as_ref().clone(), store, progress.take());
                    let meter = self.meter(name, Arc::default());
                    meter.opened(name);
                    spawn(&mut tasks, name, source, meter, &intake, shutdown);
                }
            }
        }
        Ok(tasks)
    }

    fn meter(&mut self, name: &Arc<str>, meter: Arc<SourceMeter>) -> Arc<SourceMeter> {
        self.sources.push((Arc::clone(name), Arc::clone(&meter)));
        meter
    }

    /// The meters of all that runs.
    fn board(&self, started_ms: i64, shutdown: &Shutdown) -> Board {
        Board {
            started_ms,
            sources: self.sources.clone(),
            lanes: self.meters.clone(),
            sinks: self.sinks.clone(),
            events: Arc::clone(&self.shared.events),
            tally: Arc::clone(&self.shared.tally),
            dead_letters: self.shared.dead_letters.meter(),
            budget: self.shared.budget.clone(),
            shutdown: shutdown.clone(),
        }
    }

    /// Waits for the sources, which end when all of theirs is settled; a lane that is not empty when the grace is over is
    /// cut off, and its entries are read again next time.
    async fn supervise(
        &mut self,
        sources: &mut Sources,
        stop: &Stop,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        let grace_is_over = async {
            shutdown.requested().await;
            tokio::time::sleep(grace).await;
        };
        tokio::pin!(grace_is_over);
        let mut cut = false;
        loop {
            tokio::select! {
                ended = sources.join_next() => match ended {
                    None => break,
                    Some(ended) => {
                        let ended = ended.unwrap_or_else(|error| Err(failed(&Arc::from("?"), error)));
                        if let Err(error) = ended {
                            tracing::error!(%error, "a source failed, stopping");
                            stop.stop();
                            result = result.and(Err(error));
                        }
                    }
                },
                Some(Err(error)) = self.lanes.join_next(), if !cut => {
                    tracing::error!(%error, "a lane failed, stopping");
                    stop.stop();
                    result = result.and(Err(Error::Lane(error)));
                }
                () = &mut grace_is_over, if !cut => {
                    cut = true;
                    tracing::warn!(?grace, "shutdown_grace is over, what is not delivered is read again next time");
                    self.lanes.abort_all();
                }
            }
        }
        while self.lanes.join_next().await.is_some() {}
        result
    }

    fn summary(&self, elapsed: Duration) -> Summary {
        let events = &self.shared.events;
        let sink = |meter: &LaneMeter| SinkSummary {
            entries: meter.entries.get(),
            delivered: meter.delivered.get(),
            duplicates: meter.duplicates.get(),
            dead_lettered: meter.dead_lettered.get(),
            abandoned: meter.abandoned.get(),
            requests: meter.requests.get(),
            failures: meter.failures.get(),
        };
        Summary {
            tally: self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            delivered: events.delivered.get(),
            spilled: events.spilled.get(),
            filtered: events.filtered.get(),
            dead_lettered: events.dead_lettered.get(),
            sinks: self.meters.iter().map(|(name, meter)| (Arc::clone(name), sink(meter))).collect(),
            standing_still: self.sources.iter().flat_map(|(name, meter)| StandingStill::of(name, meter)).collect(),
            elapsed,
            in_flight_peak: self.shared.budget.peak(),
        }
    }
}

async fn listen(settings: &Settings) -> Result<Option<TcpListener>, Error> {
    let Some(listen) = settings.admin.listen else { return Ok(None) };
    let listener = admin::bind(listen).await?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "admin server listens");
    }
    Ok(Some(listener))
}

async fn watch(listener: TcpListener, board: Board) {
    let _never = admin::serve(listener, board, now_ms).await;
}

fn spawn<S>(
    tasks: &mut Sources,
    name: &Arc<str>,
    source: S,
    meter: Arc<SourceMeter>,
    intake: &Intake,
    shutdown: &Shutdown,
) where
    S: Source + 'static,
{
    let (name, intake, shutdown) = (Arc::clone(name), intake.clone(), shutdown.clone());
    tasks.spawn(async move {
        let result = source.run(intake, shutdown).await;
        meter.end(result.as_ref().map(|&()| ()).map_err(ToString::to_string));
        result.map_err(|error| failed(&name, error))
    });
}

fn failed(name: &Arc<str>, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Source { name: Arc::clone(name), error: Box::new(error) }
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
