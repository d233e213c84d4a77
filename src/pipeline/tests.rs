//! Guards the whole house in one process: from files to a file, with the law of conservation as the judge.

use std::sync::Arc;

use super::{AccountsOptions, AccountsSettings, Settings, SinkSettings, SourceSettings, Summary, run};
use crate::normalize::Mappings;
use crate::normalize::mapping::Sources;
use crate::normalize::redact::{RedactOptions, Redactions};
use crate::ocsf::Table;
use crate::route::{RouteOptions, Routes};
use crate::shutdown;

struct House {
    directory: tempfile::TempDir,
    routes: String,
    accounts: String,
    redactions: String,
    deduplicate: String,
    options: &'static str,
}

impl House {
    fn new(routes: &str) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            routes: routes.to_owned(),
            accounts: String::new(),
            redactions: String::new(),
            deduplicate: String::new(),
            options: "workers = 2",
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    async fn run(&self, input: &[u8]) -> Summary {
        std::fs::write(self.path("input"), input).unwrap();
        let source = format!("paths = ['{}']", self.path("input"));
        // A sink for each format that there is; the first one is called `out`.
        let file = |name: &str, format: &str| {
            let path = self.path(&format!("{name}.ndjson"));
            let sink = format!("path = '{path}'\nformat = '{format}'\nlane.batch_age_max = '10ms'");
            let sink = SinkSettings::file(&toml::from_str(&sink).ok()?).unwrap();
            Some((Arc::from(name), sink))
        };
        let sinks = [("out", "ocsf"), ("raw", "raw"), ("ecs", "ecs"), ("cim", "cim")];
        let sinks: Vec<(Arc<str>, SinkSettings)> =
            sinks.into_iter().filter_map(|(name, format)| file(name, format)).collect();
        let names: Vec<&str> = sinks.iter().map(|(name, _)| &**name).collect();
        assert!(names.starts_with(&["out", "raw"]));
        let routes: std::collections::BTreeMap<String, RouteOptions> = toml::from_str(&self.routes).unwrap();
        let routes = Routes::new(routes.iter().map(|(name, route)| (name.as_str(), route)), &names).unwrap();
        std::fs::write(self.path("accounts.toml"), &self.accounts).unwrap();
        let accounts = format!("file = '{}'\nlabels = ['team']", self.path("accounts.toml"));
        let accounts: AccountsOptions = toml::from_str(&accounts).unwrap();
        let redactions: std::collections::BTreeMap<String, RedactOptions> = toml::from_str(&self.redactions).unwrap();
        let settings = Settings {
            sources: vec![("input".into(), SourceSettings::File(toml::from_str(&source).unwrap()))],
            sinks,
            routes,
            redactions: Redactions::new(redactions.iter().map(|(name, redact)| (name.as_str(), redact))).unwrap(),
            deduplicate: toml::from_str(&self.deduplicate).unwrap(),
            accounts: AccountsSettings::load(&accounts).unwrap(),
            dead_letters: toml::from_str(&format!("directory = '{}'", self.path("dead"))).unwrap(),
            letter_store: None,
            options: toml::from_str(self.options).unwrap(),
            limits: crate::envelope::Limits::default(),
            admin: crate::telemetry::admin::AdminOptions::default(),
        };
        let loaded = Sources::embedded().load(Table::v1_8()).unwrap();
        let mappings = Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).unwrap();
        let (stop, shutdown) = shutdown::channel();
        let (summary, result) = run(settings, Arc::new(mappings), &stop, shutdown, None).await;
        result.unwrap();
        let tally = &summary.tally;
        assert_eq!(tally.events, summary.delivered + summary.filtered + summary.dead_lettered, "{summary}");
        summary
    }

    fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Guards that everything read comes out, in a form that names its class, and that the summary adds up.
#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_out() {
    let house = House::new("");
    let input = "{\"some\":\"event\"}\na line of text\n{\"another\":{\"deep\":1}}\n";
    let summary = house.run(input.as_bytes()).await;
    assert_eq!((summary.tally.records, summary.delivered), (3, 3), "{summary}");
    let out = house.lines("out.ndjson");
    assert!(out.iter().any(|event| event.pointer("/unmapped/some").is_some_and(|some| some == "event")), "{out:?}");
    assert!(out.iter().any(|event| event["message"] == "a line of text"), "{out:?}");
}

/// Guards that a broken record lies in the dead letters whole, with its reason, and costs its neighbours nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_kept() {
    let house = House::new("");
    let summary = house.run(b"{\"fine\":1}\n\xff\xfe broken\n{\"fine\":2}\n").await;
    assert_eq!((summary.delivered, summary.dead_lettered), (2, 1), "{summary}");
    let letters = house.lines("dead/dead-letters.ndjson");
    let letter = letters.first().unwrap();
    assert_eq!((letter["reason"].as_str(), letter["code"].as_str()), (Some("broken"), Some("invalid_utf8")));
    assert_eq!(letter["original_base64"], "//4gYnJva2Vu", "the bytes as they were read");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(house.path("dead/dead-letters.ndjson")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Guards that a route can suppress, and that this is counted by its name.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_suppressed_is_counted() {
    let house = House::new("quiet = { log_type = ['base'], suppress = true }");
    let summary = house.run(b"{\"fine\":1}\n{\"fine\":2}\n").await;
    assert_eq!((summary.delivered, summary.filtered), (0, 2), "{summary}");
    assert_eq!(summary.tally.filtered.get("quiet"), Some(&2));
    assert_eq!(house.lines("out.ndjson").len(), 0);
}

/// Guards that tags and what is known of the account stand in the event that the sink gets, and that a route sees the latter.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_tagged_and_enriched() {
    let mut house = House::new(
        "prod = { pattern = { enrichments.data.team = ['payments'] }, to = ['out'], tags = ['paid', 'seen'] }
         rest = { to = ['out'], tags = ['seen'] }",
    );
    house.accounts = "[\"111122223333\"]\nname = \"shop\"\nteam = \"payments\"\n".to_owned();
    let flow = "{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"111122223333\",\"logGroup\":\"g\",\"logStream\":\"s\",\"logEvents\":[{\"id\":\"1\",\
         \"timestamp\":1700000000000,\"message\":\"an application line\"}]}\n{\"none\":1}\n";
    let summary = house.run(flow.as_bytes()).await;
    assert_eq!(summary.delivered, 2, "{summary}");
    let out = house.lines("out.ndjson");
    let event = out.iter().find(|event| event.get("cloud").is_some()).unwrap();
    assert_eq!(event["cloud"]["account"]["name"], "shop", "{event}");
    assert_eq!(event["enrichments"][0]["data"]["team"], "payments");
    assert_eq!(event["metadata"]["labels"], serde_json::json!(["team:payments", "paid", "seen"]));
    let problems = crate::ocsf::validate(event);
    assert!(problems.is_empty(), "{problems:?}");
    let other = out.iter().find(|event| event.get("enrichments").is_none()).unwrap();
    assert_eq!(other["metadata"]["labels"], serde_json::json!(["seen"]));
}

/// Guards that a redacted value is in no output of any format, whatever the event came in, and that it is redacted before
/// routes ask about it; the local dead letters alone hold the original.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_redacted_is_in_no_output() {
    let mut house = House::new("");
    house.redactions = "r = { paths = ['**.mail', '**.srcaddr'] }".to_owned();
    let lines = [
        r#"{"user":{"mail":"jane@example.com","id":7}}"#,
        r#"{"n":123456789012345678901234567890,"user":{"Mail":"jane@example.com"}}"#,
        r#"{"note":"{\"mail\":\"jane@example.com\"}"}"#,
        "2 111122223333 eni-1 198.51.100.77 10.0.0.2 1 2 6 1 1 1700000000 1700000060 ACCEPT OK",
        r#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"g","logStream":"s","logEvents":[{"id":"1","timestamp":1700000000000,"message":"{\"mail\":\"jane@example.com\"}","extractedFields":{"mail":"jane@example.com"}}]}"#,
    ];
    let summary = house.run(lines.join("\n").as_bytes()).await;
    assert_eq!((summary.delivered, summary.filtered), (5, 0), "{summary}");
    for (sink, _) in &summary.sinks {
        let text = std::fs::read_to_string(house.path(&format!("{sink}.ndjson"))).unwrap();
        assert!(!text.contains("jane") && !text.contains("198.51.100.77"), "{sink}: {text}");
        assert_eq!(text.lines().count(), 5, "{sink}: {text}");
        assert!(text.matches("***").count() >= 5 || !matches!(&**sink, "out" | "raw"), "{sink}: {text}");
    }
    let out = house.lines("out.ndjson");
    assert!(out.iter().all(|event| crate::ocsf::validate(event).is_empty()), "{out:?}");
    house.routes = "all = { raw_pattern = { user.mail = ['jane@example.com'] }, to = ['out'] }".to_owned();
    let summary = house.run(lines.join("\n").as_bytes()).await;
    assert_eq!(summary.tally.filtered.get("no_route"), Some(&5), "a route does not see it: {summary}");
}

/// Guards that a duplicate from another position is let go once the first is delivered, and counted; with the worker of the
/// first run gone, nothing is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_let_go() {
    let mut house = House::new("all = { to = ['out'] }");
    house.deduplicate = "log_type = ['base']".to_owned();
    let event = "{\"some\":\"event\"}\n";
    // Much more than may be in flight: the first are delivered before the last are read.
    house.options = "in_flight_bytes_max = '16KiB'";
    let others = (0..2_000).map(|number| format!("{{\"other\":{number}}}\n")).collect::<Vec<_>>().concat();
    let summary = house.run(format!("{event}{others}{event}{event}").as_bytes()).await;
    let let_go = summary.tally.filtered.get("duplicate").copied().unwrap_or_default();
    assert_eq!((summary.filtered, summary.delivered), (let_go, 2_003 - let_go), "{summary}");
    assert!((1..=2).contains(&let_go), "{summary}");
    let summary = house.run(event.as_bytes()).await;
    assert_eq!((summary.filtered, summary.delivered), (0, 1), "{summary}");
}
