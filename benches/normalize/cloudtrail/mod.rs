//! Synthetic CloudTrail records, bare as the files in S3 hold them: calls of services, sign-ins, and changes of users and
//! groups. Seeded, so the same every time.

mod tree;

use fastrand::Rng;
use serde_json::{Value, json};
use siemline::envelope::{Context, Form};

use crate::contest::{LogType, Sample};
use crate::random::{account, address, hex, key_id, one_of, region, second, uuid};

pub fn log_type() -> LogType {
    let mut random = Rng::with_seed(11);
    LogType {
        name: "aws.cloudtrail",
        core: include_str!("core.toml"),
        by_tree: tree::normalize,
        samples: (0..2_000).map(|_| sample(&mut random)).collect(),
        passes: 4,
        ratio_min: 5.5,
    }
}

fn sample(random: &mut Rng) -> Sample {
    let body = serde_json::to_vec(&record(random)).expect("a value serialises");
    Sample::new(Form::Json, body, Context::default())
}

/// What makes one record differ from another; the rest is the same for all.
struct Call {
    source: &'static str,
    name: &'static str,
    read_only: bool,
    category: &'static str,
    request: Value,
    response: Value,
    /// Further members of the record.
    more: Value,
}

fn record(random: &mut Rng) -> Value {
    let (account, region) = (account(random), region(random));
    let call = match random.u32(0..10) {
        0..6 => api_call(random, &account, region),
        6..8 => sign_in(random, &account, region),
        8 => account_change(random, &account),
        _ => group_management(random, &account),
    };
    let service = call.name == "AssumeRole" && random.bool();
    let identity = if service {
        json!({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"})
    } else {
        identity(random, &account)
    };
    let source_address = if service { "lambda.amazonaws.com".to_owned() } else { address(random, 198) };
    let mut record = json!({
        "eventVersion": "1.11", "userIdentity": identity, "eventTime": second(random), "eventSource": call.source,
        "eventName": call.name, "awsRegion": region, "sourceIPAddress": source_address,
        "userAgent": one_of(random, &[
            "aws-cli/2.24.5 md/awscrt#0.23.8 ua/2.0 os/linux#6.1.0 md/arch#x86_64 lang/python#3.12.6 cfg/retry-mode#standard",
            "Boto3/1.36.2 md/Botocore#1.36.2 ua/2.0 os/linux#5.10.230 lang/python#3.11.2 exec-env/AWS_Lambda_python3.11",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "APN/1.0 HashiCorp/1.0 Terraform/1.9.8",
        ]),
        "requestParameters": call.request, "responseElements": call.response, "requestID": uuid(random),
        "eventID": uuid(random), "readOnly": call.read_only, "eventType": "AwsApiCall",
        "managementEvent": call.category == "Management", "recipientAccountId": account, "eventCategory": call.category,
        "tlsDetails": {
            "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("{}.{region}.amazonaws.com", call.source.trim_end_matches(".amazonaws.com")),
        },
    });
    if call.name != "ConsoleLogin" && random.u32(0..12) == 0 {
        record["responseElements"] = Value::Null;
        record["errorCode"] = json!("AccessDenied");
        record["errorMessage"] = json!(format!("User is not authorized to perform \"{}\" on this resource", call.name));
    }
    crate::tree::extend(&mut record, Some(call.more));
    record
}

fn identity(random: &mut Rng, account: &str) -> Value {
    let name = one_of(random, &["alice", "deploy-bot", "ops.on-call"]);
    if random.u32(0..3) == 0 {
        return json!({
            "type": "IAMUser", "principalId": key_id(random, "AIDA"), "arn": format!("arn:aws:iam::{account}:user/{name}"),
            "accountId": account, "accessKeyId": key_id(random, "AKIA"), "userName": name,
        });
    }
    let role = one_of(random, &["Deploy", "ReadOnlyAudit", "service-role/etl-nightly"]);
    let principal = key_id(random, "AROA");
    json!({
        "type": "AssumedRole", "principalId": format!("{principal}:{name}"),
        "arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"), "accountId": account,
        "accessKeyId": key_id(random, "ASIA"),
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "principalId": principal, "arn": format!("arn:aws:iam::{account}:role/{role}"),
                "accountId": account, "userName": role,
            },
            "webIdFederationData": {},
            "attributes": {"creationDate": second(random), "mfaAuthenticated": if random.bool() { "true" } else { "false" }},
        },
    })
}

fn api_call(random: &mut Rng, account: &str, region: &str) -> Call {
    match random.u32(0..4) {
        0 => describe_instances(random),
        1 => run_instances(random, account, region),
        2 => object_access(random, account, region),
        _ => data_key(random, account, region),
    }
}

fn describe_instances(random: &mut Rng) -> Call {
    let filters: Vec<Value> = (0..random.usize(1..4))
        .map(|number| json!({"name": format!("tag:team-{number}"), "valueSet": {"items": [{"value": hex(random, 4)}, {"value": "shop"}]}}))
        .collect();
    Call {
        source: "ec2.amazonaws.com",
        name: "DescribeInstances",
        read_only: true,
        category: "Management",
        request: json!({"maxResults": 1000, "instancesSet": {}, "filterSet": {"items": filters}}),
        response: Value::Null,
        more: json!({}),
    }
}

fn run_instances(random: &mut Rng, account: &str, region: &str) -> Call {
    let instances: Vec<Value> = (0..random.usize(1..3)).map(|_| instance(random, account, region)).collect();
    Call {
        source: "ec2.amazonaws.com",
        name: "RunInstances",
        read_only: false,
        category: "Management",
        request: json!({
            "instancesSet": {"items": [{"imageId": format!("ami-{}", hex(random, 8)), "minCount": 1, "maxCount": 2, "keyName": "ops"}]},
            "instanceType": "t3.medium", "blockDeviceMapping": {"items": [
                {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 80, "deleteOnTermination": true, "volumeType": "gp3", "encrypted": true}},
            ]},
            "monitoring": {"enabled": false}, "disableApiTermination": false,
            "clientToken": uuid(random), "userData": "<sensitiveDataRemoved>",
            "tagSpecificationSet": {"items": [
                {"resourceType": "instance", "tags": [{"key": "Name", "value": "web"}, {"key": "owner", "value": "shop \"team\""}]},
            ]},
        }),
        response: json!({
            "requestId": uuid(random), "reservationId": format!("r-{}", hex(random, 8)), "ownerId": account, "groupSet": {},
            "instancesSet": {"items": instances},
        }),
        more: json!({}),
    }
}

fn instance(random: &mut Rng, account: &str, region: &str) -> Value {
    let private = address(random, 10);
    json!({
        "instanceId": format!("i-{}", hex(random, 8)), "imageId": format!("ami-{}", hex(random, 8)),
        "instanceState": {"code": 0, "name": "pending"}, "privateDnsName": format!("ip-{}.{region}.compute.internal", private.replace('.', "-")),
        "amiLaunchIndex": 0, "productCodes": {}, "instanceType": "t3.medium", "launchTime": 1_709_280_000_000_u64 + random.u64(0..1_000_000_000),
        "placement": {"availabilityZone": format!("{region}a"), "tenancy": "default"}, "monitoring": {"state": "disabled"},
        "subnetId": format!("subnet-{}", hex(random, 8)), "vpcId": format!("vpc-{}", hex(random, 8)), "privateIpAddress": private,
        "stateReason": {"code": "pending", "message": "pending"}, "architecture": "x86_64", "rootDeviceType": "ebs",
        "networkInterfaceSet": {"items": [{
            "networkInterfaceId": format!("eni-{}", hex(random, 8)), "ownerId": account, "status": "in-use",
            "groupSet": {"items": [{"groupId": format!("sg-{}", hex(random, 8)), "groupName": "web"}]},
        }]},
        "cpuOptions": {"coreCount": 1, "threadsPerCore": 2}, "ebsOptimized": false,
    })
}

fn object_access(random: &mut Rng, account: &str, region: &str) -> Call {
    let (name, read_only) = if random.bool() { ("GetObject", true) } else { ("PutObject", false) };
    let bucket = format!("example-data-{}", hex(random, 3));
    let key = format!("year=2024/month=02/part-{}.parquet", hex(random, 8));
    Call {
        source: "s3.amazonaws.com",
        name,
        read_only,
        category: "Data",
        request: json!({"bucketName": bucket, "key": key, "Host": format!("{bucket}.s3.{region}.amazonaws.com")}),
        response: if read_only { Value::Null } else { json!({"x-amz-server-side-encryption": "aws:kms"}) },
        more: json!({
            "additionalEventData": {
                "SignatureVersion": "SigV4", "CipherSuite": "TLS_AES_128_GCM_SHA256", "bytesTransferredIn": 0,
                "bytesTransferredOut": random.u32(..), "AuthenticationMethod": "AuthHeader", "x-amz-id-2": hex(random, 24),
            },
            "resources": [
                {"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::{bucket}/{key}")},
                {"accountId": account, "type": "AWS::S3::Bucket", "ARN": format!("arn:aws:s3:::{bucket}")},
            ],
            "vpcEndpointId": format!("vpce-{}", hex(random, 8)),
        }),
    }
}

fn data_key(random: &mut Rng, account: &str, region: &str) -> Call {
    let key = format!("arn:aws:kms:{region}:{account}:key/{}", uuid(random));
    Call {
        source: "kms.amazonaws.com",
        name: "GenerateDataKey",
        read_only: true,
        category: "Management",
        request: json!({
            "keyId": key, "keySpec": "AES_256",
            "encryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::example-{}", hex(random, 4)), "purpose": "backup"},
        }),
        response: Value::Null,
        more: json!({"resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key}]}),
    }
}

fn sign_in(random: &mut Rng, account: &str, region: &str) -> Call {
    if random.bool() {
        let used = if random.bool() { "Yes" } else { "No" };
        return Call {
            source: "signin.amazonaws.com",
            name: "ConsoleLogin",
            read_only: false,
            category: "Management",
            request: Value::Null,
            response: json!({"ConsoleLogin": if random.u32(0..4) == 0 { "Failure" } else { "Success" }}),
            more: json!({"additionalEventData": {
                "LoginTo": format!("https://console.aws.amazon.com/console/home?region={region}&state=hashArgs%23&isauthcode=true"),
                "MobileVersion": "No", "MFAUsed": used,
            }}),
        };
    }
    let role = format!("arn:aws:iam::{account}:role/Audit-{}", hex(random, 2));
    let (id, session) = (key_id(random, "AROA"), format!("session-{}", hex(random, 4)));
    Call {
        source: "sts.amazonaws.com",
        name: "AssumeRole",
        read_only: true,
        category: "Management",
        request: json!({"roleArn": role, "roleSessionName": session, "durationSeconds": 3600}),
        response: json!({
            "credentials": {"accessKeyId": key_id(random, "ASIA"), "sessionToken": hex(random, 120), "expiration": "Mar 1, 2024, 9:06:00 AM"},
            "assumedRoleUser": {"assumedRoleId": format!("{id}:{session}"), "arn": format!("arn:aws:sts::{account}:assumed-role/Audit/{session}")},
        }),
        more: json!({
            "resources": [{"accountId": account, "type": "AWS::IAM::Role", "ARN": role}], "sharedEventID": uuid(random),
        }),
    }
}

fn account_change(random: &mut Rng, account: &str) -> Call {
    let user = format!("user-{}", hex(random, 4));
    let (name, request, response) = match random.u32(0..3) {
        0 => (
            "CreateUser",
            json!({"userName": user, "path": "/people/", "tags": [{"key": "team", "value": "shop"}]}),
            json!({"user": {
                "path": "/people/", "userName": user, "userId": key_id(random, "AIDA"),
                "arn": format!("arn:aws:iam::{account}:user/people/{user}"), "createDate": "Mar 1, 2024, 8:06:00 AM",
            }}),
        ),
        1 => (
            "CreateAccessKey",
            json!({"userName": user}),
            json!({"accessKey": {
                "userName": user, "accessKeyId": key_id(random, "AKIA"), "status": "Active", "createDate": "Mar 1, 2024, 8:06:00 AM",
            }}),
        ),
        _ => (
            "AttachUserPolicy",
            json!({"userName": user, "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            Value::Null,
        ),
    };
    iam(name, request, response)
}

fn group_management(random: &mut Rng, account: &str) -> Call {
    let group = format!("group-{}", hex(random, 3));
    let (name, request, response) = match random.u32(0..3) {
        0 => (
            "CreateGroup",
            json!({"groupName": group, "path": "/"}),
            json!({"group": {
                "path": "/", "groupName": group, "groupId": key_id(random, "AGPA"),
                "arn": format!("arn:aws:iam::{account}:group/{group}"), "createDate": "Mar 1, 2024, 8:06:00 AM",
            }}),
        ),
        1 => {
            ("AddUserToGroup", json!({"groupName": group, "userName": format!("user-{}", hex(random, 4))}), Value::Null)
        }
        _ => (
            "AttachGroupPolicy",
            json!({"groupName": group, "policyArn": "arn:aws:iam::aws:policy/PowerUserAccess"}),
            Value::Null,
        ),
    };
    iam(name, request, response)
}

/// A change in IAM.
fn iam(name: &'static str, request: Value, response: Value) -> Call {
    Call {
        source: "iam.amazonaws.com",
        name,
        read_only: false,
        category: "Management",
        request,
        response,
        more: json!({}),
    }
}
