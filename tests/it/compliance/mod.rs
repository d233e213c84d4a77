//! The same scenarios against every destination: a real lane and a real sink over sockets, with the laws of conservation held
//! event by event, and the number of duplicates that each scenario may cost.
//!
//! A destination is one implementation of [`play::Destination`] and one line of `every_destination!`. Its `cell` names each
//! scenario: the compiler and the table's test see to it that none is left out.

mod broker;
mod file;
mod play;
mod scenario;
mod web;

use std::collections::BTreeSet;

use play::{Destination, hold};
use scenario::{Cell, Scenario};

/// One test for each destination, and the list of their tables.
macro_rules! every_destination {
    ($($name:ident: $destination:ty,)*) => {
        $(
            /// Guards that the sink keeps the laws in every scenario, at the price in duplicates that its table says.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                assert_eq!(stringify!($name), <$destination>::NAME, "the test is named as the sink is");
                hold::<$destination>().await;
            }
        )*

        /// The tables of all destinations.
        fn tables() -> Vec<(&'static str, Vec<Cell>)> {
            vec![$((<$destination>::NAME, Scenario::ALL.map(<$destination>::cell).into()),)*]
        }
    };
}

every_destination! {
    splunk_hec: web::Web<web::HecKind>,
    elastic: web::Web<web::ElasticKind>,
    sumo: web::Web<web::SumoKind>,
    http: web::Web<web::HttpKind>,
    firehose: web::Web<web::FirehoseKind>,
    kafka: broker::Brokers,
    file: file::File,
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
