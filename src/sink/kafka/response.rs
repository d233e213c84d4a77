//! Delivery reports to verdicts. Pure.

use std::borrow::Cow;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::delivery::{Delivery, Disposition, Error, Verdict, Verdicts};

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// All replicas in sync have it.
    Accepted,
    /// librdkafka did not take it.
    NotTaken(Code),
    /// It was not delivered, as far as librdkafka knows.
    Failed(Code),
    /// Nothing was said. It may have been delivered.
    Missing,
}

/// What the client complained of apart from single messages, the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub code: Code,
    pub words: String,
}

/// Whether all events go to one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topics<'a> {
    /// A topic that cannot be written to is the destination's fault: nothing gets through.
    One,
    /// A topic that cannot be written to is the fault of the entries for it: the topic of each entry.
    Many(Vec<&'a str>),
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Send it again.
    Retry,
    /// The broker refused a batch of several because of one of them, and does not always say which.
    Culprit,
    /// The broker refused a batch as too large.
    Smaller,
    /// A topic that somebody has to mend.
    Topic(&'static str),
    /// Somebody has to mend something, with this remedy.
    Mend(&'static str),
}

impl Trouble {
    /// A complaint as librdkafka made it. It takes the connection for lost that a broker ended with an alert of TLS, mostly
    /// because of the client's certificate: that is for a person to mend.
    pub fn new(code: Code, words: String) -> Self {
        let is_alert = words.contains("SSL routines") && words.contains(" alert ") && !words.contains("internal error");
        Self { code: if is_alert { Code::SSL } else { code }, words }
    }

    /// Says whether this producer will deliver nothing any more, or not before somebody mends something.
    pub fn is_hopeless(&self) -> bool {
        self.code == Code::Fatal || self.mends().is_some()
    }

    /// The remedy, where a person has to apply it.
    fn mends(&self) -> Option<&'static str> {
        match asked(self.code) {
            Asked::Mend(remedy) => Some(remedy),
            _ => None,
        }
    }

    /// The failure of a request because of it.
    pub fn error(&self) -> Error {
        let (disposition, words) = match self.mends() {
            Some(remedy) => (Disposition::Pause, format!("{}: {remedy}", self.words)),
            None => (Disposition::Retry { after: None }, self.told()),
        };
        Error { disposition, code: name(self.code), words }
    }

    /// What it says, for people.
    pub fn told(&self) -> String {
        // A listener closes a connection without a word that does not speak as it does.
        let hint = if self.words.contains("APIVERSION_QUERY") {
            ": check `tls` and `sasl` against the listener of `brokers`"
        } else {
            ""
        };
        format!("{}{hint}", self.words)
    }
}

impl Topics<'_> {
    /// The topic of an entry, to stand before what is said of it; nothing where there is one only.
    fn named(&self, entry: usize) -> String {
        match self {
            Self::Many(names) => names.get(entry).map_or_else(String::new, |name| format!("topic `{name}`: ")),
            Self::One => String::new(),
        }
    }
}

/// What follows from the reports on a batch.
///
/// # Errors
///
/// When none was accepted, and what failed says the same of all: a person is needed, or the batch has to be cut.
pub(super) fn judge(reports: &[Report], trouble: Option<&Trouble>, topics: &Topics<'_>) -> Result<Delivery, Error> {
    let all_accepted = reports.iter().all(|report| *report == Report::Accepted);
    if all_accepted {
        return Ok(Delivery::accepted());
    }
    let is_single = |report: &Report| {
        *report == Report::Accepted || matches!(report, Report::NotTaken(code) if *code == Code::MessageSizeTooLarge)
    };
    if !reports.iter().any(is_single)
        && let Some(error) = judge_whole(reports, trouble, topics)
    {
        return Err(error);
    }
    let verdicts = reports.iter().enumerate().map(|(entry, report)| verdict(*report, trouble, &|| topics.named(entry)));
    let verdicts = verdicts.collect();
    Ok(Delivery { verdicts: Verdicts::Each(verdicts), slow_down: None })
}

/// The failure of a batch of which nothing was accepted: the one that asks for the most. None where the entries are to be
/// judged one by one all the same.
fn judge_whole(reports: &[Report], trouble: Option<&Trouble>, topics: &Topics<'_>) -> Option<Error> {
    if let Some(trouble) = trouble.filter(|trouble| trouble.is_hopeless()) {
        return Some(trouble.error());
    }
    let codes = || reports.iter().filter_map(|report| code(*report));
    let find = |wanted: fn(Asked) -> bool| codes().find(|code| wanted(asked(*code)));
    let error = |disposition, code: Code, words: String| Some(Error { disposition, code: name(code), words });
    if let Some(code) = find(|asked| matches!(asked, Asked::Mend(_)))
        && let Asked::Mend(remedy) = asked(code)
    {
        return error(Disposition::Pause, code, format!("{code}: {remedy}"));
    }
    if let Some(code) = find(|asked| matches!(asked, Asked::Topic(_)))
        && let Asked::Topic(remedy) = asked(code)
    {
        return match topics {
            Topics::One => error(Disposition::Pause, code, format!("{code}: {remedy}")),
            Topics::Many(_) => None,
        };
    }
    if let Some(code) = find(|asked| asked == Asked::Smaller) {
        return error(Disposition::Split, code, code.to_string());
    }
    if let Some(code) = find(|asked| asked == Asked::Culprit) {
        return error(Disposition::Refuse, code, code.to_string());
    }
    let first = codes().next().unwrap_or(Code::MessageTimedOut);
    error(Disposition::Retry { after: None }, first, words(first, trouble))
}

/// What follows for one entry, where others were accepted, or where it is the topic's fault and the topics are many.
fn verdict(report: Report, trouble: Option<&Trouble>, topic: &dyn Fn() -> String) -> Verdict {
    match report {
        Report::Accepted => Verdict::Accepted,
        // It is the message itself that librdkafka measures before it takes it.
        Report::NotTaken(code @ Code::MessageSizeTooLarge) => Verdict::refused("too_large", code.to_string()),
        Report::NotTaken(code) | Report::Failed(code) => match asked(code) {
            Asked::Topic(remedy) => Verdict::retry(name(code), format!("{}{code}: {remedy}", topic())),
            Asked::Mend(remedy) => Verdict::retry(name(code), format!("{code}: {remedy}")),
            // Sent again without those that were accepted, it shows itself.
            _ => Verdict::retry(name(code), words(code, trouble)),
        },
        Report::Missing => Verdict::retry("kafka_no_report", words(Code::MessageTimedOut, trouble)),
    }
}

fn code(report: Report) -> Option<Code> {
    match report {
        Report::NotTaken(code) | Report::Failed(code) => Some(code),
        Report::Accepted | Report::Missing => None,
    }
}

/// What a code asks for. Those that are not named pass: elections, lost connections, full queues, quotas, too few replicas
/// in sync.
fn asked(code: Code) -> Asked {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => Asked::Smaller,
        Code::InvalidRecord | Code::InvalidTimestamp | Code::PolicyViolation => Asked::Culprit,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            Asked::Topic("create the topic, or name another in `topic`")
        }
        Code::InvalidTopic => Asked::Topic("name another in `topic`"),
        Code::TopicAuthorizationFailed => Asked::Topic("allow `Write` and `Describe` on the topic"),
        Code::ClusterAuthorizationFailed => Asked::Mend(
            "allow `IdempotentWrite` on the cluster: brokers before 2.8 ask for it beside `Write` on the topic",
        ),
        Code::Authentication | Code::SaslAuthenticationFailed => Asked::Mend(
            "check the mechanism and the credentials under `sasl`, and that the listener of `brokers` asks for them",
        ),
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            Asked::Mend("name a `mechanism` under `sasl` that the listener of `brokers` speaks")
        }
        Code::SSL => Asked::Mend(
            "check `ca_file` under `tls`, the names in the brokers' certificates, and the client's own certificate",
        ),
        Code::UnsupportedFeature | Code::UnsupportedVersion | Code::InvalidRequiredAcks => {
            Asked::Mend("the brokers do not speak the protocol of idempotent producers: 0.11 and later do")
        }
        Code::UnsupportedCompressionType => Asked::Mend("name a `compression` that the brokers know"),
        _ => Asked::Retry,
    }
}

/// The words for a failure that passes: a message that timed out says nothing of why.
fn words(code: Code, trouble: Option<&Trouble>) -> String {
    trouble.map_or_else(|| code.to_string(), |trouble| format!("{code}; the client's last words: {}", trouble.told()))
}

/// A stable name: `kafka_` and librdkafka's in small letters.
pub(super) fn name(code: Code) -> Cow<'static, str> {
    let mut text = String::from("kafka");
    let mut was_small = true;
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && was_small {
            text.push('_');
        }
        was_small = !letter.is_ascii_uppercase();
        text.push(letter.to_ascii_lowercase());
    }
    text.into()
}

/// What the metadata say of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub topic: String,
    pub code: Option<Code>,
    pub partitions: usize,
    /// Partitions that no broker leads.
    pub leaderless: Vec<i32>,
}

/// Says whether a topic can be written to, as far as the metadata tell.
///
/// # Errors
///
/// With what is to be done.
pub(super) fn judge_topic(seen: &Seen) -> Result<(), Error> {
    let retry = Disposition::Retry { after: None };
    match seen.code {
        // The broker elects a leader, or has just made the topic.
        None | Some(Code::LeaderNotAvailable) if seen.partitions > 0 && seen.leaderless.is_empty() => Ok(()),
        None | Some(Code::LeaderNotAvailable) => {
            let partitions: Vec<String> = seen.leaderless.iter().map(i32::to_string).collect();
            let words = format!("topic `{}`: no broker leads its partitions {}", seen.topic, partitions.join(", "));
            Err(Error { disposition: retry, code: "kafka_no_leader".into(), words })
        }
        Some(code) => {
            let (disposition, words) = match asked(code) {
                Asked::Topic(remedy) | Asked::Mend(remedy) => (Disposition::Pause, format!("{code}: {remedy}")),
                _ => (retry, code.to_string()),
            };
            Err(Error { disposition, code: name(code), words: format!("topic `{}`: {words}", seen.topic) })
        }
    }
}
