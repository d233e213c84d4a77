//! The file as a destination: a path at which no file can be for a while is the destination that is away.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use siemline::delivery::LaneDefaults;
use siemline::sink::file::{FileOptions, FileSink};
use tempfile::TempDir;

use super::play::Destination;
use super::scenario::{Cell, EVENTS, Expected, Scenario};
use crate::events::uid;

/// A file in a directory of its own.
pub struct File {
    directory: TempDir,
}

impl Destination for File {
    const KIND: &'static str = "file";
    const LANE: LaneDefaults = FileOptions::LANE;
    type Sink = FileSink;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            // A disk takes an event of any size, too.
            Scenario::AllAccepted | Scenario::OneTooLarge | Scenario::TooLarge | Scenario::Refused => {
                Cell::Played(Expected::arrives())
            }
            Scenario::Twice => Cell::Played(Expected::repeats(EVENTS)),
            Scenario::OneRefused | Scenario::AllRefused => {
                Cell::Meaningless("a disk refuses no line for what is in it")
            }
            Scenario::ThrottledForASecond | Scenario::Throttled => {
                Cell::Meaningless("a disk is slow, and says nothing")
            }
            Scenario::UnauthorisedThenRestored => {
                Cell::Meaningless("a file that may not be written is one that is away, as in `Refused`")
            }
            Scenario::Shutdown | Scenario::Restart | Scenario::TimeoutAfterTaken | Scenario::Slow => {
                Cell::Meaningless("no test can hold a write of the kernel; `crash` kills whole processes instead")
            }
            Scenario::ShortAnswer
            | Scenario::CutBefore
            | Scenario::CutAfter
            | Scenario::Garbage
            | Scenario::EmptySuccess
            | Scenario::Redirect
            | Scenario::BalancerPage
            | Scenario::SignInPage => Cell::Meaningless("there is no connection and no answer but the kernel's"),
        }
    }

    async fn start(scenario: Scenario) -> Self {
        let file = Self { directory: tempfile::tempdir().unwrap() };
        if scenario == Scenario::Refused {
            file.go_away().await;
        }
        file
    }

    async fn sink(&self) -> FileSink {
        let path = self.directory.path().join("events.ndjson");
        FileSink::new(&serde_json::from_value::<FileOptions>(json!({ "path": path })).unwrap())
    }

    fn received(&self) -> BTreeMap<String, u32> {
        let mut times = BTreeMap::new();
        let text = std::fs::read_to_string(self.directory.path().join("events.ndjson")).unwrap();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let n = event["n"].as_u64().and_then(|n| u32::try_from(n).ok()).expect("an event of the tests");
            *times.entry(uid(n)).or_default() += 1;
        }
        times
    }

    fn faults_left(&self) -> usize {
        0
    }

    async fn go_away(&self) {
        std::fs::create_dir(self.directory.path().join("events.ndjson")).unwrap();
    }

    async fn mend(&self) {
        std::fs::remove_dir(self.directory.path().join("events.ndjson")).unwrap();
    }
}
