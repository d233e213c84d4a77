//! Words of the mapping language that need more than a look at one leaf: `as = "count"` and `later`.

use super::*;
use crate::envelope::{Context, Event, Field, Form};

const MAPPING: &str = "[mapping]\nlog_type = \"acme.x\"\nclass = \"base_event\"\nprofiles = [\"cloud\"]\n[[match]]\nacme = 1\n\
    [set]\ntime = { value = 7 }\nseverity_id = { value = 1 }\n\"metadata.product.name\" = { value = \"P\" }\n\
    count = { first = [\"few\", \"many\"], as = \"count\" }\n\
    message = { cases = [{ when = { later = [\"a\", \"b\"] }, value = \"later\" }] }\n\
    status = { cases = [{ when = { later = [\"@envelope.time\", \"b\"] }, value = \"told later\" }] }\n";

fn normalize(members: &str) -> Value {
    static MAPPINGS: LazyLock<Arc<Mappings>> = LazyLock::new(|| {
        let sources = Sources::embedded().with_directory(vec![("own.toml".to_owned(), MAPPING.to_owned())]);
        let loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
        Arc::new(Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).expect("they compile"))
    });
    let mut context = Context::default();
    context.set(Field::Time, "2025-03-04T08:00:00Z");
    let body = format!("{{\"acme\":1,{members}}}");
    let mut out = Vec::new();
    let event = Event { index: 0, body: body.as_bytes(), form: Form::Json, context: &context };
    Normalizer::new(Arc::clone(&MAPPINGS)).normalize(&event, &digest(body.as_bytes()), &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

/// Members are counted where there are some, and stay for others; what is no container has no count.
#[test]
fn members_are_counted_and_not_consumed() {
    for (members, expect) in [
        (r#""few":[1,2,3]"#, Some(3)),
        (r#""few":[[1,2],{"x":[1]},"s"]"#, Some(3)),
        (r#""few":{"x":1,"y":{"z":2}}"#, Some(2)),
        // What is not there is no member, and no member is no value.
        (r#""few":[null,{},[],"",0,false]"#, Some(3)),
        (r#""few":[null],"many":[1]"#, Some(1)),
        (r#""few":[],"many":{"x":1}"#, Some(1)),
        (r#""few":[{}]"#, None),
        (r#""few":"three""#, None),
        (r#""few":3"#, None),
        (r#""few":null"#, None),
        (r#""none":[1]"#, None),
    ] {
        let event = normalize(members);
        assert_eq!(event.get("count").and_then(Value::as_i64), expect, "{members}");
        if expect.is_some() {
            assert!(event["unmapped"].get("few").is_some() || event["unmapped"].get("many").is_some(), "{event}");
        }
    }
}

/// Two times are compared as times, whatever their spelling, and anything else is not later.
#[test]
fn a_later_time_is_later_in_any_spelling() {
    for (members, expect) in [
        (r#""a":"2025-03-04T08:00:00.001Z","b":"2025-03-04T08:00:00Z""#, true),
        (r#""a":"2025-03-04T08:00:00Z","b":"2025-03-04T08:00:00.000Z""#, false),
        (r#""a":"2025-03-04T08:00:00Z","b":"2025-03-04T08:00:01Z""#, false),
        // As text it would be earlier.
        (r#""a":"2025-03-04T07:30:00Z","b":"2025-03-04T08:00:00+01:00""#, true),
        (r#""a":1741075201,"b":"Tue Mar 04 08:00:00 UTC 2025""#, true),
        (r#""a":"1741075201000","b":1741075200.5"#, true),
        (r#""a":"Mar 4, 2025, 8:00:01 AM","b":"[04/Mar/2025:08:00:00 +0000]""#, true),
        (r#""a":"soon","b":"2025-03-04T08:00:00Z""#, false),
        (r#""a":"2025-03-04T08:00:00Z","b":"once""#, false),
        (r#""a":"2025-03-04T08:00:00Z""#, false),
        (r#""b":"2025-03-04T08:00:00Z""#, false),
        (r#""a":[1741075201],"b":1741075200"#, false),
        (r#""a":true,"b":false"#, false),
    ] {
        let event = normalize(members);
        assert_eq!(event.get("message").is_some(), expect, "{members}");
    }
    // What an envelope told is a time like any other.
    assert!(normalize(r#""b":"2025-03-04T07:59:59.999Z""#).get("status").is_some());
    assert!(normalize(r#""b":"2025-03-04T08:00:00Z""#).get("status").is_none());
}
