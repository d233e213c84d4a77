//! Synthetic findings: network connections of instances, as `EventBridge` delivers them. Seeded, so the same every time.

mod tree;

use serde_json::{Value, json};
use siemline::envelope::{Context, Field, Form};

use crate::contest::{LogType, Sample};
use crate::random::{account, address, hex, region};

const TYPES: [&str; 5] = [
    "UnauthorizedAccess:EC2/SSHBruteForce",
    "Backdoor:EC2/C&CActivity.B",
    "CryptoCurrency:EC2/BitcoinTool.B",
    "Recon:EC2/Portscan",
    "Trojan:EC2/BlackholeTraffic",
];

pub fn log_type() -> LogType {
    let mut random = fastrand::Rng::with_seed(7);
    LogType {
        name: "aws.guardduty",
        core: include_str!("core.toml"),
        by_tree: tree::normalize,
        samples: (0..2_000).map(|_| finding(&mut random)).collect(),
        passes: 4,
        // What the project promises of the engine.
        ratio_min: 6.0,
    }
}

fn finding(random: &mut fastrand::Rng) -> Sample {
    let account = account(random);
    let region = region(random);
    let mut context = Context::default();
    context.set(Field::Source, "aws.guardduty");
    context.set(Field::DetailType, "GuardDuty Finding");
    context.set(Field::Id, &hex(random, 16));
    context.set(Field::Time, "2024-03-01T08:06:00Z");
    context.set(Field::Account, &account);
    context.set(Field::Region, region);
    let body = serde_json::to_vec(&detail(random, &account, region)).expect("a value serialises");
    Sample::new(Form::Json, body, context)
}

fn detail(random: &mut fastrand::Rng, account: &str, region: &str) -> Value {
    let id = hex(random, 16);
    let detector = hex(random, 16);
    let kind = TYPES[random.usize(0..TYPES.len())];
    let instance = format!("i-{}", hex(random, 8));
    let day = random.u32(1..28);
    let clock = |random: &mut fastrand::Rng| {
        format!(
            "2024-02-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            random.u32(0..24),
            random.u32(0..60),
            random.u32(0..60),
            random.u32(0..1000)
        )
    };
    let tags: Vec<Value> = (0..random.usize(2..6))
        .map(|number| json!({"key": format!("team-tag-{number}"), "value": format!("value of tag {}", hex(random, 6))}))
        .collect();
    let interfaces: Vec<Value> = (0..random.usize(1..3)).map(|_| interface(random, region)).collect();
    let direction = ["INBOUND", "OUTBOUND", "UNKNOWN"][random.usize(0..3)];
    json!({
        "schemaVersion": "2.0", "accountId": account, "region": region, "partition": "aws", "id": id,
        "arn": format!("arn:aws:guardduty:{region}:{account}:detector/{detector}/finding/{id}"),
        "type": kind,
        "resource": {
            "resourceType": "Instance",
            "instanceDetails": {
                "instanceId": instance, "instanceType": "m5.xlarge", "launchTime": clock(random), "platform": null,
                "productCodes": [], "iamInstanceProfile": {
                    "arn": format!("arn:aws:iam::{account}:instance-profile/web-{}", hex(random, 4)), "id": hex(random, 10),
                },
                "networkInterfaces": interfaces, "tags": tags, "instanceState": "running",
                "availabilityZone": format!("{region}a"), "imageId": format!("ami-{}", hex(random, 8)),
                "imageDescription": "Amazon Linux 2023 AMI 2023.3.20240122.0 x86_64 HVM kernel-6.1",
            },
        },
        "service": {
            "serviceName": "guardduty", "detectorId": detector,
            "action": {
                "actionType": "NETWORK_CONNECTION",
                "networkConnectionAction": {
                    "connectionDirection": direction, "protocol": "TCP", "blocked": random.bool(),
                    "localIpDetails": {"ipAddressV4": address(random, 10)},
                    "localPortDetails": {"port": random.u32(1024..65_000), "portName": "Unknown"},
                    "localNetworkInterface": format!("eni-{}", hex(random, 8)),
                    "remotePortDetails": {"port": 443, "portName": "HTTPS"},
                    "remoteIpDetails": {
                        "ipAddressV4": address(random, 198),
                        "country": {"countryName": "Netherlands", "countryCode": "NL"}, "city": {"cityName": "Amsterdam"},
                        "geoLocation": {"lat": f64::from(random.i32(-9000..9000)) / 100.0, "lon": 4.9},
                        "organization": {
                            "asn": random.u32(1..65_000).to_string(), "asnOrg": "Example Networks",
                            "isp": "Example Hosting", "org": "Example \"Cloud\" Hosting",
                        },
                    },
                },
            },
            "resourceRole": if random.bool() { "TARGET" } else { "ACTOR" },
            "additionalInfo": {
                "threatName": "Scanner", "threatListName": "ProofPoint", "value": "{\"threatName\":\"Scanner\"}", "type": "default",
            },
            "evidence": {"threatIntelligenceDetails": [
                {"threatListName": "ProofPoint", "threatNames": ["Scanner", format!("Family {}", hex(random, 4))]},
            ]},
            "eventFirstSeen": clock(random), "eventLastSeen": clock(random), "archived": random.u32(0..10) == 0,
            "count": random.u32(1..4), "featureName": "FlowLogs", "userFeedback": null,
        },
        "severity": f64::from(random.u32(10..100)) / 10.0,
        "createdAt": clock(random), "updatedAt": clock(random),
        "title": format!("The EC2 instance {instance} is communicating outside its usual peers."),
        "description": format!(
            "The EC2 instance {instance} is communicating with a remote host that is on a custom threat list, on port 443. \
             This may be part of an attack on a server in your account {account}."
        ),
    })
}

fn interface(random: &mut fastrand::Rng, region: &str) -> Value {
    let private = address(random, 10);
    json!({
        "networkInterfaceId": format!("eni-{}", hex(random, 8)), "subnetId": format!("subnet-{}", hex(random, 8)),
        "vpcId": format!("vpc-{}", hex(random, 8)), "privateIpAddress": private,
        "privateDnsName": format!("ip-{}.{region}.compute.internal", private.replace('.', "-")),
        "publicDnsName": "", "publicIp": address(random, 203), "ipv6Addresses": [],
        "privateIpAddresses": [{"privateIpAddress": private, "privateDnsName": "internal.example"}],
        "securityGroups": [
            {"groupName": "web servers", "groupId": format!("sg-{}", hex(random, 8))},
            {"groupName": "ssh", "groupId": format!("sg-{}", hex(random, 8))},
        ],
    })
}
