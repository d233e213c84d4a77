//! What every envelope gives, alone and nested; what bad input does; and that nothing is lost and no bound broken.

use std::fmt::Write as _;

use super::{Field, Form, Limits, Oddity, Peeled, Peeler, Piece, Refusal};

/// One piece a line, as the tables below expect them: the kind, the body, and in brackets what the envelopes told.
fn lines_of(peeled: &Peeled<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, piece) in peeled.pieces().enumerate() {
        assert_eq!(usize::try_from(piece.index()), Ok(number), "the indexes count the pieces");
        lines.push(match piece {
            Piece::Event(event) => {
                let kind = if event.form == Form::Json { "json" } else { "text" };
                let body = std::str::from_utf8(event.body).expect("an event is UTF-8");
                let mut line = format!("{kind} {body}");
                for field in Field::ALL {
                    if let Some(value) = event.context.get(field) {
                        write!(line, " [{}={value}]", field.name()).expect("a string takes everything");
                    }
                }
                line
            }
            Piece::Filtered { rule, .. } => format!("filtered {rule}"),
            Piece::Refused { code, body, .. } => format!("refused {code} {}", body.escape_ascii()),
        });
    }
    lines
}

/// The pieces of a record, and the complaints.
type Found = (Vec<String>, Vec<(u32, Oddity)>);

fn peel(record: &[u8]) -> Result<Found, Refusal> {
    let mut peeler = Peeler::new(Limits::default());
    let found = peeler.peel(record, None)?;
    let complaints = found.complaints().iter().map(|complaint| (complaint.index, complaint.oddity)).collect();
    Ok((lines_of(&found), complaints))
}

/// Expects these pieces, and no complaint.
#[track_caller]
fn check(record: impl AsRef<[u8]>, pieces: &[&str]) {
    check_odd(record, pieces, &[]);
}

#[track_caller]
fn check_odd(record: impl AsRef<[u8]>, pieces: &[&str], complaints: &[(u32, Oddity)]) {
    let record = record.as_ref();
    let (found, odd) = peel(record).unwrap_or_else(|refusal| panic!("{refusal}: {}", record.escape_ascii()));
    assert_eq!(found, pieces, "{}", record.escape_ascii());
    assert_eq!(odd, complaints, "{}", record.escape_ascii());
}

/// What stands alone is one event, as it is written.
#[test]
fn bare_documents() {
    check(r#"{"a":1}"#, &[r#"json {"a":1}"#]);
    check(" \r\n{\n  \"a\" : [ 1, {} ]\n}\n", &["json {\n  \"a\" : [ 1, {} ]\n}"]);
    check(r#"{"a":1,"a":2}"#, &[r#"json {"a":1,"a":2}"#]);
    check(
        r#"{"n":123456789012345678901234567890,"f":1e400,"s":"\ud800"}"#,
        &[r#"json {"n":123456789012345678901234567890,"f":1e400,"s":"\ud800"}"#],
    );
    check("{}", &["json {}"]);
    check("42", &["text 42"]);
    check(r#""a text""#, &[r#"text "a text""#]);
    check("[1,2]", &["text [1,2]"]);
}

/// Each line, or each of several documents in a row, is an event; what is no JSON is text; blank lines are nothing.
#[test]
fn several_documents_and_lines() {
    check("{\"a\":1}\n{\"b\":2}\r\n\n  \n{\"c\":3}", &[r#"json {"a":1}"#, r#"json {"b":2}"#, r#"json {"c":3}"#]);
    check(r#"{"a":1}{"b":2} {"c":3}"#, &[r#"json {"a":1}"#, r#"json {"b":2}"#, r#"json {"c":3}"#]);
    check("{\n \"a\": 1\n}\n{\n \"b\": 2\n}", &["json {\n \"a\": 1\n}", "json {\n \"b\": 2\n}"]);
    check(r#"[{"a":1}, {"b":2}]"#, &[r#"json {"a":1}"#, r#"json {"b":2}"#]);
    check("[{\"a\":1}]\n[{\"b\":2}]", &[r#"json {"a":1}"#, r#"json {"b":2}"#]);
    check("[\n1,\n\"x\"\n]", &["text [\n1,\n\"x\"\n]"]);
    check(r#"[{"a":1}, 2]"#, &[r#"text [{"a":1}, 2]"#]);
    check("[]", &["filtered empty_list"]);
    check("one line\r\n\r\n  two\n", &["text one line", "text   two"]);
    check("[2026-01-01] started\n[INFO] up", &["text [2026-01-01] started", "text [INFO] up"]);
    check("{\"a\":1}\nplain\n{\"b\":2}", &[r#"json {"a":1}"#, "text plain", r#"json {"b":2}"#]);
}

/// A broken document costs its own line and no other.
#[test]
fn broken_documents_among_others() {
    let broken = |index| (index, Oddity::BrokenJson);
    check_odd("{\"a\":1}\n{\"b\":\n{\"c\":3}", &[r#"json {"a":1}"#, r#"text {"b":"#, r#"json {"c":3}"#], &[broken(1)]);
    check_odd("{\"a\":\"x\n{\"b\":2}", &[r#"text {"a":"x"#, r#"json {"b":2}"#], &[broken(0)]);
    check_odd("{\"a\":1}}\n{\"b\":2}", &[r#"json {"a":1}"#, "text }", r#"json {"b":2}"#], &[]);
    check_odd(r#"{"a":1} {"b" 2}"#, &[r#"json {"a":1}"#, r#"text  {"b" 2}"#], &[broken(1)]);
    for broken_one in [
        r#"{"a":1"#,
        r#"{"a":1]"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        "{a:1}",
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a":tru}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":[}"#,
        r#"{"a":"x\"}"#,
        r#"{"a":"x\"#,
        "{",
    ] {
        check_odd(broken_one, &[&format!("text {broken_one}")], &[broken(0)]);
    }
}

/// A byte order mark is taken away and said; it hides no JSON.
#[test]
fn byte_order_mark() {
    check_odd(b"\xEF\xBB\xBF{\"a\":1}", &[r#"json {"a":1}"#], &[(0, Oddity::ByteOrderMark)]);
    let record = subscription(r#"{"id":"1","timestamp":2,"message":"\ufeff {\"a\":1}"}"#);
    let told = "[log_group=/g] [log_stream=s] [owner=111122223333] [log_event_id=1] [log_event_time=2]";
    check_odd(record, &[&format!("json {{\"a\":1}} {told}")], &[(0, Oddity::ByteOrderMark)]);
}

/// What is not UTF-8 is refused alone, with its bytes.
#[test]
fn invalid_utf8() {
    check(
        b"{\"a\":1}\n{\"b\":\"\xFF\"}\n{\"c\":3}",
        &[r#"json {"a":1}"#, r#"refused invalid_utf8 {\"b\":\"\xff\"}"#, r#"json {"c":3}"#],
    );
    check(b"ok\nnot \xC3\nok", &["text ok", r"refused invalid_utf8 not \xc3", "text ok"]);
    let mut record = subscription(r#"{"id":"1","message":"?"},{"id":"2","message":"fine"}"#).into_bytes();
    let place = record.iter().position(|byte| *byte == b'?').expect("a place to break");
    record[place] = 0x80;
    check(
        record,
        &[
            r"refused invalid_utf8 \x80",
            "text fine [log_group=/g] [log_stream=s] [owner=111122223333] [log_event_id=2]",
        ],
    );
    let record =
        br#"{"detail-type":"t","source":"s-|","detail":{}}"#.map(|byte| if byte == b'|' { 0xFF } else { byte });
    check_odd(record, &["json {} [source=s-\u{FFFD}] [detail_type=t]"], &[(0, Oddity::ContextNotUtf8)]);
}

fn subscription(log_events: &str) -> String {
    let head = r#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/g","logStream":"s","#;
    format!(r#"{head}"subscriptionFilters":["f"],"logEvents":[{log_events}]}}"#)
}

/// One log event is one event, whatever its message is.
#[test]
fn cloudwatch_logs() {
    let told = "[log_group=/g] [log_stream=s] [owner=111122223333]";
    let one = |message: &str, piece: &str| check(subscription(&format!(r#"{{"message":{message}}}"#)), &[piece]);
    one(r#""{\"a\":\"b\\n\"}\n""#, &format!(r#"json {{"a":"b\n"}} {told}"#));
    one(r#""one\n\ttwo\r\nthree""#, &format!("text one\n\ttwo\r\nthree {told}"));
    one(r#""{\"a\":1}\n{\"b\":2}""#.replace(r#"\n{\"b\":2}"#, " ").as_str(), &format!("json {{\"a\":1}} {told}"));
    one(r#""[{\"a\":1}]""#, &format!("text [{{\"a\":1}}] {told}"));
    one(r#""""#, &format!("text  {told}"));
    one(r#""\u00e9\ud83d\ude00\/\b\f""#, &format!("text \u{e9}\u{1F600}/\u{8}\u{c} {told}"));
    one(r#"{"a":1}"#, &format!(r#"json {{"a":1}} {told}"#));
    one("[1,2]", &format!("text [1,2] {told}"));
    one("null", &format!("text null {told}"));

    let told = |id: &str| format!("{told} [log_event_id={id}] [log_event_time=1700000000000]");
    check(
        subscription(
            r#"{"id":"36","timestamp":1700000000000,"message":"a"},
               {"id":37,"timestamp":1700000000000,"message":"b","extractedFields":{"x":"1"}}"#,
        ),
        &[&format!("text a {}", told("36")), &format!(r#"text b {} [extracted={{"x":"1"}}]"#, told("37"))],
    );
}

/// Records of a subscription that carry no event, and such as are none.
#[test]
fn cloudwatch_logs_without_events() {
    check(subscription("").replace("DATA_", "CONTROL_"), &["filtered cloudwatch_logs_control_message"]);
    check(
        subscription(r#"{"message":"x"},{"message":"y"}"#).replace("DATA_", "CONTROL_"),
        &["filtered cloudwatch_logs_control_message"],
    );
    check(subscription(""), &["filtered empty_list"]);
    for other in [
        subscription("").replace("DATA_", "OTHER_"),
        subscription("").replace("logGroup", "logGrip"),
        subscription("").replace("\"logEvents\":[]", "\"logEvents\":{}"),
    ] {
        check(&other, &[&format!("json {other}")]);
    }
}

/// What is odd in a subscription costs nothing: it stays whole.
#[test]
fn cloudwatch_logs_oddities() {
    let told = "[log_group=/g] [log_stream=s] [owner=111122223333]";
    let odd = |log_event: &str, piece: &str, oddity| {
        check_odd(subscription(log_event), &[&format!("{piece} {told}")], &[(0, oddity)]);
    };
    odd(r#"{"id":"1"}"#, r#"json {"id":"1"}"#, Oddity::MessageMissing);
    odd("7", "text 7", Oddity::MessageMissing);
    odd(r#"{"message":"a","message":"b"}"#, r#"json {"message":"a","message":"b"}"#, Oddity::DuplicateKey);
    odd(r#"{"message":"\ud800x"}"#, "text \u{FFFD}x", Oddity::LoneSurrogate);
    odd(r#"{"message":"\udc00\ud800\u0041"}"#, "text \u{FFFD}\u{FFFD}A", Oddity::LoneSurrogate);
    odd(r#"{"message":"{\"a\":"}"#, r#"text {"a":"#, Oddity::BrokenJson);
    odd(r#"{"message":"{\"a\":1}\n{\"b\":2}"}"#, "text {\"a\":1}\n{\"b\":2}", Oddity::BrokenJson);
    let twice = subscription("").replace("\"owner\"", "\"logGroup\":\"x\",\"owner\"");
    check_odd(&twice, &[&format!("json {twice}")], &[(0, Oddity::DuplicateKey)]);
}

/// The detail is the event, and the rest is told; without an object in it, the whole is the event.
#[test]
fn eventbridge() {
    check(
        r#"{"version":"0","id":"i-1","detail-type":"A \"b\"","source":"aws.x","account":"111122223333","time":"2026-01-01T00:00:00Z",
            "region":"eu-west-1","resources":[],"detail":{"k":"v"}}"#,
        &[
            r#"json {"k":"v"} [source=aws.x] [detail_type=A "b"] [id=i-1] [time=2026-01-01T00:00:00Z] [account=111122223333] [region=eu-west-1] [version=0]"#,
        ],
    );
    check(
        r#"{"detail":{},"source":"s","detail-type":"t","account":null,"version":0}"#,
        &["json {} [source=s] [detail_type=t] [version=0]"],
    );
    for other in [
        r#"{"detail-type":"t","source":"s","detail":"{}"}"#,
        r#"{"detail-type":"t","source":"s","detail":[{}]}"#,
        r#"{"detail-type":"t","source":"s"}"#,
        r#"{"detail-type":1,"source":"s","detail":{}}"#,
        r#"{"source":"s","detail":{}}"#,
    ] {
        check(other, &[&format!("json {other}")]);
    }
    let twice = r#"{"detail-type":"t","source":"s","detail":{"a":1},"detail":{"b":2}}"#;
    check_odd(twice, &[&format!("json {twice}")], &[(0, Oddity::DuplicateKey)]);
}

fn trail(id: u32) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"iam.amazonaws.com","eventName":"N","eventID":"{id}"}}"#
    )
}

/// Only CloudTrail's own `Records` are opened; the other things that use the name stay one event.
#[test]
fn cloudtrail() {
    let (one, two) = (trail(1), trail(2));
    check(format!(r#"{{"Records":[{one},{two}]}}"#), &[&format!("json {one}"), &format!("json {two}")]);
    check(format!("{{ \"Records\" : [ {one}\n ] }}\n"), &[&format!("json {one}")]);
    check(r#"{"Records":[]}"#, &["filtered empty_list"]);
    // An Insights event names the call and its source one level down.
    let insight =
        r#"{"eventTime":"2026-01-01T00:00:00Z","eventID":"3","insightDetails":{"eventName":"N","eventSource":"s"}}"#;
    check(format!(r#"{{"Records":[{insight},{one}]}}"#), &[&format!("json {insight}"), &format!("json {one}")]);
    let long =
        one.replace('}', &format!("{}}}", (0..40).fold(String::new(), |all, n| all + &format!(r#","k{n}":{n}"#))));
    check(format!(r#"{{"Records":[{long}]}}"#), &[&format!("json {long}")]);
    for other in [
        format!(r#"{{"Records":[{}]}}"#, one.replace("eventID", "awsRegion")),
        r#"{"Records":[{"eventSource":"aws:dynamodb","eventTime":"t","eventName":"n","dynamodb":{}}]}"#.to_owned(),
        r#"{"Records":[{"Sns":{}}]}"#.to_owned(),
        format!(r#"{{"Records":[{}]}}"#, insight.replace("eventID", "id")),
        r#"{"Records":[{"eventTime":"t","eventID":"1","eventName":"n"}]}"#.to_owned(),
        format!(r#"{{"Records":[{one},1]}}"#),
        format!(r#"{{"Records":[{one}],"more":1}}"#),
        format!(r#"{{"Records":{one}}}"#),
    ] {
        check(&other, &[&format!("json {other}")]);
    }
}

/// A list of findings is opened where nothing but an answer's own keys stands beside it.
#[test]
fn findings() {
    check(r#"{"Findings":[{"a":1},{"b":2}],"NextToken":"x"}"#, &[r#"json {"a":1}"#, r#"json {"b":2}"#]);
    check(r#"{"$metadata":{},"findings":[{"a":1}],"nextToken":null}"#, &[r#"json {"a":1}"#]);
    check(r#"{"findings":[]}"#, &["filtered empty_list"]);
    check(
        r#"{"detail-type":"t","source":"s","detail":{"findings":[{"a":1},{"b":2}]}}"#,
        &[r#"json {"a":1} [source=s] [detail_type=t]"#, r#"json {"b":2} [source=s] [detail_type=t]"#],
    );
    for other in [
        r#"{"findings":[{"a":1}],"actionName":"x"}"#,
        r#"{"findings":[{"a":1}],"Findings":[]}"#,
        r#"{"findings":[1]}"#,
        r#"{"findings":{"a":1}}"#,
        r#"{"nextToken":"x"}"#,
    ] {
        check(other, &[&format!("json {other}")]);
    }
}

/// The header line of a flow log is no event, but the lines are told it. A line that only begins so is a line.
#[test]
fn header_line() {
    check(
        "version account-id pkt-srcaddr\r\n2 1 a\r\n\n2 2 b\n",
        &[
            "filtered header_line",
            "text 2 1 a [header=version account-id pkt-srcaddr]",
            "text 2 2 b [header=version account-id pkt-srcaddr]",
        ],
    );
    check("version 1.2 is up\nand runs", &["text version 1.2 is up", "text and runs"]);
    check("version account-id\n", &["text version account-id"]);
    check(
        "az-id srcaddr tgw-src-eni\na b c\n",
        &["filtered header_line", "text a b c [header=az-id srcaddr tgw-src-eni]"],
    );
    for no_header in ["start end\na b", "start of action\na b c", "az-id srcaddr  tgw-id\na b c"] {
        let lines: Vec<String> = no_header.lines().map(|line| format!("text {line}")).collect();
        check(no_header, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// The lines in which CloudFront names the columns, and such as only begin with a `#`.
#[test]
fn header_directives() {
    check(
        "#Version: 1.0\r\n#Fields: date time c-ip\r\na\tb\tc\n",
        &["filtered header_line", "filtered header_line", "text a\tb\tc [header=#Fields: date time c-ip]"],
    );
    check("#Fields: a\n", &["filtered header_line"]);
    check("#Version: 1.0\na", &["text #Version: 1.0", "text a"]);
    check("#Fieldsome\na", &["text #Fieldsome", "text a"]);
}

/// Envelopes open in any nesting; inner words replace outer ones; the arrival is told everywhere.
#[test]
fn nesting() {
    let quoted = |text: &str| serde_json::to_string(text).expect("a string is JSON");
    let (one, two) = (trail(1), trail(2));
    let log_file = format!(r#"{{"Records":[{one},{two}]}}"#);
    let event = format!(r#"{{"detail-type":"t","source":"inner","id":"9","detail":{log_file}}}"#);
    let outer = format!(r#"{{"detail-type":"o","source":"outer","id":"8","detail":{event}}}"#);
    let record = subscription(&format!(r#"{{"id":"5","message":{}}}"#, quoted(&outer)));
    let again = subscription(&format!(r#"{{"id":"6","message":{}}},{{"message":"x"}}"#, quoted(&record)));
    let told =
        "[source=inner] [detail_type=t] [id=9] [log_group=/g] [log_stream=s] [owner=111122223333] [log_event_id=5]";
    let last = "text x [log_group=/g] [log_stream=s] [owner=111122223333]";
    let pieces = [&*format!("json {one} {told}"), &*format!("json {two} {told}"), last];
    check(&again, &pieces);
    check(gzip(again.as_bytes()), &pieces);
    check(zstd(&gzip(&zlib(again.as_bytes()))), &pieces);

    let mut peeler = Peeler::new(Limits::default());
    let found = peeler.peel(b"{\"a\":1}\nx", Some(-5)).expect("two events");
    assert_eq!(lines_of(&found), [r#"json {"a":1} [arrival=-5]"#, "text x [arrival=-5]"]);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    packed(content, libdeflater::Compressor::gzip_compress_bound, libdeflater::Compressor::gzip_compress)
}

fn zlib(content: &[u8]) -> Vec<u8> {
    packed(content, libdeflater::Compressor::zlib_compress_bound, libdeflater::Compressor::zlib_compress)
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 1).expect("zstd takes everything")
}

fn packed(
    content: &[u8],
    bound: impl Fn(&mut libdeflater::Compressor, usize) -> usize,
    pack: impl Fn(&mut libdeflater::Compressor, &[u8], &mut [u8]) -> Result<usize, libdeflater::CompressionError>,
) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; bound(&mut compressor, content.len())];
    let bytes = pack(&mut compressor, content, &mut out).expect("there is room");
    out.truncate(bytes);
    out
}

/// All members of a compressed record are read, also equal ones, empty ones, and such with names in their headers.
#[test]
fn several_members() {
    let (one, empty) = (gzip(b"{\"a\":1}\n"), gzip(b""));
    let named =
        [&[0x1F, 0x8B, 8, 0b1_1110, 0, 0, 0, 0, 0, 3, 2, 0, b'x', b'y', b'n', 0, b'c', 0, 0, 0], &one[10..]].concat();
    for members in [[&one, &one], [&empty, &one], [&one, &empty], [&named, &one], [&one, &named]] {
        let expected = members.iter().filter(|member| **member != &empty).count();
        check([members[0].as_slice(), members[1]].concat(), &[r#"json {"a":1}"#, r#"json {"a":1}"#][..expected]);
    }
    let frames = [zstd(b"{\"a\":1}"), b"\x50\x2A\x4D\x18\x02\0\0\0xx".to_vec(), zstd(b"{\"b\":2}")].concat();
    check(frames, &[r#"json {"a":1}"#, r#"json {"b":2}"#]);
}

/// Zeros behind the compressed data are padding; anything else is kept as a piece of its own.
#[test]
fn bytes_behind_the_compressed_data() {
    for packed in [gzip(b"{\"a\":1}"), zlib(b"{\"a\":1}"), zstd(b"{\"a\":1}")] {
        let zeros = [packed.as_slice(), &[0; 9]].concat();
        check_odd(zeros, &[r#"json {"a":1}"#], &[(0, Oddity::TrailingZeros)]);
        let garbage = [packed.as_slice(), b"more"].concat();
        check_odd(garbage, &[r#"json {"a":1}"#, "refused trailing_bytes more"], &[]);
    }
    // Behind an inner layer too, and even where nothing else is there.
    check(gzip(&[gzip(b"x").as_slice(), b"more"].concat()), &["text x", "refused trailing_bytes more"]);
    check([gzip(b"").as_slice(), b"more"].concat(), &["refused trailing_bytes more"]);
}

/// Text that begins like zlib data is text.
#[test]
fn text_that_looks_like_zlib() {
    for text in ["x^2 is a square", "x\u{1}y", "x^"] {
        check(text, &[&format!("text {text}")]);
    }
}

mod carriers;
mod hostile;
mod kpl;
