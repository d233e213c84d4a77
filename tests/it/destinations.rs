//! Guards `docs/destinations.md`: every kind of sink has its row, every cell has something in it and a test that holds it, and
//! every test that is named there exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use siemline::config::SinkOptions;
use siemline::delivery::LaneDefaults;
use siemline::sink::elastic::ElasticOptions;
use siemline::sink::file::FileOptions;
use siemline::sink::firehose::FirehoseOptions;
use siemline::sink::http::HttpSinkOptions;
use siemline::sink::kafka::KafkaOptions;
use siemline::sink::s3::S3Options;
use siemline::sink::splunk_hec::SplunkHecOptions;
use siemline::sink::stdout::StdoutOptions;
use siemline::sink::sumo::SumoOptions;

use crate::compliance::scenario::Cell;
use crate::compliance::tables;

/// The column of what the real suite has tried. Where it is [`NOTHING`], no scenario of that suite is named, and the reverse.
const TRIED: &str = "tried against";
const NOTHING: &str = "nothing";

/// The column that begins with the bounds of a request.
const AT_MOST: &str = "at most, by default";

/// What the page says: the cells, and what holds them, by destination and column.
struct Page {
    columns: Vec<String>,
    cells: BTreeMap<String, BTreeMap<String, String>>,
    holders: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut table = text.lines().skip_while(|line| !line.starts_with("| destination |"));
        let columns: Vec<String> = cells(table.next().expect("there is a table")).skip(1).collect();
        let rows = table.skip(1).take_while(|line| line.starts_with('|'));
        let cells = rows.map(|row| {
            let mut cells = cells(row);
            let kind = cells.next().expect("a row has a first cell").trim_matches('`').to_owned();
            (kind, columns.iter().cloned().zip(cells).collect())
        });
        Self { cells: cells.collect(), holders: holders(text), columns }
    }

    /// What is wrong with it, one line each.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let known = serde_json::to_value(SinkOptions::default()).unwrap();
        let known: BTreeSet<&str> = known.as_object().unwrap().keys().map(String::as_str).collect();
        for (what, found) in [("the table", keys(&self.cells)), ("the sections", keys(&self.holders))] {
            if found != known {
                faults.push(format!("{what} has {found:?}, and the configuration {known:?}"));
            }
        }
        for (kind, cells) in &self.cells {
            let none = BTreeMap::new();
            let holders = self.holders.get(kind).unwrap_or(&none);
            for column in &self.columns {
                let cell = cells.get(column).map_or("", String::as_str);
                let holders = holders.get(column).map_or(&[][..], Vec::as_slice);
                if cell.is_empty() || holders.is_empty() {
                    faults.push(format!("{kind}, {column}: `{cell}` is held by {holders:?}"));
                }
                faults.extend(
                    holders.iter().filter_map(|name| absence(name)).map(|why| format!("{kind}, {column}: {why}")),
                );
            }
            let tried = holders.get(TRIED).is_some_and(|holders| holders.iter().any(|name| name.starts_with(REAL)));
            if tried == (cells.get(TRIED).map(String::as_str) == Some(NOTHING)) {
                faults.push(format!("{kind}: it is `{NOTHING}` that nothing was tried against, and nothing else is"));
            }
            faults.extend(
                holders
                    .keys()
                    .filter(|name| !self.columns.contains(name))
                    .map(|name| format!("{kind}: there is no column `{name}`")),
            );
        }
        faults
    }
}

/// The cells of a line of a table.
fn cells(line: &str) -> impl Iterator<Item = String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned())
}

/// What holds each cell: under a heading for each destination an item for each column, which names tests in code quotes.
fn holders(text: &str) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let name = Regex::new("`([^`]+)`").unwrap();
    let sections = text.split("\n### `").skip(1);
    let sections = sections.map(|section| {
        let (kind, items) = section.split_once('`').expect("a heading is quoted");
        let items = items.split("\n- ").skip(1).map(|item| {
            let (column, names) = item.split_once(": ").unwrap_or((item, ""));
            let names =
                name.captures_iter(names).map(|found| found[1].split_whitespace().collect::<Vec<_>>().join(" "));
            (column.to_owned(), names.collect())
        });
        (kind.to_owned(), items.collect())
    });
    sections.collect()
}

fn keys<T>(map: &BTreeMap<String, T>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).collect()
}

/// How a scenario of the real suite is named.
const REAL: &str = "tests/real ";

/// Why a test of this name cannot hold anything; `None` if it is there.
fn absence(name: &str) -> Option<String> {
    let is_there = if let Some(name) = name.strip_prefix(REAL) {
        is_in_the_real_suite(name)
    } else if name.starts_with("compliance::") && name.ends_with(')') {
        is_in_the_harness(name)
    } else {
        is_a_test(name)
    };
    (!is_there).then(|| format!("there is no `{name}`"))
}

/// `<scenario>`, or `<scenario>: <case>` for one of its rows.
fn is_in_the_real_suite(name: &str) -> bool {
    let (scenario, case) = name.split_once(": ").map_or((name, None), |(scenario, case)| (scenario, Some(case)));
    let table = text("tests/real/scenarios.py").expect("the suite has its table");
    if !table.lines().any(|line| line.trim_start().starts_with(&format!("Scenario(\"{scenario}\","))) {
        return false;
    }
    // A scenario may leave its cases to modules that it shares with others.
    let (mut open, mut seen) = (vec![scenario.to_owned()], BTreeSet::new());
    let mut has_case = case.is_none();
    while let Some(module) = open.pop() {
        let Some(module) = seen.insert(module.clone()).then(|| text(&format!("tests/real/{module}.py"))).flatten()
        else {
            continue;
        };
        has_case |= case.is_some_and(|case| module.contains(".case(") && module.contains(&format!("\"{case}\"")));
        let imports = module.lines().filter(|line| line.starts_with("import ") || line.starts_with("from "));
        open.extend(imports.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned));
    }
    has_case && seen.len() > 1
}

/// `compliance::<row>(<Scenario>, ...)`: each is played there.
fn is_in_the_harness(name: &str) -> bool {
    let Some((row, scenarios)) =
        name.strip_prefix("compliance::").and_then(|name| name.strip_suffix(')')?.split_once('('))
    else {
        return false;
    };
    let tables = tables();
    let Some((_, cells)) = tables.iter().find(|(name, _)| *name == row) else { return false };
    let played: BTreeSet<String> = crate::compliance::scenario::Scenario::ALL
        .iter()
        .zip(cells)
        .filter(|(_, cell)| matches!(cell, Cell::Played(_)))
        .map(|(scenario, _)| format!("{scenario:?}"))
        .collect();
    scenarios.split(", ").all(|scenario| played.contains(scenario))
}

/// A test by the name that `cargo test` prints, of this suite or of a module of the library. One that is ignored is none.
fn is_a_test(name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else { return false };
    let module = module.replace("::", "/");
    let inline = module.strip_suffix("/tests").unwrap_or(&module);
    let files = ["tests/it", "src"].into_iter().flat_map(|root| {
        [&module, inline]
            .into_iter()
            .flat_map(move |module| [format!("{root}/{module}.rs"), format!("{root}/{module}/mod.rs")])
    });
    let begins = format!("fn {function}(");
    files.filter_map(|path| text(&path)).any(|code| {
        let lines: Vec<&str> = code.lines().map(str::trim_start).collect();
        let is_it = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&begins);
        lines.iter().enumerate().filter(|(_, line)| is_it(line)).any(|(at, _)| {
            let attributes: Vec<&str> =
                lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).copied().collect();
            let is_test = attributes.iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"));
            is_test && !attributes.iter().any(|line| line.trim_start_matches("#[").starts_with("ignore"))
        })
    })
}

/// A file of the repository, if it is there.
fn text(path: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(Path::new(path))).ok()
}

fn page() -> String {
    text("docs/destinations.md").expect("the page is there")
}

/// Guards that every kind of sink has a row, that no cell is empty, and that each is held by tests that exist.
#[test]
fn every_cell_is_held() {
    let faults = Page::read(&page()).faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(text("README.md").unwrap().contains("docs/destinations.md"), "the first page leads there");
}

/// Guards the bounds of a request that the page tells.
#[test]
fn requests_are_as_large_as_is_written() {
    let page = Page::read(&page());
    let lanes: [(&str, LaneDefaults); 9] = [
        ("splunk_hec", SplunkHecOptions::LANE),
        ("elastic", ElasticOptions::LANE),
        ("kafka", KafkaOptions::LANE),
        ("firehose", FirehoseOptions::LANE),
        ("sumo", SumoOptions::LANE),
        ("http", HttpSinkOptions::LANE),
        ("s3", S3Options::LANE),
        ("file", FileOptions::LANE),
        ("stdout", StdoutOptions::LANE),
    ];
    assert_eq!(lanes.iter().map(|(kind, _)| *kind).collect::<BTreeSet<_>>(), keys(&page.cells));
    for (kind, lane) in lanes {
        let bounds = format!("{} events or {} ", lane.batch_entries_max, lane.batch_bytes_max);
        let cell = &page.cells[kind][AT_MOST];
        assert!(cell.starts_with(&bounds), "{kind}: `{cell}` begins with `{bounds}`");
    }
}

/// Guards the guard: a name without its test is told from one that has it, and a page with a hole from a whole one.
#[test]
fn the_guard_sees() {
    for (name, is_there) in [
        ("elastic::each_document_has_its_own_verdict", true),
        ("sink::elastic::tests::accepted_documents", true),
        ("sink::elastic::tests::templates::narrower_patterns_win", true),
        ("sink::kafka::permissions::tests::permissions_are_narrow", true),
        ("elastic::no_such_test", false),
        ("elastic::sink_with", false),
        ("no_such_module::a_batch_is_stored", false),
        ("alone", false),
        ("compliance::elastic(OneRefused, Twice)", true),
        ("compliance::elastic(OneRefused, Thrice)", false),
        // It has no meaning there.
        ("compliance::s3(OneRefused)", false),
        ("compliance::nobody(OneRefused)", false),
        ("tests/real firehose: packed", true),
        ("tests/real firehose: unpacked", false),
        ("tests/real leases", true),
        ("tests/real bucket", false),
        ("tests/real nobody: packed", false),
    ] {
        assert_eq!(absence(name).is_none(), is_there, "{name}");
    }
    let page = page();
    for (whole, broken) in [
        ("| `sumo` | the HTTP source answers 200 |", "| `sumo` | |"),
        ("| `sumo` |", "| `sum` |"),
        ("### `sumo`", "### `sum`"),
        ("- there twice: `compliance::sumo", "- then twice: `compliance::sumo"),
        ("`sumo::messages_arrive_with_their_metadata`", "`sumo::messages_arrive`"),
        ("| nothing | Sumo Logic |", "| Sumo Logic | nothing |"),
        ("| moto's S3 and STS |", "| nothing |"),
    ] {
        assert!(page.contains(whole), "the page has `{whole}`");
        assert!(!Page::read(&page.replace(whole, broken)).faults().is_empty(), "`{broken}` is a fault");
    }
}
