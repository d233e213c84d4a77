//! Guards what needs no pipeline: which letters are meant, what files are found, and what is removed from them.

use std::collections::BTreeSet;

use super::{Filter, Letters, find, remove};
use crate::delivery::KeptLetter;

fn line(sink: &str, code: &str, second: u32) -> String {
    format!(
        "{{\"v\":2,\"what\":\"event\",\"reason\":\"refused\",\"code\":\"{code}\",\"words\":\"no\",\"sink\":\"{sink}\",\
         \"source\":\"s\",\"shard\":\"shard\",\"sequence\":\"7\",\"sub_sequence\":0,\"event_index\":3,\
         \"log_type\":\"aws.guardduty\",\"attempts\":1,\"first_time\":\"2026-01-02T03:04:00.000Z\",\
         \"last_time\":\"2026-01-02T03:04:{second:02}.000Z\",\"original\":\"{{}}\"}}\n"
    )
}

/// Guards each part of a filter, and that a letter without a sink or log type is not meant where one is asked for.
#[test]
fn filters_are_exact() {
    let letter = KeptLetter::parse(line("soc", "hec_6", 30).as_bytes()).unwrap();
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let time = |second: u32| Some(format!("2026-01-02T03:04:{second:02}Z").parse().unwrap());
    let all = Filter::default();
    for (filter, expected) in [
        (all.clone(), true),
        (Filter { sinks: list(&["lake", "soc"]), ..all.clone() }, true),
        (Filter { sinks: list(&["lake"]), ..all.clone() }, false),
        (Filter { codes: list(&["hec_*"]), reasons: list(&["refused"]), ..all.clone() }, true),
        (Filter { codes: list(&["hec_"]), ..all.clone() }, false),
        (Filter { reasons: list(&["too_large"]), ..all.clone() }, false),
        (Filter { log_types: list(&["aws.*"]), ..all.clone() }, true),
        (Filter { log_types: list(&["aws.cloudtrail"]), ..all.clone() }, false),
        (Filter { since: time(30), until: time(31), ..all.clone() }, true),
        (Filter { since: time(31), ..all.clone() }, false),
        (Filter { until: time(30), ..all.clone() }, false),
    ] {
        assert_eq!(filter.admits(&letter), expected, "{filter:?}");
    }
    let broken = line("soc", "x", 0).replace("\"sink\":\"soc\",", "").replace("\"log_type\":\"aws.guardduty\",", "");
    let broken = KeptLetter::parse(broken.as_bytes()).unwrap();
    assert!(all.admits(&broken) && !Filter { sinks: list(&["*"]), ..all }.admits(&broken));
}

/// Guards that what is no letter, or one of a later siemline, is told and costs the others nothing.
#[tokio::test]
async fn lines_are_read_as_far_as_they_are_letters() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead-letters.ndjson");
    let version_1 = line("a", "1", 1).replace("{\"v\":2,\"what\":\"event\",", "{\"v\":1,");
    let later = line("a", "2", 1).replace("{\"v\":2", "{\"v\":3");
    let text = format!("{version_1}no letter\n{later}{}{}", line("a", "3", 1), line("a", "torn", 1).trim_end());
    std::fs::write(&path, &text).unwrap();
    let mut letters = Letters::open(&path, u64::try_from(text.len()).unwrap()).await.unwrap();
    let mut codes = Vec::new();
    while let Some(line) = letters.next().await.unwrap() {
        codes.push(line.letter.map(|letter| (letter.code, letter.what.is_some())));
    }
    assert_eq!(codes, [Some(("1".to_owned(), false)), None, None, Some(("3".to_owned(), true)), None]);
}

/// Guards that what was appended after the files were found is neither read nor removed, and that a file with nothing left is
/// gone.
#[tokio::test]
async fn only_what_is_settled_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    assert!(find(directory.path()).unwrap_err().to_string().contains("no dead letters"));
    let path = directory.path().join("dead-letters.ndjson");
    let (one, two) = (line("a", "1", 1), line("a", "2", 1));
    std::fs::write(&path, format!("{one}{two}")).unwrap();
    std::fs::write(directory.path().join("other.txt"), "").unwrap();
    let found = find(directory.path()).unwrap();
    assert_eq!(found, [(path.clone(), u64::try_from(one.len() + two.len()).unwrap())]);
    let three = line("a", "3", 1);
    std::fs::write(&path, format!("{one}{two}{three}")).unwrap();
    let mut letters = Letters::open(&found[0].0, found[0].1).await.unwrap();
    let mut offsets = BTreeSet::new();
    while let Some(line) = letters.next().await.unwrap() {
        offsets.insert(line.offset);
    }
    assert_eq!(offsets.len(), 2);

    let holding = std::fs::File::open(&path).unwrap();
    holding.lock_shared().unwrap();
    assert!(remove(&path, &offsets).unwrap_err().to_string().contains("a running siemline"));
    drop(holding);
    remove(&path, &offsets).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), three);
    remove(&path, &BTreeSet::from([0])).unwrap();
    assert!(find(directory.path()).is_err(), "no file is left, neither it nor the one beside it");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
