//! `raw_data`: what an event was made of, in the event itself, where it is asked for.

use super::*;
use crate::envelope::{Context, Event, Form};
use crate::ocsf::{self, Severity};

/// A mapping that writes `raw_data` itself, as a user's may.
const OWN: &str = "[mapping]\nlog_type = \"acme.x\"\nclass = \"base_event\"\nprofiles = [\"cloud\"]\n[[match]]\nacme = 1\n\
                   [set]\ntime = \"t\"\nseverity_id = { value = 1 }\nraw_data = \"own\"\n\"metadata.product.name\" = { value = \"P\" }\n";

fn mappings(keeps_raw: bool) -> (Arc<Mappings>, Vec<String>) {
    let sources = Sources::embedded().with_directory(vec![("own.toml".to_owned(), OWN.to_owned())]);
    let loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let records = loaded.log_types.iter().flat_map(|mapping| &mapping.tests).map(|test| test.input.clone()).collect();
    let mut mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).expect("they compile");
    if keeps_raw {
        mappings.keep_raw();
    }
    (Arc::new(mappings), records)
}

fn normalize(normalizer: &mut Normalizer, body: &[u8], form: Form) -> (Value, Normalized) {
    let context = Context::default();
    let mut out = Vec::new();
    let made = normalizer.normalize(&Event { index: 0, body, form, context: &context }, &digest(body), &mut out);
    (serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out))), made)
}

/// Over all events of all tests: the event is the one without it, and `raw_data` holds the body as it came; what came as
/// OCSF is not touched. It is as valid as it was.
#[test]
fn it_is_added_to_every_mapped_event_and_changes_nothing_else() {
    let ((with, records), (without, _)) = (mappings(true), mappings(false));
    let (mut with, mut without) = (Normalizer::new(with), Normalizer::new(without));
    let mut peeler = Peeler::new(Limits::default());
    let (mut passed, mut mapped) = (0, 0);
    for record in &records {
        let peeled = peeler.peel(record.as_bytes(), Some(5)).expect("the record peels");
        for piece in peeled.pieces() {
            let Piece::Event(event) = piece else { continue };
            let (mut raw, mut plain) = (b"before ".to_vec(), b"before ".to_vec());
            let made = with.normalize(&event, &digest(event.body), &mut raw);
            let expect = without.normalize(&event, &digest(event.body), &mut plain);
            assert_eq!((&made.account, &made.region), (&expect.account, &expect.region), "{record}");
            let mut raw: Value = serde_json::from_slice(&raw[7..]).expect("JSON");
            let plain: Value = serde_json::from_slice(&plain[7..]).expect("JSON");
            if &*made.log_type == "ocsf" {
                passed += 1;
            } else {
                let told = raw.as_object_mut().expect("an object").get("raw_data").cloned();
                assert_eq!(told, Some(Value::from(String::from_utf8_lossy(event.body))), "{record}");
                let problems = ocsf::validate(&raw);
                let errors: Vec<_> = problems.iter().filter(|problem| problem.severity() == Severity::Error).collect();
                assert!(errors.is_empty(), "{errors:?}: {raw}");
                raw.as_object_mut().expect("an object").remove("raw_data");
                mapped += 1;
            }
            assert_eq!(raw, plain, "{record}");
        }
    }
    assert!(mapped > 500, "{mapped} events were mapped, {passed} passed");
}

/// Bytes that no JSON text can hold, an empty body, a mapping that says it itself, and an event that came as OCSF.
#[test]
fn odd_bodies() {
    let mut normalizer = Normalizer::new(mappings(true).0);
    let ocsf = br#"{"class_uid":0,"category_uid":0,"time":7,"metadata":{"version":"1.8.0"},"raw_data":"theirs"}"#;
    let table: [(&[u8], Form, Option<&str>); 7] = [
        (b"{\"a\":\"\xff\"}", Form::Json, Some("{\"a\":\"\u{fffd}\"}")),
        (b"{\"a\":", Form::Json, Some("{\"a\":")),
        (b"a \"line\"\t\x01\xff", Form::Text, Some("a \"line\"\t\u{1}\u{fffd}")),
        (b"", Form::Text, None),
        (br#"{"acme":1,"t":7,"own":"mine"}"#, Form::Json, Some("mine")),
        (br#"{"acme":1,"t":7}"#, Form::Json, Some(r#"{"acme":1,"t":7}"#)),
        (ocsf, Form::Json, Some("theirs")),
    ];
    for (body, form, expect) in table {
        let (event, _) = normalize(&mut normalizer, body, form);
        assert_eq!(event.get("raw_data").and_then(Value::as_str), expect, "{event}");
    }
}
