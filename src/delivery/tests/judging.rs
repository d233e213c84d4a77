//! What follows from an answer.

use std::time::Duration;

use crate::delivery::judge::{Asked, Fate, Fates, Judgement, Next, Streak, judge};
use crate::delivery::testing::error;
use crate::delivery::{
    DeadReason, Delivery, Disposition, Error, LaneDefaults, LaneOptions, LaneSettings, Reason, Verdict, Verdicts,
};

fn settings() -> LaneSettings {
    let options = LaneOptions { entry_retry_max: 2, refusals_in_a_row_max: 3, ..LaneOptions::default() };
    options.settings(LaneDefaults::default()).unwrap()
}

fn asked(entries: usize) -> Asked {
    Asked { entries, retries: 0, others_accepted: false, is_smaller_now: false }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer is a result, and the cases read like the failed ones")]
fn each(verdicts: &str) -> Result<Delivery, Error> {
    let verdict = |letter| match letter {
        'a' => Verdict::Accepted,
        'd' => Verdict::Duplicate,
        'r' => Verdict::retry("busy", "later"),
        'x' => Verdict::refused("x", "never"),
        'y' => Verdict::refused("y", "never"),
        'n' => Verdict::unspoken(),
        _ => unreachable!(),
    };
    Ok(Delivery { verdicts: Verdicts::Each(verdicts.chars().map(verdict).collect()), slow_down: None })
}

/// Spells fates as one letter each: `D`elivered, d`u`plicate, `A`gain, `B`uried.
fn spell(judgement: &Judgement, entries: usize) -> String {
    let letter = |fate: &Fate| match fate {
        Fate::Delivered => 'D',
        Fate::Duplicate => 'u',
        Fate::Again => 'A',
        Fate::Buried(..) => 'B',
    };
    match &judgement.fates {
        Fates::All(fate) => std::iter::repeat_n(letter(fate), entries).collect(),
        Fates::Each(fates) => fates.iter().map(letter).collect(),
    }
}

fn name(next: &Next) -> &'static str {
    match next {
        Next::Go => "go",
        Next::Rest => "rest",
        Next::Later { .. } => "later",
        Next::Wait { .. } => "wait",
        Next::Halves => "halves",
        Next::Smaller => "smaller",
        Next::Pause { .. } => "pause",
    }
}

/// Guards the rules for answers entry by entry: a missing verdict is "try again", at once and at nobody's fault where the
/// destination stopped at an entry; accepted neighbours make a refusal or the next retry the entry's own fault; nobody
/// accepted means that the destination is at fault.
#[test]
fn verdicts_lead_to_fates() {
    let retried = |others_accepted| Asked { retries: 2, others_accepted, ..asked(2) };
    for (asked, verdicts, fates, next) in [
        (asked(3), "aaa", "DDD", "go"),
        (asked(3), "ada", "DuD", "go"),
        (asked(3), "a", "DAA", "rest"),
        (asked(3), "x", "BAA", "rest"),
        (asked(3), "r", "AAA", "wait"),
        (asked(3), "ar", "DAA", "later"),
        (asked(3), "", "AAA", "wait"),
        (asked(2), "aaaaa", "DD", "go"),
        (asked(3), "arx", "DAB", "later"),
        (asked(3), "rrr", "AAA", "wait"),
        (asked(2), "rx", "AB", "wait"),
        (asked(5), "xxxxx", "BBBAA", "pause"),
        (asked(5), "xxxyy", "BBBBB", "go"),
        (asked(6), "xxxrxx", "BBBAAA", "pause"),
        (asked(6), "xxxxxa", "BBBBBD", "go"),
        (retried(false), "ra", "BD", "go"),
        (retried(true), "rr", "BB", "go"),
        (retried(false), "rr", "AA", "wait"),
        (retried(true), "", "BB", "go"),
        (retried(true), "a", "DA", "rest"),
        (retried(true), "x", "BA", "rest"),
        (asked(4), "nnxn", "AABA", "rest"),
        (asked(2), "nn", "AA", "wait"),
        (retried(true), "nx", "AB", "rest"),
        (retried(true), "nn", "BB", "go"),
    ] {
        let judgement = judge(asked, each(verdicts), &mut Streak::default(), &settings());
        assert_eq!((&*spell(&judgement, asked.entries), name(&judgement.next)), (fates, next), "{asked:?} {verdicts}");
    }
}

/// Guards the rules for requests that fail as a whole.
#[test]
fn failures_lead_to_fates() {
    let retry = Disposition::Retry { after: None };
    let worn = |entries, others_accepted| Asked { retries: 2, others_accepted, ..asked(entries) };
    for (asked, disposition, fates, next) in [
        (asked(2), retry, "AA", "wait"),
        (Asked { others_accepted: true, ..asked(2) }, retry, "AA", "later"),
        (worn(2, false), retry, "AA", "wait"),
        (worn(2, true), retry, "AA", "halves"),
        (worn(1, true), retry, "B", "go"),
        (asked(2), Disposition::Split, "AA", "halves"),
        (asked(1), Disposition::Split, "B", "go"),
        (Asked { is_smaller_now: true, ..asked(1) }, Disposition::Split, "A", "smaller"),
        (asked(2), Disposition::Refuse, "AA", "halves"),
        (asked(1), Disposition::Refuse, "B", "go"),
        (asked(2), Disposition::Pause, "AA", "pause"),
        (asked(1), Disposition::Pause, "A", "pause"),
    ] {
        let judgement = judge(asked, Err(error(disposition, "c")), &mut Streak::default(), &settings());
        assert_eq!(
            (&*spell(&judgement, asked.entries), name(&judgement.next)),
            (fates, next),
            "{asked:?} {disposition:?}"
        );
    }
}

/// Guards that what a destination said survives: the codes and words of the dead letters, the waits it asked for.
#[test]
fn words_and_waits_are_handed_on() {
    let judge_alone = |asked, answer| judge(asked, answer, &mut Streak::default(), &settings());
    let buried = |reason, code: &'static str, words: &str| {
        Fates::All(Fate::Buried(reason, Reason { code: code.into(), words: words.into() }))
    };
    let split = judge_alone(asked(1), Err(error(Disposition::Split, "http_413")));
    assert_eq!(split.fates, buried(DeadReason::TooLarge, "too_large", "as planned: http_413"));
    let refused = judge_alone(asked(1), Err(error(Disposition::Refuse, "http_400")));
    assert_eq!(refused.fates, buried(DeadReason::Refused, "http_400", "as planned: http_400"));
    let worn = Asked { retries: 2, others_accepted: true, ..asked(1) };
    let retried = judge_alone(worn, Err(error(Disposition::Retry { after: None }, "http_500")));
    let words = "http_500: as planned: http_500";
    assert_eq!(retried.fates, buried(DeadReason::EntryRetryMax, "entry_retry_max", words));

    let after = Some(Duration::from_secs(7));
    let waits = judge_alone(asked(1), Err(error(Disposition::Retry { after }, "http_429")));
    assert!(matches!(waits.next, Next::Wait { after: asked, .. } if asked == after));
    let slow = Delivery { slow_down: after, ..Delivery::accepted() };
    assert_eq!(judge_alone(asked(1), Ok(slow)).slow_down, after);
}

/// Guards the streak over several answers: single refusals add up, an accepted entry or another code ends it, and a full
/// streak keeps what comes, alone or in company.
#[test]
fn refusals_in_a_row_are_counted_over_answers() {
    let mut streak = Streak::default();
    let mut tell = |entries, answer| {
        let judgement = judge(asked(entries), answer, &mut streak, &settings());
        (spell(&judgement, entries), name(&judgement.next))
    };
    let refuse = || Err(error(Disposition::Refuse, "x"));
    assert_eq!(tell(1, refuse()), ("B".into(), "go"));
    assert_eq!(tell(1, each("x")), ("B".into(), "go"));
    assert_eq!(tell(1, Ok(Delivery::accepted())), ("D".into(), "go"));
    assert_eq!(tell(3, each("xxx")), ("BBB".into(), "go"));
    assert_eq!(tell(1, refuse()), ("A".into(), "pause"));
    assert_eq!(tell(4, refuse()), ("AAAA".into(), "pause"), "no use in halving it");
    assert_eq!(tell(1, Err(error(Disposition::Retry { after: None }, "http_503"))), ("A".into(), "wait"));
    assert_eq!(tell(1, each("x")), ("A".into(), "pause"), "a failure between changes nothing");
    assert_eq!(tell(1, each("y")), ("B".into(), "go"), "another code is another matter");
    assert_eq!(tell(4, refuse()), ("AAAA".into(), "halves"));
}
