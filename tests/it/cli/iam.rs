//! Guards `iam`: the whole text of it, so that a change of what is asked for is seen by whoever reviews it.

use super::Home;

const CONFIG: &str = r#"
[source.kinesis.findings]
stream = ["arn:aws:kinesis:eu-west-1:444455556666:stream/findings", "trails"]
region = "eu-west-1"
assume_role = "arn:aws:iam::444455556666:role/reader"
external_id = "between us"
lease_table = "leases"

[source.kinesis.flows]
stream = "flows"
region = "eu-central-1"
mode = "fan_out"
lease_table = "leases"
lease = { region = "eu-west-1" }

[sink.stdout.out]
"#;

/// With the account told, nothing is left open but the keys of KMS, whose use is bound by conditions.
const TOLD: &str = include_str!("iam/told.json");

#[test]
fn the_policies_are_exact_where_all_is_known() {
    let home = Home::new();
    home.write("c.toml", CONFIG);
    let ended = home.siemline(&["iam", "--config", "c.toml", "--account", "111122223333"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    if std::env::var_os("SIEMLINE_BLESS").is_some() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cli/iam/told.json");
        std::fs::write(golden, &ended.out).unwrap();
    }
    assert_eq!(ended.out, TOLD, "SIEMLINE_BLESS=1 writes it anew: review it then");
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.err);
    assert!(lines.iter().all(|line| line.contains("which key of eu-") && line.contains("is not known")), "{lines:?}");
}

#[test]
fn what_is_not_known_is_said() {
    let home = Home::new();
    home.write("c.toml", CONFIG);
    let ended = home.siemline(&["iam", "--config", "c.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("arn:aws:kinesis:eu-central-1:*:stream/flows\""), "{}", ended.out);
    assert!(ended.out.contains("arn:aws:kinesis:eu-west-1:444455556666:stream/trails\""), "the role's account");
    assert!(!ended.out.contains("\"trust\""), "nobody is trusted whose account is not told: {}", ended.out);
    for words in [
        "the account of kinesis stream/flows is not known: say it by --account",
        "the account of dynamodb table/leases is not known: say it by --account",
        "who may assume arn:aws:iam::444455556666:role/reader is not known: say the account of the process by --account",
    ] {
        assert!(ended.err.contains(words), "{words} in {}", ended.err);
    }

    home.write("c.toml", "[source.kinesis.s]\nstream = \"s\"\n[sink.stdout.out]\n");
    let ended = home.siemline(&["iam", "--config", "c.toml"]);
    assert!(ended.err.contains("region and account of kinesis stream/s are not known"), "{}", ended.err);
    let region = ["iam", "--config", "c.toml", "--account", "111122223333", "--region", "cn-north-1"];
    let ended = home.siemline(&region);
    assert!(ended.out.contains("\"arn:aws-cn:kinesis:cn-north-1:111122223333:stream/s\""), "{}", ended.out);

    home.write("c.toml", "[source.file.s]\npaths = [\"in\"]\n[sink.stdout.out]\n");
    let ended = home.siemline(&["iam", "--config", "c.toml"]);
    assert_eq!((ended.out.as_str(), ended.code), ("[]\n", Some(0)));
    assert!(ended.err.contains("nothing of AWS is used"), "{}", ended.err);
}

#[test]
fn a_wrong_account_or_region_is_refused() {
    let home = Home::new();
    home.write("c.toml", CONFIG);
    for (option, value, words) in [("--account", "1111", "12 digits"), ("--region", "Ireland", "eu-west-1")] {
        let ended = home.siemline(&["iam", "--config", "c.toml", option, value]);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.err.contains(words), "{words} in {}", ended.err);
    }
}
