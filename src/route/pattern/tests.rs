//! Guards what every operator means, over values of every kind, absent ones and arrays; and the words of every mistake.
//!
//! The cases follow the EventBridge user guide ("Comparison operators") and, for arrays, the description of event-ruler.

use serde_json::Value;

use super::{Pattern, PatternOptions, check_attributes};
use crate::envelope::Form;
use crate::normalize::document::Reader;
use crate::ocsf::Table;

fn matches(pattern: &str, event: &str) -> bool {
    let pattern: Value = serde_json::from_str(pattern).unwrap();
    let pattern = Pattern::compile(&pattern).unwrap_or_else(|mistake| panic!("{pattern}: {mistake:?}"));
    Reader::default().read(Form::Json, event.as_bytes(), |view| pattern.matches(view))
}

/// One pattern, events that it takes, and events that it does not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

fn check(cases: &[Case]) {
    for (pattern, yes, no) in cases {
        for event in *yes {
            assert!(matches(pattern, event), "{pattern} takes {event}");
        }
        for event in *no {
            assert!(!matches(pattern, event), "{pattern} does not take {event}");
        }
    }
}

/// Guards equality: by type, case-sensitive, numbers as numbers, `null` and the empty text as values.
#[test]
fn exact_values() {
    check(&[
        (
            r#"{"a":["x"]}"#,
            &[r#"{"a":"x"}"#, r#"{"b":1,"a":"x"}"#],
            &[r#"{"a":"X"}"#, r#"{"a":"xy"}"#, r#"{"b":"x"}"#, "{}"],
        ),
        (r#"{"a":["x","y"]}"#, &[r#"{"a":"x"}"#, r#"{"a":"y"}"#], &[r#"{"a":"z"}"#]),
        (r#"{"a":["x"],"b":["y"]}"#, &[r#"{"a":"x","b":"y"}"#], &[r#"{"a":"x"}"#, r#"{"a":"x","b":"x"}"#]),
        (
            r#"{"a":[5]}"#,
            &[r#"{"a":5}"#, r#"{"a":5.0}"#, r#"{"a":0.5e1}"#],
            &[r#"{"a":"5"}"#, r#"{"a":50}"#, r#"{"a":true}"#],
        ),
        (r#"{"a":[1.5]}"#, &[r#"{"a":1.5}"#, r#"{"a":15e-1}"#], &[r#"{"a":1}"#, r#"{"a":"1.5"}"#]),
        (
            r#"{"a":[18446744073709551615]}"#,
            &[r#"{"a":18446744073709551615}"#],
            &[r#"{"a":18446744073709551614}"#, r#"{"a":-1}"#],
        ),
        (r#"{"a":["111122223333"]}"#, &[r#"{"a":"111122223333"}"#], &[r#"{"a":111122223333}"#]),
        (r#"{"a":[true]}"#, &[r#"{"a":true}"#], &[r#"{"a":false}"#, r#"{"a":"true"}"#, r#"{"a":1}"#]),
        (
            r#"{"a":[null]}"#,
            &[r#"{"a":null}"#],
            &["{}", r#"{"a":""}"#, r#"{"a":"null"}"#, r#"{"a":[]}"#, r#"{"a":{}}"#],
        ),
        (r#"{"a":[""]}"#, &[r#"{"a":""}"#], &["{}", r#"{"a":null}"#, r#"{"a":" "}"#, r#"{"a":[]}"#]),
        (
            r#"{"a":{"b":["x"]}}"#,
            &[r#"{"a":{"b":"x"}}"#],
            &[r#"{"a":"x"}"#, r#"{"b":"x"}"#, r#"{"a":null}"#, r#"{"a.b":"x"}"#],
        ),
        (r#"{"a.b":["x"]}"#, &[r#"{"a.b":"x"}"#], &[r#"{"a":{"b":"x"}}"#]),
        (r#"{"a":["é\n"]}"#, &[r#"{"a":"\u00e9\n"}"#], &[r#"{"a":"e\n"}"#]),
        (r#"{"é":["x"]}"#, &[r#"{"\u00e9":"x"}"#], &[r#"{"e":"x"}"#]),
        (r#"{"a":["x"]}"#, &[r#"{"a":"y","a":"x"}"#, r#"{"a":"x","a":"y"}"#], &[r#"{"a":"y","a":"z"}"#]),
    ]);
}

/// Guards the operators on texts: they hold for texts only.
#[test]
fn operators_on_texts() {
    check(&[
        (
            r#"{"a":[{"prefix":"us-"}]}"#,
            &[r#"{"a":"us-"}"#, r#"{"a":"us-east-1"}"#],
            &[r#"{"a":"US-east-1"}"#, r#"{"a":"aus-"}"#, r#"{"a":5}"#, "{}"],
        ),
        (r#"{"a":[{"prefix":""}]}"#, &[r#"{"a":""}"#, r#"{"a":"x"}"#], &[r#"{"a":null}"#, r#"{"a":5}"#, "{}"]),
        (r#"{"a":[{"prefix":"5"}]}"#, &[r#"{"a":"55"}"#], &[r#"{"a":55}"#]),
        (
            r#"{"a":[{"prefix":{"equals-ignore-case":"EventB"}}]}"#,
            &[r#"{"a":"eventbridge"}"#, r#"{"a":"EVENTB"}"#],
            &[r#"{"a":"event"}"#, r#"{"a":"xeventb"}"#],
        ),
        (
            r#"{"a":[{"suffix":".png"}]}"#,
            &[r#"{"a":".png"}"#, r#"{"a":"x.png"}"#],
            &[r#"{"a":"x.PNG"}"#, r#"{"a":"x.png.gz"}"#, r#"{"a":null}"#],
        ),
        (
            r#"{"a":[{"suffix":{"equals-ignore-case":".PNG"}}]}"#,
            &[r#"{"a":"x.png"}"#, r#"{"a":"x.PnG"}"#],
            &[r#"{"a":"xpng"}"#, r#"{"a":"png"}"#],
        ),
        (
            r#"{"a":[{"equals-ignore-case":"Alice"}]}"#,
            &[r#"{"a":"ALICE"}"#, r#"{"a":"alice"}"#],
            &[r#"{"a":"alic"}"#, r#"{"a":"alicee"}"#, r#"{"a":["bob"]}"#],
        ),
        (r#"{"a":[{"equals-ignore-case":"ÉΣ"}]}"#, &[r#"{"a":"éσ"}"#], &[r#"{"a":"eσ"}"#]),
        (
            r#"{"a":[{"wildcard":"dir/*.png"}]}"#,
            &[r#"{"a":"dir/x.png"}"#, r#"{"a":"dir/.png"}"#, r#"{"a":"dir/a/b.png"}"#],
            &[r#"{"a":"dir.png"}"#, r#"{"a":"a/dir/x.png"}"#, r#"{"a":"dir/x.pngx"}"#],
        ),
        (r#"{"a":[{"wildcard":"*"}]}"#, &[r#"{"a":""}"#, r#"{"a":"x"}"#], &[r#"{"a":5}"#, "{}"]),
        (
            r#"{"a":[{"wildcard":"a*b*a"}]}"#,
            &[r#"{"a":"aba"}"#, r#"{"a":"axxbxxba"}"#],
            &[r#"{"a":"ab"}"#, r#"{"a":"aa"}"#, r#"{"a":"aab"}"#],
        ),
        (r#"{"a":[{"wildcard":"ab*ba"}]}"#, &[r#"{"a":"abba"}"#], &[r#"{"a":"aba"}"#]),
        (r#"{"a":[{"wildcard":"x"}]}"#, &[r#"{"a":"x"}"#], &[r#"{"a":"xx"}"#, r#"{"a":""}"#]),
        (
            r#"{"a":[{"wildcard":"\\*\\\\*"}]}"#,
            &[r#"{"a":"*\\"}"#, r#"{"a":"*\\x"}"#],
            &[r#"{"a":"x\\"}"#, r#"{"a":"*x"}"#],
        ),
    ]);
}

/// Guards the operators on numbers and addresses.
#[test]
fn numbers_and_addresses() {
    check(&[
        (
            r#"{"a":[{"numeric":["=",100]}]}"#,
            &[r#"{"a":100}"#, r#"{"a":1e2}"#],
            &[r#"{"a":"100"}"#, r#"{"a":101}"#, r#"{"a":null}"#, "{}"],
        ),
        (
            r#"{"a":[{"numeric":[">",10,"<=",20]}]}"#,
            &[r#"{"a":10.1}"#, r#"{"a":20}"#],
            &[r#"{"a":10}"#, r#"{"a":20.5}"#, r#"{"a":true}"#],
        ),
        (r#"{"a":[{"numeric":["<",0]}]}"#, &[r#"{"a":-1}"#], &[r#"{"a":0}"#, r#"{"a":"-1"}"#]),
        (r#"{"a":[{"numeric":[">=",7]}]}"#, &[r#"{"a":7}"#, r#"{"a":18446744073709551615}"#], &[r#"{"a":6.999}"#]),
        (
            r#"{"a":[{"cidr":"10.0.0.0/24"}]}"#,
            &[r#"{"a":"10.0.0.0"}"#, r#"{"a":"10.0.0.255"}"#],
            &[r#"{"a":"10.0.1.0"}"#, r#"{"a":"10.0.0.1/32"}"#, r#"{"a":"x"}"#, r#"{"a":10}"#, r#"{"a":"::1"}"#],
        ),
        (r#"{"a":[{"cidr":"0.0.0.0/0"}]}"#, &[r#"{"a":"255.255.255.255"}"#], &[r#"{"a":"::"}"#]),
        (r#"{"a":[{"cidr":"10.1.2.3"}]}"#, &[r#"{"a":"10.1.2.3"}"#], &[r#"{"a":"10.1.2.4"}"#]),
        (
            r#"{"a":[{"cidr":"2001:db8::/32"}]}"#,
            &[r#"{"a":"2001:db8::1"}"#, r#"{"a":"2001:0DB8:ffff::"}"#],
            &[r#"{"a":"2001:db9::"}"#, r#"{"a":"32.1.13.184"}"#],
        ),
    ]);
}

/// Guards every form of `anything-but`: any leaf that is not named, of any type, but none that is absent.
#[test]
fn anything_but() {
    check(&[
        (
            r#"{"a":[{"anything-but":"x"}]}"#,
            &[r#"{"a":"y"}"#, r#"{"a":"X"}"#, r#"{"a":5}"#, r#"{"a":null}"#, r#"{"a":""}"#],
            &[r#"{"a":"x"}"#, "{}", r#"{"a":[]}"#, r#"{"a":{"b":1}}"#],
        ),
        (r#"{"a":[{"anything-but":5}]}"#, &[r#"{"a":6}"#, r#"{"a":"5"}"#], &[r#"{"a":5}"#, r#"{"a":5.0}"#, "{}"]),
        (r#"{"a":[{"anything-but":["x","y"]}]}"#, &[r#"{"a":"z"}"#], &[r#"{"a":"x"}"#, r#"{"a":"y"}"#]),
        (r#"{"a":[{"anything-but":[1,2]}]}"#, &[r#"{"a":3}"#, r#"{"a":"1"}"#], &[r#"{"a":1}"#, r#"{"a":2.0}"#]),
        (
            r#"{"a":[{"anything-but":{"prefix":"us-"}}]}"#,
            &[r#"{"a":"eu-west-1"}"#, r#"{"a":5}"#],
            &[r#"{"a":"us-east-1"}"#, "{}"],
        ),
        (
            r#"{"a":[{"anything-but":{"prefix":["us-","eu-"]}}]}"#,
            &[r#"{"a":"ap-south-1"}"#],
            &[r#"{"a":"us-east-1"}"#, r#"{"a":"eu-west-1"}"#],
        ),
        (
            r#"{"a":[{"anything-but":{"prefix":{"equals-ignore-case":"US-"}}}]}"#,
            &[r#"{"a":"eu-"}"#],
            &[r#"{"a":"us-east-1"}"#],
        ),
        (r#"{"a":[{"anything-but":{"suffix":".png"}}]}"#, &[r#"{"a":"x.gif"}"#], &[r#"{"a":"x.png"}"#]),
        (r#"{"a":[{"anything-but":{"suffix":[".png",".gif"]}}]}"#, &[r#"{"a":"x.jpg"}"#], &[r#"{"a":"x.gif"}"#]),
        (r#"{"a":[{"anything-but":{"equals-ignore-case":"init"}}]}"#, &[r#"{"a":"other"}"#], &[r#"{"a":"INIT"}"#]),
        (
            r#"{"a":[{"anything-but":{"equals-ignore-case":["init","stop"]}}]}"#,
            &[r#"{"a":"run"}"#],
            &[r#"{"a":"Stop"}"#],
        ),
        (r#"{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}"#, &[r#"{"a":"/bin/x"}"#], &[r#"{"a":"/usr/lib/x"}"#]),
        (
            r#"{"a":[{"anything-but":{"wildcard":["*a*","*b*"]}}]}"#,
            &[r#"{"a":"c"}"#],
            &[r#"{"a":"xax"}"#, r#"{"a":"b"}"#],
        ),
        // An entry beside it widens it again.
        (
            r#"{"a":[{"anything-but":{"prefix":"us-"}},"us-east-1"]}"#,
            &[r#"{"a":"us-east-1"}"#, r#"{"a":"x"}"#],
            &[r#"{"a":"us-west-2"}"#],
        ),
        // Of an array, one element is enough.
        (r#"{"a":[{"anything-but":"x"}]}"#, &[r#"{"a":["x","y"]}"#], &[r#"{"a":["x","x"]}"#]),
    ]);
}

/// Guards `exists`: leaves only, a `null` is there, an empty array is not.
#[test]
fn presence_and_absence() {
    check(&[
        (
            r#"{"a":[{"exists":true}]}"#,
            &[r#"{"a":1}"#, r#"{"a":""}"#, r#"{"a":null}"#, r#"{"a":[1]}"#],
            &["{}", r#"{"a":[]}"#, r#"{"a":{}}"#, r#"{"a":{"b":1}}"#],
        ),
        (
            r#"{"a":[{"exists":false}]}"#,
            &["{}", r#"{"a":[]}"#, r#"{"a":{}}"#, r#"{"a":{"b":1}}"#],
            &[r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":[1]}"#, r#"{"a":[[1]]}"#],
        ),
        (
            r#"{"a":{"b":[{"exists":false}]}}"#,
            &["{}", r#"{"a":1}"#, r#"{"a":{"c":1}}"#, r#"{"a":[{"c":1}]}"#],
            &[r#"{"a":{"b":1}}"#, r#"{"a":[{"c":1},{"b":1}]}"#],
        ),
        (r#"{"a":{"b":[{"exists":true}]}}"#, &[r#"{"a":[{"c":1},{"b":1}]}"#], &["{}", r#"{"a":{"b":{"c":1}}}"#]),
        (
            r#"{"a":[{"exists":false},"x"]}"#,
            &["{}", r#"{"a":"x"}"#, r#"{"a":["y","x"]}"#],
            &[r#"{"a":"y"}"#, r#"{"a":["y"]}"#],
        ),
        (r#"{"a":["x"],"b":[{"exists":false}]}"#, &[r#"{"a":"x"}"#], &[r#"{"a":"x","b":1}"#, "{}"]),
    ]);
}

/// Guards arrays: the intersection of the event's array and the pattern's list, whatever the nesting; and that what is
/// asked below one array is asked of one element.
#[test]
fn arrays() {
    check(&[
        (
            r#"{"a":["x"]}"#,
            &[r#"{"a":["y","x"]}"#, r#"{"a":[["y"],["x"]]}"#, r#"{"a":[1,null,"x"]}"#],
            &[r#"{"a":[]}"#, r#"{"a":["y"]}"#, r#"{"a":[{"a":"x"}]}"#],
        ),
        (
            r#"{"a":{"n":["Anna"]}}"#,
            &[r#"{"a":[{"n":"John"},{"n":"Anna"}]}"#, r#"{"a":[[{"n":"John"}],[{"n":"Anna"}]]}"#],
            &[r#"{"a":[{"n":"John"}]}"#, r#"{"a":["Anna"]}"#],
        ),
        (
            r#"{"a":{"n":["Anna"],"l":["Jones"]}}"#,
            &[r#"{"a":[{"n":"Anna","l":"Smith"},{"n":"Anna","l":"Jones"}]}"#],
            &[r#"{"a":[{"n":"Anna","l":"Smith"},{"n":"Peter","l":"Jones"}]}"#],
        ),
        (
            r#"{"a":{"n":["Anna"],"$or":[{"l":["Jones"]},{"m":["J"]}]}}"#,
            &[r#"{"a":[{"n":"Anna","m":"J"}]}"#],
            &[r#"{"a":[{"n":"Anna","l":"Smith"},{"l":"Jones","m":"J"}]}"#],
        ),
        (
            r#"{"a":{"n":["Anna"]},"$or":[{"a":{"l":["Jones"]}},{"b":[1]}]}"#,
            &[r#"{"a":[{"n":"Anna","l":"Jones"}]}"#, r#"{"a":[{"n":"Anna"}],"b":1}"#],
            &[r#"{"a":[{"n":"Anna"},{"l":"Jones"}]}"#],
        ),
        (
            r#"{"a":{"n":["Anna"],"b":[{"exists":false}]}}"#,
            &[r#"{"a":[{"n":"John","b":1},{"n":"Anna"}]}"#],
            &[r#"{"a":[{"n":"John"},{"n":"Anna","b":1}]}"#],
        ),
        (
            r#"{"a":{"b":{"c":[1],"d":[2]}}}"#,
            &[r#"{"a":[{"b":[{"c":0},{"c":1,"d":2}]}]}"#],
            &[r#"{"a":[{"b":[{"c":1}]},{"b":[{"d":2}]}]}"#],
        ),
    ]);
}

/// Guards `$or`: beside other names, within each other, and as the name of a field.
#[test]
fn alternatives() {
    check(&[
        (
            r#"{"$or":[{"a":[1]},{"b":[2]}]}"#,
            &[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":1,"b":2}"#],
            &[r#"{"a":2,"b":1}"#, "{}"],
        ),
        (
            r#"{"s":["x"],"$or":[{"a":[1]},{"b":[2],"c":[3]}]}"#,
            &[r#"{"s":"x","a":1}"#, r#"{"s":"x","b":2,"c":3}"#],
            &[r#"{"a":1}"#, r#"{"s":"x","b":2}"#],
        ),
        (
            r#"{"$or":[{"a":[1],"$or":[{"b":[2]},{"c":[3]}]},{"d":[4]}]}"#,
            &[r#"{"a":1,"b":2}"#, r#"{"a":1,"c":3}"#, r#"{"d":4}"#],
            &[r#"{"a":1}"#, r#"{"b":2,"c":3}"#],
        ),
        (
            r#"{"d":{"$or":[{"a":[1]},{"b":[2]}]}}"#,
            &[r#"{"d":{"a":1}}"#, r#"{"d":{"b":2}}"#],
            &[r#"{"a":1}"#, r#"{"d":{}}"#],
        ),
        (r#"{"$or":{"a":[1]}}"#, &[r#"{"$or":{"a":1}}"#], &[r#"{"a":1}"#]),
        // The same place in and outside of `$or`: both, of one value.
        (
            r#"{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}"#,
            &[r#"{"a":"xy"}"#, r#"{"a":"x","b":1}"#],
            &[r#"{"a":"y"}"#, r#"{"a":["x","y"]}"#],
        ),
    ]);
}

/// Guards that what is no JSON object is asked all the same: under `raw`.
#[test]
fn texts_and_repaired_documents() {
    let pattern = Pattern::compile(&serde_json::json!({ "raw": [{ "prefix": "ERROR" }] })).unwrap();
    let mut reader = Reader::default();
    assert!(reader.read(Form::Text, b"ERROR 1", |view| pattern.matches(view)));
    assert!(!reader.read(Form::Text, b"fine", |view| pattern.matches(view)));
    let big = Pattern::compile(&serde_json::json!({ "a": ["x"] })).unwrap();
    let event = br#"{"n":123456789012345678901234567890,"a":"x"}"#;
    assert!(reader.read(Form::Json, event, |view| big.matches(view)), "a number beyond 64 bits is in nobody's way");
    assert!(
        reader.read(Form::Json, br#"{"a":"x"}"#, |view| big.matches(view)),
        "and the next document is read as ever"
    );
    assert!(!reader.read(Form::Json, br#"{"a":"#, |view| big.matches(view)));
}

/// Guards that the work of a match is bounded: hostile arrays and wildcards cost their size, not its power.
#[test]
fn hostile_events_are_cheap() {
    let arrays = (0..40)
        .map(|name| format!(r#""a{name}":[{}],"#, r#"{"b":1},"#.repeat(200) + "{}"))
        .collect::<Vec<String>>()
        .concat();
    let event = format!("{{{arrays}\"z\":0}}");
    let places = (0..40)
        .map(|name| format!(r#""a{name}":{{"b":[1],"c":[{{"exists":false}}]}},"#))
        .collect::<Vec<String>>()
        .concat();
    let pattern = format!(r#"{{{places}"z":[1]}}"#);
    assert!(!matches(&pattern, &event));
    let text = "a".repeat(20_000);
    assert!(!matches(&format!(r#"{{"x":[{{"wildcard":"{}b"}}]}}"#, "a*".repeat(40)), &format!(r#"{{"x":"{text}"}}"#)));
}

/// Guards the words, and the place, of every mistake.
#[test]
fn mistakes_say_where_and_what_to_do() {
    let cases = [
        (r#"{"a":"x"}"#, "a", r#"what a value may be is a list: ["x"]"#),
        (r#"{"a":{"b":5}}"#, "a/b", "what a value may be is a list: [5]"),
        (r#"{"a":[]}"#, "a", "an empty list, which no event meets"),
        (r#"{"a":{}}"#, "a", "an empty pattern"),
        ("{}", "", "an empty pattern"),
        (
            r#"{"a":{"prefix":"us-"}}"#,
            "a/prefix",
            r#"`prefix` is an operator, and operators stand in a list: [{ prefix = "us-" }]"#,
        ),
        (r#"{"a":{"anything-but":["x"]}}"#, "a/anything-but", r#"in a list: [{ "anything-but" = ["x"] }]"#),
        (r#"{"a":[{"prefx":"x"}]}"#, "a/0/prefx", "`prefx` is no operator; did you mean `prefix`?"),
        (r#"{"a":["y",{"numeric":[">"]}]}"#, "a/1/numeric", "`numeric` takes a comparison or two"),
        (r#"{"a":[{"numeric":[">",5,"<",5]}]}"#, "a/0/numeric", "no number is above 5 and below 5"),
        (r#"{"a":[{"numeric":["!",5]}]}"#, "a/0/numeric", "`numeric` takes"),
        (r#"{"a":[{"numeric":[">",5,">",6]}]}"#, "a/0/numeric", "`numeric` takes"),
        (r#"{"a":[{"cidr":"10.0.0.0/33"}]}"#, "a/0/cidr", "`10.0.0.0/33` is no address range"),
        (r#"{"a":[{"cidr":"ten"}]}"#, "a/0/cidr", "`ten` is no address range"),
        (r#"{"a":[{"exists":"yes"}]}"#, "a/0/exists", "`exists` takes true or false"),
        (r#"{"a":[{"wildcard":"a**b"}]}"#, "a/0/wildcard", "two stars in a row"),
        (r#"{"a":[{"wildcard":"a\\b"}]}"#, "a/0/wildcard", "stands before neither"),
        (r#"{"a":[{"prefix":5}]}"#, "a/0/prefix", "`prefix` takes a text, not 5"),
        (r#"{"a":[{"prefix":{"cidr":"x"}}]}"#, "a/0/prefix", "`prefix` takes a text, or"),
        (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, "a/0/suffix", "two operators in one entry"),
        (r#"{"a":[{}]}"#, "a/0", "an empty table"),
        (r#"{"a":[["x"]]}"#, "a/0", "a list in a list"),
        (r#"{"a":[{"anything-but":["x",5]}]}"#, "a/0/anything-but", "not both in one"),
        (r#"{"a":[{"anything-but":true}]}"#, "a/0/anything-but", "takes texts, numbers or an operator"),
        (r#"{"a":[{"anything-but":[]}]}"#, "a/0/anything-but", "empty list holds always"),
        (r#"{"a":[{"anything-but":{"cidr":"10.0.0.0/8"}}]}"#, "a/0/anything-but/cidr", "not `cidr`"),
        (r#"{"$or":[{"a":[1]}]}"#, "$or", "`$or` is a list of two patterns or more"),
        (r#"{"$or":[{"a":[1]},5]}"#, "$or/1", "an entry of `$or` is a pattern"),
        (r#"{"$or":[{"a":[1]},{"prefix":["x"]}]}"#, "$or/1/prefix", "begins with the name of a field"),
    ];
    for (pattern, way, words) in cases {
        let mistake = Pattern::compile(&serde_json::from_str(pattern).unwrap()).unwrap_err();
        assert_eq!(mistake.way.join("/"), way, "{pattern}: {}", mistake.words);
        assert!(mistake.words.contains(words), "{pattern}: {}", mistake.words);
    }
    let ors = (0..9)
        .map(|name| format!(r#""f{name}":{{"$or":[{{"a":[1]}},{{"b":[1]}}]}},"#))
        .collect::<Vec<String>>()
        .concat();
    let mistake = Pattern::compile(&serde_json::from_str(&format!(r#"{{{ors}"z":[1]}}"#)).unwrap()).unwrap_err();
    assert!(mistake.words.contains("more than 256 combinations"), "{}", mistake.words);
    let deep = r#"{"a":"#.repeat(40) + "[1]" + &"}".repeat(40);
    let mistake = Pattern::compile(&serde_json::from_str(&deep).unwrap()).unwrap_err();
    assert!(mistake.words.contains("more than 32 deep"), "{}", mistake.words);
}

/// Guards that a pattern over normalized events names attributes that there are.
#[test]
fn attributes_are_known() {
    let check = |pattern: &str| check_attributes(&serde_json::from_str(pattern).unwrap(), Table::v1_8());
    for pattern in [
        r#"{"cloud":{"region":["x"]},"severity_id":[4],"unmapped":{"any":{"thing":[1]}}}"#,
        r#"{"$or":[{"evidences":{"src_endpoint":{"ip":["x"]},"data":{"a":["x"]}}},{"resources":{"tags":{"name":["x"]}}}]}"#,
    ] {
        assert_eq!(check(pattern), Ok(()), "{pattern}");
    }
    for (pattern, way, words) in [
        (
            r#"{"cloud":{"regoin":["x"]}}"#,
            "cloud/regoin",
            "no event has the attribute `regoin`; did you mean `region`?",
        ),
        (r#"{"cloud.region":["x"]}"#, "cloud.region", "cloud.region = [...] without quotes in TOML"),
        (r#"{"cloud":[{"exists":true}]}"#, "cloud", "`cloud` holds attributes and no value"),
        (r#"{"time":{"x":[1]}}"#, "time", "`time` holds a value and no attributes"),
        (r#"{"$or":[{"time":[1]},{"tiem":[1]}]}"#, "$or/1/tiem", "did you mean `time`?"),
    ] {
        let mistake = check(pattern).unwrap_err();
        assert_eq!(mistake.way.join("/"), way, "{pattern}: {}", mistake.words);
        assert!(mistake.words.contains(words), "{pattern}: {}", mistake.words);
    }
}

/// Guards that TOML and JSON say the same.
#[test]
fn toml_and_json_are_one() {
    #[derive(serde::Deserialize)]
    struct Written {
        pattern: PatternOptions,
    }
    let read = |text: &str| toml::from_str::<Written>(text).map(|written| written.pattern.value().clone());
    let toml =
        read("pattern = { cloud.region = [{ \"anything-but\" = { prefix = \"us-gov-\" } }], severity_id = [4, 5] }");
    let json = read(
        "pattern = '''\n{ \"cloud\": { \"region\": [{ \"anything-but\": { \"prefix\": \"us-gov-\" } }] }, \"severity_id\": [4, 5] }'''",
    );
    assert_eq!(toml.unwrap(), json.unwrap());
    let error = read("pattern = '''{\n\"a\": }'''").unwrap_err();
    assert!(
        error.message().contains("the pattern is no JSON: expected value at line 2 column 6 of the pattern"),
        "{error}"
    );
    let error = read("pattern = '[]'").unwrap_err();
    assert!(error.message().contains("but no object"), "{error}");
}
