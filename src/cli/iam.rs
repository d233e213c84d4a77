//! `iam`: what a configuration must be allowed to do in AWS.

use std::path::Path;

use serde_json::{Value, json};

use super::End;
use crate::aws::permission::{Home, Permissions, Policy};
use crate::config::{self, DeadLetterOptions, Options, SinkOptions, SourceOptions};
use crate::delivery::SpillPlace;
use crate::pipeline;
use crate::sink;
use crate::source::kinesis;

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run.
    Run,
    /// To replay dead letters.
    Replay,
}

/// Prints a policy for the process and one for each role that it assumes; what is not known is said on standard error.
pub fn iam(path: &Path, region: Option<&str>, account: Option<&str>, purpose: Purpose) -> Result<u8, End> {
    // All mistakes are told here as everywhere.
    let settings = config::load(path).map_err(End::usage)?;
    let home = Home::new(region, account);
    let mut permissions = permissions(config::options(path).map_err(End::usage)?, &home, purpose);
    for (_, sink) in &settings.pipeline.sinks {
        if let Some(SpillPlace::S3(options)) = sink.lane.spill().map(|spill| &spill.place) {
            permissions.extend(pipeline::bucket_permissions(options, &home));
        }
    }
    let policies: Vec<Value> = permissions.policies(&home).into_iter().map(json_of).collect();
    println!("{:#}", Value::Array(policies));
    for comment in permissions.comments(&home) {
        eprintln!("siemline: {comment}");
    }
    if permissions.is_empty() {
        eprintln!("siemline: nothing of AWS is used: no policy is needed");
    }
    Ok(0)
}

/// What all sources and sinks need. Each kind stands here by name, so that a new one cannot be forgotten.
fn permissions(options: Options, home: &Home, purpose: Purpose) -> Permissions {
    let SourceOptions { kinesis, file: _ } = options.source;
    let SinkOptions { splunk_hec: _, elastic, kafka, firehose, sumo: _, http: _, s3, file: _, stdout: _ } =
        options.sink;
    let DeadLetterOptions { file: _, elastic: letter_index, kafka: letter_topic, s3: letters } = options.dead_letter;
    let mut all = Permissions::default();
    for (name, options) in &kinesis {
        all.extend(kinesis::permissions(name, options, home));
    }
    for options in elastic.values() {
        all.extend(sink::elastic::permissions(options, home));
    }
    for options in kafka.values() {
        all.extend(sink::kafka::permissions(options, home));
    }
    for options in firehose.values() {
        all.extend(sink::firehose::permissions(options, home));
    }
    for options in s3.values() {
        all.extend(sink::s3::permissions(options, home));
    }
    if let Some(options) = &letter_index {
        all.extend(sink::elastic::permissions(&options.sink(), home));
    }
    if let Some(options) = &letter_topic {
        all.extend(sink::kafka::permissions(&options.sink(), home));
        if purpose == Purpose::Replay {
            all.extend(sink::kafka::replay_permissions(options, home));
        }
    }
    if let Some(options) = &letters {
        all.extend(sink::s3::letter_permissions(options, home));
        if purpose == Purpose::Replay {
            all.extend(sink::s3::replay_permissions(options, home));
        }
    }
    all
}

fn json_of(policy: Policy) -> Value {
    let (holder, document) = (policy.holder.to_string(), policy.document);
    match policy.trust {
        Some(trust) => json!({ "for": holder, "policy": document, "trust": trust }),
        None => json!({ "for": holder, "policy": document }),
    }
}

/// An account as it is written: 12 digits.
pub fn account(text: &str) -> Result<String, String> {
    let is_right = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_right { Ok(text.to_owned()) } else { Err("an account has 12 digits".to_owned()) }
}

/// A region as it is written: `eu-west-1`.
pub fn region(text: &str) -> Result<String, String> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_right = text.contains('-') && text.bytes().all(is_letter);
    if is_right { Ok(text.to_owned()) } else { Err("a region is written such as `eu-west-1`".to_owned()) }
}
