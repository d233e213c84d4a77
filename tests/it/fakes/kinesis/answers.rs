//! What the service answers, operation by operation.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    BYTES_MAX, BYTES_PER_SECOND, CALLS_PER_SECOND, Call, ITERATOR_AGE_MAX, Iterator, RECORDS_MAX, STREAM, STREAM_ARN,
    State,
};
use crate::fakes::event_stream::EVENT_STREAM;
use crate::fakes::http::{Asked, Reply};
use crate::fakes::plan::{Fault, after, before};
use crate::fakes::stream::{Stored, StoredShard, Stream, is_sequence};

/// What the service answers a request it does not take: a code and a message.
struct Refusal(&'static str, String);

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into()))
}

pub(super) fn answer(state: &mut State, asked: &Asked) -> Reply {
    let operation = match envelope(asked) {
        Ok(operation) => operation.to_owned(),
        Err(words) => {
            state.violations.push(words.clone());
            return reply(Err(Refusal("UnknownOperationException", words)), &mut Call::of("?"));
        }
    };
    let mut call = Call::of(&operation);
    key(asked).clone_into(&mut call.key);
    if let Some((code, message)) = state.refused.get(&operation) {
        call.error = Some(code.clone());
        let refused = Reply::json(400, &json!({ "__type": code, "message": message }));
        state.calls.push(call);
        return refused;
    }
    let fault = state.plan.next();
    let reply = if let Some(refused) = before(fault.as_ref()) {
        call.error = Some(String::from("by plan"));
        refused
    } else {
        let honest = match operation.as_str() {
            "ListShards" => list_shards(state, asked),
            "GetShardIterator" => get_shard_iterator(state, asked, &mut call),
            "GetRecords" => get_records(state, asked, &mut call),
            "DescribeStreamSummary" => describe_stream_summary(state, asked),
            "RegisterStreamConsumer" | "DescribeStreamConsumer" => consumer(state, asked, &operation),
            _ => {
                let reply = subscribe_to_shard(state, asked, &mut call, fault.as_ref());
                state.calls.push(call);
                return reply;
            }
        };
        after(fault.as_ref(), reply(honest, &mut call))
    };
    state.calls.push(call);
    reply
}

impl Call {
    fn of(operation: &str) -> Self {
        let operation = operation.to_owned();
        Self { operation, shard: None, iterator_type: None, key: String::new(), error: None, records: 0 }
    }
}

/// The access key that signed a request.
fn key(asked: &Asked) -> &str {
    let authorization = asked.header("authorization").unwrap_or_default();
    authorization.split_once("Credential=").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
}

fn reply(result: Result<Value, Refusal>, call: &mut Call) -> Reply {
    match result {
        Ok(body) => Reply::json(200, &body),
        Err(Refusal(code, message)) => {
            call.error = Some(code.to_owned());
            Reply::json(400, &json!({ "__type": code, "message": message }))
        }
    }
}

/// The operation of a request that is signed and shaped as it must be.
fn envelope(asked: &Asked) -> Result<&str, String> {
    if (asked.method.as_str(), asked.path.as_str()) != ("POST", "/") {
        return Err(format!("{} {}", asked.method, asked.path));
    }
    if asked.header("content-type") != Some("application/x-amz-json-1.1") {
        return Err(format!("content-type {:?}", asked.header("content-type")));
    }
    let is_signed = asked.header("authorization").is_some_and(|value| {
        value.starts_with("AWS4-HMAC-SHA256 Credential=") && value.contains("/kinesis/aws4_request")
    });
    if !is_signed || asked.header("x-amz-date").is_none() {
        return Err(format!("authorization {:?}", asked.header("authorization")));
    }
    if !asked.is_http2 && asked.header("x-amz-target") == Some("Kinesis_20131202.SubscribeToShard") {
        return Err("SubscribeToShard needs HTTP/2".to_owned());
    }
    let operation = asked.header("x-amz-target").and_then(|target| target.strip_prefix("Kinesis_20131202."));
    match operation {
        Some(
            operation @ ("ListShards"
            | "GetShardIterator"
            | "GetRecords"
            | "DescribeStreamSummary"
            | "RegisterStreamConsumer"
            | "DescribeStreamConsumer"
            | "SubscribeToShard"),
        ) => Ok(operation),
        _ => Err(format!("x-amz-target {:?}", asked.header("x-amz-target"))),
    }
}

/// The members of a request. A member that the service does not know, or that siemline has no reason to send, is refused.
fn members<T: DeserializeOwned>(state: &mut State, asked: &Asked) -> Result<T, Refusal> {
    serde_json::from_slice(&asked.body).map_err(|error| violated(state, "SerializationException", error.to_string()))
}

fn violated(state: &mut State, code: &'static str, words: String) -> Refusal {
    state.violations.push(words.clone());
    Refusal(code, words)
}

/// The stream, by its name or its ARN.
fn named<'a>(state: &'a mut State, name: Option<&str>, arn: Option<&str>) -> Result<&'a mut Stream, Refusal> {
    let known = match (name, arn) {
        (Some(name), None) => name == STREAM,
        (None, Some(arn)) => arn == STREAM_ARN,
        _ => {
            let words = "exactly one of StreamName and StreamARN names the stream".to_owned();
            return Err(violated(state, "InvalidArgumentException", words));
        }
    };
    match state.stream.as_mut().filter(|_| known) {
        Some(stream) => Ok(stream),
        None => refuse("ResourceNotFoundException", format!("Stream {name:?} under account 111122223333 not found.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ListShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

fn list_shards(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: ListShards = members(state, asked)?;
    let results_max = asked.max_results.unwrap_or(1000);
    if !(1..=10_000).contains(&results_max) {
        return Err(violated(state, "InvalidArgumentException", format!("MaxResults {results_max}")));
    }
    let from = match &asked.next_token {
        Some(_) if asked.stream_name.is_some() || asked.stream_arn.is_some() => {
            let words = "NextToken and StreamName cannot be provided together.".to_owned();
            return Err(violated(state, "InvalidArgumentException", words));
        }
        Some(token) => match state.pages.get(token) {
            Some(from) => *from,
            None => return Err(violated(state, "InvalidArgumentException", format!("NextToken {token}"))),
        },
        None => {
            named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?;
            0
        }
    };
    let Some(stream) = &state.stream else {
        return refuse("ResourceNotFoundException", "Stream not found.");
    };
    let to = (from + results_max.min(1000).min(state.page_shards_max)).min(stream.shards.len());
    let mut page = json!({ "Shards": stream.shards[from..to].iter().map(listed).collect::<Vec<_>>() });
    if to < stream.shards.len() {
        let token = token(&mut state.tokens);
        page["NextToken"] = json!(token);
        state.pages.insert(token, to);
    }
    Ok(page)
}

fn listed(shard: &StoredShard) -> Value {
    let mut listed = json!({
        "ShardId": shard.id,
        "HashKeyRange": hash_key_range(shard),
        "SequenceNumberRange": { "StartingSequenceNumber": shard.starting_sequence },
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        listed[*member] = json!(parent);
    }
    if let Some(ending) = &shard.ending_sequence {
        listed["SequenceNumberRange"]["EndingSequenceNumber"] = json!(ending);
    }
    listed
}

fn hash_key_range(shard: &StoredShard) -> Value {
    let (first, last) = shard.hash_keys;
    json!({ "StartingHashKey": first.to_string(), "EndingHashKey": last.to_string() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

fn get_shard_iterator(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: GetShardIterator = members(state, asked)?;
    named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?;
    let place = (asked.shard_iterator_type.as_str(), asked.starting_sequence_number.as_deref(), asked.timestamp);
    let (behind, from_ms) = place_in_shard(state, &asked.shard_id, place, call)?;
    take_turn(state, call)?;
    let iterator = Iterator { shard: asked.shard_id, behind, from_ms, made: Instant::now(), is_expired: false };
    Ok(json!({ "ShardIterator": hand_out(state, iterator) }))
}

/// Where a reading begins: records behind a number, or those that arrived then or later.
fn place_in_shard(
    state: &mut State,
    shard: &str,
    (kind, sequence, timestamp): (&str, Option<&str>, Option<f64>),
    call: &mut Call,
) -> Result<(String, i64), Refusal> {
    call.iterator_type = Some(kind.to_owned());
    let stream = state.stream.as_ref().expect("looked up by the caller");
    let Some(shard) = stream.shard(shard) else {
        return refuse("ResourceNotFoundException", format!("Shard {shard} in stream not found"));
    };
    call.shard = Some(shard.id.clone());
    let behind = shard.starting_sequence.clone();
    match (kind, sequence, timestamp) {
        ("TRIM_HORIZON", None, None) => Ok((behind, i64::MIN)),
        ("LATEST", None, None) => Ok((shard.records.last().map_or(behind, |record| record.sequence.clone()), i64::MIN)),
        ("AT_TIMESTAMP", None, Some(seconds)) => {
            let micros = Duration::from_secs_f64(seconds).as_micros();
            let from_ms = i64::try_from((micros + 500) / 1000).unwrap();
            if from_ms > stream.now_ms() {
                return refuse("InvalidArgumentException", "the timestamp lies in the future");
            }
            Ok((behind, from_ms))
        }
        ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER", Some(sequence), None) => {
            let ends = shard.ending_sequence.as_ref();
            let is_known = shard.records.iter().any(|record| record.sequence == sequence)
                || state.fan_out.continuations.contains(sequence);
            let is_ours = is_sequence(sequence)
                && *sequence >= *shard.starting_sequence
                && ends.is_none_or(|ends| sequence <= ends.as_str())
                && is_known;
            if !is_ours {
                let words = format!("StartingSequenceNumber {sequence} did not come from this stream");
                return refuse("InvalidArgumentException", words);
            }
            if kind == "AFTER_SEQUENCE_NUMBER" {
                return Ok((sequence.to_owned(), i64::MIN));
            }
            let at = shard.records.partition_point(|record| *record.sequence < *sequence);
            Ok((at.checked_sub(1).map_or(behind, |at| shard.records[at].sequence.clone()), i64::MIN))
        }
        _ => {
            let words = format!("{kind} with {sequence:?} and {timestamp:?}");
            Err(violated(state, "InvalidArgumentException", words))
        }
    }
}

fn hand_out(state: &mut State, iterator: Iterator) -> String {
    let token = token(&mut state.tokens);
    state.iterators.insert(token.clone(), iterator);
    token
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

fn get_records(state: &mut State, asked: &Asked, call: &mut Call) -> Result<Value, Refusal> {
    let asked: GetRecords = members(state, asked)?;
    let records_max = asked.limit.unwrap_or(RECORDS_MAX);
    if !(1..=RECORDS_MAX).contains(&records_max) {
        return Err(violated(state, "InvalidArgumentException", format!("Limit {records_max}")));
    }
    if asked.stream_arn.is_some_and(|arn| arn != STREAM_ARN) {
        return refuse("ResourceNotFoundException", "Stream not found.");
    }
    let Some(iterator) = state.iterators.get(&asked.shard_iterator).cloned() else {
        return Err(violated(state, "InvalidArgumentException", "Invalid ShardIterator.".to_owned()));
    };
    call.shard = Some(iterator.shard.clone());
    if state.stream.as_ref().and_then(|stream| stream.shard(&iterator.shard)).is_none() {
        return refuse("ResourceNotFoundException", format!("Shard {} not found", iterator.shard));
    }
    if iterator.is_expired || iterator.made.elapsed() > ITERATOR_AGE_MAX {
        return refuse("ExpiredIteratorException", "Iterator expired. The maximum age allowed is 300000 ms.");
    }
    take_turn(state, call)?;
    let now = Instant::now();
    if state.exhausted.get(&iterator.shard).is_some_and(|until| now < *until) {
        return refuse("ProvisionedThroughputExceededException", "Bytes exceeded for shard");
    }
    let stream = state.stream.as_ref().expect("looked up above");
    let shard = stream.shard(&iterator.shard).expect("looked up above");
    let is_behind = |record: &&Stored| record.sequence > iterator.behind && record.arrival_ms >= iterator.from_ms;
    let (mut given, mut bytes, mut rest) = (Vec::new(), 0, None);
    for record in shard.records.iter().filter(is_behind) {
        if given.len() == records_max || bytes + record.data.len() > BYTES_MAX {
            rest = Some(record);
            break;
        }
        bytes += record.data.len();
        given.push(record);
    }
    let behind_ms = rest.map_or(0, |record| (stream.now_ms() - record.arrival_ms).max(1));
    let mut answer = json!({
        "Records": given.iter().map(|record| shown(record)).collect::<Vec<_>>(),
        "MillisBehindLatest": behind_ms,
    });
    call.records = given.len();
    if rest.is_none() && shard.ending_sequence.is_some() {
        answer["NextShardIterator"] = Value::Null;
        if state.tells_children {
            answer["ChildShards"] = children(stream, &shard.id);
        }
    } else {
        let behind = given.last().map_or(iterator.behind.clone(), |record| record.sequence.clone());
        let next = Iterator { behind, made: now, ..iterator.clone() };
        answer["NextShardIterator"] = json!(hand_out(state, next));
    }
    let seconds = f64::from(u32::try_from(bytes).unwrap()) / BYTES_PER_SECOND;
    state.exhausted.insert(iterator.shard, now + Duration::from_secs_f64(seconds));
    Ok(answer)
}

/// The children of a shard, as its end tells them.
pub fn children(stream: &Stream, shard: &str) -> Value {
    let told = |child: &StoredShard| json!({ "ShardId": child.id, "ParentShards": child.parents, "HashKeyRange": hash_key_range(child) });
    stream.children(shard).map(told).collect()
}

/// A record, as it is handed out.
pub fn shown(record: &Stored) -> Value {
    json!({
        "SequenceNumber": record.sequence,
        "ApproximateArrivalTimestamp": Duration::from_millis(record.arrival_ms.unsigned_abs()).as_secs_f64(),
        "Data": STANDARD.encode(&record.data),
        "PartitionKey": record.partition_key,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DescribeStreamSummary {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

fn describe_stream_summary(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let asked: DescribeStreamSummary = members(state, asked)?;
    let open = named(state, asked.stream_name.as_deref(), asked.stream_arn.as_deref())?.open_shards().len();
    Ok(json!({ "StreamDescriptionSummary": {
        "StreamName": STREAM,
        "StreamARN": STREAM_ARN,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": state.retention_hours,
        "StreamCreationTimestamp": 1_700_000_000,
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": open,
        "ConsumerCount": 0,
    } }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ConsumerOf {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    consumer_name: String,
}

fn consumer(state: &mut State, asked: &Asked, operation: &str) -> Result<Value, Refusal> {
    let asked: ConsumerOf = members(state, asked)?;
    named(state, None, Some(&asked.stream_arn))?;
    let answer = if operation == "RegisterStreamConsumer" {
        state.fan_out.register(&asked.stream_arn, &asked.consumer_name)
    } else {
        state.fan_out.describe(&asked.stream_arn, &asked.consumer_name)
    };
    answer.map_err(|(code, words)| Refusal(code, words))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    shard_id: String,
    starting_position: StartingPosition,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StartingPosition {
    r#type: String,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

fn subscribe_to_shard(state: &mut State, asked: &Asked, call: &mut Call, fault: Option<&Fault>) -> Reply {
    match subscription(state, asked, call) {
        Err(refusal) => reply(Err(refusal), call),
        Ok(pieces) => {
            if let Some(stream) = &state.stream {
                state.fan_out.push(stream);
            }
            let honest = Reply { pieces: Some((pieces, EVENT_STREAM)), ..Reply::new(200, "") };
            match fault {
                // What is cut midway is the stream of events, and another body takes its place.
                Some(Fault::CutMidway) => {
                    state.fan_out.cut();
                    honest
                }
                Some(Fault::Lie { status, body }) => Reply::new(*status, body.as_str()),
                fault => after(fault, honest),
            }
        }
    }
}

fn subscription(
    state: &mut State,
    asked: &Asked,
    call: &mut Call,
) -> Result<tokio::sync::mpsc::UnboundedReceiver<crate::fakes::http::Piece>, Refusal> {
    let asked: SubscribeToShard = members(state, asked)?;
    let stream_arn = asked.consumer_arn.split("/consumer/").next().unwrap_or_default().to_owned();
    named(state, None, Some(&stream_arn))?;
    let StartingPosition { r#type, sequence_number, timestamp } = &asked.starting_position;
    let place = (r#type.as_str(), sequence_number.as_deref(), *timestamp);
    let place = place_in_shard(state, &asked.shard_id, place, call)?;
    let subscribed = state.fan_out.subscribe(&asked.consumer_arn, &asked.shard_id, place);
    subscribed.map_err(|(code, words)| Refusal(code, words))
}

/// Counts a call against the calls that a shard allows in a second.
fn take_turn(state: &mut State, call: &Call) -> Result<(), Refusal> {
    let now = Instant::now();
    let turns = state.called.entry((call.operation.clone(), call.shard.clone().unwrap_or_default())).or_default();
    turns.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
    turns.push(now);
    if turns.len() > CALLS_PER_SECOND {
        return refuse("ProvisionedThroughputExceededException", "Rate exceeded for shard");
    }
    Ok(())
}

/// Something that nobody can read anything out of.
fn token(dice: &mut fastrand::Rng) -> String {
    let mut token = String::from("AAAAAAAAAA");
    for _ in 0..4 {
        write!(token, "{:032x}", dice.u128(..)).expect("text takes text");
    }
    token
}
