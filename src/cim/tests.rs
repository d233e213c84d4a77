//! Guards that the embedded table parses, that its names are known, and single facts of the manual.

use super::{event, table};

#[test]
fn the_embedded_table_is_whole() {
    assert_eq!((table().version(), table().rest()), ("6.0", "ocsf"));
    assert_eq!(table().profiles().len(), 9);
    assert!(table().profiles().iter().all(|model| !model.tags.is_empty() && event().shape.accepts_profile(model.name)));
    for field in &event().shape.attributes {
        assert!(!field.is_object(), "{} is flat", field.name);
        assert!(field.profiles.iter().all(|model| table().profile(model).is_some()), "{}", field.name);
        assert!(field.required_by.iter().all(|model| field.profiles.contains(model)), "{}", field.name);
        assert!(!["tag", table().rest()].contains(&field.name), "the engine writes `{}`", field.name);
    }
}

#[test]
fn models_have_their_fields() {
    for (model, tags, required) in [
        (
            "Alerts",
            &["alert"][..],
            &["app", "description", "dest", "id", "severity", "signature", "signature_id", "src", "type", "user"][..],
        ),
        (
            "Intrusion_Detection",
            &["attack", "ids"],
            &["action", "category", "dest", "dvc", "ids_type", "severity", "signature"],
        ),
        ("Vulnerabilities", &["report", "vulnerability"], &["category", "dest", "dvc", "severity", "signature"]),
        (
            "Change",
            &["change"],
            &["action", "change_type", "command", "dest", "dvc", "object", "object_category", "src", "status", "user"],
        ),
        ("Authentication", &["authentication"], &["action", "app", "dest", "src", "user"]),
        ("Network_Traffic", &["communicate", "network"], &["action", "app", "dest", "dvc", "src", "transport"]),
        (
            "Network_Resolution",
            &["dns", "network", "resolution"],
            &["dest", "message_type", "query", "query_type", "reply_code", "src", "transport"],
        ),
        ("Web", &["web"], &["action", "dest", "http_method", "src", "status", "url"]),
    ] {
        let found = event().shape.attributes.iter().filter(|field| field.is_required(&[model]));
        assert_eq!(found.map(|field| field.name).collect::<Vec<_>>(), required, "{model}");
        assert_eq!(table().profile(model).unwrap().tags, tags);
    }
}
