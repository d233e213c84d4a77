//! What a lane says of itself when it does not move.

use std::time::Duration;

use tokio::time::sleep;

use crate::delivery::testing::error;
use crate::delivery::tests::lanes::{Rig, accept, at_once, each, options};
use crate::delivery::{Delivery, Disposition, LaneOptions, Verdict};
use crate::metric::LaneReason;
use crate::unit::{Size, Span};

/// The wall clock of the lanes here stands still: what began so long ago is told as that long before it.
const NOW_MS: i64 = 1_700_000_000_000;

fn stalling() -> LaneOptions {
    LaneOptions { stalled_after: Span::seconds(20), request_timeout: Some(Span::hours(1)), ..options() }
}

/// What the lane tells after so many seconds: why, the code, since how many seconds, whether it is stalled.
async fn told_after(rig: &Rig, seconds: u64) -> (LaneReason, String, Option<i64>, bool) {
    sleep(Duration::from_secs(seconds)).await;
    let state = rig.meter.state();
    let since_s = state.since_ms.map(|since_ms| (NOW_MS - since_ms) / 1000);
    (state.reason, state.code.into_owned(), since_s, state.is_stalled)
}

/// Guards that a lane with nothing to do, and one that gets on, are not stalled, however long that is.
#[tokio::test(start_paused = true)]
async fn a_lane_that_moves_or_rests_is_not_stalled() {
    let rig = Rig::new(&stalling(), |_, _| (Duration::from_secs(15), Ok(Delivery::accepted())));
    for number in 0..5 {
        rig.put([number]).await;
        assert_eq!(told_after(&rig, 19).await, (LaneReason::Moving, String::new(), None, false));
    }
    assert_eq!(told_after(&rig, 36_000).await, (LaneReason::Moving, String::new(), None, false));
    rig.put([5]).await;
    assert_eq!(told_after(&rig, 2).await, (LaneReason::Moving, String::new(), None, false));
    let state = rig.meter.state();
    assert_eq!((state.in_flight, state.window, state.latency_ms), (1, 2, Some(15_000)));
    assert_eq!(rig.drain().await.meter.stalls.get(), 0);
}

/// Guards the reasons: a destination that does not answer, one that accepts nothing, one that refuses the credentials, one
/// that asks to wait, an entry that comes back again and again, and dead letters that cannot be kept.
#[tokio::test(start_paused = true)]
async fn a_lane_that_stands_still_says_why() {
    let rig = Rig::new(&stalling(), |_, _| (Duration::from_mins(30), Ok(Delivery::accepted())));
    rig.put([1]).await;
    assert_eq!(told_after(&rig, 10).await.0, LaneReason::Moving);
    // The lane looks when a time has come, and the first was when it stalled.
    assert_eq!(told_after(&rig, 11).await, (LaneReason::AwaitsAnswers, String::new(), Some(20), true));
    assert_eq!(rig.meter.stalls.get(), 1);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(told_after(&rig, 0).await, (LaneReason::Moving, String::new(), None, false));

    let rig = Rig::new(&stalling(), |_, _| at_once(Err(error(Disposition::Retry { after: None }, "http_503"))));
    rig.put([1]).await;
    let (reason, code, _, is_stalled) = told_after(&rig, 2).await;
    assert_eq!((reason, &*code, is_stalled), (LaneReason::Failing, "http_503", false));
    assert!(told_after(&rig, 100).await.3);

    let rig = Rig::new(&stalling(), |_, _| at_once(Err(error(Disposition::Pause, "http_403"))));
    rig.put([1]).await;
    assert_eq!(told_after(&rig, 2).await, (LaneReason::Paused, "http_403".into(), Some(0), false));
    assert_eq!(told_after(&rig, 30).await.0, LaneReason::Paused);

    let slow_down = Some(Duration::from_mins(5));
    let rig = Rig::new(&stalling(), move |_, _| at_once(Ok(Delivery { slow_down, ..Delivery::accepted() })));
    rig.put([1]).await;
    sleep(Duration::from_secs(5)).await;
    rig.put([2]).await;
    let (reason, _, _, is_stalled) = told_after(&rig, 5).await;
    assert_eq!((reason, is_stalled), (LaneReason::AskedToWait, false));
    assert!(told_after(&rig, 60).await.3);

    let rig = Rig::new(
        &LaneOptions { retry_first: Span::hours(2), retry_max: Span::hours(2), ..stalling() },
        |_, numbers| {
            each(numbers, |number| if number == 1 { Verdict::retry("busy", "later") } else { Verdict::Accepted })
        },
    );
    rig.put([1, 2]).await;
    assert_eq!(told_after(&rig, 3).await.0, LaneReason::Moving);
    let (reason, _, _, is_stalled) = told_after(&rig, 30).await;
    assert_eq!((reason, is_stalled), (LaneReason::Retrying, true));

    let rig = Rig::burying(&stalling(), Duration::from_hours(1000), |_, numbers| {
        each(numbers, |_| Verdict::refused("x", "never"))
    });
    rig.put([1]).await;
    let (reason, _, _, is_stalled) = told_after(&rig, 60).await;
    assert_eq!((reason, is_stalled), (LaneReason::DeadLettersStuck, true));
}

/// Guards the configured rates over a whole lane: requests and bytes are spread, those that are sent again among them.
#[tokio::test(start_paused = true)]
async fn configured_rates_are_kept() {
    let few = LaneOptions { requests_per_second_max: Some(2), batch_entries_max: Some(1), ..options() };
    let rig = Rig::new(&few, |before, _| {
        if before == 3 {
            at_once(Ok(Delivery { verdicts: crate::delivery::Verdicts::Each(Vec::new()), slow_down: None }))
        } else {
            accept()
        }
    });
    rig.put(0..20).await;
    let ended = rig.drain().await;
    assert_eq!(ended.requests.len(), 21);
    let last = ended.requests.last().unwrap().0.as_secs_f64();
    assert!((9.5..11.5).contains(&last), "{last}");

    // Frames of 7 bytes, in batches of two.
    let thin = LaneOptions {
        bytes_per_second_max: Some(Size(14)),
        batch_entries_max: Some(2),
        requests_in_flight_max: Some(9),
        ..options()
    };
    let rig = Rig::new(&thin, |_, _| accept());
    rig.put(0..10).await;
    rig.put(0..10).await;
    let ended = rig.drain().await;
    let times: Vec<f64> = ended.requests.iter().map(|(time, _)| time.as_secs_f64()).collect();
    assert_eq!(times.len(), 10);
    assert!(times.iter().zip(0..10).all(|(time, second)| (time - f64::from(second)).abs() < 0.1), "{times:?}");
}
