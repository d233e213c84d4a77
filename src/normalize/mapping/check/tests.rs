//! Guards the check against OCSF: what no event could carry is told when the mapping is loaded.

use super::super::Sources;
use crate::ocsf::Table;

/// What every class wants, in lines 8 to 10 of a file.
const SOUND: &str = "time = \"t\"\nseverity_id = { value = 1 }\n\"metadata.product.name\" = { value = \"P\" }";

/// The errors of the mapping of one class, whose `[set]` goes on in line 11.
fn check_class(class: &str, profiles: &str, more: &str, expect: &[&str]) {
    let text = format!(
        "[mapping]\nlog_type = \"aws.m\"\nclass = \"{class}\"\nprofiles = {profiles}\n[[match]]\na = 1\n[set]\n{SOUND}\n{more}\n"
    );
    check_files(&text, "", expect);
}

fn check_files(text: &str, common: &str, expect: &[&str]) {
    let base = format!("[mapping]\nlog_type = \"base\"\nclass = \"base_event\"\n[set]\n{SOUND}\n");
    let files = [("base.toml", base.as_str()), ("common.toml", common), ("m.toml", text)];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    let found = match Sources::default().with_directory(files).load(Table::v1_8()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expect, "for:\n{text}\n{common}");
}

/// The errors of lines from line 11 on, in a base event with the profile `cloud`.
fn check(more: &str, expect: &[&str]) {
    check_class("base_event", "[\"cloud\"]", &format!("\"cloud.provider\" = {{ value = \"AWS\" }}\n{more}"), expect);
}

#[test]
fn classes_and_profiles_must_be_there() {
    check_class(
        "detecton_finding",
        "[\"cloud\"]",
        "",
        &["m.toml:3:9: there is no class `detecton_finding`; did you mean `detection_finding`?"],
    );
    check_class(
        "security_finding",
        "[\"host\"]",
        "",
        &[
            "m.toml:3:9: the class `security_finding` is deprecated since OCSF 1.1.0",
            "m.toml:3:9: the class `security_finding` requires `finding`, and no rule gives it",
            "m.toml:3:9: the class `security_finding` requires `state_id`, and no rule gives it",
        ],
    );
    check_class(
        "base_event",
        "[\"host\", \"linux\", \"incident\"]",
        "",
        &[
            "m.toml:4:21: there is no profile `linux`",
            "m.toml:4:30: the profile `incident` does not apply to the class `base_event`",
        ],
    );
}

/// Guards that a projection is checked against the vocabulary it writes: its names, types, words and profiles.
#[test]
fn a_projection_is_checked_by_its_vocabulary() {
    let ecs = "projection = \"ecs\"\nclass = \"event\"\n[set]\n\"@timestamp\" = \"time\"\n\"ecs.version\" = { value = \"8\" }\n\
               \"event.kind\" = { value = \"event\" }\n";
    let cim = "projection = \"cim\"\n[[case]]\nclass = \"event\"\nprofiles = [\"Web\"]\n[case.set]\naction = \"a\"\ndest = \"b\"\n\
               http_method = \"c\"\nsrc = \"d\"\nstatus = \"e\"\n";
    for (head, more, expect) in [
        (
            ecs,
            "\"event.catagory[]\" = \"a\"",
            "m.toml:8:1: `event` has no attribute `catagory`; did you mean `category`?",
        ),
        (ecs, "\"event.category\" = \"a\"", "m.toml:8:1: `event.category` is an array: write `event.category[]`"),
        (
            ecs,
            "\"event.category[]\" = { value = [\"netwrk\"] }",
            "m.toml:8:1: `netwrk` is no value of `event.category[]`; did you mean `network`?",
        ),
        (ecs, "\"source.ip\" = { value = \"x\" }", "m.toml:8:1: `source.ip` wants an IP address, not `x`"),
        (ecs, "class_uid = \"a\"", "m.toml:8:1: `event` has no attribute `class_uid`"),
        (ecs, "ocsf = \"a\"", "m.toml:8:1: `event` has no attribute `ocsf`; did you mean `ecs`?"),
        (cim, "", "m.toml:4:9: the class `event` requires `url`, and no rule gives it"),
        (
            cim,
            "url = \"u\"\nsignature = \"s\"",
            "m.toml:13:1: `signature` needs the profile `Alerts` or `Authentication` or `Intrusion_Detection` or `Vulnerabilities`, which is not declared",
        ),
    ] {
        check_files(&format!("[mapping]\n{head}{more}\n"), "", &[expect]);
    }
}

#[test]
fn a_target_must_be_legal() {
    check("mesage = \"a\"", &["m.toml:12:1: `base_event` has no attribute `mesage`; did you mean `message`?"]);
    check("\"cloud.regoin\" = \"a\"", &["m.toml:12:1: `cloud` has no attribute `regoin`; did you mean `region`?"]);
    check("\"message.text\" = \"a\"", &["m.toml:12:1: `message` is string_t and has nothing below it"]);
    check("\"message[]\" = \"a\"", &["m.toml:12:1: `message[]` is no array: write `message`"]);
    check("\"metadata.labels\" = \"a\"", &["m.toml:12:1: `metadata.labels` is an array: write `metadata.labels[]`"]);
    check("class_uid = { value = 1 }", &["m.toml:12:1: `class_uid` is written by the engine, never by a mapping"]);
    check(
        "\"metadata.version\" = \"a\"",
        &["m.toml:12:1: `metadata.version` is written by the engine, never by a mapping"],
    );
    check(
        "severity = \"a\"",
        &["m.toml:12:1: `severity` is written by the engine beside `severity_id`, which has a rule"],
    );
    check("status = \"a\"", &[]);
    check("\"api.service.name\" = \"a\"\n\"api.operation\" = \"o\"", &[]);
    check_class(
        "api_activity",
        "[\"host\"]",
        "\"actor.invoked_by\" = \"a\"\n\"api.operation\" = \"o\"\n\"src_endpoint.ip\" = \"i\"",
        &["m.toml:11:1: `actor.invoked_by` is deprecated since OCSF 1.2.0"],
    );
    check(
        "confidence_score = \"a\"",
        &["m.toml:12:1: `confidence_score` needs the profile `security_control`, which is not declared"],
    );
    check(
        "\"api.operation\" = \"a\"\n\"cloud.account\" = \"b\"",
        &["m.toml:13:1: `cloud.account` is an object (account): a part or a block fills it, or rules below it"],
    );
}

#[test]
fn what_a_rule_gives_must_fit() {
    check("message = { value = 3 }", &["m.toml:12:1: `message` wants text, not `3`"]);
    check("count = { from = \"a\", default = \"b\" }", &["m.toml:12:1: `count` wants a whole number, not `b`"]);
    check(
        "activity_id = { from = \"a\", enum = { A = 1, B = 2, C = 99 } }",
        &["m.toml:12:1: `1` is no value of `activity_id`", "m.toml:12:1: `2` is no value of `activity_id`"],
    );
    check(
        "status_id = { from = \"a\", bands = [{ above = 0, value = \"Success\" }] }",
        &["m.toml:12:1: `status_id` wants a whole number, not `Success`; did you mean `1`?"],
    );
    check(
        "message = { from = \"a\", as = \"integer\" }",
        &["m.toml:12:1: `message` is string_t, which this `as` does not give"],
    );
    check(
        "message = { from = \"a\", as = \"count\" }",
        &["m.toml:12:1: `message` is string_t, which this `as` does not give"],
    );
    check("message = { from = \"a\", scale = 1000 }", &["m.toml:12:1: `message` is string_t: `scale` gives a number"]);
    check("duration = { from = \"a\", scale = 1000 }", &[]);
    check("message = { rest = \".\" }", &["m.toml:12:1: `message` is string_t: `rest` wants a json_t"]);
    check("duration = { uid = [\"a\"] }", &["m.toml:12:1: `duration` is long_t: `uid` gives text"]);
    check(
        "message = { part = \"p\" }\n[part.p.set]\nname = \"a\"",
        &["m.toml:12:1: `message` is string_t and takes no part"],
    );
}

#[test]
fn blocks_and_parts_are_checked_where_they_write() {
    check(
        "[[block]]\ntarget = \"message\"\nset = { uid = \"a\" }",
        &["m.toml:13:10: `message` is string_t and takes no block"],
    );
    check(
        "[[block]]\ntarget = \"enrichments[]\"\nset = { name = \"a\", valu = \"b\" }",
        &[
            "m.toml:13:10: `enrichments[]` requires `data`, and no rule gives it",
            "m.toml:13:10: `enrichments[]` requires `value`, and no rule gives it",
            "m.toml:14:21: `enrichment` has no attribute `valu`; did you mean `value`?",
        ],
    );
    let part = "[part.who]\nneeds = [\"uid\", \"type\"]\n[part.who.set]\nuid = \"a\"\nsvc_name = \"b\"";
    check(
        &format!("\"cloud.account\" = {{ part = \"who\" }}\n{part}"),
        &[
            "m.toml:14:17: the part `who` needs `type`, and no rule of it gives that",
            "m.toml:17:1: `account` has no attribute `svc_name`",
        ],
    );
}

#[test]
fn what_is_required_must_be_given() {
    check_class(
        "base_event",
        "[\"cloud\"]",
        "",
        &["m.toml:3:9: the class `base_event` requires `cloud`, and no rule gives it"],
    );
    check_class(
        "base_event",
        "[\"cloud\"]",
        "\"cloud.region\" = \"a\"",
        &["m.toml:11:1: `cloud` requires `provider`, and no rule gives it"],
    );
    check_class(
        "authentication",
        "[\"host\"]",
        "\"user.type\" = \"a\"",
        &[
            "m.toml:3:9: the class `authentication` requires one of `service`, `dst_endpoint`, and no rule gives any",
            "m.toml:11:1: `user` requires one of `account`, `name`, `uid`, and no rule gives any",
        ],
    );
}

#[test]
fn a_common_rule_must_be_legal_in_every_mapping() {
    let text = format!("[mapping]\nlog_type = \"aws.m\"\nclass = \"base_event\"\n[[match]]\na = 1\n[set]\n{SOUND}\n");
    check_files(
        &text,
        "[set]\nmesage = \"a\"\n",
        &[
            "common.toml:2:1: `base_event` has no attribute `mesage`, in the mapping of base; did you mean `message`?",
            "common.toml:2:1: `base_event` has no attribute `mesage`, in the mapping of aws.m; did you mean `message`?",
        ],
    );
    check_files(
        &text,
        "[set]\nmessage = 3\n",
        &["common.toml:2:11: a rule is a path or a table; a constant is written { value = .. }"],
    );
}

#[test]
fn a_path_must_reach_something() {
    check("message = \"^.a\"", &["m.toml:12:1: `^` goes out by 1, and only 0 `from` or `each` stand around it"]);
    check("message = { template = \"{@key}\" }", &["m.toml:12:1: `@key` stands in no `each`"]);
    let block =
        "[[block]]\ntarget = \"enrichments[]\"\neach = \"a\"\nset = { name = \"@key\", value = \"^.b\", data = \"c\" }";
    check(block, &[]);
    check(
        &block.replace("^.b", "^.^.b"),
        &["m.toml:15:24: `^` goes out by 2, and only 1 `from` or `each` stand around it"],
    );
    check(&block.replace("each = \"a\"", "from = \"a\""), &["m.toml:15:9: `@key` stands in no `each`"]);
    // A block without a base of its own keeps the one around it.
    check(
        &block.replace("each = \"a\"", "when = { a = 1 }"),
        &[
            "m.toml:15:9: `@key` stands in no `each`",
            "m.toml:15:24: `^` goes out by 1, and only 0 `from` or `each` stand around it",
        ],
    );
}
