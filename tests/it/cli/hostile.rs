//! Guards the fourth law: foreign bytes cannot hurt. What is broken lies in the dead letters, whole and with its reason, and
//! everything else arrives.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use super::{Home, assert_valid, finding, findings, gzip, title};

const CONFIG: &str = r#"
[source.file.in]
paths = ["in/*"]
record = "file"

[sink.file.out]
path = "out/events.ndjson"

[dead_letter.file]
directory = "dl"

[normalize]
decompressed_bytes_max = "16MiB"
ratio_max = 1000
"#;

fn bytes_of(letter: &Value) -> Vec<u8> {
    match letter["original"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => base64::engine::general_purpose::STANDARD.decode(letter["original_base64"].as_str().unwrap()).unwrap(),
    }
}

#[test]
fn broken_records_lie_in_the_dead_letters_and_all_others_arrive() {
    let whole = gzip(format!("{}\n", finding(0)).as_bytes());
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    // Record, code, reason.
    let broken: [(&str, Vec<u8>, &str, &str); 7] = [
        ("a-truncated.gz", whole[..whole.len() - 9].to_vec(), "truncated_gzip", "broken"),
        ("a-corrupt.gz", flipped, "corrupt_gzip", "broken"),
        ("b-bomb.gz", gzip(&vec![b' '; 64 << 20]), "decompressed_bytes_max", "over_bound"),
        ("c-bomb-in-bomb.gz", gzip(&gzip(&vec![0; 64 << 20])), "ratio_max", "over_bound"),
        ("d-latin", b"{\"name\":\"caf\xe9\"}".to_vec(), "invalid_utf8", "broken"),
        ("e-empty", Vec::new(), "empty_record", "broken"),
        (
            "f-random",
            (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect(),
            "invalid_utf8",
            "broken",
        ),
    ];
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let deep_list = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let giant = format!("{{\"kind\":\"giant\",\"text\":\"{}\"}}", "x".repeat(10 << 20));
    let odd: [(&str, &[u8]); 12] = [
        ("o-deep", deep.as_bytes()),
        ("o-deep-list", deep_list.as_bytes()),
        ("o-giant", giant.as_bytes()),
        ("o-duplicate", b"{\"kind\":1,\"kind\":2}"),
        ("o-big-integer", b"{\"kind\":123456789012345678901234567890}"),
        ("o-big-float", b"{\"kind\":1e400}"),
        ("o-surrogate", b"{\"kind\":\"\\ud800 alone\"}"),
        ("o-mark", b"\xef\xbb\xbf{\"kind\":\"marked\"}"),
        ("o-open", b"{\"kind\":\"never closed\""),
        ("o-nul", b"{\"kind\":\"a\\u0000b\"}\n\0\0\0"),
        ("o-scalar", b"42"),
        ("o-controls", b"\x01\x02\x1b[31mred"),
    ];
    let home = Home::new();
    for (name, bytes, ..) in &broken {
        home.write(&format!("in/{name}"), bytes);
    }
    for (name, bytes) in odd {
        home.write(&format!("in/{name}"), bytes);
    }
    // Neighbours before, between and after.
    for (number, name) in [(1, "0-before"), (2, "c-between"), (3, "z-after")] {
        home.write(&format!("in/{name}"), finding(number).to_string());
    }
    home.write("c.toml", CONFIG);
    let ended = home.siemline(&["run", "--config", "c.toml"]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    let letters = home.dead_letters();
    let expected: BTreeMap<String, (&str, &str, &Vec<u8>)> =
        broken.iter().map(|(name, bytes, code, reason)| (format!("in/{name}"), (*code, *reason, bytes))).collect();
    for letter in &letters {
        let shard = letter["shard"].as_str().unwrap();
        let Some((code, reason, bytes)) = expected.get(shard) else { panic!("a dead letter too many: {letter:.500}") };
        assert_eq!((&letter["code"], &letter["reason"]), (&Value::from(*code), &Value::from(*reason)), "{shard}");
        assert!(bytes_of(letter) == **bytes, "{shard}: its bytes are not those that were read");
    }
    assert_eq!(letters.len(), broken.len(), "{letters:#?}");

    let events = home.lines("out/events.ndjson");
    events.iter().for_each(assert_valid);
    let mut titles: Vec<_> = events.iter().filter_map(title).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Finding 1", "Finding 2", "Finding 3"]);
    let all = home.read("out/events.ndjson");
    for kept in ["never closed", "marked", "123456789012345678901234567890", "1e400", "[31mred", " alone"] {
        assert!(all.contains(kept), "`{kept}` did not arrive");
    }
    assert_eq!(ended.count("dead-lettered"), letters.len() as u64, "{}", ended.err);
    assert_eq!(ended.count("delivered"), events.len() as u64, "{}", ended.err);
    assert!(events.len() >= odd.len() + 3, "{}", events.len());
    assert_eq!(ended.count("again"), 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = home.path("dl/dead-letters.ndjson").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "dead letters are for their owner only");
    }
}

/// Guards that a file that breaks off costs the others nothing, where records are lines.
#[test]
fn a_line_file_that_breaks_off_is_told_and_the_rest_arrives() {
    let home = Home::new();
    let packed = gzip(findings(0..2000).as_bytes());
    home.write("in/a.gz", &packed[..packed.len() / 2]);
    home.write("in/b.ndjson", format!("{}\n", finding(9999)));
    home.write("c.toml", CONFIG.replace("record = \"file\"\n", ""));
    let ended = home.siemline(&["run", "--config", "c.toml"]);
    let events = home.lines("out/events.ndjson");
    events.iter().for_each(assert_valid);
    assert!(events.iter().any(|event| title(event) == Some("Finding 9999")), "{ended:?}");
    assert!(events.len() > 100 && ended.count("delivered") == events.len() as u64);
    assert_eq!(ended.code, Some(1), "the operator is told by the exit code");
    assert!(ended.err.contains("in/a.gz"), "{}", ended.err);
}
