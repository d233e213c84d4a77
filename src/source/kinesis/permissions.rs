//! What a source needs to be allowed: policies of IAM, as narrow as the configuration lets them be. Pure.
//!
//! Which resource and which condition keys a call knows: the Service Authorization Reference of AWS. Names of streams without
//! region or account stand with `*` in their place: an ARN in the configuration makes them exact.

use serde_json::{Value, json};

use super::options::{KinesisOptions, Mode};
use super::stream::StreamName;
use crate::lease::LeaseKeys;

/// A policy, and who needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Who: the process itself, or a role that it assumes.
    pub holder: String,
    /// The document.
    pub document: Value,
}

/// The policies of a source.
#[must_use]
pub fn policies(name: &str, options: &KinesisOptions) -> Vec<Policy> {
    let mut reading: Vec<Value> = Vec::new();
    for stream in options.stream.all() {
        reading.extend(of_stream(name, options, stream));
    }
    let mut own: Vec<Value> = Vec::new();
    if let Some(table) = &options.lease_table {
        own.extend(of_table(options, table));
    }
    let process = "the process".to_owned();
    if let Some(role) = &options.assume_role {
        own.push(json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role }));
        let role = Policy { holder: role.clone(), document: document(reading) };
        return vec![Policy { holder: process, document: document(own) }, role];
    }
    reading.extend(own);
    vec![Policy { holder: process, document: document(reading) }]
}

fn document(mut statements: Vec<Value>) -> Value {
    statements.dedup();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn of_stream(name: &str, options: &KinesisOptions, stream: &StreamName) -> Vec<Value> {
    let (partition, region, account) = place(options, stream);
    let arn = format!("arn:{partition}:kinesis:{region}:{account}:stream/{}", stream.name());
    let mut reading = vec!["kinesis:ListShards", "kinesis:DescribeStreamSummary", "kinesis:GetShardIterator"];
    reading.push("kinesis:GetRecords");
    let mut statements = Vec::new();
    if options.mode == Mode::FanOut {
        if !options.fan_out_fallback {
            // The lag of `status` is asked for by polling; the reading needs none of it.
            reading.retain(|action| !action.starts_with("kinesis:Get"));
        }
        reading.extend(["kinesis:DescribeStreamConsumer", "kinesis:RegisterStreamConsumer"]);
        let consumer = format!("{arn}/consumer/{}:*", options.consumer(name));
        let actions = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"];
        statements.push(json!({ "Effect": "Allow", "Action": actions, "Resource": consumer }));
    }
    statements.insert(0, json!({ "Effect": "Allow", "Action": reading, "Resource": arn }));
    // Whichever key encrypts the stream: it is used for this stream only, and through Kinesis only.
    statements.push(json!({
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": format!("arn:{partition}:kms:{region}:{account}:key/*"),
        "Condition": {
            "StringLike": {
                "kms:ViaService": format!("kinesis.{region}.{}", suffix(&partition)),
                "kms:EncryptionContext:aws:kinesis:arn": arn,
            },
        },
    }));
    statements
}

fn of_table(options: &KinesisOptions, table: &str) -> Vec<Value> {
    let streams = options.stream.all();
    let (partition, stream_region, _) =
        streams.first().map_or_else(|| ("aws".into(), "*".into(), "*".into()), |stream| place(options, stream));
    let region = options.lease.region.clone().unwrap_or(stream_region);
    // The table is the process's own, whoever the streams belong to.
    let arn = format!("arn:{partition}:dynamodb:{region}:*:table/{table}");
    let calls = ["DescribeTable", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem"];
    let mut actions: Vec<String> = calls.iter().map(|call| format!("dynamodb:{call}")).collect();
    if options.lease.create_table {
        actions.push("dynamodb:CreateTable".to_owned());
    }
    let mut statements = vec![json!({ "Effect": "Allow", "Action": actions, "Resource": arn })];
    // Where a leader of KCL 3 may have its lock: only an application on KCL has such a table.
    if options.lease.keys == LeaseKeys::Shard || options.lease.application.is_none() {
        let lock = format!("{arn}-CoordinatorState");
        statements.push(json!({ "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": lock }));
    }
    // For a key of one's own; the one of the service needs no permission.
    statements.push(json!({
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": format!("arn:{partition}:kms:{region}:*:key/*"),
        "Condition": {
            "StringLike": {
                "kms:ViaService": format!("dynamodb.{region}.{}", suffix(&partition)),
                "kms:EncryptionContext:aws:dynamodb:tableName": table,
            },
        },
    }));
    statements
}

/// Partition, region and account of a stream, as far as they are written.
fn place(options: &KinesisOptions, stream: &StreamName) -> (String, String, String) {
    let mut parts = stream.as_str().split(':').skip(1);
    let (partition, _, region, account) = (parts.next(), parts.next(), parts.next(), parts.next());
    let region = options.region.as_deref().or(region).unwrap_or("*").to_owned();
    let of_region = match region.as_str() {
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("cn-") => "aws-cn",
        _ => "aws",
    };
    let partition = partition.unwrap_or(of_region).to_owned();
    (partition, region, account.unwrap_or("*").to_owned())
}

fn suffix(partition: &str) -> &'static str {
    if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Policy> {
        policies("findings", &toml::from_str(text).unwrap())
    }

    fn actions(policy: &Policy) -> Vec<String> {
        let mut actions = Vec::new();
        for statement in policy.document["Statement"].as_array().unwrap() {
            match &statement["Action"] {
                Value::String(action) => actions.push(action.clone()),
                many => {
                    actions.extend(many.as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned()));
                }
            }
        }
        actions
    }

    /// Guards that each configuration asks for what it uses, of what it uses, and for nothing else.
    #[test]
    fn policies_are_narrow() {
        let arn = "arn:aws-us-gov:kinesis:us-gov-west-1:111122223333:stream/s";
        let polling = &of(&format!("stream = '{arn}'"))[0];
        assert_eq!(
            actions(polling),
            [
                "kinesis:ListShards",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetShardIterator",
                "kinesis:GetRecords",
                "kms:Decrypt"
            ]
        );
        let text = polling.document.to_string();
        assert!(text.contains(&format!("\"Resource\":\"{arn}\"")), "{text}");
        assert!(text.contains("kinesis.us-gov-west-1.amazonaws.com") && !text.contains("dynamodb"), "{text}");

        let fan_out = of(&format!("stream = '{arn}'\nmode = 'fan_out'"));
        assert!(!actions(&fan_out[0]).contains(&"kinesis:GetRecords".to_owned()));
        assert!(fan_out[0].document.to_string().contains("/consumer/siemline-findings:*"));

        let role = "arn:aws:iam::444455556666:role/siemline";
        let shared = of(&format!("stream = 's'\nregion = 'eu-west-1'\nassume_role = '{role}'\nlease_table = 't'"));
        assert_eq!(shared.iter().map(|policy| policy.holder.as_str()).collect::<Vec<_>>(), ["the process", role]);
        let own = actions(&shared[0]);
        assert!(
            own.contains(&"sts:AssumeRole".to_owned()) && own.contains(&"dynamodb:UpdateItem".to_owned()),
            "{own:?}"
        );
        assert!(!own.iter().any(|action| action.starts_with("kinesis:")), "{own:?}");
        assert!(!own.contains(&"dynamodb:CreateTable".to_owned()));
        assert!(shared[0].document.to_string().contains("arn:aws:dynamodb:eu-west-1:*:table/t-CoordinatorState"));
        let created = of("stream = 's'\nlease_table = 't'\nlease = { create_table = true }");
        assert!(actions(&created[0]).contains(&"dynamodb:CreateTable".to_owned()));
    }
}
