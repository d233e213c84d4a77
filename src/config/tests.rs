//! Guards that what is generated is what is committed, and that every mistake is told once, with place and remedy.

use super::{generate, parse};

/// Compares a generated file with the committed one; `SIEMLINE_BLESS=1` writes it instead.
fn compare(name: &str, generated: &str) {
    let path = format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SIEMLINE_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "config/{name} is not what the option structs say: run with SIEMLINE_BLESS=1");
}

/// Guards the one source of truth: schema, reference and example follow the option structs.
#[test]
fn generated_files_are_current() {
    compare("siemline.schema.json", &generate::schema());
    compare("REFERENCE.md", &generate::reference());
    compare("siemline.example.toml", &generate::example());
}

/// Guards that the example names real options: with its options uncommented and its placeholders filled, it is read.
#[test]
fn the_example_is_read() {
    let mut text = String::new();
    for line in generate::example().lines().skip(1).filter(|line| !line.starts_with("##")) {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') || line.contains(" = ") && !line.contains("= <") {
            text.push_str(line);
            text.push('\n');
        }
    }
    // What is required has no default to show.
    let text = text
        .replace("[source.kinesis.example]", "[source.kinesis.example]\nstream = 's'")
        .replace("[source.file.example]", "[source.file.example2]\npaths = ['-']")
        .replace(
            "[sink.splunk_hec.example]",
            "[sink.splunk_hec.a]\nendpoint = 'http://localhost:1'\ntoken = { env = 'PATH' }",
        )
        .replace("[sink.splunk_hec.example.", "[sink.splunk_hec.a.")
        .replace("[sink.elastic.example]", "[sink.elastic.b]\nendpoint = 'http://localhost:1'")
        .replace("[sink.elastic.example.", "[sink.elastic.b.")
        .replace("[sink.file.example]", "[sink.file.c]\npath = 'x'")
        .replace("[sink.file.example.", "[sink.file.c.")
        .replace("[sink.stdout.example", "[sink.stdout.d")
        .replace("suppress = false", "suppress = true");
    parse("example", &text).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"));
}

const SOURCE: &str = "[source.file.a]\npaths = ['x']\n";
const SINK: &str = "[sink.stdout.o]\n";

/// Guards the words of every mistake.
#[test]
fn mistakes_are_told_with_their_place() {
    let mistake = |text: &str| parse("c.toml", text).unwrap_err().to_string();
    let cases = [
        ("[source.file.a\n", "c.toml:1:15: "),
        ("[source.file.a]\npath = ['x']\n", "c.toml:2:1: unknown field `path`, expected one of `paths`"),
        ("[source.file.a]\npaths = 'x'\n", "c.toml:2:9: invalid type: string \"x\", expected a sequence"),
        ("[pipeline]\nin_flight_bytes_max = 5\n", "c.toml:2:23: invalid type: integer `5`"),
        ("[pipeline]\nshutdown_grace = '5 parsecs'\n", "c.toml:2:18: `5 parsecs` is no duration"),
        (SINK, "c.toml: no source is configured: add a table"),
        (SOURCE, "c.toml: no sink is configured: add a table"),
    ];
    for (text, expected) in cases {
        let told = mistake(text);
        assert!(told.starts_with(expected), "{told}");
    }
    let told = mistake(&format!("{SOURCE}{SINK}[route.r]\nto = ['elsewhere']\n"));
    assert_eq!(told, "c.toml:5:1: route `r` names the sink `elsewhere`, which is not configured");
    let told = mistake(&format!(
        "{SOURCE}[sink.splunk_hec.s]\nendpoint = 'https://localhost:8088'\ntoken = {{ env = 'SIEMLINE_TEST_NOT_SET' }}\n"
    ));
    assert!(told.starts_with("c.toml:3:18: token: environment variable `SIEMLINE_TEST_NOT_SET` is not set"), "{told}");
    let told = mistake(&format!("{SOURCE}{SINK}[sink.file.o]\npath = 'x'\n"));
    assert!(told.contains("two sinks are called `o`"), "{told}");
}

/// Guards that a user's own order of columns and zone reach the mappings, and the words where they cannot.
#[test]
fn mappings_as_they_are_configured() {
    let options =
        |text: &str| parse("c.toml", &format!("{SOURCE}{SINK}[normalize]\n{text}")).expect("it is right").normalize;
    for (text, expect) in [
        ("", None),
        ("columns = { 'aws.vpc_flow' = '${version} ${action}' }\ntimezone = 'Asia/Tokyo'", None),
        (
            "columns = { 'aws.flow' = 'version' }",
            Some("normalize.columns: `aws.flow` is no log type that has a mapping"),
        ),
        (
            "columns = { 'aws.guardduty' = 'id' }",
            Some("normalize.columns: `aws.guardduty` does not come as lines of text"),
        ),
        ("columns = { 'aws.vpc_flow' = 'a a' }", Some("normalize.columns: `aws.vpc_flow` has the column `a` twice")),
        ("columns = { 'aws.vpc_flow' = ' ' }", Some("normalize.columns: `aws.vpc_flow` has no columns")),
        ("timezone = 'Mars/Olympus'", Some("normalize.timezone: ")),
    ] {
        match (super::mappings(&options(text)), expect) {
            (Ok(_), None) => {}
            (Err(said), Some(expect)) => assert!(said.starts_with(expect), "{said}"),
            (Ok(_), Some(expect)) => panic!("{text}: expected {expect}"),
            (Err(said), None) => panic!("{text}: {said}"),
        }
    }
}
