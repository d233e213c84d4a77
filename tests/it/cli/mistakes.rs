//! Guards that every mistake of a person is told once, with its place and its remedy, before anything is read or written.

use super::Home;

const SOURCE: &str = "[source.file.a]\npaths = [\"in.ndjson\"]\n";
const SINK: &str = "[sink.file.o]\npath = \"out/events.ndjson\"\n";

/// A mapping of a user's own, with two targets: the second is not in the schema.
const MAPPING: &str = r#"[mapping]
log_type = "own.alert"
class = "detection_finding"
profiles = ["cloud"]

[[match]]
kind = "alert"
tool = "own"
one = { exists = true }
two = { exists = true }
three = { exists = true }
four = { exists = true }
five = { exists = true }
six = { exists = true }
seven = { exists = true }
eight = { exists = true }
nine = { exists = true }
ten = { exists = true }
eleven = { exists = true }
eventSource = { exists = false }
schemaVersion = { exists = false }

[set]
"severity_id" = { value = 3 }
"time" = { from = "at", default = { from = "@envelope.arrival", default = 0 } }
"metadata.product.name" = { value = "Own" }
"finding_info.uid" = "id"
"finding_info.titel" = "name"
"#;

/// Runs `siemline run` and `siemline check` on this configuration, and holds both to the same words.
fn tells(config: &str, files: &[(&str, &str)]) -> String {
    let home = Home::new();
    home.write("in.ndjson", "{}\n");
    home.write("c.toml", config);
    for (name, text) in files {
        home.write(name, text);
    }
    let [run, check] = ["run", "check"].map(|command| home.siemline(&[command, "--config", "c.toml"]));
    for ended in [&run, &check] {
        assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{config}: {ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "one mistake, one line: {}", ended.err);
    }
    assert_eq!(run.err, check.err);
    assert!(!home.path("out").exists() && !home.path("dl").exists(), "something was written");
    run.err
}

#[test]
fn a_wrong_configuration_is_told_with_place_and_remedy() {
    let whole = format!("{SOURCE}{SINK}");
    let hec = "[sink.splunk_hec.s]\nendpoint = \"https://localhost:8088\"\ntoken = { env = \"NOT_SET_HERE\" }\n";
    for (config, place, remedy) in [
        ("[source.file.a\n".to_owned(), "c.toml:1:15: ", "expected `]`"),
        (format!("{whole}pth = \"x\"\n"), "c.toml:5:1: ", "unknown field `pth`, expected one of `path`"),
        (format!("{whole}[sink.flie.x]\n"), "c.toml:5:7: ", "unknown field `flie`, expected one of `splunk_hec`"),
        (format!("{whole}rotate_bytes_max = 5\n"), "c.toml:5:20: ", "invalid type: integer `5`"),
        (format!("{whole}rotate_bytes_max = \"5 elephants\"\n"), "c.toml:5:20: ", "write a whole number and a unit"),
        (format!("{SOURCE}{hec}"), "c.toml:3:18: ", "environment variable `NOT_SET_HERE` is not set"),
        (SINK.to_owned(), "c.toml: ", "no source is configured: add a table such as [source.kinesis.<name>]"),
        (SOURCE.to_owned(), "c.toml: ", "no sink is configured: add a table such as [sink.splunk_hec.<name>]"),
        (format!("{whole}[route.r]\nto = [\"oo\"]\n"), "c.toml:6:1: ", "names the sink `oo`, which is not configured"),
        (
            format!("{whole}[route.r]\nlog_type = [\"x\"]\n"),
            "c.toml:5:8: ",
            "needs either `to = [...]` or `suppress = true`",
        ),
        (
            format!("{whole}[log]\nlevel = \"lots=of=it\"\n"),
            "c.toml:6:1: ",
            "`error`, `warn`, `info`, `debug` or `trace`",
        ),
    ] {
        let told = tells(&config, &[]);
        assert!(told.starts_with(&format!("siemline: {place}")) && told.contains(remedy), "{config}\n{told}");
    }
}

#[test]
fn a_wrong_mapping_is_told_with_place_and_the_nearest_name() {
    let config = format!("{SOURCE}{SINK}[normalize]\nmappings = [\"maps\"]\n");
    let told = tells(&config, &[("maps/own.toml", MAPPING)]);
    assert!(told.starts_with("siemline: maps/own.toml:28:1: "), "{told}");
    assert!(told.contains("no attribute `titel`") && told.contains("did you mean `title`"), "{told}");
    let missing = tells(&config, &[]);
    assert!(missing.starts_with("siemline: cannot read the mappings in maps: "), "{missing}");
    let empty = tells(&config, &[("maps/README", "")]);
    assert_eq!(empty, "siemline: maps: there is no mapping file (`*.toml`) in it\n");

    let home = Home::new();
    home.write("maps/own.toml", MAPPING);
    for arguments in [&["normalize", "--mappings", "maps"][..], &["test", "maps"]] {
        let ended = home.siemline_fed(arguments, b"{\"kind\":\"alert\"}\n");
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(64), "", told.as_str()));
    }
}

#[test]
fn a_wrong_command_line_is_told() {
    let home = Home::new();
    for (arguments, words) in [
        (&[][..], "Usage: siemline <COMMAND>"),
        (&["run"], "--config <FILE>"),
        (&["run", "--confg", "c.toml"], "a similar argument exists: '--config'"),
        (&["rnu"], "unrecognized subcommand 'rnu'"),
        (&["normalize", "--format", "cef"], "[possible values: ocsf, ecs, cim, raw]"),
        (&["check", "--config", "c.toml"], "siemline: c.toml: cannot read the configuration: No such file"),
        (&["run", "--config", "c.toml"], "siemline: c.toml: cannot read the configuration: No such file"),
        (&["setup", "elastic", "--config", "c.toml"], "siemline: c.toml: cannot read the configuration: No such file"),
        (&["normalize", "missing.ndjson"], "siemline: cannot read missing.ndjson: No such file"),
    ] {
        let ended = home.siemline(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(64), ""), "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
    for arguments in [["--help"], ["--version"]] {
        let ended = home.siemline(&arguments);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        assert!(ended.out.contains("siemline"));
    }
}
