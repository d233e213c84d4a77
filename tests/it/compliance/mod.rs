//! The same scenarios against every destination: a real lane and a real sink over sockets, with the laws of conservation held
//! event by event, and the number of duplicates that each scenario may cost.
//!
//! A destination is one implementation of [`play::Destination`] and one line of `every_destination!`. Its `cell` names each
//! scenario: the compiler and the table's test see to it that none is left out. A kind of sink that the configuration knows and
//! that has no line fails the suite. That the harness sees what it has to see is held by sinks that are broken on purpose.

mod broken;
mod broker;
mod codes;
mod file;
mod play;
pub mod scenario;
mod stdout;
mod web;

use std::collections::BTreeSet;

use play::{Destination, hold};
use scenario::{Cell, Scenario};
use siemline::config::SinkOptions;
use web::{Web, aws, elastic, hec, intakes};

/// One test for each destination, and the list of their tables.
macro_rules! every_destination {
    ($($name:ident: $destination:ty,)*) => {
        $(
            /// Guards that the sink keeps the laws in every scenario, at the price in duplicates that its table says.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                assert_eq!(stringify!($name), <$destination>::NAME, "the test is named as the row is");
                hold::<$destination>().await;
            }
        )*

        /// The tables of all destinations.
        pub fn tables() -> Vec<(&'static str, Vec<Cell>)> {
            vec![$((<$destination>::NAME, Scenario::ALL.map(<$destination>::cell).into()),)*]
        }

        /// The kind of sink of each row.
        fn kinds() -> Vec<(&'static str, &'static str)> {
            vec![$((<$destination>::NAME, <$destination>::KIND),)*]
        }
    };
}

every_destination! {
    splunk_hec: Web<hec::HecKind>,
    splunk_hec_raw: Web<hec::RawKind>,
    splunk_hec_acknowledged: Web<hec::AcknowledgedKind>,
    splunk_hec_asked: Web<hec::AskedKind>,
    elastic: Web<elastic::ElasticKind>,
    elastic_index: Web<elastic::IndexKind>,
    elastic_latest: Web<elastic::LatestKind>,
    sumo: Web<intakes::SumoKind>,
    http: Web<intakes::HttpKind>,
    firehose: Web<aws::FirehoseKind>,
    s3: Web<aws::S3Kind>,
    kafka: broker::Brokers,
    file: file::File,
    stdout: stdout::Stdout,
}

/// Guards that every kind of sink that can be configured has a row, and that a row is of the kind that it is named after.
#[test]
fn every_kind_of_sink_has_a_row() {
    let known = serde_json::to_value(SinkOptions::default()).unwrap();
    let known: BTreeSet<&str> = known.as_object().unwrap().keys().map(String::as_str).collect();
    let rows = kinds();
    assert_eq!(rows.iter().map(|(_, kind)| *kind).collect::<BTreeSet<_>>(), known);
    for (name, kind) in rows {
        assert!(name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')), "{name}: {kind}");
    }
}

/// Guards that no cell of the table is empty: a scenario is played, or it is said why it has no meaning there; that each is
/// listed once; and that each is played somewhere.
#[test]
fn the_table_has_no_empty_cell() {
    let names: BTreeSet<String> = Scenario::ALL.iter().map(|scenario| format!("{scenario:?}")).collect();
    assert_eq!(names.len(), Scenario::ALL.len(), "each scenario once");
    let tables = tables();
    for (name, cells) in &tables {
        assert_eq!(cells.len(), Scenario::ALL.len(), "{name}");
        for (scenario, cell) in Scenario::ALL.iter().zip(cells) {
            if let Cell::Meaningless(why) = cell {
                assert!(why.split_whitespace().count() > 4, "{name}, {scenario:?}: `{why}` is no reason");
            }
        }
        let played = |scenario| {
            let mut both = Scenario::ALL.iter().zip(cells);
            both.any(|(other, cell)| *other == scenario && matches!(cell, Cell::Played(_)))
        };
        assert!(played(Scenario::AllAccepted) && played(Scenario::Refused) && played(Scenario::Twice), "{name}");
    }
    for (number, scenario) in Scenario::ALL.iter().enumerate() {
        assert!(
            tables.iter().any(|(_, cells)| matches!(cells[number], Cell::Played(_))),
            "{scenario:?} is played nowhere"
        );
    }
}
