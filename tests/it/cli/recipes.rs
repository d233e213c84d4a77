//! Guards the recipes: each one is a configuration that `check` finds nothing wrong with, once its secrets are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;

/// Serves wherever a recipe wants a secret: as a token, and as an address.
const SECRET: &str = "https://siem.example.com/secret-EXAMPLE";

#[test]
fn every_recipe_passes_the_check() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/recipes");
    let variable = Regex::new(r#"env = "([A-Z0-9_]+)""#).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut recipes = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "toml", "{}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        // Its first words are a comment: what it is for.
        assert!(text.starts_with("# "), "{}", path.display());
        let written: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let variables: BTreeSet<&str> =
            variable.captures_iter(&written).map(|found| found.extract::<1>().1[0]).collect();
        let run = |with_secrets: bool| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_siemline"));
            command.args(["check", "--config"]).arg(&path).current_dir(home.path()).env_clear();
            if with_secrets {
                command.envs(variables.iter().map(|name| (*name, SECRET)));
            }
            let ended = command.output().unwrap();
            let words = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
            assert!(!words.contains("EXAMPLE"), "{}: a secret was told: {words}", path.display());
            (ended.status.code(), words)
        };
        let (code, words) = run(true);
        assert_eq!(code, Some(0), "{}: {words}", path.display());
        if !variables.is_empty() {
            let (code, words) = run(false);
            assert!(code != Some(0) && words.contains("is not set"), "{}: {words}", path.display());
        }
        recipes.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    for known in [
        "axiom",
        "datadog",
        "dead_letters_elastic",
        "dead_letters_kafka",
        "dead_letters_s3",
        "elastic_cloud",
        "elasticsearch",
        "file",
        "firehose",
        "google_secops",
        "http",
        "kafka",
        "msk",
        "opensearch_serverless",
        "opensearch_service",
        "panther",
        "s3_archive",
        "splunk_cloud",
        "splunk_enterprise",
        "stdout",
        "sumo",
    ] {
        assert!(recipes.contains(known), "{known}: {recipes:?}");
    }
}
