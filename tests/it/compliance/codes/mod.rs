//! Every code and status that a destination is documented to answer, spoken by its fake over a socket: what is made of it, the
//! remedy where a person has to apply one, and that the event is there in the end, as often as it was taken.

mod aws;
mod elastic;
mod splunk_hec;
mod sumo;

use serde_json::Value;
use siemline::delivery::{Delivery, Disposition, Error, Reason, Sink as _, Verdict, Verdicts};

use super::web::Kind;
use crate::events::{batch, uid};
use crate::fakes::plan::{Fault, Plan};

/// What is made of an answer to one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It is delivered.
    Delivered,
    /// It is delivered, and the next batch waits a little.
    DeliveredSlower,
    /// It is delivered: the destination had it already.
    Duplicate,
    /// It is sent again after a while.
    SentAgain,
    /// The request is cut in halves; one event alone that is too large goes to the dead letters.
    Cut,
    /// It goes to the dead letters, unless it stands among others of which another one is at fault.
    Buried,
    /// The lane pauses, and asks now and then whether it was mended.
    Pauses,
}

/// An answer, and what is made of it.
struct Row {
    fault: Fault,
    made: Made,
    /// What the words have to tell: for a pause the remedy, which may not be empty.
    words: &'static str,
}

/// A row of an answer to a request of which nothing was taken.
fn refused(status: u16, body: impl Into<String>, made: Made, words: &'static str) -> Row {
    Row { fault: Fault::Reject { status, body: body.into(), retry_after_s: None }, made, words }
}

/// A row of an answer to a request which was taken.
fn taken(status: u16, body: impl Into<String>, made: Made, words: &'static str) -> Row {
    Row { fault: Fault::Lie { status, body: body.into() }, made, words }
}

/// What is made of what became of one event, its code and its words.
fn made(sent: Result<Delivery, Error>) -> (Made, String) {
    let told = |Reason { code, words }: Reason| format!("{code}: {words}");
    match sent {
        Ok(Delivery { verdicts: Verdicts::AllAccepted, slow_down: None }) => (Made::Delivered, String::new()),
        Ok(Delivery { verdicts: Verdicts::AllAccepted, .. }) => (Made::DeliveredSlower, String::new()),
        Ok(Delivery { verdicts: Verdicts::Each(verdicts), .. }) => match verdicts.into_iter().next().expect("one") {
            Verdict::Accepted => (Made::Delivered, String::new()),
            Verdict::Duplicate => (Made::Duplicate, String::new()),
            Verdict::Retry(why) => (Made::SentAgain, told(why)),
            Verdict::Refused(why) => (Made::Buried, told(why)),
        },
        Err(Error { disposition, code, words }) => {
            let made = match disposition {
                Disposition::Retry { .. } => Made::SentAgain,
                Disposition::Split => Made::Cut,
                Disposition::Refuse => Made::Buried,
                Disposition::Pause => Made::Pauses,
            };
            (made, format!("{code}: {words}"))
        }
    }
}

/// Sends one event to a destination that gives each of these answers once and is well then, and holds what is made of it.
async fn hold<K: Kind>(rows: Vec<Row>) {
    assert!(!rows.is_empty(), "a table has rows");
    for Row { fault, made: expected, words } in rows {
        let fake = K::start(Plan::script([fault.clone()])).await;
        let sink = K::sink(K::url(&fake)).await;
        let event = batch(&sink, 1);
        let (found, told) = made(sink.send(&event).await);
        assert_eq!(found, expected, "{}, {fault:?}: {told}", K::NAME);
        assert!(told.contains(words), "{}, {fault:?}: `{words}` is not in: {told}", K::NAME);
        assert!(expected != Made::Pauses || !words.is_empty(), "{}, {fault:?}: a pause names the remedy", K::NAME);
        let mut times = u32::from(matches!(fault, Fault::Lie { .. }));
        if !matches!(expected, Made::Delivered | Made::DeliveredSlower | Made::Duplicate) {
            let (found, told) = made(sink.send(&event).await);
            assert!(matches!(found, Made::Delivered | Made::Duplicate), "{}, after {fault:?}: {told}", K::NAME);
            times += 1;
        }
        assert_eq!(K::received(&fake).into_iter().collect::<Vec<_>>(), [(uid(0), times)], "{}, {fault:?}", K::NAME);
    }
}

/// The members `code` of the answers of these rows, in order and each once.
fn codes(rows: &[Row]) -> Vec<u64> {
    let mut codes: Vec<u64> = rows
        .iter()
        .filter_map(|row| match &row.fault {
            Fault::Reject { body, .. } | Fault::Lie { body, .. } => {
                serde_json::from_str::<Value>(body).ok()?["code"].as_u64()
            }
            _ => None,
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
