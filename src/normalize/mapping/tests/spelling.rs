//! Paths and templates as they are written.

use super::*;

#[test]
fn paths_are_read_as_written() {
    let key = |name: &str| Step::Key(name.to_owned());
    for (text, base, steps) in [
        (".", Base::Here, vec![]),
        ("@value", Base::Here, vec![]),
        ("a", Base::Here, vec![key("a")]),
        ("a.b[0].c", Base::Here, vec![key("a"), key("b"), Step::Index(0), key("c")]),
        ("[2]", Base::Here, vec![Step::Index(2)]),
        ("/a.b", Base::Root, vec![key("a"), key("b")]),
        ("^", Base::Parent(1), vec![]),
        ("^.^.a", Base::Parent(2), vec![key("a")]),
        ("a.\"b.c\".d", Base::Here, vec![key("a"), key("b.c"), key("d")]),
        ("\"@key\"", Base::Here, vec![key("@key")]),
        ("\"a\\\"b\"", Base::Here, vec![key("a\"b")]),
        ("a[].b", Base::Here, vec![key("a"), Step::Each, key("b")]),
        ("a[1..]", Base::Here, vec![key("a"), Step::From(1)]),
        ("aws:tag-x", Base::Here, vec![key("aws:tag-x")]),
    ] {
        assert_eq!(notation::path(text), Ok(Path::Event { base, steps }), "{text}");
    }
    for (text, path) in [("@key", Path::Key), ("@text", Path::Text), ("@log_type", Path::LogType)] {
        assert_eq!(notation::path(text), Ok(path));
    }
}

#[test]
fn templates_are_read_as_written() {
    let pieces = notation::template("a{{b}{c.\"}\"}-{/d}").expect("a sound template");
    let shown: Vec<String> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Path(Path::Event { steps, .. }) => format!("{steps:?}"),
            Piece::Path(path) => format!("{path:?}"),
        })
        .collect();
    assert_eq!(shown, ["a{b}", "[Key(\"c\"), Key(\"}\")]", "-", "[Key(\"d\")]"]);
}
