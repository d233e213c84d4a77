//! Guards the end of a run that is asked to stop: it drains what it has read, within its grace; asked again, it goes at once.

use std::time::{Duration, Instant};

use super::{Ended, Home, Running, findings, until};
use crate::fakes::hec::{FakeHec, TOKEN};
use crate::fakes::plan::{Fault, Plan};

const EVENTS: u32 = 300;

/// Starts a run of some findings to this HEC in requests of ten, and waits until the first is under way.
async fn start(home: &Home, hec: &FakeHec, more: &str) -> Running {
    home.write("in.ndjson", findings(0..EVENTS));
    home.write("token", TOKEN);
    let config = format!(
        "[source.file.in]\npaths = [\"in.ndjson\"]\nchunk_records_max = 10\n\
         [sink.splunk_hec.soc]\nendpoint = \"{}\"\ntoken = {{ file = \"token\" }}\n\
         [sink.splunk_hec.soc.lane]\nbatch_entries_max = 10\nbatch_age_max = \"1ms\"\nretry_first = \"10ms\"\nretry_max = \"50ms\"\n\
         [dead_letter.file]\ndirectory = \"dl\"\n{more}",
        hec.url
    );
    home.write("c.toml", config);
    let running = home.start(&["run", "--config", "c.toml"]);
    until("a request is under way", || hec.batches() > 0).await;
    running
}

async fn ended(running: Running) -> Ended {
    tokio::task::spawn_blocking(move || running.wait()).await.unwrap()
}

#[tokio::test]
async fn sigterm_drains() {
    let slow = vec![Fault::Slow(Duration::from_millis(300)); 3].into_iter().chain([Fault::unavailable(None)]);
    let hec = FakeHec::start(Plan::script(slow)).await;
    let home = Home::new();
    let running = start(&home, &hec, "").await;
    running.terminate();
    let ended = ended(running).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let delivered = ended.count("delivered");
    assert!(delivered > 0 && ended.count("read") == delivered, "{}", ended.err);
    assert_eq!((hec.distinct() as u64, hec.duplicates()), (delivered, 0));
    assert!(home.dead_letters().is_empty());
    ended.line(&format!("{delivered} records, {delivered} events in"));
}

#[tokio::test]
async fn a_second_sigterm_exits_at_once() {
    let hec = FakeHec::start(Plan::script(vec![Fault::Hang; 100])).await;
    let home = Home::new();
    let mut running = start(&home, &hec, "").await;
    running.terminate();
    let begin = Instant::now();
    while !running.has_ended() {
        // Signals of one kind that nobody has taken yet are one: the second may have to be said again.
        running.terminate();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "the grace of 25 s was not waited for");
    assert_eq!(ended(running).await.code, Some(1));
}

#[tokio::test]
async fn what_is_not_delivered_within_the_grace_is_read_again() {
    let hec = FakeHec::start(Plan::script(vec![Fault::Hang; 100])).await;
    let home = Home::new();
    let running = start(&home, &hec, "[pipeline]\nshutdown_grace = \"200ms\"\n").await;
    running.terminate();
    let ended = ended(running).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!((ended.count("delivered"), ended.count("again")), (0, ended.count("read")));
    assert!(ended.count("again") > 0, "{}", ended.err);
    ended.line("siemline: source `in`: ");
}
