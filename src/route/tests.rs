//! Guards which sinks an event goes to, and that a mistake in a route is told with its remedy.

use super::{Decision, RouteOptions, Routes};
use crate::delivery::{Block, EventView, Ledger, Row};

fn decide(routes: &str, log_type: &str, severity_id: u8, account: &str) -> Decision {
    let routes: std::collections::BTreeMap<String, RouteOptions> = toml::from_str(routes).unwrap();
    let routes = Routes::new(routes.iter().map(|(name, route)| (name.as_str(), route)), &["soc", "lake"]).unwrap();
    let row = Row {
        record: 0,
        index: 0,
        ocsf: 0..0,
        raw: 0..0,
        log_type: log_type.into(),
        severity_id,
        time_ms: 0,
        account: 0..account.len(),
        region: 0..0,
        id: [0; 16],
    };
    let block = Block {
        source: "test".into(),
        records: vec![],
        ocsf: account.into(),
        raw: vec![],
        rows: vec![],
        charges: vec![],
        ledger: Ledger::default(),
    };
    routes.decide(EventView { block: &block, row: &row })
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
