//! The pipeline: intake, workers, lanes, dead letters, drain. Floor 8, and the only room that spawns tasks.
//!
//! Sources hand chunks to the intake; workers (threads of their own, since their work is all computing) make blocks of
//! them; each lane gets its parcels of a block; what nobody can take goes to the dead letters. To stop, the sources give
//! up the intake, the workers end when it is empty, the lanes when their queues are, and the sources, which have waited
//! for their receipts, write their last checkpoints.

mod accounts;
mod any_sink;
mod bench;
mod dead_letters;
mod draft;
mod duplicates;
mod letter_lines;
mod letter_store;
mod options;
mod remote;
mod run;
mod settings;
mod spills;
mod summary;
mod tasks;
#[cfg(test)]
mod tests;
mod worker;

pub use accounts::{AccountsOptions, AccountsSettings};
pub use any_sink::{AnySink, SinkSettings};
pub use dead_letters::DeadLetterStores;
pub use duplicates::DeduplicateOptions;
pub use letter_store::{LetterStore, LettersOfStore};
pub use options::{DeadLetterFileOptions, PipelineOptions};
pub use run::{Error, run};
pub use settings::{Settings, SourceSettings};
pub use summary::{SinkSummary, StandingStill, Summary};
