//! Standard output as a destination: a pipe that holds half a batch, with somebody at its other end or, for a while, nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use siemline::delivery::LaneDefaults;
use siemline::sink::stdout::{StdoutOptions, StdoutSink};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::play::Destination;
use super::scenario::{BATCH, Cell, EVENTS, Expected, Scenario};
use crate::events::uid;

/// The lines of so many events go into the pipe, and half a line.
const PIPE_LINES: usize = 4;

/// The pipe of each process, and who reads them all.
pub struct Stdout {
    scenario: Scenario,
    /// Whether somebody reads.
    is_read: watch::Sender<bool>,
    pipes: Mutex<Pipes>,
}

#[derive(Default)]
struct Pipes {
    readers: JoinSet<()>,
    /// What came out of each.
    texts: Vec<Arc<Mutex<Vec<u8>>>>,
}

impl Destination for Stdout {
    const KIND: &'static str = "stdout";
    const LANE: LaneDefaults = StdoutOptions::LANE;
    type Sink = StdoutSink<DuplexStream>;

    fn cell(scenario: Scenario) -> Cell {
        match scenario {
            // A pipe takes an event of any size, too.
            Scenario::AllAccepted | Scenario::OneTooLarge | Scenario::TooLarge | Scenario::Slow => {
                Cell::Played(Expected::arrives())
            }
            Scenario::Twice => Cell::Played(Expected::repeats(EVENTS)),
            // What has gone into the pipe before the lane gave up comes out of it later.
            Scenario::Refused => Cell::Played(Expected::repeats(u32::try_from(PIPE_LINES).unwrap())),
            // It may have been dropped before it was written.
            Scenario::Shutdown => Cell::Played(Expected { duplicates: 0..=BATCH, ..Expected::arrives() }),
            Scenario::OneRefused | Scenario::AllRefused => {
                Cell::Meaningless("a pipe refuses no line for what is in it")
            }
            Scenario::Throttled | Scenario::ThrottledForASecond => {
                Cell::Meaningless("a pipe is slow or full, and says nothing")
            }
            Scenario::UnauthorisedThenRestored => Cell::Meaningless("nobody is asked for credentials by a pipe"),
            Scenario::Restart | Scenario::CutBefore => Cell::Meaningless(
                "a pipe that is closed is not opened again: the lane pauses and says so, in `sink::stdout`",
            ),
            Scenario::ShortAnswer
            | Scenario::TimeoutAfterTaken
            | Scenario::CutAfter
            | Scenario::Garbage
            | Scenario::EmptySuccess
            | Scenario::Redirect
            | Scenario::BalancerPage
            | Scenario::SignInPage => Cell::Meaningless("nothing is answered through a pipe"),
        }
    }

    fn patience(scenario: Scenario) -> &'static str {
        // Nobody reads before the lane has given up.
        if scenario == Scenario::Refused { "3s" } else { scenario.request_timeout() }
    }

    async fn start(scenario: Scenario) -> Self {
        let is_read = !matches!(scenario, Scenario::Refused | Scenario::Shutdown);
        Self { scenario, is_read: watch::Sender::new(is_read), pipes: Mutex::default() }
    }

    async fn sink(&self) -> StdoutSink<DuplexStream> {
        let line = self.scenario.document(0).len() + 1;
        let holds_a_batch = if self.scenario == Scenario::Shutdown { BATCH as usize * line } else { 0 };
        let (near, far) = duplex(holds_a_batch + PIPE_LINES * line + line / 2);
        let text = Arc::new(Mutex::new(Vec::new()));
        let pause = if self.scenario == Scenario::Slow { Duration::from_millis(5) } else { Duration::ZERO };
        let mut pipes = self.pipes.lock().unwrap();
        pipes.readers.spawn(read(far, self.is_read.subscribe(), pause, Arc::clone(&text)));
        pipes.texts.push(text);
        StdoutSink::onto(&StdoutOptions::default(), near)
    }

    /// Whole lines. A torn one is nobody's.
    fn received(&self) -> BTreeMap<String, u32> {
        let mut times = BTreeMap::new();
        for text in &self.pipes.lock().unwrap().texts {
            for line in text.lock().unwrap().split(|byte| *byte == b'\n') {
                let event = serde_json::from_slice::<Value>(line).unwrap_or_default();
                if let Some(n) = event["n"].as_u64() {
                    *times.entry(uid(u32::try_from(n).unwrap())).or_default() += 1;
                }
            }
        }
        times
    }

    fn faults_left(&self) -> usize {
        0
    }

    async fn go_away(&self) {
        self.is_read.send_replace(false);
    }

    async fn mend(&self) {
        self.is_read.send_replace(true);
    }

    async fn settle(&self) {
        // A sink that is dropped closes its pipe, of which the rest is read.
        let readers = std::mem::take(&mut self.pipes.lock().unwrap().readers);
        readers.join_all().await;
    }
}

/// Reads a pipe to its end, once it is to be read.
async fn read(mut pipe: DuplexStream, mut is_read: watch::Receiver<bool>, pause: Duration, text: Arc<Mutex<Vec<u8>>>) {
    is_read.wait_for(|is_read| *is_read).await.expect("the destination is there");
    let mut piece = [0; 64];
    loop {
        let length = pipe.read(&mut piece).await.unwrap();
        if length == 0 {
            return;
        }
        text.lock().unwrap().extend_from_slice(&piece[..length]);
        tokio::time::sleep(pause).await;
    }
}
