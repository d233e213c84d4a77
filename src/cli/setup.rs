//! `setup`: prepare a destination.

use std::path::Path;

use serde_json::Value;

use super::{End, runtime};
use crate::config;
use crate::sink::elastic::setup::{self, Done, Server, Step};
use crate::sink::elastic::{Elastic, ElasticOptions, letter_steps};
use crate::unit::Span;

/// What `setup elastic` is asked for, besides the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The sink's name.
    pub sink: Option<&'a str>,
    /// What is there, where nothing is to be installed; else it is asked.
    pub dry_run: Option<Server>,
    /// How long data is kept.
    pub retention: Option<Span>,
}

/// Installs templates and lifecycle for the sink's data stream, or prints the requests that would do it.
pub fn elastic(path: &Path, wanted: Wanted<'_>) -> Result<u8, End> {
    let options = config::options(path).map_err(End::usage)?;
    let options = choose(options.sink.elastic.into_iter().collect(), wanted.sink)?;
    if let Some(server) = wanted.dry_run {
        let steps = setup::steps(&options, server, wanted.retention).map_err(End::usage)?;
        println!("{:#}", printed(&steps));
        return Ok(0);
    }
    let sink = Elastic::new(&options).map_err(End::usage)?;
    runtime()?.block_on(async {
        let server = setup::server(&sink).await.map_err(End::failed)?;
        let steps = setup::steps(&options, server, wanted.retention).map_err(End::usage)?;
        install(&sink, &steps).await
    })
}

/// Installs the template of the index of dead letters, or prints the request that would do it.
pub fn dead_letters(path: &Path, dry_run: bool) -> Result<u8, End> {
    // All mistakes are told here as everywhere.
    config::load(path).map_err(End::usage)?;
    let Some(options) = config::options(path).map_err(End::usage)?.dead_letter.elastic else {
        return Err(End::usage("there is no [dead_letter.elastic] in the configuration"));
    };
    let steps = letter_steps(&options);
    if dry_run {
        println!("{:#}", printed(&steps));
        return Ok(0);
    }
    let sink = Elastic::new(&options.sink()).map_err(End::usage)?;
    runtime()?.block_on(install(&sink, &steps))
}

async fn install(sink: &Elastic, steps: &[Step]) -> Result<u8, End> {
    let done = setup::install(sink, steps).await.map_err(End::failed)?;
    for (step, done) in steps.iter().zip(done) {
        println!("{}: {}", step.request(), words(done));
    }
    Ok(0)
}

const fn words(done: Done) -> &'static str {
    match done {
        Done::Installed => "installed",
        Done::Kept => "there already, left as it is",
        Done::Unknown => "not known by this cluster, left out: roll its data streams over in another way",
    }
}

fn choose(mut sinks: Vec<(String, ElasticOptions)>, name: Option<&str>) -> Result<ElasticOptions, End> {
    if let Some(name) = name {
        sinks.retain(|(known, _)| known == name);
    }
    match (sinks.len(), sinks.pop()) {
        (1, Some((_, options))) => Ok(options),
        (0, _) => Err(End::usage("no such elastic sink is configured: add [sink.elastic.<name>], or mend --sink")),
        _ => Err(End::usage("several elastic sinks are configured: name one with --sink")),
    }
}

fn printed(steps: &[Step]) -> Value {
    Value::Object(steps.iter().map(|step| (step.request(), step.body.clone())).collect())
}
