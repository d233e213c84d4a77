//! What the stream holds: records as AWS services write them. Seeded, so the same every time.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::random::{account, address, hex, key_id, millisecond, one_of, region, second, uuid};

/// The bytes of records in one answer, about: what a shard with a backlog brings at two calls or so a second.
const ANSWER_BYTES: usize = 4 << 20;

const EVENTS: [&str; 5] = ["AssumeRole", "GetObject", "PutRolePolicy", "DescribeInstances", "ConsoleLogin"];

/// Records of one kind.
pub struct Corpus {
    pub name: &'static str,
    /// The records of one answer.
    pub records: Vec<Vec<u8>>,
    /// Whether they are compressed.
    pub is_gzip: bool,
}

/// All kinds.
pub fn all() -> [Corpus; 3] {
    let mut random = fastrand::Rng::with_seed(11);
    [
        Corpus::of("CloudWatch Logs, 60 events", true, || subscription(&mut random, 60)),
        Corpus::of("CloudWatch Logs, 4 events", true, || subscription(&mut random, 4)),
        Corpus::of("EventBridge, plain JSON", false, || event_bridge(&mut random)),
    ]
}

impl Corpus {
    fn of(name: &'static str, is_gzip: bool, mut record: impl FnMut() -> Vec<u8>) -> Self {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < ANSWER_BYTES {
            let record = record();
            bytes += record.len();
            records.push(record);
        }
        Self { name, records, is_gzip }
    }

    /// The bytes of the records of one answer.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }
}

/// A record of a subscription: so many log events, each a CloudTrail event as text, in gzip as the service makes it.
fn subscription(random: &mut fastrand::Rng, events: usize) -> Vec<u8> {
    let account = account(random);
    let log_events: Vec<Value> = (0..events)
        .map(|_| {
            json!({
                "id": random.u64(..).to_string(),
                "timestamp": 1_709_280_000_000_u64 + random.u64(0..100_000),
                "message": event(random, &account).to_string(),
            })
        })
        .collect();
    let record = json!({
        "messageType": "DATA_MESSAGE",
        "owner": account,
        "logGroup": "aws-cloudtrail-logs",
        "logStream": format!("{account}_CloudTrail_eu-central-1"),
        "subscriptionFilters": ["to-siem"],
        "logEvents": log_events,
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(record.to_string().as_bytes()).expect("memory takes it");
    gzip.finish().expect("memory takes it")
}

/// A record of an `EventBridge` rule.
fn event_bridge(random: &mut fastrand::Rng) -> Vec<u8> {
    let account = account(random);
    let record = json!({
        "version": "0",
        "id": uuid(random),
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.sts",
        "account": account,
        "time": second(random),
        "region": region(random),
        "resources": [],
        "detail": event(random, &account),
    });
    record.to_string().into_bytes()
}

fn event(random: &mut fastrand::Rng, account: &str) -> Value {
    let (name, role) = (one_of(random, &EVENTS), hex(random, 6));
    json!({
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("{}:session-{}", key_id(random, "AROA"), hex(random, 4)),
            "arn": format!("arn:aws:sts::{account}:assumed-role/role-{role}/session"),
            "accountId": account,
            "accessKeyId": key_id(random, "ASIA"),
            "sessionContext": {
                "sessionIssuer": { "type": "Role", "userName": format!("role-{role}"), "accountId": account },
                "attributes": { "creationDate": second(random), "mfaAuthenticated": "false" },
            },
        },
        "eventTime": second(random),
        "eventSource": "sts.amazonaws.com",
        "eventName": name,
        "awsRegion": region(random),
        "sourceIPAddress": address(random, 203),
        "userAgent": "aws-sdk-java/2.25.11 Linux/5.10 OpenJDK_64-Bit_Server_VM/17.0.10",
        "requestParameters": {
            "roleArn": format!("arn:aws:iam::{account}:role/role-{}", hex(random, 6)),
            "roleSessionName": format!("session-{}", hex(random, 6)),
            "durationSeconds": random.u32(900..43_200),
        },
        "responseElements": { "credentials": { "accessKeyId": key_id(random, "ASIA"), "expiration": millisecond(random) } },
        "requestID": uuid(random),
        "eventID": uuid(random),
        "readOnly": random.bool(),
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
        "tlsDetails": { "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256" },
    })
}
