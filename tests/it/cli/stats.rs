//! Recounts what `normalize --stats` says: each leaf of the input is looked for in the output, which knows nothing of rules.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use siemline::ocsf::{Attribute, AttributeType, Shape, Table};

use super::{Ended, Home, json_lines};

/// Where a leaf was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Typed,
    FreeForm,
    Unmapped,
}

/// The events that are recounted. No two leaves of an event have the same value, so that a value tells its leaf.
fn samples() -> Vec<(&'static str, Value)> {
    vec![
        (
            "aws.guardduty",
            json!({
                "schemaVersion": "2.0", "accountId": "111122220001", "region": "eu-west-1", "partition": "aws",
                "id": "f0000000000000000000000000000001",
                "arn": "arn:aws:guardduty:eu-west-1:111122220001:detector/d1/finding/f1",
                "type": "UnauthorizedAccess:EC2/SSHBruteForce", "severity": 5.5, "title": "Somebody tries keys", "description": "Many tries.",
                "createdAt": "2026-01-02T03:04:05.001Z", "updatedAt": "2026-01-02T03:04:05.002Z",
                "resource": { "resourceType": "Instance", "instanceDetails": {
                    "instanceId": "i-0123456789EXAMPLE", "instanceType": "t3.large", "launchTime": "2026-01-01T00:00:00.003Z",
                    "tags": [{ "key": "team", "value": "shop" }, { "key": "stage", "value": "live" }],
                    "newerDetail": { "depth": 4711, "names": ["one of them", "the other"] },
                } },
                "service": {
                    "serviceName": "guardduty", "detectorId": "d0000000000000000000000000000002", "count": 17,
                    "eventFirstSeen": "2026-01-02T03:04:05.004Z", "eventLastSeen": "2026-01-02T03:04:05.005Z",
                    "userFeedback": "USEFUL IT WAS",
                    "action": { "actionType": "NETWORK_CONNECTION", "networkConnectionAction": {
                        "connectionDirection": "INBOUND", "protocol": "TCP",
                        "localPortDetails": { "port": 22, "portName": "SSH" },
                        "remotePortDetails": { "port": 50123, "portName": "Unknown port" },
                        "localIpDetails": { "ipAddressV4": "10.0.0.9" },
                        "remoteIpDetails": { "ipAddressV4": "198.51.100.7",
                            "organization": { "asn": "64500", "asnOrg": "Example AS", "isp": "Example ISP", "org": "Example Org" },
                            "country": { "countryName": "Exampleland" }, "city": { "cityName": "Sampleton" },
                            "geoLocation": { "lat": 1.25, "lon": 2.5 } },
                    } },
                },
            }),
        ),
        (
            "aws.cloudtrail",
            json!({
                "eventVersion": "1.11", "eventTime": "2026-01-02T03:04:06Z", "eventSource": "iam.amazonaws.com",
                "eventName": "CreateUser", "awsRegion": "eu-west-2", "sourceIPAddress": "198.51.100.8",
                "userAgent": "own-tool/1.0", "requestID": "r-1", "eventID": "c0000000-0000-4000-8000-000000000003",
                "eventType": "AwsApiCall", "eventCategory": "Management", "recipientAccountId": "111122220004",
                "userIdentity": { "type": "IAMUser", "principalId": "AIDAONEEXAMPLE", "userName": "one",
                    "arn": "arn:aws:iam::111122220005:user/one", "accountId": "111122220005", "accessKeyId": "AKIAONEEXAMPLE" },
                "requestParameters": { "userName": "two", "path": "/folk/" },
                "tlsDetails": { "tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "iam.example.com" },
                "somethingNew": { "answer": 4242, "words": ["nobody", "mapped"] },
            }),
        ),
        ("base", json!({ "kind": "own", "numbers": [7, 8.5], "deep": { "deeper": "text" }, "none": null, "void": [] })),
    ]
}

/// Leaves whose output is a word of another vocabulary: the leaf, the place in the output, and what stands there.
const TRANSLATED: [(&str, &str, &str); 2] = [
    (".resource.resourceType", "/resources/0/type", "AWS::EC2::Instance"),
    (".userIdentity.type", "/actor/user/type", "User"),
];

/// All leaves of a document with their paths: texts, numbers and booleans.
fn leaves<'v>(value: &'v Value, path: &str, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), found));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{path}.{at}"), found));
        }
        leaf => found.push((path.to_owned(), leaf)),
    }
}

/// Sorts the leaves of an OCSF event by where the schema puts them.
#[derive(Default)]
struct Places {
    typed: Vec<Value>,
    free_form: Vec<Value>,
    /// By the path below `unmapped`, which is the leaf's own.
    unmapped: BTreeMap<String, Value>,
}

impl Places {
    fn of(event: &Value) -> Self {
        let mut places = Self::default();
        let class = Table::v1_8().class_by_uid(u32::try_from(event["class_uid"].as_u64().unwrap()).unwrap()).unwrap();
        for (key, value) in event.as_object().unwrap() {
            match key.as_str() {
                // What stands here stands elsewhere too.
                "observables" => {}
                "unmapped" => {
                    let mut found = Vec::new();
                    leaves(value, "", &mut found);
                    places.unmapped.extend(found.into_iter().map(|(path, value)| (path, value.clone())));
                }
                _ => places.attribute(class.shape.attribute(key).unwrap(), value),
            }
        }
        places
    }

    fn attribute(&mut self, attribute: &Attribute, value: &Value) {
        let table = Table::v1_8();
        match (table.object_of(attribute), value) {
            (Some(object), _) if is_free_form(&object.shape) => self.all(value),
            (Some(object), Value::Object(members)) => {
                for (key, value) in members {
                    self.attribute(object.shape.attribute(key).unwrap(), value);
                }
            }
            (Some(_), Value::Array(elements)) => elements.iter().for_each(|value| self.attribute(attribute, value)),
            _ if attribute.attribute_type == AttributeType::Json || attribute.name == "labels" => self.all(value),
            _ => {
                let mut found = Vec::new();
                leaves(value, "", &mut found);
                self.typed.extend(found.into_iter().map(|(_, value)| value.clone()));
            }
        }
    }

    fn all(&mut self, value: &Value) {
        let mut found = Vec::new();
        leaves(value, "", &mut found);
        self.free_form.extend(found.into_iter().map(|(_, value)| value.clone()));
    }

    /// Where a leaf of the input is kept. One that is in `unmapped` was not consumed; a typed attribute may show a part of
    /// it all the same.
    fn find(&self, path: &str, leaf: &Value) -> Option<Kept> {
        let shown = |places: &[Value]| places.iter().any(|place| is_same(leaf, place));
        if self.unmapped.get(path) == Some(leaf) {
            Some(Kept::Unmapped)
        } else if shown(&self.typed) {
            Some(Kept::Typed)
        } else if shown(&self.free_form) {
            Some(Kept::FreeForm)
        } else {
            None
        }
    }
}

fn is_free_form(shape: &Shape) -> bool {
    shape.name == "key_value_object" || shape.is_open()
}

/// Whether the output's value is the whole of the input's: itself, as a number, as milliseconds, or as the caption of its
/// enumeration.
fn is_same(leaf: &Value, place: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (leaf, place) = (text(leaf), text(place));
    let time = leaf.parse::<jiff::Timestamp>().map(|time| time.as_millisecond().to_string());
    leaf == place || time.is_ok_and(|time| time == place) || leaf.eq_ignore_ascii_case(&place)
}

/// The row of a log type: events, leaves, typed, free-form, unmapped, ignored.
fn row(ended: &Ended, log_type: &str) -> [u64; 6] {
    let line = ended.line(&format!("{log_type} "));
    let whole: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    whole.try_into().unwrap_or_else(|whole| panic!("{whole:?}: {line}"))
}

#[test]
fn the_table_is_what_a_recount_finds() {
    let home = Home::new();
    for (log_type, input) in samples() {
        let ended = home.siemline_fed(&["normalize", "--stats"], format!("{input}\n").as_bytes());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let [output] = json_lines(&ended.out).try_into().unwrap();
        let places = Places::of(&output);
        let mut found = Vec::new();
        leaves(&input, "", &mut found);
        let mut counts = BTreeMap::from([(Kept::Typed, 0), (Kept::FreeForm, 0), (Kept::Unmapped, 0)]);
        for (path, leaf) in &found {
            let translated = TRANSLATED
                .iter()
                .any(|(from, to, word)| from == path && output.pointer(to).is_some_and(|place| place == word));
            let kept = places.find(path, leaf).or(translated.then_some(Kept::Typed));
            let Some(kept) = kept else { panic!("{path} is lost: {leaf}\n{output:#}") };
            *counts.get_mut(&kept).unwrap() += 1;
        }
        let recounted =
            [1, found.len() as u64, counts[&Kept::Typed], counts[&Kept::FreeForm], counts[&Kept::Unmapped], 0];
        assert_eq!(row(&ended, log_type), recounted, "{log_type}: {counts:?}\n{output:#}\n{}", ended.err);
    }
}

/// Guards that the table adds up and has a row for each log type.
#[test]
fn the_table_has_a_row_for_each_log_type() {
    let home = Home::new();
    let input: String = samples().iter().flat_map(|(_, event)| [format!("{event}\n"), format!("{event}\n")]).collect();
    let ended = home.siemline_fed(&["normalize", "--stats"], input.as_bytes());
    let header = ended.line("log type ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(header, "log type events leaves typed free-form unmapped ignored");
    for (log_type, input) in samples() {
        let [events, all, typed, free_form, unmapped, ignored] = row(&ended, log_type);
        let mut found = Vec::new();
        leaves(&input, "", &mut found);
        assert_eq!((events, all), (2, 2 * found.len() as u64), "{log_type}");
        assert_eq!(typed + free_form + unmapped + ignored, all, "{log_type}");
    }
}
