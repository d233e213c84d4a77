//! Which of several matches wins, and which may not stand beside each other.

use super::*;

#[test]
fn matches_of_equal_weight_must_exclude_each_other() {
    let file = |log_type: &str, keys: &str, text: &str, matches: &str| {
        format!(
            "[mapping]\nlog_type = \"{log_type}\"\nclass = \"base_event\"\nkeys = \"{keys}\"\n{text}\n[[match]]\n{matches}\n"
        )
    };
    let ties = |left: String, right: String| -> Vec<String> {
        let files =
            vec![("base.toml".to_owned(), BASE.to_owned()), ("l.toml".to_owned(), left), ("r.toml".to_owned(), right)];
        match Sources::default().with_directory(files).load_checked_by(|_| Vec::new()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        }
    };
    let told = [
        "r.toml:6:1: this match and the one at l.toml:6:1 have equally many conditions and do not exclude each other: give one of them a condition more, such as a key that must exist",
    ];
    for (left, right, is_tied) in [
        ("a = 1", "b = 1", true),
        ("a = 1", "a = 2", false),
        ("a = 1", "a = \"1\"", true),
        ("a = 1", "b = 1\nc = 2", false),
        ("a = [1, 2]", "a = [2, 3]", true),
        ("a = [1, 2]", "\"/a\" = [3, { prefix = \"x\" }]", false),
        ("a = { prefix = \"ab\" }", "a = { prefix = \"a\" }", true),
        ("a = { prefix = \"ab\" }", "a = { prefix = \"ac\" }", false),
        ("a = { suffix = \"ab\" }", "a = { prefix = \"ac\" }", true),
        ("a = { exists = true }", "a = { exists = false }", false),
        ("a = \"x\"", "a = { exists = false }", false),
        ("a = \"x\"", "a = { exists = true }", true),
        ("a = \"x\"", "a = { \"anything-but\" = \"x\" }", false),
        ("a = \"X\"", "a = { \"equals-ignore-case\" = \"x\" }", true),
        ("a = 5", "a = { numeric = [\">\", 5] }", false),
        ("any = [{ a = 1 }, { a = 2 }]", "a = 3", false),
        ("any = [{ a = 1 }, { b = 2 }]", "a = 3", true),
        ("A = 1", "a = 2", true),
        ("\"@envelope.source\" = \"x\"", "\"@envelope.source\" = \"y\"", false),
    ] {
        let found = ties(file("l", "exact", "", left), file("r", "exact", "", right));
        assert_eq!(found, if is_tied { told.to_vec() } else { Vec::new() }, "{left} against {right}");
    }
    let text = "text = { split = \"tab\", columns = [\"a\"] }";
    let head = |text: &str| file("l", "exact", "", "a = 1").replace("[mapping]", &format!("{text}\n[mapping]"));
    assert!(ties(head(text), file("r", "exact", "", "a = 1")).is_empty(), "text and JSON are never one event");
    assert!(ties(file("l", "any_initial", "", "A = 1"), file("r", "exact", "", "a = 2")).is_empty());
}

/// Guards what `check` says of mappings that are right: a user's own wins a tie, and it is said; so is what never decides,
/// what took the place of a shipped mapping, and what is let go.
#[test]
fn a_mapping_of_ones_own_wins_and_it_is_said() {
    let own = |log_type: &str, matches: &str| {
        format!(
            "[mapping]\nlog_type = \"{log_type}\"\nversion = \"7\"\nclass = \"base_event\"\nprofiles = [\"cloud\"]\n\
             ignore = [{{ path = \"a.b\", why = \"it is noise\" }}]\n{matches}\n[set]\ntime = \"t\"\n\
             severity_id = {{ value = 1 }}\n\"metadata.product.name\" = {{ value = \"P\" }}\n"
        )
    };
    let notes = |files: &[(&str, String)]| -> (Vec<String>, Vec<Mapping>) {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        let loaded = Sources::embedded().with_directory(files).load(crate::ocsf::Table::v1_8());
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        let is_of_own = |note: &String| note.contains("own.toml");
        (
            crate::normalize::mapping::notes(&loaded).iter().map(ToString::to_string).filter(is_of_own).collect(),
            loaded.log_types,
        )
    };
    // As many conditions as WAF's own match may have, of which none excludes the other.
    let waf = Sources::embedded().load(crate::ocsf::Table::v1_8()).expect("sound").log_types;
    let waf = waf.iter().find(|mapping| &*mapping.log_type == "aws.waf").expect("it ships");
    let conditions = waf.matches[0].when.0.len();
    let keys: Vec<String> = (0..conditions).map(|number| format!("k{number} = {{ exists = true }}")).collect();
    let (said, log_types) = notes(&[("own.toml", own("acme.door", &format!("[[match]]\n{}", keys.join("\n"))))]);
    assert!(said.iter().any(|note| note.starts_with("own.toml:7: tie: the shipped match of `aws.waf`")), "{said:#?}");
    assert!(said.iter().any(|note| note == "own.toml:6: ignored: `acme.door` lets `a.b` go: it is noise"), "{said:#?}");
    assert_eq!(&*log_types[0].log_type, "acme.door", "the first of two with equal right takes the event");
    let (said, _) = notes(&[("own.toml", own("aws.waf", "[[match]]\n\"nothing.like.it\" = 1"))]);
    assert!(
        said.contains(&"own.toml:1: replaced: takes the place of the shipped mapping of `aws.waf`".to_owned()),
        "{said:#?}"
    );
    // Whatever meets the first meets the second, which asks for more: the first never decides.
    let narrow = "[[match]]\n\"zz.a\" = \"x-1\"\n[[match]]\n\"zz.b\" = 5";
    let wide = "[[match]]\n\"zz.a\" = [{ prefix = \"x\" }]\n\"/zz.a\" = { exists = true }";
    let (said, _) = notes(&[("own.toml", own("acme.a", narrow)), ("own2.toml", own("acme.b", wide))]);
    let shadowed: Vec<&String> = said.iter().filter(|note| note.contains("shadowed")).collect();
    assert_eq!(
        shadowed,
        [
            "own.toml:7: shadowed: never decides: an event that meets it meets the match of `acme.b` at own2.toml:7, which goes before it"
        ]
    );
    // Two of one's own may not tie.
    let files = vec![
        ("a.toml".to_owned(), own("acme.a", "[[match]]\na = 1")),
        ("b.toml".to_owned(), own("acme.b", "[[match]]\nb = 1")),
    ];
    assert!(Sources::embedded().with_directory(files).load(crate::ocsf::Table::v1_8()).is_err());
}
