//! Guards what a cluster is told before the first event comes.

use serde_json::{Value, json};

use super::options;
use crate::sink::Format;
use crate::sink::elastic::mappings::mappings;
use crate::sink::elastic::setup::{Flavor, Server, Standing, Step, Unmapped, steps};
use crate::unit::Span;

/// Guards what the template is for: the free-form corners are no fields, and each flavor gets types that it knows.
#[test]
fn the_template_keeps_free_form_data_from_becoming_fields() {
    let object = json!({ "type": "object", "enabled": false });
    let flattened = json!({ "type": "flattened", "ignore_above": 1024, "depth_limit": 100 });
    let flat_object = json!({ "type": "flat_object" });
    for (flavor, unmapped, expected, unknown) in [
        (Flavor::Elasticsearch, Flavor::Elasticsearch.unmapped(), &flattened, "flat_object"),
        (Flavor::Elasticsearch, Unmapped::Stored, &object, "flat_object"),
        (Flavor::OpenSearch, Flavor::OpenSearch.unmapped(), &object, "match_only_text"),
        (Flavor::OpenSearch, Unmapped::Searchable, &flat_object, "flattened"),
    ] {
        let mappings = mappings(Format::Ocsf, flavor, unmapped);
        assert!(!mappings.to_string().contains(unknown), "{mappings}");
        assert_eq!(mappings["properties"]["unmapped"], *expected);
        assert_eq!(mappings["properties"]["resources"]["properties"]["data"]["enabled"], false);
        assert_eq!(mappings["properties"]["raw_data"]["index"], false);
        assert_eq!(mappings["dynamic_templates"][0]["data"]["mapping"]["enabled"], false);
    }
}

/// Guards that templates of several sinks of one cluster do not stand in each other's way: a name that several match is the
/// narrower one's.
#[test]
fn narrower_patterns_win() {
    let priority = |more: &Value| {
        let steps = steps(&options(more), Server::Elasticsearch, None).unwrap();
        steps.last().unwrap().body["priority"].as_u64().unwrap()
    };
    let all = priority(&json!({ "index": "logs-siemline.ecs-{account}" }));
    let default = priority(&json!({}));
    let long = priority(&json!({ "index": "l".repeat(255) }));
    assert!(100 < all && all < default && default < long && long < 500, "{all} {default} {long}");
}

fn step<'a>(steps: &'a [Step], request: &str) -> &'a Step {
    let found = steps.iter().find(|step| step.request() == request);
    found.unwrap_or_else(|| panic!("{request} in {:?}", steps.iter().map(Step::request).collect::<Vec<_>>()))
}

/// Guards what each server is told: templates in an order in which each finds what it names, and the lifecycle that this
/// server knows, which deletes only where somebody says so.
#[test]
fn each_server_is_told_what_it_knows() {
    let options = options(&json!({ "format": "ocsf", "index": "logs-a-{account}", "latest": "latest-{log_type}" }));
    let component = "PUT /_component_template/siemline-ocsf@mappings";
    let (stream, latest) = ("PUT /_index_template/siemline-logs-a-any", "PUT /_index_template/siemline-latest-any");
    let ilm = "PUT /_ilm/policy/siemline-logs-a-any";
    let ism = "PUT /_plugins/_ism/policies/siemline-logs-a-any";
    for (server, expected) in [
        (Server::Elasticsearch, vec![ilm, component, stream, latest]),
        (Server::ElasticServerless, vec![component, stream, latest]),
        (Server::OpenSearch, vec![ism, component, stream, latest]),
        (Server::OpenSearchServerless, vec![stream, latest]),
    ] {
        for retention in [None, Some(Span::hours(24 * 90))] {
            let steps = steps(&options, server, retention).unwrap();
            assert_eq!(steps.iter().map(Step::request).collect::<Vec<_>>(), expected);
            let all: Vec<String> = steps.iter().map(|step| step.body.to_string()).collect();
            // Elastic Cloud Serverless has one lifecycle; the others have two phases.
            let says_so = all.concat().contains("90d");
            assert_eq!(says_so, retention.is_some() && server != Server::OpenSearchServerless, "{server:?}: {all:?}");
            let template = &step(&steps, stream).body;
            assert_eq!(template["index_patterns"], json!(["logs-a-*"]));
            assert!(template["priority"].as_u64() > Some(100), "Elastic's own for logs-*-* has 100");
            let latest = &step(&steps, latest).body;
            assert_eq!((&latest["index_patterns"], latest.get("data_stream")), (&json!(["latest-*"]), None));
            assert!(latest["priority"].as_u64() > template["priority"].as_u64());
            if server == Server::OpenSearchServerless {
                assert_eq!(template.get("data_stream"), None);
                assert_eq!(template["template"]["mappings"]["date_detection"], false);
                continue;
            }
            assert_eq!(template["data_stream"], json!({}));
            assert_eq!(template["composed_of"], json!(["siemline-ocsf@mappings"]));
            let named = &template["template"]["settings"]["index.lifecycle.name"];
            assert_eq!(named == "siemline-logs-a-any", server == Server::Elasticsearch);
            let kept: Vec<&Step> = steps.iter().filter(|step| step.standing == Standing::Kept).collect();
            assert!(kept.iter().all(|step| step.path.contains(&"policy".to_owned()) || step.path[1] == "_ism"));
            assert_eq!(kept.len(), usize::from(server != Server::ElasticServerless));
        }
    }
}

/// Guards that ECS documents have the types that ECS gives them, one field for the rest, and nothing without end.
#[test]
fn the_template_of_ecs_has_every_field() {
    for (flavor, rest, path_type, message) in [
        (Flavor::Elasticsearch, "flattened", "wildcard", "match_only_text"),
        (Flavor::OpenSearch, "object", "keyword", "text"),
    ] {
        let mappings = mappings(Format::Ecs, flavor, flavor.unmapped());
        let properties = &mappings["properties"];
        let type_of = |path: &str| {
            let place = path.replace('.', "/properties/");
            properties.pointer(&format!("/{place}/type")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for (path, expected) in [
            ("@timestamp", "date"),
            ("ocsf", rest),
            ("message", message),
            ("source.ip", "ip"),
            ("source.geo.location", "geo_point"),
            ("event.duration", "long"),
            ("event.category", "keyword"),
            ("process.parent.pid", "long"),
            ("process.parent.parent", ""),
            ("url.path", path_type),
            ("data_stream", ""),
        ] {
            assert_eq!(type_of(path), expected, "{path}");
        }
        assert_eq!(properties["event"]["properties"]["original"]["index"], false);
    }
}
