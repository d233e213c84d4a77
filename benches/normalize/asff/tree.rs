//! The mapping of `core.toml` by hand. What two attributes hold is copied, everything else is taken out of the tree.

use serde_json::{Value, json};
use siemline::envelope::{Context, Event, Field};
use siemline::normalize::BodyDigest;

use crate::tree::{
    ACCOUNT_UID, IP_ADDRESS, Kind, PORT, RESOURCE_UID, copy, extend, list, object, of, pruned, seen, take, take_time,
    text, transformations, uid, write,
};

const RESOURCE_NAME: Kind = (38, "Resource Details Object: name");
const CVE_UID: Kind = (18, "CVE Object: uid");

pub fn normalize(event: &Event<'_>, digest: &BodyDigest, out: &mut Vec<u8>) {
    let mut finding: Value = serde_json::from_slice(event.body).expect("a finding is JSON");
    let mut observables = Vec::new();
    let activity = activity(&finding);
    let (class, of_class) = if finding.get("Compliance").is_some() {
        ((2003, "Compliance Finding"), compliance(&mut finding))
    } else if finding.get("Vulnerabilities").is_some() {
        ((2002, "Vulnerability Finding"), vulnerabilities(&mut finding, &mut observables))
    } else {
        ((2004, "Detection Finding"), detection(&mut finding, &mut observables))
    };
    let mut made = json!({
        "class_uid": class.0, "class_name": class.1, "category_uid": 2, "category_name": "Findings",
        "activity_id": activity.0, "activity_name": activity.1, "type_uid": class.0 * 100 + activity.0,
        "type_name": format!("{}: {}", class.1, activity.1),
    });
    extend(&mut made, of_class);
    let common = common(&mut finding, event.context, digest, &mut observables);
    extend(&mut made, common);
    write(made, observables, finding, out);
}

fn activity(finding: &Value) -> (u32, &'static str) {
    if text(finding, "/RecordState") == "ARCHIVED" {
        (3, "Close")
    } else if finding.get("CreatedAt") == finding.get("UpdatedAt") {
        (1, "Create")
    } else {
        (2, "Update")
    }
}

fn common(finding: &mut Value, context: &Context, digest: &BodyDigest, observables: &mut Vec<Value>) -> Option<Value> {
    let severity = match text(finding, "/Severity/Label") {
        "INFORMATIONAL" => (1, "Informational"),
        "LOW" => (2, "Low"),
        "MEDIUM" => (3, "Medium"),
        "HIGH" => (4, "High"),
        "CRITICAL" => (5, "Critical"),
        _ => (0, "Unknown"),
    };
    if severity.0 != 0 {
        take(finding, "/Severity", "Label");
    }
    let status = status(finding);
    let partition = text(finding, "/ProductArn").split(':').nth(1).map(Value::from);
    let (id, title) = (take(finding, "", "Id"), take(finding, "", "Title"));
    let updated = take_time(finding, "", "UpdatedAt");
    let account = take(finding, "", "AwsAccountId");
    let metadata = metadata(finding, context, uid("aws.securityhub", id.as_ref()?.as_str()?, digest));
    let resources = resources(finding, account.as_ref(), observables);
    let info = object([
        ("uid", id.clone()),
        ("uid_alt", take(finding, "/ProductFields", "aws/securityhub/FindingId")),
        ("title", title.clone()),
        ("desc", take(finding, "", "Description")),
        ("types", take(finding, "", "Types")),
        ("created_time", take_time(finding, "", "CreatedAt")),
        ("modified_time", updated.clone()),
        ("first_seen_time", take_time(finding, "", "FirstObservedAt")),
        ("last_seen_time", take_time(finding, "", "LastObservedAt")),
    ]);
    let enrichment = object([
        ("name", of("finding_info.uid")),
        ("value", id),
        ("type", of("ProductFields")),
        ("data", take(finding, "", "ProductFields").and_then(pruned)),
    ]);
    object([
        ("time", updated),
        ("message", title),
        ("severity_id", of(severity.0)),
        ("severity", of(severity.1)),
        ("status_id", of(status.0)),
        ("status", of(status.1)),
        ("status_code", take(finding, "", "RecordState")),
        ("confidence_score", take(finding, "", "Confidence")),
        (
            "cloud",
            object([
                ("provider", of("AWS")),
                ("region", take(finding, "", "Region")),
                ("cloud_partition", partition),
                (
                    "account",
                    object([
                        ("uid", seen(observables, ACCOUNT_UID, "cloud.account.uid", account)),
                        ("type_id", of(10)),
                        ("type", of("AWS Account")),
                    ]),
                ),
            ]),
        ),
        ("metadata", metadata),
        ("finding_info", info),
        ("resources", resources),
        ("enrichments", list([enrichment])),
    ])
}

fn status(finding: &mut Value) -> (u32, &'static str) {
    if text(finding, "/RecordState") == "ARCHIVED" {
        return (5, "Archived");
    }
    let status = match text(finding, "/Workflow/Status") {
        "NEW" => (1, "New"),
        "NOTIFIED" => (2, "In Progress"),
        "SUPPRESSED" => (3, "Suppressed"),
        "RESOLVED" => (4, "Resolved"),
        _ => return (0, "Unknown"),
    };
    take(finding, "/Workflow", "Status");
    status
}

fn metadata(finding: &mut Value, context: &Context, uid: String) -> Option<Value> {
    object([
        ("version", of("1.8.0")),
        ("profiles", of(json!(["cloud"]))),
        ("uid", of(uid)),
        ("log_version", take(finding, "", "SchemaVersion")),
        ("event_code", copy(finding, "/Types/0")),
        ("processed_time", take_time(finding, "", "ProcessedAt")),
        (
            "product",
            object([
                ("uid", take(finding, "", "ProductArn")),
                ("name", take(finding, "", "ProductName")),
                ("vendor_name", take(finding, "", "CompanyName")),
                ("feature", object([("uid", take(finding, "", "GeneratorId"))])),
            ]),
        ),
        ("transformation_info_list", of(transformations("aws.securityhub"))),
        ("original_event_uid", context.get(Field::Id).map(Value::from)),
        ("original_time", context.get(Field::Time).map(Value::from)),
    ])
}

fn resources(finding: &mut Value, account: Option<&Value>, observables: &mut Vec<Value>) -> Option<Value> {
    let Value::Array(source) = take(finding, "", "Resources")? else { return None };
    list(
        source.into_iter().enumerate().map(|(number, resource)| self::resource(number, resource, account, observables)),
    )
}

fn resource(
    number: usize,
    mut resource: Value,
    account: Option<&Value>,
    observables: &mut Vec<Value>,
) -> Option<Value> {
    let name = |what: &str| format!("resources[{number}].{what}");
    let kind = take(&mut resource, "", "Type").map(|kind| match kind.as_str() {
        Some("AwsEc2Instance") => "AWS::EC2::Instance".into(),
        Some("AwsS3Bucket") => "AWS::S3::Bucket".into(),
        Some("AwsIamUser") => "AWS::IAM::User".into(),
        _ => kind,
    });
    let title = copy(&resource, "/Tags/Name");
    let tags = match take(&mut resource, "", "Tags") {
        Some(Value::Object(tags)) => {
            list(tags.into_iter().map(|(key, value)| object([("name", of(key)), ("value", Some(value))])))
        }
        _ => None,
    };
    let mut ip = None;
    if let Some(Value::Array(addresses)) = resource.pointer_mut("/Details/AwsEc2Instance/IpV4Addresses")
        && !addresses.is_empty()
    {
        ip = Some(addresses.remove(0));
    }
    let account = seen(observables, ACCOUNT_UID, &name("owner.account.uid"), account.cloned());
    object([
        ("uid", seen(observables, RESOURCE_UID, &name("uid"), take(&mut resource, "", "Id"))),
        ("type", kind),
        ("name", seen(observables, RESOURCE_NAME, &name("name"), title)),
        ("ip", seen(observables, IP_ADDRESS, &name("ip"), ip)),
        ("region", take(&mut resource, "", "Region")),
        ("cloud_partition", take(&mut resource, "", "Partition")),
        ("owner", object([("account", object([("uid", account)]))])),
        ("tags", tags),
        ("data", pruned(resource)),
    ])
}

fn remediation(finding: &mut Value) -> Option<Value> {
    const RECOMMENDATION: &str = "/Remediation/Recommendation";
    object([
        ("desc", take(finding, RECOMMENDATION, "Text")),
        ("references", list([take(finding, RECOMMENDATION, "Url")])),
    ])
}

fn compliance(finding: &mut Value) -> Option<Value> {
    let remediation = remediation(finding);
    let compliance = finding.get_mut("Compliance")?;
    let status = match text(compliance, "/Status") {
        "PASSED" => (1, "Pass"),
        "WARNING" => (2, "Warning"),
        "FAILED" => (3, "Fail"),
        _ => (0, "Unknown"),
    };
    if status.0 != 0 {
        take(compliance, "", "Status");
    }
    let reason = compliance.pointer_mut("/StatusReasons/0").and_then(|reason| take(reason, "", "ReasonCode"));
    let made = object([
        ("control", take(compliance, "", "SecurityControlId")),
        ("status_id", of(status.0)),
        ("status", of(status.1)),
        ("requirements", take(compliance, "", "RelatedRequirements")),
        ("standards", taken_of_each(compliance, "AssociatedStandards", "StandardsId")),
        ("status_code", reason),
        ("status_details", taken_of_each(compliance, "StatusReasons", "Description")),
        (
            "control_parameters",
            objects(take(compliance, "", "SecurityControlParameters"), |parameter| {
                object([("name", take(parameter, "", "Name")), ("values", take(parameter, "", "Value"))])
            }),
        ),
    ]);
    object([("compliance", made), ("remediation", remediation)])
}

fn vulnerabilities(finding: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    let remediation = remediation(finding);
    let source = finding.get_mut("Vulnerabilities")?.as_array_mut()?;
    let made = source
        .iter_mut()
        .enumerate()
        .map(|(number, source)| vulnerability(number, source, remediation.clone(), observables));
    let made = list(made);
    object([("vulnerabilities", made)])
}

fn vulnerability(
    number: usize,
    source: &mut Value,
    remediation: Option<Value>,
    observables: &mut Vec<Value>,
) -> Option<Value> {
    let fix = match text(source, "/FixAvailable") {
        "YES" | "PARTIAL" => of(true),
        "NO" => of(false),
        _ => None,
    };
    if fix.is_some() {
        take(source, "", "FixAvailable");
    }
    let cve_uid = format!("vulnerabilities[{number}].cve.uid");
    let cve = object([
        ("uid", seen(observables, CVE_UID, &cve_uid, take(source, "", "Id"))),
        ("created_time", take_time(source, "/Vendor", "VendorCreatedAt")),
        ("modified_time", take_time(source, "/Vendor", "VendorUpdatedAt")),
        ("epss", object([("score", take(source, "", "EpssScore").and_then(|score| of(score.to_string())))])),
        (
            "cvss",
            objects(take(source, "", "Cvss"), |cvss| {
                object([
                    ("version", take(cvss, "", "Version")),
                    ("base_score", take(cvss, "", "BaseScore")),
                    ("vector_string", take(cvss, "", "BaseVector")),
                    ("vendor_name", take(cvss, "", "Source")),
                ])
            }),
        ),
    ]);
    let packages = source.get_mut("VulnerablePackages").and_then(Value::as_array_mut);
    let packages = packages.and_then(|packages| list(packages.iter_mut().map(package)));
    object([
        ("cve", cve),
        ("remediation", remediation),
        ("vendor_name", take(source, "/Vendor", "Name")),
        ("severity", take(source, "/Vendor", "VendorSeverity")),
        ("references", take(source, "", "ReferenceUrls")),
        ("is_fix_available", fix),
        ("affected_packages", packages),
    ])
}

fn package(package: &mut Value) -> Option<Value> {
    object([
        ("name", take(package, "", "Name")),
        ("version", take(package, "", "Version")),
        ("release", take(package, "", "Release")),
        ("architecture", take(package, "", "Architecture")),
        ("package_manager", take(package, "", "PackageManager")),
        ("fixed_in_version", take(package, "", "FixedInVersion")),
        ("remediation", object([("desc", take(package, "", "Remediation"))])),
    ])
}

fn detection(finding: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    let remediation = remediation(finding);
    let evidence = finding.get_mut("ProductFields").and_then(|fields| connection(fields, observables));
    object([("is_alert", of(true)), ("remediation", remediation), ("evidences", list([evidence]))])
}

fn connection(fields: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    if fields.get("aws/guardduty/service/action/actionType")? != "NETWORK_CONNECTION" {
        return None;
    }
    let mut field =
        |name: &str| take(fields, "", &format!("aws/guardduty/service/action/networkConnectionAction/{name}"));
    let word = field("connectionDirection");
    let direction = match word.as_ref().and_then(Value::as_str) {
        Some("INBOUND") => (1, "Inbound"),
        Some("OUTBOUND") => (2, "Outbound"),
        _ => (0, "Unknown"),
    };
    let number = |text: Option<Value>| of(text?.as_str()?.parse::<i64>().ok()?);
    let ip = field("remoteIpDetails/ipAddressV4");
    let port = number(field("localPortDetails/port"));
    let made = object([
        (
            "connection_info",
            object([
                ("direction_id", of(direction.0)),
                ("direction", of(direction.1)),
                ("protocol_name", field("protocol").and_then(|text| of(text.as_str()?.to_lowercase()))),
            ]),
        ),
        (
            "src_endpoint",
            object([
                ("ip", seen(observables, IP_ADDRESS, "evidences[0].src_endpoint.ip", ip)),
                (
                    "autonomous_system",
                    object([
                        ("number", number(field("remoteIpDetails/organization/asn"))),
                        ("name", field("remoteIpDetails/organization/asnOrg")),
                    ]),
                ),
                ("location", object([("city", field("remoteIpDetails/city/cityName"))])),
            ]),
        ),
        (
            "dst_endpoint",
            object([
                ("port", seen(observables, PORT, "evidences[0].dst_endpoint.port", port)),
                ("svc_name", field("localPortDetails/portName")),
            ]),
        ),
    ]);
    // A word that is no direction stays.
    if direction.0 == 0
        && let Some(word) = word
    {
        fields["aws/guardduty/service/action/networkConnectionAction/connectionDirection"] = word;
    }
    made
}

/// The member `key` of every element of the list `name`.
fn taken_of_each(value: &mut Value, name: &str, key: &str) -> Option<Value> {
    list(value.get_mut(name)?.as_array_mut()?.iter_mut().map(|element| take(element, "", key)))
}

/// An object made of every element of a list.
fn objects(source: Option<Value>, make: impl Fn(&mut Value) -> Option<Value>) -> Option<Value> {
    let Value::Array(mut source) = source? else { return None };
    list(source.iter_mut().map(make))
}
