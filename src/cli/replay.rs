//! `replay`: dead letters, sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::args::Replay as Arguments;
use super::{End, FAILED, INCOMPLETE, progress, run, runtime};
use crate::pipeline::{LetterStore, Settings, SourceSettings, Summary};
use crate::source::dead_letters::{Counts, Done, Error, Filter, Found, Holder, Pile, Replay, find, remove};
use crate::{config, telemetry};

/// The words that mean a store instead of a path.
const STORES: [&str; 3] = ["elastic", "kafka", "s3"];

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
    let Places { files, store } = places(arguments, pipeline)?;
    let replay = Replay {
        files,
        reads_store: store.is_some(),
        filter: filter(arguments),
        straight: arguments.straight,
        sinks,
        done: Arc::default(),
    };
    let runtime = runtime()?;
    if arguments.dry_run {
        return runtime.block_on(show(&replay, store.as_ref()));
    }
    let done = Arc::clone(&replay.done);
    pipeline.sources = vec![(Arc::from("dead_letters"), SourceSettings::DeadLetters(Box::new(replay)))];
    // The process that runs beside has the address.
    pipeline.admin.listen = None;
    let (summary, result) = run::to_the_end(&runtime, settings.pipeline, mappings, progress::bar())?;
    eprintln!("{summary}");
    let counts = tell(&summary, &done);
    let mut code = if counts.failed_again + counts.unreadable + counts.of_no_sink > 0 { INCOMPLETE } else { 0 };
    if arguments.remove {
        let lines = std::mem::take(&mut done.lock().unwrap_or_else(PoisonError::into_inner).lines);
        if !runtime.block_on(remove_all(lines, store.as_ref())) {
            code = FAILED;
        }
    }
    runtime.shutdown_background();
    if let Err(error) = result {
        eprintln!("siemline: {error}");
        code = FAILED;
    }
    Ok(code)
}

/// Where a replay reads.
struct Places {
    /// Files, and how much of each.
    files: Vec<(PathBuf, u64)>,
    /// The store on the network.
    store: Option<LetterStore>,
}

/// Where the arguments say that letters lie.
fn places(arguments: &Arguments, pipeline: &Settings) -> Result<Places, End> {
    let (directory, store) = (&pipeline.dead_letters.directory, pipeline.letter_store.clone());
    if arguments.from.is_empty() {
        // Where there is a store, the file is for what that did not take: there may never have been any.
        let files = if store.is_some() && !directory.exists() { Ok(Vec::new()) } else { find(directory) };
        return match files {
            Err(Error::Nothing(_)) if store.is_some() => Ok(Places { files: Vec::new(), store }),
            files => Ok(Places { files: files.map_err(End::usage)?, store }),
        };
    }
    let (mut files, mut asked) = (BTreeMap::new(), None);
    for from in &arguments.from {
        match STORES.into_iter().find(|kind| from.as_os_str() == *kind) {
            None => files.extend(find(from).map_err(End::usage)?),
            Some(kind) => match &store {
                Some(store) if store.kind() == kind => asked = Some(store.clone()),
                _ => {
                    let words =
                        format!("there is no [dead_letter.{kind}] in the configuration; a file is named as ./{kind}");
                    return Err(End::usage(words));
                }
            },
        }
    }
    Ok(Places { files: files.into_iter().collect(), store: asked })
}

/// Removes what need not be sent again, and says whether all of it is gone.
async fn remove_all(lines: BTreeMap<Holder, BTreeSet<u64>>, store: Option<&LetterStore>) -> bool {
    let (mut all_gone, mut kept) = (true, BTreeMap::new());
    for (holder, marks) in lines {
        match holder {
            Holder::Store(holder) => drop(kept.insert(holder, marks)),
            Holder::File(path) => {
                if let Err(error) = remove(&path, &marks) {
                    eprintln!("siemline: cannot remove from {}: {error}", path.display());
                    all_gone = false;
                }
            }
        }
    }
    if let Some(store) = store.filter(|store| store.is_append_only() && !kept.is_empty()) {
        eprintln!(
            "siemline: nothing can be removed from {}: its letters stay until its retention takes them away; --since passes over \
             those that were sent before",
            store.kind()
        );
    } else if let Some(store) = store
        && let Err((holder, error)) = Box::pin(store.remove(&kept)).await
    {
        eprintln!("siemline: cannot remove from {holder}: {error}");
        all_gone = false;
    }
    all_gone
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
async fn show(replay: &Replay, store: Option<&LetterStore>) -> Result<u8, End> {
    let (mut groups, mut unreadable) = (BTreeMap::<[String; 4], u64>::new(), 0_u64);
    let mut pile = Pile::new(replay.files.clone(), store.map(LetterStore::letters));
    while let Some(Found { letter, .. }) = pile.next().await.map_err(End::failed)? {
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
