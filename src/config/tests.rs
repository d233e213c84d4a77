//! Guards that what is generated is what is committed, and that every mistake is told once, with place and remedy.

use super::{generate, loaded, parse};

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

/// Guards that the page about formats tells what the mapping files say.
#[test]
fn the_table_of_formats_is_current() {
    const MARKS: [&str; 2] =
        ["<!-- Made from the mapping files; do not edit. -->\n", "<!-- The end of what is made. -->"];
    let path = format!("{}/docs/formats.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = page.find(MARKS[0]).unwrap() + MARKS[0].len();
    let end = page.find(MARKS[1]).unwrap();
    let generated = generate::formats(&loaded(&[]).unwrap());
    if std::env::var_os("SIEMLINE_BLESS").is_some() {
        std::fs::write(&path, format!("{}{generated}{}", &page[..begin], &page[end..])).unwrap();
    } else {
        assert!(
            page[begin..end] == generated,
            "docs/formats.md is not what the mappings say: run with SIEMLINE_BLESS=1"
        );
    }
}

/// Guards that the example names real options: with its options uncommented and its placeholders filled, it is read.
#[test]
fn the_example_is_read() {
    let (mut text, mut is_other_place) = (String::new(), false);
    for line in generate::example().lines().skip(1).filter(|line| !line.starts_with("##")) {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            // A spill lies in a directory or in a bucket.
            is_other_place = line.ends_with(".lane.spill.s3]");
        }
        if is_other_place {
            continue;
        }
        if line.starts_with('[') || line.contains(" = ") && !line.contains("= <") {
            text.push_str(line);
            if line.ends_with(".lane.spill]") {
                text.push_str("\ndirectory = \"spill\"");
            }
            text.push('\n');
        }
    }
    // What is required has no default to show.
    let directory = tempfile::tempdir().unwrap();
    let url = directory.path().join("url");
    std::fs::write(&url, "http://localhost:1").unwrap();
    let text = text
        .replace("[sink.sumo.example]", &format!("[sink.sumo.e]\nurl = {{ file = '{}' }}", url.display()))
        .replace("[sink.sumo.example.", "[sink.sumo.e.")
        .replace("[sink.http.example]", "[sink.http.f]\nurl = 'http://localhost:1'")
        .replace("[sink.http.example.", "[sink.http.f.")
        .replace("[sink.http.f.verify_body]", "[sink.http.f.verify_body]\npointer = '/failed'\nequals = 0")
        .replace("[source.kinesis.example]", "[source.kinesis.example]\nstream = 's'")
        .replace("[source.file.example]", "[source.file.example2]\npaths = ['-']")
        .replace(
            "[sink.splunk_hec.example]",
            "[sink.splunk_hec.a]\nendpoint = 'http://localhost:1'\ntoken = { env = 'PATH' }",
        )
        .replace("[sink.splunk_hec.example.", "[sink.splunk_hec.a.")
        .replace("[sink.elastic.example]", "[sink.elastic.b]\nendpoint = 'http://localhost:1'")
        .replace("[sink.elastic.example.", "[sink.elastic.b.")
        .replace("[dead_letter.elastic]", "[dead_letter.elastic]\nendpoint = 'http://localhost:1'")
        .replace("[dead_letter.kafka]", "[dead_letter.kafka]\nbrokers = ['localhost:1']\ntopic = 'letters'")
        .replace("[dead_letter.kafka.sasl]", "[dead_letter.kafka.sasl]\nmechanism = 'AWS_MSK_IAM'")
        .replace("[dead_letter.s3]", "[dead_letter.s3]\nbucket = 'letters'")
        .replace("unredacted = false", "unredacted = true")
        .replace("[sink.s3.example]", "[sink.s3.i]\nbucket = 'archive'")
        .replace("[sink.s3.example.", "[sink.s3.i.")
        .replace("[sink.kafka.example]", "[sink.kafka.g]\nbrokers = ['localhost:1']\ntopic = 't'")
        .replace("[sink.kafka.example.sasl]", "[sink.kafka.g.sasl]\nmechanism = 'AWS_MSK_IAM'")
        .replace("[sink.kafka.example.", "[sink.kafka.g.")
        .replace("[sink.firehose.example]", "[sink.firehose.h]\nstream = 's'")
        .replace("[sink.firehose.example.", "[sink.firehose.h.")
        .replace("[sink.file.example]", "[sink.file.c]\npath = 'x'")
        .replace("[sink.file.example.", "[sink.file.c.")
        .replace("[sink.stdout.example", "[sink.stdout.d")
        .replace("suppress = false", "suppress = true")
        .replace("paths = []\naction", "paths = ['x']\naction");
    // There is one store of dead letters at most.
    let stores = ["dead_letter.elastic", "dead_letter.kafka", "dead_letter.s3"];
    for kind in stores {
        let text =
            stores.iter().filter(|other| **other != kind).fold(text.clone(), |text, other| without(&text, other));
        let settings = parse("example", &text).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"));
        assert_eq!(settings.pipeline.letter_store.map(|store| store.kind()), kind.strip_prefix("dead_letter."));
    }
}

/// A configuration without a table and those in it.
fn without(text: &str, table: &str) -> String {
    let is_of = |heading: &str| heading.strip_prefix(table).is_some_and(|rest| rest.starts_with(['.', ']']));
    let mut is_in = false;
    let mut lines = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            is_in = is_of(heading);
        }
        if !is_in {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
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

/// Guards that originals leave the machine only where somebody said that they may.
#[test]
fn originals_leave_the_machine_on_word_only() {
    let index = "[dead_letter.elastic]\nendpoint = 'http://localhost:1'\n";
    let kafka = "[dead_letter.kafka]\nbrokers = ['localhost:1']\ntopic = 'letters'\n";
    let s3 = "[dead_letter.s3]\nbucket = 'letters'\n";
    let redact = "[redact.r]\npaths = ['x']\naction = 'drop'\n";
    for store in [index, kafka, s3] {
        let told = parse("c.toml", &format!("{SOURCE}{SINK}{redact}{store}")).unwrap_err().to_string();
        assert!(told.starts_with("c.toml:7:14: dead letters hold the originals"), "{told}");
        assert!(told.contains("set `unredacted = true`"), "{told}");
        for right in [format!("{redact}{store}unredacted = true\n"), store.to_owned(), redact.to_owned()] {
            let settings = parse("c.toml", &format!("{SOURCE}{SINK}{right}")).unwrap();
            assert_eq!(settings.pipeline.letter_store.is_some(), right.contains("dead_letter"));
        }
    }
    let told = parse("c.toml", &format!("{SOURCE}{SINK}{s3}{index}")).unwrap_err().to_string();
    assert!(told.starts_with("c.toml:4:14: dead letters go to one store"), "{told}");
    let told = parse("c.toml", &format!("{SOURCE}{SINK}{s3}prefix = '/x'\n")).unwrap_err().to_string();
    assert!(told.contains("prefix: a key begins without a slash"), "{told}");
    let told = parse("c.toml", &format!("{SOURCE}{SINK}{s3}{kafka}")).unwrap_err().to_string();
    assert!(told.contains("there is [dead_letter.kafka]: choose"), "{told}");

    let spill = "[sink.stdout.o.lane.spill.s3]\nbucket = 'spills'\nprefix = 'o/'\n";
    let told = parse("c.toml", &format!("{SOURCE}{SINK}{redact}{spill}")).unwrap_err().to_string();
    assert!(told.starts_with("c.toml:7:") && told.contains("a spill holds the originals"), "{told}");
    assert!(told.contains("set `unredacted = true`"), "{told}");
    for right in [format!("{redact}{spill}unredacted = true\n"), spill.to_owned()] {
        parse("c.toml", &format!("{SOURCE}{SINK}{right}")).unwrap();
    }
}

/// Guards that a spill has one place, and one that no other can have by its name.
#[test]
fn a_spill_has_one_place() {
    for (spill, part) in [
        ("bytes_max = '1GiB'", "names no place, or two"),
        ("directory = 'x'\ns3 = { bucket = 'spills', prefix = 'o/' }", "names no place, or two"),
        (
            "directory_may_vanish = true\ns3 = { bucket = 'spills', prefix = 'o/' }",
            "belongs to a spill in a `directory`",
        ),
        ("s3 = { bucket = 'spills' }", "missing field `prefix`"),
        ("s3 = { bucket = 'spills', prefix = 'o' }", "ends with `/`"),
        ("s3 = { bucket = 'spills', prefix = '/o/' }", "begins without a slash"),
        ("s3 = { bucket = 'spills', prefix = '{log_type}/' }", "without braces"),
        ("s3 = { bucket = 's/p', prefix = 'o/' }", "bucket"),
    ] {
        let told = parse("c.toml", &format!("{SOURCE}{SINK}[sink.stdout.o.lane.spill]\n{spill}\n"));
        let told = told.unwrap_err().to_string();
        assert!(told.contains(part), "{spill}: {told}");
    }
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
    let mappings = std::sync::Arc::new(super::mappings(&super::NormalizeOptions::default()).unwrap());
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

/// A fenced block of a page: what stands behind the fence, and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind.to_owned(), text.join("\n")));
        }
    }
    blocks
}

/// Guards docs/routes.md: its configurations are read, its events are taken and left as it says, and what it shows of
/// redaction and enrichment is what comes out.
#[test]
fn the_page_on_routes_is_true() {
    use crate::envelope::{Context, Event, Form};
    use crate::normalize::redact::Redactor;
    use crate::route::{Decision, Desk, Facts};

    let directory = tempfile::tempdir().unwrap();
    let here = |path: &str| directory.path().join(path.trim_start_matches('/').replace('/', "-"));
    std::fs::write(here("/run/secrets/redaction-key"), "0123456789abcdef").unwrap();
    let page = include_str!("../../docs/routes.md");
    let blocks = blocks(page);
    let csv = blocks.iter().find(|(kind, _)| kind == "csv /etc/siemline/accounts.csv").unwrap();
    std::fs::write(here("/etc/siemline/accounts.csv"), &csv.1).unwrap();
    let mappings = std::sync::Arc::new(super::mappings(&super::NormalizeOptions::default()).unwrap());
    let (mut settings, mut before, mut seen) = (None, String::new(), 0);
    for (kind, text) in &blocks {
        let settings_now = || settings.as_ref().unwrap_or_else(|| panic!("a configuration stands before {text}"));
        let decide = |event: &str| {
            let facts = Facts {
                log_type: "aws.cloudtrail",
                severity_id: 4,
                account: "",
                region: "",
                ocsf: event.as_bytes(),
                raw: event.as_bytes(),
                form: Form::Json,
                context: None,
                id: [0; 16],
                now_ms: 0,
            };
            let settings: &super::Settings = settings_now();
            settings.pipeline.routes.decide(facts, &mut Desk::default())
        };
        match kind.as_str() {
            "toml" => {
                let text = text
                    .replace("/run/secrets/redaction-key", &here("/run/secrets/redaction-key").display().to_string());
                let text = text
                    .replace("/etc/siemline/accounts.csv", &here("/etc/siemline/accounts.csv").display().to_string());
                let sinks =
                    ["soc", "lake", "archive"].map(|name| format!("[sink.file.{name}]\npath = '{name}'\n")).concat();
                let whole = format!("{SOURCE}{sinks}{text}");
                let read = parse("docs/routes.md", &whole).unwrap_or_else(|mistake| panic!("{mistake}\n{whole}"));
                read.pipeline.routes.check_log_types(&mappings.known_log_types()).unwrap();
                settings = Some(read);
            }
            "json takes" => {
                for event in text.lines() {
                    assert!(matches!(decide(event), Decision::Lanes { .. }), "{event}");
                }
            }
            "json leaves" => {
                for event in text.lines() {
                    assert_eq!(decide(event), Decision::Filtered("no_route".into()), "{event}");
                }
            }
            "json before" => before.clone_from(text),
            "json after" => {
                let context = Context::default();
                let event = Event { index: 0, body: before.as_bytes(), form: Form::Json, context: &context };
                let redactor = Redactor::new(&settings_now().pipeline.redactions, &mappings).unwrap();
                let redacted = redactor.apply("aws.cloudtrail", &event).unwrap();
                assert_eq!(String::from_utf8_lossy(redacted.event(&event).body), text.as_str());
            }
            "json enrichment" => {
                let accounts = crate::normalize::Accounts::of_csv(&csv.1, &[]).unwrap();
                let facts = format!("{:?}", accounts.get("111122223333").unwrap());
                assert!(facts.contains(&format!("{:?}", text.as_bytes())), "{text}");
            }
            "csv /etc/siemline/accounts.csv" => {}
            other => panic!("nobody tests a block `{other}`"),
        }
        seen += 1;
    }
    assert!(seen >= 18, "{seen} blocks");
}
