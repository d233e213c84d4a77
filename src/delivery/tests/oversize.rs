//! Events that are larger than what the destination takes.

use crate::delivery::tests::lanes::{Rig, accept, options};
use crate::delivery::{DeadReason, LaneOptions, Oversize};
use crate::unit::Size;

fn bulky(number: u64) -> String {
    let bulk = "x".repeat(60);
    match number {
        1 => format!("{{\"n\":1,\"raw_data\":\"{bulk}\",\"unmapped\":2}}"),
        2 => format!(
            "{{\"raw_data\":\"r\",\"resources\":[{{\"data\":\"{bulk}\",\"uid\":\"u\"}}],\"unmapped\":2,\"n\":2}}"
        ),
        3 => format!("{{\"n\":3,\"unmapped\":{{\"data\":\"{bulk}{bulk}\"}}}}"),
        4 => format!("{{\"n\":4,\"message\":\"{bulk}{bulk}\",\"raw_data\":\"r\"}}"),
        _ => format!("{{\"n\":{number}}}"),
    }
}

fn smaller(label: &str, rest: &str) -> String {
    format!("{{\"metadata\":{{\"labels\":[\"siemline.trimmed:{label}\"]}},{rest}}}")
}

/// Guards `event_bytes_max`: exact bytes of what goes, as little missing as possible; what cannot be made small enough is
/// never sent, and costs no neighbour; the meters tell both.
#[tokio::test(start_paused = true)]
async fn too_large_an_event_goes_without_its_bulk() {
    let limited = LaneOptions { event_bytes_max: Some(Size(110)), ..options() };
    let rig = Rig::new(&limited, |_, _| accept());
    rig.put_documents(0..6, bulky).await;
    let sink = rig.sink.clone();
    let dead = rig.dead.clone();
    let ended = rig.drain().await;
    assert_eq!(ended.sizes(), [5]);
    assert_eq!(
        *sink.frames.lock().unwrap(),
        [
            "{\"n\":0}".to_owned(),
            // It was 91 bytes already: within the bound nothing is touched.
            bulky(1),
            smaller("raw_data,data", "\"resources\":[{\"uid\":\"u\"}],\"unmapped\":2,\"n\":2"),
            smaller("unmapped", "\"n\":3"),
            "{\"n\":5}".to_owned(),
        ]
    );
    let letter = dead.letters.lock().unwrap()[0].clone();
    assert_eq!((letter.number, letter.reason, &*letter.code), (4, DeadReason::Oversize, "event_bytes_max"));
    assert_eq!((&*letter.words, letter.attempts), ("155 bytes, `event_bytes_max` is 110", 0));
    assert_eq!(
        (ended.meter.trimmed.get(), ended.meter.oversize.get(), ended.meter.delivered.get(), ended.dead.len()),
        (2, 1, 5, 1)
    );
}

/// Guards `oversize = "dead_letter"`: whole or not at all. A batch that holds nothing else is never sent.
#[tokio::test(start_paused = true)]
async fn too_large_an_event_is_buried_whole_where_that_is_wanted() {
    let limited = LaneOptions { event_bytes_max: Some(Size(80)), oversize: Oversize::DeadLetter, ..options() };
    let rig = Rig::new(&limited, |_, _| accept());
    rig.put_documents([1, 2], bulky).await;
    rig.put_documents([3, 5, 4], bulky).await;
    let ended = rig.drain().await;
    assert_eq!(ended.sizes(), [1]);
    assert_eq!(ended.dead, [1, 2, 3, 4].map(|number| (number, DeadReason::Oversize)));
    assert_eq!((ended.meter.trimmed.get(), ended.meter.oversize.get()), (0, 4));
}

/// Guards the destination's own word: one entry that is too large alone comes back smaller, and lies in the dead letters
/// where nothing more can go; without trimming it lies there at once.
#[tokio::test(start_paused = true)]
async fn what_the_destination_calls_too_large_is_made_smaller() {
    for (oversize, dead, trimmed) in [(Oversize::Trim, &[4][..], 2), (Oversize::DeadLetter, &[2, 3, 4], 0)] {
        let rig = Rig::narrow(&LaneOptions { oversize, ..options() }, 110);
        rig.put_documents(0..6, bulky).await;
        let sink = rig.sink.clone();
        let ended = rig.drain().await;
        assert_eq!(ended.dead, dead.iter().map(|number| (*number, DeadReason::TooLarge)).collect::<Vec<_>>());
        assert_eq!(ended.meter.delivered.get(), 6 - u64::try_from(dead.len()).unwrap());
        assert_eq!((ended.meter.trimmed.get(), ended.meter.oversize.get()), (trimmed, ended.meter.dead_lettered.get()));
        let mut accepted = sink.frames.lock().unwrap().clone();
        accepted.sort_unstable();
        let mut expected = vec![bulky(0), bulky(1), bulky(5)];
        if oversize == Oversize::Trim {
            expected.push(smaller("raw_data,data", "\"resources\":[{\"uid\":\"u\"}],\"unmapped\":2,\"n\":2"));
            expected.push(smaller("unmapped", "\"n\":3"));
        }
        expected.sort_unstable();
        assert_eq!(accepted, expected);
    }
}
