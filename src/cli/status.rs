//! `status`: where the sources stand. `reset`: begin somewhere else.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::asked::Asked;
use super::{End, runtime};
use crate::config;
use crate::lease::Checkpoint;
use crate::source::kinesis::{
    KinesisOptions, Reset, ShardStanding, StartAt, Step, StreamStanding, plan_reset, standing,
};

/// Prints leases, owners, lag, headroom and checkpoints of all Kinesis sources; of shards that the process of this
/// configuration reads also why they stand still, where it can be asked.
pub fn status(path: &Path, as_json: bool) -> Result<u8, End> {
    let sources = sources(path)?;
    let listen = config::options(path).map_err(End::usage)?.admin.listen;
    runtime()?.block_on(async {
        let asked = Asked::ask(listen).await;
        let mut all = Vec::new();
        for (name, options) in &sources {
            let streams = standing(name, options).await;
            all.push((name, options, streams.map_err(|error| End::failed(format!("source {name}: {error}")))?));
        }
        if as_json {
            let document: Vec<Value> = all
                .iter()
                .flat_map(|(name, options, streams)| {
                    streams.iter().map(|stream| json_of(name, options, stream, &asked))
                })
                .collect();
            println!("{:#}", Value::Array(document));
        } else {
            for (name, options, streams) in &all {
                for stream in streams {
                    print_table(name, options, stream, &asked);
                }
            }
            println!("{asked}");
        }
        Ok(0)
    })
}

/// Sets the checkpoints of a source; asks before, unless it is told not to.
pub fn reset(path: &Path, source: &str, to: &str, dry_run: bool, yes: bool) -> Result<u8, End> {
    let to: StartAt = to.parse().map_err(End::usage)?;
    let sources = sources(path)?;
    let Some((name, options)) = sources.into_iter().find(|(name, _)| name == source) else {
        return Err(End::usage(format!("no Kinesis source is called `{source}`")));
    };
    runtime()?.block_on(async {
        let resets = plan_reset(&name, &options, to).await.map_err(End::failed)?;
        resets.iter().for_each(print_reset);
        if dry_run {
            return Ok(0);
        }
        if !yes {
            confirm(&name)?;
        }
        for reset in resets {
            let stream = reset.stream.clone();
            let steps = reset.apply().await.map_err(|error| End::failed(format!("{stream}: {error}")))?;
            println!("{stream}: {steps} leases set");
        }
        Ok(0)
    })
}

fn sources(path: &Path) -> Result<Vec<(String, KinesisOptions)>, End> {
    // All mistakes are told here as everywhere.
    config::load(path).map_err(End::usage)?;
    Ok(config::options(path).map_err(End::usage)?.source.kinesis.into_iter().collect())
}

fn confirm(name: &str) -> Result<(), End> {
    if !std::io::stdin().is_terminal() {
        return Err(End::usage("nobody is there to confirm: look at it with --dry-run, and add --yes"));
    }
    print!("type `{name}` to go on: ");
    std::io::stdout().flush().map_err(End::failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(End::failed)?;
    if answer.trim() == name { Ok(()) } else { Err(End::failed("not confirmed, nothing was changed")) }
}

fn print_reset(reset: &Reset) {
    println!("{}", reset.stream);
    for (shard, step) in &reset.steps {
        match step {
            Step::Set { from, to, .. } => println!("  {shard}: {} -> {}", place(from), place(to)),
            Step::Create(lease) => println!("  {shard}: none -> {}", place(&lease.checkpoint)),
            Step::Remove { .. } => println!("  {shard}: removed, it is read when its parents are finished"),
        }
    }
}

fn print_table(name: &str, options: &KinesisOptions, stream: &StreamStanding, asked: &Asked) {
    println!("source {name}, stream {}, retention {}", stream.stream, time(stream.retention));
    if let Some(leader) = &stream.leader {
        println!("  the lock of a leader of KCL 3 is held by {leader}: while it lives, siemline takes no lease");
    }
    let header = ["shard", "state", "owner", "lag", "headroom", "checkpoint", "stands still"].map(str::to_owned);
    let row = |shard| row(shard, &standstill(asked, name, &options.shard_label(&stream.stream, &shard.shard)));
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(stream.shards.iter().map(row)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("  {}", cells.join("  ").trim_end());
    }
}

/// Why a shard stands still, and for how long, as the process says that reads it.
fn standstill(asked: &Asked, source: &str, shard: &str) -> String {
    match asked.shard(source, shard) {
        Some(told) if told.standstill_ms > 0 => {
            format!("{} for {}", told.reason, time(Duration::from_millis(told.standstill_ms)))
        }
        Some(told) => told.reason.clone(),
        None => "-".to_owned(),
    }
}

fn row(shard: &ShardStanding, standstill: &str) -> [String; 7] {
    let none = || "-".to_owned();
    let owner = match (&shard.owner, &shard.next_owner) {
        (Some(owner), Some(next)) => format!("{owner} -> {next}"),
        (Some(owner), None) => owner.to_string(),
        _ => none(),
    };
    [
        shard.shard.clone(),
        shard.state.word().to_owned(),
        owner,
        shard.lag.map_or_else(none, time),
        shard.headroom.map_or_else(none, time),
        shard.checkpoint.as_ref().map_or_else(none, place),
        standstill.to_owned(),
    ]
}

fn json_of(name: &str, options: &KinesisOptions, stream: &StreamStanding, asked: &Asked) -> Value {
    let shards: Vec<Value> = stream
        .shards
        .iter()
        .map(|shard| {
            let told = asked.shard(name, &options.shard_label(&stream.stream, &shard.shard));
            json!({
                "shard": shard.shard,
                "state": shard.state.word(),
                "owner": shard.owner,
                "next_owner": shard.next_owner,
                "checkpoint": shard.checkpoint,
                "lag_ms": shard.lag.map(millis),
                "headroom_ms": shard.headroom.map(millis),
                "reason": told.map(|told| &told.reason),
                "standstill_ms": told.map(|told| told.standstill_ms),
            })
        })
        .collect();
    json!({
        "source": name,
        "stream": stream.stream.as_str(),
        "retention_ms": millis(stream.retention),
        "kcl_leader": stream.leader,
        "process": asked.to_string(),
        "shards": shards,
    })
}

fn place(checkpoint: &Checkpoint) -> String {
    match checkpoint {
        Checkpoint::TrimHorizon => "TRIM_HORIZON".to_owned(),
        Checkpoint::AtTimestamp(time_ms) => StartAt::Timestamp(*time_ms).to_string(),
        Checkpoint::Sequence { sequence, sub_sequence: 0 } => sequence.clone(),
        Checkpoint::Sequence { sequence, sub_sequence } => format!("{sequence}/{sub_sequence}"),
        Checkpoint::ShardEnd => "SHARD_END".to_owned(),
    }
}

/// As people read it: the two largest units.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => format!("{}ms", duration.as_millis()),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
