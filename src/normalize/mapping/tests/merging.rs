//! What is common goes into every case, and files go over files.

use super::*;

/// A file that uses every construct that merging touches.
const MERGED: &str = r#"
[mapping]
log_type = "aws.m"
profiles = ["cloud"]
[[match]]
a = "m"
[set]
message = "shared"
count = "shared"
[[block]]
target = "resources[]"
set = { uid = "shared" }
[[case]]
class = "account_change"
when = { b = [1, { prefix = "x", suffix = "y" }], any = [{ c = { numeric = [">", 0, "<=", 5] } }] }
profiles = ["host"]
[case.set]
message = "own"
[[case.block]]
target = "resources[]"
otherwise = true
set = { uid = "own" }
[[case]]
class = "base_event"
[[test]]
name = "one"
input = "{}"
expect = ["{}", "{}"]
arrival = 7
"#;

/// Where each rule of a case stands, by target.
fn rules_of(mapping: &Mapping, case: usize) -> Vec<(String, String)> {
    let sets = &mapping.cases[case].body.sets;
    let mut rules: Vec<(String, String)> = sets
        .iter()
        .map(|set| (notation::target_text(&set.target), format!("{}:{}", set.rule.at.file, set.rule.at.line)))
        .collect();
    rules.sort();
    rules
}

#[test]
fn rules_and_blocks_are_merged_into_every_case() {
    let common = "[set]\n\"cloud.region\" = \"@envelope.region\"\ncount = \"common\"\n";
    let files = [("base.toml", BASE), ("common.toml", common), ("m.toml", MERGED)];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let mappings = Sources::default()
        .with_directory(files)
        .load_checked_by(|_| Vec::new())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let mapping = &mappings.log_types[0];
    let owned = |rules: &[(&str, &str)]| -> Vec<(String, String)> {
        rules.iter().map(|(target, place)| ((*target).to_owned(), (*place).to_owned())).collect()
    };
    assert_eq!(
        rules_of(mapping, 0),
        owned(&[("cloud.region", "common.toml:2"), ("count", "m.toml:9"), ("message", "m.toml:18")])
    );
    assert_eq!(
        rules_of(mapping, 1),
        owned(&[("cloud.region", "common.toml:2"), ("count", "m.toml:9"), ("message", "m.toml:8")])
    );
    let blocks =
        |case: usize| -> Vec<u32> { mapping.cases[case].body.blocks.iter().map(|block| block.at.line).collect() };
    assert_eq!((blocks(0), blocks(1)), (vec![11, 20], vec![11]));
    assert_eq!(mapping.cases[0].profiles, ["cloud", "host"]);
    // Copies share a number, and a common rule that nobody wants has none.
    let number = |case: usize, name: &str| {
        let sets = &mapping.cases[case].body.sets;
        sets.iter().find(|set| notation::target_text(&set.target) == name).expect("the rule is there").rule.id
    };
    assert_eq!(number(0, "count"), number(1, "count"));
    assert_ne!(number(0, "message"), number(1, "message"));
    assert!(!mapping.rules.iter().any(|rule| &*rule.at.file == "common.toml" && rule.label == "count"));
    assert_eq!(mapping.tests[0].expect.len(), 2);
    assert_eq!(mapping.tests[0].arrival_ms, Some(7));
}

#[test]
fn a_file_of_a_directory_replaces_the_embedded_one_of_its_log_type() {
    let with = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Sources::default().with_directory(files).load_checked_by(|_| Vec::new())
    };
    let other = MERGED.replace("aws.m", "aws.other");
    let twice = with(&[("base.toml", BASE), ("m.toml", MERGED), ("n.toml", MERGED)]);
    assert_eq!(
        twice.expect_err("two files map one log type").to_string(),
        "n.toml:1:1: `m.toml` maps the same log type"
    );
    let tests = "[[test]]\nname = \"two\"\ninput = \"{}\"\nexpect = \"{}\"\n";
    let beside = with(&[("base.toml", BASE), ("m.toml", MERGED), ("m.tests.toml", tests)]).expect("sound files");
    assert_eq!(beside.log_types[0].tests.len(), 2);
    let alone = with(&[("base.toml", BASE), ("n.toml", &other), ("m.tests.toml", tests)]);
    assert_eq!(
        alone.expect_err("tests of nothing").to_string(),
        "m.tests.toml:1:1: there is no mapping beside these tests"
    );
    assert_eq!(
        with(&[("n.toml", &other)]).expect_err("no base").to_string(),
        "base.toml:1:1: there is no base mapping"
    );
}
