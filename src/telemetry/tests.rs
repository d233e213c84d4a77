//! What is told of meters: the metrics, the status, the page, readiness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Board, Status, exposition, page};
use crate::budget::Budget;
use crate::metric::{
    DeadLetterMeter, ElasticMeter, EventMeter, Hindrance, KafkaMeter, KafkaState, Kind, LaneMeter, LaneReason,
    LaneState, Metric, Reason, ShardMeter, SinkMeter, SourceMeter, SpillState, SplunkHecMeter, SumoMeter, Tally,
};
use crate::shutdown;

/// A board on which every meter shows something.
struct Rig {
    board: Board,
    lane: Arc<LaneMeter>,
    source: Arc<SourceMeter>,
    shard: Arc<ShardMeter>,
    dead_letters: Arc<DeadLetterMeter>,
    stop: shutdown::Stop,
}

impl Rig {
    fn new() -> Self {
        let (lane, source) = (Arc::new(LaneMeter::default()), Arc::new(SourceMeter::default()));
        let (events, dead_letters) = (Arc::new(EventMeter::default()), Arc::new(DeadLetterMeter::default()));
        let (stop, shutdown) = shutdown::channel();
        let mut tally = Tally { records: 9, bytes: 900, ..Tally::default() };
        (0..7).for_each(|_| tally.count(&"aws.guardduty".into(), 4));
        tally.events += 2;
        tally.count_filtered(&"no_route".into());
        tally.broken.insert("empty_record".into(), 1);
        tally.complaints.insert("time_in_future", 3);
        events.delivered.add(3);
        events.dead_lettered.add(1);
        events.abandoned.add(1);
        lane.entries.add(10);
        lane.delivered.add(4);
        lane.dead_lettered.add(1);
        lane.abandoned.add(2);
        lane.measure(LaneState {
            window: 3,
            latency_ms: Some(250),
            reason: LaneReason::AwaitsAnswers,
            since_ms: Some(31_000),
            ..LaneState::default()
        });
        dead_letters.keeps(2);
        source.opened(&"stream".into());
        let shard = source.shard(&"shardId-\"0\\".into());
        shard.records.add(9);
        shard.measure(|state| (state.behind_ms, state.headroom_ms) = (Some(1_234), Some(-5)));
        let board = Board {
            started_ms: 1_000,
            sources: vec![("findings".into(), Arc::clone(&source))],
            lanes: vec![("soc".into(), Arc::clone(&lane))],
            sinks: own_meters(),
            events,
            tally: Arc::new(Mutex::new(tally)),
            dead_letters: Arc::clone(&dead_letters),
            budget: Budget::new(1 << 20),
            shutdown,
        };
        Self { board, lane, source, shard, dead_letters, stop }
    }

    fn status(&self) -> Status {
        self.board.status(61_000)
    }
}

/// A sink of each kind that measures something of its own, each number told apart from the others.
fn own_meters() -> Vec<(Arc<str>, SinkMeter)> {
    let (hec, elastic) = (SplunkHecMeter::default(), ElasticMeter::default());
    let (sumo, kafka) = (SumoMeter::default(), KafkaMeter::default());
    hec.possible_duplicates.add(11);
    elastic.failure_stored.add(12);
    sumo.complaints.add(13);
    sumo.cut_values.add(14);
    kafka.measure(KafkaState { brokers: 3, round_trip_p99_us: 1_002_003, ..KafkaState::default() });
    vec![
        ("soc".into(), SinkMeter::SplunkHec(hec.into())),
        ("search".into(), SinkMeter::Elastic(elastic.into())),
        ("logic".into(), SinkMeter::Sumo(sumo.into())),
        ("lake".into(), SinkMeter::Kafka(kafka.into())),
    ]
}

fn hindrance(code: &str) -> Hindrance {
    Hindrance { code: code.into(), words: format!("as <planned>: {code}"), since_ms: 31_000 }
}

/// Guards what a scraper gets: every metric, with its kind and meaning, and no other; labels as they are declared, escaped; and
/// every metric has a value when there is something to be told.
#[test]
fn metrics_are_all_told_and_no_other() {
    let rig = Rig::new();
    rig.lane.spill.measure(SpillState::default());
    let text = exposition(&rig.status());
    let mut kinds = Vec::new();
    let mut samples: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kinds.push(rest);
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(value.parse::<f64>().is_ok(), "{line}");
            samples.entry(name).or_default().push((labels.strip_suffix('}').unwrap(), value));
        }
    }
    let word = |metric: &Metric| if metric.kind() == Kind::Counter { "counter" } else { "gauge" };
    let expected: Vec<String> = Metric::ALL.iter().map(|m| format!("{} {}", m.name(), word(m))).collect();
    assert_eq!(kinds, expected);
    assert_eq!(text.lines().filter(|line| line.starts_with("# HELP ")).count(), Metric::ALL.len());
    for metric in Metric::ALL {
        let told = samples.remove(metric.name()).unwrap_or_else(|| panic!("{} has no value", metric.name()));
        for (labels, _) in told {
            let names: Vec<&str> = labels.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
            assert_eq!(names, metric.labels(), "{}", metric.name());
        }
    }
    assert_eq!(samples, BTreeMap::new(), "these are no metrics of ours");
    for line in [
        "siemline_lane_window{sink=\"soc\"} 3",
        "siemline_lane_latency_seconds{sink=\"soc\"} 0.250",
        "siemline_lane_standstill_seconds{sink=\"soc\",reason=\"awaits_answers\"} 30.000",
        "siemline_shard_behind_seconds{source=\"findings\",shard=\"shardId-\\\"0\\\\\"} 1.234",
        "siemline_shard_retention_headroom_seconds{source=\"findings\",shard=\"shardId-\\\"0\\\\\"} -0.005",
        "siemline_events_normalized_total{log_type=\"aws.guardduty\",severity_id=\"4\"} 7",
        "siemline_start_time_seconds 1.000",
        "siemline_splunk_hec_possible_duplicates_total{sink=\"soc\"} 11",
        "siemline_elastic_failure_stored_total{sink=\"search\"} 12",
        "siemline_sumo_complaints_total{sink=\"logic\"} 13",
        "siemline_sumo_cut_values_total{sink=\"logic\"} 14",
        "siemline_kafka_brokers{sink=\"lake\"} 3",
        "siemline_kafka_round_trip_seconds{sink=\"lake\"} 1.002003",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
}

/// Guards law 1 where people can check it: both sums hold.
#[test]
fn the_books_add_up() {
    let status = Rig::new().status();
    let events = &status.events;
    let ended = events.delivered + events.filtered + events.dead_lettered + events.abandoned;
    assert_eq!((events.read, events.filtered, events.in_flight), (9, 1, 3));
    assert_eq!(events.read, ended + events.in_flight);
    let lane = &status.lanes["soc"];
    assert_eq!(lane.in_flight, 3);
    assert_eq!(lane.entries, lane.delivered + lane.dead_lettered + lane.abandoned + lane.in_flight);
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status, "what is told can be read");
}

/// Guards when the process is not ready, and the words; and what is a worry only.
#[test]
fn readiness_has_reasons() {
    let rig = Rig::new();
    rig.shard.measure(|state| state.headroom_ms = Some(1));
    assert_eq!((rig.status().not_ready, rig.status().troubles), (Vec::<String>::new(), Vec::new()));

    rig.lane.fails(hindrance("http_503"));
    rig.shard.measure(|state| (state.reason, state.standstill_ms, state.is_still) = (Reason::Throttled, 90_000, true));
    let status = rig.status();
    assert!(status.is_ready, "a destination that is down, and one shard, stop nothing else");
    assert_eq!(
        status.troubles,
        [
            "shard shardId-\"0\\ of source `findings` stands still: throttled for 90 s",
            "sink `soc` accepts nothing and is tried again: http_503: as <planned>: http_503",
        ]
    );
    rig.shard.measure(|state| state.reason = Reason::WaitsForParent);
    assert_eq!(rig.status().troubles.len(), 1, "a child waits as it should");

    rig.lane.pauses(hindrance("http_401"));
    rig.dead_letters.fails(hindrance("store_failed"));
    rig.source.expect(&"other".into());
    rig.source.hinder(&"other".into(), Some("cannot list shards".into()));
    let status = rig.status();
    assert!(!status.is_ready);
    assert_eq!(
        status.not_ready,
        [
            "source `findings` is not open yet: other: cannot list shards",
            "dead letters cannot be kept, and reading stops: as <planned>: store_failed",
            "the lane of sink `soc` is paused: http_401: as <planned>: http_401",
        ]
    );
    rig.lane.works();
    rig.dead_letters.keeps(1);
    rig.dead_letters.store_fails(hindrance("s3_SlowDown"));
    let troubles = rig.status().troubles;
    let expected = "the store of dead letters takes none, the local file does: s3_SlowDown: as <planned>: s3_SlowDown";
    assert!(troubles.iter().any(|trouble| trouble == expected), "{troubles:?}");
    rig.dead_letters.store_works();
    rig.source.opened(&"other".into());
    let status = rig.status();
    assert!(status.is_ready);
    assert_eq!(status.troubles, ["source `findings`: other: cannot list shards"], "what is open is read on");
    rig.source.end(Err("gone".into()));
    assert_eq!(rig.status().not_ready, ["source `findings` has failed: gone"]);
    rig.source.end(Ok(()));
    assert!(rig.status().is_ready);
    rig.stop.stop();
    assert!(!rig.status().is_ready, "what drains takes nothing new on");
}

/// Guards the page: its colour, its words, and that no name or foreign word becomes markup.
#[test]
fn the_page_is_green_or_red() {
    let rig = Rig::new();
    rig.shard.measure(|state| state.headroom_ms = Some(1));
    let green = page(&rig.status());
    assert!(green.contains("<h1 class=\"green\">siemline: all is well</h1>"), "{green}");
    assert!(green.contains("read 9 = delivered 3 + spilled 0 + filtered 1 + dead-lettered 1 + in flight 3"), "{green}");
    assert!(green.contains("shardId-&quot;0\\"), "{green}");

    rig.lane.fails(hindrance("http_503"));
    assert!(page(&rig.status()).contains("<h1 class=\"red\">siemline: at work, and something is in the way</h1>"));
    rig.lane.pauses(hindrance("http_401"));
    let red = page(&rig.status());
    assert!(red.contains("<h1 class=\"red\">siemline: not ready</h1>"), "{red}");
    assert!(red.contains("paused: http_401: as &lt;planned&gt;: http_401"), "{red}");
    assert!(red.contains("(for 30 s)") && !red.contains("<planned>"), "{red}");
    assert!(!red.contains("src=") && !red.contains("http://") && !red.contains("https://"), "nothing from elsewhere");
}
