//! Options, schedule, ledger, batches and the line of a dead letter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ack::Outcome;
use crate::budget::Budget;
use crate::delivery::testing::block;
use crate::delivery::{
    Batch, Block, DeadLetter, DeadReason, LaneDefaults, LaneOptions, Ledger, OptionsError, Original, RETRY_AFTER_MAX,
    Schedule, What,
};
use crate::unit::{Size, Span};

/// Guards that options are read strictly, and that what is left out is the sink's or the lane's default.
#[test]
fn options_become_settings() {
    let defaults = LaneDefaults { batch_entries_max: 7, ..LaneDefaults::default() };
    let options: LaneOptions = toml::from_str("batch_bytes_max = \"900kB\"\nretry_max = \"2m\"").unwrap();
    assert_eq!(
        options,
        LaneOptions { batch_bytes_max: Some(Size(900_000)), retry_max: Span::seconds(120), ..LaneOptions::default() }
    );
    let settings = options.settings(defaults).unwrap();
    assert_eq!((settings.batch_entries_max.get(), settings.batch_bytes_max.get()), (7, 900_000));
    assert_eq!(settings.retry_first, Duration::from_secs(1));
    assert!(toml::from_str::<LaneOptions>("batch_size = 3").is_err());
    assert!(toml::from_str::<LaneOptions>("retry_max = 60").is_err(), "a number without a unit");
    assert_eq!(toml::from_str::<LaneOptions>(&toml::to_string(&options).unwrap()).unwrap(), options);
}

/// Guards that settings under which a lane would stand still cannot be made.
#[test]
fn impossible_options_are_refused() {
    let error = |text: &str| {
        let options: LaneOptions = toml::from_str(text).unwrap();
        options.settings(LaneDefaults::default()).unwrap_err()
    };
    for name in ["batch_entries_max", "requests_in_flight_max", "requests_per_second_max", "refusals_in_a_row_max"] {
        assert_eq!(error(&format!("{name} = 0")), OptionsError::Zero(name));
    }
    for name in ["request_timeout", "retry_first", "pause_probe", "stalled_after"] {
        assert_eq!(error(&format!("{name} = \"0s\"")), OptionsError::Zero(name));
    }
    for name in ["batch_bytes_max", "event_bytes_max", "bytes_per_second_max"] {
        assert_eq!(error(&format!("{name} = \"0B\"")), OptionsError::Zero(name));
    }
    assert_eq!(error("retry_first = \"2m\"").to_string(), "`retry_first` (2m) is longer than `retry_max` (1m)");
}

/// Guards the schedule: each wait is drawn evenly below a ceiling that doubles up to the longest, the same from the same
/// seed, and from the beginning after a success.
#[test]
fn waits_double_up_to_the_longest_with_full_jitter() {
    let schedule = |seed| Schedule::new(Duration::from_secs(1), Duration::from_mins(1), seed, Instant::now());
    let ceilings = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(Duration::from_secs);
    let mut sums = [Duration::ZERO; 9];
    let rounds: u32 = 2000;
    for seed in 0..u64::from(rounds) {
        let mut schedule = schedule(seed);
        for (sum, ceiling) in sums.iter_mut().zip(ceilings) {
            let wait = schedule.next(None);
            assert!(wait <= ceiling, "seed {seed}: {wait:?} of {ceiling:?}");
            *sum += wait;
        }
        schedule.reset();
        assert!(schedule.next(None) <= ceilings[0]);
        assert!(schedule.fork().next(None) <= ceilings[0]);
    }
    for (sum, ceiling) in sums.into_iter().zip(ceilings) {
        let mean = (sum / rounds).div_duration_f64(ceiling);
        assert!((0.47..0.53).contains(&mean), "full jitter has its mean in the middle of {ceiling:?}: {mean}");
    }
    let waits = |mut schedule: Schedule| std::array::from_fn::<_, 9, _>(|_| schedule.next(None));
    assert_eq!(waits(schedule(7)), waits(schedule(7)));
    assert_ne!(waits(schedule(7)), waits(schedule(8)));
}

/// Guards Retry-After: the longer of both, within a bound.
#[test]
fn what_the_destination_asks_for_is_honoured_within_a_bound() {
    let mut schedule = Schedule::new(Duration::from_millis(1), Duration::from_millis(2), 1, Instant::now());
    assert_eq!(schedule.next(Some(Duration::from_secs(5))), Duration::from_secs(5));
    assert_eq!(schedule.next(Some(Duration::from_hours(24))), RETRY_AFTER_MAX);
    assert!(schedule.next(Some(Duration::ZERO)) <= Duration::from_millis(2));
}

/// Guards that an event ends once, when its last lane has spoken, as badly as its worst lane says.
#[test]
fn the_last_lane_gets_the_worst_word() {
    let ledger = Ledger::new([1, 2, 3]);
    assert_eq!(ledger.settle(0, Outcome::Delivered), Some(Outcome::Delivered));
    assert_eq!(ledger.settle(1, Outcome::DeadLettered), None);
    assert_eq!(ledger.settle(1, Outcome::Delivered), Some(Outcome::DeadLettered));
    assert_eq!(ledger.settle(2, Outcome::Abandoned), None);
    assert_eq!(ledger.settle(2, Outcome::DeadLettered), None);
    assert_eq!(ledger.settle(2, Outcome::Delivered), Some(Outcome::Abandoned));
    assert_eq!(ledger.settle(3, Outcome::Delivered), None, "no such row");
}

/// Guards that a part of a batch is the same frames, back to back.
#[test]
fn a_batch_is_sliced_by_frames() {
    let batch = Batch::of_frames([&b"one\n"[..], b"", b"three\n", b"four\n"]);
    let part = batch.slice(|number| number != 2);
    assert_eq!(part.body(), b"one\nfour\n");
    assert_eq!(part.frames().collect::<Vec<_>>(), [&b"one\n"[..], b"", b"four\n"]);
    let mut batch = part;
    batch.pop();
    assert_eq!((batch.body(), batch.len()), (&b"one\n"[..], 2));
    assert!(batch.slice(|_| false).is_empty());
}

fn letter(block: &Arc<Block>, what: What) -> DeadLetter {
    DeadLetter {
        block: Arc::clone(block),
        what,
        reason: DeadReason::Refused,
        code: "mapper_parsing_exception".into(),
        words: "failed to parse field [a\"b]".into(),
        sink: Some("elastic.soc".into()),
        attempts: 2,
        first_ms: 1_700_000_000_000,
        last_ms: 1_700_000_001_500,
    }
}

fn line(letter: &DeadLetter, original: &Original<'_>) -> String {
    let mut out = b"before\n".to_vec();
    letter.write_line(original, &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before\n").unwrap().to_owned()
}

/// Guards the format that people and `replay` read: every key, its order, and the spelling of times.
#[test]
fn a_dead_letter_is_one_line_with_everything() {
    let block = block("shardId-000000000003", &[41, 42], &[1, 1], Budget::new(10).charge(0));
    let envelope = [("account", "111122223333"), ("log_group", "a\"b")].into();
    let event = Original::Event { body: b"{\"n\": 42}", is_text: true, envelope };
    assert_eq!(
        line(&letter(&block, What::Row(1)), &event),
        concat!(
            r#"{"v":2,"what":"event","reason":"refused","code":"mapper_parsing_exception","words":"failed to parse field [a\"b]","#,
            r#""sink":"elastic.soc","source":"memory","shard":"shardId-000000000003","sequence":"42","sub_sequence":0,"#,
            r#""event_index":0,"log_type":"test.numbered","attempts":2,"first_time":"2023-11-14T22:13:20.000Z","#,
            r#""last_time":"2023-11-14T22:13:21.500Z","is_text":true,"#,
            r#""envelope":{"account":"111122223333","log_group":"a\"b"},"original":"{\"n\": 42}"}"#,
            "\n"
        )
    );
}

/// Guards that bytes which are no text survive, and that a piece or a whole record names its place without a row.
#[test]
fn a_dead_letter_keeps_any_bytes() {
    let block = block("s", &[41, 42], &[1, 1], Budget::new(10).charge(0));
    let broken = DeadLetter { sink: None, reason: DeadReason::Broken, ..letter(&block, What::Record(1)) };
    let value: serde_json::Value = serde_json::from_str(&line(&broken, &Original::Record(b"\xff\x00\n"))).unwrap();
    assert_eq!(value["original_base64"], "/wAK");
    assert_eq!(value["sequence"], "42");
    for key in ["original", "sink", "event_index", "log_type"] {
        assert_eq!(value.get(key), None, "{key}");
    }
    let piece = letter(&block, What::Piece { record: 0, index: 9 });
    let value: serde_json::Value =
        serde_json::from_str(&line(&piece, &Original::Piece("zwei\nZeilen".as_bytes()))).unwrap();
    assert_eq!((&value["original"], &value["event_index"]), (&"zwei\nZeilen".into(), &9.into()));
    assert_eq!(line(&piece, &Original::Piece(b"a\nb")).matches('\n').count(), 1, "one line, whatever is in it");
}
