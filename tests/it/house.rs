//! Guards the house: every room on its floor, the ground floors pure, one room that spawns, no `unsafe`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

/// Every room of `src/lib.rs` and the floor it stands on. A room names only rooms on lower floors, and itself.
const FLOORS: [(&str, u8); 24] = [
    ("ack", 0),
    ("budget", 0),
    ("metric", 0),
    ("secret", 0),
    ("shutdown", 0),
    ("unit", 0),
    ("record", 1),
    ("vocabulary", 1),
    ("cim", 2),
    ("ecs", 2),
    ("envelope", 2),
    ("ocsf", 2),
    ("normalize", 3),
    ("delivery", 4),
    ("route", 4),
    ("aws", 5),
    ("http", 5),
    ("telemetry", 5),
    ("lease", 6),
    ("sink", 7),
    ("source", 7),
    ("pipeline", 8),
    ("config", 9),
    ("cli", 10),
];

/// Rooms that are functions of bytes, values and an explicit time.
const PURE: [&str; 11] =
    ["ack", "cim", "ecs", "envelope", "metric", "normalize", "ocsf", "record", "route", "unit", "vocabulary"];

/// What a pure room must not name: files, sockets, clocks, logging. `std::net::IpAddr` is a value and may be named.
const WORLD: &str = r"std::(fs|process|thread|env)\b|std::net::(Tcp|Udp|ToSocketAddrs)|\bnet::(TcpStream|TcpListener|UdpSocket)|tokio::(fs|net|time|task|runtime|spawn)\b|\bSystemTime\b|std::time::\{?[^;]*\bInstant\b|Timestamp::now|Zoned::now|\btracing\b|\b(e?println|e?print)!";

/// What only `pipeline` and the rooms above it may name.
const SPAWN: &str =
    r"tokio::spawn|\bspawn_blocking\b|\bspawn_local\b|thread::(spawn|Builder|scope)|\bJoinSet\b|\.spawn\(";

/// The files below `pipeline` that may hand work to a blocking thread: they wait for it on the spot. Only so is a checkpoint's
/// file never written by two futures of which one was dropped midway; and librdkafka has questions that block.
const BLOCKING: [&str; 2] = ["lease/file.rs", "sink/kafka/sink.rs"];

/// The one file that may name the crate `backoff`, which nobody maintains any more.
const BACKOFF: &str = "delivery/schedule.rs";

/// A source file: its path below `src`, and its code without comments, texts and tests.
struct Source {
    path: String,
    code: String,
}

impl Source {
    /// The room it belongs to; `None` for `lib.rs` and `main.rs`.
    fn room(&self) -> Option<&str> {
        let room = self.path.split('/').next()?.trim_end_matches(".rs");
        (room != "lib" && room != "main").then_some(room)
    }

    /// How many `super`s lead from its module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// The rooms it names, whether from the crate's root or upwards with `super`.
    fn rooms_named(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        let root = Regex::new(r"(?:\bcrate|\bsuper(?:\s*::\s*super)*)\s*::\s*(\{|\*|[a-z_][a-z0-9_]*)").unwrap();
        for found in root.captures_iter(&self.code) {
            let (whole, next) = (found.get(0).unwrap(), found.get(1).unwrap());
            let supers = whole.as_str().matches("super").count();
            if supers > 0 && supers < self.depth() || next.as_str() == "super" {
                continue;
            }
            if next.as_str() == "{" {
                named.extend(group(&self.code[next.end()..]));
            } else {
                named.insert(next.as_str().to_owned());
            }
        }
        named
    }
}

/// The first names of a `{..}` list, whose brace has just been opened.
fn group(code: &str) -> Vec<String> {
    let (mut names, mut name, mut open, mut is_first) = (Vec::new(), String::new(), 0, true);
    for letter in code.chars() {
        match letter {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => {
                names.push(std::mem::take(&mut name));
                is_first = true;
            }
            ':' if open == 0 => is_first = false,
            _ if open == 0 && is_first && (letter.is_alphanumeric() || letter == '_' || letter == '*') => {
                name.push(letter);
            }
            _ => {}
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

/// Every file below `src` that is not a test, with its code laid bare.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let bare: Vec<(PathBuf, String)> =
        files.into_iter().map(|path| (path.clone(), bare(&std::fs::read_to_string(path).unwrap()))).collect();
    let tests: Vec<PathBuf> = bare.iter().flat_map(|(path, code)| test_modules(path, code)).collect();
    let is_test = |path: &Path| tests.iter().any(|test| path.starts_with(test) || path == test.with_extension("rs"));
    let kept = bare.into_iter().filter(|(path, _)| !is_test(path));
    kept.map(|(path, code)| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"),
        code: without_tests(&code),
    })
    .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a file declares for tests only, as the folders they would have.
fn test_modules(path: &Path, code: &str) -> Vec<PathBuf> {
    let declaration = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))?\s+)?mod\s+([a-z_]+)\s*;").unwrap();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let folder = match stem {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    declaration.captures_iter(code).map(|found| folder.join(&found[1])).collect()
}

/// Takes out what stands under `#[cfg(test)]` in the file itself: a block or a statement.
fn without_tests(code: &str) -> String {
    let (mut kept, mut rest) = (String::new(), code);
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find([';', '{']).unwrap_or(rest.len());
        let mut open = 0;
        let length = rest[end..]
            .char_indices()
            .find(|(_, letter)| {
                open += i32::from(*letter == '{') - i32::from(*letter == '}');
                open == 0
            })
            .map_or(rest.len() - end, |(at, _)| at + 1);
        rest = &rest[end + length..];
    }
    kept.push_str(rest);
    kept
}

/// Code without its comments and without what stands in its texts.
fn bare(text: &str) -> String {
    let mut kinds = vec![r"//[^\n]*".to_owned(), r"/\*.*?\*/".to_owned()];
    for hashes in ["####", "###", "##", "#", ""] {
        kinds.push(format!("b?r{hashes}\".*?\"{hashes}"));
    }
    kinds.push(r#"b?"(?:\\.|[^"\\])*""#.to_owned());
    kinds.push(r"b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'".to_owned());
    let token = Regex::new(&format!("(?s){}", kinds.join("|"))).unwrap();
    token.replace_all(text, " ").into_owned()
}

/// Says what is wrong with these sources, one line each.
fn faults(sources: &[Source]) -> Vec<String> {
    let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
    let (world, spawn) = (Regex::new(WORLD).unwrap(), Regex::new(SPAWN).unwrap());
    let backoff = Regex::new(r"\bbackoff\s*::").unwrap();
    let hazard = Regex::new(r"\bunsafe\b").unwrap();
    let mut faults = Vec::new();
    let mut fault = |source: &Source, words: String| faults.push(format!("src/{}: {words}", source.path));
    for source in sources {
        if hazard.is_match(&source.code) {
            fault(source, "`unsafe` is forbidden".to_owned());
        }
        if backoff.is_match(&source.code) && source.path != BACKOFF {
            fault(source, format!("the crate `backoff` is named in {BACKOFF} only"));
        }
        let Some(room) = source.room() else { continue };
        let Some(floor) = floors.get(room) else {
            fault(source, format!("the room `{room}` has no floor: choose one in FLOORS"));
            continue;
        };
        for named in source.rooms_named() {
            match floors.get(named.as_str()) {
                _ if named == room => {}
                None => fault(source, format!("names `{named}`, which is no room")),
                Some(other) if other < floor => {}
                Some(other) => fault(source, format!("on floor {floor} it names `{named}`, which is on floor {other}")),
            }
        }
        if *floor < floors["pipeline"]
            && let Some(found) = spawn.find(&source.code)
            && !BLOCKING.contains(&source.path.as_str())
        {
            fault(source, format!("`{}`: nothing below `pipeline` spawns a task or a thread", found.as_str()));
        }
        if PURE.contains(&room)
            && let Some(found) = world.find(&source.code)
        {
            fault(source, format!("`{}`: the room `{room}` is pure", found.as_str()));
        }
    }
    faults
}

/// Guards DESIGN's floors, and the absences that the architecture promises.
#[test]
fn rooms_stand_on_their_floors() {
    let sources = sources();
    assert!(sources.len() > 100, "the house has more files than these {}", sources.len());
    let faults = faults(&sources);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Guards that the table and the house have the same rooms.
#[test]
fn the_table_names_the_rooms_of_the_house() {
    let root = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declaration = Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))?\s+)?mod\s+([a-z_]+)\s*;").unwrap();
    let code = bare(&root);
    let rooms: BTreeSet<&str> = declaration.captures_iter(&code).map(|found| found.extract::<1>().1[0]).collect();
    assert_eq!(rooms, FLOORS.iter().map(|(room, _)| *room).collect());
}

/// Guards the guard: each kind of fault is found, and what only looks like one is not.
#[test]
fn the_guard_sees() {
    let seen = |path: &str, text: &str| {
        let source = Source { path: path.to_owned(), code: without_tests(&bare(text)) };
        faults(&[source]).len()
    };
    for (path, text, expected) in [
        ("ack/mod.rs", "use crate::record::Record;", 1),
        ("ack/deep/file.rs", "use super::super::super::record::Record;", 1),
        ("ack/deep/file.rs", "use super::super::record::Record;", 0),
        ("ack/mod.rs", "use super::record::Record;", 1),
        ("sink/mod.rs", "use crate::source::Source;", 1),
        ("sink/mod.rs", "use crate::{delivery::{self, Lane}, source, unit::Size};", 1),
        ("sink/mod.rs", "use crate::{delivery::{self, source}, unit::Size};", 0),
        ("sink/file/sink.rs", "use crate::sink::Format; use crate::delivery::Sink;", 0),
        ("sink/mod.rs", "use crate::*;", 1),
        ("attic/mod.rs", "", 1),
        ("source/mod.rs", "fn f() { tokio::spawn(g()); }", 1),
        ("pipeline/mod.rs", "fn f() { tokio::spawn(g()); }", 0),
        ("source/mod.rs", "use tokio::task::spawn_blocking;", 1),
        ("envelope/mod.rs", "use std::time::{Duration, Instant};", 1),
        ("envelope/mod.rs", "use std::net::IpAddr; struct Instant;", 0),
        ("envelope/mod.rs", "fn f() { tracing::info!(\"x\"); }", 1),
        (
            "envelope/mod.rs",
            "// tracing\n/* crate::cli */ const A: &str = \"crate::cli\"; const B: &str = r#\"\"tracing\"#;",
            0,
        ),
        ("envelope/mod.rs", "const QUOTE: char = '\"'; use crate::cli::main; const C: char = '\"';", 1),
        ("envelope/mod.rs", "fn f<'a>(a: &'a str, b: &'a str) { crate::cli::main() }", 1),
        ("envelope/mod.rs", "#[cfg(test)]\nmod tests { fn f() { crate::cli::main(); } }\nfn g() {}", 0),
        ("envelope/mod.rs", "#[cfg(test)]\nuse crate::cli;\nuse crate::config;", 1),
        ("delivery/lane.rs", "use backoff::Clock;", 1),
        ("delivery/lane.rs", "fn f() { unsafe { g() } }", 1),
    ] {
        assert_eq!(seen(path, text), expected, "{path}: {text}");
    }
}
