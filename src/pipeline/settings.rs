//! What the pipeline is made of.

use std::sync::Arc;

use super::accounts::AccountsSettings;
use super::any_sink::SinkSettings;
use super::duplicates::DeduplicateOptions;
use super::letter_store::LetterStore;
use super::options::{DeadLetterFileOptions, PipelineOptions};
use crate::envelope::Limits;
use crate::normalize::Projection;
use crate::normalize::redact::Redactions;
use crate::route::Routes;
use crate::sink::Format;
use crate::source;
use crate::telemetry::admin::AdminOptions;

/// Everything that [`run`](super::run) needs, resolved and valid.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sources, by name.
    pub sources: Vec<(Arc<str>, SourceSettings)>,
    /// The sinks, by name, in the order of their lanes.
    pub sinks: Vec<(Arc<str>, SinkSettings)>,
    /// Which events go where.
    pub routes: Routes,
    /// What is taken out of events.
    pub redactions: Redactions,
    /// Which duplicates are let go.
    pub deduplicate: DeduplicateOptions,
    /// What is known of accounts.
    pub accounts: AccountsSettings,
    /// Where dead letters are kept.
    pub dead_letters: DeadLetterFileOptions,
    /// The store on the network that they are kept in instead, as long as it takes them.
    pub letter_store: Option<LetterStore>,
    /// Bounds and workers.
    pub options: PipelineOptions,
    /// The bounds of envelopes.
    pub limits: Limits,
    /// Where health, metrics and status are told.
    pub admin: AdminOptions,
}

/// One source.
#[derive(Clone, Debug)]
pub enum SourceSettings {
    /// Kinesis Data Streams.
    Kinesis(Box<source::kinesis::KinesisOptions>),
    /// Files and standard input.
    File(source::file::FileOptions),
    /// Dead letters, to be sent again. No configuration names it: `siemline replay` makes it.
    DeadLetters(Box<source::dead_letters::Replay>),
}

impl Settings {
    /// The lanes that want each vocabulary, a bit for each, by the numbers of [`Projection`].
    #[must_use]
    pub fn projected_for(&self) -> [u64; Projection::ALL.len()] {
        let wants = |projection| {
            let lanes = self.sinks.iter().enumerate();
            let lanes = lanes.filter(|(_, (_, sink))| sink.format.projection() == Some(projection));
            lanes.fold(0, |bits, (lane, _)| bits | 1_u64 << lane)
        };
        Projection::ALL.map(wants)
    }

    /// Says whether dead letters are sent again.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.sources.iter().any(|(_, source)| matches!(source, SourceSettings::DeadLetters(_)))
    }

    /// Says whether a sink wants the events as AWS wrote them, so that the workers keep them.
    #[must_use]
    pub fn wants_raw(&self) -> bool {
        self.sinks.iter().any(|(_, sink)| sink.format == Format::Raw)
    }
}
