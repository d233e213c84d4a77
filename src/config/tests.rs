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
        .replace("suppress = false", "suppress = true")
        .replace("paths = []\naction", "paths = ['x']\naction");
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

/// Guards that a mistake in a pattern is told at its own place, in TOML and in JSON, and that of routes the order of the file
/// counts.
#[test]
fn mistakes_in_patterns_have_places() {
    let told = |route: &str| parse("c.toml", &format!("{SOURCE}{SINK}{route}")).unwrap_err().to_string();
    let cases = [
        (
            "[route.r]\nto = ['o']\npattern.cloud.regoin = ['x']\n",
            "c.toml:6:15: route `r`: no event has the attribute `regoin`",
        ),
        (
            "[route.r]\nto = ['o']\npattern = { cloud.region = [{ prefx = 'x' }] }\n",
            "c.toml:6:31: route `r`: `prefx` is no operator",
        ),
        (
            "[route.r]\nto = ['o']\n[route.r.raw_pattern]\na = ['y', { cidr = 'x' }]\n",
            "c.toml:7:13: route `r`: `x` is no address range",
        ),
        (
            "[route.r]\nto = ['o']\nraw_pattern = '''\n{\n  \"a\": [\"x\"],\n  \"b\": [{ \"numeric\": [\">\"] }]\n}'''\n",
            "c.toml:9:11: route `r`: `numeric` takes a comparison or two",
        ),
        (
            "[route.r]\nto = ['o']\npattern = '{'\n",
            "c.toml:6:11: the pattern is no JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("[route.r]\nto = ['o']\npattern = 5\n", "c.toml:6:11: invalid type: integer `5`, expected an event pattern"),
        ("[route.r]\nto = ['o']\nsample = 5.0\n", "c.toml:6:1: route `r`: 5 is no share"),
        ("[enrich.accounts]\nfile = 'none.csv'\n", "c.toml:5:1: cannot read none.csv: "),
    ];
    for (route, expected) in cases {
        assert!(told(route).starts_with(expected), "{route}: {}", told(route));
    }
    let told = told("[route.z]\nto = ['z']\n[route.a]\nto = ['a']\n");
    assert!(told.starts_with("c.toml:5:1: route `z` names"), "the first of the file, not of the alphabet: {told}");
}

/// Guards that what would do nothing, since no event has its log type, is told.
#[test]
fn log_types_are_those_of_the_mappings() {
    let mappings = std::sync::Arc::new(super::mappings(None).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    for (text, expected) in [
        (
            "[route.r]\nto = ['o']\nlog_type = ['aws.guardduty', 'aws.guardduti']\n",
            ":6:1: route `r`: no mapping has the log type `aws.guardduti`",
        ),
        ("[redact.d]\npaths = ['x']\nlog_type = ['gcp.*']\n", ":6:1: redact `d`: no mapping has the log type `gcp.*`"),
        ("[redact.d]\npaths = ['x..y']\n", ":5:1: redact `d`: `x..y`: a name is missing"),
    ] {
        std::fs::write(&path, format!("{SOURCE}{SINK}{text}")).unwrap();
        let checked = super::load(&path).and_then(|settings| super::check_log_types(&path, &settings, &mappings));
        let told = checked.unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
    std::fs::write(&path, format!("{SOURCE}{SINK}[route.r]\nto = ['o']\nlog_type = ['aws.*', 'base', 'ocsf']\n"))
        .unwrap();
    let settings = super::load(&path).unwrap();
    assert_eq!(super::check_log_types(&path, &settings, &mappings), Ok(()));
}
