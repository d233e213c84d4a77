//! The mapping of `core.toml` by hand. What two attributes hold is copied, everything else is taken out of the tree.

use serde_json::{Value, json};
use siemline::envelope::Event;
use siemline::normalize::BodyDigest;

use crate::tree::{
    ACCOUNT_UID, HOSTNAME, IP_ADDRESS, Kind, RESOURCE_UID, USER_NAME, copy, extend, list, object, of, pruned, seen,
    take, take_time, text, transformations, write,
};

const USER_AGENT: Kind = (16, "HTTP User-Agent");
const CREDENTIAL_UID: Kind = (19, "User Credential ID");
const USER_UID: Kind = (31, "User Object: uid");
const GROUP_NAME: Kind = (32, "Group Object: name");
const GROUP_UID: Kind = (33, "Group Object: uid");
const RESOURCE_NAME: Kind = (38, "Resource Details Object: name");
const ENDPOINT_UID: Kind = (48, "Network Endpoint Object: uid");

pub fn normalize(event: &Event<'_>, _digest: &BodyDigest, out: &mut Vec<u8>) {
    let mut record: Value = serde_json::from_slice(event.body).expect("a record is JSON");
    let mut observables = Vec::new();
    // What belongs to one class reads what the common part takes away.
    let of_class = match text(&record, "/eventName") {
        "ConsoleLogin" | "AssumeRole" => authentication(&mut record, &mut observables),
        "CreateUser" | "DeleteUser" | "CreateAccessKey" | "AttachUserPolicy" | "DetachUserPolicy" => {
            account_change(&record, &mut observables)
        }
        "CreateGroup" | "AddUserToGroup" | "RemoveUserFromGroup" | "AttachGroupPolicy" => {
            group_management(&record, &mut observables)
        }
        _ => api_activity(&mut record, &mut observables),
    };
    let mut made = common(&mut record, &mut observables);
    extend(&mut made, of_class);
    write(made, observables, record, out);
}

fn common(record: &mut Value, observables: &mut Vec<Value>) -> Value {
    let status = match (record.get("errorCode"), text(record, "/responseElements/ConsoleLogin")) {
        (Some(_), _) | (None, "Failure") => (2, "Failure"),
        _ => (1, "Success"),
    };
    let partition = text(record, "/userIdentity/arn").split(':').nth(1).map(Value::from);
    let actor = actor(record, observables);
    let account = take(record, "", "recipientAccountId");
    let (error, message) = (take(record, "", "errorCode"), take(record, "", "errorMessage"));
    let user_agent = seen(observables, USER_AGENT, "http_request.user_agent", take(record, "", "userAgent"));
    let address = take(record, "", "sourceIPAddress");
    let is_address =
        address.as_ref().and_then(Value::as_str).is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok());
    let (ip, domain) = if is_address { (address, None) } else { (None, address) };
    object([
        ("severity_id", of(1)),
        ("severity", of("Informational")),
        ("time", take_time(record, "", "eventTime")),
        ("status_id", of(status.0)),
        ("status", of(status.1)),
        ("status_code", error.clone()),
        ("status_detail", message.clone()),
        ("metadata", metadata(record)),
        (
            "cloud",
            object([
                ("provider", of("AWS")),
                ("region", take(record, "", "awsRegion")),
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
        (
            "api",
            object([
                ("operation", take(record, "", "eventName")),
                ("service", object([("name", take(record, "", "eventSource"))])),
                (
                    "request",
                    object([
                        ("uid", take(record, "", "requestID")),
                        ("data", take(record, "", "requestParameters").and_then(pruned)),
                    ]),
                ),
                (
                    "response",
                    object([
                        ("error", error),
                        ("message", message),
                        ("data", take(record, "", "responseElements").and_then(pruned)),
                    ]),
                ),
            ]),
        ),
        ("actor", actor),
        (
            "src_endpoint",
            object([
                ("ip", seen(observables, IP_ADDRESS, "src_endpoint.ip", ip)),
                ("domain", domain),
                ("uid", seen(observables, ENDPOINT_UID, "src_endpoint.uid", take(record, "", "vpcEndpointId"))),
            ]),
        ),
        ("http_request", object([("user_agent", user_agent)])),
    ])
    .expect("it has a severity")
}

fn metadata(record: &mut Value) -> Option<Value> {
    let read_only = take(record, "", "readOnly").and_then(|value| of(value.to_string()));
    object([
        ("version", of("1.8.0")),
        ("profiles", of(json!(["cloud"]))),
        ("uid", take(record, "", "eventID")),
        ("event_code", take(record, "", "eventType")),
        (
            "product",
            object([
                ("name", of("CloudTrail")),
                ("vendor_name", of("AWS")),
                ("version", take(record, "", "eventVersion")),
                ("feature", object([("name", take(record, "", "eventCategory"))])),
            ]),
        ),
        ("tags", list([object([("name", of("readOnly")), ("value", read_only)])])),
        ("transformation_info_list", of(transformations("aws.cloudtrail"))),
    ])
}

fn actor(record: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    const ISSUER: &str = "/userIdentity/sessionContext/sessionIssuer";
    const ATTRIBUTES: &str = "/userIdentity/sessionContext/attributes";
    let user = caller(record, "actor.user", observables);
    let is_mfa = take(record, ATTRIBUTES, "mfaAuthenticated").and_then(|text| of(text == "true"));
    let key = take(record, "/userIdentity", "accessKeyId");
    for (base, taken) in [
        ("/userIdentity", ["arn", "principalId", "userName", "accountId"].as_slice()),
        (
            ISSUER,
            if user.is_some() && record.pointer("/userIdentity/userName").is_none() { &["userName"] } else { &[] },
        ),
    ] {
        for key in taken {
            take(record, base, key);
        }
    }
    if user.is_some() {
        take(record, "/userIdentity", "type");
    }
    object([
        ("app_name", take(record, "/userIdentity", "invokedBy")),
        (
            "session",
            object([
                ("uid", take(record, ISSUER, "principalId")),
                ("issuer", take(record, ISSUER, "arn")),
                ("created_time", take_time(record, ATTRIBUTES, "creationDate")),
                ("is_mfa", is_mfa),
                ("credential_uid", seen(observables, CREDENTIAL_UID, "actor.session.credential_uid", key)),
            ]),
        ),
        ("user", user),
    ])
}

/// Who called, by copies: two attributes may hold it.
fn caller(record: &Value, target: &str, observables: &mut Vec<Value>) -> Option<Value> {
    let uid = copy(record, "/userIdentity/arn")?;
    let name = copy(record, "/userIdentity/userName")
        .or_else(|| copy(record, "/userIdentity/sessionContext/sessionIssuer/userName"));
    let account = copy(record, "/userIdentity/accountId");
    let kind = match text(record, "/userIdentity/type") {
        "IAMUser" => (1, "User"),
        "Root" => (2, "Admin"),
        "AWSService" => (4, "Service"),
        other => (99, other),
    };
    object([
        ("uid", seen(observables, USER_UID, &format!("{target}.uid"), Some(uid))),
        ("uid_alt", copy(record, "/userIdentity/principalId")),
        ("name", seen(observables, USER_NAME, &format!("{target}.name"), name)),
        ("account", object([("uid", seen(observables, ACCOUNT_UID, &format!("{target}.account.uid"), account))])),
        ("type_id", of(kind.0)),
        ("type", of(kind.1)),
    ])
}

fn class(uid: u32, name: &str, category: &str, activity: (u32, &str)) -> Option<Value> {
    of(json!({
        "class_uid": uid, "class_name": name, "category_uid": uid / 1000, "category_name": category,
        "activity_id": activity.0, "activity_name": activity.1, "type_uid": uid * 100 + activity.0,
        "type_name": format!("{name}: {}", if activity.0 == 99 { "Other" } else { activity.1 }),
    }))
}

fn with_class(of_class: Option<Value>, more: Option<Value>) -> Option<Value> {
    let mut made = of_class?;
    extend(&mut made, more);
    Some(made)
}

fn authentication(record: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    let user = if text(record, "/eventName") == "AssumeRole" {
        let uid = seen(observables, USER_UID, "user.uid", copy(record, "/requestParameters/roleArn"));
        let name = seen(observables, USER_NAME, "user.name", copy(record, "/requestParameters/roleSessionName"));
        let account = record.pointer_mut("/resources/0").and_then(|role| take(role, "", "accountId"));
        let account = object([("uid", seen(observables, ACCOUNT_UID, "user.account.uid", account))]);
        object([("uid", uid), ("name", name), ("account", account)])
    } else {
        caller(record, "user", observables)
    };
    let is_mfa = take(record, "/additionalEventData", "MFAUsed")
        .map(|text| text == "Yes")
        .or_else(|| Some(record.pointer("/userIdentity/sessionContext/attributes/mfaAuthenticated")? == "true"));
    let credential = copy(record, "/responseElements/credentials/accessKeyId");
    let session = object([
        ("uid", copy(record, "/responseElements/assumedRoleUser/arn")),
        ("uid_alt", copy(record, "/responseElements/assumedRoleUser/assumedRoleId")),
        ("credential_uid", seen(observables, CREDENTIAL_UID, "session.credential_uid", credential)),
    ]);
    with_class(
        class(3002, "Authentication", "Identity & Access Management", (1, "Logon")),
        object([
            ("service", object([("name", copy(record, "/eventSource"))])),
            ("user", user),
            ("is_mfa", is_mfa.map(Value::from)),
            ("session", session),
            ("dst_endpoint", destination(record, observables)),
        ]),
    )
}

fn account_change(record: &Value, observables: &mut Vec<Value>) -> Option<Value> {
    let activity = match text(record, "/eventName") {
        "CreateUser" | "CreateAccessKey" => (1, "Create"),
        "DeleteUser" => (6, "Delete"),
        "AttachUserPolicy" => (7, "Attach Policy"),
        _ => (8, "Detach Policy"),
    };
    let name = seen(observables, USER_NAME, "user.name", copy(record, "/requestParameters/userName"));
    let uid = seen(observables, USER_UID, "user.uid", copy(record, "/responseElements/user/arn"));
    with_class(
        class(3001, "Account Change", "Identity & Access Management", activity),
        object([
            (
                "user",
                object([("name", name), ("uid", uid), ("uid_alt", copy(record, "/responseElements/user/userId"))]),
            ),
            ("policies", list([object([("uid", copy(record, "/requestParameters/policyArn"))])])),
        ]),
    )
}

fn group_management(record: &Value, observables: &mut Vec<Value>) -> Option<Value> {
    let activity = match text(record, "/eventName") {
        "AttachGroupPolicy" => (1, "Assign Privileges"),
        "AddUserToGroup" => (3, "Add User"),
        "RemoveUserFromGroup" => (4, "Remove User"),
        _ => (6, "Create"),
    };
    let user = seen(observables, USER_NAME, "user.name", copy(record, "/requestParameters/userName"));
    with_class(
        class(3006, "Group Management", "Identity & Access Management", activity),
        object([
            (
                "group",
                object([
                    ("name", seen(observables, GROUP_NAME, "group.name", copy(record, "/requestParameters/groupName"))),
                    ("uid", seen(observables, GROUP_UID, "group.uid", copy(record, "/responseElements/group/arn"))),
                ]),
            ),
            ("user", object([("name", user)])),
            ("privileges", list([copy(record, "/requestParameters/policyArn")])),
        ]),
    )
}

fn api_activity(record: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    let name = text(record, "/eventName");
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let activity = if starts(&["Create", "Run", "Generate"]) {
        (1, "Create")
    } else if starts(&["Get", "List", "Describe"]) {
        (2, "Read")
    } else if starts(&["Put", "Update", "Modify"]) {
        (3, "Update")
    } else if starts(&["Delete", "Terminate"]) {
        (4, "Delete")
    } else {
        (99, name)
    };
    let of_class = class(6003, "API Activity", "Application Activity", activity);
    let mut resources = Vec::new();
    if let Some(Value::Array(source)) = record.get_mut("resources") {
        for (number, resource) in source.iter_mut().enumerate() {
            let name = |what: &str| format!("resources[{number}].{what}");
            let account = seen(observables, ACCOUNT_UID, &name("owner.account.uid"), take(resource, "", "accountId"));
            resources.push(object([
                ("uid", seen(observables, RESOURCE_UID, &name("uid"), take(resource, "", "ARN"))),
                ("type", take(resource, "", "type")),
                ("owner", object([("account", object([("uid", account)]))])),
            ]));
        }
    }
    if let Some(issuer) = record.pointer_mut("/userIdentity/sessionContext/sessionIssuer") {
        let name = |what: &str| format!("resources[{}].{what}", resources.len());
        let account = seen(observables, ACCOUNT_UID, &name("owner.account.uid"), take(issuer, "", "accountId"));
        let lent = object([
            ("uid", seen(observables, RESOURCE_UID, &name("uid"), copy(issuer, "/arn"))),
            ("type", of("AWS::IAM::Role")),
            ("name", seen(observables, RESOURCE_NAME, &name("name"), copy(issuer, "/userName"))),
            ("owner", object([("account", object([("uid", account)]))])),
            ("role_id", of(2)),
            ("role", of("Actor")),
        ]);
        resources.push(lent);
    }
    with_class(of_class, object([("dst_endpoint", destination(record, observables)), ("resources", list(resources))]))
}

fn destination(record: &mut Value, observables: &mut Vec<Value>) -> Option<Value> {
    let host = take(record, "/tlsDetails", "clientProvidedHostHeader");
    object([("hostname", seen(observables, HOSTNAME, "dst_endpoint.hostname", host))])
}
