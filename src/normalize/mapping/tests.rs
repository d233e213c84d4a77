//! Guards the mapping format: every construct is read as written, and every mistake is told with its exact place.

use super::Sources;
use super::ast::{Base, Mapping, Path, Piece, Step};
use super::notation;

mod merging;
mod spelling;
mod ties;

const BASE: &str = "[mapping]\nlog_type = \"base\"\nclass = \"base_event\"\n[set]\ntime = \"@envelope.arrival\"\n\
                    severity_id = { value = 0 }\n\"metadata.product.name\" = { value = \"AWS\" }\n";

#[test]
fn the_embedded_mappings_are_sound_and_all_there() {
    let loaded = Sources::embedded().load(crate::ocsf::Table::v1_8()).unwrap_or_else(|errors| panic!("{errors}"));
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut names = Vec::new();
    for folder in ["", "aws", "project"] {
        for entry in std::fs::read_dir(directory.join(folder)).expect("the directory of mappings") {
            let name = entry.expect("a directory entry").file_name().into_string().expect("a name in UTF-8");
            let is_mapping =
                name.split_once('.').is_some_and(|(stem, kind)| kind == "toml" && !["base", "common"].contains(&stem));
            if is_mapping {
                names.push(name);
            }
        }
    }
    let found = loaded.log_types.len() + loaded.projections.len();
    assert_eq!(found, names.len(), "one mapping for each of {names:?}");
    assert_eq!(loaded.base.cases[0].class, "base_event");
}

/// The errors of one mapping file beside a sound base, or nothing.
fn errors(text: &str) -> Vec<String> {
    let files = vec![("base.toml".to_owned(), BASE.to_owned()), ("m.toml".to_owned(), text.to_owned())];
    match Sources::default().with_directory(files).load_checked_by(|_| Vec::new()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

fn check(text: &str, expect: &[&str]) {
    assert_eq!(errors(text), expect, "for:\n{text}");
}

/// A sound head, of six lines: what follows begins in line 7.
const HEAD: &str = "[mapping]\nlog_type = \"aws.m\"\nclass = \"base_event\"\n[[match]]\na = \"m\"\n\n";

/// Checks lines of a `[set]` (line 8 is the first).
fn check_set(lines: &str, expect: &[&str]) {
    check(&format!("{HEAD}[set]\n{lines}\n"), expect);
}

#[test]
fn a_projection_is_no_log_type() {
    let head = "[mapping]\nprojection = \"ecs\"\nclass = \"event\"\n";
    let set = "[set]\n\"@timestamp\" = \"time\"\n";
    check(&format!("{head}{set}"), &[]);
    check(
        &format!("{head}log_type = \"aws.m\"\n{set}"),
        &["m.toml:4:1: `log_type` belongs to a log type, and this is a projection"],
    );
    check(
        &format!("{head}[[match]]\na = 1\n{set}"),
        &["m.toml:4:1: a projection takes every OCSF event: it has no match, and its cases choose"],
    );
    check(
        "[mapping]\nprojection = \"esc\"\nclass = \"event\"\n",
        &["m.toml:2:14: `projection` knows no `esc`; did you mean `ecs`?"],
    );
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_place() {
    check("[mapping]\nlog_type = \n", &["m.toml:2:12: string values must be quoted, expected literal string"]);
    check("", &["m.toml:1:1: the file has no `mapping`"]);
    check(
        "[maping]\n",
        &[
            "m.toml:1:1: the file has no `mapping`",
            "m.toml:1:2: unknown key `maping` in a mapping file; did you mean `mapping`?",
        ],
    );
    check("[mapping]\nlog_type = 3\n", &["m.toml:2:12: `log_type` wants text, not a whole number"]);
    check(
        "[mapping]\nlog_type = \"AWS\"\n",
        &["m.toml:2:12: `log_type` is made of small letters, digits, `_` and `.`"],
    );
    check(
        "[mapping]\nlog_type = \"m\"\nkeys = \"any_inital\"\n[[match]]\na = 1\n",
        &[
            "m.toml:2:12: the mapping has no `class` and no `[[case]]`",
            "m.toml:3:8: `keys` knows no `any_inital`; did you mean `any_initial`?",
        ],
    );
    check("[mapping]\nlog_type = \"m\"\nclass = \"base_event\"\n", &["m.toml:2:12: the mapping has no `[[match]]`"]);
    check(&format!("{HEAD}[[match]]\n"), &["m.toml:7:1: `[[match]]` is empty and would take every event"]);
    check(
        "[mapping]\nlog_type = \"m\"\nclass = \"base_event\"\nprofiles = [\"cloud\", \"cloud\"]\n[[match]]\na = 1\n",
        &["m.toml:4:22: the profile `cloud` is named twice"],
    );
    check(
        &format!("{HEAD}[[case]]\nclass = \"base_event\"\n"),
        &["m.toml:3:9: `class` and `[[case]]` exclude each other: every case has a class of its own"],
    );
    check(
        "[mapping]\nlog_type = \"m\"\nclass = \"base_event\"\nignore = [{ path = \"a\" }, { path = \"^.a\", why = \"x\" }]\n\
         [[match]]\na = 1\n",
        &[
            "m.toml:4:11: a member of `ignore` has no `why`",
            "m.toml:4:36: this path begins at the event's root and names something in it",
        ],
    );
}

#[test]
fn a_count_stands_alone() {
    check_set(
        "count = { from = \"a\", as = \"count\", skip = [\"x\"] }",
        &["m.toml:8:37: `skip` changes a leaf, and `as = \"count\"` counts members"],
    );
    check_set("count = { from = \"a\", as = \"count\", keep = true }", &[]);
}

#[test]
fn a_mistake_in_a_rule_is_told_with_its_place() {
    check_set("message = 3", &["m.toml:8:11: a rule is a path or a table; a constant is written { value = .. }"]);
    check_set(
        "message = [\"a\"]",
        &["m.toml:8:11: a rule is a path or a table; several paths are written { first = [..] }"],
    );
    check_set(
        "finding.title = \"a\"",
        &[
            "m.toml:8:1: a rule says where its value comes from: from, first, all, value, template, cases, part, rest, uid; \
           a target with dots is written in quotes",
        ],
    );
    check_set("message = { form = \"a\" }", &["m.toml:8:13: unknown key `form` in a rule; did you mean `from`?"]);
    check_set(
        "message = { as = \"ip\" }",
        &[
            "m.toml:8:11: a rule says where its value comes from: from, first, all, value, template, cases, part, rest, uid",
        ],
    );
    check_set(
        "message = { from = \"a\", defualt = 1 }",
        &["m.toml:8:25: unknown key `defualt` in a rule; did you mean `default`?"],
    );
    check_set(
        "message = { from = \"a\", first = [\"b\"] }",
        &["m.toml:8:25: a rule has one source, and here are `from` and `first`"],
    );
    check_set("message = { value = \"a\", default = 1 }", &["m.toml:8:26: `default` means nothing beside `value`"]);
    check_set(
        "message = { template = \"{a}\", keep = true }",
        &["m.toml:8:31: `keep` means nothing beside `template`"],
    );
    check_set("message = { all = [\"a\"] }", &["m.toml:8:19: `all` gives several values, and the target is no array"]);
    check_set(
        "message = \"a[]\"",
        &["m.toml:8:11: a rule wants a path to one value, and `[]` and `[n..]` give several"],
    );
    check_set("message = { first = [] }", &["m.toml:8:21: `first` is an empty list"]);
    check_set(
        "message = { first = [\"a\", 3, \"b..c\"] }",
        &["m.toml:8:27: `first` wants text, not a whole number", "m.toml:8:30: a name is missing in the path `b..c`"],
    );
    check_set(
        "message = { from = \"a\", as = \"intger\" }",
        &["m.toml:8:30: `as` knows no `intger`; did you mean `integer`?"],
    );
    check_set(
        "message = { from = \"a\", before = \"x\", after = \"y\" }",
        &["m.toml:8:39: `before` and `after` exclude each other in a rule"],
    );
    check_set(
        "message = { from = \"a\", enum = {}, scale = 0 }",
        &["m.toml:8:32: `enum` is empty", "m.toml:8:36: `enum` and `scale` exclude each other in a rule"],
    );
    check_set(
        "message = { from = \"a\", enum = { A = 1.5 } }",
        &["m.toml:8:38: a value of `enum` wants a whole number or text, not a number"],
    );
    check_set(
        "message = { from = \"a\", capture = \"a(b\" }",
        &["m.toml:8:35: `a(b` is no regular expression: unclosed group"],
    );
    check_set(
        "message = { from = \"a\", capture = \"ab\" }",
        &["m.toml:8:35: the regular expression `ab` must have exactly one group"],
    );
    check_set(
        "message = { from = \"a\", bands = [{ above = 1, value = 1 }, { at_least = 2, value = 2 }] }",
        &["m.toml:8:60: this band never holds: an earlier one holds for all its values"],
    );
    check_set(
        "message = { from = \"a\", bands = [{ value = 1 }, { at_least = 0 }] }",
        &["m.toml:8:34: a band has one bound: `at_least` or `above`", "m.toml:8:49: a band has no `value`"],
    );
    check_set(
        "message = { cases = [{ when = {}, from = \"a\" }, { wen = { a = 1 }, from = \"a\" }] }",
        &[
            "m.toml:8:31: `when` is empty and would always hold",
            "m.toml:8:51: unknown key `wen` in a rule; did you mean `when`?",
        ],
    );
    check_set(
        "message = { cases = [{ value = \"a\" }, { from = \"a\" }], default = \"b\" }",
        &[
            "m.toml:8:1: the `default` is never used: an arm holds always and gives a constant",
            "m.toml:8:39: this arm is never tried: an earlier one holds always and gives a constant",
        ],
    );
    check_set("message = 1979-05-27", &["m.toml:8:11: a rule wants a path or a table, not a date"]);
    check_set(
        "message = { value = 99999999999999999999 }",
        &["m.toml:8:21: the number 99999999999999999999 does not fit 64 bits"],
    );
}

#[test]
fn a_mistake_about_several_values_is_told_with_its_place() {
    check_set(
        "message = { only = { a = 1 }, from = \"b\" }",
        &["m.toml:8:13: `only` chooses among the members of an `each`, and here is none"],
    );
    check_set(
        "unmapped = { each = \"a\", rest = \"b\" }",
        &["m.toml:8:26: `rest` means nothing beside `each` in a rule"],
    );
    check_set(
        "message = { from = \"a\", distinct = true }",
        &["m.toml:8:25: `distinct` is about several values, and the target is no array"],
    );
    check_set(
        "\"labels[]\" = { cases = [{ from = \"a\", distinct = true }] }",
        &["m.toml:8:25: `distinct` is about all values of the target: it stands in the outermost rule"],
    );
    check_set("message = { value = [\"a\"] }", &["m.toml:8:21: `value` is a list, and the target is no array"]);
}

#[test]
fn a_mistake_in_a_notation_is_told_with_its_place() {
    check_set("message = \"@envelope.acount\"", &["m.toml:8:11: no envelope tells `acount`; did you mean `account`?"]);
    check_set(
        "message = \"@txt\"",
        &["m.toml:8:11: `@txt` is no path (a key that begins with `@` is written in quotes); did you mean `@text`?"],
    );
    check_set(
        "message = { template = \"a {b\" }",
        &["m.toml:8:24: a `{` is not closed in the template `a {b` (a brace is written `{{`)"],
    );
    check_set("message = { template = \"a {} b\" }", &["m.toml:8:24: a path is empty; `.` is the base itself"]);
    check_set(
        "message = { template = \"a {{b}\" }",
        &["m.toml:8:24: the template `a {{b}` has no path in it; write it as a `value`"],
    );
    check_set("Message = \"a\"", &["m.toml:8:1: `Message` is no target: names of small letters, dots between them"]);
    check_set(
        "\"evidences[].data\" = \"a\"",
        &["m.toml:8:1: only the last name of `evidences[].data` may be an array; a block writes arrays of objects"],
    );
    for (path, words) in [
        ("a.", "a name is missing in the path `a.`"),
        (".a", "a name is missing in the path `.a`"),
        ("a[x]", "`[x]` is no index in the path `a[x]`"),
        ("a[1", "a `[` is not closed in the path `a[1`"),
        ("a[0]b", "a `.` is missing in the path `a[0]b`"),
        ("a[1..].b", "`[n..]` is not the last step in the path `a[1..].b`"),
        ("a b", "the key `a b` needs quotes in the path `a b`"),
        ("a.\"b", "a quote is not closed in the path `a.\"b`"),
        ("^a", "a name is missing behind `^` in `^a`"),
        ("^.", "a name is missing behind `^` in `^.`"),
    ] {
        assert_eq!(notation::path(path).expect_err(path).words, words);
    }
}

#[test]
fn a_mistake_in_a_condition_is_told_with_its_place() {
    let check_when = |when: &str, expect: &[&str]| {
        check_set(&format!("message = {{ cases = [{{ from = \"a\", when = {when} }}] }}"), expect);
    };
    check_when("{ a = [] }", &["m.toml:8:49: a condition is an empty list"]);
    check_when(
        "{ a = { prefx = \"b\" } }",
        &[
            "m.toml:8:51: unknown key `prefx` in a condition (a path with dots is written in quotes); did you mean `prefix`?",
        ],
    );
    check_when("{ a = { prefix = \"b\", exists = true } }", &["m.toml:8:65: `exists` stands alone in its table"]);
    check_when("{ a = { prefix = \"\" } }", &["m.toml:8:60: `prefix` is empty"]);
    check_when("{ a = {} }", &["m.toml:8:49: a condition names no operator"]);
    check_when(
        "{ a = { numeric = [\">\"] } }",
        &["m.toml:8:61: `numeric` wants comparisons and numbers in turn: [\">\", 0, \"<=\", 5]"],
    );
    check_when("{ a = { numeric = [\"=>\", 1] } }", &["m.toml:8:62: `numeric` knows no `=>`; did you mean `=`?"]);
    check_when("{ same = [\"a\"] }", &["m.toml:8:52: `same` wants two paths"]);
    check_when("{ later = [\"a\", \"b\", \"c\"] }", &["m.toml:8:53: `later` wants two paths"]);
    check_when(
        "{ later = [\"a\", \"b[]\"] }",
        &["m.toml:8:59: `later` wants a path to one value, and `[]` and `[n..]` give several"],
    );
    check_when("{ any = [{}] }", &["m.toml:8:52: a table of `any` is empty and would always hold"]);
    check_when(
        "{ \"a[]\" = 1 }",
        &["m.toml:8:45: a condition wants a path to one value, and `[]` and `[n..]` give several"],
    );
    check_when("{ a = { exists = \"yes\" } }", &["m.toml:8:60: `exists` wants true or false, not text"]);
}

#[test]
fn a_mistake_in_a_block_or_part_is_told_with_its_place() {
    check(&format!("{HEAD}[[block]]\n"), &["m.toml:7:1: a block has no `target`"]);
    check(
        &format!("{HEAD}[[block]]\ntarget = \"resources[]\"\n"),
        &["m.toml:7:1: the block `resources[]` writes nothing: it has no `set` and no block"],
    );
    check(
        &format!("{HEAD}[[block]]\ntarget = \"resources[]\"\nfrom = \"a[]\"\nset = {{ uid = \"a\" }}\n"),
        &["m.toml:9:8: `from` wants a path to one value, and `[]` and `[n..]` give several"],
    );
    check(
        &format!("{HEAD}[[block]]\ntarget = \"resources[]\"\notherwise = true\nset = {{ uid = \"a\" }}\n"),
        &["m.toml:8:10: `otherwise`, but no earlier block writes `resources[]`"],
    );
    let parts =
        "[part.one.set]\nuid = \"a\"\n[part.two.set]\nuid = { part = \"two\" }\n[part.three.set]\nuid = \"a\"\n";
    check(
        &format!("{HEAD}[set]\ncloud = {{ part = \"on\" }}\nactor = {{ part = \"one\" }}\n{parts}"),
        &[
            "m.toml:8:1: there is no part `on`; did you mean `one`?",
            "m.toml:12:7: the part `two` uses itself",
            "m.toml:14:7: nobody uses the part `three`",
        ],
    );
    check(
        &format!("{HEAD}[set]\n\"labels[]\" = \"a\"\nlabels = \"b\"\n"),
        &["m.toml:9:1: `labels` has a rule already, in line 8"],
    );
    check(
        &format!("{HEAD}[set]\n\"cloud.region\" = \"a\"\ncloud = {{ part = \"p\" }}\n[part.p.set]\nregion = \"a\"\n"),
        &["m.toml:8:1: `cloud.region` lies below `cloud`, which a part fills in line 9"],
    );
    check(
        &format!(
            "{HEAD}[set]\ncloud = {{ part = \"p\" }}\n[[block]]\ntarget = \"cloud\"\nset = {{ region = \"a\" }}\n[part.p.set]\nregion = \"a\"\n"
        ),
        &["m.toml:10:10: `cloud` is filled by the rule in line 8 and takes no block"],
    );
}

#[test]
fn a_mistake_in_cases_texts_and_tests_is_told_with_its_place() {
    let head = "[mapping]\nlog_type = \"m\"\n[[match]]\na = 1\n";
    check(
        &format!(
            "{head}[set]\nmessage = \"a\"\n[[case]]\nclass = \"base_event\"\nset = {{ message = \"b\" }}\n[[case]]\nclass = \"base_event\"\nset = {{ message = \"c\" }}\n"
        ),
        &["m.toml:6:1: every case replaces the rule for `message`"],
    );
    check(
        &format!(
            "{head}[[case]]\nclass = \"base_event\"\nset = {{ message = \"b\" }}\n[[case]]\nclass = \"base_event\"\n"
        ),
        &["m.toml:8:1: the case `base_event` is never tried: an earlier case has no `when`"],
    );
    check(
        &format!("{HEAD}[text]\nsplit = \"blank\"\ncolumns = [\"a\", \"a\"]\n"),
        &["m.toml:8:9: `split` knows no `blank`", "m.toml:9:11: `columns` names `a` twice"],
    );
    check(
        &format!("{HEAD}[text]\nsplit = \"tab\"\n"),
        &["m.toml:7:2: `[text]` names no columns: it wants `columns` or `header`"],
    );
    check(
        &format!("{HEAD}[[test]]\nname = \"a\"\ninput = \"b\"\nexpect = []\n[[test]]\nname = \"a\"\ninput = \"b\"\n"),
        &["m.toml:10:10: `expect` is an empty list", "m.toml:11:1: `[[test]]` has no `expect`"],
    );
}

/// Broken files bring errors with places, never a panic, whatever is broken in them.
#[test]
fn a_broken_file_never_panics() {
    const SIGNS: [char; 12] = ['"', '\'', '[', ']', '{', '}', '.', '=', '^', '@', '\u{e9}', '\n'];
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sound = include_str!("../../../mappings/aws/vpc_flow.toml");
    let letters: Vec<char> = sound.chars().collect();
    for _ in 0..400 {
        let mut broken = letters.clone();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..broken.len());
            match random.u8(..4) {
                0 => drop(broken.remove(place)),
                1 => broken.insert(place, letters[random.usize(..letters.len())]),
                2 => broken[place] = SIGNS[random.usize(..SIGNS.len())],
                _ => drop(broken.drain(place..(place + random.usize(1..40)).min(broken.len()))),
            }
        }
        let text: String = broken.into_iter().collect();
        let lines = text.split('\n').count();
        let files = vec![("base.toml".to_owned(), BASE.to_owned()), ("m.toml".to_owned(), text)];
        if let Err(errors) = Sources::default().with_directory(files).load(crate::ocsf::Table::v1_8()) {
            assert!(!errors.0.is_empty());
            for error in errors.0 {
                let line = usize::try_from(error.at.line).expect("a line number");
                assert!(&*error.at.file == "m.toml" && (1..=lines).contains(&line), "{error}");
            }
        }
    }
}
