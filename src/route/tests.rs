//! Guards which sinks an event goes to, and that a mistake in a route is told with its remedy.

use super::{Decision, Facts, RouteOptions, Routes};

fn decide(routes: &str, log_type: &str, severity_id: u8, account: &str) -> Decision {
    let routes: std::collections::BTreeMap<String, RouteOptions> = toml::from_str(routes).unwrap();
    let routes = Routes::new(routes.iter().map(|(name, route)| (name.as_str(), route)), &["soc", "lake"]).unwrap();
    routes.decide(Facts { log_type, severity_id, account, region: "" })
}

const ROUTES: &str = r#"
    urgent = { log_type = ["aws.guardduty"], severity = ">= high", to = ["soc"] }
    all = { log_type = ["aws.*"], to = ["lake"] }
    noise = { account = ["111122223333"], log_type = ["aws.vpc_flow"], suppress = true }
"#;

/// Guards that matching routes add up, that suppress wins, and that what nobody wants is filtered by name.
#[test]
fn routes_decide() {
    assert_eq!(decide("", "anything", 0, ""), Decision::Lanes(0b11));
    assert_eq!(decide(ROUTES, "aws.guardduty", 4, ""), Decision::Lanes(0b11));
    assert_eq!(decide(ROUTES, "aws.guardduty", 3, ""), Decision::Lanes(0b10));
    assert_eq!(decide(ROUTES, "aws.vpc_flow", 1, "111122223333"), Decision::Filtered("noise".into()));
    assert_eq!(decide(ROUTES, "aws.vpc_flow", 1, "444455556666"), Decision::Lanes(0b10));
    assert_eq!(decide(ROUTES, "custom", 1, ""), Decision::Filtered("no_route".into()));
    assert_eq!(decide(ROUTES, "aws.guardduty", 99, ""), Decision::Lanes(0b10), "99 meets no bound");
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
    let parse = toml::from_str::<RouteOptions>("severity = '>= huge'").unwrap_err().to_string();
    assert!(parse.contains("`>= huge` is no bound on severities"), "{parse}");
}
