//! The mapping of `core.toml` by hand: the cells of the line become a `serde_json` object of text, and that a tree.

use serde_json::{Map, Value, json};
use siemline::envelope::{Context, Event, Field};
use siemline::normalize::BodyDigest;

use crate::tree::{ACCOUNT_UID, IP_ADDRESS, PORT, extend, list, object, of, seen, transformations, uid, write};

const COLUMNS: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// One end of a flow: the columns that tell it, and where its observables are.
struct End {
    address: &'static str,
    packet: &'static str,
    port: &'static str,
    service: &'static str,
    observables: [&'static str; 3],
}

const SOURCE: End = End {
    address: "srcaddr",
    packet: "pkt-srcaddr",
    port: "srcport",
    service: "pkt-src-aws-service",
    observables: ["src_endpoint.ip", "src_endpoint.intermediate_ips[0]", "src_endpoint.port"],
};

const DESTINATION: End = End {
    address: "dstaddr",
    packet: "pkt-dstaddr",
    port: "dstport",
    service: "pkt-dst-aws-service",
    observables: ["dst_endpoint.ip", "dst_endpoint.intermediate_ips[0]", "dst_endpoint.port"],
};

/// The cells of a line by the names of their columns.
type Row = Map<String, Value>;

pub fn normalize(event: &Event<'_>, digest: &BodyDigest, out: &mut Vec<u8>) {
    let line = str::from_utf8(event.body).expect("a line is text");
    let mut row = match event.context.get(Field::Header) {
        Some(header) => row(header.split(' '), line),
        None => row(COLUMNS.into_iter(), line),
    };
    let mut observables = Vec::new();
    let made = flow(&mut row, event.context, digest, &mut observables);
    write(made, observables, Value::Object(row), out);
}

fn row<'a>(columns: impl Iterator<Item = &'a str>, line: &str) -> Row {
    let mut row = Row::with_capacity(32);
    let cells = columns.zip(line.split(' ')).filter(|(_, cell)| *cell != "-");
    row.extend(cells.map(|(column, cell)| (column.to_owned(), Value::from(cell))));
    row
}

fn flow(row: &mut Row, context: &Context, digest: &BodyDigest, observables: &mut Vec<Value>) -> Value {
    let action = row.remove("action");
    let (activity, verdict) = match action.as_ref().and_then(Value::as_str) {
        Some("ACCEPT") => ((6, "Traffic"), Some((1, "Allowed", "Allowed"))),
        Some("REJECT") => ((5, "Refuse"), Some((2, "Denied", "Blocked"))),
        _ => ((0, "Unknown"), None),
    };
    let start = row.remove("start").as_ref().and_then(seconds);
    let metadata = metadata(row, context, digest);
    // Without a direction the interface is taken for the source's.
    let direction = row.remove("flow-direction");
    let inwards = direction.as_ref().is_some_and(|direction| direction == "ingress");
    let mut source = endpoint(row, &SOURCE, observables);
    let mut destination = endpoint(row, &DESTINATION, observables);
    let own = if inwards { &mut destination } else { &mut source };
    extend(own.get_or_insert_with(|| json!({})), interface(row));
    let account = row.remove("account-id");
    object([
        ("class_uid", of(4001)),
        ("class_name", of("Network Activity")),
        ("category_uid", of(4)),
        ("category_name", of("Network Activity")),
        ("activity_id", of(activity.0)),
        ("activity_name", of(activity.1)),
        ("type_uid", of(400_100 + activity.0)),
        ("type_name", of(format!("Network Activity: {}", activity.1))),
        ("severity_id", of(1)),
        ("severity", of("Informational")),
        ("time", start.clone()),
        ("start_time", start),
        ("end_time", row.remove("end").as_ref().and_then(seconds)),
        ("action_id", verdict.and_then(|verdict| of(verdict.0))),
        ("action", verdict.and_then(|verdict| of(verdict.1))),
        ("disposition_id", verdict.and_then(|verdict| of(verdict.0))),
        ("disposition", verdict.and_then(|verdict| of(verdict.2))),
        ("status_code", row.remove("log-status")),
        ("metadata", metadata),
        (
            "cloud",
            object([
                ("provider", of("AWS")),
                ("region", row.remove("region")),
                ("zone", row.remove("az-id")),
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
        ("traffic", object([("packets", number(row.remove("packets"))), ("bytes", number(row.remove("bytes")))])),
        ("connection_info", connection(row, direction.as_ref())),
        ("src_endpoint", source),
        ("dst_endpoint", destination),
    ])
    .expect("it has a class")
}

fn metadata(row: &mut Row, context: &Context, digest: &BodyDigest) -> Option<Value> {
    let interface = row.get("interface-id").and_then(Value::as_str).unwrap_or_default();
    let uid = uid("aws.vpc_flow", interface, digest);
    object([
        ("version", of("1.8.0")),
        ("profiles", of(json!(["cloud", "security_control"]))),
        ("uid", of(uid)),
        ("log_version", row.remove("version")),
        (
            "product",
            object([
                ("name", of("Amazon VPC")),
                ("vendor_name", of("AWS")),
                ("feature", object([("name", of("Flow Logs"))])),
            ]),
        ),
        ("transformation_info_list", of(transformations("aws.vpc_flow"))),
        ("original_event_uid", context.get(Field::LogEventId).map(Value::from)),
        ("logged_time", context.get(Field::LogEventTime).and_then(|time| of(time.parse::<i64>().ok()?))),
        ("log_name", context.get(Field::LogGroup).map(Value::from)),
        ("log_source", context.get(Field::LogStream).map(Value::from)),
    ])
}

/// A line without a flow has no connection.
fn connection(row: &mut Row, direction: Option<&Value>) -> Option<Value> {
    let protocol = number(row.remove("protocol"))?;
    let direction = match direction.and_then(Value::as_str) {
        Some("ingress") => (1, "Inbound"),
        Some("egress") => (2, "Outbound"),
        _ => (0, "Unknown"),
    };
    let name = match protocol.as_u64() {
        Some(1) => Some("icmp"),
        Some(6) => Some("tcp"),
        Some(17) => Some("udp"),
        _ => None,
    };
    let version = match row.remove("type").as_ref().and_then(Value::as_str) {
        Some("IPv4") => Some((4, "Internet Protocol version 4 (IPv4)")),
        Some("IPv6") => Some((6, "Internet Protocol version 6 (IPv6)")),
        _ => None,
    };
    object([
        ("direction_id", of(direction.0)),
        ("direction", of(direction.1)),
        ("protocol_num", Some(protocol)),
        ("protocol_name", name.map(Value::from)),
        ("protocol_ver_id", version.map(|version| version.0.into())),
        ("protocol_ver", version.map(|version| version.1.into())),
        ("tcp_flags", number(row.remove("tcp-flags"))),
    ])
}

fn endpoint(row: &mut Row, end: &End, observables: &mut Vec<Value>) -> Option<Value> {
    let outer = row.remove(end.address);
    let (ip, between) = match row.get(end.packet) {
        Some(packet) if outer.as_ref().is_some_and(|outer| outer != packet) => (row.remove(end.packet), outer),
        _ => (outer, None),
    };
    let [ip_name, between_name, port_name] = end.observables;
    object([
        ("ip", seen(observables, IP_ADDRESS, ip_name, ip)),
        ("intermediate_ips", list([seen(observables, IP_ADDRESS, between_name, between)])),
        ("port", seen(observables, PORT, port_name, number(row.remove(end.port)))),
        ("svc_name", row.remove(end.service)),
    ])
}

/// What belongs to the end whose interface logged the flow.
fn interface(row: &mut Row) -> Option<Value> {
    object([
        ("interface_uid", row.remove("interface-id")),
        ("vpc_uid", row.remove("vpc-id")),
        ("subnet_uid", row.remove("subnet-id")),
        ("instance_uid", row.remove("instance-id")),
    ])
}

fn number(cell: Option<Value>) -> Option<Value> {
    of(cell?.as_str()?.parse::<i64>().ok()?)
}

fn seconds(cell: &Value) -> Option<Value> {
    of(cell.as_str()?.parse::<i64>().ok()? * 1_000)
}
