use simd_json::Node;

use super::cells::Cells;
use super::{CELLS_MAX, Layout};
use crate::normalize::mapping::ast::{Split, Text};

const SPLITS: [Split; 5] = [Split::Space, Split::Tab, Split::Comma, Split::Quoted, Split::Line];

fn cells(line: &str, split: Split) -> Vec<&str> {
    Cells::new(line, split).map(|cell| &line[cell]).collect()
}

fn layout(split: Split, columns: &[&str]) -> Layout {
    Layout::new(Text {
        split,
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        absent: vec!["-".to_owned()],
        header_starts: vec!["a ".to_owned(), "#Fields:".to_owned()],
        takes_json: true,
    })
}

fn row(layout: &Layout, line: &str, header: Option<&str>) -> String {
    let mut nodes = Vec::new();
    layout.split(line, header, &mut nodes);
    let texts: Vec<&str> = nodes
        .iter()
        .filter_map(|node| match node {
            Node::String(text) => Some(*text),
            _ => None,
        })
        .collect();
    let pairs: Vec<String> = texts.chunks(2).map(|pair| pair.join("=")).collect();
    pairs.join("|")
}

/// Guards where cells begin and end, with every kind of quote and escape.
#[test]
fn cells_of_lines() {
    let table: [(Split, &str, &[&str]); 28] = [
        (Split::Space, "", &[]),
        (Split::Space, "  a  b ", &["a", "b"]),
        (Split::Space, "\"a b\"", &["\"a", "b\""]),
        (Split::Tab, "a b\t\tc", &["a b", "", "c"]),
        (Split::Tab, "a\t\"b\tc\"", &["a", "\"b", "c\""]),
        (Split::Line, " a\tb\n c ", &[" a\tb\n c "]),
        (Split::Comma, "a, b,,c", &["a", " b", "", "c"]),
        (Split::Comma, r#""a,b",c"#, &["a,b", "c"]),
        (Split::Comma, r#""a"",b",c"#, &[r#"a"",b"#, "c"]),
        (Split::Comma, r#""C:\dir\",c"#, &[r"C:\dir\", "c"]),
        // Not closed, or not before a comma: letters.
        (Split::Comma, r#""a,b"#, &["\"a", "b"]),
        (Split::Comma, r#"a"b,c"#, &["a\"b", "c"]),
        (Split::Quoted, r#"a "b c" [d e] f"#, &["a", "b c", "d e", "f"]),
        (Split::Quoted, r#""" x"#, &["", "x"]),
        (Split::Quoted, r#""a \" b" c"#, &[r#"a \" b"#, "c"]),
        (Split::Quoted, r#""a \\" c"#, &[r"a \\", "c"]),
        (Split::Quoted, r#""a ""b""c" d"#, &[r#"a ""b""c"#, "d"]),
        // Services that escape nothing: the quotes within are letters.
        (Split::Quoted, r#""a "b"c" d"#, &[r#"a "b"c"#, "d"]),
        (Split::Quoted, r#""a "b" c" d"#, &[r#"a "b"#, "c\"", "d"]),
        (Split::Quoted, r#""a"b" c"#, &["a\"b", "c"]),
        (Split::Quoted, r#""a"" c"#, &["a\"", "c"]),
        (Split::Quoted, r#""C:\dir\" c"#, &[r"C:\dir\", "c"]),
        // Nothing closes.
        (Split::Quoted, r#""a b"#, &["\"a", "b"]),
        (Split::Quoted, "[a b", &["[a", "b"]),
        (Split::Quoted, "[a]b c] d", &["a]b c", "d"]),
        (Split::Quoted, "\"", &["\""]),
        (Split::Quoted, "\"\\", &["\"\\"]),
        (Split::Quoted, "a\"b c\"", &["a\"b", "c\""]),
    ];
    for (split, line, expect) in table {
        assert_eq!(cells(line, split), expect, "{split:?} {line}");
    }
}

/// Law 6 for lines, whatever they are: all that stands between two cells is separators and the quotes around a cell.
#[test]
fn nothing_of_a_line_is_lost() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20_000 {
        let length = random.usize(..40);
        let alphabet = ['a', '-', ' ', '\t', ',', '"', '\\', '[', ']', '\n', 'é', ':', '1'];
        let line: String = (0..length).filter_map(|_| random.choice(alphabet)).collect();
        for split in SPLITS {
            let mut at = 0;
            let between = |gap: &str| {
                let (separators, quotes) = match split {
                    Split::Space => (" ", ""),
                    Split::Tab => ("\t", ""),
                    Split::Comma => (",", "\""),
                    Split::Quoted => (" ", "\"[]"),
                    Split::Line => ("", ""),
                };
                let letters = gap.trim_matches(|letter| quotes.contains(letter));
                assert!(letters.chars().all(|letter| separators.contains(letter)), "{split:?} {line:?}: {gap:?}");
                assert!(
                    gap.len() - letters.len() <= 2,
                    "{split:?} {line:?}: more quotes than two cells have in {gap:?}"
                );
            };
            for cell in Cells::new(&line, split) {
                assert!(cell.start >= at && cell.end >= cell.start, "{split:?} {line:?}: cells in order");
                between(&line[at..cell.start]);
                at = cell.end;
            }
            between(&line[at..]);
        }
    }
}

/// Guards that cells which were joined as services join them come out as they went in.
#[test]
fn cells_come_back() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..5_000 {
        let count = random.usize(1..12);
        let words: Vec<String> = (0..count)
            .map(|_| (0..random.usize(1..8)).filter_map(|_| random.choice(['a', '-', 'é', '1', '\'', ';'])).collect())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(cells(&words.join(" "), Split::Space), words);
        assert_eq!(cells(&words.join("\t"), Split::Tab), words);
        assert_eq!(cells(&words.join(","), Split::Comma), words);
        let texts: Vec<String> = (0..count)
            .map(|_| (0..random.usize(1..8)).filter_map(|_| random.choice(['a', ' ', ',', '[', ']', '\''])).collect())
            .collect();
        let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        assert_eq!(cells(&quoted.join(" "), Split::Quoted), texts);
        assert_eq!(cells(&quoted.join(","), Split::Comma), texts);
        let escaped: Vec<String> = texts.iter().map(|text| text.replace('a', "\\\"")).collect();
        let quoted: Vec<String> = escaped.iter().map(|text| format!("\"{text}\"")).collect();
        assert_eq!(cells(&quoted.join(" "), Split::Quoted), escaped);
        let doubled: Vec<String> = texts.iter().map(|text| text.replace('a', "\"\"")).collect();
        let quoted: Vec<String> = doubled.iter().map(|text| format!("\"{text}\"")).collect();
        assert_eq!(cells(&quoted.join(","), Split::Comma), doubled);
    }
}

/// Guards what columns are called: by the layout, by a header line, by their place; and what is absent.
#[test]
fn names_of_columns() {
    let plain = layout(Split::Space, &["x", "y", "z"]);
    assert_eq!(row(&plain, "1 2", None), "x=1|y=2", "an older line");
    assert_eq!(row(&plain, "1 - 3 4 5", None), "x=1|z=3|column_4=4|column_5=5", "a newer line");
    assert_eq!(row(&plain, "1 2 3 4", Some("a b")), "a=1|b=2|column_3=3|column_4=4", "the header line names them");
    assert_eq!(row(&plain, "1 2", Some("other b")), "x=1|y=2", "a header line of something else");
    assert_eq!(row(&plain, "1 2 3", Some("a b a")), "a=1|b=2|column_3=3", "a name given twice");
    let fields = layout(Split::Tab, &["d t", "x"]);
    assert_eq!(row(&fields, "1\t2\t3", None), "d t=1\t2|x=3", "two cells that are one value");
    assert_eq!(row(&fields, "1\t-\t3", None), "d=1|x=3", "one of them is absent");
    assert_eq!(row(&fields, "1", None), "d=1", "one of them is not there");
    assert_eq!(row(&fields, "0\t1\t2", Some("#Fields: x d t")), "x=0|d t=1\t2", "a header line names both");
    assert_eq!(row(&fields, "1\t2\t3", Some("#Fields: d x t")), "d=1|x=2|t=3", "but not side by side");
    let ports = layout(Split::Space, &["ip:port", "x"]);
    for (line, expect) in [
        ("192.0.2.1:443 a", "ip=192.0.2.1|port=443|x=a"),
        ("2001:db8::1:443 a", "ip=2001:db8::1|port=443|x=a"),
        ("192.0.2.1 a", "ip=192.0.2.1|x=a"),
        (":443 a", "ip=:443|x=a"),
        ("a:b a", "ip=a:b|x=a"),
        ("a:123456 a", "ip=a:123456|x=a"),
        ("- a", "x=a"),
    ] {
        assert_eq!(row(&ports, line, None), expect, "{line}");
    }
}

/// Guards that every cell of a line is a leaf, however many there are and however few names.
#[test]
fn every_cell_is_a_leaf() {
    let narrow = layout(Split::Space, &["x"]);
    let line = (0..CELLS_MAX + 40).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    for header in [None, Some("a b")] {
        let mut nodes = Vec::new();
        narrow.split(&line, header, &mut nodes);
        let mut names: Vec<&str> = Vec::new();
        let mut values: Vec<&str> = Vec::new();
        for pair in nodes[1..].chunks(2) {
            if let [Node::String(name), Node::String(value)] = pair {
                names.push(name);
                values.push(value);
            }
        }
        assert_eq!(values.join(" "), line);
        assert_eq!(values.len(), CELLS_MAX, "the last cell holds the rest");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), values.len(), "no two have one name");
    }
}

/// Guards a user's own order of columns: as AWS writes a format, with either sign, or as a plain list.
#[test]
fn configured_columns() {
    let mut flow = layout(Split::Space, &["account-id", "start", "d t"]).text;
    flow.reorder("${start} ${account-id} ${pkt-srcaddr}").expect("names");
    assert_eq!(flow.columns, ["start", "account-id", "pkt-srcaddr"]);
    let mut flow = layout(Split::Space, &["account-id", "d t"]).text;
    flow.reorder("start, account_id,\n x d t").expect("names");
    assert_eq!(flow.columns, ["start", "account-id", "x", "d t"]);
}

/// Guards that a mark of absence is none in the JSON form either, at the top and nowhere else.
#[test]
fn absent_members() {
    let layout = layout(Split::Space, &["x"]);
    let mut text = br#"{"a":"-","b":{"c":"-"},"-":"d","e":["-"],"f":"-"}"#.to_vec();
    let mut tape = simd_json::to_tape(&mut text).expect("JSON");
    layout.forget_absent(&mut tape.0);
    let nulls = tape.0.iter().filter(|node| matches!(node, Node::Static(simd_json::StaticNode::Null))).count();
    let marks = tape.0.iter().filter(|node| matches!(node, Node::String("-"))).count();
    assert_eq!((nulls, marks), (2, 3));
}
