//! What is added to an OCSF document when it is written: labels, and what is known of its account.

use std::ops::Range;

use super::json::push_string;
use super::scan::{member, skip_space};
use super::{AccountFacts, Normalized};

/// A document at the end of a buffer, and the places in it that are known.
#[derive(Debug)]
pub struct Amend<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    normalized: &'a mut Normalized,
}

impl<'a> Amend<'a> {
    /// The document that begins at `begin` of `out` and ends with it, as [`Normalizer`](super::Normalizer) wrote it.
    pub fn new(out: &'a mut Vec<u8>, begin: usize, normalized: &'a mut Normalized) -> Self {
        Self { out, begin, normalized }
    }

    /// Adds to `metadata.labels` what is not there yet.
    pub fn labels<'t>(&mut self, labels: impl IntoIterator<Item = &'t str>) {
        for label in labels {
            let mut text = Vec::new();
            push_string(&mut text, label);
            let Some(metadata) = self.member_of(self.root(), "metadata") else {
                let object = [br#"{"labels":["#, text.as_slice(), b"]}"].concat();
                self.add_member(self.root(), "metadata", &object);
                continue;
            };
            match self.member_of(metadata.start, "labels") {
                None => self.add_member(metadata.start, "labels", &[b"[", text.as_slice(), b"]"].concat()),
                Some(labels) => {
                    let known = self.out.get(labels.clone()).unwrap_or_default();
                    if memchr::memmem::find(known, &text).is_none() {
                        self.add_element(&labels, &text);
                    }
                }
            }
        }
    }

    /// Adds what is known of `cloud.account`: its name where the event tells none, and an enrichment with everything.
    pub fn account(&mut self, facts: &AccountFacts) {
        let account = self.member_of(self.root(), "cloud").and_then(|cloud| self.member_of(cloud.start, "account"));
        if let (Some(account), Some(name)) = (account, &facts.name)
            && self.member_of(account.start, "name").is_none()
        {
            let mut text = Vec::new();
            push_string(&mut text, name);
            self.add_member(account.start, "name", &text);
        }
        if let Some(list) = self.member_of(self.root(), "enrichments") {
            self.add_element(&list, &facts.enrichment);
        } else {
            let list = [b"[", facts.enrichment.as_slice(), b"]"].concat();
            self.add_member(self.root(), "enrichments", &list);
        }
        self.labels(facts.labels.iter().map(|label| &**label));
    }

    fn root(&self) -> usize {
        skip_space(self.out, self.begin)
    }

    fn member_of(&self, object: usize, name: &str) -> Option<Range<usize>> {
        member(self.out, object, name)
    }

    /// Adds a member in front of the others. What is no object is left as it is.
    fn add_member(&mut self, object: usize, name: &str, value: &[u8]) {
        if self.out.get(object) != Some(&b'{') {
            return;
        }
        let at = object.saturating_add(1);
        let is_empty = self.out.get(skip_space(self.out, at)) == Some(&b'}');
        let comma: &[u8] = if is_empty { b"" } else { b"," };
        self.insert(at, &[b"\"", name.as_bytes(), b"\":", value, comma].concat());
    }

    /// Adds an element behind the others. What is no array is left as it is.
    fn add_element(&mut self, array: &Range<usize>, value: &[u8]) {
        let (first, last) = (array.start.saturating_add(1), array.end.saturating_sub(1));
        if self.out.get(array.start) != Some(&b'[') || self.out.get(last) != Some(&b']') {
            return;
        }
        let comma: &[u8] = if skip_space(self.out, first) == last { b"" } else { b"," };
        self.insert(last, &[comma, value].concat());
    }

    fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.out.splice(at..at, bytes.iter().copied());
        for place in [&mut self.normalized.account, &mut self.normalized.region] {
            if place.start >= at && place.start < place.end {
                *place = place.start.saturating_add(bytes.len())..place.end.saturating_add(bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::normalize::Complaints;

    /// What a document becomes, and that the account is found where it then stands.
    fn amended(document: &str, change: impl FnOnce(&mut Amend<'_>)) -> String {
        let mut out = [b"before", document.as_bytes()].concat();
        let account = document.find("1111").map_or(0..0, |at| at + 6..at + 18);
        let mut normalized = Normalized {
            log_type: Arc::from("x"),
            class_uid: 0,
            severity_id: 0,
            time_ms: 0,
            account,
            region: 0..0,
            complaints: Complaints::default(),
        };
        change(&mut Amend::new(&mut out, 6, &mut normalized));
        if document.contains("1111") {
            assert_eq!(out[normalized.account], *b"111122223333");
        }
        String::from_utf8(out.split_off(6)).unwrap()
    }

    /// Guards where labels go: behind those that are there, each once, into objects that are there or are not.
    #[test]
    fn labels_are_added() {
        let cases = [
            (r#"{"metadata":{"uid":"x"},"time":1}"#, r#"{"metadata":{"labels":["a","b"],"uid":"x"},"time":1}"#),
            (r#"{"metadata":{"labels":["z"]}}"#, r#"{"metadata":{"labels":["z","a","b"]}}"#),
            (r#"{"metadata":{"labels":["a"]}}"#, r#"{"metadata":{"labels":["a","b"]}}"#),
            (r#" { "metadata" : { "labels" : [ ] } } "#, r#" { "metadata" : { "labels" : [ "a","b"] } } "#),
            (r#"{"a":{"metadata":{}},"metadata":{}}"#, r#"{"a":{"metadata":{}},"metadata":{"labels":["a","b"]}}"#),
            (
                r#"{"a":"\"{[,","cloud":{"account":{"uid":"111122223333"}}}"#,
                r#"{"metadata":{"labels":["a","b"]},"a":"\"{[,","cloud":{"account":{"uid":"111122223333"}}}"#,
            ),
            (
                r#"{"cloud":{"account":{"uid":"111122223333"}},"metadata":{}}"#,
                r#"{"cloud":{"account":{"uid":"111122223333"}},"metadata":{"labels":["a","b"]}}"#,
            ),
            (r#"{"metadata":{"labels":"odd"}}"#, r#"{"metadata":{"labels":"odd"}}"#),
        ];
        for (document, expected) in cases {
            assert_eq!(amended(document, |amend| amend.labels(["a", "b"])), expected);
        }
        assert_eq!(amended("{}", |amend| amend.labels(["a\"\n"])), r#"{"metadata":{"labels":["a\"\n"]}}"#);
    }

    /// Guards what is said of an account: the name where there is none, the enrichment behind others.
    #[test]
    fn accounts_are_told() {
        let facts = AccountFacts {
            name: Some("prod".into()),
            enrichment: br#"{"name":"n"}"#.to_vec(),
            labels: vec!["team:a".into()],
        };
        let cases = [
            (
                r#"{"metadata":{},"cloud":{"account":{"uid":"111122223333"}}}"#,
                r#"{"enrichments":[{"name":"n"}],"metadata":{"labels":["team:a"]},"cloud":{"account":{"name":"prod","uid":"111122223333"}}}"#,
            ),
            (
                r#"{"metadata":{},"cloud":{"account":{"name":"own","uid":"111122223333"}},"enrichments":[1]}"#,
                r#"{"metadata":{"labels":["team:a"]},"cloud":{"account":{"name":"own","uid":"111122223333"}},"enrichments":[1,{"name":"n"}]}"#,
            ),
        ];
        for (document, expected) in cases {
            assert_eq!(amended(document, |amend| amend.account(&facts)), expected);
        }
    }
}
