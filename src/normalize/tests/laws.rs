//! Law 6 and its neighbours, on random events.

use super::*;
use crate::envelope::{Context, Event, Field, Form};
use crate::normalize::{CLOCK_AHEAD_MAX, Complaint};

/// A mapping with every shape of rule on keys that the generator likes, so that random events take odd ways through it.
const MAPPING: &str = r#"
[mapping]
log_type = "test.any"
class = "detection_finding"
profiles = ["cloud"]
keys = "any_initial"
ignore = [{ path = "zz.h", why = "the test lets it go" }]

[[match]]                             # with more conditions than a shipped mapping has, so that there is no tie
"mark" = 1
"@envelope.source" = { exists = false }
"@envelope.detail_type" = { exists = false }
"@envelope.log_group" = { exists = false }
"@envelope.log_stream" = { exists = false }
"@envelope.owner" = { exists = false }
"@envelope.account" = { exists = false }
"@envelope.region" = { exists = false }
"@envelope.version" = { exists = false }
"@envelope.log_event_id" = { exists = false }
"@envelope.extracted" = { exists = false }
"no1" = { exists = false }
"no2" = { exists = false }
"no3" = { exists = false }
"no4" = { exists = false }
"no5" = { exists = false }

[[parse]]
path = "d.e"
twin = "d"

[set]
"time" = { first = ["e", "f.time"], default = 0 }
"severity_id" = { from = "a", bands = [{ at_least = 7, value = 4 }, { above = 0, value = 2 }], default = 0 }
"status_id" = { from = "b", enum = { NEW = 1, x = 99 }, default = 99 }
"message" = { template = "{a} and {b.c}" }
"count" = "c"
"metadata.product.name" = { value = "Test" }
"metadata.uid" = { uid = ["a", "b"] }
"metadata.labels[]" = { all = ["f", "a"] }
"finding_info.uid" = { first = ["a", "b.c", "h"], default = "none" }
"finding_info.title" = { from = "a", before = ":" }
"finding_info.types[]" = "b"
"cloud.provider" = { value = "AWS" }
"cloud.account.uid" = "c"
"cloud.region" = { from = "h", skip = ["x"], as = "lower" }

[[block]]
target = "resources[]"
each = "b"
[block.set]
"name" = "@key"
"uid" = { first = ["a", "b", "c", "."] }
"data" = { rest = "." }

[[block]]
target = "resources[]"
from = "d"
when = { a = { exists = true } }
[block.set]
"uid" = "a"
"data" = { from = "/c", as = "json" }

[[block]]
target = "evidences[]"
from = "g"
[block.set]
"src_endpoint" = { part = "side", from = "a" }
"data" = { rest = "." }

[[block]]
target = "evidences[]"
[block.set]
"data" = { rest = "f" }

[part.side]
needs = ["ip"]
[part.side.set]
"ip" = { first = ["a", "b"] }
"port" = "c"
"hostname" = { from = "d", as = "hostname" }
"#;

fn mappings() -> Arc<Mappings> {
    let sources = Sources::embedded().with_directory(vec![("any.toml".to_owned(), MAPPING.to_owned())]);
    let loaded = sources.load(Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    Arc::new(Mappings::compile(loaded.log_types, loaded.base, Table::v1_8()).expect("the mappings compile"))
}

fn normalize(normalizer: &mut Normalizer, body: &[u8], form: Form) -> (String, Normalized) {
    let context = Context::default();
    let mut out = b"before ".to_vec();
    let made = normalizer.normalize(&Event { index: 0, body, form, context: &context }, &digest(body), &mut out);
    (String::from_utf8(out.split_off(7)).expect("an output is UTF-8"), made)
}

/// JSON text of a random value: few keys, so that they meet the mapping and each other; odd spellings of everything.
fn value(random: &mut fastrand::Rng, depth: usize, leaves: &mut u32, out: &mut String) {
    const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "A", "time", "k\\n\\\"", "\u{e9}"];
    let kind = if depth == 0 { random.u32(0..8) } else { random.u32(0..13) };
    *leaves += 1;
    match kind {
        0 => out.push_str("null"),
        1 => out.push_str(if random.bool() { "true" } else { "false" }),
        2 => out.push_str(&random.i64(-5..2_000_000_000).to_string()),
        3 => out.push_str(&(f64::from(random.i32(-9000..9000)) / 64.0).to_string()),
        4 => out.push_str(
            ["\"\"", "\"10.0.0.7\"", "\"NEW\"", "\"x\"", "\"2024-09-04T17:00:36.9517Z\""][random.usize(0..5)],
        ),
        5 | 6 => out.extend(["\"leaf:", &leaves.to_string(), "\""]),
        7 => out.push_str(
            ["\"{\\\"a\\\":1,\\\"b\\\":[true]}\"", "\"{}\"", "\"\\u00e9\\n\\\\\"", "18446744073709551615"]
                [random.usize(0..4)],
        ),
        8..=10 => {
            out.push('{');
            for number in 0..random.usize(0..5) {
                if number > 0 {
                    out.push(',');
                }
                out.extend(["\"", KEYS[random.usize(0..KEYS.len())], "\":"]);
                value(random, depth - 1, leaves, out);
            }
            out.push('}');
        }
        _ => {
            out.push('[');
            for number in 0..random.usize(0..4) {
                if number > 0 {
                    out.push(',');
                }
                value(random, depth - 1, leaves, out);
            }
            out.push(']');
        }
    }
}

fn event(random: &mut fastrand::Rng) -> String {
    let mut text = String::from("{\"mark\":1,\"a\":\"leaf:0\",\"a\":");
    let mut leaves = 0;
    value(random, 4, &mut leaves, &mut text);
    for key in ["b", "c", "d", "f", "g", "h"] {
        text.extend([",\"", key, "\":"]);
        value(random, 4, &mut leaves, &mut text);
    }
    text.push('}');
    text
}

/// Every marked leaf of the input stands in the output (law 6), the output is one JSON document on one line without
/// equal keys in an object, it is valid OCSF, and the same event gives the same bytes.
#[test]
fn no_leaf_is_lost_whatever_the_event() {
    let mappings = mappings();
    let (mut one, mut other) = (Normalizer::new(Arc::clone(&mappings)), Normalizer::new(mappings));
    for seed in 0..4_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let text = event(&mut random);
        let (output, made) = normalize(&mut one, text.as_bytes(), Form::Json);
        let shown = || format!("seed {seed}\nevent {text}\noutput {output}");
        let parsed: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert!(!output.contains('\n'), "{}", shown());
        assert_eq!(&*made.log_type, "test.any", "{}", shown());
        for part in text.split("\"leaf:").skip(1) {
            let number = part.split('"').next().expect("a leaf ends");
            let leaf = format!("leaf:{number}\"");
            assert!(output.contains(&leaf), "{leaf} is lost: {}", shown());
        }
        let mut keys = serde_json::Deserializer::from_str(&output);
        Unique::check(&mut keys).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(output, normalize(&mut other, text.as_bytes(), Form::Json).0, "seed {seed}");
        let problems = crate::ocsf::validate(&parsed);
        let errors = problems.iter().filter(|problem| problem.severity() == crate::ocsf::Severity::Error);
        assert_eq!(errors.map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{}", shown());
    }
}

/// A document in which no object has a key twice.
pub(super) struct Unique;

impl Unique {
    pub(super) fn check<'d, D: serde::Deserializer<'d>>(from: D) -> Result<(), D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'d> serde::de::DeserializeSeed<'d> for Unique {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'d>>(self, from: D) -> Result<(), D::Error> {
        Self::check(from)
    }
}

impl<'d> serde::de::Visitor<'d> for Unique {
    type Value = ();
    fn expecting(&self, words: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        words.write_str("JSON without equal keys")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: serde::de::SeqAccess<'d>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: serde::de::MapAccess<'d>>(self, mut members: A) -> Result<(), A::Error> {
        let mut keys = std::collections::HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("{key:?} stands twice")));
            }
            members.next_value_seed(Self)?;
        }
        Ok(())
    }
}

/// Broken, cut and hostile bytes give one JSON document each, and nothing panics or hangs.
#[test]
fn any_bytes_give_one_document() {
    let mut normalizer = Normalizer::new(mappings());
    let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"b\":".repeat(depth), "}".repeat(depth));
    let long_key = format!("{{\"{}\":1,\"a\":\"{}\"}}", "k".repeat(100_000), "v".repeat(100_000));
    let many = format!("{{\"a\":1,{}\"z\":2}}", "\"b\":{\"c\":1},".repeat(20_000));
    let wide = format!("{{\"a\":1,\"b\":[{}0]}}", "{\"a\":\"1\"},".repeat(20_000));
    let table: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"{\"a\":1e400,\"b\":123456789012345678901234567890,\"c\":-0}".to_vec(),
        b"{\"a\":\"\\ud800\",\"b\":\"\\udc00\\ud83d\\ude00\",\"c\":1}".to_vec(),
        b"\xef\xbb\xbf{\"a\":1}".to_vec(),
        b"{\"a\":\"\xff\xfe\"}".to_vec(),
        b"{\"a\":\"raw\x01\ttab\"}".to_vec(),
        b"[1,2,{\"a\":null}]".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"a\":1,}".to_vec(),
        deep(5_000).into_bytes(),
        deep(127).into_bytes(),
        deep(128).into_bytes(),
        objects(100).into_bytes(),
        objects(5_000).into_bytes(),
        long_key.into_bytes(),
        many.into_bytes(),
        wide.into_bytes(),
    ];
    for body in &table {
        for form in [Form::Json, Form::Text] {
            let (output, made) = normalize(&mut normalizer, body, form);
            let shown = String::from_utf8_lossy(body.get(..80).unwrap_or(body)).into_owned();
            let mut reader = serde_json::Deserializer::from_str(&output);
            Unique::check(&mut reader).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert!(output.len() < 200 * body.len() + 10_000, "{shown}: {} bytes", output.len());
            assert!(made.account.end <= output.len() + 7, "{shown}");
        }
    }
    // Random damage to a good event.
    for seed in 0..3_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut body = event(&mut random).into_bytes();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..body.len());
            body[at] = random.u8(..);
        }
        body.truncate(random.usize(0..=body.len()));
        let form = if random.bool() { Form::Json } else { Form::Text };
        let (output, _) = normalize(&mut normalizer, &body, form);
        let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&output);
        assert!(parsed.is_ok(), "seed {seed}: {output}");
    }
}

/// What the fast parser refuses although it is JSON still comes out leaf by leaf, with the complaint.
#[test]
fn refused_json_is_repaired() {
    let mut normalizer = Normalizer::new(mappings());
    let body = b"\xef\xbb\xbf{\"q\":{\"big\":123456789012345678901234567890,\"huge\":1e400,\"half\":\"a\\ud800b\",\"raw\":\"\x02\"}}";
    let (output, made) = normalize(&mut normalizer, body, Form::Json);
    assert!(made.complaints.contains(Complaint::JsonRepaired), "{output}");
    let output: Value = serde_json::from_str(&output).expect("JSON");
    let expect = serde_json::json!({
        "big": "123456789012345678901234567890", "huge": "1e400", "half": "a\u{fffd}b", "raw": "\u{2}",
    });
    assert_eq!(output.pointer("/unmapped/q"), Some(&expect));
    let (output, made) = normalize(&mut normalizer, b"{\"a\":", Form::Json);
    assert!(made.complaints.contains(Complaint::JsonUnreadable), "{output}");
    assert!(output.contains("\"message\":\"{\\\"a\\\":\""), "{output}");
}

/// Every cell of a line that is no mark of absence stands in the output (law 6), whatever the columns hold.
#[test]
fn no_cell_is_lost_whatever_the_line() {
    let mut normalizer = Normalizer::new(mappings());
    let headers =
        [None, Some("version log-status account-id start end srcaddr srcaddr az-id bytes type other-1 other-2")];
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let header = headers[random.usize(0..2)];
        let cells: Vec<String> = (0..random.usize(14..20))
            .map(|place| match (place, header, random.u32(0..6)) {
                (0, ..) => "5".to_owned(),
                (1, Some(_), _) | (13, None, _) => "OK".to_owned(),
                (.., 0) => "-".to_owned(),
                (.., 1) => "6".to_owned(),
                (.., 2) => "192.0.2.7".to_owned(),
                _ => format!("leaf:{place}:{seed}"),
            })
            .collect();
        let line = cells.join(" ");
        let mut context = Context::default();
        if let Some(header) = header {
            context.set(Field::Header, header);
        }
        let mut out = Vec::new();
        let event = Event { index: 0, body: line.as_bytes(), form: Form::Text, context: &context };
        let made = normalizer.normalize(&event, &digest(line.as_bytes()), &mut out);
        let output = String::from_utf8(out).expect("an output is UTF-8");
        assert_eq!(&*made.log_type, "aws.vpc_flow", "seed {seed}: {line}");
        for cell in cells.iter().filter(|cell| *cell != "-") {
            assert!(output.contains(cell.as_str()), "{cell} is lost, seed {seed}: {line}\n{output}");
        }
    }
}

/// A time that lies ahead of the arrival is told, up to the tolerance it is not, and it is never altered.
#[test]
fn times_in_the_future() {
    let mut normalizer = Normalizer::new(mappings());
    let arrival_ms = 1_725_469_236_000;
    let ahead_ms = i64::try_from(CLOCK_AHEAD_MAX.as_millis()).expect("it is short");
    for (time_ms, is_told) in
        [(arrival_ms - 1, false), (arrival_ms + ahead_ms, false), (arrival_ms + ahead_ms + 1, true)]
    {
        let mut context = Context::default();
        context.set(Field::Arrival, &arrival_ms.to_string());
        let body = format!(r#"{{"mark":1,"e":{time_ms}}}"#);
        let mut out = Vec::new();
        let event = Event { index: 0, body: body.as_bytes(), form: Form::Json, context: &context };
        let made = normalizer.normalize(&event, &digest(body.as_bytes()), &mut out);
        assert_eq!(made.complaints.contains(Complaint::TimeInFuture), is_told, "{time_ms}");
        assert_eq!(made.time_ms, time_ms);
    }
}

/// The explanation counts every leaf of the event once, and names the rule and the place behind each target.
#[test]
fn explanations_add_up() {
    let mut normalizer = Normalizer::new(mappings());
    let body = br#"{"mark":1,"a":"leaf:1","b":[{"a":"u-1","x":5}],"c":3,"zz":{"h":true},"z":null,"y":{"w":"left"}}"#;
    let context = Context::default();
    let mut out = Vec::new();
    let event = Event { index: 0, body, form: Form::Json, context: &context };
    let (_, explained) = normalizer.normalize_explained(&event, &digest(body), &mut out);
    let leaves = explained.leaves;
    assert_eq!(
        (leaves.typed, leaves.free_form, leaves.unmapped, leaves.ignored),
        (3, 1, 2, 1),
        "{}",
        String::from_utf8_lossy(&out)
    );
    let uid = explained.written.iter().find(|written| written.target == "resources[0].uid").expect("it is written");
    assert_eq!(uid.source.as_deref(), Some("a"));
    let mut silent = Vec::new();
    normalizer.normalize(&event, &digest(body), &mut silent);
    assert_eq!(out, silent, "to be asked changes nothing");
}
