//! Guards what comes out of the pipe when its reader is slow, or gone.

use tokio::io::{AsyncReadExt as _, duplex};

use super::{StdoutOptions, StdoutSink};
use crate::delivery::{Batch, Disposition, Sink};
use crate::sink::sample::block;

fn batch(sink: &impl Sink, ocsf: &str) -> Batch {
    let mut batch = Batch::default();
    batch.push(|out| sink.encode(block(ocsf, b"").event(0).unwrap(), out));
    batch
}

/// Guards that a line which was torn, since its batch was given up while nobody read, does not run into the next one; and
/// that a batch which was written whole, and given up, is followed by no empty line.
#[tokio::test]
async fn a_torn_line_ends_before_the_next() {
    for (room, expected) in
        [(10, "{\"n\":\"firs\n{\"n\":\"second\"}\n"), (14, "{\"n\":\"first\"}\n{\"n\":\"second\"}\n")]
    {
        let (near, mut far) = duplex(room);
        let sink = StdoutSink::onto(&StdoutOptions::default(), near);
        let (first, second) = (batch(&sink, r#"{"n":"first"}"#), batch(&sink, r#"{"n":"second"}"#));
        // Once it is polled it has written what there is room for.
        let given_up = futures_util::poll!(Box::pin(sink.send(&first)));
        assert_eq!(given_up.is_pending(), room < first.body().len());
        let text = async {
            let mut text = String::new();
            far.read_to_string(&mut text).await.unwrap();
            text
        };
        let sending = async {
            sink.send(&second).await.unwrap();
            drop(sink);
        };
        assert_eq!(tokio::join!(sending, text).1, expected);
    }
}

/// Guards that a pipe nobody holds any more keeps its events, and says what to look at.
#[tokio::test]
async fn a_pipe_without_a_reader_pauses() {
    let (near, far) = duplex(10);
    drop(far);
    let sink = StdoutSink::onto(&StdoutOptions::default(), near);
    let error = sink.send(&batch(&sink, "{}")).await.unwrap_err();
    assert_eq!((error.disposition, error.code.as_ref()), (Disposition::Pause, "stdout"));
    assert!(error.words.contains("see to what reads it"), "{error}");
}
