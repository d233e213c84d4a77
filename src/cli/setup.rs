//! `setup`: prepare a destination.

use std::path::Path;

use serde_json::{Value, json};

use super::{End, runtime};
use crate::config;
use crate::sink::elastic::setup::{self, Flavor, Template};
use crate::sink::elastic::{Elastic, ElasticOptions};

/// Installs the index template for the sink's data stream, or prints it.
pub fn elastic(path: &Path, sink: Option<&str>, dry_run: bool, opensearch: bool) -> Result<u8, End> {
    let options = config::options(path).map_err(End::usage)?;
    let options = choose(options.sink.elastic.into_iter().collect(), sink)?;
    if dry_run {
        let flavor = if opensearch { Flavor::OpenSearch } else { Flavor::Elasticsearch };
        println!("{:#}", printed(&setup::template(&options, flavor, flavor.unmapped())));
        return Ok(0);
    }
    let sink = Elastic::new(&options).map_err(End::usage)?;
    runtime()?.block_on(async {
        let flavor = setup::flavor(&sink).await.map_err(End::failed)?;
        let template = setup::template(&options, flavor, flavor.unmapped());
        setup::install(&sink, &template).await.map_err(End::failed)?;
        println!("installed {} and {} for {}", template.component_name, template.name, options.stream());
        Ok(0)
    })
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

fn printed(template: &Template) -> Value {
    json!({
        (format!("PUT /_component_template/{}", template.component_name)): template.component,
        (format!("PUT /_index_template/{}", template.name)): template.index_template,
    })
}
