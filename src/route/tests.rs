//! Guards which sinks an event goes to, and that a mistake in a route is told with its remedy.

use std::sync::Arc;

use super::{Decision, Desk, Facts, RouteOptions, Routes};
use crate::envelope::{Context, Field, Form};

/// Routes in the order of their text.
fn routes(text: &str) -> Routes {
    let written: toml::Table = toml::from_str(text).unwrap();
    let mut list: Vec<(String, RouteOptions)> =
        written.into_iter().map(|(name, route)| (name, route.try_into().unwrap())).collect();
    list.sort_by_key(|(name, _)| text.find(&format!("{name} =")));
    Routes::new(list.iter().map(|(name, route)| (name.as_str(), route)), &["soc", "lake", "cold"]).unwrap()
}

const EVENT: Facts<'static> = Facts {
    log_type: "aws.guardduty",
    severity_id: 4,
    account: "111122223333",
    region: "eu-west-1",
    ocsf: br#"{"cloud":{"region":"eu-west-1"},"severity_id":4}"#,
    raw: br#"{"type":"Recon:EC2/Portscan"}"#,
    form: Form::Json,
    context: None,
    id: [0; 16],
    now_ms: 0,
};

fn decide(text: &str, event: Facts<'_>) -> Decision {
    routes(text).decide(event, &mut Desk::default())
}

fn to(lanes: u64) -> Decision {
    Decision::Lanes { lanes, tags: Vec::new() }
}

fn filtered(rule: &str) -> Decision {
    Decision::Filtered(rule.into())
}

const ROUTES: &str = r#"
    urgent = { log_type = ["aws.guardduty"], severity = ">= high", to = ["soc"] }
    noise = { account = ["444455556666"], log_type = ["aws.*"], suppress = true }
    all = { log_type = ["aws.*"], to = ["lake"] }
"#;

/// Guards that matching routes add up in the order of the file, that `suppress` ends it, and that what nobody wants is
/// filtered by name.
#[test]
fn routes_decide() {
    assert_eq!(decide("", Facts { log_type: "anything", ..EVENT }), to(0b111));
    assert_eq!(decide(ROUTES, EVENT), to(0b11));
    assert_eq!(decide(ROUTES, Facts { severity_id: 3, ..EVENT }), to(0b10));
    assert_eq!(decide(ROUTES, Facts { severity_id: 99, ..EVENT }), to(0b10), "99 meets no bound");
    let noisy = Facts { account: "444455556666", ..EVENT };
    assert_eq!(decide(ROUTES, noisy), to(0b1), "what stands before `suppress` applies, what stands behind does not");
    assert_eq!(decide(ROUTES, Facts { severity_id: 1, ..noisy }), filtered("noise"));
    assert_eq!(decide(ROUTES, Facts { log_type: "custom", ..EVENT }), filtered("no_route"));
}

/// Guards patterns as conditions of a route: over OCSF, over what AWS wrote, beside the others, also where they suppress.
#[test]
fn patterns_are_conditions() {
    let route = |condition: &str| decide(&format!("r = {{ {condition}, to = ['soc'] }}"), EVENT);
    for (condition, holds) in [
        ("pattern = { cloud.region = ['eu-west-1'] }", true),
        ("pattern = { cloud.region = ['eu-west-2'] }", false),
        ("pattern = '{\"severity_id\":[{\"numeric\":[\">\",3]}]}'", true),
        ("raw_pattern = { type = [{ prefix = 'Recon:' }] }", true),
        ("raw_pattern = { type = [{ prefix = 'Trojan:' }] }", false),
        ("pattern = { cloud.region = ['eu-west-1'] }, raw_pattern = { type = ['x'] }", false),
        ("pattern = { cloud.region = ['eu-west-1'] }, severity = '< high'", false),
    ] {
        assert_eq!(route(condition), if holds { to(1) } else { filtered("no_route") }, "{condition}");
    }
    let quiet =
        "quiet = { raw_pattern = { type = [{ prefix = 'Recon:' }] }, suppress = true }\nall = { to = ['lake'] }";
    assert_eq!(decide(quiet, EVENT), filtered("quiet"));
    assert_eq!(decide(quiet, Facts { raw: br#"{"type":"x"}"#, ..EVENT }), to(0b10));
    let text = Facts { raw: b"2 111122223333 eni-1", form: Form::Text, ..EVENT };
    assert_eq!(decide("r = { raw_pattern = { raw = [{ suffix = 'eni-1' }] }, to = ['soc'] }", text), to(1));
}

/// Guards that a rule of EventBridge holds as it is written there, of the events that came that way.
#[test]
fn rules_of_eventbridge_are_taken_as_they_are() {
    let rule = "r = { to = ['soc'], raw_pattern = '{\"source\":[\"aws.guardduty\"],\"detail-type\":[\"GuardDuty Finding\"],\"region\":[{\"anything-but\":\"x\"}],\"detail\":{\"type\":[{\"prefix\":\"Recon:\"}]}}' }";
    let mut context = Context::default();
    assert_eq!(decide(rule, EVENT), filtered("no_route"), "not from EventBridge");
    for (field, value) in
        [(Field::Source, "aws.guardduty"), (Field::DetailType, "GuardDuty Finding"), (Field::Region, "eu-west-1")]
    {
        assert_eq!(decide(rule, Facts { context: Some(&context), ..EVENT }), filtered("no_route"));
        context.set(field, value);
    }
    let event = Facts { context: Some(&context), ..EVENT };
    assert_eq!(decide(rule, event), to(1));
    assert_eq!(decide(rule, Facts { raw: br#"{"type":"Trojan:x"}"#, ..event }), filtered("no_route"));
    context.set(Field::Source, "aws.other");
    assert_eq!(decide(rule, Facts { context: Some(&context), ..EVENT }), filtered("no_route"));
    let either = "r = { to = ['soc'], raw_pattern = '{\"$or\":[{\"detail-type\":[\"GuardDuty Finding\"],\"id\":[{\"exists\":false}]},{\"detail\":{\"x\":[1]}}]}' }";
    assert_eq!(decide(either, Facts { context: Some(&context), ..EVENT }), to(1));
}

/// Guards samples: by the hash alone, so that a re-read decides alike; nested in each other; about as large as asked.
#[test]
fn samples_are_drawn_by_the_event() {
    let text = "r = { sample = 0.1, to = ['soc'] }\ns = { sample = 0.5, to = ['lake'] }";
    let routes = routes(text);
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut desk, mut counts) = (Desk::default(), [0_u32; 3]);
    for _ in 0..10_000 {
        let event = Facts { id: random.u128(..).to_be_bytes(), ..EVENT };
        let decision = routes.decide(event, &mut desk);
        assert_eq!(decision, routes.decide(event, &mut desk), "seed {seed}");
        match decision {
            Decision::Lanes { lanes: 0b11, .. } => counts[0] += 1,
            Decision::Lanes { lanes: 0b10, .. } => counts[1] += 1,
            Decision::Filtered(rule) => {
                assert_eq!(&*rule, "r.sample");
                counts[2] += 1;
            }
            other @ Decision::Lanes { .. } => panic!("a smaller sample lies in the larger one: {other:?}, seed {seed}"),
        }
    }
    assert!((800..1200).contains(&counts[0]) && (4600..5400).contains(&counts[2]), "{counts:?}, seed {seed}");
    let all = Facts { id: [0xff; 16], ..EVENT };
    assert_eq!(decide("r = { sample = 1.0, to = ['soc'] }", all), to(1));
    let thinned = "quiet = { sample = 0.5, suppress = true }\nall = { to = ['lake'] }";
    assert_eq!((decide(thinned, EVENT), decide(thinned, all)), (filtered("quiet"), to(0b10)));
}

/// Guards byte budgets: what is over them is counted by name or goes elsewhere, and the next hour begins anew.
#[test]
fn budgets_are_kept() {
    let cases = [("", filtered("r.bytes_per_hour")), (", overflow_to = ['cold']", to(0b100))];
    for (overflow, over) in cases {
        let routes = routes(&format!("r = {{ bytes_per_hour = '60B', to = ['soc']{overflow} }}"));
        let mut desk = Desk::default();
        let hour = 3_600_000;
        assert_eq!(routes.decide(EVENT, &mut desk), to(1));
        assert_eq!(routes.clone().decide(EVENT, &mut desk), over, "48 bytes of 60 are spent, by whichever worker");
        assert_eq!(routes.decide(Facts { now_ms: hour, ..EVENT }, &mut desk), to(1));
    }
    let both = "r = { bytes_per_hour = '1B', to = ['soc'] }\nall = { to = ['lake'] }";
    let both = routes(both);
    assert_eq!(both.decide(EVENT, &mut Desk::default()), to(0b11));
    assert_eq!(both.decide(EVENT, &mut Desk::default()), to(0b10), "another route wants it: nothing is filtered");
}

/// Guards tags: those of all routes that apply, each once, none of a route that does not.
#[test]
fn tags_add_up() {
    let text = "a = { to = ['soc'], tags = ['x', 'y'] }\nb = { to = ['lake'], tags = ['y', 'z'] }
        c = { region = ['nowhere'], to = ['lake'], tags = ['n'] }";
    let tags: Vec<Arc<str>> = ["x", "y", "z"].into_iter().map(Arc::from).collect();
    assert_eq!(decide(text, EVENT), Decision::Lanes { lanes: 0b11, tags });
}

/// Guards the words of every mistake.
#[test]
fn mistakes_are_told() {
    let error = |route: &str| {
        let route: RouteOptions = toml::from_str(route).unwrap();
        Routes::new([("r", &route)], &["soc", "lake"]).unwrap_err().to_string()
    };
    assert_eq!(error("to = ['sock']"), "route `r` names the sink `sock`, which is not configured; did you mean `soc`?");
    assert_eq!(error("log_type = ['x']"), "route `r` needs either `to = [...]` or `suppress = true`");
    assert_eq!(error("to = ['soc']\nsuppress = true"), "route `r` needs either `to = [...]` or `suppress = true`");
    for (route, words) in [
        ("to = ['soc']\nsample = 0.0", "route `r`: 0 is no share: write a number above 0 and up to 1"),
        ("to = ['soc']\nsample = 10.0", "route `r`: 10 is no share"),
        ("suppress = true\ntags = ['x']", "`suppress` sends nothing that could carry tags"),
        ("suppress = true\nbytes_per_hour = '1kB'", "`suppress` sends nothing that a budget could count"),
        ("to = ['soc']\noverflow_to = ['lake']", "takes what is over `bytes_per_hour`, which is not set"),
        ("to = ['soc']\nbytes_per_hour = '0B'", "a budget of nothing"),
        (
            "to = ['soc']\nbytes_per_hour = '1kB'\noverflow_to = ['lak']",
            "names the sink `lak`, which is not configured; did you",
        ),
        ("to = ['soc']\ntags = [' ']", "an empty tag"),
        (
            "to = ['soc']\npattern = { severty = ['x'] }",
            "no event has the attribute `severty`; did you mean `severity`?",
        ),
        (
            "to = ['soc']\nraw_pattern = { detail.a = ['x'], resources = ['y'] }",
            "of an envelope's `resources` nothing is kept",
        ),
        ("to = ['soc']\nraw_pattern = { a = 'x' }", "route `r`: what a value may be is a list: [\"x\"]"),
    ] {
        assert!(error(route).contains(words), "{route}: {}", error(route));
    }
    let parse = toml::from_str::<RouteOptions>("severity = '>= huge'").unwrap_err().to_string();
    assert!(parse.contains("`>= huge` is no bound on severities"), "{parse}");
}
