//! Synthetic findings in AWS's finding format, as Security Hub imports them: controls, vulnerabilities, and what GuardDuty
//! saw. Seeded, so the same every time.

mod tree;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use siemline::envelope::{Context, Field, Form};

use crate::contest::{LogType, Sample};
use crate::random::{account, address, hex, key_id, millisecond, one_of, region, uuid};

pub fn log_type() -> LogType {
    let mut random = Rng::with_seed(17);
    LogType {
        name: "aws.securityhub",
        core: include_str!("core.toml"),
        by_tree: tree::normalize,
        samples: (0..2_000).map(|_| sample(&mut random)).collect(),
        passes: 4,
        ratio_min: 5.0,
    }
}

fn sample(random: &mut Rng) -> Sample {
    let account = account(random);
    let region = region(random);
    let mut context = Context::default();
    context.set(Field::Source, "aws.securityhub");
    context.set(Field::DetailType, "Security Hub Findings - Imported");
    context.set(Field::Id, &uuid(random));
    context.set(Field::Time, "2024-03-01T08:06:00Z");
    context.set(Field::Account, &account);
    context.set(Field::Region, region);
    let body = serde_json::to_vec(&finding(random, &account, region)).expect("a value serialises");
    Sample::new(Form::Json, body, context)
}

fn finding(random: &mut Rng, account: &str, region: &str) -> Value {
    match random.u32(0..10) {
        0..4 => control(random, account, region),
        4..7 => vulnerability(random, account, region),
        _ => detection(random, account, region),
    }
}

/// What all findings have. `product` is the last word of its ARN.
fn common(random: &mut Rng, account: &str, region: &str, product: &'static str, name: &str, title: &str) -> Value {
    let id = format!("arn:aws:{product}:{region}:{account}:finding/{}", uuid(random));
    let created = millisecond(random);
    let label = one_of(random, &["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]);
    json!({
        "SchemaVersion": "2018-10-08", "Id": id, "ProductArn": format!("arn:aws:securityhub:{region}::product/aws/{product}"),
        "ProductName": name, "CompanyName": "Amazon", "Region": region, "GeneratorId": format!("generator/{}", hex(random, 8)),
        "AwsAccountId": account, "FirstObservedAt": millisecond(random), "LastObservedAt": millisecond(random),
        "CreatedAt": created, "UpdatedAt": if random.u32(0..3) == 0 { created.clone() } else { millisecond(random) },
        "ProcessedAt": millisecond(random),
        "Severity": {"Label": label, "Normalized": random.u32(0..100), "Original": label, "Product": random.u32(0..10)},
        "Confidence": random.u32(0..100), "Title": title,
        "Description": format!("{title} This was found in your account {account}, and \"should\" be looked at by its owners."),
        "Remediation": {"Recommendation": {
            "Text": "For what to do about it see the documentation.", "Url": "https://docs.example.com/remediation",
        }},
        "Workflow": {"Status": one_of(random, &["NEW", "NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"])}, "WorkflowState": "NEW",
        "RecordState": one_of(random, &["ACTIVE", "ACTIVE", "ACTIVE", "ARCHIVED"]), "Sample": false, "Note": null,
    })
}

fn control(random: &mut Rng, account: &str, region: &str) -> Value {
    let number = format!("S3.{}", random.u32(1..25));
    let mut finding = common(
        random,
        account,
        region,
        "securityhub",
        "Security Hub",
        &format!("{number} buckets should be kept private"),
    );
    let bucket = format!("arn:aws:s3:::example-{}", hex(random, 4));
    let id = finding["Id"].as_str().unwrap_or_default().to_owned();
    let standards: Vec<Value> = (0..random.usize(1..4))
        .map(|number| json!({"StandardsId": format!("standards/example-best-practices/v/{number}.0.0")}))
        .collect();
    let more = json!({
        "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
        "ProductFields": {
            "RelatedAWSResources:0/name": format!("securityhub-s3-bucket-{}", hex(random, 4)),
            "RelatedAWSResources:0/type": "AWS::Config::ConfigRule",
            "StandardsControlArn": format!("arn:aws:securityhub:{region}:{account}:control/example-best-practices/v/1.0.0/{number}"),
            "Resources:0/Id": bucket, "aws/securityhub/ProductName": "Security Hub", "aws/securityhub/CompanyName": "AWS",
            "aws/securityhub/FindingId": format!("arn:aws:securityhub:{region}::product/aws/securityhub/{id}"),
            "aws/securityhub/annotation": "The bucket policy allows more than it should.",
        },
        "Resources": [{
            "Type": "AwsS3Bucket", "Id": bucket, "Partition": "aws", "Region": region,
            "Tags": {"Name": format!("bucket {}", hex(random, 3)), "team": "shop", "cost-center": hex(random, 2)},
            "Details": {"AwsS3Bucket": {
                "OwnerId": hex(random, 32), "CreatedAt": millisecond(random),
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": random.bool(), "BlockPublicPolicy": true, "IgnorePublicAcls": random.bool(),
                    "RestrictPublicBuckets": true,
                },
                "ServerSideEncryptionConfiguration": {"Rules": [
                    {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": uuid(random)}},
                ]},
            }},
        }],
        "Compliance": {
            "Status": one_of(random, &["PASSED", "FAILED", "FAILED", "WARNING"]), "SecurityControlId": number,
            "RelatedRequirements": ["NIST.800-53.r5 AC-3", "NIST.800-53.r5 AC-21", "PCI DSS v4.0.1/1.4.4"],
            "AssociatedStandards": standards,
            "StatusReasons": [{"ReasonCode": "CONFIG_EVALUATIONS_EMPTY", "Description": "There was nothing to evaluate."}],
            "SecurityControlParameters": [{"Name": "excludedPorts", "Value": ["22", "443"]}],
        },
    });
    crate::tree::extend(&mut finding, Some(more));
    finding
}

fn vulnerability(random: &mut Rng, account: &str, region: &str) -> Value {
    let cve = format!("CVE-2023-{}", random.u32(1_000..50_000));
    let mut finding =
        common(random, account, region, "inspector", "Inspector", &format!("{cve} - openssl, openssl-libs"));
    let packages: Vec<Value> = (0..random.usize(1..4)).map(|_| package(random)).collect();
    let more = json!({
        "Types": ["Software and Configuration Checks/Vulnerabilities/CVE"],
        "ProductFields": {
            "aws/inspector/ProductVersion": "2", "aws/inspector/FindingStatus": "ACTIVE",
            "aws/inspector/inspectorScore": "7.5", "aws/inspector/instanceId": format!("i-{}", hex(random, 8)),
            "aws/inspector/resources/1/resourceDetails/awsEc2InstanceDetails/platform": "AMAZON_LINUX_2023",
        },
        "Resources": [instance(random, account, region)],
        "Vulnerabilities": [{
            "Id": cve, "VulnerablePackages": packages,
            "Cvss": [
                {"Version": "3.1", "BaseScore": 7.5, "BaseVector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "Source": "NVD"},
                {"Version": "2.0", "BaseScore": 4.3, "BaseVector": "AV:N/AC:M/Au:N/C:N/I:N/A:P", "Source": "NVD"},
            ],
            "Vendor": {
                "Name": "NVD", "Url": format!("https://nvd.example.com/vuln/detail/{cve}"), "VendorSeverity": "HIGH",
                "VendorCreatedAt": millisecond(random), "VendorUpdatedAt": millisecond(random),
            },
            "ReferenceUrls": ["https://advisories.example.com/1", "https://advisories.example.com/2"],
            "FixAvailable": one_of(random, &["YES", "NO", "PARTIAL"]), "ExploitAvailable": "NO",
            "EpssScore": f64::from(random.u32(1..1_000)) / 1_000.0,
        }],
        "FindingProviderFields": {
            "Severity": {"Label": "HIGH"}, "Types": ["Software and Configuration Checks/Vulnerabilities/CVE"],
        },
    });
    crate::tree::extend(&mut finding, Some(more));
    finding
}

fn package(random: &mut Rng) -> Value {
    json!({
        "Name": one_of(random, &["openssl", "openssl-libs", "curl-minimal"]), "Version": format!("3.0.{}", random.u32(1..20)),
        "Epoch": "1", "Release": "4.amzn2023.0.3", "Architecture": "X86_64", "PackageManager": "OS",
        "FixedInVersion": "1:3.0.21-1.amzn2023", "Remediation": "dnf update openssl",
    })
}

fn detection(random: &mut Rng, account: &str, region: &str) -> Value {
    let mut finding = common(
        random,
        account,
        region,
        "guardduty",
        "GuardDuty",
        "An instance is probed by a host that is known for it.",
    );
    let id = finding["Id"].as_str().unwrap_or_default().to_owned();
    let mut fields = Map::new();
    let action = "networkConnectionAction";
    let direction = one_of(random, &["INBOUND", "OUTBOUND", "UNKNOWN"]);
    for (name, value) in [
        ("service/action/actionType".to_owned(), "NETWORK_CONNECTION".to_owned()),
        (format!("service/action/{action}/connectionDirection"), direction.to_owned()),
        (format!("service/action/{action}/protocol"), "TCP".to_owned()),
        (format!("service/action/{action}/blocked"), "false".to_owned()),
        (format!("service/action/{action}/localPortDetails/port"), random.u16(1..).to_string()),
        (format!("service/action/{action}/localPortDetails/portName"), "SSH".to_owned()),
        (format!("service/action/{action}/remoteIpDetails/ipAddressV4"), address(random, 198)),
        (format!("service/action/{action}/remoteIpDetails/organization/asn"), random.u16(1..).to_string()),
        (format!("service/action/{action}/remoteIpDetails/organization/asnOrg"), "Example Networks".to_owned()),
        (format!("service/action/{action}/remoteIpDetails/organization/isp"), "Example Hosting".to_owned()),
        (format!("service/action/{action}/remoteIpDetails/city/cityName"), "Amsterdam".to_owned()),
        (format!("service/action/{action}/remoteIpDetails/country/countryName"), "Netherlands".to_owned()),
        ("service/detectorId".to_owned(), hex(random, 16)),
        ("service/serviceName".to_owned(), "guardduty".to_owned()),
        ("service/resourceRole".to_owned(), "TARGET".to_owned()),
        ("service/count".to_owned(), random.u32(1..400).to_string()),
        ("service/archived".to_owned(), "false".to_owned()),
        ("service/additionalInfo/threatListName".to_owned(), "Example \"list\"".to_owned()),
    ] {
        fields.insert(format!("aws/guardduty/{name}"), Value::from(value));
    }
    fields.insert(
        "aws/securityhub/FindingId".to_owned(),
        Value::from(format!("arn:aws:securityhub:{region}::product/aws/guardduty/{id}")),
    );
    let more = json!({
        "Types": ["TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce"], "ProductFields": fields,
        "Resources": [instance(random, account, region), user(random, account, region)],
    });
    crate::tree::extend(&mut finding, Some(more));
    finding
}

fn instance(random: &mut Rng, account: &str, region: &str) -> Value {
    json!({
        "Type": "AwsEc2Instance", "Id": format!("arn:aws:ec2:{region}:{account}:instance/i-{}", hex(random, 8)),
        "Partition": "aws", "Region": region, "Tags": {"Name": format!("web-{}", hex(random, 2)), "team": "shop"},
        "Details": {"AwsEc2Instance": {
            "Type": "m5.xlarge", "ImageId": format!("ami-{}", hex(random, 8)),
            "IpV4Addresses": [address(random, 10), address(random, 203)], "VpcId": format!("vpc-{}", hex(random, 8)),
            "SubnetId": format!("subnet-{}", hex(random, 8)), "LaunchedAt": millisecond(random),
            "IamInstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/web"),
            "NetworkInterfaces": [{"NetworkInterfaceId": format!("eni-{}", hex(random, 8))}],
        }},
    })
}

fn user(random: &mut Rng, account: &str, region: &str) -> Value {
    json!({
        "Type": "AwsIamUser", "Id": format!("arn:aws:iam::{account}:user/{}", hex(random, 4)), "Partition": "aws",
        "Region": region, "Details": {"AwsIamUser": {
            "UserId": key_id(random, "AIDA"), "CreateDate": millisecond(random), "Path": "/",
            "AttachedManagedPolicies": [{"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
        }},
    })
}
