//! `run`: the main job.

use std::path::Path;
use std::sync::Arc;

use super::{End, FAILED, progress, runtime};
use crate::shutdown::{self, Stop};
use crate::{config, pipeline, telemetry};

/// Runs until the input ends or a signal comes, and prints the summary.
pub fn run(path: &Path) -> Result<u8, End> {
    let settings = config::load(path).map_err(End::usage)?;
    let mappings = Arc::new(config::mappings(settings.normalize.mappings.as_deref()).map_err(End::usage)?);
    telemetry::init(&settings.log.level, settings.log.format == config::LogFormat::Json).map_err(End::usage)?;
    let runtime = runtime()?;
    let (summary, result) = runtime.block_on(async {
        let (stop, shutdown) = shutdown::channel();
        tokio::spawn(on_signals(stop.clone()));
        pipeline::run(settings.pipeline, mappings, &stop, shutdown, progress::bar()).await
    });
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

/// The first signal asks to drain, the second ends the process at once.
async fn on_signals(stop: Stop) {
    signal().await;
    tracing::info!("asked to stop, draining; ask again to exit at once");
    stop.stop();
    signal().await;
    std::process::exit(i32::from(FAILED));
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
