//! `check`: is the configuration right, and is everything there?

use std::path::Path;
use std::sync::Arc;

use super::{End, FAILED, runtime};
use crate::config;
use crate::delivery::{Sink as _, SpillSettings};
use crate::lease::{Surroundings, vanishes};
use crate::normalize::mapping;
use crate::pipeline::{self, AnySink, SourceSettings};
use crate::sink::splunk_hec::Canary;
use crate::source::file::FileSource;
use crate::source::kinesis::{KinesisSource, vanishing_files};
use crate::spill::Directory;
use crate::unit::Size;

/// Checks the configuration and the mappings; with `connect`, asks every source and sink; with `canary`, sends marked events
/// to the sinks that are ready and have such.
pub fn check(path: &Path, connect: bool, canary: bool) -> Result<u8, End> {
    let settings = config::load(path).map_err(End::usage)?;
    let loaded = config::loaded(&settings.normalize.mappings).map_err(End::usage)?;
    let notes = mapping::notes(&loaded);
    let mappings = Arc::new(config::compile(loaded, &settings.normalize).map_err(End::usage)?);
    config::check_log_types(path, &settings, &mappings).map_err(End::usage)?;
    let pipeline = settings.pipeline;
    println!(
        "{}: {} sources, {} sinks, {} mappings: all well",
        path.display(),
        pipeline.sources.len(),
        pipeline.sinks.len(),
        mappings.log_types().count()
    );
    for note in notes {
        println!("{note}");
    }
    for why in vanishing(&pipeline) {
        println!("warning: {why}");
    }
    if let Some(why) = vanishing_letters(&pipeline) {
        println!("warning: {why}");
    }
    if !connect {
        return Ok(0);
    }
    let all_well = runtime()?.block_on(async {
        let mut all_well = true;
        for (name, source) in &pipeline.sources {
            all_well &= say("source", name, &Box::pin(check_source(name, source)).await);
        }
        for (name, sink) in &pipeline.sinks {
            let asked = sink.sink.check().await;
            let is_ready = say("sink", name, &asked.map(|()| "ready".to_owned()).map_err(|error| error.to_string()));
            if let Some(promise) = sink.sink.promise().filter(|_| is_ready) {
                println!("sink {name}: {promise}");
            }
            all_well &= is_ready;
            if canary && is_ready {
                all_well &= release_canaries(name, &sink.sink).await;
            }
            if let Some(spill) = sink.lane.spill() {
                all_well &= say("spill", name, &check_spill(spill).await);
            }
        }
        if let Some(store) = &pipeline.letter_store {
            let asked = Box::pin(store.check()).await;
            let answer = asked.map(|()| "ready".to_owned()).map_err(|error| error.to_string());
            all_well &= say("dead letters", store.kind(), &answer);
        }
        all_well
    });
    Ok(if all_well { 0 } else { FAILED })
}

/// Says which checkpoints and spills would not survive a restart, and what to do about it.
pub fn vanishing(pipeline: &pipeline::Settings) -> Vec<String> {
    vanishing_in(pipeline, &Surroundings::look())
}

fn vanishing_in(pipeline: &pipeline::Settings, surroundings: &Surroundings) -> Vec<String> {
    let of_source = |(name, source): &(Arc<str>, SourceSettings)| {
        match source {
        SourceSettings::Kinesis(options) => vanishing_files(name, options, surroundings)
            .into_iter()
            .map(|why| {
                format!(
                    "source `{name}`: {why}: then records come twice, or with `start = \"LATEST\"` never: share the leases \
                     by `lease_table`, mount a path for `checkpoint_file`, or set `file_may_vanish` under `lease`"
                )
            })
            .collect(),
        SourceSettings::File(_) | SourceSettings::DeadLetters(_) => Vec::new(),
    }
    };
    let of_sink = |(name, sink): &(Arc<str>, pipeline::SinkSettings)| {
        let spill = sink.lane.spill().filter(|spill| !spill.directory_may_vanish)?;
        // A volume that is mounted comes along, wherever an orchestrator starts the next copy.
        let here = Surroundings { orchestrator: None, ..surroundings.clone() };
        let why = vanishes(&std::path::absolute(&spill.directory).ok()?, &here)?;
        Some(format!(
            "sink `{name}`: {why}: up to {} of events that its spill holds would be lost to it: mount a path for `directory` \
             under `lane.spill`, or set `directory_may_vanish` there",
            Size(spill.bytes_max.get())
        ))
    };
    let sources = pipeline.sources.iter().flat_map(of_source);
    sources.chain(pipeline.sinks.iter().filter_map(of_sink)).collect()
}

/// Says whether the dead letters would not survive a restart, and what to do about it. They are settled: nobody reads them from
/// their source again.
fn vanishing_letters(pipeline: &pipeline::Settings) -> Option<String> {
    let directory = std::path::absolute(&pipeline.dead_letters.directory).ok()?;
    let why = vanishes(&directory, &Surroundings::look())?;
    Some(format!("dead letters: {why}: mount a path that stays, and name it as `directory` under `[dead_letter.file]`"))
}

async fn check_source(name: &str, source: &SourceSettings) -> Result<String, String> {
    match source {
        SourceSettings::Kinesis(options) => match Box::pin(KinesisSource::check(name, options)).await {
            Ok(shards) => Ok(format!("ready, {shards} shards")),
            Err(error) => Err(error.to_string()),
        },
        SourceSettings::File(options) => match FileSource::open(name, options.clone(), None) {
            Ok(source) => Ok(format!("ready, {} files", source.len())),
            Err(error) => Err(error.to_string()),
        },
        SourceSettings::DeadLetters(_) => Ok("ready".to_owned()),
    }
}

/// Says whether a spill could begin, and what an earlier process left in it.
async fn check_spill(spill: &SpillSettings) -> Result<String, String> {
    let directory = spill.directory.display();
    let found = Directory::probe(&spill.directory).await.map_err(|error| {
        format!(
            "{directory} cannot be made or written: {error}: mend it, or name another `directory` under `lane.spill`"
        )
    })?;
    let holds = format!("ready, holds {} bytes of {}", found.bytes, Size(spill.bytes_max.get()));
    Ok(match found.damaged {
        0 => holds,
        damaged => format!("{holds}; {damaged} damaged segments are kept in {directory}"),
    })
}

/// Sends a sink's canaries, where it has some, and says how they are found.
async fn release_canaries(name: &str, sink: &AnySink) -> bool {
    match Box::pin(sink.canaries()).await {
        None => true,
        Some(Err(error)) => {
            println!("sink {name}: CANARY NOT DELIVERED: {error}");
            false
        }
        Some(Ok(canaries)) => {
            for Canary { search, is_indexed } in canaries {
                let became = if is_indexed { "indexed" } else { "accepted" };
                println!("sink {name}: canary {became}: search for it by `{search}`");
            }
            true
        }
    }
}

fn say(kind: &str, name: &str, answer: &Result<String, String>) -> bool {
    match answer {
        Ok(words) => println!("{kind} {name}: {words}"),
        Err(words) => println!("{kind} {name}: NOT READY: {words}"),
    }
    answer.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the judgement of a spill's directory: on the container's own disk it is told of, by the sink, the path and what
    /// is at stake; on a mount it is not, nor on a machine's disk, nor where it was allowed; and that an orchestrator starts
    /// the next copy elsewhere is no word against a mount.
    #[test]
    fn a_spill_that_a_restart_wipes_is_told() {
        let container = Surroundings {
            orchestrator: Some("ECS"),
            is_container: true,
            mounts: vec![("/".into(), "overlay".to_owned()), ("/data".into(), "ext4".to_owned())],
        };
        let machine = Surroundings { orchestrator: None, is_container: false, ..container.clone() };
        let directory = tempfile::tempdir().unwrap();
        for (spill, surroundings, is_told) in [
            ("directory = \"/spill\"", &container, true),
            ("directory = \"/spill\"\ndirectory_may_vanish = true", &container, false),
            ("directory = \"/data/spill\"", &container, false),
            ("directory = \"/spill\"", &machine, false),
        ] {
            let path = directory.path().join("c.toml");
            let text = format!(
                "[source.file.in]\npaths = [\"-\"]\n[sink.file.soc]\npath = \"out\"\n[sink.file.soc.lane.spill]\n\
                 bytes_max = \"3GiB\"\n{spill}\n"
            );
            std::fs::write(&path, text).unwrap();
            let told = vanishing_in(&config::load(&path).unwrap().pipeline, surroundings);
            assert_eq!(told.len(), usize::from(is_told), "{spill}: {told:?}");
            for words in ["sink `soc`", "/spill", "3GiB", "overlay", "`directory_may_vanish`"] {
                assert!(told.iter().all(|told| told.contains(words)), "{words}: {told:?}");
            }
        }
    }
}
