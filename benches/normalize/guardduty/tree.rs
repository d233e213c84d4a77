//! The mapping of `core.toml` by hand: a `serde_json` tree in, a tree out, the way such programs are usually written.
//!
//! What an attribute takes is taken out of the tree, so that what is left of it is `unmapped`.

use serde_json::{Value, json};
use siemline::envelope::{Context, Event, Field};
use siemline::normalize::BodyDigest;

use crate::tree::{pruned, take, time, transformations, uid};

pub fn normalize(event: &Event<'_>, digest: &BodyDigest, out: &mut Vec<u8>) {
    let context = event.context;
    let mut event: Value = serde_json::from_slice(event.body).expect("a finding is JSON");
    let mut observables = Vec::new();
    let made = finding(&mut event, context, digest, &mut observables);
    let Value::Object(mut made) = made else { unreachable!("a finding is an object") };
    made.insert("observables".to_owned(), Value::Array(observables));
    if let Some(rest) = pruned(event) {
        made.insert("unmapped".to_owned(), rest);
    }
    serde_json::to_writer(out, &made).expect("a tree serialises");
}

fn finding(event: &mut Value, context: &Context, digest: &BodyDigest, observables: &mut Vec<Value>) -> Value {
    let region = text(event, "/region");
    let id = text(event, "/id");
    let arn = text(event, "/arn");
    let kind = text(event, "/type");
    let title = text(event, "/title");
    let updated = time(event, "/updatedAt");
    let first_seen = time(event, "/service/eventFirstSeen");
    let last_seen = time(event, "/service/eventLastSeen");
    let count = event.pointer("/service/count").and_then(Value::as_i64);
    let activity = if count == Some(1) { 1 } else { 2 };
    let archived = event.pointer("/service/archived").and_then(Value::as_bool) == Some(true);
    let severity = event.pointer("/severity").and_then(Value::as_f64).unwrap_or(0.0);
    let severity = match severity {
        9.0.. => (5, "Critical"),
        7.0.. => (4, "High"),
        4.0.. => (3, "Medium"),
        1.0.. => (2, "Low"),
        _ => (0, "Unknown"),
    };
    let account = text(event, "/accountId");
    observe(observables, "cloud.account.uid", 35, "Account Object: uid", &account);
    let resource = resource(event, &region, observables);
    let evidence = evidence(event, observables);
    let src_url = format!(
        "https://{region}.console.aws.amazon.com/guardduty/home?region={region}#/findings?macros=current&fId={id}"
    );
    observe(observables, "finding_info.src_url", 6, "URL String", &src_url);
    let made = json!({
        "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": activity, "activity_name": if activity == 1 { "Create" } else { "Update" },
        "type_uid": 200_400 + activity,
        "type_name": if activity == 1 { "Detection Finding: Create" } else { "Detection Finding: Update" },
        "severity_id": severity.0, "severity": severity.1,
        "status_id": if archived { 5 } else { 1 }, "status": if archived { "Archived" } else { "New" },
        "is_alert": true, "time": updated, "message": title, "count": count, "start_time": first_seen, "end_time": last_seen,
        "cloud": {
            "provider": "AWS", "region": region, "cloud_partition": text(event, "/partition"),
            "account": {"uid": account, "type_id": 10, "type": "AWS Account"},
        },
        "metadata": {
            "version": "1.8.0", "profiles": ["cloud"], "uid": uid("aws.guardduty", &arn, digest), "log_version": text(event, "/schemaVersion"),
            "event_code": kind, "product": {"name": "GuardDuty", "vendor_name": "AWS"},
            "transformation_info_list": transformations("aws.guardduty"),
            "original_event_uid": context.get(Field::Id), "original_time": context.get(Field::Time),
        },
        "finding_info": {
            "uid": arn, "uid_alt": id, "title": title, "desc": text(event, "/description"), "types": [kind],
            "created_time": time(event, "/createdAt"), "modified_time": updated, "first_seen_time": first_seen,
            "last_seen_time": last_seen, "src_url": src_url,
            "analytic": {"name": kind, "type_id": 1, "type": "Rule", "uid": text(event, "/service/detectorId")},
        },
        "resources": [resource], "evidences": [evidence],
    });
    for path in [
        "region",
        "id",
        "arn",
        "type",
        "title",
        "updatedAt",
        "accountId",
        "partition",
        "schemaVersion",
        "description",
        "createdAt",
    ] {
        take(event, "", path);
    }
    for path in ["eventFirstSeen", "eventLastSeen", "count", "detectorId", "resourceRole"] {
        take(event, "/service", path);
    }
    made
}

fn resource(event: &mut Value, region: &str, observables: &mut Vec<Value>) -> Value {
    let role = match event.pointer("/service/resourceRole").and_then(Value::as_str) {
        Some("TARGET") => (1, "Target"),
        Some("ACTOR") => (2, "Actor"),
        _ => (0, "Unknown"),
    };
    let mut details = take(event, "/resource", "instanceDetails").unwrap_or_default();
    let taken = |details: &mut Value, base: &str, key: &str| take(details, base, key).unwrap_or_default();
    let uid = taken(&mut details, "", "instanceId");
    let hostname = taken(&mut details, "/networkInterfaces/0", "privateDnsName");
    let ip = taken(&mut details, "/networkInterfaces/0", "privateIpAddress");
    let created = time(&details, "/launchTime");
    take(&mut details, "", "launchTime");
    observe(observables, "resources[0].hostname", 1, "Hostname", hostname.as_str().unwrap_or_default());
    observe(observables, "resources[0].ip", 2, "IP Address", ip.as_str().unwrap_or_default());
    observe(observables, "resources[0].uid", 10, "Resource UID", uid.as_str().unwrap_or_default());
    let mut tags = Vec::new();
    if let Value::Array(source) = taken(&mut details, "", "tags") {
        for mut tag in source {
            tags.push(json!({"name": taken(&mut tag, "", "key"), "value": taken(&mut tag, "", "value")}));
        }
    }
    let mut made = json!({
        "type": "AWS::EC2::Instance", "uid": uid, "zone": taken(&mut details, "", "availabilityZone"),
        "created_time": created, "region": region, "ip": ip, "hostname": hostname, "role_id": role.0, "role": role.1,
        "tags": tags,
    });
    if let Some(rest) = pruned(details) {
        made["data"] = rest;
    }
    made
}

fn evidence(event: &mut Value, observables: &mut Vec<Value>) -> Value {
    let mut action = take(event, "/service/action", "networkConnectionAction").unwrap_or_default();
    let direction = match action.pointer("/connectionDirection").and_then(Value::as_str) {
        Some("INBOUND") => (1, "Inbound"),
        Some("OUTBOUND") => (2, "Outbound"),
        _ => (0, "Unknown"),
    };
    if direction.0 != 0 {
        take(&mut action, "", "connectionDirection");
    }
    let protocol = text(&action, "/protocol").to_lowercase();
    take(&mut action, "", "protocol");
    let (local_name, remote_name) = if direction.0 == 1 { ("dst", "src") } else { ("src", "dst") };
    let remote = remote(&mut action, remote_name, observables);
    let local = local(&mut action, local_name, observables);
    let (source, destination) = if direction.0 == 1 { (remote, local) } else { (local, remote) };
    let mut made = json!({
        "connection_info": {"direction_id": direction.0, "direction": direction.1, "protocol_name": protocol},
        "src_endpoint": source, "dst_endpoint": destination,
    });
    if let Some(rest) = pruned(action) {
        made["data"] = rest;
    }
    made
}

fn remote(action: &mut Value, side: &str, observables: &mut Vec<Value>) -> Value {
    let mut remote = take(action, "", "remoteIpDetails").unwrap_or_default();
    let ip = take(&mut remote, "", "ipAddressV4").unwrap_or_default();
    let port = take(action, "/remotePortDetails", "port").unwrap_or_default();
    let country = take(&mut remote, "/country", "countryCode").unwrap_or_default();
    let name = |what: &str| format!("evidences[0].{side}_endpoint.{what}");
    observe(observables, &name("ip"), 2, "IP Address", ip.as_str().unwrap_or_default());
    observe(observables, &name("port"), 11, "Port", &port.to_string());
    observe(observables, &name("location.country"), 14, "Country", country.as_str().unwrap_or_default());
    let mut organization = take(&mut remote, "", "organization").unwrap_or_default();
    let mut of_it = |key: &str| take(&mut organization, "", key).unwrap_or_default();
    let made = json!({
        "ip": ip, "port": port,
        "autonomous_system": {
            "number": of_it("asn").as_str().and_then(|text| text.parse::<i64>().ok()), "name": of_it("asnOrg"),
        },
        "isp": of_it("isp"), "isp_org": of_it("org"),
        "location": {
            "city": take(&mut remote, "/city", "cityName"), "country": country,
            "lat": take(&mut remote, "/geoLocation", "lat"), "long": take(&mut remote, "/geoLocation", "lon"),
        },
    });
    action["remoteIpDetails"] = remote;
    made
}

fn local(action: &mut Value, side: &str, observables: &mut Vec<Value>) -> Value {
    let ip = take(action, "/localIpDetails", "ipAddressV4").unwrap_or_default();
    let port = take(action, "/localPortDetails", "port").unwrap_or_default();
    let name = |what: &str| format!("evidences[0].{side}_endpoint.{what}");
    observe(observables, &name("ip"), 2, "IP Address", ip.as_str().unwrap_or_default());
    observe(observables, &name("port"), 11, "Port", &port.to_string());
    json!({
        "ip": ip, "port": port, "svc_name": take(action, "/localPortDetails", "portName"),
        "interface_uid": take(action, "", "localNetworkInterface"),
    })
}

fn observe(observables: &mut Vec<Value>, name: &str, type_id: u32, caption: &str, value: &str) {
    observables.push(json!({"name": name, "type_id": type_id, "type": caption, "value": value}));
}

fn text(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}
