//! `replay`: dead letters, sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::Replay as Arguments;
use super::{End, FAILED, INCOMPLETE, progress, run, runtime};
use crate::pipeline::{SourceSettings, Summary};
use crate::source::dead_letters::{Counts, Done, Filter, Letters, Line, Replay, find, remove};
use crate::{config, telemetry};

/// Sends what the arguments mean, or shows it.
pub fn replay(arguments: &Arguments) -> Result<u8, End> {
    let mut settings = config::load(&arguments.config).map_err(End::usage)?;
    let mappings = Arc::new(config::mappings(&settings.normalize).map_err(End::usage)?);
    config::check_log_types(&arguments.config, &settings, &mappings).map_err(End::usage)?;
    telemetry::init(&settings.log.level, settings.log.format == config::LogFormat::Json).map_err(End::usage)?;
    let pipeline = &mut settings.pipeline;
    let sinks: BTreeSet<String> = pipeline.sinks.iter().map(|(name, _)| name.to_string()).collect();
    if let Some(unknown) = arguments.sink.iter().find(|name| !sinks.contains(*name)) {
        let known = sinks.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(End::usage(format!("no sink is called `{unknown}`: there are {known}")));
    }
    let replay = Replay {
        files: files(arguments, &pipeline.dead_letters.directory)?,
        filter: filter(arguments),
        straight: arguments.straight,
        sinks,
        done: Arc::default(),
    };
    let runtime = runtime()?;
    if arguments.dry_run {
        return runtime.block_on(show(&replay));
    }
    let done = Arc::clone(&replay.done);
    pipeline.sources = vec![(Arc::from("dead_letters"), SourceSettings::DeadLetters(Box::new(replay)))];
    // The process that runs beside has the address.
    pipeline.admin.listen = None;
    let (summary, result) = run::to_the_end(&runtime, settings.pipeline, mappings, progress::bar())?;
    runtime.shutdown_background();
    eprintln!("{summary}");
    let counts = tell(&summary, &done);
    let mut code = if counts.failed_again + counts.unreadable + counts.of_no_sink > 0 { INCOMPLETE } else { 0 };
    if arguments.remove {
        for (path, offsets) in &done.lock().unwrap_or_else(PoisonError::into_inner).lines {
            if let Err(error) = remove(path, offsets) {
                eprintln!("siemline: cannot remove from {}: {error}", path.display());
                code = FAILED;
            }
        }
    }
    if let Err(error) = result {
        eprintln!("siemline: {error}");
        code = FAILED;
    }
    Ok(code)
}

fn files(arguments: &Arguments, directory: &PathBuf) -> Result<Vec<(PathBuf, u64)>, End> {
    let mut files = BTreeMap::new();
    let from = if arguments.from.is_empty() { std::slice::from_ref(directory) } else { &arguments.from };
    for from in from {
        files.extend(find(from).map_err(End::usage)?);
    }
    Ok(files.into_iter().collect())
}

fn filter(arguments: &Arguments) -> Filter {
    Filter {
        sinks: arguments.sink.clone(),
        reasons: arguments.reason.clone(),
        codes: arguments.code.clone(),
        log_types: arguments.log_type.clone(),
        since: arguments.since,
        until: arguments.until,
    }
}

/// Counts what would be sent, by sink, reason, code and log type.
async fn show(replay: &Replay) -> Result<u8, End> {
    let (mut groups, mut unreadable) = (BTreeMap::<[String; 4], u64>::new(), 0_u64);
    for (path, bytes) in &replay.files {
        let mut letters = Letters::open(path, *bytes).await.map_err(End::failed)?;
        while let Some(Line { letter, .. }) = letters.next().await.map_err(End::failed)? {
            match letter {
                None => unreadable += 1,
                Some(letter) if replay.filter.admits(&letter) => {
                    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                    let group = [or_none(letter.sink), letter.reason, letter.code, or_none(letter.log_type)];
                    *groups.entry(group).or_default() += 1;
                }
                Some(_) => {}
            }
        }
    }
    let titles = ["sink", "reason", "code", "log type"];
    let width = |column: usize| groups.keys().filter_map(|group| Some(group.get(column)?.len())).max().unwrap_or(0);
    let line = |group: [&str; 4]| {
        let mut line = String::new();
        for ((at, text), title) in group.iter().enumerate().zip(titles) {
            // Writing to a string does not fail.
            let _written = write!(line, "{text:w$}  ", w = width(at).max(title.len()));
        }
        line
    };
    println!("{:>9}  {}", "letters", line(titles).trim_end());
    for (group, count) in &groups {
        println!("{count:>9}  {}", line(group.each_ref().map(String::as_str)).trim_end());
    }
    println!("{:>9}  would be sent again", groups.values().sum::<u64>());
    if unreadable > 0 {
        println!("{unreadable:>9}  lines are no dead letters");
    }
    Ok(0)
}

fn tell(summary: &Summary, done: &Mutex<Done>) -> Counts {
    let counts = done.lock().unwrap_or_else(PoisonError::into_inner).counts;
    let Counts { sent, delivered, filtered, failed_again, of_no_sink, unreadable } = counts;
    eprintln!(
        "replayed {sent} dead letters in {:.1} s: {delivered} delivered, {filtered} let go by a rule, {failed_again} dead \
         letters once more",
        summary.elapsed.as_secs_f64()
    );
    if of_no_sink > 0 {
        eprintln!("{of_no_sink} stay where they are: their sink is not configured any more");
    }
    if unreadable > 0 {
        eprintln!("{unreadable} lines are no dead letters, and stay where they are");
    }
    counts
}
