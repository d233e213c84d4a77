//! Tests of what is pure in a Firehose sink.

use serde_json::{Value, json};

use super::request::{RECORD_BYTES_MAX, push, records};
use super::response::{failure, judge};
use super::{Firehose, FirehoseOptions};
use crate::delivery::{Delivery, Disposition, Verdict, Verdicts};
use crate::sink::Format;
use crate::sink::sample::block;

fn options(more: &Value) -> FirehoseOptions {
    let mut options = json!({ "stream": "security" });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    serde_json::from_value(options).unwrap()
}

/// Guards that each event ends in one line break, in every form.
#[test]
fn events_end_in_a_line_break() {
    for (format, raw, expected) in [
        (Format::Ocsf, "", "{\"a\":1}\n"),
        (Format::Ecs, "", "{\"ecs\":1}\n"),
        (Format::Raw, "2 111122223333 eni-1", "2 111122223333 eni-1\n"),
        (Format::Raw, "{\"a\": 1}\n", "{\"a\": 1}\n"),
    ] {
        let block = block(r#"{"a":1}"#, raw.as_bytes());
        let mut out = Vec::new();
        push(format, block.event(0).unwrap(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// Guards how entries are shared out among records: one each, or packed in order up to the limit; what no record can hold is
/// left out, and parts the record around it.
#[test]
fn entries_become_records() {
    let (small, half, giant) = (vec![b's'; 10], vec![b'h'; 500_000], vec![b'g'; RECORD_BYTES_MAX + 1]);
    let whole = vec![b'w'; RECORD_BYTES_MAX];
    let frames = |names: &str| -> Vec<&[u8]> {
        let frame = |name| match name {
            's' => small.as_slice(),
            'h' => half.as_slice(),
            'w' => whole.as_slice(),
            _ => giant.as_slice(),
        };
        names.chars().map(frame).collect()
    };
    for (names, is_packed, expected) in [
        ("sss", false, &[(0, 1), (1, 2), (2, 3)][..]),
        ("sss", true, &[(0, 3)]),
        ("hhs", true, &[(0, 2), (2, 3)]),
        ("shh", true, &[(0, 2), (2, 3)]),
        ("sgs", true, &[(0, 1), (2, 3)]),
        ("gsg", false, &[(1, 2)]),
        ("sws", true, &[(0, 1), (1, 2), (2, 3)]),
        ("g", true, &[]),
        ("", true, &[]),
    ] {
        let frames = frames(names);
        let pieces = records(frames.iter().copied(), is_packed);
        let ranges: Vec<(usize, usize)> = pieces.iter().map(|piece| (piece.entries.start, piece.entries.end)).collect();
        assert_eq!(ranges, expected, "{names} {is_packed}");
        for piece in &pieces {
            assert_eq!(piece.data, frames[piece.entries.clone()], "{names}");
        }
    }
}

/// Guards that each record's outcome is the verdict on all its events, that what was not spoken of is sent again, and that what
/// no record can hold is refused.
#[test]
fn outcomes_become_verdicts() {
    let giant = vec![b'g'; RECORD_BYTES_MAX + 1];
    let frames: [&[u8]; 4] = [b"a\n", b"b\n", &giant, b"c\n"];
    let failed = || Err(("ServiceUnavailableException".to_owned(), "Slow down.".to_owned()));
    let kinds = |delivery: &Delivery| -> Vec<String> {
        let Verdicts::Each(verdicts) = &delivery.verdicts else { return vec!["all".to_owned()] };
        let kind = |verdict: &Verdict| match verdict {
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Retry(why) => format!("retry {}", why.code),
            Verdict::Refused(why) => format!("refused {}", why.code),
            Verdict::Duplicate => "duplicate".to_owned(),
        };
        verdicts.iter().map(kind).collect()
    };
    let unavailable = "retry ServiceUnavailableException";
    for (is_packed, outcomes, expected) in [
        (true, vec![failed(), Ok(())], vec![unavailable, unavailable, "refused too_large", "accepted"]),
        (true, vec![Ok(())], vec!["accepted", "accepted", "refused too_large", "retry no_outcome"]),
        (false, vec![Ok(()), failed(), Ok(())], vec!["accepted", unavailable, "refused too_large", "accepted"]),
    ] {
        let pieces = records(frames.into_iter(), is_packed);
        let delivery = judge(frames.len(), &pieces, &outcomes);
        assert_eq!(kinds(&delivery), expected);
        assert_eq!(delivery.slow_down.is_some(), outcomes.contains(&failed()));
    }
    let small = [&b"a\n"[..], b"b\n"];
    assert_eq!(judge(2, &records(small.into_iter(), true), &[Ok(())]), Delivery::accepted());
    assert_eq!(kinds(&judge(1, &[], &[])), ["refused too_large"]);
}

/// Guards what each failure of a call asks of the lane.
#[test]
fn failures_ask_for_something() {
    let retry = Disposition::Retry { after: None };
    for (status, code, disposition) in [
        (503, "ServiceUnavailableException", retry),
        (400, "ThrottlingException", retry),
        (400, "LimitExceededException", retry),
        (500, "InternalFailure", retry),
        (0, "", retry),
        (502, "", retry),
        (400, "ResourceNotFoundException", Disposition::Pause),
        (400, "AccessDeniedException", Disposition::Pause),
        (400, "InvalidKMSResourceException", Disposition::Pause),
        (400, "InvalidSourceException", Disposition::Pause),
        (400, "ExpiredTokenException", Disposition::Pause),
        (403, "", Disposition::Pause),
        (413, "", Disposition::Split),
        (400, "InvalidArgumentException", Disposition::Refuse),
        (400, "", Disposition::Refuse),
    ] {
        let error = failure(status, code, "words");
        assert_eq!(error.disposition, disposition, "{status} {code}");
        assert!(error.words.starts_with("words") && !error.code.is_empty(), "{error}");
        assert_eq!(
            error.words.len() > "words".len(),
            disposition == Disposition::Pause,
            "a pause names a remedy: {error}"
        );
    }
}

/// Guards name and region of a stream, and that the service's limits are told before they are met.
#[test]
fn options_are_held_against_the_limits() {
    let by_arn = options(&json!({ "stream": "arn:aws-us-gov:firehose:us-gov-west-1:111122223333:deliverystream/a.b" }));
    assert_eq!((by_arn.name(), by_arn.access().region), ("a.b", Some("us-gov-west-1")));
    assert!(by_arn.mistake().is_none());
    let by_name = options(&json!({ "region": "eu-west-1", "pack": true, "lane": { "batch_entries_max": 5000 } }));
    assert_eq!((by_name.name(), by_name.access().region), ("security", Some("eu-west-1")));
    assert!(by_name.mistake().is_none());
    for (more, option) in [
        (json!({ "stream": "" }), "stream"),
        (json!({ "stream": "arn:aws:kinesis:eu-west-1:111122223333:stream/s" }), "stream"),
        (json!({ "external_id": "x" }), "external_id"),
        (json!({ "lane": { "batch_entries_max": 501 } }), "lane.batch_entries_max"),
        (json!({ "lane": { "batch_bytes_max": "5MiB" } }), "lane.batch_bytes_max"),
    ] {
        let error = Firehose::new(&options(&more)).unwrap_err().to_string();
        assert!(error.starts_with(option), "{more}: {error}");
    }
}
