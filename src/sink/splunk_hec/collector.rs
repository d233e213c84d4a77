//! One endpoint: its addresses, and the wait for acknowledgements there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::channel::{Channel, Name, Pending, Told, WasLeft};
use super::response::judge_poll;
use crate::delivery::{Disposition, Error};
use crate::http::{Client, HeaderValue, Method, RequestBuilder, Url};

/// The header that names the channel.
const CHANNEL: &str = "x-splunk-request-channel";

/// After so many channels that were left in a row, with no acknowledgement between, it is no restart of an indexer: the
/// balancer is in the way, and a person has to mend it.
const LEFT_IN_A_ROW_MAX: u32 = 3;

/// One endpoint of HEC.
#[derive(Debug)]
pub(super) struct Collector {
    pub event: Url,
    pub raw: Url,
    pub health: Url,
    pub ack: Url,
    /// One for each token, in their order.
    pub lines: Vec<Line>,
    opened: OnceCell<()>,
}

/// What is sent to one endpoint with one token.
#[derive(Debug)]
pub(super) struct Line {
    pub authorization: HeaderValue,
    channel: Channel,
    /// Who has it asks for all: there is one question under way at a time, and nobody is needed for it but those who wait.
    turn: Semaphore,
    polls: Mutex<Polls>,
}

/// How the questions go.
#[derive(Debug)]
struct Polls {
    next: Instant,
    /// Why the last one told nothing.
    failure: Option<Error>,
}

/// How long and how often acknowledgements are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub timeout: Duration,
    pub interval: Duration,
}

impl Collector {
    /// The endpoint as it was written, with HEC's path or without, for these tokens.
    pub fn new(mut endpoint: Url, tokens: &[HeaderValue]) -> Self {
        let path = endpoint.path().trim_end_matches('/').to_owned();
        let base = path.strip_suffix("/1.0").unwrap_or(&path);
        let base = base.strip_suffix("/event").or_else(|| base.strip_suffix("/raw")).unwrap_or(base);
        let base = base.strip_suffix("/services/collector").unwrap_or(base);
        endpoint.set_path(&format!("{base}/services/collector"));
        let below = |segment| below(&endpoint, segment);
        Self {
            event: below("event"),
            raw: below("raw"),
            health: below("health"),
            ack: below("ack"),
            lines: tokens.iter().map(Line::new).collect(),
            opened: OnceCell::new(),
        }
    }

    /// Asks something small before the first batch that is to be acknowledged, so that a balancer's cookie is there before
    /// several batches go at once: they would come to several indexers.
    pub async fn open(&self, client: &Client) -> Result<(), Error> {
        let ask = || async { client.answer(client.question(Method::GET, &self.health)).await.map(|_health| ()) };
        self.opened.get_or_try_init(ask).await.copied()
    }

    /// Waits until Splunk says that a batch which was sent under this name is indexed. Dropping it midway is safe: another
    /// that waits goes on asking. If that was while an answer was under way, what it told is lost, and batches that it told
    /// of are sent again.
    ///
    /// # Errors
    ///
    /// Where Splunk does not say so in time, or nobody can say any more. The batch may be indexed all the same.
    pub async fn indexed(
        &self,
        line: &Line,
        client: &Client,
        name: Name,
        ack_id: u64,
        patience: Patience,
    ) -> Result<(), Error> {
        let mut pending = line.wait_for(name, ack_id, patience)?;
        let deadline = Instant::now() + patience.timeout;
        loop {
            let turn = async {
                let turn = line.turn.acquire().await;
                sleep_until(line.next_poll()).await;
                turn
            };
            tokio::select! {
                biased;
                told = &mut pending.told => {
                    return match told {
                        Ok(Told::Indexed) => Ok(()),
                        Ok(Told::Left) | Err(_) => Err(was_left(line.channel.left_in_a_row())),
                    };
                }
                () = sleep_until(deadline) => return Err(line.not_in_time(patience)),
                turn = turn => {
                    // To its end, whatever this batch's own deadline: others wait for what it tells.
                    self.poll(line, client, patience).await;
                    drop(turn);
                }
            }
        }
    }

    /// Asks about a channel without batches: is there acknowledgement for this token?
    pub async fn check_acknowledgement(&self, line: &Line, client: &Client) -> Result<(), Error> {
        let name = line.channel.name();
        judge_poll(&client.answer(self.question(line, client, &name, &[0])).await?).map(|_none| ())
    }

    async fn poll(&self, line: &Line, client: &Client, patience: Patience) {
        let (name, ids) = line.channel.question();
        let told = if ids.is_empty() {
            Ok(())
        } else {
            let answer = client.answer(self.question(line, client, &name, &ids)).await;
            // What was told is stored before anything else is done with it.
            answer.and_then(|answer| judge_poll(&answer)).map(|indexed| line.channel.tell(&name, &indexed))
        };
        line.note_poll(told, patience);
    }

    fn question(&self, line: &Line, client: &Client, name: &Name, ids: &[u64]) -> RequestBuilder {
        let request = client.question(Method::POST, &self.ack).header(CONTENT_TYPE, "application/json");
        line.named(request, name).body(json!({ "acks": ids }).to_string())
    }
}

impl Line {
    fn new(authorization: &HeaderValue) -> Self {
        Self {
            authorization: authorization.clone(),
            channel: Channel::new(),
            turn: Semaphore::new(1),
            polls: Mutex::new(Polls { next: Instant::now(), failure: None }),
        }
    }

    /// The channel that requests name.
    pub fn name(&self) -> Name {
        self.channel.name()
    }

    /// The request with token and channel.
    pub fn named(&self, request: RequestBuilder, name: &Name) -> RequestBuilder {
        request.header(AUTHORIZATION, self.authorization.clone()).header(CHANNEL, &*name.text)
    }

    fn wait_for(&self, name: Name, ack_id: u64, patience: Patience) -> Result<Pending<'_>, Error> {
        let is_first = self.channel.question().1.is_empty();
        let pending = self.channel.wait_for(name, ack_id).map_err(|WasLeft { in_a_row }| was_left(in_a_row))?;
        if is_first {
            // It has only just been taken: asking at once would tell nothing.
            let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
            polls.next = polls.next.max(Instant::now() + patience.interval);
            polls.failure = None;
        }
        Ok(pending)
    }

    fn next_poll(&self) -> Instant {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner).next
    }

    fn note_poll(&self, told: Result<(), Error>, patience: Patience) {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        polls.failure = told.err();
        let asked_for = match polls.failure {
            Some(Error { disposition: Disposition::Retry { after: Some(after) }, .. }) => after,
            _ => Duration::ZERO,
        };
        polls.next = Instant::now() + patience.interval.max(asked_for);
    }

    fn not_in_time(&self, patience: Patience) -> Error {
        let failure = self.polls.lock().unwrap_or_else(PoisonError::into_inner).failure.clone();
        let timeout = crate::unit::Span(patience.timeout);
        let words = format!("not acknowledged within {timeout} (`acknowledgement_timeout`): it may be indexed twice");
        match failure {
            None => Error { disposition: Disposition::Retry { after: None }, code: "not_acknowledged".into(), words },
            // Why nothing was told is what somebody may have to mend.
            Some(Error { disposition, code, words: why }) => {
                Error { disposition, code, words: format!("{words}; asked for it, {why}") }
            }
        }
    }
}

fn was_left(in_a_row: u32) -> Error {
    let words = "acknowledgements cannot be believed any more, because an id came twice: an indexer was restarted, or \
                 requests come to several";
    let (disposition, remedy) = if in_a_row < LEFT_IN_A_ROW_MAX {
        (Disposition::Retry { after: None }, "")
    } else {
        let remedy =
            "; give the balancer affinity by cookie or by the source's address, or write the indexers as `endpoints`";
        (Disposition::Pause, remedy)
    };
    Error { disposition, code: "channel_left".into(), words: format!("{words}{remedy}") }
}

fn below(collector: &Url, segment: &str) -> Url {
    let mut url = collector.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(segment);
    }
    url
}
