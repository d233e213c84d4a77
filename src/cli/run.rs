//! `run`: the main job.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{End, FAILED, check, progress, runtime};
use crate::normalize::Mappings;
use crate::pipeline::Summary;
use crate::shutdown::{self, Stop};
use crate::source::file::Progress;
use crate::{config, pipeline, telemetry};

/// Runs until the input ends or a signal comes, and prints the summary.
pub fn run(path: &Path) -> Result<u8, End> {
    let settings = config::load(path).map_err(End::usage)?;
    let mappings = Arc::new(config::mappings(&settings.normalize).map_err(End::usage)?);
    config::check_log_types(path, &settings, &mappings).map_err(End::usage)?;
    telemetry::init(&settings.log.level, settings.log.format == config::LogFormat::Json).map_err(End::usage)?;
    let vanishing = check::vanishing(&settings.pipeline);
    if !vanishing.is_empty() {
        return Err(End::usage(vanishing.join("\n")));
    }
    let runtime = runtime()?;
    let (summary, result) = to_the_end(&runtime, settings.pipeline, mappings, progress::bar())?;
    // Reading standard input may still block one of the runtime's threads: nobody waits for it.
    runtime.shutdown_background();
    eprintln!("{summary}");
    match result {
        Ok(()) => Ok(0),
        Err(error) => {
            eprintln!("siemline: {error}");
            Ok(FAILED)
        }
    }
}

/// Runs a pipeline until its input ends or a signal comes.
pub fn to_the_end(
    runtime: &Runtime,
    settings: pipeline::Settings,
    mappings: Arc<Mappings>,
    progress: Option<Box<dyn Progress>>,
) -> Result<(Summary, Result<(), pipeline::Error>), End> {
    runtime.block_on(async {
        let (stop, shutdown) = shutdown::channel();
        let signals = Signals::listen().map_err(|error| End::failed(format!("cannot listen to signals: {error}")))?;
        tokio::spawn(on_signals(signals, stop.clone()));
        Ok(pipeline::run(settings, mappings, &stop, shutdown, progress).await)
    })
}

/// The first signal asks to drain, the second ends the process at once.
async fn on_signals(mut signals: Signals, stop: Stop) {
    signals.next().await;
    tracing::info!("asked to stop, draining; ask again to exit at once");
    stop.stop();
    signals.next().await;
    std::process::exit(i32::from(FAILED));
}

/// SIGTERM and Ctrl-C. It listens from the beginning, so that no signal meets nobody: neither one during the start, nor a
/// second close behind the first.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix, where it may fail")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
